// Files in: chosen, dropped, pasted; read, and sent to the service one after the other.

import { desk } from "./desk.js";
import { photosAmong, photosIn } from "./folders.js";
import { calm, warn } from "./notice.js";
import { $, tray } from "./parts.js";
import { Photo } from "./photo.js";
import { Refusal } from "./refusal.js";
import * as session from "./session.js";
import { grayOf } from "./thumbnails.js";

const MOST = 100; // photos, as long as the service has not said how many it keeps
const LATELY = 24 * 3600e3; // milliseconds

let line = Promise.resolve(); // photos are sent one after the other
let extensions = []; // of the files that can be opened

/** Opens files; `refused` is what is told of others that came with them. */
export async function openFiles(files, refused = []) {
  const batch = { photos: [], shown: null, told: [] };
  calm();
  await desk.restored;
  for (const file of files) {
    const called = session.shown(file.name) || "photo";
    try {
      const { photo, settled } = await read(file, called);
      if (settled) refused.push(`${called} has settings or hints that are out of range; the nearest valid values are used instead.`);
      const saved = desk.add(photo);
      batch.photos.push(photo);
      photo.addEventListener("change", () => passOver(batch));
      if (batch.shown) passOver(batch);
      else desk.turnTo(batch.shown = photo);
      sendInLine(photo);
      await saved;
      if (photo.refused) {
        refused.push(`${photo.name} is too large for this browser to store: after a reload, you’ll have to open it again. Everything else works.`);
      }
    } catch (error) {
      refused.push(error instanceof DOMException // the browser's own words, in its own terms
        ? `${called} can’t be read. Check that it is a photo, that it still exists, and that you have permission to read it.` : error.message);
    }
  }
  if (refused.length) tell(batch, refused.join(" "));
}

function tell(batch, words) {
  batch.told.push(words);
  for (const one of batch.told) warn(one); // what was told before may be gone from the screen
}

/** If the file on the desk turns out not to be a photo, another that came with it takes its place. */
function passOver(batch) {
  const { shown } = batch;
  if (desk.current !== shown || shown.state !== "failed" || !shown.hopeless) return;
  const next = batch.photos.find((photo) => photo.state !== "failed" && desk.photos.includes(photo));
  if (!next) return;
  desk.turnTo(batch.shown = next);
  tell(batch, `${shown.name}: ${shown.error}`);
}

/** {photo, settled: whether its settings had to be mended} of a photo's file or a session's. */
async function read(file, called) {
  const { name, work, frame, file: content, changed: settled } = await session.isSession(file)
    ? await session.read(file) : { name: called, file };
  if (content.size === 0) {
    throw new Refusal({ problem: `${name} is empty.`, remedy: "Choose another file.", retry: false });
  }
  const { bytes } = desk.limits;
  if (bytes && content.size > bytes) {
    throw new Refusal({
      problem: `${name} is ${mega(content.size)}; the limit is ${mega(bytes)}.`,
      remedy: "Make it smaller, or color it from the command line with “photochrom colorize”.",
      retry: false,
    });
  }
  const photo = new Photo(name, { work, frame, file: content });
  photo.fresh = true;
  return { photo, settled };
}

const mega = (bytes) => `${Number((bytes / 1e6).toPrecision(3))} MB`;

const most = () => desk.limits.photos ?? MOST;

/** Opens files, and the photos in folders. */
async function openDropped(files, folders) {
  if (!folders.length) return openFiles(files);
  const inside = await photosIn(folders, extensions, most()).catch(() => null);
  return openFound(files, folders.map(({ name }) => name), inside);
}

/** Opens the photos of a folder that was chosen, given all its files. */
function openChosen(files) {
  if (!files.length) return undefined; // some browsers tell nothing more of an empty folder
  return openFound([], [files[0].webkitRelativePath.split("/")[0]], photosAmong(files, extensions, most()));
}

function openFound(files, folders, inside) {
  const names = folders.map((name) => `“${session.shown(name)}”`).join(", ");
  const refused = [];
  if (inside === null) refused.push(`${names} can’t be read. Open the folder yourself, and drop its photos here instead.`);
  else if (inside.more) refused.push(`${names} contains more photos than can be opened at once. Only the first ${most()} were opened.`);
  else if (!inside.files.length) refused.push(`There are no photos in ${names}.`);
  return openFiles([...files, ...inside?.files ?? []], refused);
}

/** Has a photo sent when those before it are there. */
function sendInLine(photo) {
  line = line.then(async () => {
    await desk.away;
    if (!desk.photos.includes(photo)) return;
    if (!photo.thumb) await grayOf(photo);
    await photo.open().catch(() => {}); // its own card tells
  });
}

/**
 * Has those sent that came lately and were never seen in color, as many as the service keeps. Others
 * wait until they are looked at, and so do those that it refused or that it went away with.
 */
export function fetchColors() {
  const missing = desk.photos.filter(({ colored, hopeless, lost, used }) =>
    !colored && !hopeless && lost < 2 && Date.now() - used < LATELY);
  for (const photo of missing.slice(-(desk.limits.photos ?? MOST))) sendInLine(photo);
}

desk.addEventListener("learn", () => {
  extensions = [...desk.formats, ".heic", ".heif", session.EXTENSION];
});
desk.addEventListener("back", fetchColors);

// --- ways in --------------------------------------------------------------------------------------

for (const id of ["choose", "open"]) $(id).addEventListener("click", () => $("file").click());
tray.addEventListener("add", () => $("file").click());
$("file").addEventListener("change", () => {
  openFiles([...$("file").files]);
  $("file").value = "";
});

for (const id of ["choose-folder", "open-folder"]) $(id).addEventListener("click", () => $("folder").click());
$("folder").addEventListener("change", () => {
  openChosen([...$("folder").files]);
  $("folder").value = "";
});

let entered = 0; // elements under the dragged file: leaving one may be entering another

function onDrag(type, act) {
  document.addEventListener(type, (event) => event.dataTransfer?.types.includes("Files") && act(event));
}
onDrag("dragenter", () => {
  entered++;
  $("drop").hidden = false;
});
onDrag("dragleave", () => {
  if (--entered <= 0) $("drop").hidden = true;
});
onDrag("dragover", (event) => event.preventDefault());
onDrag("drop", (event) => {
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
