// ZIP files without compression, as much of the format as sessions and downloads need (PKWARE APPNOTE
// 6.3, sections 4.3.7 and 4.3.12 to 4.3.16): anything that opens a ZIP opens them.

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const LARGE_END = 0x06064b50; // of ZIP64, and where it is
const LARGE_END_AT = 0x07064b50;
const LARGE = 0xffffffff; // a number from here on stands in a field of ZIP64
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

/** Little-endian numbers of 2, 4 or 8 bytes: [[2, 20], [4, crc], ...]. */
function record(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else if (size === 8) view.setBigUint64(at, BigInt(value), true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return view.buffer;
}

/** Writes a ZIP one file after the other; no file may have 4 GB, all together may. */
export class Packer {
  #directory = [];
  #count = 0;

  /**
   * @param {(part: ArrayBuffer | Uint8Array | Blob) => unknown} write takes the next part of the ZIP
   * @param {number} offset bytes that are there already
   */
  constructor(write, offset = 0) {
    this.write = write;
    this.offset = offset;
  }

  async #put(...parts) {
    for (const part of parts) {
      await this.write(part);
      this.offset += part.size ?? part.byteLength;
    }
  }

  /** Writes a file. */
  async add(text, blob) {
    const name = new TextEncoder().encode(text);
    const crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    const { offset } = this;
    const common = [
      [2, UTF8], [2, 0], [2, 0], [2, NEW_YEAR_1980], [4, crc], [4, blob.size], [4, blob.size], [2, name.length],
    ];
    const far = offset >= LARGE;
    const extra = far ? [[2, 1], [2, 8], [8, offset]] : [];
    const version = [2, far ? 45 : 20];
    this.#directory.push(
      record([4, CENTRAL], version, version, ...common, [2, far ? 12 : 0], [2, 0], [2, 0], [2, 0], [4, 0],
        [4, Math.min(offset, LARGE)]),
      name, record(...extra),
    );
    this.#count++;
    await this.#put(record([4, LOCAL], version, ...common, [2, 0]), name, blob);
  }

  /** Writes the directory, which makes it whole. */
  async end() {
    const from = this.offset;
    await this.#put(...this.#directory);
    const end = this.offset;
    const [size, count] = [end - from, this.#count];
    if (from >= LARGE) {
      await this.#put(
        record([4, LARGE_END], [8, 44], [2, 45], [2, 45], [4, 0], [4, 0], [8, count], [8, count], [8, size], [8, from]),
        record([4, LARGE_END_AT], [4, 0], [8, end], [4, 1]),
      );
    }
    await this.#put(record(
      [4, END], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, Math.min(from, LARGE)], [2, 0],
    ));
  }
}

/** A ZIP of [[name, Blob], ...]. */
export async function pack(entries) {
  const body = [];
  const packer = new Packer((part) => body.push(part));
  for (const [name, blob] of entries) await packer.add(name, blob);
  await packer.end();
  return new Blob(body, { type: "application/zip" });
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
