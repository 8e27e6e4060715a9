// The versions of the strip, large and side by side.

import { desk } from "./desk.js";
import { $ } from "./parts.js";
import * as service from "./service.js";

const SIZE = 800;
const dialog = $("versions");
const grid = dialog.querySelector(".grid");

function open() {
  if (!desk.seen) return;
  dialog.returnValue = "no";
  fill();
  dialog.showModal();
  grid.querySelector("[aria-pressed=true]")?.focus();
}

function fill() {
  empty();
  const { photo, prediction, work } = desk.seen;
  for (const candidate of [null, 0, 1, 2, 3]) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", String(candidate === work.candidate));
    const image = new Image();
    image.alt = "";
    const { width, height } = desk.current.info;
    image.style.aspectRatio = `${width} / ${height}`;
    const name = document.createElement("span");
    name.textContent = candidate === null ? "Best guess" : `Version ${candidate + 2}`;
    button.append(image, name);
    button.addEventListener("click", () => {
      dialog.close();
      if (candidate !== desk.current.work.candidate) desk.decide({ candidate }, `${name.textContent} chosen.`);
    });
    grid.append(button);
    desk.attempt(async () => {
      const blob = await service.blob(service.previewAt(photo, prediction, { ...work, candidate }, SIZE));
      if (button.isConnected) image.src = URL.createObjectURL(blob);
    });
  }
}

function empty() {
  for (const image of grid.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  grid.replaceChildren();
}

$("large").addEventListener("click", open);
dialog.addEventListener("close", empty);
