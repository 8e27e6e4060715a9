// What is said about the photo, made true of the result: it is upright, and its colors are synthetic.

const SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia";
const SPACE = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/";
const EMPTY = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
  + '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
  + '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>';
const [ORIENTATION, WIDTH, HEIGHT, EXIF, PIXELS_ACROSS, PIXELS_DOWN] = [0x112, 0x100, 0x101, 0x8769, 0xa002, 0xa003];

/** The XMP packet with the statement that the colors are synthetic (IPTC Photo Metadata Standard 2025.1). */
export function saySynthetic(xmp, model) {
  const system = `photochrom ${model}`.replace(/[<>&"]/g, "");
  const marked = (packet) => {
    const end = packet.lastIndexOf("</rdf:RDF>");
    if (end < 0) return null;
    const told = `<rdf:Description xmlns:Iptc4xmpExt="${SPACE}" rdf:about="" `
      + `Iptc4xmpExt:DigitalSourceType="${SOURCE}" Iptc4xmpExt:AISystemUsed="${system}"/>\n`;
    return packet.slice(0, end) + told + packet.slice(end);
  };
  let text = null;
  if (xmp) {
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(xmp);
    } catch {
      // Not UTF-8, or damaged: the statement matters more.
    }
  }
  // What the packet said of either before is no longer true.
  for (const name of ["Iptc4xmpExt:DigitalSourceType", "Iptc4xmpExt:AISystemUsed", "tiff:Orientation"]) {
    text = text?.replace(new RegExp(`\\s${name}\\s*=\\s*("[^"]*"|'[^']*')`, "g"), "")
      .replace(new RegExp(`<${name}\\b[^>]*(/>|>[^<]*</${name}\\s*>)`, "g"), "");
  }
  return new TextEncoder().encode((text && marked(text)) ?? marked(EMPTY));
}

/** A copy of an EXIF block, true of an upright result of that size; undefined if it is damaged. */
export function exifOf(block, { w, h }) {
  if (!block || block.length < 14) return undefined;
  const copy = block.slice();
  const view = new DataView(copy.buffer);
  const little = view.getUint16(0) === 0x4949;
  const put = (at, value) => {
    if (view.getUint16(at + 2, little) === 3) view.setUint16(at + 8, value, little);
    else view.setUint32(at + 8, value, little);
  };
  const visit = (at, act) => {
    if (!at || at + 2 > copy.length) return;
    const count = view.getUint16(at, little);
    for (let i = 0; i < count && at + 2 + 12 * (i + 1) <= copy.length; i++) act(at + 2 + 12 * i);
    const next = at + 2 + 12 * count;
    if (next + 4 <= copy.length) act(null, next);
  };
  try {
    let camera = 0;
    visit(view.getUint32(4, little), (entry, next) => {
      if (entry === null) return view.setUint32(next, 0, little); // the thumbnail is gray
      const tag = view.getUint16(entry, little);
      if (tag === ORIENTATION) put(entry, 1);
      else if (tag === WIDTH) put(entry, w);
      else if (tag === HEIGHT) put(entry, h);
      else if (tag === EXIF) camera = view.getUint32(entry + 8, little);
      return undefined;
    });
    visit(camera, (entry) => {
      const tag = entry === null ? 0 : view.getUint16(entry, little);
      if (tag === PIXELS_ACROSS) put(entry, w);
      else if (tag === PIXELS_DOWN) put(entry, h);
    });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  return copy;
}
