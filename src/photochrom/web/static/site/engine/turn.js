// Pictures turned and cropped: {codes, h, w, channels, alpha}, where alpha may be null.

import { Refused } from "./refused.js";

/** A picture as it is to be seen, of one that was stored with an orientation 1..8. */
export function turned({ codes, h, w, channels, alpha }, orientation) {
  if (!(orientation > 1 && orientation <= 8)) return { codes, h, w, channels, alpha };
  const sideways = orientation > 4;
  const [H, W] = sideways ? [w, h] : [h, w];
  const place = {
    2: (y, x) => [y, w - 1 - x], 3: (y, x) => [h - 1 - y, w - 1 - x], 4: (y, x) => [h - 1 - y, x],
    5: (y, x) => [x, y], 6: (y, x) => [h - 1 - x, y], 7: (y, x) => [h - 1 - x, w - 1 - y], 8: (y, x) => [x, w - 1 - y],
  }[orientation];
  const out = new codes.constructor(codes.length);
  const clear = alpha && new alpha.constructor(alpha.length);
  for (let y = 0; y < H; y++) {
    for (let x = 0; x < W; x++) {
      const [row, column] = place(y, x);
      const [to, from] = [y * W + x, row * w + column];
      for (let c = 0; c < channels; c++) out[to * channels + c] = codes[from * channels + c];
      if (alpha) clear[to] = alpha[from];
    }
  }
  return { codes: out, h: H, w: W, channels, alpha: clear };
}

const ORIENTATIONS = { 0: 1, 90: 6, 180: 3, 270: 8 };

/**
 * A picture turned, and then cropped: photo/framing.py.
 *
 * @param {number} frame.turn degrees clockwise
 * @param frame.left, frame.top, frame.width, frame.height of the crop, in pixels of the turned picture; null: to the edge
 */
export function framed(picture, { turn, left, top, width, height }) {
  if (!(turn in ORIENTATIONS)) throw new Refused(422, "turn: must be 0, 90, 180 or 270");
  const whole = turned(picture, ORIENTATIONS[turn]);
  const [x, y] = [left ?? 0, top ?? 0];
  const [w, h] = [width ?? whole.w - x, height ?? whole.h - y];
  if (!(w > 0 && h > 0 && x + w <= whole.w && y + h <= whole.h)) {
    throw new Refused(422, `the crop is not inside the photo, which has ${whole.w} x ${whole.h} pixels`);
  }
  if (w === whole.w && h === whole.h) return whole;
  const { channels } = whole;
  const cut = (values, step) => {
    const out = new values.constructor(h * w * step);
    for (let row = 0; row < h; row++) {
      const from = ((y + row) * whole.w + x) * step;
      out.set(values.subarray(from, from + w * step), row * w * step);
    }
    return out;
  };
  return { codes: cut(whole.codes, channels), h, w, channels, alpha: whole.alpha && cut(whole.alpha, 1) };
}
