// A JPEG that says, as every file of photochrom does, that a model has made its colors: in XMP, by the
// vocabulary of the IPTC.

const SPACE = "http://ns.adobe.com/xap/1.0/\0";
const PACKET = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" e:AISystemUsed="photochrom"
e:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"/>
</rdf:RDF></x:xmpmeta>`;

/** The JPEG with that statement, right after its first two bytes. */
export async function marked(jpeg) {
  const words = new TextEncoder().encode(SPACE + PACKET);
  const length = words.length + 2;
  const head = Uint8Array.of(0xff, 0xe1, length >> 8, length & 0xff);
  return new Blob([jpeg.slice(0, 2), head, words, jpeg.slice(2)], { type: "image/jpeg" });
}
