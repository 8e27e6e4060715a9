// What a user says about the photo, checked and as places in shares of it: hints.py.

import { labOf } from "./color.js";
import { Refused } from "./refused.js";
import { even } from "./upsample.js";

export const MOST_HINTS = 200;
const MOST_POINTS = 200;
const MOST_REACH = 4;
const MARKS = 12;

const f32 = Math.fround;

export class Place {
  /** x and y in [0, 1); `line` is the points [x, y] of a stroke or, where it is closed, of an outline; or null. */
  constructor(x, y, ab, reach, strength, line, closed) {
    Object.assign(this, { x, y, ab, reach, strength, line, closed });
  }

  /** [row, column] of the spot. */
  pixel(height, width) { return [Math.trunc(this.y * height), Math.trunc(this.x * width)]; }

  /** The pixels that have the color, as flat indices in their order. */
  seeds(height, width) {
    let found = [];
    if (this.line && this.closed) found = surrounded(this.line, height, width);
    else if (this.line) {
      found = [...new Set(along(this.line, height, width).map(([row, column]) => row * width + column))];
      found.sort((one, other) => one - other);
    }
    if (found.length) return found;
    const [row, column] = this.pixel(height, width);
    return [row * width + column];
  }

  /** The pixels [row, column], few and spread evenly, at which the network is told. */
  marks(height, width) {
    if (!this.line) return [this.pixel(height, width)];
    const all = this.closed
      ? this.seeds(height, width).map((i) => [Math.trunc(i / width), i % width]) : along(this.line, height, width);
    const count = Math.min(MARKS, all.length);
    const few = new Map();
    for (let i = 0; i < count; i++) {
      const at = all[count === 1 ? 0 : even((i * (all.length - 1)) / (count - 1))];
      few.set(at.join(), at);
    }
    return [...few.values()];
  }
}

/** [row, column] of the pixels along a line, in its order. */
function along(line, height, width) {
  const points = line.map(([x, y]) => [f32(f32(x) * width), f32(f32(y) * height)]);
  const found = [points[0]];
  for (let i = 1; i < points.length; i++) {
    const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
    const steps = Math.max(1, Math.ceil(2 * Math.max(Math.abs(f32(x1 - x0)), Math.abs(f32(y1 - y0)))));
    for (let step = 1; step <= steps; step++) {
      const share = f32(step / steps);
      found.push([f32(x0 + f32(share * f32(x1 - x0))), f32(y0 + f32(share * f32(y1 - y0)))]);
    }
  }
  const within = (value, size) => Math.min(Math.max(Math.trunc(value), 0), size - 1);
  return found.map(([x, y]) => [within(y, height), within(x, width)]);
}

/** The flat indices of pixels whose centers an outline surrounds: to their left, its edges are odd in number. */
function surrounded(outline, height, width) {
  const points = outline.map(([x, y]) => [f32(f32(x) * width), f32(f32(y) * height)]);
  const inside = new Uint8Array(height * width);
  points.forEach(([x0, y0], i) => {
    const [x1, y1] = points[(i + 1) % points.length];
    if (y0 === y1) return;
    for (let row = 0; row < height; row++) {
      const y = row + 0.5;
      if ((y0 <= y) === (y1 <= y)) continue;
      const at = f32(x0 + f32(f32(y - y0) * f32(f32(x1 - x0) / f32(y1 - y0))));
      for (let x = Math.max(0, Math.floor(at)); x < width; x++) if (x + 0.5 > at) inside[row * width + x] ^= 1;
    }
  });
  const found = [];
  inside.forEach((on, i) => on && found.push(i));
  return found;
}

/** The places of hints for a photo of (height, width); a Refused says what is wrong with one. */
export function checkHints(hints, [height, width]) {
  if (!Array.isArray(hints)) throw new Refused(422, "hints: must be a list");
  if (hints.length > MOST_HINTS) throw new Refused(422, `hints: ${hints.length} are over the limit of ${MOST_HINTS}`);
  return hints.map((hint, index) => checked(`hint ${index + 1}`, hint, height, width));
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function checked(called, { x, y, color, reach = 1, strength = 1, stroke = [], region = [] }, height, width) {
  const refuse = (problem, remedy) => { throw new Refused(422, `${called}: ${problem}`, remedy); };
  const points = region.length ? region : stroke;
  for (const [px, py] of [[x, y], ...points]) {
    if (!isNumber(px) || !isNumber(py) || px < 0 || px >= width || py < 0 || py >= height) {
      refuse(`(${px}, ${py}) is outside the photo, which has ${width} x ${height} pixels`);
    }
  }
  const isColor = Array.isArray(color) && color.length === 3 && color.every((v) => isNumber(v) && v >= 0 && v <= 255);
  if (!isColor) refuse("has no color", "give r, g, b from 0 to 255");
  if (!isNumber(reach) || reach < 0 || reach > MOST_REACH) refuse(`its reach of ${reach} must be from 0 to ${MOST_REACH}`);
  if (!isNumber(strength) || strength < 0 || strength > 1) refuse(`its strength of ${strength} must be from 0 to 1`);
  if (stroke.length && region.length) refuse("is both a stroke and a region", "make two hints of it");
  if (region.length && region.length < 3) refuse("a region needs at least 3 points");
  if (points.length > MOST_POINTS) refuse(`has ${points.length} points, more than ${MOST_POINTS}`, "leave some out");
  const share = ([px, py]) => [Math.min((px + 0.5) / width, 1 - 1e-6), Math.min((py + 0.5) / height, 1 - 1e-6)];
  const [, a, b] = labOf(...color.map((v) => f32(f32(v) / 255)));
  const line = points.length ? points.map(share) : null;
  return new Place(...share([x, y]), [f32(a), f32(b)], reach, strength, line, region.length > 0);
}
