// The two sliders. The picture follows them while they move; letting go makes it a step.

import { START, temperatureOf, vividnessOf } from "./work.js";

export class Settings extends EventTarget {
  constructor(section) {
    super();
    this.vividness = section.querySelector("#vividness");
    this.saturation = section.querySelector("#saturation");
    this.reset = section.querySelector("#reset");
    this.dragged = null; // the slider that is in somebody's hand
    const normal = new Map([[this.vividness, 0], [this.saturation, 100]]);
    for (const slider of normal.keys()) {
      const letGo = () => {
        this.dragged = null;
        this.#tell("set", this.#says(slider));
      };
      slider.addEventListener("input", () => {
        this.dragged = slider;
        this.#words();
        this.#tell("live", this.held);
      });
      slider.addEventListener("change", letGo);
      // Back where it was taken up no change is told.
      for (const end of ["pointerup", "blur"]) {
        slider.addEventListener(end, () => setTimeout(() => this.dragged === slider && letGo()));
      }
      slider.addEventListener("dblclick", () => {
        slider.value = normal.get(slider);
        this.#words();
        this.#tell("set", this.#says(slider));
      });
    }
    this.reset.addEventListener("click", () => {
      this.#tell("set", { temperature: START.temperature, saturation: START.saturation });
      this.vividness.focus(); // for the button is gone
    });
  }

  /** What a slider decides: the other's setting may be finer than its steps. */
  #says(slider) {
    if (slider === this.saturation) return { saturation: Number(slider.value) / 100 };
    const vividness = Number(slider.value);
    return { temperature: vividness === 0 ? START.temperature : temperatureOf(vividness) };
  }

  /** What the slider that is being dragged decides, or null. */
  get held() { return this.dragged && this.#says(this.dragged); }

  /** Shows these settings, but leaves a slider to the hand that drags it. */
  show({ temperature, saturation }) {
    if (this.dragged !== this.vividness) this.vividness.value = vividnessOf(temperature);
    if (this.dragged !== this.saturation) this.saturation.value = Math.round(100 * saturation);
    this.#words();
  }

  #words() {
    const vividness = Number(this.vividness.value);
    const words = vividness === 0 ? "natural" : `${Math.abs(vividness)} ${vividness > 0 ? "more" : "less"} vivid`;
    const say = (slider, said, shown) => {
      slider.setAttribute("aria-valuetext", said);
      slider.parentElement.querySelector("output").value = shown;
    };
    say(this.vividness, words, vividness > 0 ? `+${vividness}` : String(vividness).replace("-", "−"));
    say(this.saturation, `${this.saturation.value} percent`, `${this.saturation.value} %`);
    this.reset.hidden = vividness === 0 && this.saturation.value === "100";
  }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
