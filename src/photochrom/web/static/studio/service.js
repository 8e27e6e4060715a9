// The service under the page: everything that the page knows of a photo comes through here. wire.js
// brings the questions there: to a server, or to a worker. Each refusal arrives as a Refusal. The addresses of
// pictures mean something to `blob` alone; to all others they are names: the same picture, the same name.

import { Refusal } from "./refusal.js";
import * as wire from "./wire.js";
import { details } from "./work.js";

export { KEEPERS, READS, WHERE, can } from "./wire.js";

const BUSY = [429, 503];
const FORGOTTEN = [404, 410];
// The same photo may be taken another time: the rest of 400 to 428 is about the photo itself.
const MAY_PASS = [...FORGOTTEN, 408];
const MOST_TRIES = 6;
const LONGEST_WAIT = 8; // seconds

const REMEDIES = {
  408: "The connection was lost or is too slow. Try again.",
  411: "Reload the page and try again.",
  413: "Make it smaller, or color it from the command line with “photochrom colorize”.",
  415: "Save it as JPEG, PNG or TIFF, and open that.",
  429: "Wait a moment, then try again.",
  503: "Wait a moment, then try again.",
};

/** Dispatches "away" when the service does not answer. */
export const connection = new EventTarget();

/** A refusal by the server, and when it said to come again. */
class Answer extends Refusal {
  constructor(status, told, retryAfter) {
    const kind = FORGOTTEN.includes(status) ? "forgotten" : status === 422 ? "unusable" : null;
    super({ ...told, kind, retry: MAY_PASS.includes(status) || !(status >= 400 && status < 429) });
    this.status = status;
    this.later = retryAfter !== null; // whether it has said when
    this.wait = Math.min(Number(retryAfter) || 0.5, LONGEST_WAIT); // seconds
  }
}

/** {problem, remedy} of what the server says, as sentences. */
function told(status, body) {
  let said = null;
  try {
    said = JSON.parse(body);
  } catch {
    // Not ours, or cut off: the status must do.
  }
  if (!said?.problem) return { problem: `photochrom returned an error (${status}).`, remedy: REMEDIES[status] };
  return { problem: sentence(said.problem), remedy: said.remedy ? sentence(said.remedy) : REMEDIES[status] };
}

/** Words of the server, which are a part of a sentence. */
function sentence(words) {
  const first = words[0].toUpperCase() + words.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

function unreachable() {
  connection.dispatchEvent(new Event("away"));
  return new Refusal({
    problem: "photochrom isn’t responding.",
    remedy: "Check the terminal in which you started it: is it still running?",
    kind: "away",
  });
}

/** A refusal, or that the service is a new one, which this page has no key for. */
const unless = async (why) => (why.status === 403 && await answers() === "restarted" ? unreachable() : why);

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/** The reply, after waiting where the service is busy. */
async function send(path, options) {
  for (let tries = 1; ; tries++) {
    let reply;
    try {
      reply = await wire.ask(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw unreachable();
    }
    if (reply.ok) return reply;
    const why = new Answer(reply.status, told(reply.status, await reply.text()), reply.headers.get("Retry-After"));
    why.photo = photoAt(path);
    if (why.status === 403) throw await unless(why);
    if (!BUSY.includes(why.status) || tries === MOST_TRIES) throw why;
    await pause(why.wait);
  }
}

const read = async (path, options) => (await send(path, options)).json();
const query = (values) => new URLSearchParams(
  Object.entries(values).filter(([, value]) => value !== null && value !== undefined),
).toString();

export const info = () => read("/api/info");
/** The address that other machines open, as a QR code. */
export const addressCode = () => blob("/api/address.svg");
/** Photos that the service was started with: {name, url, bytes, hints, settings, problem} of each. */
export const given = async () => (await read("/api/given")).photos;
/** Keeps what was decided about one of them beside its file; `words` are JSON. */
export const keepBeside = (url, words) => send(`${url}/sidecar`, {
  method: "PUT", headers: { "Content-Type": "application/json" }, body: words,
});
export const examples = async () => (await read("/api/examples")).examples;
export const blob = async (path, signal) => (await send(path, { signal })).blob();

/**
 * Whether the service answers: "yes", "no", or "restarted": it runs, but with another key than this page has.
 * Nobody is told.
 */
export const answers = () => wire.ask("/api/info").then(
  ({ status }) => ({ 200: "yes", 403: "restarted" }[status] ?? "no"), () => "no",
);

/**
 * Sends a photo; resolves to its description. `progress` is told the share that is sent, 0..1; `frame`
 * is how it is turned and cropped.
 */
export async function upload(file, progress, signal, frame = null) {
  const { x: left, y: top, width, height } = frame?.box ?? {};
  const asked = query({ turn: frame?.turn, left, top, width, height });
  const address = `/api/photos${asked && `?${asked}`}`;
  for (let tries = 1; ; tries++) {
    try {
      return await uploadOnce(address, file, progress, signal);
    } catch (why) {
      // A large file is sent again only where the service says when.
      const again = why.status === 429 || (why.status === 503 && why.later);
      if (!again || tries === MOST_TRIES || signal.aborted) throw why;
      await pause(why.wait);
    }
  }
}

async function uploadOnce(address, file, progress, signal) {
  let reply;
  try {
    reply = await wire.send(address, file, progress, signal);
  } catch (error) {
    throw error.name === "AbortError" ? error : unreachable();
  }
  if (reply.ok) return reply.json();
  throw await unless(new Answer(reply.status, told(reply.status, await reply.text()), reply.headers.get("Retry-After")));
}

const at = (photo) => `/api/photos/${encodeURIComponent(photo)}`;
/** The photo that an address is of, or null. */
const photoAt = (path) => {
  const [, name] = /^\/api\/photos\/([^/?]+)/.exec(path) ?? [];
  return name === undefined ? null : decodeURIComponent(name);
};
const under = (photo, prediction) => `${at(photo)}/predictions/${encodeURIComponent(prediction)}`;

/** What decides on a coloring, as the service wants it. */
export function look({ temperature, saturation, candidate, seed }) {
  const chosen = candidate === null ? {} : { candidate, seed };
  return { temperature: temperature.toFixed(4), saturation: saturation.toFixed(3), ...chosen };
}

export const describe = (photo) => read(at(photo));
export const forget = (photo) => send(at(photo), { method: "DELETE" });

/** Runs the network with hints; resolves to the prediction's name. */
export async function predict(photo, hints) {
  const body = { hints: hints.map((hint) => ({ x: hint.x, y: hint.y, color: hint.color, ...details(hint) })) };
  const reply = await read(`${at(photo)}/predictions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return reply.prediction;
}

export const palette = (photo, prediction, work, { x, y }) =>
  read(`${under(photo, prediction)}/palette?${query({ x, y, n: 8, ...look(work) })}`);
export const spots = (photo, prediction) =>
  read(`${under(photo, prediction)}/spots?${query({ n: 5 })}`);
export const uncertainty = (photo, prediction) =>
  blob(`${under(photo, prediction)}/uncertainty?${query({ size: 512 })}`);

export const previewAt = (photo, prediction, work, size) =>
  `${under(photo, prediction)}/preview?${query({ ...look(work), size })}`;
export const tileAt = (photo, prediction, work, tile) =>
  `${under(photo, prediction)}/tile?${query({ ...tile, ...look(work) })}`;
export const originalAt = (photo, size) => `${at(photo)}/original?${query({ size })}`;
export const originalTileAt = (photo, tile) => `${at(photo)}/original/tile?${query(tile)}`;
/** {blob, notes}: a file, and what it cannot hold of the photo. */
export async function download(photo, prediction, work, format) {
  const reply = await send(`${under(photo, prediction)}/download?${query({ ...look(work), format })}`);
  const notes = JSON.parse(reply.headers.get("Photochrom-Notes") ?? "[]").map(sentence);
  return { blob: await reply.blob(), notes };
}
