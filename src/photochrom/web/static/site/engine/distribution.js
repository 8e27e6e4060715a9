// The distribution over 313 colors for each pixel, and every answer that needs no photo, as in
// distribution.py and color/bins.py, which explain and cite each step. Logits are (Q, h, w).

import { colorOf } from "./color.js";
import * as kernel from "./kernel.js";
import { standardNormal } from "./random.js";
import { boxMean } from "./resize.js";
import { even } from "./upsample.js";

export const TEMPERATURE = 0.38;
export const CANDIDATES = 6;
const COLDEST = 1e-4;
const FIELD_WIDTH = 25;
const FIELD_STRENGTH = 2.4;
const TILT = 2;
const NUCLEUS = 0.9;
const DRAWS = 192;
const GROUPS = 4;
const FADED = 0.5;
const APART = 0.25;
const MARGIN = 0.08;
const MODE_RADIUS = 15;

const argmin = (values) => {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] < values[best]) best = i;
  return best;
};
const argmax = (values) => {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
};
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The softmax over Q of values (Q, n). */
export function softmax(values, n) {
  const Q = values.length / n;
  const top = new Float32Array(n).fill(-Infinity);
  const sum = new Float32Array(n);
  const p = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) top[i % n] = Math.max(top[i % n], values[i]);
  for (let q = 0, i = 0; q < Q; q++) {
    for (let x = 0; x < n; x++, i++) {
      p[i] = Math.exp(values[i] - top[x]);
      sum[x] += p[i];
    }
  }
  for (let q = 0, i = 0; q < Q; q++) for (let x = 0; x < n; x++, i++) p[i] /= sum[x];
  return p;
}

/** {bins: Float32Array (Q, 2), logWeights, ...} of the model, from its description. */
export function infoOf(described) {
  return {
    ...described,
    bins: Float32Array.from(described.bins.flat()),
    logWeights: Float32Array.from(described.log_weights),
  };
}

/** Logits of a pixel that is gray for certain: (Q). */
export function neutral({ bins }) {
  const Q = bins.length / 2;
  const logits = new Float32Array(Q).fill(-40);
  logits[argmin(Array.from({ length: Q }, (_, q) => Math.hypot(bins[2 * q], bins[2 * q + 1])))] = 0;
  return logits;
}

export class Distribution {
  #honest = null;
  #bits = null;

  /** `anchors` are the places where hints apply exactly, `margin` what stays gray; both may be null. */
  constructor(logits, h, w, info, { anchors = null, margin = null } = {}) {
    Object.assign(this, { logits, h, w, info, anchors, margin });
  }

  with(change) {
    const { logits, h, w, info, anchors, margin } = { ...this, ...change };
    return new Distribution(logits, h, w, info, { anchors, margin });
  }

  get size() { return [this.h, this.w]; }

  /** The color of each pixel: planes (2, h, w). */
  ab({ temperature = TEMPERATURE, saturation = 1 } = {}) {
    const n = this.h * this.w;
    const ab = planesOf(annealedMean(this.#cautious(), this.info.bins, temperature, n));
    const corrected = this.anchors ? this.anchors.corrected(ab) : ab;
    return saturation === 1 ? corrected : corrected.map((v) => v * saturation);
  }

  /** The colors that spots must have to the letter: {x, y, ab}, in shares. */
  exact({ saturation = 1 } = {}) {
    return (this.anchors?.places ?? []).filter(({ strength, closed }) => strength === 1 && !closed)
      .map(({ x, y, ab }) => ({ x, y, ab: ab.map((v) => v * saturation) }));
  }

  /** {logits, fields} that `leaning` makes candidates of; `fields` of the same photo before a hint keep their places. */
  leanings(seed, fields = null) {
    const logits = this.#nucleus();
    if (fields) return { logits, fields };
    const { bins } = this.info;
    const drawn = colorFields(bins, DRAWS, seed);
    const step = Math.max(1, even(Math.min(this.h, this.w) / 9));
    const coarse = (values) => {
      const out = [];
      for (let q = 0; q < bins.length / 2; q++) {
        for (let y = 0; y < this.h; y += step) {
          for (let x = 0; x < this.w; x += step) out.push(values[(q * this.h + y) * this.w + x]);
        }
      }
      return Float32Array.from(out);
    };
    const plain = annealedMeans(coarse(this.#cautious()), [], bins)[0];
    return { logits, fields: representative(plain, coarse(logits), drawn, bins) };
  }

  /** One candidate, of what `leanings` gives. */
  leaning(logits, field) {
    // The rebalancing is off already: nothing may take it off once more.
    const info = { ...this.info, logWeights: new Float32Array(this.info.logWeights.length), caution: null };
    const n = this.h * this.w;
    return this.with({ logits: logits.map((z, i) => z + field[Math.trunc(i / n)]), info });
  }

  /** Entropy in bits, (h, w), without the rebalancing. */
  uncertainty() {
    if (this.#bits) return this.#bits;
    const n = this.h * this.w;
    const p = softmax(this.honest, n);
    const bits = new Float32Array(n);
    for (let q = 0, i = 0; q < p.length / n; q++) {
      for (let x = 0; x < n; x++, i++) bits[x] -= p[i] * Math.log2(Math.max(p[i], 1e-30));
    }
    this.#bits = bits;
    return bits;
  }

  /** n places {row, column, bits} where a hint would help most; hints are {x, y} in shares. */
  weakSpots(n, hints) {
    const { h, w } = this;
    const bits = this.uncertainty();
    let left = wideMean(bits, h, w);
    const short = Math.min(h, w);
    const apart = APART * short;
    const each = (change) => {
      left = left.map((value, i) => change(value, Math.trunc(i / w), i % w));
    };
    each((value, y, x) => {
      const inside = Math.min(x, w - 1 - x, y, h - 1 - y);
      return inside >= MARGIN * short ? value : 1e-3 * value;
    });
    const distance = (y, x, row, column) => ((y - row) ** 2 + (x - column) ** 2) / apart ** 2;
    for (const hint of hints) {
      each((value, y, x) => value * (1 - Math.exp(-2 * distance(y, x, hint.y * h - 0.5, hint.x * w - 0.5))));
    }
    return Array.from({ length: n }, () => {
      const best = argmax(left);
      const [row, column] = [Math.trunc(best / w), best % w];
      each((value, y, x) => {
        const far = distance(y, x, row, column);
        return (far > 1 ? value : 1e-3 * value) * (1 - Math.exp(-2 * far));
      });
      return { row, column, bits: bits[best] };
    });
  }

  /** The probabilities of the bins at one place, given in shares of the photo. */
  at(x, y) {
    const [row, column] = [Math.min(Math.trunc(y * this.h), this.h - 1), Math.min(Math.trunc(x * this.w), this.w - 1)];
    const n = this.h * this.w;
    const { logWeights } = this.info;
    return softmax(logWeights.map((weight, q) => this.logits[q * n + row * this.w + column] - weight), 1);
  }

  /** The likely colors at one place, likeliest first: {color, ab, probability}. */
  swatches(x, y, L, n) {
    return modesOf(this.at(x, y), this.info.bins, n).map(({ center: [a, b], mass }) => ({
      color: colorOf(L, a, b), ab: [a, b], probability: mass,
    }));
  }

  /** The same with a margin: gray is certain there. */
  grayIn(margin) {
    const { h, w } = this;
    const logits = this.logits.slice();
    const gray = neutral(this.info);
    const cell = Math.max(margin.look[0] / h, margin.look[1] / w);
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        if (margin.depth((x + 0.5) / w, (y + 0.5) / h) >= -0.75 * cell) continue;
        for (let q = 0; q < gray.length; q++) logits[(q * h + y) * w + x] = gray[q];
      }
    }
    return this.with({ logits, margin });
  }

  /** Logits without the rebalancing. */
  get honest() {
    const n = this.h * this.w;
    const { logWeights } = this.info;
    this.#honest ??= this.logits.map((z, i) => z - logWeights[Math.trunc(i / n)]);
    return this.#honest;
  }

  #cautious() {
    const { caution, logWeights } = this.info;
    if (!caution) return this.logits;
    const n = this.h * this.w;
    const [sure, unsure] = caution;
    const off = this.uncertainty().map((bits) => Math.min(Math.max((bits - sure) / (unsure - sure), 0), 1));
    return this.logits.map((z, i) => z - off[i % n] * logWeights[Math.trunc(i / n)]);
  }

  #nucleus() {
    const { h, w, honest } = this;
    const n = h * w;
    const Q = honest.length / n;
    const p = boxMean(softmax(honest, n), h, w);
    const out = honest.slice();
    const here = new Float32Array(Q);
    for (let x = 0; x < n; x++) {
      for (let q = 0; q < Q; q++) here[q] = p[q * n + x];
      here.sort();
      let at = Q - 1;
      for (let sum = here[at]; sum < NUCLEUS && at > 0; sum = Math.fround(sum + here[at])) at--;
      for (let q = 0; q < Q; q++) if (p[q * n + x] < here[at]) out[q * n + x] -= 12;
    }
    return out;
  }
}

/** (n, 2) as planes (2, n). */
function planesOf(pairs) {
  const n = pairs.length / 2;
  return Float32Array.from(pairs, (_, i) => pairs[i < n ? 2 * i : 2 * (i - n) + 1]);
}

/** ab (n, 2) of logits (Q, n). */
function annealedMean(logits, bins, temperature, n) {
  if (temperature >= COLDEST) return kernel.annealed(logits, bins, temperature);
  // The mode; of several, their mean.
  const top = new Float32Array(n).fill(-Infinity);
  for (let i = 0; i < logits.length; i++) top[i % n] = Math.max(top[i % n], logits[i]);
  const [out, hits] = [new Float32Array(2 * n), new Float32Array(n)];
  for (let i = 0; i < logits.length; i++) {
    const x = i % n;
    if (logits[i] !== top[x]) continue;
    const q = Math.trunc(i / n);
    hits[x]++;
    out[2 * x] += bins[2 * q];
    out[2 * x + 1] += bins[2 * q + 1];
  }
  return out.map((v, i) => v / hits[i >> 1]);
}

/** The mean over neighbors three times, beyond the border nothing. */
function wideMean(bits, h, w) {
  const [H, W] = [h + 6, w + 6];
  let padded = new Float32Array(H * W);
  for (let y = 0; y < h; y++) padded.set(bits.subarray(y * w, (y + 1) * w), (y + 3) * W + 3);
  for (let i = 0; i < 3; i++) padded = boxMean(padded, H, W);
  return Float32Array.from(bits, (_, i) => padded[(Math.trunc(i / w) + 3) * W + 3 + (i % w)]);
}

/** Random fields over the bins, n arrays (Q), in nats: a tilt, vividness, a smooth rest. */
export function colorFields(bins, n, seed) {
  const Q = bins.length / 2;
  const next = standardNormal(seed);
  const spread = new Float64Array(Q * Q);
  for (let i = 0; i < Q; i++) {
    let squares = 0;
    for (let j = 0; j < Q; j++) {
      const d2 = (bins[2 * i] - bins[2 * j]) ** 2 + (bins[2 * i + 1] - bins[2 * j + 1]) ** 2;
      const near = Math.exp(-d2 / FIELD_WIDTH ** 2);
      spread[i * Q + j] = near;
      squares += near * near;
    }
    const whole = Math.sqrt(squares);
    for (let j = 0; j < Q; j++) spread[i * Q + j] /= whole;
  }
  return Array.from({ length: n }, () => {
    const noise = Float64Array.from({ length: 3 + Q }, next);
    return Float32Array.from({ length: Q }, (_, i) => {
      const [a, b] = [bins[2 * i], bins[2 * i + 1]];
      const tilt = (TILT / 40) * (noise[0] * a + noise[1] * b + noise[2] * Math.hypot(a, b));
      let rest = 0;
      for (let j = 0; j < Q; j++) rest += noise[3 + j] * spread[i * Q + j];
      return tilt + FIELD_STRENGTH * rest;
    });
  });
}

/** Annealed means of logits (Q, n): pairs (n, 2), the plain one first, then one with each field. */
function annealedMeans(logits, fields, bins) {
  const Q = bins.length / 2;
  const n = logits.length / Q;
  const top = new Float32Array(n).fill(-Infinity);
  for (let i = 0; i < logits.length; i++) top[i % n] = Math.max(top[i % n], logits[i]);
  const p = logits.map((z, i) => Math.exp((z - top[i % n]) / TEMPERATURE));
  return [null, ...fields].map((field) => {
    const tilt = field ? field.map((v) => v / TEMPERATURE) : new Float32Array(Q);
    const most = tilt.reduce((one, other) => Math.max(one, other), -Infinity);
    const [total, sums] = [new Float64Array(n), new Float64Array(2 * n)];
    for (let q = 0, i = 0; q < Q; q++) {
      // No less than that: a color that is certain needs some weight.
      const factor = Math.exp(Math.max(tilt[q] - most, -80));
      const [a, b] = [bins[2 * q], bins[2 * q + 1]];
      for (let x = 0; x < n; x++, i++) {
        const share = factor * p[i];
        total[x] += share;
        sums[2 * x] += share * a;
        sums[2 * x + 1] += share * b;
      }
    }
    return Float32Array.from(sums, (sum, i) => sum / total[i >> 1]);
  });
}

/** The mean distance of two maps (n, 2). */
function apart(one, other) {
  let sum = 0;
  for (let i = 0; i < one.length; i += 2) sum += Math.hypot(one[i] - other[i], one[i + 1] - other[i + 1]);
  return sum / (one.length / 2);
}

const chromaOf = (map) => apart(map, new Float32Array(map.length));

/** Fields that stand for all of these: means of the first groups, then single ones. */
function representative(plain, logits, fields, bins) {
  const maps = annealedMeans(logits, fields, bins).slice(1);
  const distance = maps.map(() => new Float64Array(maps.length));
  for (let i = 0; i < maps.length; i++) {
    for (let j = 0; j < i; j++) distance[i][j] = distance[j][i] = apart(maps[i], maps[j]);
  }
  const ofPlain = maps.map((map) => apart(map, plain));
  const chosen = covering(ofPlain, distance, CANDIDATES);
  const heads = chosen.slice(0, GROUPS);
  const group = maps.map((_, i) => argmin([ofPlain[i], ...heads.map((head) => distance[i][head])]) - 1);
  heads.forEach((head, g) => { group[head] = g; }); // where all are alike, no group is empty
  const means = heads.map((_, g) => {
    const members = fields.filter((_field, i) => group[i] === g);
    return Float32Array.from(bins.subarray(0, bins.length / 2), (_v, q) => mean(members.map((field) => field[q])));
  });
  // A coloring that only fades is likely too, but nobody asks for it first.
  const chroma = annealedMeans(logits, means, bins).slice(1).map(chromaOf);
  const least = FADED * chromaOf(plain);
  const order = heads.map((_, g) => g).sort((one, other) => (chroma[one] < least) - (chroma[other] < least));
  return [...order.map((g) => means[g]), ...chosen.slice(GROUPS).map((i) => fields[i])];
}

/** Choose n things so that each is near to one of them, or to one that is there already. */
function covering(ofFirst, distance, n) {
  const nextOf = (nearest, taken) => argmin(distance.map((_, j) => {
    if (taken.includes(j)) return Infinity;
    let sum = 0;
    for (let i = 0; i < distance.length; i++) sum += Math.min(nearest[i], distance[i][j]);
    return sum;
  }));
  const nearestOf = (taken) => ofFirst.map((own, i) => Math.min(own, ...taken.map((j) => distance[i][j])));
  const chosen = [];
  while (chosen.length < Math.min(n, GROUPS)) chosen.push(nextOf(nearestOf(chosen), chosen));
  for (let round = 0; round < distance.length; round++) {
    const before = chosen.join();
    for (let i = 0; i < chosen.length; i++) {
      const rest = chosen.filter((_, j) => j !== i);
      chosen[i] = nextOf(nearestOf(rest), rest);
    }
    if (chosen.join() === before) break;
  }
  while (chosen.length < n) chosen.push(nextOf(nearestOf(chosen), chosen));
  return chosen;
}

/** The n heaviest clusters of a distribution over bins: {center, mass}, heaviest first. */
function modesOf(p, bins, n) {
  const left = Float64Array.from(p);
  const found = [];
  while (found.length < n) {
    const top = argmax(left);
    const center = [0, 0];
    let mass = 0;
    const near = [];
    for (let q = 0; q < left.length; q++) {
      const [a, b] = [bins[2 * q], bins[2 * q + 1]];
      if (Math.hypot(a - bins[2 * top], b - bins[2 * top + 1]) > MODE_RADIUS) continue;
      near.push(q);
      mass += left[q];
      center[0] += left[q] * a;
      center[1] += left[q] * b;
    }
    if (mass < 0.005) break;
    found.push({ center: center.map((sum) => Math.fround(sum / mass)), mass });
    for (const q of near) left[q] = 0;
  }
  return found.sort((one, other) => other.mass - one.mass);
}
