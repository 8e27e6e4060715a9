// How a place is marked: with a click, or with a hand that draws; and what is drawn over the photo.

import { desk } from "./desk.js";
import { $, viewer } from "./parts.js";
import { can } from "./service.js";

const tools = $("marks");

function hold(tool) {
  viewer.hold(tool);
  for (const button of tools.children) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  const words = {
    spot: "anything in the photo to see the colors it may have had, then pick the right one.",
    brush: "along what has one color, then pick the color.",
    lasso: "around what has one color, then pick the color.",
    box: "a rectangle over what has one color, then pick the color.",
  }[tool];
  const invite = $("spot").querySelector(".invite p");
  invite.classList.toggle("drawn", tool !== "spot");
  invite.querySelector(".how").textContent = words;
}

/** The strokes and outlines of the hints, and of what has been drawn and has no color yet. */
function outline() {
  const { chosen, ready, picking } = desk;
  const hints = ready && !picking ? desk.current.work.hints : [];
  const marked = hints.map((hint) => ({ ...hint, chosen: hint.id === chosen?.hint }));
  if (chosen && !chosen.hint) marked.push({ ...chosen, chosen: true });
  viewer.outline(marked.filter(({ stroke, region }) => stroke || region).map((one) => ({
    points: (one.stroke ?? one.region).map(([x, y]) => ({ x, y })),
    closed: Boolean(one.region), chosen: one.chosen,
  })));
}

tools.hidden = !can.shapes;
for (const button of tools.children) button.addEventListener("click", () => hold(button.dataset.tool));
for (const type of ["choose", "change", "turn", "pick"]) desk.addEventListener(type, outline);
