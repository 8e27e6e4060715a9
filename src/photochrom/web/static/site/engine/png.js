// PNG files (ISO/IEC 15948): those that a canvas would not keep whole, with 16 bits or with transparency,
// and all that are written. The browser itself packs and unpacks.

import { Refused } from "./refused.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CHANNELS = { 0: 1, 2: 3, 4: 2, 6: 4 }; // by color type; a palette is left to the browser
const SRGB = Uint8Array.of(0); // perceptual

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(...parts) {
  let crc = 0xffffffff;
  for (const bytes of parts) for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** [{kind, data}] of a file; what follows damage is left out. */
export function chunksOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = [];
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    if (at + 12 + length > bytes.length) break;
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    found.push({ kind, data: bytes.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return found;
}

/** {w, h, bits, type, interlaced} of the chunks. */
export function headOf(chunks) {
  const [first] = chunks;
  if (first?.kind !== "IHDR" || first.data.length !== 13) throw new Refused(422, "the PNG is damaged");
  const view = new DataView(first.data.buffer, first.data.byteOffset, 13);
  const [bits, type, , , interlaced] = first.data.subarray(8);
  return { w: view.getUint32(0), h: view.getUint32(4), bits, type, interlaced: interlaced !== 0 };
}

async function through(stream, parts) {
  const source = new Blob(parts).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(source).arrayBuffer());
}

/** Paeth's choice of what is left, above, and above on the left. */
function nearest(a, b, c) {
  const pa = Math.abs(b - c);
  const pb = Math.abs(a - c);
  const pc = Math.abs(a + b - 2 * c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/** {codes, h, w, channels, alpha} of the chunks; codes and alpha have 8 or 16 bits, alpha may be null. */
export async function decodePng(chunks) {
  const { w, h, bits, type, interlaced } = headOf(chunks);
  const all = CHANNELS[type];
  if (!all || bits < 8 || interlaced) return null;
  const size = bits / 8;
  const [step, row] = [all * size, all * size * w];
  let lines;
  try {
    lines = await through(new DecompressionStream("deflate"), chunks.filter(({ kind }) => kind === "IDAT").map(({ data }) => data));
  } catch {
    throw new Refused(422, "the PNG is damaged");
  }
  if (lines.length < h * (row + 1)) throw new Refused(422, "the PNG is damaged", "its end is missing");
  for (let y = 0; y < h; y++) {
    const at = y * (row + 1) + 1;
    const above = at - row - 1;
    const filter = lines[at - 1];
    for (let i = 0; i < row; i++) {
      const a = i >= step ? lines[at + i - step] : 0;
      const b = y > 0 ? lines[above + i] : 0;
      if (filter === 1) lines[at + i] += a;
      else if (filter === 2) lines[at + i] += b;
      else if (filter === 3) lines[at + i] += (a + b) >> 1;
      else if (filter === 4) lines[at + i] += nearest(a, b, i >= step && y > 0 ? lines[above + i - step] : 0);
    }
  }
  const Type = size === 2 ? Uint16Array : Uint8Array;
  const channels = all > 2 ? 3 : 1;
  const codes = new Type(h * w * channels);
  const alpha = all > channels ? new Type(h * w) : null;
  for (let y = 0, to = 0, i = 0; y < h; y++) {
    for (let x = 0, at = y * (row + 1) + 1; x < w; x++, i++) {
      for (let c = 0; c < all; c++, at += size) {
        const code = size === 2 ? (lines[at] << 8) | lines[at + 1] : lines[at];
        if (c < channels) codes[to++] = code;
        else alpha[i] = code;
      }
    }
  }
  return { codes, h, w, channels, alpha };
}

function chunk(kind, data) {
  const name = Uint8Array.from(kind, (letter) => letter.charCodeAt(0));
  const [length, crc] = [new DataView(new ArrayBuffer(4)), new DataView(new ArrayBuffer(4))];
  length.setUint32(0, data.length);
  crc.setUint32(0, crc32(name, data));
  return [length.buffer, name, data, crc.buffer];
}

/** A line of w pixels from the pixel `first` on, in the order of a PNG. */
function woven(codes, alpha, first, w, channels, line) {
  const deep = codes.BYTES_PER_ELEMENT === 2;
  let at = 0;
  for (let i = first; i < first + w; i++) {
    for (let c = 0; c < channels + (alpha ? 1 : 0); c++) {
      const code = c < channels ? codes[i * channels + c] : alpha[i];
      if (deep) line[at++] = code >> 8;
      line[at++] = code & 0xff;
    }
  }
}

const FILTERS = [1, 2, 4]; // what is left, what is above, and Paeth's choice
const SAMPLED = 61; // of so many bytes of a line, one decides on its filter; no multiple of a pixel's

/** The filter whose numbers are the smallest, as the standard proposes. */
function filterFor(here, above, step) {
  const sums = [0, 0, 0];
  for (let i = step; i < here.length; i += SAMPLED) {
    const [a, b] = [here[i - step], above[i]];
    [a, b, nearest(a, b, above[i - step])].forEach((guess, k) => {
      const value = (here[i] - guess) & 0xff;
      sums[k] += value < 128 ? value : 256 - value;
    });
  }
  return FILTERS[sums.indexOf(Math.min(...sums))];
}

/** A line less what its filter expects. */
function filtered(filter, here, above, step, out) {
  if (filter === 2) {
    for (let i = 0; i < here.length; i++) out[i] = here[i] - above[i];
    return;
  }
  for (let i = 0; i < step; i++) out[i] = here[i] - (filter === 4 ? above[i] : 0);
  if (filter === 1) {
    for (let i = step; i < here.length; i++) out[i] = here[i] - here[i - step];
    return;
  }
  for (let i = step; i < here.length; i++) out[i] = here[i] - nearest(here[i - step], above[i], above[i - step]);
}

/**
 * A PNG of codes (h, w, 3), and alpha (h, w) or null.
 *
 * @param {[string, Uint8Array][]} extra chunks to put before the pixels
 */
export async function encodePng({ codes, h, w, channels }, alpha, extra) {
  const all = channels + (alpha ? 1 : 0);
  const size = codes.BYTES_PER_ELEMENT;
  const [step, row] = [all * size, all * size * w];
  const lines = new Uint8Array(h * (row + 1));
  let [above, here] = [new Uint8Array(row), new Uint8Array(row)];
  for (let y = 0; y < h; y++) {
    if (size === 1 && !alpha) here.set(codes.subarray(y * row, (y + 1) * row));
    else woven(codes, alpha, y * w, w, channels, here);
    const filter = filterFor(here, above, step);
    const to = y * (row + 1);
    lines[to] = filter;
    filtered(filter, here, above, step, lines.subarray(to + 1, to + 1 + row));
    [above, here] = [here, above];
  }
  const head = new DataView(new ArrayBuffer(13));
  head.setUint32(0, w);
  head.setUint32(4, h);
  head.setUint8(8, 8 * size);
  head.setUint8(9, { 1: 0, 2: 4, 3: 2, 4: 6 }[all]);
  const packed = await through(new CompressionStream("deflate"), [lines]);
  const parts = [["IHDR", new Uint8Array(head.buffer)], ["sRGB", SRGB], ...extra, ["IDAT", packed], ["IEND", new Uint8Array()]];
  return new Blob([Uint8Array.from(SIGNATURE), ...parts.flatMap(([kind, data]) => chunk(kind, data))], { type: "image/png" });
}

const XMP = "XML:com.adobe.xmp\0\0\0\0\0";
const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const startsWith = (bytes, start) => start.length <= bytes.length && start.every((byte, i) => bytes[i] === byte);

/** {exif, xmp, texts, resolution} of the chunks; each may be missing. */
export function pngMetadata(chunks) {
  const one = (kind) => chunks.find((each) => each.kind === kind)?.data;
  const isXmp = ({ kind, data }) => kind === "iTXt" && startsWith(data, ascii(XMP.slice(0, 18)));
  const xmp = chunks.find(isXmp)?.data;
  const plain = xmp && startsWith(xmp, ascii(XMP));
  const texts = chunks.filter((each) => ["tEXt", "zTXt", "iTXt"].includes(each.kind) && !isXmp(each));
  return { exif: one("eXIf"), xmp: plain ? xmp.subarray(XMP.length) : undefined, texts, resolution: one("pHYs") };
}

/** The chunks for `encodePng` of metadata. */
export function metadataChunks({ exif, xmp, texts = [], resolution }) {
  const found = texts.map(({ kind, data }) => [kind, data]);
  if (resolution) found.push(["pHYs", resolution]);
  if (exif) found.push(["eXIf", exif]);
  if (xmp) {
    const whole = new Uint8Array(XMP.length + xmp.length);
    whole.set(ascii(XMP));
    whole.set(xmp, XMP.length);
    found.push(["iTXt", whole]);
  }
  return found;
}
