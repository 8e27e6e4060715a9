// Whether a photo has colors of its own, or only a tone: tone.py, which explains it.

import { labOf } from "./color.js";
import { percentile } from "./margin.js";
import { solve } from "./solve.js";

export const OWN_COLOR = 6.5;
export const SIDE = 160;
const KNOTS = 9;

/** How far the most colorful twentieth of the pixels is from the photo's tone; planes r, g, b of 0..1. */
export function ownColor([red, green, blue]) {
  const { h, w } = red;
  const lab = Array.from(red.data, (r, i) => labOf(r, green.data[i], blue.data[i]));
  const along = (i, size) => (size === 1 ? -1 : -1 + (2 * i) / (size - 1));
  const known = lab.map(([L], i) => {
    const [y, x] = [along(Math.trunc(i / w), h), along(i % w, w)];
    const tone = Array.from({ length: KNOTS }, (_, k) =>
      Math.max(0, 1 - Math.abs(L - (100 * k) / (KNOTS - 1)) / (100 / (KNOTS - 1))));
    // And smooth over the page, as old paper yellows.
    return [...tone, x, y, x * x, x * y, y * y];
  });
  const size = KNOTS + 5;
  const square = Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_v, j) => (i === j ? 1e-5 * lab.length : 0)));
  const right = Array.from({ length: size }, () => [0, 0]);
  known.forEach((row, pixel) => {
    for (let i = 0; i < size; i++) {
      if (row[i] === 0) continue;
      for (let j = 0; j < size; j++) square[i][j] += row[i] * row[j];
      right[i][0] += row[i] * lab[pixel][1];
      right[i][1] += row[i] * lab[pixel][2];
    }
  });
  const factors = solve(square, right);
  return percentile(known.map((row, pixel) => {
    const [a, b] = [0, 1].map((c) => lab[pixel][1 + c] - row.reduce((sum, v, i) => sum + v * factors[i][c], 0));
    return Math.hypot(a, b);
  }), 95);
}
