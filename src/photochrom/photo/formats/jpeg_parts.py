"""What a JPEG file holds besides its picture, its profile, EXIF, XMP and IPTC.

Sources: ITU-T T.81 (JPEG), B.1.1.4; CIPA DC-007 (2009), Multi-Picture Format; Adobe Photoshop File
Formats Specification, Image Resources; ISO 21496-1 (gain maps); C2PA Technical Specification 2.1.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from photochrom.photo.ifd import FAILURES, Reader
from photochrom.photo.metadata.iptc import photoshop_names

__all__ = ["Parts", "parts_of"]

_PHOTOSHOP = b"Photoshop 3.0\0"
_MPF = b"MPF\0"
_GAIN_MAP = b"urn:iso:std:iso:ts:21496"
_MOST_RESOURCES = 1 << 24  # bytes
_MOST_COMMENTS = 1 << 16
_MOST_NAMED = 8
# Segments that a result has, or that are about how the picture was stored.
_KNOWN = {
    0xE0: (b"JFIF", b"JFXX"),
    0xE1: (b"Exif\0", b"http://ns.adobe.com/x"),
    0xE2: (b"ICC_PROFILE", _MPF, b"urn:iso:std:iso:ts:21496"),
    0xEC: (b"Ducky",),
    0xED: (_PHOTOSHOP, b"Adobe_CM"),
    0xEE: (b"Adobe",),
}
_CREDENTIALS = 0xEB
_LARGE_THUMBNAIL = 0x010000  # kind of a picture, by the upper byte of three


class Parts(NamedTuple):
    """What else a file holds."""

    photoshop: bytes = b""  # its resources, from "Photoshop" on
    comments: tuple[bytes, ...] = ()
    pictures: int = 1
    gain_map: bool = False
    gone: tuple[str, ...] = ()  # what no result has, in words
    precision: int = 8  # bits of a sample


def parts_of(file: BinaryIO, segments: Iterator[tuple[int, int]]) -> Parts:
    """What a file holds.

    Parameters
    ----------
    file : binary file
    segments : marker and size of each segment before the pixels, with the file at its content
    """
    resources = b""
    comments: list[bytes] = []
    pictures, gain_map, precision = 1, False, 8
    gone: dict[str, None] = {}
    for marker, size in segments:
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            precision = (file.read(1) or b"\x08")[0]
        elif marker == 0xFE and sum(len(text) for text in comments) + size <= _MOST_COMMENTS:
            comments.append(file.read(size))
        elif 0xE0 <= marker <= 0xEF:
            head = file.read(min(size, 32))
            if head.startswith(_PHOTOSHOP):
                part = (head + file.read(size - len(head)))[len(_PHOTOSHOP) :]
                if len(resources) + len(part) <= _MOST_RESOURCES:
                    resources += part
            elif head.startswith(_MPF):
                pictures = _pictures((head + file.read(size - len(head)))[4:])
            gain_map = gain_map or head.startswith(_GAIN_MAP)
            if not head.startswith(_KNOWN.get(marker, ())) and len(gone) < _MOST_NAMED:
                gone[_name(marker, head)] = None
    gone |= dict.fromkeys(photoshop_names(_PHOTOSHOP + resources))
    whole = _PHOTOSHOP + resources if resources else b""
    return Parts(whole, tuple(comments), pictures, gain_map, tuple(gone), precision)


def _name(marker: int, head: bytes) -> str:
    if marker == _CREDENTIALS and b"jum" in head:
        return "content credentials"
    word = head.partition(b"\0")[0].decode("ascii", "replace")
    known = word[:20] if len(word) > 1 and word.isprintable() and word.isascii() else ""
    return f"segment APP{marker - 0xE0}" + (f" ({known})" if known else "")


def _pictures(data: bytes) -> int:
    """How many pictures an index lists, without large thumbnails."""
    try:
        reader = Reader(io.BytesIO(data))
        directory, _ = reader.directory(reader.first, frozenset([0xB001, 0xB002]))
    except FAILURES:
        return 1
    entry = directory.get(0xB002)
    if entry is None:
        return 1
    order = reader.order  # values of unknown kind are as they stand in the file
    thumbnails = [
        struct.unpack_from(order + "I", entry.data, at)[0] & 0xFF0000 == _LARGE_THUMBNAIL
        for at in range(0, len(entry.data) - 15, 16)
    ]
    return max(1, thumbnails.count(False))
