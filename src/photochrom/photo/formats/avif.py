"""AVIF."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np

from photochrom.photo.formats.format import Saver
from photochrom.photo.metadata.exif import EXIF_HEAD

__all__ = ["AVIF", "in_avif"]

AVIF = Saver(
    "heifsave_target",
    (np.uint8,),
    True,
    16384,
    {"compression": "av1", "Q": 90, "bitdepth": 8, "subsample_mode": "off", "effort": 2},
)


def in_avif(file: BinaryIO, block: bytes) -> None:
    """At the end of the file; the place of the item in the table of places is changed.

    Raises ValueError if there is no such item, or not in one piece, as libvips writes it.
    """
    meta, size = _box(file, b"meta", 0, file.seek(0, 2))
    start, end = meta + 4, meta + size  # behind its version and flags
    item = _exif_item(file, *_box(file, b"iinf", start, end))
    iloc, size = _box(file, b"iloc", start, end)
    file.seek(iloc)
    table = bytearray(file.read(size))
    version, widths, base_width = table[0], table[4], table[5] >> 4
    if version != 0 or widths != 0x44:
        raise ValueError("no AVIF file of libvips")
    (count,) = struct.unpack_from(">H", table, 6)
    data = struct.pack(">I", len(EXIF_HEAD)) + block  # what to skip to the byte order
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
    raise ValueError("no AVIF file of libvips")


def _box(file: BinaryIO, wanted: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the content of a box is, and its size."""
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if kind == wanted and size >= 8:
            return at + 8, size - 8
        if size < 8:
            break
        at += size
    raise ValueError("no AVIF file of libvips")


def _exif_item(file: BinaryIO, at: int, size: int) -> int:
    """The number of the item that is EXIF."""
    start, end = at + 6, at + size  # behind version, flags and the number of items
    while start < end:
        infe, length = _box(file, b"infe", start, end)
        file.seek(infe)
        version, number, kind = struct.unpack(">B3xH2x4s", file.read(12))
        if version == 2 and kind == b"Exif":
            return int(number)
        start = infe + length
    raise ValueError("no AVIF file of libvips")
