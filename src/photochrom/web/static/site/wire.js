// The way to the service: here, a worker of this page's own. Nothing leaves the browser.

const worker = new Worker(new URL("./engine/worker.js", import.meta.url), { type: "module" });
const waiting = new Map(); // number of a question → {resolve, reject}
let last = 0;

/** What this service can do and another that the page may have cannot: the page hides what is not here. */
export const can = Object.freeze({
  shapes: true, // hints that are strokes or regions
});

/** For the first page: what can be opened, and where a photo goes. */
export const READS = "JPEG, PNG and WebP, up to 50 megapixels.";
export const WHERE = "Your photo doesn’t leave this browser.";

/** Dispatches "loading" when its `share` of what has to come before the first photo is another; null: it is there. */
export const loading = Object.assign(new EventTarget(), { share: 0 });

worker.onmessage = ({ data: { id, loading: share, status, body, type, headers } }) => {
  if (share !== undefined) {
    loading.share = share;
    return loading.dispatchEvent(new Event("loading"));
  }
  const asked = waiting.get(id);
  waiting.delete(id);
  const named = type ? { ...headers, "Content-Type": type } : { ...headers };
  return asked?.resolve(new Response(body, { status, headers: named }));
};
worker.onerror = (event) => {
  event.preventDefault();
  for (const { reject } of waiting.values()) reject(new TypeError("the worker has ended"));
  waiting.clear();
};

const SITE = new URL("..", import.meta.url);

/** As `fetch`: a file of the site, or an answer of the worker. */
export function ask(address, { method = "GET", body, signal } = {}) {
  if (!address.startsWith("/api/")) return fetch(new URL(address, SITE));
  if (address === "/api/examples") return fetch(new URL("examples/examples.json", SITE));
  return new Promise((resolve, reject) => {
    const aborted = () => new DOMException("put away", "AbortError");
    if (signal?.aborted) return reject(aborted());
    const id = ++last;
    waiting.set(id, { resolve, reject });
    signal?.addEventListener("abort", () => {
      if (!waiting.delete(id)) return;
      worker.postMessage({ id, abort: true });
      reject(aborted());
    }, { once: true });
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
