"""XMP packets: the source's, with IPTC if needed, and a statement that the colors are synthetic."""

from __future__ import annotations

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
from photochrom.photo.metadata.packets import (
    AROUND,
    EMPTY_XMP,
    IPTC_EXTENSION,
    META,
    MOST_TREE,
    RDF,
    TIFF,
    decoded,
    parsed,
    refuse,
    wrapped,
)

__all__ = [
    "Packet",
    "result_packet",
    "say_synthetic",
    "with_iptc",
]

# "Augmentation, correction or enhancement using a Generative AI model": among the terms at
# https://cv.iptc.org/newscodes/digitalsourcetype/, this is the one for a real photo with made-up
# parts. The milder algorithmicallyEnhanced is for sharpening or noise reduction.
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}
_RDF_ROOT, _ABOUT, _TURNED = f"{RDF} RDF", f"{RDF} about", f"{TIFF} Orientation"  # in expat


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
        packet = EMPTY_XMP if xmp is None else xmp.rstrip(b"\0").decode()
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
        text, whole = decoded(xmp)
        rebuilt = _rebuilt(text)
        if rebuilt is not None:
            yield rebuilt.encode(), None if whole else "its XMP holds bytes that are not text"
        yield None, "its XMP is damaged and was dropped"
    else:
        yield None, None


def _marked(xmp: bytes | None, values: Mapping[str, str]) -> str | None:
    """A packet with the values added as text; None if that would not be safe."""
    try:
        packet = EMPTY_XMP if xmp is None else xmp.rstrip(b"\0").decode()
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
    marked = _described(packet, f' xmlns:Iptc4xmpExt="{IPTC_EXTENSION}"{attributes}')
    return marked if marked and _says_once(marked, values) else None


def _rebuilt(packet: str) -> str | None:
    """A packet as a parser understands it, without statements of its origin; or None."""
    try:
        root = parsed(packet)
    except ValueError:
        return None
    if root.tag == f"{{{RDF}}}RDF":
        whole = ElementTree.Element(f"{{{META}}}xmpmeta")
        whole.append(root)
        root = whole
    if not any(element.tag == f"{{{RDF}}}RDF" for element in root.iter()):
        if root.tag != f"{{{META}}}xmpmeta":
            return None
        ElementTree.SubElement(root, f"{{{RDF}}}RDF")
    statements = {f"{{{IPTC_EXTENSION}}}{key}" for key in ("DigitalSourceType", "AISystemUsed")}
    turned = f"{{{TIFF}}}Orientation"
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
    return wrapped(root).decode()


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
        self._parser.StartDoctypeDeclHandler = refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        try:
            self._parser.Parse(packet[:added].lstrip(AROUND), False)
            if self._skips:
                self._parser.StartElementHandler = lambda *element: self._tail.append(element)
                self._parser.EndElementHandler = lambda name: self._tail.append((name, None))
            self._parser.Parse(packet[added:].strip(AROUND), True)
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


def _says_once(packet: str, values: Mapping[str, str]) -> bool:
    """Whether a packet is well-formed and states each value exactly once, at the top level.

    It must not state an orientation other than the upright one, under any prefix.
    """
    wanted = {f"{IPTC_EXTENSION} {key}": [(value, True)] for key, value in values.items()}
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
