// The work on one photo, from its pixels to pictures of it, as in web/studio/darkroom.py. All that is
// made of a photo is kept with it, up to a number of each kind, and can be made again.

import { colorOf, fitGamut, lightnessOf } from "./color.js";
import { CANDIDATES, TEMPERATURE } from "./distribution.js";
import { checkHints } from "./hints.js";
import { findMargin, lookSize } from "./margin.js";
import { Refused } from "./refused.js";
import { areaShrink, shrinkRows } from "./resize.js";
import { OWN_COLOR, SIDE, ownColor } from "./tone.js";
import { Upsampler, columnsOf, even, guideSize } from "./upsample.js";

export const PLAIN = "plain";
export const VIEW = 1600; // longest side of a preview
export const TILE = 1024; // longest side of a tile
const ENTROPY = Math.log2(313);
const KEPT = { made: 16, leanings: 2, fields: 8, view: 3, level: 2, fitted: 2, ab: 8 };

/** Small things kept by name, a few of each kind; the longest unused goes first. */
class Kept {
  #kinds = new Map();

  async get(kind, name, make) {
    if (!this.#kinds.has(kind)) this.#kinds.set(kind, new Map());
    const held = this.#kinds.get(kind);
    const found = held.has(name) ? held.get(name) : await make();
    held.delete(name);
    held.set(name, found);
    if (held.size > KEPT[kind]) held.delete(held.keys().next().value);
    return found;
  }
}

/** [height, width] of a preview, in the photo's proportions and never enlarged. */
export function fitWithin([height, width], size) {
  const scale = Math.min(1, Math.min(size, VIEW) / Math.max(height, width));
  return [height, width].map((side) => Math.max(1, even(side * scale)));
}

/** Pixels: codes (h, w, channels) of 8 or 16 bits, with one channel or three, without alpha. */
export class Pixels {
  constructor(codes, h, w, channels) { Object.assign(this, { codes, h, w, channels }); }

  get shape() { return [this.h, this.w]; }

  /** L of the rows first..stop. */
  lightness(first = 0, stop = this.h) {
    const row = this.w * this.channels;
    return lightnessOf(this.codes.subarray(first * row, stop * row), this.channels);
  }

  /** The plane of L, reduced or enlarged. */
  reduced([h, w]) {
    if (h > this.h || w > this.w) return areaShrink({ data: this.lightness(), h: this.h, w: this.w }, h, w);
    return shrinkRows((first, stop) => this.lightness(first, stop), this.h, this.w, h, w);
  }

  /** One channel's plane, of numbers up to 255, reduced. */
  plane(channel, [h, w]) {
    const { codes, channels } = this;
    const step = codes.BYTES_PER_ELEMENT === 2 ? 257 : 1;
    const rows = (first, stop) => {
      const out = new Float32Array((stop - first) * this.w);
      for (let i = 0, at = first * this.w * channels + channel; i < out.length; i++, at += channels) out[i] = codes[at] / step;
      return out;
    };
    return shrinkRows(rows, this.h, this.w, h, w);
  }

  /** The same in 8 bits, resized to no more than it has. */
  resized([h, w]) {
    if (h === this.h && w === this.w && this.codes.BYTES_PER_ELEMENT === 1) return this;
    const { channels } = this;
    const codes = new Uint8ClampedArray(h * w * channels); // rounds
    for (let c = 0; c < channels; c++) {
      const { data } = this.plane(c, [h, w]);
      for (let i = 0; i < data.length; i++) codes[i * channels + c] = data[i];
    }
    return new Pixels(new Uint8Array(codes.buffer), h, w, channels);
  }

  /** In 8 bits, the mean of each scale x scale pixels; those left over make one more row and column. */
  shrunk(scale) {
    const { codes, channels } = this;
    const step = codes.BYTES_PER_ELEMENT === 2 ? 257 : 1;
    const [h, w] = [Math.ceil(this.h / scale), Math.ceil(this.w / scale)];
    const out = new Uint8ClampedArray(h * w * channels);
    const sums = new Float64Array(w * channels);
    for (let y = 0; y < h; y++) {
      const stop = Math.min(this.h, (y + 1) * scale);
      sums.fill(0);
      for (let row = y * scale; row < stop; row++) {
        for (let x = 0, at = row * this.w * channels; x < this.w; x++) {
          const to = Math.trunc(x / scale) * channels;
          for (let c = 0; c < channels; c++, at++) sums[to + c] += codes[at];
        }
      }
      for (let x = 0; x < w; x++) {
        const count = (stop - y * scale) * (Math.min(this.w, (x + 1) * scale) - x * scale) * step;
        for (let c = 0; c < channels; c++) out[(y * w + x) * channels + c] = sums[x * channels + c] / count;
      }
    }
    return new Pixels(new Uint8Array(out.buffer), h, w, channels);
  }

  /** A rectangle of it, in 8 bits. */
  cut(top, left, bottom, right) {
    const { channels } = this;
    const [h, w] = [bottom - top, right - left];
    const codes = new Uint8Array(h * w * channels);
    const shift = this.codes.BYTES_PER_ELEMENT === 2 ? 257 : 1;
    for (let y = 0; y < h; y++) {
      const from = ((top + y) * this.w + left) * channels;
      for (let i = 0; i < w * channels; i++) codes[y * w * channels + i] = Math.round(this.codes[from + i] / shift);
    }
    return new Pixels(codes, h, w, channels);
  }

  /** Whether it has colors of its own. */
  get colored() {
    if (this.channels === 1) return false;
    const scale = Math.min(1, SIDE / Math.max(this.h, this.w));
    const size = this.shape.map((side) => Math.max(1, even(side * scale)));
    const planes = [0, 1, 2].map((c) => {
      const plane = this.plane(c, size);
      return { ...plane, data: plane.data.map((v) => v / 255) };
    });
    return ownColor(planes) > OWN_COLOR;
  }
}

/** What answers most questions about a photo without decoding it again. */
export function baseOf(network, pixels) {
  const { shape } = pixels;
  const margin = findMargin(pixels.reduced(lookSize(shape)));
  const frame = network.frame(shape, margin);
  const stride = network.info.stride ?? 4;
  const size = [frame.height / stride, frame.width / stride];
  const view = pixels.resized(fitWithin(shape, VIEW));
  return {
    shape, margin, size, view,
    small: pixels.reduced([frame.height, frame.width]),
    guide: pixels.reduced(guideSize(size, shape)),
    L: view.lightness(),
  };
}

/** A box {x, y, width, height, scale} of the photo as [top, left, bottom, right] of a level. */
function cutBox({ x, y, width, height, scale }, [h, w]) {
  return [[y, height, h], [x, width, w]].map(([start, length, side]) => {
    const [first, stop] = [Math.floor(start / scale), Math.min(Math.ceil((start + length) / scale), side)];
    if (!(first >= 0 && first < stop)) throw new Refused(422, "the tile is outside the photo");
    if (stop - first > TILE) throw new Refused(422, `a tile has at most ${TILE} x ${TILE} pixels`, "ask for several");
    return [first, stop];
  });
}

const keyOf = ({ temperature, saturation, candidate, seed }) => [temperature, saturation, candidate, candidate === null ? 0 : seed].join();

export class Work {
  #kept = new Kept();
  #names = new Map([["[]", PLAIN]]); // of predictions, by their hints

  /** @param read resolves to the photo's Pixels, at its full size */
  constructor(network, base, read) {
    Object.assign(this, { network, base, read });
    this.hints = new Map([[PLAIN, []]]); // name of a prediction → its hints
  }

  /** Runs the network with hints, unless it has done so; the name of the prediction. */
  async predict(hints) {
    checkHints(hints, this.base.shape);
    const told = JSON.stringify(hints);
    const name = this.#names.get(told) ?? `hints-${this.#names.size}`;
    await this.#made(name, hints);
    this.#names.set(told, name);
    this.hints.set(name, hints); // not earlier: bad hints must fail here, not at the first picture
    return name;
  }

  #hintsOf(name) {
    const hints = this.hints.get(name);
    if (!hints) throw new Refused(404, "no such photo or prediction", "send the photo again");
    return hints;
  }

  #made(name, hints = this.#hintsOf(name)) {
    const { network, base } = this;
    return this.#kept.get("made", name, async () => {
      const plain = hints.length ? (await this.#made(PLAIN)).logits : null;
      const places = checkHints(hints, base.shape);
      return network.distribution(base.small, base.shape, places, { plain, margin: base.margin });
    });
  }

  /** The candidate that is asked for, or the likeliest coloring. */
  async #colored(name, { candidate, seed }) {
    const made = await this.#made(name);
    if (candidate === null) return made;
    if (!(candidate >= 0 && candidate < CANDIDATES)) throw new Refused(422, `candidate: must be from 0 to ${CANDIDATES - 1}`);
    // The fields that were chosen without hints. Others would shuffle all candidates.
    const fields = await this.#kept.get("fields", seed, async () => (await this.#made(PLAIN)).leanings(seed).fields);
    const { logits } = await this.#kept.get("leanings", `${seed} ${name}`, () => made.leanings(seed, fields));
    return made.leaning(logits, fields[candidate]);
  }

  #ab(name, look) {
    return this.#kept.get("ab", `${keyOf(look)} ${name}`, async () => {
      const colored = await this.#colored(name, look);
      return { ab: colored.ab(look), exact: colored.exact(look) };
    });
  }

  // --- pictures: Pixels of three channels ---------------------------------------------------------

  async preview(name, look, size) {
    const { base } = this;
    const shape = fitWithin(base.shape, size);
    const level = await this.#kept.get("view", shape.join(), () => {
      const pixels = base.view.resized(shape);
      const L = { data: pixels.lightness(), h: shape[0], w: shape[1] };
      return { L, upsampler: new Upsampler(L, base.size) };
    });
    const { ab, exact } = await this.#ab(name, look);
    const { L, upsampler } = level;
    const fitted = upsampler.touched(upsampler.fit(ab, base.size), exact, (x, y) => at(L, x, y));
    return this.#painted(name, upsampler, fitted, (first, stop) => L.data.subarray(first * L.w, stop * L.w), Uint8Array);
  }

  /** The whole photo in color, in the type of its codes. */
  async whole(name, look) {
    const pixels = await this.read();
    const { base } = this;
    const { ab, exact } = await this.#ab(name, look);
    const upsampler = new Upsampler(base.guide, base.size, base.shape);
    const fitted = upsampler.touched(upsampler.fit(ab, base.size), exact, (x, y) => pointOf(pixels, x, y));
    const rows = (first, stop) => pixels.lightness(first, stop);
    return this.#painted(name, upsampler, fitted, rows, pixels.codes.constructor);
  }

  async #painted(name, upsampler, fitted, lightness, Type) {
    const { margin } = await this.#made(name);
    const [h, w] = upsampler.shape;
    const codes = upsampler.paint(fitted, lightness, Type);
    if (margin) {
      const step = Math.max(1, Math.floor((1 << 20) / w));
      for (let row = 0; row < h; row += step) {
        const stop = Math.min(row + step, h);
        margin.clear(lightness(row, stop), codes.subarray(3 * row * w, 3 * stop * w), w, [h, w], row);
      }
    }
    return new Pixels(codes, h, w, 3);
  }

  async #level(scale) {
    if (![1, 2, 4, 8].includes(scale)) throw new Refused(422, "scale: must be 1, 2, 4 or 8");
    return this.#kept.get("level", scale, async () => {
      const whole = await this.read();
      const pixels = scale === 1 ? whole : whole.shrunk(scale);
      return { pixels, upsampler: new Upsampler(this.base.guide, this.base.size, pixels.shape) };
    });
  }

  async tile(name, look, box) {
    const { pixels, upsampler } = await this.#level(box.scale);
    const [[top, bottom], [left, right]] = cutBox(box, pixels.shape);
    const fitted = await this.#kept.get("fitted", `${box.scale} ${keyOf(look)} ${name}`, async () => {
      const { ab, exact } = await this.#ab(name, look);
      return upsampler.touched(upsampler.fit(ab, this.base.size), exact, (x, y) => pointOf(pixels, x, y));
    });
    const cut = pixels.cut(top, left, bottom, right);
    const L = cut.lightness();
    const w = right - left;
    const rows = (first, stop) => L.subarray((first - top) * w, (stop - top) * w);
    const near = columnsOf(fitted, pixels.w, left, right);
    const codes = upsampler.columns(left, right).paint(near, rows, Uint8Array, top, bottom);
    (await this.#made(name)).margin?.clear(L, codes, w, pixels.shape, top, left);
    return new Pixels(codes, bottom - top, w, 3);
  }

  original(size) { return this.base.view.resized(fitWithin(this.base.shape, size)); }

  async originalTile(box) {
    const { pixels } = await this.#level(box.scale);
    const [[top, bottom], [left, right]] = cutBox(box, pixels.shape);
    return pixels.cut(top, left, bottom, right);
  }

  /** The entropy of each pixel; white is `ENTROPY` bits. */
  async uncertainty(name, size) {
    const made = await this.#made(name);
    const [h, w] = fitWithin(this.base.shape, size);
    const { data } = areaShrink({ data: made.uncertainty(), h: made.h, w: made.w }, h, w);
    const levels = Uint8ClampedArray.from(data, (bits) => bits * (255 / ENTROPY));
    return new Pixels(new Uint8Array(levels.buffer), h, w, 1);
  }

  // --- other answers ------------------------------------------------------------------------------

  async candidates(name, n, seed) {
    const { data } = areaShrink(this.base.small, ...this.base.size);
    const found = [];
    for (let candidate = 0; candidate < Math.min(n, CANDIDATES); candidate++) {
      const { ab } = await this.#ab(name, { temperature: TEMPERATURE, saturation: 1, candidate, seed });
      const count = data.length;
      const rgb = fitGamut(data, Float32Array.from(ab, (_, i) => ab[(i % 2) * count + (i >> 1)]));
      const sums = [0, 0, 0];
      rgb.forEach((v, i) => { sums[i % 3] += v; });
      found.push({ candidate, color: sums.map((sum) => Math.round(sum / count)) });
    }
    return { candidates: found };
  }

  /** The likely colors of a spot, its distribution over the bins, and its current color. */
  async palette(name, look, x, y, n) {
    const { shape: [height, width], view, L: seen, size: [h, w] } = this.base;
    if (!(x >= 0 && x < width && y >= 0 && y < height)) {
      throw new Refused(422, `(${x}, ${y}) is outside the photo, which has ${width} x ${height} pixels`);
    }
    // From centers of pixels to centers of pixels.
    const held = (value, most) => Math.min(Math.max(value, 0), most);
    const atX = held(((x + 0.5) * view.w) / width - 0.5, view.w - 1);
    const atY = held(((y + 0.5) * view.h) / height - 0.5, view.h - 1);
    const L = seen[Math.trunc(atY) * view.w + Math.trunc(atX)];
    const share = [(atX + 0.5) / view.w, (atY + 0.5) / view.h];
    const made = await this.#made(name);
    const { ab } = await this.#ab(name, look);
    const row = Math.min(Math.trunc(((y + 0.5) / height) * h), h - 1);
    const here = row * w + Math.min(Math.trunc(((x + 0.5) / width) * w), w - 1);
    const { bins } = made.info;
    return {
      L, colors: made.swatches(...share, L, n), current: colorOf(L, ab[here], ab[h * w + here]),
      bins: Array.from(made.at(...share), (p, q) => [bins[2 * q], bins[2 * q + 1], p]),
    };
  }

  async spots(name, n) {
    const { shape: [height, width] } = this.base;
    const made = await this.#made(name);
    const given = this.#hintsOf(name).map(({ x, y }) => ({ x: x / width, y: y / height }));
    return {
      spots: made.weakSpots(n, given).map(({ row, column, bits }) => ({
        x: Math.min(Math.trunc(((column + 0.5) * width) / made.w), width - 1),
        y: Math.min(Math.trunc(((row + 0.5) * height) / made.h), height - 1),
        bits,
      })),
    };
  }
}

/** L of a plane at a place in shares. */
const at = ({ data, h, w }, x, y) => data[Math.trunc(y * h) * w + Math.trunc(x * w)];

/** L of one pixel, at a place in shares. */
function pointOf(pixels, x, y) {
  const [row, column] = [Math.trunc(y * pixels.h), Math.trunc(x * pixels.w)];
  return pixels.cut(row, column, row + 1, column + 1).lightness()[0];
}
