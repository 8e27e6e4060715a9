// Keeps the site for the time without a network, and adds the headers that let it use more than one thread.
// `photochrom site` fills in the two tables. A file with another hash makes an update, which waits until a
// person wants it: until then all comes from what was kept before.

const FILES = {};
const HEADERS = {};
const CACHE = "photochrom";

const root = new URL("./", self.location.href);
/** A file is kept under its address and its hash: what did not change is not fetched again. */
const keyOf = (path) => new URL(`${path}?${FILES[path]}`, root).href;
/** The path of a file of this site that an address means, or null. */
function pathOf(address) {
  const url = new URL(address);
  if (url.origin !== root.origin || !url.pathname.startsWith(root.pathname)) return null;
  const path = url.pathname.slice(root.pathname.length) || "index.html";
  return path in FILES ? path : null;
}

async function keepAll() {
  const cache = await caches.open(CACHE);
  for (const path of Object.keys(FILES)) {
    const key = keyOf(path);
    if (await cache.match(key)) continue;
    const reply = await fetch(new URL(path, root), { cache: "no-cache" });
    if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
    await cache.put(key, withHeaders(reply));
  }
}

async function dropOld() {
  const cache = await caches.open(CACHE);
  const wanted = new Set(Object.keys(FILES).map(keyOf));
  for (const { url } of await cache.keys()) if (!wanted.has(url) && url.startsWith(root.href)) await cache.delete(url);
  await self.clients.claim();
}

self.addEventListener("install", (event) => event.waitUntil(keepAll()));
self.addEventListener("activate", (event) => event.waitUntil(dropOld()));
self.addEventListener("message", ({ data }) => { if (data === "take over") self.skipWaiting(); });

/** With them when it is kept, and not each time: a browser keeps compiled code only with what comes unchanged. */
function withHeaders(reply) {
  const headers = new Headers(reply.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  const { status, statusText } = reply;
  return new Response(reply.body, { status, statusText, headers });
}

async function answer(request, path) {
  const cache = await caches.open(CACHE);
  return await cache.match(keyOf(path)) ?? withHeaders(await fetch(request));
}

self.addEventListener("fetch", (event) => {
  const path = event.request.method === "GET" ? pathOf(event.request.url) : null;
  if (path !== null) event.respondWith(answer(event.request, path));
});
