"""Texts of PNG files, and the EXIF, XMP and IPTC that programs put into them.

Source: PNG (W3C, third edition), 11.3.3 Textual information. Programs from before there was a
better place keep EXIF and XMP in a text, and ImageMagick and ExifTool still do so with IPTC: "Raw
profile type iptc", then a line with a name, the number of bytes, and the bytes in hexadecimal.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["MOST_PROFILE", "Raw", "Text", "raw_profiles", "xmp_text"]

MOST_PROFILE = 1 << 24  # bytes of a text, unpacked
_RAW = "Raw profile type "
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"  # their first bytes in a JPEG
# Each kind of raw profile, and what it holds; APP1 is a segment of JPEG, which holds either.
_HOLDS = {"exif": "exif", "xmp": "xmp", "app1": "", "iptc": "iptc", "8bim": "iptc"}
# XMP has its own way; the others are about the file: a thumbnail, and its dates on a disk.
_XMP_TEXT = "XML:com.adobe.xmp"
_ABOUT_THE_FILE = (_RAW, _XMP_TEXT, "Thumb::", "date:")


class Text(NamedTuple):
    """A text chunk: its kind, and its data, which begins with the keyword."""

    kind: bytes
    data: bytes

    @property
    def keyword(self) -> str:
        """Names the text, as in "Author"; "" if it is damaged."""
        word, ending, _ = self.data[:80].partition(b"\0")
        return word.decode("latin-1") if ending and word else ""

    @property
    def about_photo(self) -> bool:
        """Whether it says something about the photo that is stored nowhere else."""
        return bool(self.keyword) and not self.keyword.startswith(_ABOUT_THE_FILE)


class Raw(NamedTuple):
    """The contents of the texts "Raw profile type ..."; b"" where there is no such text."""

    exif: bytes = b""  # from "Exif" on
    xmp: bytes = b""
    iptc: tuple[bytes, ...] = ()  # mostly in blocks of Photoshop
    lost: tuple[str, ...] = ()  # keywords of damaged texts


def raw_profiles(texts: Iterable[Text]) -> Raw:
    """EXIF, XMP and IPTC from texts; if there are several of EXIF or XMP, the first."""
    found: dict[str, bytes] = {}
    iptc: list[bytes] = []
    lost: list[str] = []
    for text in texts:
        kind = text.keyword.removeprefix(_RAW).lower() if text.keyword.startswith(_RAW) else ""
        if kind not in _HOLDS:
            continue
        data = _unraveled(_content(text))
        if kind == "app1":
            kind = "exif" if data.startswith(_EXIF) else "xmp" if data.startswith(_XMP) else ""
        if kind == "exif" and data.startswith((b"II", b"MM")):
            data = _EXIF + data
        if not kind or not data or (kind == "exif" and not data.startswith(_EXIF)):
            lost.append(text.keyword)
            continue
        if _HOLDS[kind] == "iptc":
            iptc.append(data)
        else:
            found.setdefault(_HOLDS[kind], data.removeprefix(_XMP))
    return Raw(
        found.get("exif", b""), found.get("xmp", b""), tuple(iptc), tuple(dict.fromkeys(lost))
    )


def xmp_text(texts: Iterable[Text]) -> bytes:
    """The XMP packet in its own text; b"" if there is none."""
    return next((_content(text) for text in texts if text.keyword == _XMP_TEXT), b"")


def _unraveled(content: bytes) -> bytes:
    """The bytes in such a text, which follow a line with a name, and their number."""
    _, _, rest = content.lstrip().partition(b"\n")
    number, *digits = rest.split(None, 1) or [b""]
    if not re.fullmatch(rb"[0-9]{1,8}", number) or not digits:
        return b""
    whole = b"".join(re.findall(rb"\A[0-9a-fA-F\s]*", digits[0])[0].split())
    return bytes.fromhex(whole[: len(whole) // 2 * 2].decode())[: int(number)]


def _content(text: Text) -> bytes:
    _, _, rest = text.data.partition(b"\0")
    packed = text.kind == b"zTXt"
    if text.kind == b"iTXt":  # flag, method, language, keyword in it
        packed = rest[:1] == b"\1"
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif packed:
        rest = rest[1:]
    if not packed:
        return rest
    try:
        return zlib.decompressobj().decompress(rest, MOST_PROFILE)
    except zlib.error:
        return b""
