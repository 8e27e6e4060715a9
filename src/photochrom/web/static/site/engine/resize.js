// Resizing as in color/resize.py: area means to shrink, linear interpolation to enlarge. A plane is
// {data: Float32Array, h, w}.

import * as kernel from "./kernel.js";

const AT_ONCE = 1 << 20; // pixels of an image that are in the kernel at a time

/** The first of the two of `size` pixels around each of `target`, and the share of the second. */
export function between(size, target) {
  const [first, share] = [new Int32Array(target), new Float32Array(target)];
  for (let i = 0; i < target; i++) {
    const place = Math.min(Math.max((i + 0.5) * (size / target) - 0.5, 0), size - 1);
    first[i] = Math.trunc(place);
    share[i] = place - first[i];
  }
  return { first, share };
}

/** Rows (n, w) enlarged to (n, W), as an array. */
export const grow = (data, w, W) => kernel.grown(data, data.length / w, w, W);

function transposed({ data, h, w }) {
  const out = new Float32Array(h * w);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) out[x * h + y] = data[y * w + x];
  return { data: out, h: w, w: h };
}

/** The row of the image that the area of row i begins in, as the kernel cuts. */
const cut = (i, size, target) => (i === target ? size : Math.trunc(Math.min(i * (size / target), size)));

/**
 * An image (H, W) reduced by area to (h, w), neither of them larger. rows(first, stop) returns rows of
 * the image, so that it need not be there as a whole.
 */
export function shrinkRows(rows, H, W, h, w) {
  const out = new Float32Array(h * w);
  const step = Math.max(1, Math.floor((AT_ONCE / W) * (h / H)));
  for (let top = 0; top < h; top += step) {
    const n = Math.min(step, h - top);
    const first = cut(top, H, h);
    const stop = Math.min(H, cut(top + n, H, h) + 1);
    out.set(kernel.shrunk(rows(first, stop), first, H, W, h, w, top, n), top * w);
  }
  return { data: out, h, w };
}

/** A plane with the size (h, w): by the area's mean along a side that shrinks, linearly along one that grows. */
export function areaShrink(plane, h, w) {
  const { h: H, w: W } = plane;
  if (h === H && w === W) return plane;
  const rows = ({ data, w: width }) => (first, stop) => data.subarray(first * width, stop * width);
  let now = plane;
  if (h <= H && w <= W) return shrinkRows(rows(plane), H, W, h, w);
  if (h <= H) now = shrinkRows(rows(now), H, W, h, W);
  if (w <= W) now = shrinkRows(rows(now), now.h, W, now.h, w);
  else now = { data: grow(now.data, W, w), h: now.h, w };
  if (h > H) {
    const turned = transposed(now);
    now = transposed({ data: grow(turned.data, turned.w, h), h: turned.h, w: h });
  }
  return now;
}

/** The mean over 3 x 3 pixels, edges repeated, of each plane of data (..., h, w). */
export function boxMean(data, h, w) {
  const out = new Float32Array(data.length);
  const across = new Float32Array(h * w);
  for (let from = 0; from < data.length; from += h * w) {
    for (let y = 0; y < h; y++) {
      const row = from + y * w;
      for (let x = 0; x < w; x++) {
        across[y * w + x] = data[row + Math.max(x - 1, 0)] + data[row + x] + data[row + Math.min(x + 1, w - 1)];
      }
    }
    for (let y = 0; y < h; y++) {
      const [above, below] = [Math.max(y - 1, 0) * w, Math.min(y + 1, h - 1) * w];
      for (let x = 0; x < w; x++) {
        out[from + y * w + x] = Math.fround(across[above + x] + across[y * w + x] + across[below + x]) / 9;
      }
    }
  }
  return out;
}
