"""What a file says about its photo: XMP and IPTC, and that the colors are synthetic."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

import numpy as np

__all__ = ["JPEG_XMP_LIMIT", "photoshop_block", "read_iptc", "say_synthetic"]

# "Augmentation, correction or enhancement using a Generative AI model": of the terms at
# https://cv.iptc.org/newscodes/digitalsourcetype/ the one for a real photo with made-up parts. The
# milder algorithmicallyEnhanced is for sharpening or noise reduction.
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
JPEG_XMP_LIMIT = 65502  # bytes; XMP Specification Part 3, 1.1.3
_EMPTY_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">\n'
    '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
)


def say_synthetic(xmp: bytes | None, model: str) -> bytes:
    """The XMP packet with the statement that the colors are synthetic.

    IPTC Photo Metadata Standard 2025.1, properties Digital Source Type and AI System Used. A packet
    from the source keeps all else that it says, byte for byte, apart from an orientation, which has
    been applied. One that cannot safely be added to is returned as it is.
    """
    try:
        packet = _EMPTY_XMP if xmp is None else xmp.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return xmp or b""
    packet = re.sub(r"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8]", r"\g<1>1", packet)
    system = "".join(char for char in f"photochrom {model}".strip() if char.isprintable())
    values = {"DigitalSourceType": _SOURCE_TYPE, "AISystemUsed": system}

    bare = packet
    for key in values:  # said before, of the source: not true of the result
        bare = re.sub(rf"\sIptc4xmpExt:{key}\s*=\s*(?:\"[^\"]*\"|'[^']*')", "", bare)
        bare = re.sub(rf"<Iptc4xmpExt:{key}\s*>[^<]*</Iptc4xmpExt:{key}\s*>", "", bare)
    body, closing, tail = bare.rpartition("</rdf:RDF>")
    about = re.search(r"\srdf:about\s*=\s*(\"[^\"]*\"|'[^']*')", body)
    # The padding of a packet only serves edits in place, and JPEG holds 64 kB in all.
    padding, mark, end = tail.partition("<?xpacket end")
    subject = about[1] if about else '""'
    attributes = "".join(f" Iptc4xmpExt:{k}={quoteattr(v)}" for k, v in values.items())
    marked = (
        f"{body}<rdf:Description rdf:about={subject}"
        f' xmlns:Iptc4xmpExt="{_IPTC_EXTENSION}"{attributes}/>\n'
        f"{closing}{padding.rstrip()}\n{mark}{end}"
    )
    return (marked if closing and _says_once(marked, values) else packet).encode()


def _says_once(packet: str, values: Mapping[str, str]) -> bool:
    """Whether a packet is well-formed and states each value exactly once, at the top level."""
    if "<!DOCTYPE" in packet or "<!ENTITY" in packet:  # never in XMP; a way to eat memory
        return False
    try:
        root = ElementTree.fromstring(packet.strip("\ufeff \t\r\n"))
    except (ElementTree.ParseError, ValueError):
        return False
    elements = list(root.iter())
    top = [part for element in elements if element.tag == f"{{{_RDF}}}RDF" for part in element]
    for key, value in values.items():
        tag = f"{{{_IPTC_EXTENSION}}}{key}"
        if any(element.tag == tag for element in elements):
            return False
        if [element.get(tag) for element in elements if tag in element.attrib] != [value]:
            return False
        if not any(element.get(tag) == value for element in top):
            return False
    return len({element.get(f"{{{_RDF}}}about") or "" for element in top}) == 1


def read_iptc(block: bytes) -> bytes:
    """The IPTC-IIM records out of what libvips found in a JPEG or TIFF; b"" if there are none.

    JPEG wraps them in a block of Photoshop resources (Adobe, XMP Specification Part 3, 1.1.3),
    which also holds a gray thumbnail and printing hints; TIFF has them bare.
    """
    header = b"Photoshop 3.0\0"
    if not block.startswith(header):
        if block[:1] != b"\x1c":  # written as 32-bit words by a machine of the other byte order
            words = block[: len(block) // 4 * 4]
            block = np.frombuffer(words, np.uint32).byteswap().tobytes()
        return block if block[:1] == b"\x1c" else b""
    at = len(header)
    while block[at : at + 4] == b"8BIM" and at + 12 <= len(block):
        number = int.from_bytes(block[at + 4 : at + 6], "big")
        start = at + 6 + (block[at + 6] // 2 + 1) * 2  # past the name, padded to even
        size = int.from_bytes(block[start : start + 4], "big")
        data = block[start + 4 : start + 4 + size]
        if number == 0x0404 and len(data) == size:
            return data
        at = start + 4 + size + size % 2
    return b""


def photoshop_block(iptc: bytes) -> bytes:
    """IPTC-IIM records wrapped for a JPEG; see `read_iptc`."""
    size = len(iptc).to_bytes(4, "big")
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + size + iptc + bytes(len(iptc) % 2)
