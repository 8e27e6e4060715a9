// The photo on the stage: gray as this browser reads it, then what the service has of it.

import { desk } from "./desk.js";
import { announce } from "./notice.js";
import { $, viewer } from "./parts.js";
import { after, before } from "./sides.js";
import { depict, grayOf } from "./thumbnails.js";

const PATIENCE = 150; // milliseconds that the network may take before it is mentioned

/** Shows the photo as this browser reads it, if it can, until the service has it. */
async function sketch(photo) {
  const picture = await grayOf(photo);
  if (!picture || desk.current !== photo || viewer.before.whole) return;
  if (!viewer.photo) viewer.open(picture.full);
  viewer.before.lend(picture.canvas, photo.key);
  viewer.redraw();
}

/** Asks for the pictures of the prediction that is there. */
function present() {
  const { current, seen } = desk;
  if (seen === null) return;
  const { key, info: { preview } } = current;
  const most = Math.max(preview.width, preview.height);
  viewer.before.set({ photo: key, live: false, most, ...before(desk) });
  viewer.after.set({ photo: key, live: desk.held !== null, most, ...after(seen) });
}

// The first colors come in like a tide, those of a photo that was colored before fade in.
viewer.after.arrived = (first) => {
  const photo = desk.current;
  if (first && photo.fresh && viewer.comparing) viewer.sweep(0.5, 1, 1100);
  else if (first) viewer.fadeIn();
  if (first && photo.fresh) announce(`${photo.name} has been colored.`);
  photo.fresh = false;
  if (first) desk.changed(); // nothing need be said over it any more
  if (desk.held === null) depict(photo, viewer.after.whole, true);
};

desk.addEventListener("turn", () => {
  viewer.close();
  if (desk.current?.info) viewer.open(desk.current.info);
});
desk.addEventListener("await", () => {
  if (viewer.before.whole === null) sketch(desk.current);
});
desk.addEventListener("open", () => {
  const { info } = desk.current;
  const { width, height } = viewer.photo ?? {};
  if (width !== info.width || height !== info.height) viewer.open(info);
});
desk.addEventListener("picture", () => {
  viewer.waiting = desk.waiting;
  present();
  viewer.redraw();
});
desk.addEventListener("show", ({ detail: { what } }) => {
  if (what !== "original") return;
  present();
  viewer.redraw();
});
desk.addEventListener("stale", () => viewer.redraw());

let patience;
desk.addEventListener("predict", () => {
  clearTimeout(patience);
  patience = setTimeout(() => { $("busy").hidden = false; }, PATIENCE);
});
desk.addEventListener("idle", () => {
  clearTimeout(patience);
  $("busy").hidden = true;
  viewer.redraw();
});

// --- the view -------------------------------------------------------------------------------------

viewer.addEventListener("failed", ({ detail: { error } }) => desk.failed(error));
viewer.addEventListener("share", () => { desk.share = viewer.share; });
viewer.addEventListener("divided", () => desk.keep());
viewer.addEventListener("view", () => {
  const percent = 100 * viewer.scale * viewer.density;
  $("zoom").querySelector("output").value = `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
});
viewer.addEventListener("mark", () => {
  const { x, y } = viewer.mark;
  const { width, height } = viewer.photo;
  const words = `${Math.round(100 * x / width)} % across, ${Math.round(100 * y / height)} % down`;
  $("readout").textContent = words;
  announce(words);
});
$("zoom-in").addEventListener("click", () => viewer.zoom(1.5));
$("zoom-out").addEventListener("click", () => viewer.zoom(1 / 1.5));
$("zoom").addEventListener("click", () => (viewer.fitted ? viewer.actual() : viewer.fit()));
