// The hints in a prediction: each colors its object, exactly at its place, and nothing beyond. See
// anchors.py and color/geodesic.py, which explain and cite each step.

import * as kernel from "./kernel.js";
import { areaShrink } from "./resize.js";
import { solve } from "./solve.js";
import { Upsampler } from "./upsample.js";

const CONTRAST = 25;
const REACH = 1.8;
const LIKENESS = 2;
const RANGE = 1;
const NOISE = 0.05;
const LEVEL = 0.5;
const DISAGREE = 5;
const FAR = 1e30;
const ROUNDS = 64;
const WAYS = [[0, 1], [1, 0], [1, 1], [1, -1]];

const f32 = Math.fround;

/** The cost of a step from each pixel in each of the WAYS: (4, h, w). */
function edgeCosts({ data, h, w }, step) {
  const costs = new Float32Array(4 * h * w).fill(FAR);
  WAYS.forEach(([down, across], way) => {
    const flat = f32(step * step * (down + Math.abs(across)));
    for (let y = 0; y < h - down; y++) {
      for (let x = Math.max(0, -across); x < w - Math.max(0, across); x++) {
        const rise = f32(f32(data[(y + down) * w + x + across] - data[y * w + x]) / CONTRAST);
        costs[(way * h + y) * w + x] = Math.sqrt(f32(flat + f32(rise * rise)));
      }
    }
  });
  return costs;
}

/** How alike the distribution of each pixel is to one of the marks, 0..1; `root` is (Q, n). */
function likeness(place, root, [h, w]) {
  const n = h * w;
  const like = new Float32Array(n);
  for (const [row, column] of place.marks(h, w)) {
    const here = row * w + column;
    const sum = new Float32Array(n);
    for (let from = 0; from < root.length; from += n) {
      const own = root[from + here];
      for (let i = 0; i < n; i++) sum[i] += root[from + i] * own;
    }
    for (let i = 0; i < n; i++) like[i] = Math.max(like[i], sum[i]);
  }
  return like.map((v) => Math.min(v, 1) ** LIKENESS);
}

/** The share of each hint in each pixel, arrays (n) that sum to 1: the weights of ordinary kriging. */
function sharesOf(alike, own, places, [h, w]) {
  const count = places.length;
  const at = places.map((place) => {
    const [row, column] = place.pixel(h, w);
    return row * w + column;
  });
  const system = Array.from({ length: count + 1 }, (_, i) => Array.from({ length: count + 1 }, (_v, j) => {
    if (i === count || j === count) return i === j ? 0 : 1;
    return (alike[j][at[i]] + alike[i][at[j]]) / 2 + (i === j ? NOISE : 0);
  }));
  // Its inverse: the same system for every pixel.
  const inverse = solve(system, system.map((_, i) => system.map((_v, j) => Number(i === j))));
  const shares = places.map(() => new Float32Array(h * w));
  const weights = new Float64Array(count);
  for (let i = 0; i < h * w; i++) {
    let whole = 0;
    for (let k = 0; k < count; k++) {
      let weight = inverse[k][count];
      for (let j = 0; j < count; j++) weight += inverse[k][j] * alike[j][i];
      // Negative weights would color one thing with the contrary of another.
      weights[k] = Math.max(weight, 1e-6) * (own[k][i] + 1e-6);
      whole += weights[k];
    }
    for (let k = 0; k < count; k++) shares[k][i] = weights[k] / whole;
  }
  return shares;
}

/** The covers, those of regions as far as hints that came later leave them free. */
function uppermost(own, places) {
  const free = own.map((cover) => cover.slice());
  places.forEach(({ strength }, later) => {
    for (let k = 0; k < later; k++) {
      if (!places[k].closed) continue;
      for (let i = 0; i < free[k].length; i++) free[k][i] *= 1 - strength * own[later][i];
    }
  });
  return free;
}

export class Anchors {
  /**
   * Anchors hints in a prediction.
   *
   * @param places at least one
   * @param L the plane of L as the network sees the photo
   * @param {Float32Array} plain (2, h, w), the predicted ab without hints
   * @param {Float32Array} distribution (Q, h, w), without hints
   */
  constructor(places, L, plain, distribution, size) {
    const { h: H, w: W } = L;
    const costs = edgeCosts(L, 1 / Math.min(H, W));
    const root = distribution.map(Math.sqrt);
    const [covers, alike] = [[], []];
    this.pixels = [];
    for (const place of places) {
      const seeds = place.seeds(H, W);
      this.pixels.push(seeds);
      const start = new Float32Array(H * W).fill(FAR);
      for (const seed of seeds) start[seed] = 0;
      const length = kernel.geodesic(costs, H, W, ROUNDS, start).map((v) => Math.min(v, 1e3));
      const like = likeness(place, root, size);
      const reach = f32(Math.max(REACH * place.reach, 1e-3));
      const small = (data) => areaShrink({ data, h: H, w: W }, ...size).data;
      if (place.closed) {
        const inside = new Float32Array(H * W);
        for (const seed of seeds) inside[seed] = 1;
        covers.push(small(inside).slice());
      } else {
        covers.push(small(length.map((v) => Math.exp(-((v / reach) ** 4)))).map((v, i) => v * like[i]));
      }
      alike.push(small(length).map((v, i) => Math.exp(v / -RANGE) * like[i]));
    }
    const free = uppermost(covers, places);
    Object.assign(this, { places, L });
    this.cover = covers[0].map((_, i) => covers.reduce((most, cover) => Math.max(most, cover[i]), 0));
    this.shares = sharesOf(alike, free, places, size);
    this.filled = places.map(({ closed }, k) => (closed ? free[k] : null));
    this.upsampler = new Upsampler(L, size);
    const there = this.sampled(plain);
    this.force = places.map(({ ab }, k) => {
      const off = Math.hypot(ab[0] - there[k][0], ab[1] - there[k][1]);
      return 1 - Math.exp(-((off / DISAGREE) ** 2) / 2);
    });
  }

  get nbytes() { return 4 * (1 + 2 * this.places.length) * this.cover.length + 4 * this.L.data.length; }

  /** The mean color [a, b] of the pixels of each hint in a predicted ab (2, h, w). */
  sampled(ab) {
    const large = this.upsampler.rows(this.upsampler.fit(ab), this.L.data);
    const n = large.length / 2;
    return this.pixels.map((pixels) => [0, n].map((plane) =>
      pixels.reduce((sum, pixel) => sum + large[plane + pixel], 0) / pixels.length));
  }

  /** What the values of the hints come to in each pixel. */
  #shared(values) {
    const sum = new Float32Array(this.cover.length);
    values.forEach((value, k) => {
      const share = this.shares[k];
      for (let i = 0; i < sum.length; i++) sum[i] += share[i] * value;
    });
    return sum;
  }

  /** How far each pixel follows hints, which count as they are told. */
  #weight(values) {
    const { cover } = this;
    return this.#shared(values).map((v, i) => v * cover[i]);
  }

  /** The predicted ab (2, h, w), corrected to the hints' colors at their places. */
  corrected(ab) {
    const n = this.cover.length;
    const there = this.sampled(ab);
    const level = this.#shared(this.force);
    const weight = this.#weight(this.places.map(({ strength }) => strength));
    const corrected = new Float32Array(2 * n);
    for (let c = 0; c < 2; c++) {
      const left = this.places.map((place, k) => place.ab[c] - there[k][c]);
      // Contradictory hints on similar pixels must not push a color beyond either of them.
      const [low, high] = [Math.min(0, ...left), Math.max(0, ...left)];
      const offset = this.#shared(left);
      const own = this.#shared(this.places.map((place) => place.ab[c]));
      for (let i = 0; i < n; i++) {
        const even = LEVEL * level[i];
        const now = ab[c * n + i];
        const change = (1 - even) * Math.min(Math.max(offset[i], low), high) + even * (own[i] - now);
        corrected[c * n + i] = now + weight[i] * change;
      }
      this.places.forEach((place, k) => {
        const filled = this.filled[k];
        if (!filled) return;
        for (let i = 0; i < n; i++) {
          corrected[c * n + i] += place.strength * filled[i] * (place.ab[c] - corrected[c * n + i]);
        }
      });
    }
    return corrected;
  }

  /** The logits (Q, h, w) with and without hints, blended so that each hint acts in its cover. */
  blended(plain, hinted) {
    const n = this.cover.length;
    const weight = this.#weight(this.places.map(({ strength }, k) => this.force[k] * strength));
    return plain.map((z, i) => z + weight[i % n] * (hinted[i] - z));
  }
}
