// ZIP files without compression, as much of the format as a session needs (PKWARE APPNOTE 6.3,
// sections 4.3.7, 4.3.12 and 4.3.16): anything that opens a ZIP opens a session.

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const UTF8 = 0x0800; // flag: names are UTF-8
const NEW_YEAR_1980 = 0x0021; // the earliest date there is: a session does not tell when it was saved

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Little-endian numbers of 2 or 4 bytes: [[2, 20], [4, crc], ...]. */
function record(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return view.buffer;
}

/** A ZIP of [[name, Blob], ...]. */
export async function pack(entries) {
  const body = [];
  const directory = [];
  let offset = 0;
  for (const [text, blob] of entries) {
    const name = new TextEncoder().encode(text);
    const crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    const common = [
      [2, 20], [2, UTF8], [2, 0], [2, 0], [2, NEW_YEAR_1980],
      [4, crc], [4, blob.size], [4, blob.size], [2, name.length], [2, 0],
    ];
    const header = record([4, LOCAL], ...common);
    body.push(header, name, blob);
    directory.push(
      record([4, CENTRAL], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), name,
    );
    offset += header.byteLength + name.length + blob.size;
  }
  const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const count = entries.length;
  const end = record([4, END], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]);
  return new Blob([...body, ...directory, end], { type: "application/zip" });
}

const MOST = 16; // entries of an archive that is read, and none of ours has more than two
const LONGEST = 1 << 20; // bytes of its directory

/**
 * The entries of a ZIP without compression as a Map of name to {content: Blob, intact()}; null if it
 * is not a ZIP or its directory is damaged. Only intact() tells whether an entry's bytes are those
 * that were packed: it reads them.
 */
export async function unpack(blob) {
  const tail = blob.slice(Math.max(0, blob.size - 65557));
  const view = new DataView(await tail.arrayBuffer());
  let end = view.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== END) end--;
  if (end < 0) return null;
  const [size, start] = [view.getUint32(end + 12, true), view.getUint32(end + 16, true)];
  if (size > LONGEST || start + size > blob.size) return null;
  const directory = new DataView(await blob.slice(start, start + size).arrayBuffer());
  const entries = new Map();
  const taken = [[start, blob.size]];
  try {
    for (let at = 0; at < directory.byteLength;) {
      const [u16, u32] = [(n) => directory.getUint16(at + n, true), (n) => directory.getUint32(at + n, true)];
      if (u32(0) !== CENTRAL || u16(10) !== 0 || u32(20) !== u32(24)) return null;
      const [crc, length, offset] = [u32(16), u32(20), u32(42)];
      const name = new TextDecoder().decode(new Uint8Array(directory.buffer, at + 46, u16(28)));
      if (entries.size === MOST || entries.has(name)) return null;
      // The local header has a name and an extra field of its own, of its own lengths.
      const local = new DataView(await blob.slice(offset, offset + 30).arrayBuffer());
      const from = offset + 30 + local.getUint16(26, true) + local.getUint16(28, true);
      const content = blob.slice(from, from + length);
      const intact = async () => crc32(new Uint8Array(await content.arrayBuffer())) === crc;
      entries.set(name, { content, intact });
      taken.push([offset, from + length]);
      at += 46 + u16(28) + u16(30) + u16(32);
    }
  } catch (error) {
    if (error instanceof RangeError) return null; // it ends too early
    throw error;
  }
  // Each byte belongs to one entry: what is small cannot claim to hold much.
  taken.sort(([one], [other]) => one - other);
  return taken.every(([from], index) => index === 0 || from >= taken[index - 1][1]) ? entries : null;
}
