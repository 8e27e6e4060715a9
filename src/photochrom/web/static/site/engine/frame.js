// The photo as the network sees it: frame.py.

import { areaShrink } from "./resize.js";
import { even } from "./upsample.js";

const STRIDE = 4;
const MAX_ASPECT = 6;
const HINT_RADIUS = 1;

const padded = (side, multiple) => Math.ceil(side / multiple) * multiple;

/** From which pixel to which, widened to whole cells. */
function span(low, high, size) {
  const last = Math.ceil(size / STRIDE);
  const first = Math.min(Math.trunc((low * size) / STRIDE), last - 1);
  return [STRIDE * first, Math.min(size, STRIDE * Math.max(first + 1, Math.ceil((high * size) / STRIDE - 1e-6)))];
}

/** From which pixel to which, without those that are partly margin. */
function inner(low, high, size) {
  const first = Math.min(Math.ceil(low * size - 1e-6), size - 1);
  return [first, Math.max(first + 1, Math.trunc(high * size + 1e-6))];
}

/**
 * The photo at the network's scale, height x width, and the part of it that the network sees, `window`
 * and `content` as [top, left, bottom, right], padded to rows x columns.
 */
export function frameOf([photoHeight, photoWidth], size, multiple, box = null) {
  const [top, left, bottom, right] = box ?? [0, 0, 1, 1];
  const inside = [Math.max(1, photoHeight * (bottom - top)), Math.max(1, photoWidth * (right - left))];
  const aspect = Math.min(Math.max(...inside) / Math.min(...inside), MAX_ASPECT);
  const other = Math.max(size, STRIDE * even((size * aspect) / STRIDE));
  let [height, width] = inside[0] <= inside[1] ? [size, other] : [other, size];
  if (box) {
    height = Math.max(STRIDE, STRIDE * even(height / (bottom - top) / STRIDE));
    width = Math.max(STRIDE, STRIDE * even(width / (right - left) / STRIDE));
  }
  const [down, across] = [span(top, bottom, height), span(left, right, width)];
  const [rows, columns] = [down, across].map(([first, stop]) => padded(stop - first, multiple));
  const content = [inner(top, bottom, height), inner(left, right, width)];
  return {
    height, width, rows, columns,
    window: [down[0], across[0], down[1], across[1]],
    content: [content[0][0], content[1][0], content[0][1], content[1][1]],
  };
}

/** The same scale, but the network sees all of the photo. */
export function wholeOf({ height, width }, multiple) {
  const box = [0, 0, height, width];
  return { height, width, rows: padded(height, multiple), columns: padded(width, multiple), window: box, content: box };
}

/** The network's input, Float32Array (channels, rows, columns): normalized L, and the places of hints. */
export function networkInput(L, frame, info, places) {
  const small = areaShrink(L, frame.height, frame.width);
  const { rows, columns, window: [top, left, bottom, right], content } = frame;
  const [h, w] = [bottom - top, right - left];
  // Mirrored, if there is enough to mirror: a hard black edge would look like an object.
  const mirrored = rows - h <= h && columns - w <= w;
  const beyond = (i, side) => (i < side ? i : mirrored ? 2 * side - 1 - i : side - 1);
  const held = (i, low, high) => Math.min(Math.max(i, low), high - 1);
  const n = rows * columns;
  const x = new Float32Array(info.channels * n);
  for (let y = 0; y < rows; y++) {
    const row = held(top + beyond(y, h), content[0], content[2]);
    for (let z = 0; z < columns; z++) {
      const column = held(left + beyond(z, w), content[1], content[3]);
      x[y * columns + z] = (small.data[row * small.w + column] - info.L_center) / info.L_scale;
    }
  }
  if (info.channels < 4) return x;
  const [off, on] = info.hint_mask ?? [0, 1];
  x.fill(off, 3 * n);
  for (const place of places) {
    for (const [down, across] of place.marks(frame.height, frame.width)) {
      const [row, column] = [down - top, across - left];
      for (let y = Math.max(0, row - HINT_RADIUS); y <= Math.min(rows - 1, row + HINT_RADIUS); y++) {
        for (let z = Math.max(0, column - HINT_RADIUS); z <= Math.min(columns - 1, column + HINT_RADIUS); z++) {
          const at = y * columns + z;
          x[n + at] = place.ab[0] / info.ab_scale;
          x[2 * n + at] = place.ab[1] / info.ab_scale;
          x[3 * n + at] = on;
        }
      }
    }
  }
  return x;
}

/** The L of a network input at the network's scale, a plane; 0 in margins. */
export function seenLightness(x, { height, width, columns, window: [top, left, bottom, right] }, info) {
  const data = new Float32Array(height * width);
  for (let y = top; y < bottom; y++) {
    for (let z = left; z < right; z++) {
      data[y * width + z] = Math.fround(x[(y - top) * columns + z - left] * info.L_scale) + info.L_center;
    }
  }
  return { data, h: height, w: width };
}
