// A spot of the photo: looking at it, and saying what color it was. A hint is a spot that was given one.

import { desk } from "./desk.js";
import { Latest } from "./latest.js";
import { announce, warn } from "./notice.js";
import { $, hintList, markers, spot, viewer } from "./parts.js";
import { show } from "./screen.js";
import * as service from "./service.js";
import { details, movedHint, newId } from "./work.js";

const looking = new Latest();

// The list of hints below may be long.
const reveal = () => $("spot").querySelector(".chosen").scrollIntoView({ block: "nearest" });

desk.addEventListener("choose", ({ detail: { byKey } }) => {
  const { chosen } = desk;
  markers.showChosen(chosen && !chosen.hint ? chosen : null);
  if (desk.ready) for (const part of [markers, hintList]) part.show(desk.current.work.hints, chosen?.hint ?? null);
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
    announce(length ? `${length} likely ${length === 1 ? "color" : "colors"}.` : "No likely colors.");
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
    if (!desk.ready) return;
    if (desk.picking) pickAt({ x, y });
    else desk.choose({ x, y, hint: null }, byKey);
  });
}
viewer.addEventListener("shape", ({ detail }) => {
  if (desk.ready && !desk.picking) desk.choose({ ...detail, hint: null });
});
for (const part of [markers, hintList]) {
  part.addEventListener("select", ({ detail: { id, byKey } }) => {
    const hint = desk.hint(id);
    if (hint) desk.choose({ x: hint.x, y: hint.y, hint: id }, byKey);
  });
  part.addEventListener("delete", ({ detail: { id } }) => desk.hint(id) && removeHint(id));
}
markers.addEventListener("move", ({ detail: { id, x, y } }) => {
  const hint = desk.hint(id);
  if (!hint) return;
  const [dx, dy] = [x - hint.x, y - hint.y];
  change(id, movedHint(hint, (place) => viewer.clamped({ x: place.x + dx, y: place.y + dy })), "Hint moved.");
  desk.choose({ x, y, hint: id });
});

// --- from its panel -------------------------------------------------------------------------------

spot.addEventListener("color", ({ detail: { color, gray } }) => give(color, gray));
spot.addEventListener("pick", () => desk.pick(desk.chosen));

/** Gives the chosen spot a color. */
function give(color, gray = false) {
  const { chosen } = desk;
  if (!chosen) return;
  if (chosen.hint) change(chosen.hint, { color, gray }, "Hint recolored.");
  else if (!add(chosen, color, gray)) return;
  viewer.uncover(chosen);
  look().then(reveal);
}

/** The color that is seen at a place of the photo on the desk goes to the spot that waits for one. */
async function pickAt(at) {
  const { photo, place } = desk.picking;
  if (!viewer.after.whole) return;
  const color = viewer.colorAt(at);
  desk.pick(null);
  if (desk.current !== photo) await desk.turnTo(photo);
  if (!desk.ready || desk.current !== photo) return;
  desk.choose(place);
  give(color);
}

desk.addEventListener("pick", () => {
  $("picking").hidden = desk.picking === null;
  viewer.canvas.classList.toggle("picking", desk.picking !== null);
  if (desk.picking) announce("Click the color that you want, in this photo or in another.");
});
desk.addEventListener("photos", () => desk.picking && !desk.photos.includes(desk.picking.photo) && desk.pick(null));
$("picking").querySelector("button").addEventListener("click", stopPicking);

function stopPicking() {
  desk.pick(null);
  viewer.canvas.focus({ preventScroll: true });
}

spot.addEventListener("dials", ({ detail: { name, value } }) => {
  if (!desk.chosen?.hint) return;
  change(desk.chosen.hint, { [name]: value }, name === "reach" ? "Reach changed." : "Strength changed.");
  viewer.uncover(desk.chosen);
});
spot.addEventListener("delete", () => removeHint(desk.chosen.hint));
spot.addEventListener("leave", () => leave());
spot.addEventListener("words", ({ detail: { words } }) => announce(words));

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open], :popover-open")) return;
  if (desk.picking) stopPicking();
  else if (desk.chosen) leave();
  else return;
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
  desk.decide({ hints: [...hints, { id: place.hint, x: place.x, y: place.y, color, gray, ...details(place) }] }, words);
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
