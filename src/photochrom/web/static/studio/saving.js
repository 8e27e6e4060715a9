// Files out: the colored photo, and the session.

import { desk } from "./desk.js";
import { announce, warn } from "./notice.js";
import { $ } from "./parts.js";
import * as service from "./service.js";
import * as session from "./session.js";

const FORMATS = [
  ["jpg", "JPEG", "small, for sharing"], ["png", "PNG", "lossless"],
  ["tif", "TIFF", "lossless, for archives"], ["webp", "WebP", "smaller than JPEG"],
  ["avif", "AVIF", "smallest"],
];

/** Has the browser save a file. */
export function offer(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A name without its extension. */
export const stem = (name) => name.replace(/\.[^.]{1,5}$/, "") || "photo";

/**
 * {blob, name, notes}: the file of a colored photo, and what it cannot hold of the photo.
 *
 * @param {Photo} photo
 * @param {string} [format] an extension; without one, that of the photo's own file
 */
export async function savedAs(photo, format) {
  const { work } = photo;
  const { blob, notes } = await photo.with(async () => {
    const base = await photo.predict(work.hints);
    return service.download(photo.info.photo, base, work, format);
  });
  return { blob, notes, name: `${stem(photo.name)}.color.${format ?? photo.info.extension.replace(/^\./, "")}` };
}

async function download(format) {
  const photo = desk.current;
  const button = $("download");
  const words = button.querySelector("span");
  button.setAttribute("aria-busy", "true");
  words.textContent = "Preparing…";
  await desk.attempt(async () => {
    const { blob, name, notes } = await savedAs(photo, format);
    offer(blob, name);
    announce("Downloaded.");
    if (notes.length) warn(`${photo.name}: ${notes.join(" ")}`);
  });
  button.removeAttribute("aria-busy");
  words.textContent = "Download";
}

async function saveSession() {
  const photo = desk.current;
  const file = await photo.file();
  if (!file) return warn(`${photo.name} is no longer stored in this browser. Open it again from your disk.`);
  offer(await session.write(photo.name, file, photo.work, photo.frame), stem(photo.name) + session.EXTENSION);
  return announce("Session saved.");
}

function listFormats() {
  const offered = FORMATS.filter(([extension]) => desk.formats.includes(`.${extension}`));
  $("formats").replaceChildren(...offered.map(([extension, name, use]) => {
    const small = document.createElement("small");
    small.textContent = use;
    const words = document.createElement("span");
    words.append(name, small);
    const button = document.createElement("button");
    button.type = "button";
    button.append(words);
    button.addEventListener("click", () => download(extension));
    return button;
  }));
}

$("download").addEventListener("click", () => {
  if (!$("download").hasAttribute("aria-busy")) download();
});
$("save-session").addEventListener("click", () => desk.attempt(saveSession));
desk.addEventListener("learn", listFormats);
