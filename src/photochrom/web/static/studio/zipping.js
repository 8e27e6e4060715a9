// Many colored photos in one ZIP, one after the other: never more than one of them is in memory where the
// browser can write to a file, and where it cannot, the browser keeps the parts on its disk.

import { Packer } from "./archive.js";

const LARGE = 1e9; // bytes of a ZIP, about, which goes to a file at once where the browser lets it
const BYTES = 1.5; // of a pixel in a file, about

/**
 * Puts photos into a ZIP: {blob, or null where it is in a file already; done: how many; failed: lines}.
 *
 * @param {Photo[]} photos
 * @param {(photo: Photo) => Promise<{blob: Blob, name: string}>} make
 * @param {(done: number) => void} tell
 * @param {AbortSignal} signal
 */
export async function intoZip(photos, make, tell, signal) {
  const sink = await sinkFor(photos);
  const packer = new Packer(sink.write);
  const names = new Set();
  const failed = [];
  try {
    for (const [index, photo] of photos.entries()) {
      try {
        const { blob, name } = await make(photo);
        signal.throwIfAborted();
        await packer.add(single(name, names), blob);
      } catch (error) {
        if (signal.aborted || sink.broken) throw error;
        failed.push(error.message.startsWith(photo.name) ? error.message : `${photo.name}: ${error.message}`);
      }
      tell(index + 1);
    }
    const done = photos.length - failed.length;
    if (!done) throw new Error(failed.join("\n"));
    await packer.end();
    return { blob: await sink.close(), done, failed };
  } catch (error) {
    await sink.abort();
    throw error;
  }
}

/** Where the parts of the ZIP go. */
async function sinkFor(photos) {
  const bytes = photos.reduce((sum, { info }) => sum + (info ? BYTES * info.width * info.height : 0), 0);
  if (bytes < LARGE || !window.showSaveFilePicker) {
    const parts = [];
    return {
      write: (part) => parts.push(part),
      close: () => new Blob(parts, { type: "application/zip" }),
      abort: () => { parts.length = 0; },
    };
  }
  const file = await window.showSaveFilePicker({
    suggestedName: "photos in color.zip",
    types: [{ description: "ZIP", accept: { "application/zip": [".zip"] } }],
  });
  const stream = await file.createWritable();
  const sink = {
    broken: false, // the disk is full, or gone
    write: (part) => stream.write(part).catch((error) => {
      sink.broken = true;
      throw error;
    }),
    close: () => stream.close().then(() => null),
    abort: () => stream.abort().catch(() => {}),
  };
  return sink;
}

/** A name that the ZIP does not have yet. */
function single(name, names) {
  const [, stem, end] = /^(.*?)((?:\.color)?\.[^.]+)?$/.exec(name);
  let free = name;
  for (let number = 2; names.has(free.toLowerCase()); number++) free = `${stem} (${number})${end ?? ""}`;
  names.add(free.toLowerCase());
  return free;
}
