// From the network's size to the photo's, as in color/upsample.py: enlarge ab, with L as the guide.
// Small ab is planes, Float32Array (2, h, w).

import { RGB_FROM_RATIOS } from "./color.js";
import * as kernel from "./kernel.js";
import { areaShrink, between, boxMean, grow } from "./resize.js";

const CELL = 8;
const FLAT = 6;
const SMOOTH = 0.03;
const LEVEL = 0.008;
const STEPS = 10;
const SETTLED = 1e-4;
const CORRECTIONS = 4;
const MARGIN = 0.1;
const TO_GRAY = 0.5;
const TOUCHES = 8;
const PART = 1 << 18; // pixels that are painted at a time

/** Python's round, which takes the even one of two as near. */
export function even(value) {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

const cell = (ratio) => Math.min(CELL, Math.max(1, even(ratio)));

/** [height, width] of the L that the fit sees: an Upsampler made from it is the same. */
export function guideSize([sh, sw], [height, width]) {
  const [h, w] = [Math.min(sh, height), Math.min(sw, width)];
  return [h * cell(height / h), w * cell(width / w)];
}

export class Upsampler {
  /**
   * @param L the plane of L, 0..100; its own size, or that of guideSize
   * @param {[number, number]} size (h, w) of the ab to come
   * @param {[number, number]} shape (height, width) of the photo
   */
  constructor(L, size, shape = [L.h, L.w]) {
    this.shape = shape;
    const [h, w] = this.size = [Math.min(size[0], shape[0]), Math.min(size[1], shape[1])];
    const [rows, columns] = guideSize(size, shape);
    const guide = areaShrink(L, rows, columns);
    const smooth = (plane) => boxMean(boxMean(areaShrink(plane, h, w).data, h, w), h, w);
    const middle = smooth(guide);
    const square = smooth({ ...guide, data: guide.data.map((v) => v * v) });
    const place = new Float32Array(2 * h * w);
    for (let i = 0; i < h * w; i++) {
      place[i] = middle[i];
      const spread = Math.max(square[i] - Math.fround(middle[i] * middle[i]), 0);
      place[h * w + i] = 1 / Math.fround(Math.sqrt(spread + FLAT ** 2));
    }
    this.place = grow(place, w, shape[1]);
    this.rowsBetween = between(h, shape[0]);
    this.moments = momentsOf(guide, place, h, w);
  }

  /** The curves (2, 3, h, W) of ab (2, h, w) of the size that was told. */
  fit(ab, from = this.size) {
    const [h, w] = this.size;
    const n = h * w;
    const small = new Float32Array(2 * n);
    for (let c = 0; c < 2; c++) {
      const plane = { data: ab.subarray((c * ab.length) / 2, ((c + 1) * ab.length) / 2), h: from[0], w: from[1] };
      small.set(areaShrink(plane, h, w).data, c * n);
    }
    // Differences from one color: if all are the same, nothing is left to round.
    const base = [small[0], small[n]];
    for (let i = 0; i < 2 * n; i++) small[i] -= base[i < n ? 0 : 1];
    const dials = Float32Array.of(SMOOTH, LEVEL, MARGIN, TO_GRAY, SETTLED);
    const gray = Float32Array.of(-base[0], -base[1]);
    const curves = kernel.fitted(small, this.moments, gray, dials, h, w, STEPS, CORRECTIONS);
    const out = new Float32Array(6 * n);
    for (let c = 0; c < 2; c++) {
      const at = 3 * c * n;
      for (let i = 0; i < n; i++) {
        const [dark, middle, bright] = [0, n, 2 * n].map((k) => Math.fround(curves[at + k + i] + base[c]));
        out[at + i] = middle;
        out[at + n + i] = 0.5 * Math.fround(bright - dark);
        out[at + 2 * n + i] = Math.fround(0.5 * Math.fround(dark + bright)) - middle;
      }
    }
    return grow(out, w, this.shape[1]);
  }

  /** The curves, changed so that single pixels have exactly a color: spots {x, y, ab}, in shares; L(row, column). */
  touched(fitted, spots, lightnessAt) {
    if (!spots.length) return fitted;
    const touched = fitted.slice();
    const [height, width] = this.shape;
    for (let round = 0; round < (spots.length > 1 ? TOUCHES : 1); round++) {
      for (const { x, y, ab } of spots) this.#touch(touched, Math.trunc(y * height), Math.trunc(x * width), lightnessAt(x, y), ab);
    }
    return touched;
  }

  #touch(fitted, row, column, L, ab) {
    const [h] = this.size;
    const W = this.shape[1];
    const first = this.rowsBetween.first[row];
    const share = this.rowsBetween.share[row];
    const rows = first + 1 < h ? [1 - share, share] : [1];
    const [middle, scale] = [0, 1].map((plane) =>
      rows.reduce((sum, part, r) => sum + part * this.place[(plane * h + first + r) * W + column], 0));
    const t = Math.min(Math.max((L - middle) * scale, -1), 1);
    const ofCurve = [1, t, Math.abs(t)];
    const left = [0, 1].map((c) => {
      let now = 0;
      for (let k = 0; k < 3; k++) {
        rows.forEach((part, r) => { now += fitted[((3 * c + k) * h + first + r) * W + column] * ofCurve[k] * part; });
      }
      return ab[c] - now;
    });
    // The smallest change of dark, middle and bright that gives the color at this L.
    const nodes = [Math.max(-t, 0), 1 - Math.abs(t), Math.max(t, 0)];
    const whole = nodes.reduce((sum, node) => sum + node * node, 0);
    const [dark, mid, bright] = nodes.map((node) => node / whole);
    const change = [mid, (bright - dark) / 2, (dark + bright) / 2 - mid];
    const ofRows = rows.reduce((sum, part) => sum + part * part, 0);
    const wide = W / this.size[1];
    const stop = Math.min(W, Math.trunc(column + wide) + 1);
    for (let x = Math.max(0, Math.ceil(column - wide)); x < stop; x++) {
      const fall = Math.max(1 - Math.abs(x - column) / wide, 0);
      for (let c = 0; c < 2; c++) {
        for (let k = 0; k < 3; k++) {
          rows.forEach((part, r) => {
            fitted[((3 * c + k) * h + first + r) * W + x] += Math.fround(left[c] * change[k] * (part / ofRows) * fall);
          });
        }
      }
    }
  }

  /** Of the small pixels, and of the photo, as the kernel wants it. */
  get geometry() { return { h: this.size[0], W: this.shape[1], height: this.shape[0] }; }

  /**
   * Encoded sRGB (stop - first, W, 3) of rows first..stop.
   *
   * @param {(first: number, stop: number) => Float32Array} lightness L of rows
   */
  paint(fitted, lightness, Type, first = 0, stop = this.shape[0]) {
    const W = this.shape[1];
    const step = Math.max(1, Math.floor(PART / W));
    const out = new Type(3 * (stop - first) * W);
    function* strips() {
      for (let row = first; row < stop; row += step) {
        yield { first: row, L: lightness(row, Math.min(row + step, stop)) };
      }
    }
    kernel.painted(this.place, fitted, this.geometry, RGB_FROM_RATIOS, Type, strips(), (pixels, row) => {
      out.set(pixels, 3 * (row - first) * W);
    });
    return out;
  }

  /** Large a and b (2, H, W), from the L of all of the photo. */
  rows(fitted, L) {
    return kernel.followed(this.place, fitted, L, this.geometry);
  }

  /** The same for the columns from..to of the photo, which then cost only their own area. */
  columns(from, to) {
    const cut = Object.create(Upsampler.prototype);
    Object.assign(cut, this, { place: columnsOf(this.place, this.shape[1], from, to) });
    cut.shape = [this.shape[0], to - from];
    return cut;
  }
}

/** The columns from..to of rows (n, W). */
export function columnsOf(data, W, from, to) {
  const n = data.length / W;
  const out = new Float32Array(n * (to - from));
  for (let row = 0; row < n; row++) out.set(data.subarray(row * W + from, row * W + to), row * (to - from));
  return out;
}

function momentsOf(guide, place, h, w) {
  const weights = [guide.h / h, guide.w / w].map((count) => {
    const shares = new Float32Array(3 * count);
    for (let i = 0; i < count; i++) {
      const offset = (i + 0.5) / count - 0.5;
      [Math.max(-offset, 0), 1 - Math.abs(offset), Math.max(offset, 0)].forEach((share, k) => {
        shares[k * count + i] = Math.fround(share) / count;
      });
    }
    return shares;
  });
  const m = kernel.moments(guide.data, grow(place, w, guide.w), ...weights, h, w);
  // Beyond the border, there is nothing: a small pixel at the border replaces its neighbor.
  const at = (i, j, k, y, x) => (((3 * i + j) * 3 + k) * h + y) * w + x;
  for (let n = 0; n < 3; n++) {
    for (let k = 0; k < 3; k++) {
      for (let x = 0; x < w; x++) {
        m[at(1, n, k, 0, x)] += m[at(0, n, k, 0, x)];
        m[at(1, n, k, h - 1, x)] += m[at(2, n, k, h - 1, x)];
      }
    }
  }
  for (let n = 0; n < 3; n++) {
    for (let k = 0; k < 3; k++) {
      for (let y = 0; y < h; y++) {
        m[at(n, 1, k, y, 0)] += m[at(n, 0, k, y, 0)];
        m[at(n, 1, k, y, w - 1)] += m[at(n, 2, k, y, w - 1)];
      }
    }
  }
  for (let n = 0; n < 3; n++) {
    for (let k = 0; k < 3; k++) {
      for (let x = 0; x < w; x++) m[at(0, n, k, 0, x)] = m[at(2, n, k, h - 1, x)] = 0;
      for (let y = 0; y < h; y++) m[at(n, 0, k, y, 0)] = m[at(n, 2, k, y, w - 1)] = 0;
    }
  }
  return m;
}
