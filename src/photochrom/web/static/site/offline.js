// What a site has beside the studio: how far its first visit has come, its service worker, updates, and
// photos that the system opens with it.

import { openFiles } from "./opening.js";
import { loading } from "./wire.js";

const bar = document.createElement("div");
bar.id = "arriving";
bar.setAttribute("role", "status");
bar.hidden = true;
document.body.append(bar);

// --- the first visit ------------------------------------------------------------------------------

const PATIENCE = 400; // milliseconds: what is kept comes sooner
let patience;

function follow() {
  const { share } = loading;
  if (share === null) {
    clearTimeout(patience);
    patience = undefined;
    bar.hidden = true;
    keep();
    return;
  }
  patience ??= setTimeout(() => { bar.hidden = false; }, PATIENCE);
  const words = document.createElement("p");
  words.textContent = share < 1 ? "Getting ready for the first photo…" : "Starting…";
  const progress = document.createElement("progress");
  progress.setAttribute("aria-label", "Getting ready");
  if (share < 1) progress.value = share;
  bar.replaceChildren(words, progress);
}

loading.addEventListener("loading", follow);

// --- updates --------------------------------------------------------------------------------------

let asked = false;

/** Keeps the site for the next visit, once it is all here: the browser need not fetch it twice. */
async function keep() {
  if (!("serviceWorker" in navigator)) return;
  const place = await navigator.serviceWorker.register(new URL("../sw.js", import.meta.url)).catch(() => null);
  if (!place) return;
  const look = (worker) => worker?.state === "installed" && navigator.serviceWorker.controller && offer(worker);
  look(place.waiting);
  place.addEventListener("updatefound", () => {
    const worker = place.installing;
    worker?.addEventListener("statechange", () => look(worker));
  });
}

function offer(worker) {
  const words = document.createElement("p");
  words.textContent = "A new version of this page is here.";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  button.textContent = "Use it now";
  button.addEventListener("click", () => {
    asked = true;
    worker.postMessage("take over");
  });
  bar.replaceChildren(words, button);
  bar.hidden = false;
}

// Only where it was asked for: another tab must not lose what it is at.
navigator.serviceWorker?.addEventListener("controllerchange", () => asked && location.reload());

// --- "open with" ------------------------------------------------------------------------------------

window.launchQueue?.setConsumer(async ({ files = [] }) => {
  if (files.length) openFiles(await Promise.all(files.map((file) => file.getFile())));
});

if (loading.share === null) follow();
