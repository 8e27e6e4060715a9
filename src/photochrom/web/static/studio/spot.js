// The panel of one spot: what it may have been, and what somebody says it was.

import { css, hex, hintColor, labOf, measured, nameOf, ofHex } from "./lab.js";
import { Dials } from "./dials.js";
import { Plane } from "./plane.js";

const GRAY = [128, 128, 128];
const DARK = 30; // L of a spot below which its swatches are split

export class Spot extends EventTarget {
  constructor(panel) {
    super();
    this.panel = panel;
    const $ = (selector) => panel.querySelector(selector);
    this.title = $("h2");
    this.invite = $(".invite");
    this.chosen = $(".chosen");
    this.swatches = $(".swatches");
    this.remove = $("#delete-hint");
    this.leave = $("#leave-spot");
    this.picker = $("#own input");
    this.gray = $("#keep-gray");
    $("#eyedropper").addEventListener("click", () => this.#tell("pick"));
    this.plane = new Plane($("#plane"));
    this.dials = new Dials($("#dials"));
    this.palette = null;
    this.hint = null;

    this.plane.addEventListener("take", ({ detail: { ab } }) => this.#take(hintColor(this.palette.L, ...ab)));
    this.plane.addEventListener("words", ({ detail }) => this.#tell("words", detail));
    // While the picker is open its color changes all the time; the network runs for the last one.
    this.picker.addEventListener("change", () => this.#take(ofHex(this.picker.value)));
    this.gray.addEventListener("click", () => this.#take(GRAY, true));
    this.dials.addEventListener("set", ({ detail }) => this.#tell("dials", detail));
    this.remove.addEventListener("click", () => this.#tell("delete"));
    this.leave.addEventListener("click", () => this.#tell("leave"));
  }

  #tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
  #take(color, gray = false) { this.#tell("color", { color, gray }); }

  /** Nothing is chosen. */
  clear() {
    this.palette = this.hint = null;
    this.invite.hidden = false;
    this.chosen.hidden = this.remove.hidden = this.leave.hidden = true;
    this.title.textContent = "Colors at a spot";
    this.panel.removeAttribute("aria-busy");
  }

  /** A spot whose palette is on its way. */
  await() {
    this.panel.setAttribute("aria-busy", "true");
    this.invite.hidden = true;
    this.chosen.hidden = this.leave.hidden = false;
  }

  /** palette as the service gives it; hint: the hint that is here, or null. */
  show(palette, hint) {
    Object.assign(this, { palette, hint });
    this.panel.removeAttribute("aria-busy");
    this.invite.hidden = true;
    this.chosen.hidden = this.leave.hidden = false;
    this.remove.hidden = hint === null;
    this.dials.show(hint);
    this.title.textContent = hint === null ? "Likely colors here" : "Your hint";
    const now = hint === null ? labOf(palette.current) : labOf(hint.color);
    const focused = [...this.swatches.children].indexOf(document.activeElement);
    const names = palette.colors.map(({ color }) => nameOf(color));
    const alone = (name) => names.indexOf(name) === names.lastIndexOf(name);
    this.swatches.replaceChildren(...palette.colors.map((likely, index) => this.#swatch(
      likely, alone(names[index]) ? names[index] : `${names[index]}, ${measured(...likely.ab)}`,
    )));
    if (focused >= 0) this.swatches.children[focused]?.focus();
    this.plane.show(palette.bins, palette.L, now.slice(1));
    this.picker.value = hex(hint === null ? palette.current : hint.color);
    this.gray.setAttribute("aria-pressed", String(hint?.gray === true));
  }

  #swatch({ color, ab, probability }, name) {
    const button = document.createElement("button");
    button.type = "button";
    const percent = probability < 0.01 ? "<1 %" : `${Math.round(100 * probability)} %`;
    const hinted = this.hint && labOf(this.hint.color);
    const same = hinted && Math.hypot(hinted[1] - ab[0], hinted[2] - ab[1]) < 2;
    button.setAttribute("aria-pressed", String(Boolean(same) && !this.hint.gray));
    button.setAttribute("aria-label", `${name}, ${percent}`);
    button.title = name;
    const chip = document.createElement("i");
    // In deep shadow all would look black: their hue is shown at a lightness that tells them apart.
    const { L } = this.palette;
    const clear = css(L < DARK ? hintColor(L, ...ab) : color);
    chip.style.background = `linear-gradient(${clear} 62%, ${css(color)} 62%)`;
    const words = document.createElement("span");
    words.textContent = percent;
    const bar = document.createElement("b");
    bar.style.setProperty("--share", `${100 * probability}%`);
    button.append(chip, words, bar);
    button.addEventListener("click", () => this.#take(hintColor(this.palette.L, ...ab)));
    return button;
  }

  focus() {
    (this.swatches.querySelector("button") ?? this.title).focus();
  }
}
