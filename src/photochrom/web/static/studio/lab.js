// sRGB (0..255) and CIE L*a*b*, D65. As in color/lab.py the white is the matrix's own, so gray has a = b = 0.

const TO_XYZ = [
  [0.4124564, 0.3575761, 0.1804375],
  [0.2126729, 0.7151522, 0.0721750],
  [0.0193339, 0.1191920, 0.9503041],
];
const TO_RGB = [
  [3.2404542, -1.5371385, -0.4985314],
  [-0.9692660, 1.8760108, 0.0415560],
  [0.0556434, -0.2040259, 1.0572252],
];
const WHITE = TO_XYZ.map((row) => row[0] + row[1] + row[2]);
const E = 6 / 29;

const times = (matrix, v) => matrix.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);
const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const encoded = (v) => (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055);
const f = (t) => (t > E ** 3 ? Math.cbrt(t) : t / (3 * E * E) + 4 / 29);
const inverse = (t) => (t > E ? t ** 3 : 3 * E * E * (t - 4 / 29));

/** [L, a, b] of [r, g, b]. */
export function labOf(rgb) {
  const [x, y, z] = times(TO_XYZ, rgb.map((v) => linear(v / 255))).map((v, i) => f(v / WHITE[i]));
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** [r, g, b] in 0..255, not rounded and perhaps beyond. */
function rgbOf(L, a, b) {
  const y = (L + 16) / 116;
  const xyz = [y + a / 500, y, y - b / 200].map((v, i) => WHITE[i] * inverse(v));
  return times(TO_RGB, xyz).map((v) => 255 * encoded(v));
}

const shows = (rgb) => rgb.every((v) => v > -0.5 && v < 255.5);

/** The color of that lightness and hue, with as much of its chroma as sRGB has: integers 0..255. */
export function fitted(L, a, b) {
  let keep = 1;
  if (!shows(rgbOf(L, a, b))) {
    let low = 0;
    let high = 1;
    for (let step = 0; step < 12; step++) {
      keep = (low + high) / 2;
      if (shows(rgbOf(L, keep * a, keep * b))) low = keep;
      else high = keep;
    }
    keep = low;
  }
  return rgbOf(L, keep * a, keep * b).map((v) => Math.round(Math.min(Math.max(v, 0), 255)));
}

/**
 * A color for a hint with this ab. Of a hint only a and b count, so it takes the lightness nearest
 * to the spot's at which sRGB can say them: in deep shadow every color is nearly black.
 */
export function hintColor(L, a, b) {
  const start = Math.min(Math.max(L, 35), 85);
  for (let off = 0; off <= 60; off += 5) {
    for (const tried of [start + off, start - off]) {
      if (tried > 5 && tried < 98 && shows(rgbOf(tried, a, b))) return fitted(tried, a, b);
    }
  }
  return fitted(60, a, b);
}

export const hex = (rgb) =>
  `#${rgb.map((v) => Math.round(v).toString(16).padStart(2, "0")).join("")}`;
export const ofHex = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
export const css = (rgb) => `rgb(${rgb.map(Math.round).join(" ")})`;

// Hue angles in the ab plane at which a name ends.
const HUES = [
  [8, "pinkish red"], [38, "red"], [62, "orange"], [82, "amber"], [106, "yellow"],
  [130, "yellowish green"], [168, "green"], [205, "teal"], [245, "sky blue"], [288, "blue"],
  [318, "violet"], [345, "magenta"], [361, "pinkish red"],
];

/** How strong a color is and which hue it has, in numbers, where names do not tell two apart. */
export function measured(a, b) {
  const strength = Math.round(Math.hypot(a, b));
  if (strength === 0) return "strength 0";
  return `strength ${strength}, hue ${Math.round((Math.atan2(b, a) * 180 / Math.PI + 360) % 360)}°`;
}

/** What one would call a color: "dark brown". */
export function nameOf(rgb) {
  const [L, a, b] = labOf(rgb);
  const shade = L < 30 ? "dark " : L > 78 ? "light " : "";
  const chroma = Math.hypot(a, b);
  if (chroma < 6) return L < 12 ? "black" : L > 95 ? "white" : `${shade}gray`;
  const angle = (Math.atan2(b, a) * 180 / Math.PI + 360) % 360;
  const hue = HUES.find(([end]) => angle < end)[1];
  if (["orange", "amber"].includes(hue) && chroma < 45) return L > 70 ? "beige" : `${shade}brown`;
  // What is yellow in the light is seldom called so in the shade.
  if (hue === "yellow" && (chroma < 45 || L < 60)) return L > 78 ? "cream" : L < 45 ? `${shade}olive` : "khaki";
  if (hue === "red" && chroma < 30 && L > 65) return "pale pink";
  return `${chroma < 16 ? "grayish " : ""}${shade}${hue}`;
}
