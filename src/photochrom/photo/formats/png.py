"""The texts of PNG files, which libvips would not write as they were.

Source: PNG (W3C, third edition), 11.3.3 Textual information. Programs from before there was a
better place keep EXIF and XMP in a text, and ImageMagick and ExifTool to this day IPTC: "Raw
profile type iptc", with a line that names it, the number of its bytes and then these in
hexadecimal.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from photochrom.photo.formats.format import Saver, replace_bytes
from photochrom.photo.metadata.exif import EXIF_HEAD
from photochrom.photo.metadata.resolution import Resolution, sane

__all__ = [
    "LONG_TEXTS",
    "LOST_TEXT",
    "PNG",
    "Text",
    "add_texts",
    "in_png",
    "png_resolution",
    "png_texts",
    "raw_profiles",
    "without_size",
]

PNG = Saver("pngsave_target", (np.uint8, np.uint16), True, 2**31 - 1, {"filter": "all"})


def without_size(file: BinaryIO) -> None:
    """Say in a PNG file that pixels are square, and not how large; libvips always says both.

    Source: PNG (W3C, third edition), 11.3.4.3 pHYs.
    """
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        size = int.from_bytes(head[:4], "big")
        if head[4:] == b"pHYs":
            chunk = b"pHYs" + struct.pack(">IIB", 1, 1, 0)
            file.seek(-4, 1)
            file.write(chunk + struct.pack(">I", zlib.crc32(chunk)))
            return
        file.seek(size + 4, 1)


def png_resolution(file: BinaryIO) -> Resolution | None:
    """What a PNG file states."""
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        size = int.from_bytes(head[:4], "big")
        if head[4:] == b"pHYs":
            data = file.read(9)
            if len(data) < 9:
                return None
            across, down, unit = struct.unpack(">IIB", data)
            return sane(across / 1000, down / 1000) if unit == 1 else None
        file.seek(size + 4, 1)
    return None


LOST_TEXT = 'its text "{}" is damaged and left out'
LONG_TEXTS = "holds more than 1 MB of texts; the rest is left out"


def in_png(file: BinaryIO, block: bytes) -> None:
    at = 8
    size = 0
    file.seek(at)
    while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"eXIf"):
        at += 12 + int.from_bytes(head[:4], "big")
        file.seek(at)
    if head[4:] == b"eXIf":
        size = 12 + int.from_bytes(head[:4], "big")
    chunk = b"eXIf" + block.removeprefix(EXIF_HEAD)
    length, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    replace_bytes(file, at, at + size, length + chunk + check)


_KINDS = (b"tEXt", b"zTXt", b"iTXt")
_MOST_CHUNKS = 100_000  # of a file, and
_MOST_BYTES = 1 << 20  # of its texts: more is no text about a photo
_MOST_PROFILE = 1 << 24  # of a text unpacked
_RAW = "Raw profile type "
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"  # as they begin in JPEG
# The kinds of them, and what they hold; APP1 is a segment of JPEG, either of the two.
_PLACES = {"exif": "exif", "xmp": "xmp", "app1": "", "iptc": "iptc", "8bim": "iptc"}
# XMP has its own way; the others are about the file: a thumbnail, and its dates on a disk.
_ABOUT_ITSELF = (_RAW, "XML:com.adobe.xmp", "Thumb::", "date:")


class Text(NamedTuple):
    """A chunk of text: its kind, its content with the keyword before it."""

    kind: bytes
    data: bytes

    @property
    def keyword(self) -> str:
        """What the text is, such as "Author"; "" if it is none."""
        word, ending, _ = self.data[:80].partition(b"\0")
        return word.decode("latin-1") if ending and word else ""

    @property
    def kept(self) -> bool:
        """Whether it says something of the photo, and has its place nowhere else."""
        return bool(self.keyword) and not self.keyword.startswith(_ABOUT_ITSELF)


def png_texts(file: BinaryIO) -> tuple[list[Text], bool]:
    """The texts of a PNG file in order, and whether these are all of them."""
    texts: list[Text] = []
    whole = True
    left = {True: _MOST_BYTES, False: _MOST_PROFILE}  # of those to keep, and of the others
    for kind, size in _chunks(file):
        if kind not in _KINDS:
            continue
        if size > max(left.values()):
            whole = False
            continue
        text = Text(kind, file.read(size))
        if size > left[text.kept]:
            whole = False
            continue
        left[text.kept] -= size
        texts.append(text)
    return texts, whole


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and size of each chunk, with the file at its content."""
    at = 8
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        size = int.from_bytes(head[:4], "big")
        yield head[4:], size
        at += size + 12


class Raw(NamedTuple):
    """What the texts "Raw profile type ..." hold; b"" for what they do not."""

    exif: bytes = b""  # from "Exif" on
    xmp: bytes = b""
    iptc: bytes = b""  # mostly in a block of Photoshop
    lost: tuple[str, ...] = ()  # keywords of those that cannot be read


def raw_profiles(texts: Iterable[Text]) -> Raw:
    """EXIF, XMP and IPTC that are kept in texts; of several of a kind the first."""
    found: dict[str, bytes] = {}
    lost: list[str] = []
    for text in texts:
        kind = text.keyword.removeprefix(_RAW).lower() if text.keyword.startswith(_RAW) else ""
        if kind not in _PLACES:
            continue
        data = _unraveled(_content(text))
        if kind == "app1":
            kind = "exif" if data.startswith(_EXIF) else "xmp" if data.startswith(_XMP) else ""
        if kind == "exif" and data.startswith((b"II", b"MM")):
            data = _EXIF + data
        if not kind or not data or (kind == "exif" and not data.startswith(_EXIF)):
            lost.append(text.keyword)
            continue
        found.setdefault(_PLACES[kind], data.removeprefix(_XMP))
    return Raw(**found, lost=tuple(dict.fromkeys(lost)))


def _unraveled(content: bytes) -> bytes:
    """The bytes of such a text: a line that names it, their number, hexadecimal digits."""
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
        return zlib.decompressobj().decompress(rest, _MOST_PROFILE)
    except zlib.error:
        return b""


def add_texts(file: BinaryIO, texts: Iterable[Text]) -> None:
    """Put texts at the end of a PNG file written here."""
    end = file.seek(-12, os.SEEK_END)
    last = file.read(12)
    if last[4:8] != b"IEND":
        raise ValueError("no PNG file, or one with something after it")
    file.seek(end)
    for text in texts:
        chunk = text.kind + text.data
        file.write(struct.pack(">I", len(text.data)) + chunk + struct.pack(">I", zlib.crc32(chunk)))
    file.write(last)
