// The thumbnails of the tray: gray as soon as the browser can read the file, then colored.

import { desk } from "./desk.js";
import { sizeIn } from "./frame.js";
import { framed, shrunk } from "./picture.js";
import * as service from "./service.js";

const SIZE = 160;
const PREVIEW = 1600;

/** Gives a photo a thumbnail of a picture of it. */
export function depict(photo, picture, colored) {
  desk.depicted(photo, shrunk(picture, SIZE).toDataURL("image/jpeg", 0.8), colored);
}

/** The photo in gray, at most 1600 pixels: {canvas, full: {width, height}}, or null; its thumbnail, if it has none. */
export async function grayOf(photo) {
  const file = await photo.file();
  const picture = file && await createImageBitmap(file).catch(() => null);
  if (!picture) return null;
  const full = sizeIn(photo.frame, { width: picture.width, height: picture.height });
  const whole = shrunk(picture, PREVIEW, "grayscale(1)");
  const canvas = photo.frame ? framed(whole, photo.frame) : whole;
  picture.close();
  if (!photo.thumb) depict(photo, canvas, false);
  return { canvas, full };
}

/** A thumbnail in color of a photo that is not on the desk. */
async function color(photo) {
  try {
    const base = await photo.predict(photo.work.hints);
    const address = service.previewAt(photo.info.photo, base, photo.work, SIZE);
    const picture = await createImageBitmap(await service.blob(address));
    if (!photo.colored) depict(photo, picture, true);
    picture.close();
  } catch {
    // The gray one will do until the photo is looked at.
  }
}

desk.addEventListener("pale", ({ detail: { photo } }) => color(photo));
