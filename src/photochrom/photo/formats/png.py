"""PNG, with its texts, which libvips would not write as they were.

Sources: PNG (W3C, third edition), 11.3.3 Textual information, 11.3.4.3 pHYs, 11.3.4.6 eXIf.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from photochrom.errors import PhotoError
from photochrom.photo.carried import Carried
from photochrom.photo.facts import Facts
from photochrom.photo.formats.format import Format, Holds, Page, replace_bytes
from photochrom.photo.formats.png_color import stated_color
from photochrom.photo.metadata.exif import EXIF_HEAD, MOST_EXIF
from photochrom.photo.metadata.iptc import whole_iptc
from photochrom.photo.metadata.resolution import Resolution, sane
from photochrom.photo.metadata.texts import MOST_PROFILE, Text, raw_profiles, xmp_text

__all__ = ["PNG"]

_LOST_TEXT = 'its text "{}" is damaged and was dropped'
_LONG_TEXTS = "holds more than 1 MB of texts; the rest was dropped"


@dataclass(frozen=True, eq=False)
class _Png(Format):
    def begins(self, head: bytes) -> bool:
        return head.startswith(b"\x89PNG\r\n\x1a\n")

    def held_whole(self, page: Page) -> tuple[str, int]:
        return "interlaced PNG", page.pixel_bytes if page.interlaced else 0

    def facts(self, page: Page) -> Facts:
        facts = super().facts(page)
        with page.origin.open() as file:
            texts, complete = _texts(file)
            late, frames, gone = _others(file)
            chunks = _about_color(file)
        raw = raw_profiles(texts)
        own = facts.metadata
        # libvips does not look at what follows the pixels.
        metadata = replace(
            own,
            exif=own.exif or late or raw.exif or None,
            xmp=own.xmp or xmp_text(texts) or raw.xmp or None,
            iptc=whole_iptc([own.iptc, *raw.iptc]),
            texts=tuple(text for text in texts if text.about_photo),
        )
        stated = stated_color(chunks, page.image.bands <= 2)
        if stated.hdr:
            raise PhotoError(
                f"its colors are of high dynamic range ({stated.hdr}), which is not supported",
                "convert it to sRGB",
                name=page.facts.name,
            )
        notes: tuple[str, ...] = () if complete else (_LONG_TEXTS,)
        notes += tuple(_LOST_TEXT.format(keyword) for keyword in raw.lost)
        notes += () if stated.note is None else (stated.note,)
        notes += (f"its chunks {', '.join(gone)} were dropped",) if gone else ()
        return replace(
            facts,
            metadata=metadata,
            notes=notes,
            resolution=self.resolution(page, metadata.exif),
            frames=frames,
            profile=None if stated.srgb else stated.profile or facts.profile,
            profiled=facts.profiled or stated.srgb or stated.profile is not None,
        )

    def header_resolution(self, file: BinaryIO) -> Resolution | None:
        for kind, _ in _before_pixels(file):
            if kind == b"pHYs":
                data = file.read(9)
                if len(data) < 9:
                    return None
                across, down, unit = struct.unpack(">IIB", data)
                return sane(across / 1000, down / 1000) if unit == 1 else None
        return None

    def put_exif(self, file: BinaryIO, block: bytes) -> None:
        at, size = 8, 0
        for kind, length in _chunks(file):
            at = file.tell() - 8
            if kind in (b"IDAT", b"eXIf"):
                size = 12 + length if kind == b"eXIf" else 0
                break
        replace_bytes(file, at, at + size, _packed(b"eXIf", block.removeprefix(EXIF_HEAD)))

    def finish(self, file: BinaryIO, carried: Carried) -> None:
        super().finish(file, carried)
        if carried.facts.resolution is None:
            _remove_size(file)
        if carried.facts.metadata.texts:
            _add_texts(file, carried.facts.metadata.texts)


# Choosing the filter for each line ("all") saves a tenth of a grainy photo and a third of a smooth
# one.
PNG = _Png(
    name="PNG",
    suffixes=(".png",),
    media_type="image/png",
    loader="pngload_source",
    saver="pngsave_target",
    holds=Holds((np.uint8, np.uint16), side=2**31 - 1, texts=True, lossless=True),
    options={"filter": "all"},
)


# --- chunks ---------------------------------------------------------------------------------------

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_OF_COLOR = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
# Those that a result has, and those that are about the gray pixels as they were stored.
_KNOWN = frozenset([
    *_TEXTS, *_OF_COLOR, b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"eXIf", b"pHYs", b"tIME",
    b"sBIT", b"hIST", b"sPLT", b"bKGD", b"acTL", b"fcTL", b"fdAT", b"mDCV", b"cLLI", b"orNT",
    b"vpAg",
])  # fmt: skip
_NAMES = {b"caBX": "caBX (content credentials)"}
_MOST_NAMED = 8
_MOST_CHUNKS = 100_000  # of a file
_MOST_BYTES = 1 << 20  # of its texts: no text about a photo is longer


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


def _before_pixels(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    for kind, size in _chunks(file):
        if kind == b"IDAT":
            return
        yield kind, size


def _packed(kind: bytes, data: bytes) -> bytes:
    """A chunk."""
    chunk = kind + data
    return struct.pack(">I", len(data)) + chunk + struct.pack(">I", zlib.crc32(chunk))


def _about_color(file: BinaryIO) -> dict[bytes, bytes]:
    """The chunks about color; those of a profile, and what is too long, without their content."""
    return {
        kind: file.read(size) if size <= 32 else b""
        for kind, size in _before_pixels(file)
        if kind in _OF_COLOR
    }


def _others(file: BinaryIO) -> tuple[bytes, int, tuple[str, ...]]:
    """The EXIF of a file, the number of its frames, and the names of chunks that get lost."""
    exif, frames = b"", 1
    gone: dict[str, None] = {}
    for kind, size in _chunks(file):
        if kind == b"eXIf" and not exif and size <= MOST_EXIF:
            block = file.read(size).removeprefix(EXIF_HEAD)
            exif = EXIF_HEAD + block if block[:2] in (b"II", b"MM") else b""
        elif kind == b"acTL" and size == 8:
            frames = max(1, int.from_bytes(file.read(4), "big"))
        elif kind not in _KNOWN and kind.isalpha() and len(gone) < _MOST_NAMED:
            gone[_NAMES.get(kind, kind.decode())] = None
    return exif, frames, tuple(gone)


def _texts(file: BinaryIO) -> tuple[list[Text], bool]:
    """The texts of a PNG file in order, and whether these are all of them."""
    texts: list[Text] = []
    complete = True
    left = {True: _MOST_BYTES, False: MOST_PROFILE}  # of texts about the photo, and of the others
    for kind, size in _chunks(file):
        if kind not in _TEXTS:
            continue
        if size > max(left.values()):
            complete = False
            continue
        text = Text(kind, file.read(size))
        if size > left[text.about_photo]:
            complete = False
            continue
        left[text.about_photo] -= size
        texts.append(text)
    return texts, complete


def _add_texts(file: BinaryIO, texts: Iterable[Text]) -> None:
    """Put texts at the end of a PNG file written here."""
    end = file.seek(-12, os.SEEK_END)
    last = file.read(12)
    if last[4:8] != b"IEND":
        raise ValueError("not a PNG file, or one with something after it")
    file.seek(end)
    for text in texts:
        file.write(_packed(text.kind, text.data))
    file.write(last)


def _remove_size(file: BinaryIO) -> None:
    """State that pixels are square, but not how large they are; libvips always states both."""
    for kind, _ in _before_pixels(file):
        if kind == b"pHYs":
            file.seek(-8, os.SEEK_CUR)
            file.write(_packed(b"pHYs", struct.pack(">IIB", 1, 1, 0)))
            return
