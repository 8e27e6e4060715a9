// Photos that the studio was started with, `photochrom studio old.jpg`: they are opened, and what is
// decided about them is also kept beside their files, where `photochrom colorize` follows it.

import { desk } from "./desk.js";
import { warn } from "./notice.js";
import { Photo } from "./photo.js";
import * as service from "./service.js";
import { START, checked } from "./work.js";

const GRAY = 128; // of a hint that keeps its place gray

const places = new Map(); // by photo: {url, told: what the file beside it says, line: what is being sent}

/** Opens them; those that this browser has kept stay as they are, with what their files say as the last step. */
export async function openGiven() {
  const listed = await service.given().catch(() => []); // a service may have none
  const opened = [];
  for (const one of listed) {
    try {
      opened.push(await open(one));
    } catch (error) {
      warn(`${one.name}: ${error.message}`);
    }
    if (one.problem) warn(`${one.problem} Until then, nothing is kept beside the photo.`);
  }
  if (opened.length) desk.turnTo(opened[0]);
}

async function open(one) {
  const hints = one.hints.map((hint) => ({ ...hint, gray: hint.color.every((value) => value === GRAY) }));
  const work = checked({ ...START, ...one.settings, hints });
  let photo = null;
  for (const other of desk.photos) {
    if (other.name === one.name && (await other.file())?.size === one.bytes) photo = other;
  }
  if (photo && work && told(work) !== told(START) && told(work) !== told(photo.work)) photo.history.push(work);
  if (!photo) {
    photo = new Photo(one.name, { work: work ?? START, file: await service.blob(one.url) });
    photo.fresh = true;
    desk.add(photo);
  }
  if (!one.problem) places.set(photo, { url: one.url, told: told(work ?? START), line: Promise.resolve() });
  return photo;
}

/** What differs from the beginning, as the file has it. */
function told({ hints, temperature, saturation, candidate, seed }) {
  const settings = {
    ...(temperature === START.temperature ? {} : { temperature }),
    ...(saturation === START.saturation ? {} : { saturation }),
    ...(candidate === null ? {} : { candidate, seed }),
  };
  return JSON.stringify({ hints: hints.map(({ id, gray, ...hint }) => hint), settings });
}

desk.addEventListener("keep", () => {
  for (const [photo, place] of places) {
    const now = told(photo.work);
    if (now === place.told || photo.frame) continue; // its hints would be places of another picture
    place.told = now;
    place.line = place.line.then(() => service.keepBeside(place.url, now)).catch((error) => warn(error.message));
  }
});
