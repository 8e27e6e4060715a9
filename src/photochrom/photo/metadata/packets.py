"""XMP packets as trees: parsed, put together, written again.

Source: XMP Specification Part 1 (ISO 16684-1) and Part 3 (Adobe), 1.1.3.1.
"""

from __future__ import annotations

import codecs
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

__all__ = [
    "AROUND",
    "EMPTY_XMP",
    "IPTC_EXTENSION",
    "META",
    "MOST_TREE",
    "RDF",
    "TIFF",
    "decoded",
    "descriptions",
    "extension_of",
    "join_extension",
    "parsed",
    "refuse",
    "wrapped",
    "xmp_orientation",
]

IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_KNOWN_PREFIXES = {
    IPTC_EXTENSION: "Iptc4xmpExt",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/mm/": "xmpMM",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/camera-raw-settings/1.0/": "crs",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
}  # all others get an invented prefix, which means nothing
META = "adobe:ns:meta/"
TIFF = "http://ns.adobe.com/tiff/1.0/"
_PREFIXES = {  # some readers search for these as text
    RDF: "rdf",
    META: "x",
    TIFF: "tiff",
    "http://www.w3.org/XML/1998/namespace": "xml",
}
AROUND = "\ufeff \t\r\n"  # may surround a packet
_NOTE = "http://ns.adobe.com/xmp/note/"
MOST_TREE = 1 << 23  # bytes of a packet whose elements are all visited in Python
EMPTY_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">\n'
    '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
)


def decoded(xmp: bytes) -> tuple[str, bool]:
    """A packet as text, and whether all of it is valid; XMP Specification Part 1, 7.1."""
    wide = {
        codecs.BOM_UTF16_LE: "utf-16-le",
        codecs.BOM_UTF16_BE: "utf-16-be",
        b"<\0": "utf-16-le",
        b"\0<": "utf-16-be",
    }
    encoding = wide.get(xmp[:2], "utf-8")
    try:
        text, whole = xmp.decode(encoding), True
    except UnicodeDecodeError:
        text, whole = xmp.decode(encoding, "replace"), False
    return text.strip("\0"), whole


def parsed(packet: str) -> ElementTree.Element:
    """Raises ValueError if the packet is not well-formed, or not safe."""
    packet = packet.strip(AROUND)
    if "<!DOCTYPE" in packet or "<!ENTITY" in packet:
        _without_types(packet)
    try:
        return ElementTree.fromstring(packet)
    except (ElementTree.ParseError, UnicodeEncodeError) as error:
        raise ValueError from error


def _without_types(packet: str) -> None:
    """Raise ValueError for a document type: XMP never has one, and it can use up the memory."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(packet, True)
    except expat.ExpatError as error:
        raise ValueError from error


def refuse(*declared: object) -> None:
    """Refuse a document type; a handler of expat."""
    raise ValueError


def descriptions(root: ElementTree.Element) -> list[ElementTree.Element]:
    """The descriptions in a packet."""
    return [part for element in root.iter() if element.tag == f"{{{RDF}}}RDF" for part in element]


def wrapped(root: ElementTree.Element) -> bytes:
    """An element as a packet."""
    head, _, tail = EMPTY_XMP.partition("<x:xmpmeta")
    return f"{head}{_serialized(root)}\n{tail[tail.index('<?xpacket') :]}".encode()


def _serialized(root: ElementTree.Element) -> str:
    """An element as XML, at any depth of nesting; its first tag declares all namespaces."""
    prefixes = dict(_PREFIXES)

    def name(tag: str) -> str:
        space, found, local = tag[1:].partition("}")
        if not found:
            return tag
        prefix = prefixes.get(space)
        if prefix is None:
            prefix = prefixes[space] = _KNOWN_PREFIXES.get(space, f"ns{len(prefixes)}")
        return f"{prefix}:{local}"

    parts: list[str] = []
    open_: list[tuple[str, Iterator[ElementTree.Element], str]] = []
    element: ElementTree.Element | None = root
    while element is not None:
        tag = name(element.tag)
        attributes = "".join(f" {name(key)}={quoteattr(value)}" for key, value in element.items())
        parts += [f"<{tag}", f"{attributes}>", escape(element.text or "")]
        open_.append((tag, iter(element), element.tail or ""))
        element = None
        while open_ and (element := next(open_[-1][1], None)) is None:
            tag, _, tail = open_.pop()
            parts += [f"</{tag}>", escape(tail) if open_ else ""]
    spaces = (f" xmlns:{p}={quoteattr(space)}" for space, p in prefixes.items() if p != "xml")
    return parts[0] + "".join(spaces) + "".join(parts[1:])


def xmp_orientation(xmp: bytes, most: int = MOST_TREE) -> int:
    """The orientation, 1..8, that a packet states; 0 if it states none."""
    if len(xmp) > most:
        return 0
    packet = decoded(xmp)[0]
    if "Orientation" not in packet:
        return 0
    key = f"{{{TIFF}}}Orientation"
    try:
        parts = descriptions(parsed(packet))
    except ValueError:
        return 0
    for part in parts:
        for value in [part.get(key, ""), *(child.text or "" for child in part.iter(key))]:
            if value.strip() in {str(n) for n in range(1, 9)}:
                return int(value)
    return 0


def extension_of(xmp: bytes) -> bytes | None:
    """The digest by which the XMP of a JPEG refers to a second part; None if it does not."""
    found = re.search(rb"HasExtendedXMP[^0-9A-Fa-f]{1,40}([0-9A-Fa-f]{32})\b", xmp)
    return found[1] if found else None


def join_extension(xmp: bytes, extension: bytes | None) -> tuple[bytes, bytes | None]:
    """The first part of an XMP without its reference to the second, and both parts as one.

    Parameters
    ----------
    xmp : the first part
    extension : the second; None if it is missing

    Returns
    -------
    Both are packets. The second is None if one of the parts cannot be read.
    """
    reference = f"{{{_NOTE}}}HasExtendedXMP"
    try:
        root = parsed(decoded(xmp)[0])
        (home,) = [element for element in root.iter() if element.tag == f"{{{RDF}}}RDF"]
    except ValueError:
        return xmp, None
    for element in root.iter():
        element.attrib.pop(reference, None)
        for child in [child for child in element if child.tag == reference]:
            element.remove(child)
    first = wrapped(root)
    try:
        more = descriptions(parsed(decoded(extension or b"")[0]))
    except ValueError:
        return first, None
    home.extend(more)
    return first, wrapped(root)
