// TIFF files (TIFF 6.0), as scanners write them: gray or RGB of 8 or 16 bits, in strips or tiles, packed by
// LZW, Deflate or PackBits or not at all. The browser itself reads none.

import { Refused } from "./refused.js";
import { turned } from "./turn.js";

const TAG = {
  WIDTH: 256, HEIGHT: 257, BITS: 258, PACKING: 259, MEANING: 262, OFFSETS: 273, ORIENTATION: 274, SAMPLES: 277, ROWS: 278,
  SIZES: 279, PLANES: 284, PREDICTOR: 317, TILE_WIDTH: 322, TILE_HEIGHT: 323, TILE_OFFSETS: 324, TILE_SIZES: 325,
  EXTRA: 338, KIND: 339, XMP: 700, PROFILE: 34675,
};
const SIZE_OF = { 1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4 }; // bytes of a value, by its type
const MOST_VALUES = 1 << 22;
const PROGRAM = "color it with the program photochrom, or save it as JPEG or PNG first";

const damaged = () => new Refused(422, "the TIFF is damaged");
const beyond = (what) => new Refused(415, `this page cannot read TIFF files ${what}`, PROGRAM);

/** {tags: Map of tag → numbers, little, more: whether there are more pages} of the first page. */
function pageOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = bytes[0] === 0x49;
  const [u16, u32] = [(at) => view.getUint16(at, little), (at) => view.getUint32(at, little)];
  if (u16(2) === 43) throw beyond("of the kind BigTIFF");
  if (u16(2) !== 42) throw damaged();
  const start = u32(4);
  const count = u16(start);
  const tags = new Map();
  for (let i = 0; i < count; i++) {
    const entry = start + 2 + 12 * i;
    const [type, values] = [u16(entry + 2), u32(entry + 4)];
    const size = SIZE_OF[type];
    if (!size || values > MOST_VALUES) continue;
    const at = size * values > 4 ? u32(entry + 8) : entry + 8;
    if (at + size * values > bytes.length) throw damaged();
    const tag = u16(entry);
    if ([TAG.XMP, TAG.PROFILE].includes(tag)) tags.set(tag, bytes.subarray(at, at + size * values));
    else tags.set(tag, Array.from({ length: values }, (_, k) => (size === 1 ? bytes[at + k] : size === 2 ? u16(at + 2 * k) : u32(at + 4 * k))));
  }
  return { tags, little, more: u32(start + 2 + 12 * count) !== 0 };
}

/** {h, w} of a file, before anything is unpacked. */
export function tiffSize(bytes) {
  try {
    const { tags } = pageOf(bytes);
    return { w: tags.get(TAG.WIDTH)?.[0] ?? 0, h: tags.get(TAG.HEIGHT)?.[0] ?? 0 };
  } catch (error) {
    throw error instanceof RangeError ? damaged() : error;
  }
}

/** What PackBits packed, as many bytes. */
function unpackBits(bytes, size) {
  const out = new Uint8Array(size);
  for (let at = 0, to = 0; at < bytes.length && to < size;) {
    const n = bytes[at++];
    if (n < 128) {
      out.set(bytes.subarray(at, Math.min(at + n + 1, at + size - to)), to);
      at += n + 1;
      to += n + 1;
    } else if (n > 128) {
      out.fill(bytes[at++], to, to + 257 - n);
      to += 257 - n;
    }
  }
  return out;
}

/** What LZW packed, as many bytes (TIFF 6.0, section 13). */
function unpackLzw(bytes, size) {
  const out = new Uint8Array(size);
  const [CLEAR, END] = [256, 257];
  // A word is where it ended when it was first written, and how long it was.
  const [starts, lengths] = [new Int32Array(4097), new Int32Array(4097)];
  let [held, bits, at, to, width, next, last] = [0, 0, 0, 0, 9, 258, -1];
  while (to < size) {
    while (bits < width && at < bytes.length) {
      held = ((held << 8) | bytes[at++]) & 0xffffff;
      bits += 8;
    }
    if (bits < width) break;
    const code = (held >> (bits - width)) & ((1 << width) - 1);
    bits -= width;
    if (code === END) break;
    if (code === CLEAR) {
      [width, next, last] = [9, 258, -1];
      continue;
    }
    const from = to;
    if (code < 256) out[to++] = code;
    else {
      if (code > next || (code === next && last < 0)) throw damaged();
      const isNew = code === next;
      const [start, length] = isNew ? [starts[4096], lengths[4096]] : [starts[code], lengths[code]];
      for (let i = 0; i < length && to < size; i++) out[to++] = out[start + i];
      if (isNew && to < size) out[to++] = out[start];
    }
    if (last >= 0 && next < 4096) {
      // The word before, and the first letter of this one, which follows it.
      [starts[next], lengths[next]] = [starts[4096], lengths[4096] + 1];
      next++;
    }
    [starts[4096], lengths[4096], last] = [from, to - from, code];
    if (next >= (1 << width) - 1 && width < 12) width++;
  }
  return out;
}

async function inflated(bytes, size) {
  const out = new Uint8Array(size);
  try {
    const reply = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")));
    out.set(new Uint8Array(await reply.arrayBuffer()).subarray(0, size));
  } catch {
    throw damaged();
  }
  return out;
}

async function unpacked(bytes, packing, size) {
  if (packing === 1) return bytes.length >= size ? bytes.slice(0, size) : Object.assign(new Uint8Array(size), bytes);
  if (packing === 5) return unpackLzw(bytes, size);
  if (packing === 8 || packing === 32946) return inflated(bytes, size);
  return unpackBits(bytes, size);
}

/** Numbers of a piece, in the machine's order, without the predictor. */
function numbersOf(piece, deep, little, predictor, columns, step) {
  let codes = piece;
  if (deep) {
    const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
    codes = Uint16Array.from({ length: piece.length >> 1 }, (_, i) => view.getUint16(2 * i, little));
  }
  if (predictor === 2) {
    for (let row = 0; row < codes.length; row += columns * step) {
      for (let i = row + step; i < row + columns * step; i++) codes[i] += codes[i - step];
    }
  }
  return codes;
}

/** {codes, h, w, channels, alpha, xmp, profiled, pages: whether there are more} of a file's first page. */
export async function decodeTiff(bytes) {
  try {
    return await decoded(bytes);
  } catch (error) {
    throw error instanceof RangeError ? damaged() : error;
  }
}

async function decoded(bytes) {
  const { tags, little, more } = pageOf(bytes);
  const one = (tag, usual) => tags.get(tag)?.[0] ?? usual;
  const [w, h] = [one(TAG.WIDTH, 0), one(TAG.HEIGHT, 0)];
  const [all, meaning, packing] = [one(TAG.SAMPLES, 1), one(TAG.MEANING, 1), one(TAG.PACKING, 1)];
  const bits = one(TAG.BITS, 1);
  const channels = meaning === 2 ? 3 : 1;
  if (!w || !h) throw damaged();
  if (![0, 1, 2].includes(meaning)) throw beyond("with a palette, or in CMYK, Lab or YCbCr");
  if (bits !== 8 && bits !== 16) throw beyond(`with ${bits} bits per channel`);
  if (one(TAG.KIND, 1) !== 1) throw beyond("with floating-point numbers");
  if (![1, 5, 8, 32946, 32773].includes(packing)) throw beyond("packed in this way");
  if (all > 1 && one(TAG.PLANES, 1) !== 1) throw beyond("in planes");
  if (all < channels || (all > channels + 1)) throw beyond("with further channels");
  const deep = bits === 16;
  const tiled = tags.has(TAG.TILE_WIDTH);
  const across = tiled ? one(TAG.TILE_WIDTH) : w;
  const down = tiled ? one(TAG.TILE_HEIGHT) : Math.min(one(TAG.ROWS, h), h);
  if (!across || !down || across * down > 4 * w * h + (1 << 24)) throw damaged();
  const offsets = tags.get(tiled ? TAG.TILE_OFFSETS : TAG.OFFSETS) ?? [];
  const sizes = tags.get(tiled ? TAG.TILE_SIZES : TAG.SIZES) ?? [];
  const Type = deep ? Uint16Array : Uint8Array;
  const codes = new Type(h * w * channels);
  const alpha = all > channels && [1, 2].includes(one(TAG.EXTRA, 0)) ? new Type(h * w) : null;
  const columns = Math.ceil(w / across);
  for (let piece = 0; piece < columns * Math.ceil(h / down); piece++) {
    const [top, left] = [Math.trunc(piece / columns) * down, (piece % columns) * across];
    const rows = tiled ? down : Math.min(down, h - top);
    if (piece >= offsets.length || offsets[piece] + (sizes[piece] ?? 0) > bytes.length) throw damaged();
    const packed = bytes.subarray(offsets[piece], offsets[piece] + (sizes[piece] ?? bytes.length));
    const whole = await unpacked(packed, packing, rows * across * all * (deep ? 2 : 1));
    const numbers = numbersOf(whole, deep, little, one(TAG.PREDICTOR, 1), across, all);
    for (let y = 0; y < Math.min(rows, h - top); y++) {
      for (let x = 0; x < Math.min(across, w - left); x++) {
        const [from, to] = [(y * across + x) * all, (top + y) * w + left + x];
        for (let c = 0; c < channels; c++) codes[to * channels + c] = numbers[from + c];
        if (alpha) alpha[to] = numbers[from + channels];
      }
    }
  }
  if (meaning === 0) codes.forEach((code, i) => { codes[i] = (deep ? 65535 : 255) - code; }); // white is 0
  const picture = { codes, h, w, channels, alpha };
  const upright = turned(picture, one(TAG.ORIENTATION, 1));
  return { ...upright, xmp: tags.get(TAG.XMP), profiled: tags.has(TAG.PROFILE), pages: more };
}
