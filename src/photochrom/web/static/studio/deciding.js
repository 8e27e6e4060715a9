// What is decided about the photo as a whole: the sliders, the colorings, and the way back.

import { desk } from "./desk.js";
import { $, colorings, settings } from "./parts.js";

settings.addEventListener("live", ({ detail }) => desk.hold(detail));
settings.addEventListener("set", ({ detail }) => desk.settle(detail));

colorings.addEventListener("choose", ({ detail: { candidate } }) => {
  if (candidate !== desk.current.work.candidate) desk.decide({ candidate });
});
colorings.addEventListener("others", () => {
  desk.decide({ seed: desk.current.work.seed + 1, candidate: null }, "Four more versions.");
});
desk.addEventListener("turn", () => colorings.clear());
desk.addEventListener("picture", () => {
  const { seen, held } = desk;
  if (seen !== null && held === null) colorings.show(seen.photo, seen.prediction, seen.work);
});

for (const way of ["undo", "redo"]) $(way).addEventListener("click", () => desk.step(way));

document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || document.querySelector("dialog[open]")) return;
  const key = event.key.toLowerCase();
  if (key === "z") desk.step(event.shiftKey ? "redo" : "undo");
  else if (key === "y") desk.step("redo");
  else return;
  event.preventDefault();
});
