// A spot of the photo: looking at it, and saying what color it was. A hint is a spot that was given one.

import { desk } from "./desk.js";
import { Latest } from "./latest.js";
import { announce, warn } from "./notice.js";
import { $, markers, spot, viewer } from "./parts.js";
import { show } from "./screen.js";
import * as service from "./service.js";
import { newId } from "./work.js";

const looking = new Latest();

const reveal = () => $("spot").scrollIntoView({ block: "nearest" });

desk.addEventListener("choose", ({ detail: { byKey } }) => {
  const { chosen } = desk;
  markers.showChosen(chosen && !chosen.hint ? chosen : null);
  if (desk.ready) markers.show(desk.current.work.hints, chosen?.hint ?? null);
  if (!chosen) return spot.clear();
  $("place").textContent = `This spot: x ${Math.floor(chosen.x)}, y ${Math.floor(chosen.y)}`;
  viewer.uncover(chosen);
  show("spot");
  return look(byKey).then(reveal);
});
desk.addEventListener("step", () => desk.chosen && look());

const hintAt = (photo, place) => photo.work.hints.find(({ id }) => id === place.hint) ?? null;

/** Asks for the colors of the chosen spot. */
async function look(byKey = false) {
  const { current: photo, chosen: place } = desk;
  const hints = photo.work.hints.filter(({ id }) => id !== place.hint);
  const shown = JSON.stringify([place.x, place.y, hints]);
  if (place.shown === shown) return spot.show(place.palette, hintAt(photo, place));
  spot.await();
  return desk.attempt(() => looking.ask(async () => {
    if (place !== desk.chosen) return;
    const palette = await paletteOf(photo, place, hints).catch((error) => {
      // The colors that are still there are those of another spot.
      if (place === desk.chosen) desk.choose(null);
      throw error;
    });
    if (place !== desk.chosen) return;
    Object.assign(place, { palette, shown });
    spot.show(palette, hintAt(photo, place));
    if (byKey) spot.focus();
    const { length } = palette.colors;
    announce(length ? `${length} likely colors.` : "No likely colors.");
  }));
}

/** Without the hint that is here, for with it there would be no other colors left to choose. */
const paletteOf = (photo, place, hints) => photo.with(async () => {
  const base = await photo.predict(hints);
  return service.palette(photo.info.photo, base, photo.work, place);
});

// --- from the photo -------------------------------------------------------------------------------

for (const [part, type] of [[viewer, "spot"], [markers, "suggestion"]]) {
  part.addEventListener(type, ({ detail: { x, y, byKey } }) => {
    if (desk.ready) desk.choose({ x, y, hint: null }, byKey);
  });
}
markers.addEventListener("select", ({ detail: { id, byKey } }) => {
  const hint = desk.hint(id);
  if (hint) desk.choose({ x: hint.x, y: hint.y, hint: id }, byKey);
});
markers.addEventListener("move", ({ detail: { id, x, y } }) => {
  if (!desk.hint(id)) return;
  change(id, { x, y }, "Hint moved.");
  desk.choose({ x, y, hint: id });
});
markers.addEventListener("delete", ({ detail: { id } }) => desk.hint(id) && removeHint(id));

// --- from its panel -------------------------------------------------------------------------------

spot.addEventListener("color", ({ detail: { color, gray } }) => {
  const { chosen } = desk;
  if (!chosen) return;
  if (chosen.hint) change(chosen.hint, { color, gray }, "Hint recolored.");
  else if (!add(chosen, color, gray)) return;
  viewer.uncover(chosen);
  look().then(reveal);
});
spot.addEventListener("dials", ({ detail: { name, value } }) => {
  if (!desk.chosen?.hint) return;
  change(desk.chosen.hint, { [name]: value }, name === "reach" ? "Reach changed." : "Strength changed.");
  viewer.uncover(desk.chosen);
});
spot.addEventListener("delete", () => removeHint(desk.chosen.hint));
spot.addEventListener("leave", () => leave());
spot.addEventListener("words", ({ detail: { words } }) => announce(words));

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !desk.chosen || document.querySelector("dialog[open], :popover-open")) return;
  leave();
  event.preventDefault();
});

/** Makes a hint of a spot; false where the photo takes no more. */
function add(place, color, gray) {
  const { hints, candidate } = desk.current.work;
  const most = desk.limits.hints ?? Infinity;
  if (hints.length >= most) {
    warn(`A photo can have at most ${most} hints. Remove one first.`);
    return false;
  }
  place.hint = newId();
  markers.showChosen(null);
  const words = candidate === null ? "Hint set." : `Hint set; version ${candidate + 2} follows it.`;
  desk.decide({ hints: [...hints, { id: place.hint, x: place.x, y: place.y, color, gray }] }, words);
  return true;
}

function change(id, values, words) {
  const { hints } = desk.current.work;
  desk.decide({ hints: hints.map((hint) => (hint.id === id ? { ...hint, ...values } : hint)) }, words);
}

function removeHint(id) {
  goingBack(() => {
    if (desk.chosen?.hint === id) desk.choose(null);
    desk.decide({ hints: desk.current.work.hints.filter((hint) => hint.id !== id) }, "Hint removed.");
  });
}

const leave = () => goingBack(() => desk.choose(null));

/** Does what makes the panel empty; the keyboard goes from it back to the photo. */
function goingBack(act) {
  const inside = $("spot").contains(document.activeElement);
  act();
  if (inside) viewer.canvas.focus({ preventScroll: true });
}
