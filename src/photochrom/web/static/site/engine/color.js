// sRGB and CIE L*a*b*, as in color/lab.py, which explains and cites each formula.

import * as kernel from "./kernel.js";

const XYZ_FROM_RGB = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];
const XYZ_N = XYZ_FROM_RGB.map((row) => row.map((value) => value / (row[0] + row[1] + row[2])));
const DELTA = 6 / 29;

function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const whole = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  return [
    e * i - f * h, c * h - b * i, b * f - c * e,
    f * g - d * i, a * i - c * g, c * d - a * f,
    d * h - e * g, b * g - a * h, a * e - b * d,
  ].map((value) => value / whole);
}

/** float32 (9): X/Xn, Y/Yn, Z/Zn to linear rgb. */
export const RGB_FROM_RATIOS = Float32Array.from(inverse(XYZ_N));

const decoded = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const f = (t) => (t > DELTA ** 3 ? Math.cbrt(t) : t / (3 * DELTA ** 2) + 4 / 29);

const tables = new Map();

function table(bytes, what) {
  const name = `${bytes} ${what}`;
  if (!tables.has(name)) {
    const top = 256 ** bytes - 1;
    const entry = what === "L" ? (v) => 116 * f(decoded(v)) - 16 : decoded;
    tables.set(name, Float32Array.from({ length: top + 1 }, (_, code) => entry(code / top)));
  }
  return tables.get(name);
}

/** L, 0..100, of codes with 8 or 16 bits: gray ones (n), or rgb (n, 3). */
export function lightnessOf(codes, channels) {
  const bytes = codes.BYTES_PER_ELEMENT;
  if (channels === 1) return kernel.lookedUp(codes, table(bytes, "L"));
  return kernel.lightness(codes, table(bytes, "linear"), XYZ_N[1][0], XYZ_N[1][2]);
}

/** [L, a, b] of r, g, b in 0..1. */
export function labOf(r, g, b) {
  const [lr, lg, lb] = [decoded(r), decoded(g), decoded(b)];
  // Exact for gray, whose differences are 0.
  const [fx, fy, fz] = XYZ_N.map((row) => f(lg + row[0] * (lr - lg) + row[2] * (lb - lg)));
  return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)];
}

/** Encoded sRGB (n, 3) with the same L; colors outside sRGB lose chroma. ab is (n, 2). */
export const fitGamut = (L, ab, Type = Uint8Array) => kernel.fitGamut(L, ab, RGB_FROM_RATIOS, Type);

/** [r, g, b] in 0..255 of one color. */
export const colorOf = (L, a, b) => [...fitGamut(Float32Array.of(L), Float32Array.of(a, b))];
