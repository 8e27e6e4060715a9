// Flat margins, such as the paper around a print, which stay gray: margin.py, which explains each step.
// A mask is a Uint8Array (h, w).

import { fitGamut } from "./color.js";
import { even } from "./upsample.js";

const LOOK = 384;
const RING = 2;
const FLAT = 5;
const LEAST_FLAT = 1.5;
const EVEN = 0.95;
const SAME = 8;
const PURE = 1.5;
const STRAIGHT = 1.5;
const MOST_LEAKS = 0.5;
const STRICT_LEAKS = 0.1;
const MOST_TILT = 0.1;
const CORNER = 0.06;
const SMALLEST = 0.01;
const MOST_PARTS = 40;
const LEAST_PICTURES = 0.15;
const LEAST_MARGIN = 0.01;
const DEEPEST = 3;
const BAND = 1.25;

const f32 = Math.fround;

export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** As NumPy's, which is linear between two values. */
export function percentile(values, percent) {
  const sorted = Float64Array.from(values).sort();
  const at = (percent / 100) * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const count = (mask) => mask.reduce((sum, on) => sum + on, 0);

/** How deep inside a picture a point is, in pixels; negative outside. */
function depthIn({ lines }, x, y) {
  let least = Infinity;
  for (const [nx, ny, c] of lines) least = Math.min(least, f32(f32(f32(nx) * x + f32(ny) * y) + f32(c)));
  return least;
}

export class Margin {
  /** pictures {lines, tone, flat}; look [height, width] at which they were found; box around them in shares. */
  constructor(pictures, look, box) {
    Object.assign(this, { pictures, look, box });
  }

  /** How deep inside a picture a place in shares is, in pixels of `look`; negative in the margin. */
  depth(x, y) {
    const [height, width] = this.look;
    const [across, down] = [f32(f32(x) * width), f32(f32(y) * height)];
    return this.pictures.reduce((most, picture) => Math.max(most, depthIn(picture, across, down)), -Infinity);
  }

  /** Whether a place is surely in the margin. */
  holds(x, y) { return this.depth(x, y) < -BAND; }

  /**
   * Makes the margin in a part of a colored photo gray again.
   *
   * @param {Float32Array} L (n, m) of the part
   * @param {Uint8Array | Uint16Array} out (n, m, 3), encoded sRGB
   * @param {[number, number]} shape of the photo, and the first row and column of the part
   */
  clear(L, out, m, shape, top = 0, left = 0) {
    const [height, width] = this.look;
    // Wider for small photos: the line may run anywhere in its pixel.
    const band = Math.max(BAND, (BAND * width) / shape[1]);
    const found = [];
    for (let i = 0; i < L.length; i++) {
      const down = f32(f32((top + Math.trunc(i / m) + 0.5) / shape[0]) * height);
      const across = f32(f32((left + (i % m) + 0.5) / shape[1]) * width);
      const isMargin = this.pictures.every((picture) => {
        const depth = depthIn(picture, across, down);
        return depth < -band || (depth < band && Math.abs(f32(L[i] - picture.tone)) <= picture.flat);
      });
      if (isMargin) found.push(i);
    }
    if (!found.length) return;
    const gray = fitGamut(Float32Array.from(found, (i) => L[i]), new Float32Array(2 * found.length), out.constructor);
    found.forEach((i, k) => out.set(gray.subarray(3 * k, 3 * k + 3), 3 * i));
  }
}

/** [height, width] at which margins of a photo are looked for. */
export function lookSize([height, width]) {
  const scale = Math.min(1, LOOK / Math.max(height, width));
  return [Math.max(1, even(height * scale)), Math.max(1, even(width * scale))];
}

/** The margin of a photo, or null; L is its plane at `lookSize`. */
export function findMargin(L) {
  const { h, w } = L;
  if (Math.min(h, w) < 16) return null;
  const ring = edges(L);
  if (!ring) return null;
  const pictures = inside(L, new Uint8Array(h * w).fill(1), ring.seeds, ring.tone, ring.leaks, DEEPEST);
  if (!pictures.length) return null;
  const found = { top: h, left: w, bottom: 0, right: 0, share: 0 };
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      if (!pictures.some((picture) => depthIn(picture, x + 0.5, y + 0.5) > 0)) continue;
      found.share += 1 / (h * w);
      found.top = Math.min(found.top, y);
      found.left = Math.min(found.left, x);
      found.bottom = Math.max(found.bottom, y + 1);
      found.right = Math.max(found.right, x + 1);
    }
  }
  if (found.share < LEAST_PICTURES || found.share > 1 - LEAST_MARGIN) return null;
  return new Margin(pictures, [h, w], [found.top / h, found.left / w, found.bottom / h, found.right / w]);
}

/** The flat edges of a photo: {seeds: their pixels, tone, leaks: how much may leak}; null if none. */
function edges({ data, h, w }) {
  const parts = {
    top: (y) => y < RING, bottom: (y) => y >= h - RING, left: (_, x) => x < RING, right: (_, x) => x >= w - RING,
  };
  const tones = new Map();
  for (const [name, holds] of Object.entries(parts)) {
    const values = data.filter((_, i) => holds(Math.trunc(i / w), i % w));
    const tone = median(values);
    if (mean([...values].map((v) => Number(Math.abs(f32(v - tone)) <= FLAT))) >= EVEN) tones.set(name, tone);
  }
  if (!tones.size) return null;
  const tone = median([...tones.values()]);
  const flat = [...tones].filter(([, own]) => Math.abs(own - tone) <= SAME).map(([name]) => name);
  const leaks = flat.length >= 3 ? MOST_LEAKS : STRICT_LEAKS;
  const has = (...names) => names.every((name) => flat.includes(name));
  const opposite = has("top", "bottom") || has("left", "right");
  if (flat.length < 3 && !opposite && PURE < tone && tone < 100 - PURE) return null;
  const seeds = Uint8Array.from(data, (_, i) => Number(flat.some((name) => parts[name](Math.trunc(i / w), i % w))));
  return { seeds, tone, leaks };
}

/** The pictures in a room whose margin has a tone and begins at the seeds. */
function inside(L, room, seeds, tone, leaks, deeper) {
  const { data, h, w } = L;
  // No wider than its own noise: what has nearly its tone is not taken for it.
  const noise = data.filter((_, i) => seeds[i]).map((v) => Math.abs(v - tone));
  const flat = Math.max(LEAST_FLAT, Math.min(FLAT, 4 * median(noise) + LEAST_FLAT));
  const like = room.map((on, i) => Number(on && Math.abs(f32(data[i] - tone)) <= flat));
  const margin = reached(seeds.map((on, i) => on & like[i]), like, h, w);
  const rest = room.map((on, i) => on & ~margin[i] & 1);
  // Noise makes many specks. What matters is wider.
  const cores = eroded(eroded(rest, h, w), h, w);
  const found = [];
  for (let parts = 0; parts < MOST_PARTS; parts++) {
    const first = cores.indexOf(1);
    if (first < 0) break;
    const seed = new Uint8Array(h * w);
    seed[first] = 1;
    const part = reached(seed, rest, h, w);
    part.forEach((on, i) => { if (on) cores[i] = 0; });
    if (count(part) < SMALLEST * h * w) continue;
    const lines = borders(part, h, w, leaks);
    if (!lines) return []; // nothing that a margin surrounds, so it is none
    found.push({ lines, tone, flat });
  }
  return found.flatMap((picture) => {
    const inner = deeper > 1 ? next(L, picture, deeper) : [];
    return inner.length ? inner : [picture];
  });
}

/** The pictures inside a picture that is framed by another margin. */
function next(L, picture, deeper) {
  const { data, w } = L;
  const depth = Float32Array.from(data, (_, i) => depthIn(picture, (i % w) + 0.5, Math.trunc(i / w) + 0.5));
  // Behind the border, which may be a shadow, a bevel or a black line.
  const ring = Uint8Array.from(depth, (d) => Number(d > 2 && d <= 2 + RING));
  const values = data.filter((_, i) => ring[i]);
  if (!values.length) return [];
  const tone = median(values);
  if (mean([...values].map((v) => Number(Math.abs(f32(v - tone)) <= FLAT))) < EVEN) return [];
  return inside(L, Uint8Array.from(depth, (d) => Number(d > 2)), ring, tone, MOST_LEAKS, deeper - 1);
}

/** The pixels whose eight neighbors are in a mask as well. */
function eroded(mask, h, w) {
  const out = new Uint8Array(h * w);
  for (let y = 1; y < h - 1; y++) {
    for (let x = 1; x < w - 1; x++) {
      let all = 1;
      for (let down = -w; down <= w; down += w) {
        const i = y * w + x + down;
        all &= mask[i - 1] & mask[i] & mask[i + 1];
      }
      out[y * w + x] = all;
    }
  }
  return out;
}

/** The allowed pixels that seeds reach by steps to the four sides. */
function reached(seeds, allowed, h, w) {
  const out = seeds.map((on, i) => on & allowed[i]);
  const waiting = [];
  out.forEach((on, i) => on && waiting.push(i));
  const step = (i) => {
    if (out[i] || !allowed[i]) return;
    out[i] = 1;
    waiting.push(i);
  };
  while (waiting.length) {
    const i = waiting.pop();
    const x = i % w;
    if (x > 0) step(i - 1);
    if (x < w - 1) step(i + 1);
    if (i >= w) step(i - w);
    if (i < (h - 1) * w) step(i + w);
  }
  return out;
}

/** The four straight borders of a picture; null if one of them is not straight. */
function borders(part, h, w, leaks) {
  const lines = [];
  for (const [axis, far] of [[0, false], [0, true], [1, false], [1, true]]) {
    const [rows, columns] = axis === 0 ? [h, w] : [w, h];
    // For each column of the turned part, its first row; -1 where it has none.
    const first = Array.from({ length: columns }, (_, column) => {
      for (let row = 0; row < rows; row++) {
        const at = far ? rows - 1 - row : row;
        if (part[axis === 0 ? at * w + column : column * w + at]) return row;
      }
      return -1;
    });
    const line = lineOf(first, leaks);
    if (!line) return null;
    const [slope, start] = line;
    // In the turned picture: y - slope x - start > 0 inside.
    const norm = Math.hypot(1, slope);
    let [along, across, c] = [-slope / norm, 1 / norm, -start / norm];
    if (far) [across, c] = [-across, c + across * rows];
    lines.push(axis === 0 ? [along, across, c] : [across, along, c]);
  }
  return lines;
}

/** [slope, start] of the upper border of a picture; null if it is not straight. */
function lineOf(firsts, leaks) {
  const there = [...firsts.keys()].filter((column) => firsts[column] >= 0);
  const cut = even(CORNER * there.length);
  const columns = there.slice(cut, there.length - cut);
  if (columns.length < 8) return null;
  const x = columns.map((column) => column + 0.5);
  const first = columns.map((column) => firsts[column]);
  // Leaks lead inwards only, so the line begins among the outermost points.
  const anchors = Array.from({ length: 8 }, (_, k) => {
    const [size, more] = [Math.trunc(x.length / 8), x.length % 8];
    const from = k * size + Math.min(k, more);
    const stop = from + size + (k < more ? 1 : 0);
    return [mean(x.slice(from, stop)), percentile(first.slice(from, stop), 20)];
  });
  const slopes = [];
  for (let i = 0; i < 8; i++) {
    for (let j = i + 1; j < 8; j++) slopes.push((anchors[j][1] - anchors[i][1]) / (anchors[j][0] - anchors[i][0]));
  }
  let slope = median(slopes);
  let start = median(anchors.map(([ax, ay]) => ay - slope * ax));
  const nearest = () => x.map((at, i) => Math.abs(first[i] - slope * at - start) <= STRAIGHT);
  const enough = (near) => mean(near.map(Number)) >= 1 - leaks;
  for (let round = 0; round < 4; round++) {
    const near = nearest();
    if (!enough(near)) return null;
    [slope, start] = fitLine(x.filter((_, i) => near[i]), first.filter((_, i) => near[i]));
  }
  return enough(nearest()) && Math.abs(slope) <= MOST_TILT ? [slope, start] : null;
}

function fitLine(x, y) {
  const [mx, my] = [mean(x), mean(y)];
  const [sxx, sxy] = [mean(x.map((v) => (v - mx) ** 2)), mean(x.map((v, i) => (v - mx) * (y[i] - my)))];
  const slope = sxy / sxx;
  return [slope, my - slope * mx];
}
