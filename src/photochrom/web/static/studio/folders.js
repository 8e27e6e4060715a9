// The photos in folders that were dropped, or chosen.

const MOST_LOOKED_AT = 10_000; // files and folders: a link may lead in a circle

const order = (one, other) => one.localeCompare(other, undefined, { numeric: true });
const isPhoto = (name, extensions) => extensions.some((extension) => name.toLowerCase().endsWith(extension));

const asked = (ask) => new Promise((resolve, reject) => { ask(resolve, reject); });

/**
 * The files in folders, as FileSystemDirectoryEntry, and in those inside, whose name ends in one of
 * the `extensions`: {files: the first `most` by their paths, more: whether there may be others}.
 */
export async function photosIn(folders, extensions, most) {
  const found = [];
  const waiting = [...folders];
  let left = MOST_LOOKED_AT;
  while (waiting.length && left > 0) {
    const reader = waiting.shift().createReader();
    // It gives them by the hundred.
    for (let some; left > 0 && (some = await asked((...then) => reader.readEntries(...then))).length;) {
      left -= some.length;
      for (const entry of some) {
        if (entry.name.startsWith(".")) continue; // what is hidden is no photo of a person
        if (entry.isDirectory) waiting.push(entry);
        else if (isPhoto(entry.name, extensions)) found.push(entry);
      }
    }
  }
  found.sort((one, other) => order(one.fullPath, other.fullPath));
  const files = await Promise.all(found.slice(0, most).map((entry) => asked((...then) => entry.file(...then))));
  return { files, more: left <= 0 || found.length > most };
}

/** The same of all files of a folder that was chosen, which name their path themselves. */
export function photosAmong(files, extensions, most) {
  const found = files.filter(({ name, webkitRelativePath: path }) =>
    isPhoto(name, extensions) && !path.split("/").some((part) => part.startsWith(".")));
  found.sort((one, other) => order(one.webkitRelativePath, other.webkitRelativePath));
  return { files: found.slice(0, most), more: found.length > most };
}
