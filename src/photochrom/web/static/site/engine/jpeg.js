// The segments of JPEG files (ISO/IEC 10918-1, annex B): what was said about the photo goes into the
// result. The browser unpacks pixels, and the kernel packs them.

const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";
const IPTC = "Photoshop 3.0\0";
const JFIF = "JFIF\0";
const [SOI, SOS, COMMENT] = [0xd8, 0xda, 0xfe];
const LONGEST = 65533; // bytes that a segment holds

const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const startsWith = (bytes, start) => start.length <= bytes.length && start.every((byte, i) => bytes[i] === byte);

/** [{marker, data, at}] of the segments before the pixels, and where these begin. */
function segmentsOf(bytes) {
  const found = [];
  let at = 2;
  while (at + 4 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== SOS) {
    if (bytes[at + 1] === 0xff) { // padding
      at++;
      continue;
    }
    const length = (bytes[at + 2] << 8) | bytes[at + 3];
    if (length < 2 || at + 2 + length > bytes.length) break;
    found.push({ marker: bytes[at + 1], data: bytes.subarray(at + 4, at + 2 + length), at });
    at += 2 + length;
  }
  return { segments: found, rest: at };
}

/** {exif, xmp, iptc, comments, density} of a file; each may be missing. */
export function jpegMetadata(bytes) {
  const { segments } = segmentsOf(bytes);
  const after = (marker, start) => {
    const name = ascii(start);
    return segments.find((one) => one.marker === marker && startsWith(one.data, name))?.data.subarray(name.length);
  };
  const jfif = after(0xe0, JFIF);
  return {
    exif: after(0xe1, EXIF), xmp: after(0xe1, XMP), iptc: after(0xed, IPTC),
    comments: segments.filter(({ marker }) => marker === COMMENT).map(({ data }) => data),
    density: jfif?.subarray(2, 7),
  };
}

/** A JPEG that was made here, with metadata. */
export async function withMetadata(blob, { exif, xmp, iptc, comments = [], density }) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const { segments, rest } = segmentsOf(bytes);
  const jfif = new Uint8Array([...ascii(JFIF), 1, 2, ...(density ?? [0, 0, 1, 0, 1]), 0, 0]);
  const parts = [Uint8Array.of(0xff, SOI)];
  const put = (marker, start, data) => {
    const length = start.length + data.length;
    if (length > LONGEST) return;
    parts.push(Uint8Array.of(0xff, marker, (length + 2) >> 8, (length + 2) & 0xff), ascii(start), data);
  };
  put(0xe0, "", jfif);
  if (exif) put(0xe1, EXIF, exif);
  if (xmp) put(0xe1, XMP, xmp);
  if (iptc) put(0xed, IPTC, iptc);
  for (const comment of comments) put(COMMENT, "", comment);
  for (const { marker, data } of segments) if (marker < 0xe0 || marker === 0xee) put(marker, "", data);
  parts.push(bytes.subarray(rest));
  return new Blob(parts, { type: "image/jpeg" });
}
