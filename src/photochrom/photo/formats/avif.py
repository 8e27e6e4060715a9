"""AVIF.

Sources: ISO/IEC 14496-12 (ISOBMFF), 8.11; ISO/IEC 23008-12 (HEIF), annex A.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from photochrom.photo.carried import Carried
from photochrom.photo.facts import Facts
from photochrom.photo.formats.av1 import is_lossless
from photochrom.photo.formats.format import Format, Holds, Page, brands
from photochrom.photo.metadata.exif import EXIF_HEAD

__all__ = ["AVIF"]


@dataclass(frozen=True, eq=False)
class _Avif(Format):
    def begins(self, head: bytes) -> bool:
        return bool(brands(head) & {b"avif", b"avis"})

    def held_whole(self, page: Page) -> tuple[str, int]:
        return self.name, page.pixel_bytes

    def facts(self, page: Page) -> Facts:
        deep = page.image.format == "ushort"
        bits = page.image.get("bits-per-sample") if deep else 0
        with page.origin.open() as file:
            lossless = is_lossless(file)
        return replace(super().facts(page), bits=bits, lossless=lossless)

    def orientation(self, page: Page, facts: Facts) -> int:
        return page.get("orientation") or 1  # those of the file itself have been applied

    def stored_as(self, dtype: np.dtype[Any], facts: Facts) -> np.dtype[Any]:
        return dtype if facts.bits else super().stored_as(dtype, facts)

    def dress(self, image: Any, carried: Carried) -> tuple[Any, dict[str, Any]]:
        deep = image.format == "ushort"
        image, options = super().dress(image, carried)
        if deep:
            options["bitdepth"] = carried.facts.bits
        if self.stays_lossless(carried.facts) and carried.quality is None:
            options["lossless"] = True
            del options["Q"]
        return image, options

    def put_exif(self, file: BinaryIO, block: bytes) -> None:
        """Put it at the end of the file, and change the item's entry in the table of places.

        Raises ValueError if there is no such item, or if it is not in one piece, as from libvips.
        """
        meta, size = _box(file, b"meta", 0, file.seek(0, 2))
        start, end = meta + 4, meta + size  # after its version and flags
        item = _exif_item(file, *_box(file, b"iinf", start, end))
        iloc, size = _box(file, b"iloc", start, end)
        file.seek(iloc)
        table = bytearray(file.read(size))
        version, widths, base_width = table[0], table[4], table[5] >> 4
        if version != 0 or widths != 0x44:
            raise ValueError(_FOREIGN)
        (count,) = struct.unpack_from(">H", table, 6)
        data = struct.pack(">I", len(EXIF_HEAD)) + block  # what to skip, up to the byte order
        at = 8
        for _ in range(count):
            number, _, first, extents = struct.unpack_from(f">HH{base_width}sH", table, at)
            at += 6 + base_width
            if number == item and extents == 1:
                place = file.seek(0, 2) + 8
                struct.pack_into(">II", table, at, place - int.from_bytes(first, "big"), len(data))
                file.write(struct.pack(">I4s", 8 + len(data), b"mdat") + data)
                file.seek(iloc)
                file.write(table)
                return
            at += 8 * extents
        raise ValueError(_FOREIGN)


AVIF = _Avif(
    name="AVIF",
    suffixes=(".avif",),
    media_type="image/avif",
    loader="heifload_source",
    saver="heifsave_target",
    holds=Holds((np.uint8,), side=16384),
    options={"compression": "av1", "Q": 90, "bitdepth": 8, "subsample_mode": "off", "effort": 2},
)
_FOREIGN = "not an AVIF file from libvips"


def _box(file: BinaryIO, wanted: bytes, at: int, end: int) -> tuple[int, int]:
    """Place and size of the content of a box."""
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if kind == wanted and size >= 8:
            return at + 8, size - 8
        if size < 8:
            break
        at += size
    raise ValueError(_FOREIGN)


def _exif_item(file: BinaryIO, at: int, size: int) -> int:
    """The number of the EXIF item."""
    start, end = at + 6, at + size  # after version, flags and the number of items
    while start < end:
        infe, length = _box(file, b"infe", start, end)
        file.seek(infe)
        version, number, kind = struct.unpack(">B3xH2x4s", file.read(12))
        if version == 2 and kind == b"Exif":
            return int(number)
        start = infe + length
    raise ValueError(_FOREIGN)
