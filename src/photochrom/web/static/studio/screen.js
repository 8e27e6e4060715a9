// Everything about the photo but the pictures: what can be pressed, what is said, where the keyboard is.

import { desk } from "./desk.js";
import { $, hintList, markers, settings, tray, viewer } from "./parts.js";

/** Brings it up to date; the keyboard keeps its place, or gets the photo. */
function arrange() {
  const held = document.activeElement;
  showAll();
  const lost = held && held !== document.body && (!held.checkVisibility() || held.disabled || held.closest("[inert]"));
  if (!lost) return;
  const opposite = { undo: $("redo"), redo: $("undo") }[held.id];
  toFocus(opposite && !opposite.disabled ? opposite : null);
}

/** Gives the keyboard to that, or to the photo, or to what opens one. */
function toFocus(element = null) {
  (element ?? (desk.current ? viewer.canvas : $("choose"))).focus({ preventScroll: true });
}

function showAll() {
  const { current, ready, chosen } = desk;
  document.body.dataset.state = current ? "open" : "empty";
  $("welcome").hidden = current !== null;
  for (const id of ["desk", "panel", "tabs"]) $(id).hidden = current === null;
  $("undo").disabled = !current?.history.canUndo;
  $("redo").disabled = !current?.history.canRedo;
  for (const id of ["download", "formats-button"]) $(id).disabled = !ready;
  for (const id of ["save-session", "remove"]) $(id).disabled = !current;
  $("panel").inert = !ready;
  $("title").replaceChildren(...(current ? titled(current) : []));
  document.title = current ? `${current.name} – photochrom studio` : "photochrom studio";
  tray.show(desk.photos, current);
  divide();
  card();
  if (current && (desk.held === null || settings.held)) settings.show(current.work);
  for (const part of [markers, hintList]) part.show(ready ? current.work.hints : [], chosen?.hint ?? null);
  if (ready) return;
  // They come back with the photo.
  markers.suggest([]);
  if (!viewer.veil) return;
  viewer.veil = null;
  viewer.redraw();
}

/** The name, and what phones have no room for. */
function titled({ name, info }) {
  const more = document.createElement("span");
  if (info) more.textContent = ` · ${info.width} × ${info.height}${info.bits > 8 ? ` · ${info.bits}-bit` : ""}`;
  return [name, more];
}

let missing = false; // whether the colors could not be had: a notice says so

/** What is said over the photo as long as no colors are seen. */
function card() {
  const box = $("progress");
  if (!desk.ready || viewer.after.whole) missing = false;
  box.hidden = !desk.current || missing || (desk.ready && viewer.after.whole !== null);
  if (box.hidden) return;
  const { state, sent, error, name, hopeless } = desk.current;
  const bar = box.querySelector("progress");
  const words = box.querySelector("p");
  const said = {
    waiting: "Opening…",
    sending: sent > 0 ? `Reading ${name}, ${Math.round(100 * sent)} %` : `Reading ${name}…`,
    coloring: "Coloring…",
    ready: "Coloring…",
    failed: `${name}: ${error}`,
  }[state];
  if (words.textContent !== said) words.textContent = said;
  bar.hidden = state === "failed";
  if (state === "sending") bar.value = sent;
  else bar.removeAttribute("value");
  box.querySelector(".group").hidden = state !== "failed";
  $("again").hidden = hopeless;
  box.dataset.state = state;
}

/** The divider is there when it is wanted and nothing else lies over the photo. */
function divide() {
  const comparing = desk.comparing && !desk.unsure;
  $("compare").setAttribute("aria-pressed", String(comparing));
  viewer.setComparing(comparing);
  $("unsure").setAttribute("aria-pressed", String(desk.unsure));
  $("legend").hidden = !(desk.unsure && desk.ready);
  $("original").hidden = !(comparing && desk.current?.info?.color);
  $("original").setAttribute("aria-pressed", String(desk.original));
}

/** Where there is room for one sheet only, this one. */
export function show(tab) {
  desk.tab = tab;
  document.body.dataset.tab = tab;
  for (const button of $("tabs").children) {
    button.setAttribute("aria-pressed", String(button.dataset.tab === tab));
  }
}

for (const button of $("tabs").children) {
  button.addEventListener("click", () => show(button.dataset.tab));
}

$("again").addEventListener("click", () => desk.turnTo(desk.current));
$("away-with-it").addEventListener("click", () => desk.attempt(() => desk.remove(desk.current)));
tray.addEventListener("choose", ({ detail: { photo } }) => desk.turnTo(photo));

viewer.addEventListener("failed", () => {
  missing = true;
  card();
});
desk.addEventListener("turn", () => { missing = false; });
desk.addEventListener("change", arrange);
desk.addEventListener("show", divide);
desk.addEventListener("photos", () => tray.show(desk.photos, desk.current));
desk.addEventListener("leave", () => toFocus());
