// Before and after as one picture: to download, to copy, to share.

import { desk } from "./desk.js";
import { marked } from "./marked.js";
import { announce, warn } from "./notice.js";
import { $ } from "./parts.js";
import { offer, stem } from "./saving.js";
import * as service from "./service.js";
import { after, before } from "./sides.js";

const SIZE = 1600;
const GAP = 0.012; // of the longer side, between the two
const LINE = 0.003; // of the width, between the halves
const QUALITY = 0.92;

const dialog = $("pair");
const canvas = dialog.querySelector("canvas");
let sides = null; // [before, after], as ImageBitmap

async function open() {
  if (!desk.seen) return;
  const addresses = [before(desk), after(desk.seen)].map(({ whole }) => whole(SIZE));
  const photo = desk.current;
  const blobs = await Promise.all(addresses.map((address) => service.blob(address)));
  const pictures = await Promise.all(blobs.map((blob) => createImageBitmap(blob)));
  if (desk.current !== photo) return;
  sides = pictures;
  draw();
  dialog.returnValue = "no";
  dialog.showModal();
}

function draw() {
  const [one, other] = sides;
  const { width, height } = one;
  const beside = dialog.querySelector("[name=way]:checked").value === "beside";
  const gap = Math.round(GAP * Math.max(width, height));
  canvas.width = beside ? 2 * width + gap : width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, height);
  context.drawImage(one, 0, 0);
  if (beside) return context.drawImage(other, width + gap, 0);
  const half = Math.round(width / 2);
  context.drawImage(other, half, 0, width - half, height, half, 0, width - half, height);
  const line = Math.max(2, Math.round(LINE * width));
  return context.fillRect(half - line / 2, 0, line, height);
}

const made = (type) => new Promise((resolve) => { canvas.toBlob(resolve, type, QUALITY); });
const name = () => `${stem(desk.current.name)}.before-after.jpg`;
/** As JPEG, which says that a model has made its colors. */
const file = async () => new File([await marked(await made("image/jpeg"))], name(), { type: "image/jpeg" });

async function copy() {
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": made("image/png") })]);
    announce("Copied.");
    $("pair-copy").querySelector("span").textContent = "Copied";
  } catch {
    warn("This browser doesn’t let the page copy pictures. Download it instead.");
  }
}

async function share() {
  try {
    await navigator.share({ files: [await file()], title: desk.current.name });
  } catch (error) {
    if (error.name !== "AbortError") warn("This browser can’t share the picture. Download it instead.");
  }
}

for (const way of dialog.querySelectorAll("[name=way]")) way.addEventListener("change", draw);
$("before-after").addEventListener("click", () => desk.attempt(open));
$("pair-download").addEventListener("click", () => desk.attempt(async () => {
  offer(await file(), name());
  announce("Downloaded.");
}));
$("pair-copy").addEventListener("click", copy);
$("pair-share").addEventListener("click", share);
// Both need a page that the browser trusts: one of this machine, or one over HTTPS.
$("pair-copy").hidden = !(navigator.clipboard?.write && window.ClipboardItem);
$("pair-share").hidden = !navigator.canShare?.({ files: [new File([""], "a.jpg", { type: "image/jpeg" })] });
dialog.addEventListener("close", () => {
  for (const side of sides ?? []) side.close();
  sides = null;
  $("pair-copy").querySelector("span").textContent = "Copy";
});
desk.addEventListener("change", () => { $("before-after").disabled = !desk.ready; });
