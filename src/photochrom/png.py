"""The texts of PNG files, which libvips would not write as they were.

Source: PNG (W3C, third edition), 11.3.3 Textual information. Programs from before there was a
better place, and ImageMagick and ExifTool to this day, keep IPTC in a text: "Raw profile type
iptc", with the number of its bytes and then these in hexadecimal.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

__all__ = ["Text", "add_texts", "png_texts", "raw_iptc"]

_KINDS = (b"tEXt", b"zTXt", b"iTXt")
_MOST_CHUNKS = 100_000  # of a file, and
_MOST_BYTES = 1 << 20  # of its texts: more is no text about a photo
_MOST_PROFILE = 1 << 24  # of a text unpacked
_RAW = "Raw profile type "
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


def raw_iptc(texts: Iterable[Text]) -> bytes:
    """The IPTC that is kept in a text, mostly as a block of Photoshop; b"" if there is none."""
    for text in texts:
        if text.keyword not in (f"{_RAW}iptc", f"{_RAW}8bim"):
            continue
        found = re.match(rb"\s*\w+\s+(\d{1,8})\s+([0-9a-fA-F\s]+)", _content(text))
        if found is not None:
            digits = b"".join(found[2].split())
            data = bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
            return data[: int(found[1])]
    return b""


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
