// The dialog in which a photo is turned and cropped. Places are shares of the picture as it is turned.

import { desk } from "./desk.js";
import { next } from "./frame.js";
import { announce } from "./notice.js";
import { $ } from "./parts.js";
import * as service from "./service.js";

const SIZE = 1024;
const LEAST = 0.04; // of a side
const WHOLE = Object.freeze({ left: 0, top: 0, right: 1, bottom: 1 });
const CORNERS = [["left", "top"], ["right", "top"], ["left", "bottom"], ["right", "bottom"]];

const dialog = $("framing");
const canvas = dialog.querySelector("canvas");
const area = dialog.querySelector(".crop");
let picture = null;
let turn = 0;
let box = WHOLE;

async function open() {
  const { photo } = desk.current.info;
  turn = 0;
  box = WHOLE;
  picture?.close();
  picture = await createImageBitmap(await service.blob(service.originalAt(photo, SIZE)));
  if (!desk.ready || desk.current.info.photo !== photo) return;
  $("crop-border").hidden = !desk.current.info.border;
  $("whole-photo").hidden = desk.current.frame === null;
  draw();
  dialog.returnValue = "no";
  dialog.showModal();
}

function draw() {
  const sideways = turn % 180 !== 0;
  canvas.width = sideways ? picture.height : picture.width;
  canvas.height = sideways ? picture.width : picture.height;
  const context = canvas.getContext("2d");
  context.translate(canvas.width / 2, canvas.height / 2);
  context.rotate(turn * Math.PI / 180);
  context.drawImage(picture, -picture.width / 2, -picture.height / 2);
  canvas.parentElement.style.setProperty("--shape", canvas.width / canvas.height);
  place();
}

function place() {
  const percent = (share) => `${100 * share}%`;
  Object.assign(area.style, {
    left: percent(box.left), top: percent(box.top), right: percent(1 - box.right), bottom: percent(1 - box.bottom),
  });
  const { width, height } = pixels();
  dialog.querySelector("output").value = `${width} × ${height} pixels`;
}

/** The box in pixels of the photo as it is turned. */
function pixels() {
  const { info } = desk.current;
  const [width, height] = turn % 180 ? [info.height, info.width] : [info.width, info.height];
  const [x, y] = [Math.round(box.left * width), Math.round(box.top * height)];
  return {
    x, y, width: Math.max(1, Math.round(box.right * width) - x), height: Math.max(1, Math.round(box.bottom * height) - y),
  };
}

function turnBy(degrees) {
  turn = (turn + degrees + 360) % 360;
  const { left, top, right, bottom } = box;
  box = degrees > 0 ? { left: 1 - bottom, top: left, right: 1 - top, bottom: right }
    : { left: top, top: 1 - right, right: bottom, bottom: 1 - left };
  draw();
  announce(degrees > 0 ? "Turned right." : "Turned left.");
}

/** Crops what a flat margin surrounds, which the service has found. */
function cropBorder() {
  const { border, width, height } = desk.current.info;
  box = {
    left: border.x / width, top: border.y / height,
    right: (border.x + border.width) / width, bottom: (border.y + border.height) / height,
  };
  for (let at = 0; at < turn; at += 90) {
    box = { left: 1 - box.bottom, top: box.left, right: 1 - box.top, bottom: box.right };
  }
  place();
  announce("The border is outside the crop now.");
}

/** Moves sides of the box, of which opposite ones keep apart. */
function move(sides, dx, dy) {
  const to = { ...box };
  for (const side of sides) {
    const [by, low, high] = {
      left: [dx, 0, box.right - LEAST], right: [dx, box.left + LEAST, 1],
      top: [dy, 0, box.bottom - LEAST], bottom: [dy, box.top + LEAST, 1],
    }[side];
    to[side] = Math.min(Math.max(box[side] + by, low), high);
  }
  box = to;
  place();
}

for (const corner of CORNERS) {
  const handle = document.createElement("button");
  handle.type = "button";
  handle.setAttribute("aria-label", `${corner[1]} ${corner[0]} corner of the crop`);
  handle.className = corner.join(" ");
  handle.addEventListener("pointerdown", (down) => {
    handle.setPointerCapture(down.pointerId);
    let last = down;
    const drag = (event) => {
      const size = canvas.getBoundingClientRect();
      move(corner, (event.clientX - last.clientX) / size.width, (event.clientY - last.clientY) / size.height);
      last = event;
    };
    handle.addEventListener("pointermove", drag);
    handle.addEventListener("lostpointercapture", () => handle.removeEventListener("pointermove", drag), { once: true });
  });
  handle.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.05 : 0.01;
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (!(event.key in ways)) return;
    event.preventDefault();
    move(corner, ...ways[event.key]);
  });
  area.append(handle);
}

async function apply() {
  const { current: { frame, info } } = desk;
  const crop = Object.keys(WHOLE).every((side) => box[side] === WHOLE[side]) ? null : pixels();
  if (turn === 0 && crop === null) return;
  announce("Turning and cropping…");
  await desk.reframe(next(frame, info, turn, crop));
}

for (const button of document.querySelectorAll(".reframe")) {
  button.hidden = !service.can.frames;
  button.addEventListener("click", () => desk.attempt(open));
}
$("turn-left").addEventListener("click", () => turnBy(-90));
$("turn-right").addEventListener("click", () => turnBy(90));
$("crop-border").addEventListener("click", cropBorder);
$("whole-photo").addEventListener("click", () => {
  dialog.close("no");
  desk.attempt(() => desk.reframe(null));
});
dialog.addEventListener("close", () => dialog.returnValue === "yes" && desk.attempt(apply));
desk.addEventListener("change", () => {
  for (const button of document.querySelectorAll(".reframe")) button.disabled = !desk.ready;
});
