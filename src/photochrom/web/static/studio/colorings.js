// The strip of colorings: the best guess, and four more that the same distribution holds.

import * as service from "./service.js";

const SIZE = 240;

export class Colorings extends EventTarget {
  constructor(section) {
    super();
    this.strip = section.querySelector("[role=radiogroup]");
    this.words = section.querySelector(".quiet");
    this.others = section.querySelector("#others");
    this.shown = "";
    this.others.addEventListener("click", () => this.dispatchEvent(new Event("others")));
    this.strip.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const buttons = [...this.strip.children];
      const next = buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length);
      next.focus();
      next.click();
    });
  }

  clear() {
    this.shown = "";
    this.strip.replaceChildren();
  }

  /** work.seed decides which four; the pictures have the settings of `work`. */
  show(photo, prediction, work) {
    const { temperature, saturation, seed } = work;
    const shown = [photo, prediction, seed].join(" ");
    if (shown !== this.shown) {
      this.shown = shown;
      this.#build([null, 0, 1, 2, 3]);
    }
    this.words.hidden = work.hints.length === 0;
    for (const button of this.strip.children) {
      const here = button.candidate === work.candidate;
      button.setAttribute("aria-checked", String(here));
      button.tabIndex = here ? 0 : -1;
      const asked = { temperature, saturation, seed, candidate: button.candidate };
      this.#picture(button, service.previewAt(photo, prediction, asked, SIZE));
    }
  }

  #build(candidates) {
    const focused = [...this.strip.children].indexOf(document.activeElement);
    this.strip.replaceChildren(...candidates.map((candidate) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("role", "radio");
      button.candidate = candidate;
      const name = document.createElement("span");
      name.textContent = candidate === null ? "Best guess" : `Version ${candidate + 2}`;
      const image = new Image();
      image.alt = "";
      button.append(image, name);
      button.addEventListener("click", () => {
        this.dispatchEvent(new CustomEvent("choose", { detail: { candidate } }));
      });
      return button;
    }));
    if (focused >= 0) this.strip.children[focused]?.focus();
  }

  // Through the service's module, which waits where it is busy; a picture that cannot be had stays empty.
  async #picture(button, address) {
    if (button.address === address) return;
    button.address = address;
    const blob = await service.blob(address).catch(() => null);
    if (button.address !== address) return;
    if (blob === null) {
      button.address = null;
      return;
    }
    const image = button.querySelector("img");
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(blob);
  }
}
