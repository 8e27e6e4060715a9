// What this browser keeps, so that a reload loses nothing: in IndexedDB one record and one file a
// photo, for the service may have forgotten them; in localStorage how the desk is arranged. Other
// tabs keep theirs beside, and hear what becomes of the photos that they have too: each record has
// an edition, and nobody writes over one that it has not seen.

const NAME = "photochrom-studio";
const AGE = 30 * 24 * 3600e3; // milliseconds for which a photo that nobody looks at is kept

const others = new BroadcastChannel(NAME);
let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 2);
    request.onupgradeneeded = () => {
      // Version 1 was never released: there is nothing of it to carry over.
      const db = request.result;
      for (const store of db.objectStoreNames) db.deleteObjectStore(store);
      for (const store of ["files", "photos"]) db.createObjectStore(store);
    };
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      // Another page of ours wants to delete it.
      request.result.onversionchange = () => {
        request.result.close();
        opened = undefined;
      };
      resolve(request.result);
    };
  });
  return opened;
}

/** The result of act(files, photos), once it is on the disk. */
async function transact(mode, act) {
  const db = await database();
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(["files", "photos"], mode);
    const request = act(transaction.objectStore("files"), transaction.objectStore("photos"));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

let turn = Promise.resolve();

/** The result of act(), once all that was asked for before it is done. */
export function inTurn(act) {
  turn = turn.then(act, act);
  return turn;
}

const whether = (promise) => promise.then(() => true, () => false);

export const fileOf = (key) => transact("readonly", (files) => files.get(key)).catch(() => undefined);
/** What is kept of a photo, if it is. */
export const photoOf = (key) =>
  transact("readonly", (files, photos) => photos.get(key)).catch(() => undefined);

/**
 * Keeps what is known of a photo, unless another tab has written since the edition that was `seen`;
 * with its file, if one is given, both or neither: there may be no room, or a private window without
 * any. Resolves to {kept, newer: the record that the other tab wrote, or null}.
 */
export async function keepPhoto(key, record, seen, file = null) {
  let newer = null;
  const kept = await whether(transact("readwrite", (files, photos) => {
    const there = photos.get(key);
    there.onsuccess = () => {
      const { result } = there;
      if (result && result.edition !== seen) newer = result;
      else {
        try {
          photos.put(record, key);
          if (file) files.put(file, key);
        } catch {
          there.transaction.abort();
        }
      }
    };
    return there;
  }));
  return { kept: kept && newer === null, newer };
}

/** Tells other tabs that this one has written another history of a photo. */
export const tell = (key) => others.postMessage({ kept: key });

/** Forgets photos here, and has other tabs put them away. */
export async function drop(keys) {
  await transact("readwrite", (files, photos) => {
    for (const key of keys) {
      files.delete(key);
      photos.delete(key);
    }
    return photos.count();
  }).catch(() => undefined);
  others.postMessage({ dropped: keys });
}

/**
 * The facts about the photos that are kept, the oldest first. Files without facts are removed, all in
 * one step: another tab may be adding a file and its facts at this moment.
 */
export async function photos() {
  const found = await transact("readwrite", (files, photos) => {
    const all = photos.getAll();
    const known = photos.getAllKeys();
    const stored = files.getAllKeys();
    stored.onsuccess = () => {
      const keys = new Set(known.result);
      for (const key of stored.result) if (!keys.has(key)) files.delete(key);
    };
    return all;
  }).catch(() => []);
  const old = found.filter(({ used }) => !(Date.now() - used < AGE)).map(({ key }) => key);
  if (old.length) await drop(old);
  return found.filter(({ key }) => !old.includes(key)).sort((one, other) => one.added - other.added);
}

/**
 * Calls dropped(whether) when another tab has dropped the photos for whose key that is true, kept(key)
 * when it has changed one.
 */
export function listen(dropped, kept) {
  others.onmessage = ({ data }) => {
    if (data.cleared) dropped(() => true); // also those for which there was no room here
    else if (data.dropped) dropped((key) => data.dropped.includes(key));
    else kept(data.kept);
  };
}

/** How the desk is arranged; nothing is lost where it cannot be kept. */
export function keepDesk(desk) {
  try {
    localStorage.setItem(NAME, JSON.stringify(desk));
  } catch {
    // Full, or refused to this page.
  }
}

export function desk() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? {};
  } catch {
    return {};
  }
}

export async function clear() {
  try {
    localStorage.removeItem(NAME);
  } catch {
    // Refused to this page: then nothing was ever kept.
  }
  await transact("readwrite", (files, photos) => {
    files.clear();
    return photos.clear();
  }).catch(() => undefined);
  others.postMessage({ cleared: true });
  const db = await database().catch(() => null);
  db?.close();
  opened = undefined;
  await new Promise((resolve) => {
    const request = indexedDB.deleteDatabase(NAME);
    request.onsuccess = request.onerror = request.onblocked = resolve;
  });
}
