// From a file to pixels, and back.

import { Pixels } from "./darkroom.js";
import { jpegMetadata, withMetadata } from "./jpeg.js";
import { jpeg } from "./kernel.js";
import { exifOf, saySynthetic } from "./metadata.js";
import { chunksOf, decodePng, encodePng, headOf, metadataChunks, pngMetadata } from "./png.js";
import { Refused } from "./refused.js";
import { decodeTiff, tiffSize } from "./tiff.js";
import { framed } from "./turn.js";

const MOST_PIXELS = 50e6;
const QUALITY = 0.95; // of WebP
const JPEG_QUALITY = 92;
const PROGRAM = "color it with the program photochrom, or save it as JPEG or PNG first";

/** Extensions of the files that are written. Others are read, too; the result of a TIFF file is a PNG. */
export const FORMATS = [".jpg", ".jpeg", ".png", ".webp"];
export const LIMITS = { bytes: 200e6, pixels: MOST_PIXELS };

const text = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));

/** What a file is, by its first bytes: {name, extension, read: whether browsers read it}. */
function formatOf(head) {
  const starts = (...bytes) => bytes.every((byte, i) => head[i] === byte);
  if (starts(0xff, 0xd8, 0xff)) return { name: "JPEG", extension: ".jpg", read: true };
  if (starts(0x89, 0x50, 0x4e, 0x47)) return { name: "PNG", extension: ".png", read: true };
  if (text(head, 0, 4) === "RIFF" && text(head, 8, 12) === "WEBP") return { name: "WebP", extension: ".webp", read: true };
  const brand = text(head, 4, 8) === "ftyp" ? text(head, 8, 12) : "";
  if (["avif", "avis"].includes(brand)) return { name: "AVIF", extension: ".png", read: true };
  if (brand) return { name: "HEIC", extension: ".jpg", read: false };
  if (starts(0x49, 0x49) || starts(0x4d, 0x4d)) return { name: "TIFF", extension: ".png", read: true };
  if (starts(0, 0, 0, 12) || starts(0xff, 0x4f) || starts(0xff, 0x0a)) return { name: "JPEG 2000 or JPEG XL", extension: ".jpg", read: false };
  return null;
}

/** {format, pixels, alpha, metadata, notes} of a file, turned and cropped as `frame` says, see `framed`. */
export async function open(file, frame) {
  if (!file.size) throw new Refused(422, "the file is empty", "choose another");
  const format = formatOf(new Uint8Array(await file.slice(0, 32).arrayBuffer()));
  if (!format) throw new Refused(415, "it is not a photo in a format that this page can read", "save it as JPEG or PNG first");
  if (!format.read) throw new Refused(415, `a web page cannot read ${format.name}`, PROGRAM);
  const bytes = ["JPEG", "PNG", "TIFF"].includes(format.name) ? new Uint8Array(await file.arrayBuffer()) : null;
  const notes = [];
  let own = null;
  let metadata = {};
  if (format.name === "JPEG") metadata = jpegMetadata(bytes);
  else if (format.name === "TIFF") {
    check(tiffSize(bytes));
    own = await decodeTiff(bytes);
    metadata = { xmp: own.xmp };
    if (own.profiled) notes.push("its color profile was not used");
    if (own.pages) notes.push("only its first page is colored; the program photochrom colors all");
  } else if (format.name === "PNG") {
    const chunks = chunksOf(bytes);
    const head = headOf(chunks);
    check(head);
    metadata = pngMetadata(chunks);
    if (head.bits === 16 || head.type >= 4) own = await decodePng(chunks);
    if (own && chunks.some(({ kind }) => kind === "iCCP")) notes.push("its color profile was not used");
    else if (!own && head.bits === 16) notes.push("its 16 bits per channel become 8");
  } else notes.push(`the result holds no metadata, for this page reads none of ${format.name}`);
  const { codes, h, w, channels, alpha } = framed(own ?? await decoded(file), frame);
  return { format, pixels: new Pixels(codes, h, w, channels), alpha, metadata, notes };
}

function check({ w, h }) {
  if (!(w * h > MOST_PIXELS)) return;
  const problem = `${w} x ${h} pixels are over this page's limit of ${MOST_PIXELS / 1e6} megapixels`;
  throw new Refused(413, problem, "color it with the program photochrom, or scale it down");
}

/** What the browser makes of a file: upright, in sRGB. */
async function decoded(file) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new Refused(422, "the photo is damaged, or this browser cannot read it", "save it as JPEG or PNG first");
  }
  const [w, h] = [picture.width, picture.height];
  check({ w, h });
  const context = new OffscreenCanvas(w, h).getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  picture.close();
  const { data } = context.getImageData(0, 0, w, h);
  return { h, w, ...divided(data) };
}

/** {codes, channels, alpha} of RGBA: one channel where all three are equal, alpha null where all is opaque. */
function divided(data) {
  const n = data.length / 4;
  let [gray, opaque] = [true, true];
  for (let i = 0; i < data.length && (gray || opaque); i += 4) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) gray = false;
    if (data[i + 3] !== 255) opaque = false;
  }
  const channels = gray ? 1 : 3;
  const codes = new Uint8Array(channels * n);
  if (gray) for (let i = 0; i < n; i++) codes[i] = data[4 * i];
  else {
    for (let i = 0, to = 0, from = 0; i < n; i++, from++) {
      codes[to++] = data[from++];
      codes[to++] = data[from++];
      codes[to++] = data[from++];
    }
  }
  const alpha = opaque ? null : Uint8Array.from({ length: n }, (_, i) => data[4 * i + 3]);
  return { codes, channels, alpha };
}

const eightBits = (codes) => (codes.BYTES_PER_ELEMENT === 1 ? codes : Uint8ClampedArray.from(codes, (code) => code / 257));

/** RGBA in 8 bits of pixels and alpha, which may be null. */
function rgbaOf({ codes, h, w, channels }, alpha = null) {
  const data = new Uint8ClampedArray(4 * h * w);
  const step = codes.BYTES_PER_ELEMENT === 2 ? 257 : 1;
  for (let i = 0, from = 0; i < h * w; i++, from += channels) {
    for (let c = 0; c < 3; c++) data[4 * i + c] = codes[from + (channels === 3 ? c : 0)] / step;
    data[4 * i + 3] = alpha ? alpha[i] / step : 255;
  }
  return data;
}

const HEAD = 54;

/** A picture for the screen: a BMP, which takes no time to pack. */
export function pictureOf({ codes, h, w, channels }) {
  const row = (3 * w + 3) & ~3;
  const bytes = new Uint8Array(HEAD + row * h);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  const fields = [[2, bytes.length], [10, HEAD], [14, 40], [18, w], [22, h], [34, row * h]];
  for (const [at, value] of fields) view.setUint32(at, value, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  for (let y = 0, from = 0; y < h; y++) {
    let to = HEAD + (h - 1 - y) * row;
    for (let x = 0; x < w; x++, from += channels) {
      bytes[to++] = codes[channels === 3 ? from + 2 : from];
      bytes[to++] = codes[channels === 3 ? from + 1 : from];
      bytes[to++] = codes[from];
    }
  }
  return new Blob([bytes], { type: "image/bmp" });
}

const NAMES = { ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WebP" };

/** {blob, notes}: the file of a result in an extension's format, and what it cannot hold of the photo. */
export async function save(result, { alpha, metadata, notes }, extension, model) {
  const name = NAMES[extension];
  if (!name) throw new Refused(422, `format: this page writes ${FORMATS.join(", ")}`);
  const told = [...notes];
  const kept = { ...metadata, exif: exifOf(metadata.exif, result), xmp: saySynthetic(metadata.xmp, model) };
  if (name === "PNG") return { blob: await encodePng(result, alpha, metadataChunks(kept)), notes: told };
  if (result.codes.BYTES_PER_ELEMENT === 2) told.push(`its 16 bits per channel become 8, the most that is written to ${name}`);
  if (alpha && name === "JPEG") told.push("JPEG has no transparency, so the result is opaque");
  if (name === "JPEG") {
    const parts = jpeg(eightBits(result.codes), result.h, result.w, JPEG_QUALITY);
    return { blob: await withMetadata(new Blob(parts), kept), notes: told };
  }
  const context = new OffscreenCanvas(result.w, result.h).getContext("2d");
  context.putImageData(new ImageData(rgbaOf(result, alpha), result.w, result.h), 0, 0);
  const type = `image/${name.toLowerCase()}`;
  const blob = await context.canvas.convertToBlob({ type, quality: QUALITY });
  if (blob.type !== type) throw new Refused(422, `this browser does not write ${name}`, "choose JPEG or PNG");
  if (Object.values(metadata).some((one) => one?.length)) told.push("WebP made by this page holds no metadata; JPEG and PNG do");
  return { blob, notes: told };
}
