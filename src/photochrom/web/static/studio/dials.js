// How far the chosen hint spreads, and how strongly it colors. The network runs when a slider is let go.

import { MOST_REACH } from "./work.js";

// A reach of 0..4 by the square of the slider's share: its middle is the usual 1.
const reachOf = (value) => MOST_REACH * (value / 200) ** 2;
/** In words, how far a hint spreads and how strongly it colors. */
export const reachWords = (reach) => (
  reach === 0 ? "this spot only"
    : reach < 1 ? "part of the object"
    : reach === 1 ? "the whole object"
    : reach < MOST_REACH ? "beyond the object"
    : "everything similar"
);
export const strengthWords = (strength) => `${Math.round(100 * strength)} %`;

const placeOf = (reach) => Math.round(200 * Math.sqrt(reach / MOST_REACH));

export class Dials extends EventTarget {
  constructor(box) {
    super();
    this.box = box;
    this.reach = box.querySelector("#reach");
    this.strength = box.querySelector("#strength");
    for (const slider of [this.reach, this.strength]) {
      slider.addEventListener("input", () => this.#words());
      slider.addEventListener("change", () => this.#tell(slider));
      slider.addEventListener("dblclick", () => {
        slider.value = 100;
        this.#words();
        this.#tell(slider);
      });
    }
  }

  /** Shows those of a hint, or nothing where there is none. */
  show(hint) {
    this.box.hidden = hint === null;
    if (hint === null) return;
    this.reach.parentElement.hidden = Boolean(hint.region); // it ends at its outline
    this.reach.value = placeOf(hint.reach ?? 1);
    this.strength.value = Math.round(100 * (hint.strength ?? 1));
    this.#words();
  }

  #words() {
    const words = reachWords(reachOf(Number(this.reach.value)));
    const strength = strengthWords(Number(this.strength.value) / 100);
    for (const [slider, said] of [[this.reach, words], [this.strength, strength]]) {
      slider.setAttribute("aria-valuetext", said);
      slider.parentElement.querySelector("output").value = said;
    }
  }

  #tell(slider) {
    const value = slider === this.reach ? reachOf(Number(slider.value)) : Number(slider.value) / 100;
    this.dispatchEvent(new CustomEvent("set", { detail: { name: slider.id, value } }));
  }
}
