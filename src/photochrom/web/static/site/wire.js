// The way to the service: here, a worker of this page's own. Nothing leaves the browser.

let worker = null;
const waiting = new Map(); // number of a question → what takes its answer
let last = 0;

/** What this service can do and another that the page may have cannot: the page hides what is not here. */
export const can = Object.freeze({
  frames: true, // photos turned and cropped
  shapes: true, // hints that are strokes or regions
});

/** What the page says: what can be opened, where a photo goes, and from where all is removed. */
export const READS = "JPEG, PNG, TIFF and WebP, up to 50 megapixels.";
export const WHERE = "Your photo doesn’t leave this browser.";
export const KEEPERS = "this page and this browser";

/** Dispatches "loading" when its `share` of what has to come before the first photo is another; null: it is there. */
export const loading = Object.assign(new EventTarget(), { share: 0 });

function start() {
  worker = new Worker(new URL("./engine/worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }) => take(data);
  worker.onerror = (event) => {
    event.preventDefault();
    worker.terminate();
    worker = null; // the next question starts another
    for (const id of [...waiting.keys()]) take({ id, status: 410, body: ENDED, type: "application/json" });
  };
}

// To the page, a photo that has made room: it gives the file once more.
const ENDED = JSON.stringify({ problem: "this page’s worker has ended", remedy: "try again, or reload the page" });

function take({ id, loading: share, status, body, type, headers }) {
  if (share !== undefined) {
    loading.share = share;
    loading.dispatchEvent(new Event("loading"));
    return;
  }
  const named = type ? { ...headers, "Content-Type": type } : { ...headers };
  waiting.get(id)?.(new Response(body, { status, headers: named }));
  waiting.delete(id);
}

const SITE = new URL("..", import.meta.url);

/** As `fetch`: a file of the site, or an answer of the worker. */
export function ask(address, { method = "GET", body, signal } = {}) {
  if (!address.startsWith("/api/")) return fetch(new URL(address, SITE));
  if (address === "/api/examples") return fetch(new URL("examples/examples.json", SITE));
  return new Promise((resolve, reject) => {
    const aborted = () => new DOMException("put away", "AbortError");
    if (signal?.aborted) return reject(aborted());
    const id = ++last;
    waiting.set(id, resolve);
    signal?.addEventListener("abort", () => {
      if (!waiting.delete(id)) return;
      worker?.postMessage({ id, abort: true });
      reject(aborted());
    }, { once: true });
    if (worker === null) start();
    return worker.postMessage({ id, method, address, body });
  });
}

/** Gives a photo's file to the worker; resolves to the answer. `progress` is told that it is there. */
export async function send(address, file, progress, signal) {
  if (signal.aborted) throw new DOMException("put away", "AbortError");
  progress(1);
  // It is all there at once: only the answer tells which to forget.
  return ask(address, { method: "POST", body: file });
}
