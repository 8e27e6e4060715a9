// The service of the studio in the visitor's browser: the same questions and answers as those of the server
// (docs/studio-api.md), as messages instead of HTTP. Everything is computed here, one question at a time.

import { PLAIN, TILE, VIEW, Work, baseOf } from "./darkroom.js";
import { CANDIDATES, TEMPERATURE } from "./distribution.js";
import { FORMATS, LIMITS, open, pictureOf, save } from "./files.js";
import { MOST_HINTS } from "./hints.js";
import { loadKernel } from "./kernel.js";
import { Network } from "./network.js";
import { Refused } from "./refused.js";
import { even } from "./upsample.js";

const PHOTOS = 30; // that are kept; the least recently used one makes room

const photos = new Map(); // token → {file, frame, work, description}, the longest unused first
let whole = null; // {token, opened}: the one photo whose pixels are all in memory

const here = (path) => new URL(path, import.meta.url);
const told = (of) => postMessage({ loading: of });

/** The bytes of a file of the site; `progress` is told the bytes that have come. */
async function fetched(path, progress) {
  const reply = await fetch(here(path));
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  const parts = [];
  let size = 0;
  for (const reader = reply.body.getReader();;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
    progress(size);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** {network, site}, once all is loaded; an attempt that failed is made again by the next question. */
let ready = null;

async function load() {
  const site = await (await fetch(here("../site.json"))).json();
  const model = await fetched(`../${site.model.file}`, (bytes) => told(bytes / site.model.bytes));
  told(1);
  await loadKernel(await fetched("./kernel.wasm", () => {}));
  const network = await Network.load(model, site.model.info);
  told(null);
  return { network, site };
}

function loaded() {
  ready ??= load().catch((error) => {
    ready = null;
    told(null);
    throw new Refused(503, `the page could not load all of its parts (${error.message})`, "check your connection, then try again");
  });
  return ready;
}

// --- photos -----------------------------------------------------------------------------------------

function photoOf(token) {
  const photo = photos.get(token);
  if (!photo) throw new Refused(410, "the photo made room for others", "send it again");
  photos.delete(token);
  photos.set(token, photo);
  return photo;
}

/** The opened file of a photo, with all of its pixels; only one is kept. */
async function wholeOf(token, file, frame) {
  if (whole?.token !== token) {
    whole = null; // first: both would take twice the memory
    whole = { token, opened: await open(file, frame) };
  }
  return whole.opened;
}

/** The box around what a margin surrounds, in pixels of a photo; null without one. */
function borderOf({ margin, shape: [height, width] }) {
  if (!margin) return null;
  const [top, left, bottom, right] = margin.box;
  const [x, y] = [even(left * width), even(top * height)];
  return { x, y, width: even(right * width) - x, height: even(bottom * height) - y };
}

async function add(file, frame) {
  const { network } = await loaded();
  const token = crypto.randomUUID();
  const { format, pixels, notes } = await wholeOf(token, file, frame);
  const base = baseOf(network, pixels);
  const work = new Work(network, base, async () => (await wholeOf(token, file, frame)).pixels);
  await work.predict([]);
  const description = {
    photo: token, width: pixels.w, height: pixels.h, format: format.name, extension: format.extension,
    bits: 8 * pixels.codes.BYTES_PER_ELEMENT, color: pixels.colored, pages: 1, notes,
    border: borderOf(base), preview: { width: base.view.w, height: base.view.h }, prediction: PLAIN,
  };
  photos.set(token, { file, frame, work, description });
  if (photos.size > PHOTOS) photos.delete(photos.keys().next().value);
  return json(description, 201);
}

function forget(token) {
  if (!photos.delete(token)) throw new Refused(404, "no such photo or prediction");
  if (whole?.token === token) whole = null;
  return { status: 204, body: null };
}

// --- questions --------------------------------------------------------------------------------------

const json = (content, status = 200) => ({ status, body: JSON.stringify(content), type: "application/json" });
const picture = (pixels) => ({ status: 200, body: pictureOf(pixels), type: "image/bmp" });

/** The number in a query, within its bounds; without one, `usual`. */
function number(query, name, usual, low, high) {
  const value = query.has(name) ? Number(query.get(name)) : usual;
  if (value === undefined) throw new Refused(422, `${name}: is missing`);
  if (!(value >= low && value <= high)) throw new Refused(422, `${name}: must be from ${low} to ${high}`);
  return value;
}

const lookOf = (query) => ({
  temperature: number(query, "temperature", TEMPERATURE, 0, 10),
  saturation: number(query, "saturation", 1, 0, 10),
  candidate: query.has("candidate") ? number(query, "candidate", 0, 0, CANDIDATES - 1) : null,
  seed: number(query, "seed", 0, 0, 2 ** 32 - 1),
});
const boxOf = (query) => ({
  ...Object.fromEntries(["x", "y", "width", "height"].map((name) => [name, number(query, name, undefined, 0, 1 << 20)])),
  scale: number(query, "scale", 1, 1, 8),
});
const frameOf = (query) => ({
  turn: number(query, "turn", 0, 0, 270),
  ...Object.fromEntries(["left", "top", "width", "height"].map((name) => [name, query.has(name) ? number(query, name, 0, 0, 1 << 20) : null])),
});
const sizeOf = (query) => number(query, "size", VIEW, 16, 1 << 16);

const OF_PHOTO = {
  original: ({ work }, query) => picture(work.original(sizeOf(query))),
  "original/tile": async ({ work }, query) => picture(await work.originalTile(boxOf(query))),
};

const OF_PREDICTION = {
  preview: async ({ work }, name, query) => picture(await work.preview(name, lookOf(query), sizeOf(query))),
  tile: async ({ work }, name, query) => picture(await work.tile(name, lookOf(query), boxOf(query))),
  candidates: async ({ work }, name, query) =>
    json(await work.candidates(name, number(query, "n", 4, 1, CANDIDATES), number(query, "seed", 0, 0, 2 ** 32 - 1))),
  palette: async ({ work }, name, query) => {
    const [x, y] = ["x", "y"].map((axis) => number(query, axis, undefined, 0, 1 << 20));
    return json(await work.palette(name, lookOf(query), x, y, number(query, "n", 8, 1, 32)));
  },
  uncertainty: async ({ work }, name, query) => picture(await work.uncertainty(name, sizeOf(query))),
  spots: async ({ work }, name, query) => json(await work.spots(name, number(query, "n", 5, 1, 50))),
  download: async ({ file, frame, work, description }, name, query, token) => {
    const { network } = await loaded();
    const extension = query.has("format") ? `.${query.get("format")}` : description.extension;
    const opened = await wholeOf(token, file, frame);
    const { blob, notes } = await save(await work.whole(name, lookOf(query)), opened, extension, network.info.name);
    return { status: 200, body: blob, type: blob.type, headers: { "Photochrom-Notes": JSON.stringify(notes) } };
  },
};

async function info() {
  const { site } = await loaded();
  const { name, arch, version, license, training_data, working_size } = site.model.info;
  return json({
    version: site.version,
    model: { name, arch, version, license, training_data, working_size, hints: true, distribution: true },
    limits: { ...LIMITS, photos: PHOTOS, hints: MOST_HINTS, candidates: CANDIDATES, preview: VIEW, tile: TILE },
    formats: FORMATS,
  });
}

const NOTHING = new Refused(404, "this page has no such part");

async function answer(method, address, body) {
  const { pathname, searchParams: query } = new URL(address, "http://page");
  const [, kind, token, ...rest] = pathname.split("/").filter(Boolean).map(decodeURIComponent);
  if (method === "GET" && kind === "info") return info();
  if (kind !== "photos") throw NOTHING;
  if (token === undefined) return add(body, frameOf(query));
  if (method === "DELETE" && !rest.length) return forget(token);
  const photo = photoOf(token);
  if (!rest.length) return json(photo.description);
  if (rest[0] !== "predictions") {
    const act = OF_PHOTO[rest.join("/")];
    if (!act) throw NOTHING;
    return act(photo, query);
  }
  if (method === "POST") return json({ prediction: await photo.work.predict(JSON.parse(body).hints ?? []) });
  const act = OF_PREDICTION[rest[2]];
  if (!act) throw NOTHING;
  return act(photo, rest[1], query, token);
}

// --- messages ---------------------------------------------------------------------------------------

function refusal(error) {
  if (error instanceof Refused) {
    const { status, problem, remedy } = error;
    return { ...json({ error: error.message, problem, remedy, retry: status >= 500 }, status) };
  }
  console.error(error);
  const full = error instanceof RangeError;
  const [problem, remedy] = full
    ? ["this browser doesn’t have enough memory for this", "close other tabs, or use a smaller photo"]
    : [`something went wrong (${error.message})`, "reload the page and try again"];
  return json({ error: `${problem}; ${remedy}`, problem, remedy, retry: true }, 500);
}

const aborted = new Set(); // questions that nobody waits for any more
let line = Promise.resolve();

onmessage = ({ data: { id, abort, method, address, body } }) => {
  if (abort) return aborted.add(id);
  line = line.then(async () => {
    // So that what was taken back meanwhile is known.
    await new Promise((resolve) => { setTimeout(resolve); });
    if (aborted.delete(id)) return;
    postMessage({ id, ...await answer(method, address, body).catch(refusal) });
  });
  return undefined;
};
