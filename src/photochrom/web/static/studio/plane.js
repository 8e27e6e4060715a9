// The distribution of a spot on the ab plane: one square for each of the 313 colors, the larger the
// likelier, a dot where it is all but out of the question, and a line about those that hold nearly all of it. All are seen in their own color, on
// light and on dark ground. A click, or the arrow keys and Enter, take a color from it.

import { css, fitted, measured, nameOf } from "./lab.js";

const REACH = 115; // of a and b, to either side
const CELL = 10;
const MOST = 1.6; // cells: the square of the likeliest, which may lie over its neighbors
const LEAST = 0.3; // of a cell: the square of a color that may be
const UNLIKELY = 0.002; // probability below which a color is but a dot
const DOT = 0.26; // of a cell
const FAINT = 0.55; // opacity of a dot
const NEARLY_ALL = 0.9;

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
    this.L = Math.min(Math.max(L, 55), 70);
    this.likely = likeliest(bins);
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
      // Neighbors often have the same name.
      const words = `${nameOf(fitted(this.L, a, b))}, ${measured(a, b)}, ${(100 * p).toFixed(1)} %`;
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
    const side = CELL * unit;
    // The likeliest last, on top.
    for (const [a, b, p] of [...this.bins].sort((one, other) => one[2] - other[2])) {
      const [x, y] = at([a, b]);
      context.fillStyle = css(fitted(this.L, a, b));
      if (p < UNLIKELY) {
        context.globalAlpha = FAINT;
        context.beginPath();
        context.arc(x, y, DOT * side / 2, 0, 7);
        context.fill();
        context.globalAlpha = 1;
      } else {
        // Its area is its probability.
        const wide = side * Math.max(LEAST, MOST * Math.sqrt(p / this.most));
        context.fillRect(x - wide / 2, y - wide / 2, wide, wide);
      }
    }
    this.#outline(context, at, side);
    if (this.cursor !== null) {
      const [x, y] = at(this.bins[this.cursor]);
      this.#frame(context, () => context.strokeRect(x - side / 2 - 2, y - side / 2 - 2, side + 4, side + 4));
    }
    if (this.chosen) {
      const [x, y] = at(this.chosen);
      this.#frame(context, () => {
        context.beginPath();
        context.arc(x, y, 0.8 * CELL * unit, 0, 7);
        context.stroke();
      });
    }
  }

  /** A line about the likely cells, where they border on others. */
  #outline(context, at, side) {
    context.beginPath();
    for (const name of this.likely) {
      const [a, b] = name.split(" ").map(Number);
      const [x, y] = at([a, b]);
      for (const [da, db] of [[1, 0], [0, 1], [-1, 0], [0, -1]]) {
        if (this.likely.has(`${a + CELL * da} ${b + CELL * db}`)) continue;
        const [mx, my] = [x + da * side / 2, y - db * side / 2];
        context.moveTo(mx - db * side / 2, my - da * side / 2);
        context.lineTo(mx + db * side / 2, my + da * side / 2);
      }
    }
    [context.lineWidth, context.lineCap] = [3.5, "square"];
    context.strokeStyle = getComputedStyle(this.canvas).color;
    context.stroke();
    context.lineCap = "butt";
  }

  // White on black: seen on every color.
  #frame(context, stroke) {
    [context.lineWidth, context.strokeStyle] = [9, "#000"];
    stroke();
    [context.lineWidth, context.strokeStyle] = [4.5, "#fff"];
    stroke();
  }
}

/** The names "a b" of the fewest bins that together have nearly all of the probability. */
function likeliest(bins) {
  const names = new Set();
  let sum = 0;
  for (const [a, b, p] of [...bins].sort((one, other) => other[2] - one[2])) {
    if (sum >= NEARLY_ALL) break;
    names.add(`${a} ${b}`);
    sum += p;
  }
  return names;
}
