"""XMP packets: the source's, with IPTC if needed, and a statement that the colors are synthetic."""

from __future__ import annotations

import codecs
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from photochrom.photo.metadata.iptc import (
    IPTC_DATE,
    IPTC_RECORDS,
    IPTC_TIME,
    iptc_date,
    iptc_records,
)

__all__ = [
    "MOST_TREE",
    "Packet",
    "extension_of",
    "join_extension",
    "result_packet",
    "say_synthetic",
    "with_iptc",
    "xmp_orientation",
]

# "Augmentation, correction or enhancement using a Generative AI model": among the terms at
# https://cv.iptc.org/newscodes/digitalsourcetype/, this is the one for a real photo with made-up
# parts. The milder algorithmicallyEnhanced is for sharpening or noise reduction.
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_KNOWN_PREFIXES = {
    _IPTC_EXTENSION: "Iptc4xmpExt",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/mm/": "xmpMM",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/camera-raw-settings/1.0/": "crs",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
}  # all others get an invented prefix, which means nothing
_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}
_META = "adobe:ns:meta/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_PREFIXES = {  # some readers search for these as text
    _RDF: "rdf",
    _META: "x",
    _TIFF: "tiff",
    "http://www.w3.org/XML/1998/namespace": "xml",
}
_RDF_ROOT, _ABOUT, _TURNED = f"{_RDF} RDF", f"{_RDF} about", f"{_TIFF} Orientation"  # in expat
_AROUND = "\ufeff \t\r\n"  # may surround a packet
_NOTE = "http://ns.adobe.com/xmp/note/"
MOST_TREE = 1 << 23  # bytes of a packet whose elements are all visited in Python
_EMPTY_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">\n'
    '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
)


def with_iptc(
    xmp: bytes | None, iptc: bytes, most: int = MOST_TREE
) -> tuple[bytes | None, list[str]]:
    """An XMP packet with the contents of IPTC-IIM records, for a format that cannot hold them.

    A property that the packet already has stays as it is.

    Parameters
    ----------
    xmp : of the source
    iptc : from `read_iptc`
    most : bytes of a packet that is changed

    Returns
    -------
    The packet, and the names of the records that it could not take.
    """
    records, others = iptc_records(iptc)
    lost: list[str] = []
    made: dict[str, tuple[str, list[str]]] = {}  # property -> kind, values
    names: dict[str, str] = {}
    for number, values in records.items():
        if number == IPTC_TIME and IPTC_DATE in records:
            continue
        name, key, kind = IPTC_RECORDS.get(number, (f"2:{number}", "", ""))
        if number == IPTC_DATE:
            values = [iptc_date(values[0], records.get(IPTC_TIME, [""])[0])]
        if not key or not any(values):
            lost.append(name)
            continue
        names[key] = name
        made[key] = kind, values if kind in ("Bag", "Seq") else values[:1]
    lost += others
    if not made:
        return xmp, lost
    if xmp is not None and len(xmp) > most:
        return xmp, [*names.values(), *lost]
    try:
        packet = _EMPTY_XMP if xmp is None else xmp.rstrip(b"\0").decode()
        properties = _Outline(packet).properties
    except (UnicodeDecodeError, ValueError):
        return xmp, [*names.values(), *lost]
    texts = []
    for key, (kind, values) in made.items():
        prefix, _, local = key.partition(":")
        if f"{_NAMESPACES[prefix]} {local}" not in properties:
            texts.append(f"<{key}>{_xml(kind, values)}</{key}>")
    if not texts:
        return xmp, lost
    spaces = "".join(f' xmlns:{prefix}="{name}"' for prefix, name in _NAMESPACES.items())
    marked = _described(packet, spaces, "".join(texts))
    try:
        whole = _Outline(marked or "")
    except ValueError:
        return xmp, [*names.values(), *lost]
    if not whole.of_its_subject:
        return xmp, [*names.values(), *lost]
    return (marked or "").encode(), lost


def xmp_orientation(xmp: bytes, most: int = MOST_TREE) -> int:
    """The orientation, 1..8, that a packet states; 0 if it states none."""
    if len(xmp) > most:
        return 0
    packet = _decoded(xmp)[0]
    if "Orientation" not in packet:
        return 0
    key = f"{{{_TIFF}}}Orientation"
    try:
        parts = _descriptions(_parsed(packet))
    except ValueError:
        return 0
    for part in parts:
        for value in [part.get(key, ""), *(child.text or "" for child in part.iter(key))]:
            if value.strip() in {str(n) for n in range(1, 9)}:
                return int(value)
    return 0


def _xml(kind: str, values: list[str]) -> str:
    if not kind:
        return escape(values[0])
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    items = "".join(f"<rdf:li{language}>{escape(value)}</rdf:li>" for value in values if value)
    return f"<rdf:{kind}>{items}</rdf:{kind}>"


def say_synthetic(xmp: bytes | None, model: str) -> bytes:
    """The XMP packet with the statement that the colors are synthetic.

    IPTC Photo Metadata Standard 2025.1, properties Digital Source Type and AI System Used. The rest
    of the source's packet stays the same byte for byte, except for an orientation, which has been
    applied. A packet to which text cannot be added is rewritten with what an XML parser finds in
    it. If the parser finds nothing, it is replaced.
    """
    return result_packet(xmp, b"", model).xmp


class Packet(NamedTuple):
    """The XMP of a result."""

    xmp: bytes
    lost: tuple[str, ...]  # names of IPTC records that it could not take
    note: str | None  # for the user: what happened to the source's packet


@lru_cache(maxsize=2)  # once to list losses, and once to write
def result_packet(xmp: bytes | None, iptc: bytes, model: str, most: int = MOST_TREE) -> Packet:
    """The XMP of a result.

    Parameters
    ----------
    xmp : of the source
    iptc : records from `read_iptc` for the XMP to hold; b"" for nothing
    model : that made the colors
    most : bytes of a packet that is changed other than by adding to it
    """
    system = "".join(char for char in f"photochrom {model}".strip() if char.isprintable())
    values = {"DigitalSourceType": _SOURCE_TYPE, "AISystemUsed": system}
    for source, note in _attempts(xmp, most):
        packet, lost = with_iptc(source, iptc, most) if iptc else (source, [])
        marked = _marked(packet, values)
        if marked is not None:
            return Packet(marked.encode(), tuple(lost), note)
    raise AssertionError("an empty packet can be added to")


def _attempts(xmp: bytes | None, most: int) -> Iterator[tuple[bytes | None, str | None]]:
    """Packets to add to, the best first, with a note for the user."""
    if xmp is not None and xmp.strip(b"\0 \t\r\n"):
        yield xmp, None
        if len(xmp) > most:
            yield None, "its XMP is too large to rewrite and was dropped"
            return
        text, whole = _decoded(xmp)
        rebuilt = _rebuilt(text)
        if rebuilt is not None:
            yield rebuilt.encode(), None if whole else "its XMP holds bytes that are not text"
        yield None, "its XMP is damaged and was dropped"
    else:
        yield None, None


def _decoded(xmp: bytes) -> tuple[str, bool]:
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


def _marked(xmp: bytes | None, values: Mapping[str, str]) -> str | None:
    """A packet with the values added as text; None if that would not be safe."""
    try:
        packet = _EMPTY_XMP if xmp is None else xmp.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return None
    if "tiff:Orientation" in packet:
        packet = re.sub(r"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8]", r"\g<1>1", packet)
    for key in values:  # the source's own statements are not true of the result
        if f"Iptc4xmpExt:{key}" not in packet:
            continue
        packet = re.sub(rf"\sIptc4xmpExt:{key}\s*=\s*(?:\"[^\"]*\"|'[^']*')", "", packet)
        packet = re.sub(rf"<Iptc4xmpExt:{key}\s*>[^<]*</Iptc4xmpExt:{key}\s*>", "", packet)
    attributes = "".join(f" Iptc4xmpExt:{k}={quoteattr(v)}" for k, v in values.items())
    marked = _described(packet, f' xmlns:Iptc4xmpExt="{_IPTC_EXTENSION}"{attributes}')
    return marked if marked and _says_once(marked, values) else None


def _rebuilt(packet: str) -> str | None:
    """A packet as a parser understands it, without statements of its origin; or None."""
    try:
        root = _parsed(packet)
    except ValueError:
        return None
    if root.tag == f"{{{_RDF}}}RDF":
        whole = ElementTree.Element(f"{{{_META}}}xmpmeta")
        whole.append(root)
        root = whole
    if not any(element.tag == f"{{{_RDF}}}RDF" for element in root.iter()):
        if root.tag != f"{{{_META}}}xmpmeta":
            return None
        ElementTree.SubElement(root, f"{{{_RDF}}}RDF")
    statements = {f"{{{_IPTC_EXTENSION}}}{key}" for key in ("DigitalSourceType", "AISystemUsed")}
    turned = f"{{{_TIFF}}}Orientation"
    for element in root.iter():
        for child in [child for child in element if child.tag in statements]:
            element.remove(child)
        for key in statements & element.attrib.keys():
            del element.attrib[key]
        if turned in element.attrib:
            element.set(turned, "1")
        if element.tag == turned:
            element[:] = []
            element.text = "1"
    return _wrapped(root).decode()


def _wrapped(root: ElementTree.Element) -> bytes:
    """An element as a packet."""
    head, _, tail = _EMPTY_XMP.partition("<x:xmpmeta")
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


def _described(packet: str, attributes: str, content: str = "") -> str | None:
    """A packet with one more description of the same subject; None if there is no place for it."""
    body, closing, tail = packet.rpartition("</rdf:RDF>")
    if not closing:
        return None
    about = re.search(r"\srdf:about\s*=\s*(\"[^\"]*\"|'[^']*')", body)
    # The padding of a packet is only for edits in place, and JPEG holds 64 kB in all.
    padding, mark, end = tail.partition("<?xpacket end")
    subject = about[1] if about else '""'
    start = f"<rdf:Description rdf:about={subject}{attributes}"
    added = f"{start}>{content}</rdf:Description>" if content else f"{start}/>"
    return f"{body}{added}\n{closing}{padding.rstrip()}\n{mark}{end}"


def _parsed(packet: str) -> ElementTree.Element:
    """Raises ValueError if the packet is not well-formed, or not safe."""
    packet = packet.strip(_AROUND)
    if "<!DOCTYPE" in packet or "<!ENTITY" in packet:
        _without_types(packet)
    try:
        return ElementTree.fromstring(packet)
    except (ElementTree.ParseError, UnicodeEncodeError) as error:
        raise ValueError from error


def _without_types(packet: str) -> None:
    """Raise ValueError for a document type: XMP never has one, and it can use up the memory."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(packet, True)
    except expat.ExpatError as error:
        raise ValueError from error


def _refuse(*declared: object) -> None:
    raise ValueError


class _Outline:
    """The top level of a packet, which may be large, and is never in memory as a tree.

    Names consist of the namespace, a space, and the local name. Raises ValueError if the packet is
    not well-formed, or not safe.

    Parameters
    ----------
    packet : as text
    keys : names of attributes to look for
    added : where the last description begins, if only that and the first one matter; the text
        between them is only checked, in a tenth of the time
    """

    def __init__(self, packet: str, keys: Iterable[str] = (), added: int = 0) -> None:
        self.properties: set[str] = set()
        self.values: dict[str, list[tuple[str | None, bool]]] = {key: [] for key in keys}
        """The values of these attributes, and whether each is at the top; None for an element."""
        self.upright = True  # no orientation other than 1, under any prefix
        self._subjects: list[str] = []  # of the descriptions
        self._open = [""]  # elements
        self._text: list[str] = []  # in an orientation
        self._brief, self._skips = added > 0, False
        self._tail: list[tuple[str, list[str] | None]] = []  # tags; None: an end tag
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = _refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        try:
            self._parser.Parse(packet[:added].lstrip(_AROUND), False)
            if self._skips:
                self._parser.StartElementHandler = lambda *element: self._tail.append(element)
                self._parser.EndElementHandler = lambda name: self._tail.append((name, None))
            self._parser.Parse(packet[added:].strip(_AROUND), True)
        except (expat.ExpatError, UnicodeEncodeError) as error:
            raise ValueError from error
        self._take_tail()

    @property
    def of_its_subject(self) -> bool:
        """Whether the last description, which was added, has the same subject as another one."""
        *others, added = self._subjects or [""]
        return added in others or not others

    def _start(self, name: str, attributes: list[str]) -> None:
        parents = self._open
        top = parents[-1] == _RDF_ROOT
        if top:
            self._subjects.append("")
        elif len(parents) > 1 and parents[-2] == _RDF_ROOT:
            self.properties.add(name)
        parents.append(name)
        if name in self.values:
            self.values[name].append((None, top))
        elif name == _TURNED:
            self._text = []
            self._parser.CharacterDataHandler = self._text.append
        for key, value in zip(attributes[::2], attributes[1::2], strict=True):
            if key in self.values:
                self.values[key].append((value, top))
            elif key == _TURNED and value != "1":
                self.upright = False
            if top:
                self.properties.add(key)
                if key == _ABOUT:
                    self._subjects[-1] = value

        if top and self._brief:
            self._skips = True
            self._parser.StartElementHandler = self._parser.EndElementHandler = None

    def _take_tail(self) -> None:
        """Take the added description, if the list of descriptions ends after it."""
        for (_, attributes), *after in zip(
            self._tail, self._tail[1:], self._tail[2:], strict=False
        ):
            if (
                attributes
                and [end for _, end in after] == [None, None]
                and after[1][0] == _RDF_ROOT
            ):
                self._open = [_RDF_ROOT]
                self._start("", attributes)

    def _end(self, name: str) -> None:
        self._open.pop()
        if name == _TURNED:
            self._parser.CharacterDataHandler = None
            if "".join(self._text).strip() != "1":
                self.upright = False


def _descriptions(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [part for element in root.iter() if element.tag == f"{{{_RDF}}}RDF" for part in element]


def _says_once(packet: str, values: Mapping[str, str]) -> bool:
    """Whether a packet is well-formed and states each value exactly once, at the top level.

    It must not state an orientation other than the upright one, under any prefix.
    """
    wanted = {f"{_IPTC_EXTENSION} {key}": [(value, True)] for key, value in values.items()}
    # XML has only one way to write a name: if the text has it once, it is nowhere else.
    once = all(packet.count(key) == 1 for key in values) and "Orientation" not in packet
    for added in (packet.rfind("<rdf:Description"), 0) if once else (0,):
        try:
            outline = _Outline(packet, wanted, added)
        except ValueError:
            return False
        if outline.values == wanted and outline.upright and outline.of_its_subject:
            return True
    return False


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
        root = _parsed(_decoded(xmp)[0])
        (home,) = [element for element in root.iter() if element.tag == f"{{{_RDF}}}RDF"]
    except ValueError:
        return xmp, None
    for element in root.iter():
        element.attrib.pop(reference, None)
        for child in [child for child in element if child.tag == reference]:
            element.remove(child)
    first = _wrapped(root)
    try:
        more = _descriptions(_parsed(_decoded(extension or b"")[0]))
    except ValueError:
        return first, None
    home.extend(more)
    return first, _wrapped(root)
