// What this browser keeps, so that a reload loses nothing: the files in IndexedDB, for the service
// may have forgotten them, and the decisions in localStorage. `clear` leaves nothing of either.

const NAME = "photochrom-studio";

let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("files");
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

async function transact(mode, act) {
  const db = await database();
  return new Promise((resolve, reject) => {
    const transaction = db.transaction("files", mode);
    const request = act(transaction.objectStore("files"));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

/** Whether the file is kept: there may be no room, or a private window without any. */
export const keepFile = (key, file) =>
  transact("readwrite", (files) => files.put(file, key)).then(() => true, () => false);
export const fileOf = (key) =>
  transact("readonly", (files) => files.get(key)).catch(() => undefined);
export const dropFile = (key) =>
  transact("readwrite", (files) => files.delete(key)).catch(() => undefined);
export const keptKeys = () =>
  transact("readonly", (files) => files.getAllKeys()).catch(() => []);

/** Whether the state is kept. */
export function keepState(state) {
  try {
    localStorage.setItem(NAME, JSON.stringify(state));
    return true;
  } catch {
    return false;
  }
}

export function state() {
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
  const db = await database().catch(() => null);
  db?.close();
  opened = undefined;
  await new Promise((resolve) => {
    const request = indexedDB.deleteDatabase(NAME);
    request.onsuccess = request.onerror = request.onblocked = resolve;
  });
}
