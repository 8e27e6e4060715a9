// The kernel, compiled from the same C as Python's (color/_kernel.h): what takes a pass over every
// pixel. Each call copies its arrays in, and its result out: what the kernel holds is gone after it.

const FLOAT = 4; // bytes

let wasm = null;

/** Has to be done once, before anything else here. `module` is the bytes of kernel.wasm. */
export async function loadKernel(module) {
  const { instance } = await WebAssembly.instantiate(module, {});
  wasm = instance.exports;
}

/** Room in the kernel for so many bytes. */
function room(bytes) {
  const at = wasm.room(bytes);
  if (at === 0) throw new RangeError("out of memory");
  return at;
}

function put(array) {
  const at = room(array.byteLength);
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  new Uint8Array(wasm.memory.buffer, at, array.byteLength).set(bytes);
  return at;
}

/** A copy of `count` numbers in the kernel. */
const take = (at, count, Type = Float32Array) => new Type(wasm.memory.buffer, at, count).slice();

/** What act() returns; the room that it took is free again. */
function within(act) {
  const from = wasm.room(0);
  try {
    return act();
  } finally {
    wasm.release(from);
  }
}

/** Encoded sRGB (n, 3) of L (n) and ab (n, 2), in the type of `Type`: color.lab.fit_gamut. */
export const fitGamut = (L, ab, matrix, Type) => within(() => {
  const size = Type.BYTES_PER_ELEMENT;
  const out = room(3 * L.length * size);
  wasm.fit_gamut(put(L), put(ab), put(matrix), L.length, out, size);
  return take(out, 3 * L.length, Type);
});

/** The table's entry for each code, which has 8 or 16 bits: color.lab.gray_to_L. */
export const lookedUp = (codes, table) => within(() => {
  const out = room(FLOAT * codes.length);
  wasm.looked_up(put(codes), codes.BYTES_PER_ELEMENT, put(table), codes.length, out);
  return take(out, codes.length);
});

/** L of codes (n, 3), from a table to linear light and the weights of red and blue: color.lab.rgb_to_L. */
export const lightness = (codes, table, red, blue) => within(() => {
  const n = codes.length / 3;
  const out = room(FLOAT * n);
  wasm.lightness(put(codes), codes.BYTES_PER_ELEMENT, put(table), red, blue, n, out);
  return take(out, n);
});

/** The annealed mean (n, 2) of logits (Q, n): color.bins.annealed_mean. */
export const annealed = (logits, bins, temperature) => within(() => {
  const Q = bins.length / 2;
  const n = logits.length / Q;
  const out = room(2 * FLOAT * n);
  wasm.annealed(put(logits), put(bins), 1 / (temperature * Math.LN2), Q, n, out);
  return take(out, 2 * n);
});

/**
 * Rows top..top + n of an image (H, W) reduced by area to (h, w): color.resize.area_shrink. `rows` are
 * those of the image from the row `first` on, as many as are needed.
 */
export const shrunk = (rows, first, H, W, h, w, top, n) => within(() => {
  const [sum, cuts, shares] = [room(FLOAT * W), room(FLOAT * (w + 1)), room(FLOAT * (w + 1))];
  const out = room(FLOAT * n * w);
  wasm.shrunk(put(rows), first, H, W, h, w, top, n, sum, cuts, shares, out);
  return take(out, n * w);
});

/** Rows (n, w) enlarged to (n, W): color.resize.grow. */
export const grown = (rows, n, w, W) => within(() => {
  const [firsts, shares, out] = [room(FLOAT * W), room(FLOAT * W), room(FLOAT * n * W)];
  wasm.grown(put(rows), n, w, W, firsts, shares, out);
  return take(out, n * W);
});

/** Shortens `length` (h, w), which is 0 at the seeds: color.geodesic.geodesic. */
export const geodesic = (costs, h, w, rounds, length) => within(() => {
  const at = put(length);
  wasm.geodesic(put(costs), h, w, rounds, at);
  return take(at, h * w);
});

/** See color.upsample._moments: (3, 3, 3, h, w), before what it does at the borders. */
export const moments = (guide, place, ofRows, ofColumns, h, w) => within(() => {
  const [rows, columns] = [ofRows.length / 3, ofColumns.length / 3];
  const [sums, out] = [room(12 * FLOAT * w * columns), room(27 * FLOAT * h * w)];
  wasm.moments(put(guide), put(place), put(ofRows), put(ofColumns), h, w, rows, columns, sums, out);
  return take(out, 27 * h * w);
});

/** The curves (2, 3, h, w) that give `wanted` (2, h, w): color.upsample.Upsampler.fit. */
export const fitted = (wanted, factors, gray, dials, h, w, steps, corrections) => within(() => {
  const [place, out] = [room(24 * FLOAT * h * w), room(6 * FLOAT * h * w)];
  wasm.fitted(put(wanted), put(factors), put(gray), put(dials), h, w, steps, corrections, place, out);
  return take(out, 6 * h * w);
});

/**
 * Large a and b (2, rows, W) of all rows of a photo: color.upsample.Upsampler.rows.
 *
 * @param place (2, h, W), and curves (2, 3, h, W)
 * @param {{h: number, W: number, height: number}} shape of small pixels, and of the photo
 */
export const followed = (place, curves, L, { h, W, height }) => within(() => {
  const out = room(2 * FLOAT * L.length);
  wasm.strip(put(place), put(curves), put(L), h, W, height, 0, height, 0, out, 0, 0);
  return take(out, 2 * L.length);
});

/**
 * Encoded sRGB of strips: color.upsample.Upsampler.paint.
 *
 * @param {Iterable<{first: number, L: Float32Array}>} strips their first rows, and L (n, W)
 * @param {(pixels, first: number) => void} use takes each strip (n, W, 3), which is gone after that
 */
export const painted = (place, curves, { h, W, height }, matrix, Type, strips, use) => within(() => {
  const [at, of, m] = [put(place), put(curves), put(matrix)];
  for (const { first, L } of strips) {
    within(() => {
      const out = room(3 * L.length * Type.BYTES_PER_ELEMENT);
      wasm.strip(at, of, put(L), h, W, L.length / W, first, height, m, 0, out, Type.BYTES_PER_ELEMENT);
      use(new Type(wasm.memory.buffer, out, 3 * L.length), first);
    });
  }
});

const JPEG_HEAD = 1024; // bytes that the head and the end have at most

/** A JPEG with full chroma of codes (h, w, 3) of 8 bits, as a list of its parts. */
export const jpeg = (codes, h, w, quality) => within(() => {
  const state = room(wasm.jpeg_size());
  const head = room(JPEG_HEAD);
  const parts = [take(head, wasm.jpeg_begun(state, h, w, quality, head), Uint8Array)];
  const step = 8 * Math.max(1, Math.floor((1 << 19) / (8 * w))); // whole blocks
  for (let row = 0; row < h; row += step) {
    within(() => {
      const rows = Math.min(step, h - row);
      // A sample of a block, also of one that sticks out, takes at most 26 bits, twice as many with zeros put in.
      const out = room(7 * 3 * (rows + 8) * (w + 8));
      const written = wasm.jpeg_rows(state, put(codes.subarray(3 * row * w, 3 * (row + rows) * w)), rows, w, out);
      parts.push(take(out, written, Uint8Array));
    });
  }
  parts.push(take(head, wasm.jpeg_ended(state, head), Uint8Array));
  return parts;
});
