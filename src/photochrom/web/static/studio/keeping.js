// What is kept over a reload, and what other tabs do to it.

import { desk } from "./desk.js";
import { Photo } from "./photo.js";
import * as service from "./service.js";
import * as shelf from "./shelf.js";

let full = false; // whether it was said that this browser has no room

/** Puts back what this browser has kept, and follows other tabs; resolves to the photo that was on the desk. */
export async function restore() {
  const { current, comparing, share, tab } = shelf.desk();
  desk.comparing = comparing !== false;
  if (typeof share === "number") desk.share = share;
  if (tab) desk.tab = tab;
  shelf.listen(dropped, (key) => desk.photos.find((photo) => photo.key === key)?.catchUp());
  desk.restored = shelf.photos().then((kept) => desk.putBack(kept.map((one) => Photo.from(one))));
  await desk.restored;
  return desk.photos.find(({ key }) => key === current) ?? desk.photos[0] ?? null;
}

/** Puts all away, here, in this browser and at the service. */
export async function clear() {
  const gone = desk.empty();
  // Those of other tabs as well, also of tabs that are closed.
  const elsewhere = (await shelf.photos()).filter(({ info }) => info);
  await Promise.all([
    ...gone.map((photo) => photo.forget()),
    ...elsewhere.map(({ info }) => service.forget(info.photo).catch(() => {})),
  ]);
  await shelf.clear();
  desk.announce("All photos and hints have been cleared.");
}

desk.addEventListener("keep", async () => {
  const { photos, current, comparing, share, tab } = desk;
  shelf.keepDesk(photos.length ? { current: current?.key, comparing, share, tab } : {});
  const kept = await Promise.all(photos.map((photo) => photo.save()));
  if (full || kept.every(Boolean)) return;
  full = true;
  desk.warn("This browser is out of storage, so a reload would lose your latest work. Save a session, or remove photos.");
});

/** Another tab has put photos away; the service may know one by another name from here. */
function dropped(whether) {
  const gone = desk.photos.filter(({ key }) => whether(key));
  for (const photo of gone) photo.leave();
  if (gone.length) desk.lose(gone);
}

/** What another tab has decided about a photo that is here as well. */
desk.addEventListener("taken", ({ detail: { photo, apart } }) => {
  if (apart) desk.warn(`${photo.name} was also changed in another tab. To get that version, use Undo.`);
  if (photo === desk.current) desk.announce(`${photo.name} was changed in another tab.`);
  desk.takeOver(photo);
  if (apart) desk.keep();
});
