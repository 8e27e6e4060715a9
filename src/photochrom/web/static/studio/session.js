// A session as one file: the photo as it came, and what was decided about it. It is a ZIP, but not
// by name: some browsers would unpack it while they save it.

import { pack, unpack } from "./archive.js";
import { checked, mended, newId } from "./work.js";

export const EXTENSION = ".photochrom";
const WORDS = "session.json";
const VERSION = 1;

/** The file of a session. */
export function write(name, file, work) {
  const { hints, ...settings } = work;
  const kept = hints.map(({ x, y, color, gray }) => ({ x, y, color, gray }));
  const content = { photochrom: "session", version: VERSION, photo: name, hints: kept, settings };
  const words = new Blob([`${JSON.stringify(content, null, 2)}\n`], { type: "application/json" });
  return pack([[WORDS, words], [`photo/${plain(name)}`, file]]);
}

// A name in an archive becomes a path for whoever unpacks it.
const plain = (name) => name.replace(/[^\p{L}\p{N} ._-]/gu, "_").replace(/^\.+/, "") || "photo";

/** Whether a file is a ZIP, which no photo is. */
export async function isSession(file) {
  const magic = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  return magic.length === 4 && [0x50, 0x4b, 3, 4].every((byte, i) => byte === magic[i]);
}

/** {name, file, work, changed: whether settings were out of their range} of a session; throws an Error in words. */
export async function read(file) {
  const entries = await unpack(file);
  if (entries === null) throw new Error(`${file.name} is damaged or was not saved by this page.`);
  let content;
  try {
    content = JSON.parse(await entries.get(WORDS).text());
  } catch {
    throw new Error(`${file.name} is no session of photochrom; unpack it and open the photos in it.`);
  }
  if (content?.photochrom === "session" && content.version > VERSION) {
    throw new Error(`${file.name} was saved by a newer photochrom; update this one to open it.`);
  }
  const [settings, changed] = mended({ ...content?.settings, hints: content?.hints });
  const work = checked(settings);
  const photo = [...entries].find(([name]) => name.startsWith("photo/"));
  if (content?.photochrom !== "session" || work === null || !photo) {
    throw new Error(`${file.name} is no session of photochrom; unpack it and open the photos in it.`);
  }
  // Names of hints are this page's own: in a file two may have the same.
  const hints = work.hints.map((hint) => ({ ...hint, id: newId() }));
  return { name: String(content.photo ?? photo[0].slice(6)), file: photo[1], work: Object.freeze({ ...work, hints }), changed };
}
