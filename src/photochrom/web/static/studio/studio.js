// The studio: which photos there are, which one is on the desk, and what each gesture means for it.
//
// The network runs when a photo comes and when its hints change. All else (sliders, other colorings,
// the colors of a spot, where it is unsure, tiles of the full size) is answered by the service from
// the distribution that it keeps, so it can follow a hand.

import { Colorings } from "./colorings.js";
import { photosIn } from "./folders.js";
import { Latest } from "./latest.js";
import { Markers } from "./markers.js";
import { announce, calm, confirmed, warn } from "./notice.js";
import { Photo } from "./photo.js";
import * as service from "./service.js";
import * as session from "./session.js";
import { Settings } from "./settings.js";
import * as shelf from "./shelf.js";
import { Spot } from "./spot.js";
import { Tray } from "./tray.js";
import { Viewer } from "./viewer.js";
import { START, newId } from "./work.js";

const $ = (id) => document.getElementById(id);
const viewer = new Viewer($("stage"), failed);
const markers = new Markers(viewer, $("hints"), $("spots"));
const settings = new Settings($("adjust"));
const colorings = new Colorings($("colorings"));
const spot = new Spot($("spot"));
const tray = new Tray($("tray"));

let limits = {};
let extensions = []; // of the files that can be opened
let photos = [];
let current = null;
let named = null; // the name that the service has for the current photo
let prediction = null; // the one that is shown of the current photo
let live = null; // work that is being dragged and not decided yet
let chosen = null; // {x, y, hint: id or null, palette}: the spot that is looked at
let unsure = false;
let untold = false; // that the weak spots were asked for
let comparing = true;
let original = false; // the colors that a file came with, instead of its lightness alone

// --- errors ---------------------------------------------------------------------------------------

function failed(error) {
  if (error.name === "AbortError" || error.away) return; // the banner says it
  if (error.forgotten && current) {
    // It is on its way already, or has arrived: what was asked for before tells nothing new.
    if (current.opening) return;
    if (current.info && !error.concerns(current.info.photo)) return viewer.redraw();
    const lately = current.revived.filter((at) => performance.now() - at < 1e4);
    if (lately.length === 3) return current.fail(error); // its card offers to try again
    current.revived = [...lately, performance.now()];
    current.doubt();
    turnTo(current);
    return;
  }
  warn(error.message);
}

/** Calls act(); what goes wrong is told. */
async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    failed(error);
    return undefined;
  }
}

let away = null; // a promise, while the service does not answer

service.connection.addEventListener("away", () => {
  away ??= untilBack().finally(() => { away = null; });
});

async function untilBack() {
  for (let status; (status = await service.answers()) !== "yes";) {
    const anew = status === "anew"; // a cookie that another tab gets lets this one in too
    $("away").querySelector("[data-why=silent]").hidden = anew;
    $("away").querySelector("[data-why=anew]").hidden = !anew;
    $("away").hidden = false;
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
  $("away").hidden = true;
  // What makes the service go away twice is not sent a third time: its own card offers that.
  for (const photo of photos) if (photo.lost < 2) photo.doubt();
  if (current && current.lost < 2) turnTo(current);
  else if (current) arrange();
  else welcome();
  fetchColors(photos);
}

// --- the desk -------------------------------------------------------------------------------------

/** Puts a photo on the desk. */
async function turnTo(photo) {
  const another = photo !== current;
  if (another) {
    current = photo;
    named = prediction = live = null;
    choose(null);
    colorings.clear();
    markers.suggest([]);
    viewer.close();
    if (photo.info) viewer.open(photo.info);
  }
  calm();
  if (Date.now() - photo.used > 24 * 3600e3) photo.used = Date.now();
  arrange();
  keep();
  if (photo.state !== "ready" && viewer.before.whole === null) sketch(photo);
  try {
    await photo.open();
  } catch {
    return; // the photo's own card tells
  }
  if (current !== photo) return;
  const { width, height } = viewer.photo ?? {};
  if (width !== photo.info.width || height !== photo.info.height) viewer.open(photo.info);
  refresh();
}

/** Shows the photo as this browser reads it, if it can, until the service has it. */
async function sketch(photo) {
  const picture = await local(photo);
  if (!picture || current !== photo || viewer.before.whole) return;
  if (!viewer.photo) viewer.open(picture.full);
  viewer.before.lend(picture.canvas);
  viewer.redraw();
}

/** The photo in gray, at most 1600 pixels: {canvas, full: {width, height}}, or null. */
async function local(photo) {
  const file = await photo.file();
  const picture = file && await createImageBitmap(file).catch(() => null);
  if (!picture) return null;
  const full = { width: picture.width, height: picture.height };
  const canvas = shrunk(picture, 1600, "grayscale(1)");
  picture.close();
  if (!photo.thumb) {
    photo.thumb = shrunk(canvas, 160).toDataURL("image/jpeg", 0.8);
    tray.show(photos, current);
  }
  return { canvas, full };
}

function shrunk(picture, size, filter = "none") {
  const scale = Math.min(1, size / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(scale * picture.width));
  canvas.height = Math.max(1, Math.round(scale * picture.height));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.filter = filter;
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

const predicting = new Latest();
let busyTimer;

/** Shows what is decided now, running the network if the hints are new. */
function refresh() {
  const photo = current;
  viewer.waiting = true;
  arrange();
  present();
  viewer.redraw();
  return attempt(() => predicting.ask(async () => {
    if (photo !== current) return;
    clearTimeout(busyTimer);
    busyTimer = setTimeout(() => { $("busy").hidden = false; }, 150);
    try {
      let refused = null;
      const found = await photo.predict(photo.work.hints).catch((error) => {
        if (!error.unusable) throw error;
        refused = error;
        return photo.info.prediction;
      });
      if (photo !== current) return;
      if (refused) warn(`${refused.message} ${photo.name} is shown without its hints; remove or move them.`);
      prediction = found;
      viewer.waiting = predicting.pending;
      present();
      overlay();
    } finally {
      clearTimeout(busyTimer);
      $("busy").hidden = true;
      viewer.redraw();
    }
  }));
}

/** Asks for the pictures of the prediction that is there. */
function present() {
  if (!current || current.state !== "ready" || prediction === null) return;
  const { photo, preview } = current.info;
  const most = Math.max(preview.width, preview.height);
  const [shown, work] = [prediction, live ?? current.work];
  // Of a color photo only the lightness was used, so that is what its colors are compared with.
  const gray = current.info.color && !original;
  const plain = { ...START, saturation: 0 };
  viewer.before.set({
    photo: current.key, key: gray ? `${photo}/gray` : photo, live: false, most,
    whole: (size) => (gray
      ? service.previewAt(photo, current.info.prediction, plain, size) : service.originalAt(photo, size)),
    tile: (tile) => (gray
      ? service.tileAt(photo, current.info.prediction, plain, tile) : service.originalTileAt(photo, tile)),
  });
  viewer.after.set({
    photo: current.key, key: [photo, shown, ...Object.values(service.look(work))].join("/"),
    live: live !== null, most,
    whole: (size) => service.previewAt(photo, shown, work, size),
    tile: (tile) => service.tileAt(photo, shown, work, tile),
  });
  if (live === null) colorings.show(photo, shown, work);
  viewer.redraw();
}

// The first colors come in like a tide.
viewer.after.arrived = (first) => {
  if (first && current.fresh && viewer.comparing) viewer.sweep(0.5, 1, 1100);
  if (first && current.fresh) announce(`${current.name} is colored.`);
  current.fresh = false;
  if (live !== null) return;
  current.thumb = shrunk(viewer.after.whole, 160).toDataURL("image/jpeg", 0.8);
  current.colored = true;
  tray.show(photos, current);
  keep();
};

/** Brings all but the pictures up to date; the keyboard keeps its place, or gets the photo. */
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
  (element ?? (current ? viewer.canvas : $("choose"))).focus({ preventScroll: true });
}

function showAll() {
  const work = current?.work;
  const ready = current?.state === "ready";
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
  tray.show(photos, current);
  divide();
  card();
  if (!current) {
    markers.suggest([]);
    return markers.show([], null);
  }
  if (live === null || settings.held) settings.show(work);
  if (chosen?.hint && !work.hints.some(({ id }) => id === chosen.hint)) choose(null);
  markers.show(ready ? work.hints : [], chosen?.hint ?? null);
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
  if (info) more.textContent = ` · ${info.width} × ${info.height}${info.bits > 8 ? ` · ${info.bits} bit` : ""}`;
  return [name, more];
}

/** What is said over the photo while it is not colored yet. */
function card() {
  const box = $("progress");
  box.hidden = !current || current.state === "ready";
  if (box.hidden) return;
  const { state, sent, error, name } = current;
  const bar = box.querySelector("progress");
  const words = box.querySelector("p");
  const said = {
    waiting: "Opening…",
    sending: sent > 0 ? `Reading ${name}, ${Math.round(100 * sent)} %` : `Reading ${name}…`,
    coloring: "Coloring…",
    failed: `${name}: ${error}`,
  }[state];
  if (words.textContent !== said) words.textContent = said;
  bar.hidden = state === "failed";
  if (state === "sending") bar.value = sent;
  else bar.removeAttribute("value");
  box.querySelector(".group").hidden = state !== "failed";
  $("again").hidden = current.hopeless;
  box.dataset.state = state;
}

$("again").addEventListener("click", () => turnTo(current));
$("away-with-it").addEventListener("click", () => attempt(() => remove(current)));

// --- decisions ------------------------------------------------------------------------------------

/** A step that can be undone. */
function decide(change, words) {
  live = null;
  current.history.push({ ...current.work, ...change });
  if (words) announce(words);
  refresh();
  keep();
}

function step(way) {
  if (!current) return;
  const before = current.history.at;
  current.history[way]();
  if (current.history.at === before) return;
  live = null;
  announce(way === "undo" ? "Undone." : "Redone.");
  refresh();
  if (chosen) look();
  keep();
}

settings.addEventListener("live", ({ detail }) => {
  live = { ...current.work, ...detail };
  present();
});
settings.addEventListener("set", ({ detail }) => {
  const { temperature, saturation } = current.work;
  if (detail.temperature === temperature && detail.saturation === saturation) {
    live = null;
    return refresh();
  }
  decide(detail);
});
colorings.addEventListener("choose", ({ detail: { candidate } }) => {
  if (candidate !== current.work.candidate) decide({ candidate });
});
colorings.addEventListener("others", () => {
  decide({ seed: current.work.seed + 1, candidate: null }, "Four other colorings.");
});
$("undo").addEventListener("click", () => step("undo"));
$("redo").addEventListener("click", () => step("redo"));

// --- a spot ---------------------------------------------------------------------------------------

const looking = new Latest();

/** Looks at a spot of the photo, {x, y, hint}, or at none. */
function choose(place, byKey = false) {
  chosen = place;
  markers.showChosen(place && !place.hint ? place : null);
  if (current && current.state === "ready") markers.show(current.work.hints, place?.hint ?? null);
  if (!place) return spot.clear();
  viewer.uncover(place);
  show("spot");
  look(byKey).then(reveal);
}

const reveal = () => $("spot").scrollIntoView({ block: "nearest" });

/** Asks for the colors of the chosen spot. */
function look(byKey = false) {
  const [photo, place] = [current, chosen];
  const hints = photo.work.hints.filter(({ id }) => id !== place.hint);
  const hint = photo.work.hints.find(({ id }) => id === place.hint) ?? null;
  const shown = JSON.stringify([place.x, place.y, hints]);
  if (place.shown === shown) return Promise.resolve(spot.show(place.palette, hint));
  spot.await();
  return attempt(() => looking.ask(async () => {
    if (place !== chosen) return;
    // Without the hint that is here, for with it there would be no other colors left to choose.
    const palette = await photo.with(async () => {
      const base = await photo.predict(hints);
      return service.palette(photo.info.photo, base, photo.work, place);
    }).catch((error) => {
      // The colors that are still there are those of another spot.
      if (place === chosen) choose(null);
      throw error;
    });
    if (place !== chosen) return;
    Object.assign(place, { palette, shown });
    spot.show(palette, photo.work.hints.find(({ id }) => id === place.hint) ?? null);
    if (byKey) spot.focus();
    const likely = palette.colors[0];
    announce(likely ? `${palette.colors.length} likely colors.` : "No likely colors.");
  }));
}

viewer.addEventListener("spot", ({ detail: { x, y, byKey } }) => {
  if (current?.state === "ready") choose({ x, y, hint: null }, byKey);
});
markers.addEventListener("suggestion", ({ detail: { x, y, byKey } }) => {
  if (current?.state === "ready") choose({ x, y, hint: null }, byKey);
});
markers.addEventListener("select", ({ detail: { id, byKey } }) => {
  const hint = hintOf(id);
  if (hint) choose({ x: hint.x, y: hint.y, hint: id }, byKey);
});
markers.addEventListener("move", ({ detail: { id, x, y } }) => {
  if (!hintOf(id)) return;
  decide({ hints: current.work.hints.map((hint) => (hint.id === id ? { ...hint, x, y } : hint)) }, "Hint moved.");
  choose({ x, y, hint: id });
});
markers.addEventListener("delete", ({ detail: { id } }) => hintOf(id) && removeHint(id));

/** The hint of that name, if the photo on the desk has it and can be worked on. */
const hintOf = (id) => (current?.state === "ready" ? current.work.hints.find((hint) => hint.id === id) : undefined);

spot.addEventListener("color", ({ detail: { color, gray } }) => {
  if (!chosen) return;
  const { hints } = current.work;
  if (chosen.hint) {
    const recolored = hints.map((hint) => (hint.id === chosen.hint ? { ...hint, color, gray } : hint));
    decide({ hints: recolored }, "Hint recolored.");
  } else {
    if (hints.length >= (limits.hints ?? Infinity)) {
      return warn(`A photo takes ${limits.hints} hints at most. Remove one first.`);
    }
    chosen.hint = newId();
    markers.showChosen(null);
    const { candidate } = current.work;
    const words = candidate === null ? "Hint set." : `Hint set; coloring ${candidate + 1} follows it.`;
    decide({ hints: [...hints, { id: chosen.hint, x: chosen.x, y: chosen.y, color, gray }] }, words);
  }
  viewer.uncover(chosen);
  look().then(reveal);
});
spot.addEventListener("delete", () => removeHint(chosen.hint));
spot.addEventListener("leave", () => leave());
spot.addEventListener("words", ({ detail: { words } }) => announce(words));

function removeHint(id) {
  const inside = $("spot").contains(document.activeElement);
  if (chosen?.hint === id) choose(null);
  decide({ hints: current.work.hints.filter((hint) => hint.id !== id) }, "Hint removed.");
  if (inside) viewer.canvas.focus({ preventScroll: true });
}

function leave() {
  const inside = $("spot").contains(document.activeElement);
  choose(null);
  if (inside) viewer.canvas.focus({ preventScroll: true });
}

// --- where it is unsure ---------------------------------------------------------------------------

const weighing = new Latest();

function setUnsure(on) {
  unsure = untold = on;
  $("unsure").setAttribute("aria-pressed", String(on));
  divide();
  overlay();
}

/** Dims what the model is sure of, and numbers the spots where a click helps most. */
function overlay() {
  if (!unsure || current?.state !== "ready" || prediction === null) {
    viewer.veil = null;
    markers.suggest([]);
    return viewer.redraw();
  }
  const [photo, shown] = [current, prediction];
  return attempt(() => weighing.ask(async () => {
    const [map, { spots }] = await photo.with(async () => {
      const base = await photo.predict(photo.work.hints);
      return Promise.all([
        service.uncertainty(photo.info.photo, base), service.spots(photo.info.photo, base),
      ]);
    });
    const bits = await createImageBitmap(map);
    const picture = veil(bits);
    bits.close();
    if (photo !== current || photo.state !== "ready" || shown !== prediction || !unsure) return;
    viewer.veil = picture;
    viewer.redraw();
    markers.suggest(spots);
    // They follow each hint, whose own news are worth more.
    if (untold) announce(`${spots.length} spots where a click helps most.`);
    untold = false;
  }));
}

/** Black over what is sure, nothing over what is not; from a picture whose gray is the entropy. */
function veil(map) {
  const canvas = shrunk(map, Math.max(map.width, map.height));
  const context = canvas.getContext("2d");
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  const sorted = image.data.filter((_, index) => index % 4 === 0).sort();
  const [low, high] = [0.1, 0.9].map((share) => sorted[Math.floor(share * (sorted.length - 1))]);
  for (let i = 0; i < image.data.length; i += 4) {
    const t = Math.min(Math.max((image.data[i] - low) / Math.max(high - low, 8), 0), 1);
    image.data[i] = image.data[i + 1] = image.data[i + 2] = 0;
    image.data[i + 3] = Math.round(255 * 0.78 * (1 - t));
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// --- the tools under the photo --------------------------------------------------------------------

/** The divider is there when it is wanted and nothing else lies over the photo. */
function divide() {
  $("compare").setAttribute("aria-pressed", String(comparing && !unsure));
  viewer.setComparing(comparing && !unsure);
  $("legend").hidden = !(unsure && current?.state === "ready");
  $("original").hidden = !(comparing && !unsure && current?.info?.color);
  $("original").setAttribute("aria-pressed", String(original));
}

function setComparing(on) {
  if (unsure) setUnsure(false);
  comparing = on;
  divide();
  keep();
}

$("compare").addEventListener("click", () => setComparing($("compare").getAttribute("aria-pressed") !== "true"));
$("original").addEventListener("click", () => {
  original = !original;
  divide();
  present();
});
$("unsure").addEventListener("click", () => setUnsure(!unsure));
$("help-unsure").addEventListener("click", () => setUnsure(true));
$("zoom-in").addEventListener("click", () => viewer.zoom(1.5));
$("zoom-out").addEventListener("click", () => viewer.zoom(1 / 1.5));
$("zoom").addEventListener("click", () => (viewer.fitted ? viewer.actual() : viewer.fit()));
viewer.addEventListener("view", () => {
  const percent = 100 * viewer.scale * viewer.density;
  $("zoom").querySelector("output").value = `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
});
viewer.addEventListener("mark", () => {
  const { x, y } = viewer.mark;
  const { width, height } = viewer.photo;
  const words = `${Math.round(100 * x / width)} % across, ${Math.round(100 * y / height)} % down`;
  $("readout").textContent = words;
  announce(words);
});
viewer.addEventListener("divided", () => keep());

// --- files in and out -----------------------------------------------------------------------------

let line = Promise.resolve(); // photos are sent one after the other
let restored = Promise.resolve(); // what was kept is back in the tray

/** Opens files; `refused` is what is told of others that came with them. */
async function openFiles(files, refused = []) {
  let first = null;
  calm();
  await restored;
  for (const file of files) {
    const called = session.shown(file.name) || "photo";
    try {
      const { name, work, file: photo, changed: settled } = await session.isSession(file)
        ? await session.read(file) : { name: called, file };
      if (photo.size === 0) throw new Error(`${name}: the file is empty. Choose another.`);
      if (settled) refused.push(`${called} has settings or hints that cannot be; the nearest that can are taken.`);
      if (limits.bytes && photo.size > limits.bytes) {
        const mega = (bytes) => `${Number((bytes / 1e6).toPrecision(3))} MB`;
        throw new Error(`${name} has ${mega(photo.size)}; at most ${mega(limits.bytes)} are taken. Make it smaller, `
          + "or color it with photochrom colorize.");
      }
      const added = new Photo(name, { work, file: photo });
      added.fresh = true;
      if (limits.hints) added.limit(limits.hints);
      follow(added);
      photos = [...photos, added];
      const saved = added.save();
      first ??= added;
      if (first === added) turnTo(added);
      else tray.show(photos, current);
      sendInLine(added);
      await saved;
      if (added.refused) {
        refused.push(`${name} is too large for this browser to keep over a reload; all else works.`);
      }
    } catch (error) {
      refused.push(error instanceof DOMException // the browser's own words, in its own terms
        ? `${called} cannot be read. Look whether it is a photo, is still there and may be read.` : error.message);
    }
  }
  if (refused.length) warn(refused.join(" "));
}

/** Opens files, and the photos in folders. */
async function openDropped(files, folders) {
  if (!folders.length) return openFiles(files);
  const names = folders.map(({ name }) => `“${session.shown(name)}”`).join(", ");
  const most = limits.photos ?? 100;
  const refused = [];
  const inside = await photosIn(folders, extensions, most).catch(() => null);
  if (inside === null) refused.push(`${names} cannot be read; open it, and drop the photos in it.`);
  else if (inside.more) refused.push(`There is more in ${names} than is opened at once: ${most} photos.`);
  else if (!inside.files.length) refused.push(`There is no photo in ${names}.`);
  return openFiles([...files, ...inside?.files ?? []], refused);
}

/** Has a photo sent when those before it are there. */
function sendInLine(photo) {
  line = line.then(async () => {
    await away;
    if (!photos.includes(photo)) return;
    if (!photo.thumb) await local(photo);
    await photo.open().catch(() => {}); // its own card tells
  });
}

/**
 * Has those sent that came lately and were never seen in color, as many as the service keeps. Others
 * wait until they are looked at, and so do those that it refused or that it went away with.
 */
function fetchColors(some) {
  const lately = ({ used }) => Date.now() - used < 24 * 3600e3;
  const missing = some.filter((photo) => !photo.colored && !photo.hopeless && photo.lost < 2 && lately(photo));
  for (const photo of missing.slice(-(limits.photos ?? 100))) sendInLine(photo);
}

function follow(photo) {
  photo.addEventListener("change", () => changed(photo));
  photo.addEventListener("taken", ({ detail: { apart } }) => taken(photo, apart));
}

function changed(photo) {
  // It had to be sent again: what is shown of it has another name now.
  if (photo === current && photo.state === "ready" && named !== photo.info.photo) {
    prediction = null;
    if (named !== null) refresh();
    named = photo.info.photo;
  }
  if (photo.state === "ready" && photo.left) {
    warn(`${photo.name}: ${photo.left} ${photo.left === 1 ? "hint was" : "hints were"} left out: outside the photo, or too many.`);
    photo.left = 0;
  }
  if (photo === current) {
    arrange();
    if (unsure && !viewer.veil) overlay();
  } else tray.show(photos, current);
  if (photo.state === "ready" && photo !== current && !photo.colored) depict(photo);
  if (photo.state === "ready" || photo.state === "failed") keep();
}

/** A thumbnail in color of a photo that is not on the desk. */
async function depict(photo) {
  try {
    const base = await photo.predict(photo.work.hints);
    const picture = await createImageBitmap(
      await service.blob(service.previewAt(photo.info.photo, base, photo.work, 160)),
    );
    if (!photo.colored) {
      photo.thumb = shrunk(picture, 160).toDataURL("image/jpeg", 0.8);
      photo.colored = true;
    }
    picture.close();
    tray.show(photos, current);
    keep();
  } catch {
    // The gray one will do until the photo is looked at.
  }
}

function offer(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const stem = (name) => name.replace(/\.[^.]{1,5}$/, "") || "photo";

async function download(format) {
  const [photo, work] = [current, current.work];
  const button = $("download");
  const words = button.querySelector("span");
  button.setAttribute("aria-busy", "true");
  words.textContent = "Rendering…";
  await attempt(async () => {
    const blob = await photo.with(async () => {
      const base = await photo.predict(work.hints);
      return service.download(photo.info.photo, base, work, format);
    });
    offer(blob, `${stem(photo.name)}.color.${format ?? photo.info.extension.replace(/^\./, "")}`);
    announce("Downloaded.");
  });
  button.removeAttribute("aria-busy");
  words.textContent = "Download";
}

async function saveSession() {
  const photo = current;
  const file = await photo.file();
  if (!file) return warn(`${photo.name} is not kept here any more. Open it again from your disk.`);
  offer(await session.write(photo.name, file, photo.work), stem(photo.name) + session.EXTENSION);
  announce("Session saved.");
}

$("download").addEventListener("click", () => {
  if (!$("download").hasAttribute("aria-busy")) download();
});
$("save-session").addEventListener("click", () => attempt(saveSession));
for (const id of ["choose", "open"]) $(id).addEventListener("click", () => $("file").click());
tray.addEventListener("add", () => $("file").click());
tray.addEventListener("choose", ({ detail: { photo } }) => turnTo(photo));
$("file").addEventListener("change", () => {
  openFiles([...$("file").files]);
  $("file").value = "";
});

let entered = 0; // elements under the dragged file: leaving one may be entering another
const carries = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragenter", (event) => {
  if (!carries(event)) return;
  entered++;
  $("drop").hidden = false;
});
document.addEventListener("dragleave", (event) => {
  if (carries(event) && --entered <= 0) $("drop").hidden = true;
});
document.addEventListener("dragover", (event) => {
  if (carries(event)) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  entered = 0;
  $("drop").hidden = true;
  const files = [];
  const folders = [];
  // All at once: the items are gone when this event is.
  for (const item of event.dataTransfer.items) {
    const entry = item.webkitGetAsEntry?.();
    if (entry?.isDirectory) folders.push(entry);
    else if (item.kind === "file") files.push(item.getAsFile());
  }
  openDropped(files, folders);
});
document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (files.length) openFiles(files);
});

// --- leaving --------------------------------------------------------------------------------------

async function removePhoto() {
  const sure = await confirmed("Remove this photo?",
    `${current.name} and its hints go from this page. The file on your disk stays as it is.`, "Remove");
  if (sure) await remove(current);
}

async function remove(photo) {
  const at = photos.indexOf(photo);
  photos = photos.filter((other) => other !== photo);
  await photo.forget();
  if (photo !== current) return arrange();
  const next = photos[Math.min(at, photos.length - 1)];
  if (!next) return toNothing();
  turnTo(next);
  toFocus();
}

async function clearAll() {
  const sure = await confirmed("Clear all?",
    "All photos and hints go from this page, this browser and the running program. "
    + "The files on your disk stay as they are.", "Clear all");
  if (!sure) return;
  const gone = photos;
  photos = [];
  toNothing();
  // Those of other tabs as well, also of tabs that are closed.
  const elsewhere = (await shelf.photos()).filter(({ info }) => info);
  await Promise.all([
    ...gone.map((photo) => photo.forget()),
    ...elsewhere.map(({ info }) => service.forget(info.photo).catch(() => {})),
  ]);
  await shelf.clear();
  announce("All is cleared.");
}

function toNothing() {
  current = null;
  prediction = live = null;
  choose(null);
  colorings.clear();
  setUnsure(false);
  viewer.close();
  arrange();
  keep();
  welcome();
  toFocus();
}

$("remove").addEventListener("click", () => attempt(removePhoto));
$("clear").addEventListener("click", () => attempt(clearAll));
$("keys").addEventListener("click", () => $("shortcuts").showModal());
for (const menu of document.querySelectorAll(".menu")) {
  menu.addEventListener("click", (event) => event.target.closest("button") && menu.hidePopover());
}

// --- keyboard, tabs -------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  const modified = event.ctrlKey || event.metaKey;
  if (document.querySelector("dialog[open]")) return;
  if (modified && !event.altKey && event.key.toLowerCase() === "z") step(event.shiftKey ? "redo" : "undo");
  else if (modified && !event.altKey && event.key.toLowerCase() === "y") step("redo");
  else if (event.key === "Escape" && chosen && !document.querySelector(":popover-open")) leave();
  else return;
  event.preventDefault();
});
// Letters alone count on the photo only: elsewhere they may belong to a screen reader.
viewer.canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.key.toLowerCase() === "c") setComparing(!(comparing && !unsure));
  else if (event.key.toLowerCase() === "u") setUnsure(!unsure);
});

/** Where there is room for one sheet only, this one. */
function show(tab) {
  document.body.dataset.tab = tab;
  for (const button of $("tabs").children) {
    button.setAttribute("aria-pressed", String(button.dataset.tab === tab));
  }
}

for (const button of $("tabs").children) {
  button.addEventListener("click", () => show(button.dataset.tab));
}

// --- what is kept over a reload -------------------------------------------------------------------

let full = false; // whether it was said that this browser has no room

async function keep() {
  if (photos.length === 0) return shelf.keepDesk({});
  shelf.keepDesk({ current: current?.key, comparing, share: viewer.share, tab: document.body.dataset.tab });
  const kept = await Promise.all(photos.map((photo) => photo.save()));
  if (full || kept.every(Boolean)) return undefined;
  full = true;
  return warn("This browser has no room left to keep your work over a reload. Save sessions, or remove photos.");
}

/** Another tab has put photos away; the service may know one by another name from here. */
function dropped(whether) {
  const gone = photos.filter(({ key }) => whether(key));
  if (!gone.length) return;
  for (const photo of gone) photo.leave();
  photos = photos.filter((photo) => !gone.includes(photo));
  if (!gone.includes(current)) arrange();
  else if (photos.length) turnTo(photos[0]);
  else toNothing();
}

shelf.listen(dropped, (key) => photos.find((photo) => photo.key === key)?.catchUp());

/** What another tab has decided about a photo that is here as well. */
function taken(photo, apart) {
  if (apart) warn(`${photo.name} was changed in another tab as well. Undo leads to what was done there.`);
  if (photo === current) {
    live = settings.held ? { ...current.work, ...settings.held } : null;
    announce(`${photo.name} was changed in another tab.`);
    if (photo.state === "ready") refresh();
    else arrange();
    if (chosen) look();
  } else if (photo.state === "ready") {
    photo.colored = false; // its thumbnail is, but not with these hints
    depict(photo);
  }
  if (apart) keep();
}

async function welcome() {
  const list = $("examples").querySelector("ul");
  if (list.children.length) return;
  const found = await service.examples().catch(() => []);
  list.replaceChildren(...found.map((example) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const image = new Image();
    image.alt = "";
    image.src = example.url;
    const words = document.createElement("span");
    words.textContent = example.title;
    button.append(image, words);
    button.addEventListener("click", () => attempt(async () => {
      openFiles([new File([await service.blob(example.url)], `${example.title}.jpg`)]);
    }));
    item.append(button);
    return item;
  }));
  $("examples").hidden = found.length === 0;
}

const FORMATS = [
  ["jpg", "JPEG", "small, for sharing"], ["png", "PNG", "without loss"],
  ["tif", "TIFF", "without loss, for archives"], ["webp", "WebP", "smaller"],
  ["avif", "AVIF", "smallest"],
];

function listFormats(extensions) {
  const offered = FORMATS.filter(([extension]) => extensions.includes(`.${extension}`));
  $("formats").replaceChildren(...offered.map(([extension, name, use]) => {
    const button = document.createElement("button");
    button.type = "button";
    const words = document.createElement("span");
    const small = document.createElement("small");
    small.textContent = use;
    words.append(name, small);
    button.append(words);
    button.addEventListener("click", () => download(extension));
    return button;
  }));
}

async function begin() {
  if (!["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)) {
    $("where").textContent = "It goes to the computer that runs photochrom, and no further.";
  }
  const saved = shelf.desk();
  restored = shelf.photos().then((kept) => { photos = kept.map((one) => Photo.from(one)); });
  await restored;
  for (const photo of photos) follow(photo);
  comparing = saved.comparing !== false;
  divide();
  viewer.setShare(typeof saved.share === "number" ? saved.share : 0.5);
  if (saved.tab) show(saved.tab);
  const last = photos.find(({ key }) => key === saved.current) ?? photos[0];
  if (last) turnTo(last);
  else {
    arrange();
    welcome();
  }
  await attempt(async () => {
    const told = await service.info();
    limits = told.limits;
    extensions = [...told.formats, ".heic", ".heif", session.EXTENSION];
    listFormats(told.formats);
  });
  fetchColors(photos);
}

begin();
