// The service under the page: everything that the page knows of a photo comes through here. Each
// refusal arrives as an error in words, with what can be done about it.

const BUSY = [429, 503];
const MOST_TRIES = 6;
const LONGEST_WAIT = 8; // seconds

/** What the service could not do. `status` is that of HTTP, or 0 when it does not answer at all. */
export class Refusal extends Error {
  constructor(status, words, retryAfter = null) {
    super(words);
    this.status = status;
    this.later = retryAfter !== null; // whether the service has said when to come again
    this.wait = Math.min(Number(retryAfter) || 0.5, LONGEST_WAIT); // seconds
  }

  /** The photo is not known there (any more): it can be sent again. */
  get forgotten() { return this.status === 404 || this.status === 410; }

  /** Whether the photo of that name was asked for. */
  concerns(photo) { return this.path === undefined || `${this.path}/`.includes(`${at(photo)}/`); }
}

const REMEDIES = {
  0: "photochrom does not answer. Look whether it still runs in its terminal.",
  408: "The connection is too slow or broke off; try again.",
  411: "Reload the page and try again.",
  413: "Make the photo smaller, or start photochrom studio with larger limits.",
  415: "Save it as JPEG, PNG or TIFF, and open that.",
  429: "Wait a moment, then try again.",
  503: "Wait a moment, then try again.",
};

/** "More than 9 bytes are not taken. Make the photo smaller …": a whole sentence, and the remedy. */
function inWords(status, said) {
  const first = said ? said[0].toUpperCase() + said.slice(1) : `The service answered ${status}`;
  const sentence = /[.!?]$/.test(first) ? first : `${first}.`;
  return status in REMEDIES && !said?.includes(";") ? `${sentence} ${REMEDIES[status]}` : sentence;
}

function refusal(status, body, header) {
  let said = "";
  try {
    said = String(JSON.parse(body).error ?? "").replace(/^photo: /, ""); // we know its name
  } catch {
    // Not ours, or cut off: the status must do.
  }
  return new Refusal(status, inWords(status, said), header);
}

function unreachable() {
  window.dispatchEvent(new Event("service-away"));
  return new Refusal(0, REMEDIES[0]);
}

/** A refusal, or that the service is a new one, which this page has no key for. */
const unless = async (why) => (why.status === 403 && await answers() === 403 ? unreachable() : why);

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/** The reply, after waiting where the service is busy. */
async function send(path, options) {
  for (let tries = 1; ; tries++) {
    let reply;
    try {
      reply = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw unreachable();
    }
    if (reply.ok) return reply;
    const why = refusal(reply.status, await reply.text(), reply.headers.get("Retry-After"));
    why.path = path;
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
export const examples = async () => (await read("/api/examples")).examples;
export const blob = async (path, signal) => (await send(path, { signal })).blob();

/** The status with which the service answers, 0 if it does not; nobody is told. */
export const answers = () => fetch("/api/info").then((reply) => reply.status, () => 0);

/** Sends a photo; resolves to its description. `progress` is told the share that is sent, 0..1. */
export async function upload(file, progress, signal) {
  for (let tries = 1; ; tries++) {
    try {
      return await uploadOnce(file, progress, signal);
    } catch (why) {
      // A large file is sent again only where the service says when.
      const again = why.status === 429 || (why.status === 503 && why.later);
      if (!again || tries === MOST_TRIES || signal.aborted) throw why;
      await pause(why.wait);
    }
  }
}

// XMLHttpRequest, for fetch does not tell how much was sent.
function uploadOnce(file, progress, signal) {
  return new Promise((resolve, reject) => {
    const aborted = () => new DOMException("put away", "AbortError");
    if (signal.aborted) return reject(aborted());
    const request = new XMLHttpRequest();
    request.open("POST", "/api/photos");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => event.total && progress(event.loaded / event.total);
    let whole = false;
    request.upload.onload = () => {
      whole = true;
      progress(1);
    };
    // Once all is there the service has a photo, or soon will: only its answer tells which to forget.
    signal.addEventListener("abort", () => whole || request.abort());
    request.onabort = () => reject(aborted());
    request.onerror = () => reject(unreachable());
    request.onload = () => {
      if (request.status === 201) resolve(JSON.parse(request.responseText));
      else {
        const wait = request.getResponseHeader("Retry-After");
        resolve(unless(refusal(request.status, request.responseText, wait)).then((why) => { throw why; }));
      }
    };
    return request.send(file);
  });
}

const at = (photo) => `/api/photos/${encodeURIComponent(photo)}`;
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
  const body = { hints: hints.map(({ x, y, color }) => ({ x, y, color })) };
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
export const download = (photo, prediction, work, format) =>
  blob(`${under(photo, prediction)}/download?${query({ ...look(work), format })}`);
