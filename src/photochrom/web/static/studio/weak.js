// The weak spots: where the model is unsure, and where a click helps most.

import { desk } from "./desk.js";
import { Latest } from "./latest.js";
import { announce } from "./notice.js";
import { $, markers, viewer } from "./parts.js";
import { veil } from "./picture.js";
import * as service from "./service.js";

const weighing = new Latest();
let untold = false; // that they were asked for

/** Dims what the model is sure of, and numbers the spots. */
function overlay() {
  const { current: photo, prediction: shown } = desk;
  if (!desk.unsure || desk.seen === null) {
    viewer.veil = null;
    markers.suggest([]);
    return viewer.redraw();
  }
  return desk.attempt(() => weighing.ask(async () => {
    const [map, { spots }] = await photo.with(async () => {
      const base = await photo.predict(photo.work.hints);
      return Promise.all([
        service.uncertainty(photo.info.photo, base), service.spots(photo.info.photo, base),
      ]);
    });
    const bits = await createImageBitmap(map);
    const picture = veil(bits);
    bits.close();
    if (photo !== desk.current || !desk.ready || shown !== desk.prediction || !desk.unsure) return;
    viewer.veil = picture;
    viewer.redraw();
    markers.suggest(spots);
    // They follow each hint, whose own news are worth more.
    if (untold) announce(`${spots.length} weak spots, where the model is least sure. A hint there helps most.`);
    untold = false;
  }));
}

const toggle = () => desk.show("unsure", !desk.unsure);

$("unsure").addEventListener("click", toggle);
$("help-unsure").addEventListener("click", () => desk.show("unsure", true));
// Letters alone count on the photo only: elsewhere they may belong to a screen reader.
viewer.addEventListener("letter", ({ detail: { letter } }) => letter === "u" && toggle());

desk.addEventListener("show", ({ detail: { what } }) => {
  if (what !== "unsure") return;
  untold = desk.unsure;
  overlay();
});
desk.addEventListener("turn", () => markers.suggest([]));
desk.addEventListener("predicted", overlay);
desk.addEventListener("arrive", () => desk.unsure && !viewer.veil && overlay());
