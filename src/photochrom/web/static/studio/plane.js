// The distribution of a spot on the ab plane: one cell for each of the 313 colors, the brighter the
// likelier. A click, or the arrow keys and Enter, take a color from it.

import { css, fitted, nameOf } from "./lab.js";

const REACH = 115; // of a and b, to either side
const CELL = 10;

export class Plane extends EventTarget {
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.bins = [];
    this.chosen = null; // [a, b]
    this.cursor = null; // index of a bin
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const a = ((event.clientX - box.left) / box.width * 2 - 1) * REACH;
      const b = (1 - (event.clientY - box.top) / box.height * 2) * REACH;
      const near = this.#nearest(a, b);
      if (near !== null && Math.hypot(this.bins[near][0] - a, this.bins[near][1] - b) < CELL) {
        this.#take([a, b]);
      }
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => {
      this.cursor = null;
      this.#draw();
    });
  }

  /** bins: [[a, b, p], ...]; L of the spot; chosen: [a, b] of what it has now. */
  show(bins, L, chosen) {
    this.bins = bins;
    // Deep shadow and bright sky would show no colors at all.
    this.L = Math.min(Math.max(L, 50), 75);
    this.most = Math.max(...bins.map(([, , p]) => p), 1e-9);
    this.chosen = chosen;
    this.#draw();
  }

  #nearest(a, b) {
    let best = null;
    let least = Infinity;
    this.bins.forEach(([x, y], index) => {
      const off = Math.hypot(x - a, y - b);
      if (off < least) [best, least] = [index, off];
    });
    return best;
  }

  #take(ab) {
    this.dispatchEvent(new CustomEvent("take", { detail: { ab } }));
  }

  #key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!this.bins.length || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in ways) {
      const [da, db] = ways[event.key];
      if (this.cursor === null) this.cursor = this.#nearest(...(this.chosen ?? [0, 0]));
      else {
        const [a, b] = this.bins[this.cursor];
        this.cursor = this.#nearest(a + CELL * da, b + CELL * db);
      }
      const [a, b, p] = this.bins[this.cursor];
      const words = `${nameOf(fitted(this.L, a, b))}, ${(100 * p).toFixed(1)} %`;
      this.dispatchEvent(new CustomEvent("words", { detail: { words } }));
      this.#draw();
    } else if (event.key === "Enter" || event.key === " ") {
      if (this.cursor !== null) this.#take(this.bins[this.cursor].slice(0, 2));
    } else return;
    event.preventDefault();
  }

  #draw() {
    const { canvas } = this;
    const context = canvas.getContext("2d");
    const unit = canvas.width / (2 * REACH);
    const at = ([a, b]) => [(a + REACH) * unit, (REACH - b) * unit];
    context.clearRect(0, 0, canvas.width, canvas.height);
    const side = CELL * unit - 1;
    for (const [a, b, p] of this.bins) {
      const [x, y] = at([a, b]);
      context.globalAlpha = 0.45 + 0.55 * (p / this.most) ** 0.4;
      context.fillStyle = css(fitted(this.L, a, b));
      context.fillRect(x - side / 2, y - side / 2, side, side);
    }
    context.globalAlpha = 1;
    if (this.cursor !== null) {
      const [x, y] = at(this.bins[this.cursor]);
      this.#frame(context, () => context.strokeRect(x - side / 2 - 1.5, y - side / 2 - 1.5, side + 3, side + 3));
    }
    if (this.chosen) {
      const [x, y] = at(this.chosen);
      this.#frame(context, () => {
        context.beginPath();
        context.arc(x, y, 0.7 * CELL * unit, 0, 7);
        context.stroke();
      });
    }
  }

  // White on black: seen on every color.
  #frame(context, stroke) {
    [context.lineWidth, context.strokeStyle] = [4, "#000"];
    stroke();
    [context.lineWidth, context.strokeStyle] = [2, "#fff"];
    stroke();
  }
}
