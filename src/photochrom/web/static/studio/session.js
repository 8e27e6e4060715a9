// A session as one file: the photo as it came, and what was decided about it. It is a ZIP, but not
// by name: some browsers would unpack it while they save it.

import { pack, unpack } from "./archive.js";
import { checkedFrame } from "./frame.js";
import { checked, details, mended, newId } from "./work.js";

export const EXTENSION = ".photochrom";
const WORDS = "session.json";
const VERSION = 1;
const LONGEST = 255; // characters of a name, as in most file systems

/** The file of a session. */
export function write(name, file, work, frame = null) {
  const { hints, ...settings } = work;
  const kept = hints.map((hint) => ({ x: hint.x, y: hint.y, color: hint.color, gray: hint.gray, ...details(hint) }));
  const content = { photochrom: "session", version: VERSION, photo: name, hints: kept, settings, ...(frame ? { frame } : {}) };
  const words = new Blob([`${JSON.stringify(content, null, 2)}\n`], { type: "application/json" });
  return pack([[WORDS, words], [`photo/${plain(name)}`, file]]);
}

// A name in an archive becomes a path for whoever unpacks it.
const plain = (name) => name.replace(/[^\p{L}\p{N} ._-]/gu, "_").replace(/^\.+/, "") || "photo";

/** A name as far as it can be shown: without what breaks a line or turns its direction, and not endless. */
export const shown = (name) => (typeof name === "string"
  ? [...name.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, "").trim()].slice(0, LONGEST).join("") : "");

/** Whether a file is a ZIP, which no photo is. */
export async function isSession(file) {
  const magic = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  return magic.length === 4 && [0x50, 0x4b, 3, 4].every((byte, i) => byte === magic[i]);
}

/** {name, file, work, frame, changed: whether settings were out of their range} of a session; throws an Error in words. */
export async function read(file) {
  const called = shown(file.name);
  const damaged = () => new Error(`${called} is damaged or was not saved by the studio.`);
  const entries = await unpack(file);
  if (entries === null) throw damaged();
  const words = entries.get(WORDS);
  if (words && !await words.intact()) throw damaged();
  let content;
  try {
    content = JSON.parse(await words.content.text());
  } catch {
    throw new Error(`${called} is a ZIP file, but not a photochrom session. Unpack it, then open the photos from it.`);
  }
  if (content?.photochrom === "session" && content.version > VERSION) {
    throw new Error(`${called} was saved by a newer version of photochrom. Update photochrom to open it.`);
  }
  const [settings, changed] = mended({ ...content?.settings, hints: content?.hints });
  const work = checked(settings);
  const photo = [...entries].find(([name]) => name.startsWith("photo/"));
  if (content?.photochrom !== "session" || work === null || !photo) {
    throw new Error(`${called} is a ZIP file, but not a photochrom session. Unpack it, then open the photos from it.`);
  }
  if (!await photo[1].intact()) throw damaged();
  // Names of hints are this page's own: in a file two may have the same.
  const hints = work.hints.map((hint) => ({ ...hint, id: newId() }));
  const name = shown(content.photo) || shown(photo[0].slice(6)) || "photo";
  return { name, file: photo[1].content, work: Object.freeze({ ...work, hints }), frame: checkedFrame(content.frame), changed };
}
