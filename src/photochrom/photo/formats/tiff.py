"""The directories of TIFF files: what libvips does not tell of them, and what it does not write.

::

    read_pages(file)    the pages of a file, and how each is stored
    exif_block(file)    its EXIF, as other formats have it
    plane_fronts(file)  tiles of separate planes, as a file for each plane
    finish(file)        the way back
    Joiner              files of a page each, of any sizes, become one file

libvips writes pages of one size only, and no EXIF. What it has written is not touched here: new
directories are added at the end, which refer to the same pixels.

Sources: TIFF 6.0 (Adobe, 1992); BigTIFF (AWare Systems, 2007); EXIF 2.32 (CIPA DC-008, 2019).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from photochrom.errors import PhotoError
from photochrom.photo.formats.format import MOST_MENDED, Saver
from photochrom.photo.formats.planes import IN_PLANES
from photochrom.photo.ifd import (
    BITS,
    CHANNELS,
    COMPRESSION,
    EXTRA,
    FAILURES,
    HEIGHT,
    MASK,
    PAGE,
    PHOTOMETRIC,
    PIXELS,
    PLANAR,
    SAMPLES,
    SUB_IFDS,
    SUBFILE,
    TILE_HEIGHT,
    TILE_WIDTH,
    WIDTH,
    Reader,
    to_number,
)
from photochrom.photo.layout import Layout
from photochrom.photo.source import REMEDY_DAMAGED, BytesOrigin, Origin

__all__ = [
    "LARGE_VALUES",
    "MOST_VALUES",
    "Pages",
    "STRAY",
    "TIFF",
    "check_pages",
    "largest_part",
    "mended",
    "read_pages",
]

TIFF = Saver(
    "tiffsave_target",
    (np.uint8, np.uint16, np.float32),
    True,
    2**31 - 1,
    {"compression": "deflate"},
)
STRAY = (
    "names a next page where the file has ended before; read as a file of one page, so restore it "
    "from a copy if it had more"
)
MOST_VALUES = 1 << 30  # bytes, of all values of a TIFF directory
# Libtiff, as libvips calls it, takes 50 MB in all. Layers of Photoshop are one value of a
# directory, and some programs store a photo as one strip, which is read as a whole before it is
# unpacked: what is larger than this has to be in the file, and is let pass.
LARGE_VALUES = 1 << 23


def mended(origin: Origin, at: int, width: int, name: str) -> BytesOrigin:
    """A TIFF file without the place of a next page, at which libvips would fail."""
    if origin.size() > MOST_MENDED:
        raise PhotoError(f"{name}: the chain of its pages breaks off after 1; {REMEDY_DAMAGED}")
    with origin.open() as file:
        data = bytearray(file.read())
    data[at : at + width] = bytes(width)
    return BytesOrigin(bytes(data))


def check_pages(image: Any, found: Pages, name: str) -> None:
    """Refuse a TIFF file of which pages would be lost without a word."""
    counted = image.get("n-pages") if "n-pages" in image.get_fields() else 1
    if found.whole and found.directories == counted:
        return
    pages = min(found.directories, counted)
    raise PhotoError(f"{name}: the chain of its pages breaks off after {pages}; {REMEDY_DAMAGED}")


_COMPRESSIONS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits"}
_STORED = frozenset(
    [
        SUBFILE,
        WIDTH,
        SAMPLES,
        HEIGHT,
        BITS,
        COMPRESSION,
        PHOTOMETRIC,
        TILE_WIDTH,
        TILE_HEIGHT,
        SUB_IFDS,
        PAGE,
        CHANNELS,
        PLANAR,
        EXTRA,
    ]
)  # what `read_pages` needs


class Pages(NamedTuple):
    """The pages of a TIFF file."""

    layouts: tuple[Layout, ...]  # without masks, and smaller copies that belong to a pyramid
    directories: int  # with them: what libvips counts as pages
    whole: bool  # the chain of directories could be followed to its end
    values: int  # bytes that the values of one directory claim, at most
    volume: int  # bytes of all their pixels with color and alpha, not compressed, copies included
    stray: tuple[int, int] | None = None
    """The only page names a place beyond the file for a next one: where it does, and bytes."""


def read_pages(file: BinaryIO) -> Pages:
    """The pages of a TIFF file, up to where its directories are damaged; nothing is raised."""
    found: list[Layout] = []
    before = (0, 0)
    number = volume = 0
    several = False
    try:
        reader = Reader(file)
    except FAILURES:
        return Pages((), 0, False, 0, 0)
    try:
        for place, directory in reader.chain(_STORED):
            index, number = number, number + 1
            size = to_number(directory, WIDTH), to_number(directory, HEIGHT)
            below = len(directory[SUB_IFDS].numbers) if SUB_IFDS in directory else 0
            bytes_each = 4 * max(1, to_number(directory, BITS) // 8)
            volume += bytes_each * size[0] * size[1] * (4 if below else 3) // 3
            subfile = to_number(directory, SUBFILE)
            numbered = directory[PAGE].numbers[1:] if PAGE in directory else []
            several = bool(subfile & 2) or max(numbered, default=0) > 1
            mask = to_number(directory, PHOTOMETRIC) == MASK and to_number(directory, BITS) <= 8
            if found and mask:
                found[-1] = replace(found[-1], masks=(*found[-1].masks, place))
                continue
            half = all(abs(2 * n - b) <= 2 for n, b in zip(size, before, strict=True))
            before = size
            if found and subfile & 1 and half:
                found[-1] = replace(found[-1], copies=found[-1].copies + 1)
                continue
            tile = to_number(directory, TILE_WIDTH), to_number(directory, TILE_HEIGHT)
            apart = (
                all(tile)
                and to_number(directory, PLANAR) == 2
                and to_number(directory, PHOTOMETRIC) in IN_PLANES
                and to_number(directory, BITS) in (8, 16, 32)
            )
            found.append(
                Layout(
                    index,
                    _COMPRESSIONS.get(to_number(directory, COMPRESSION), "deflate"),
                    tile if all(16 <= side <= 4096 and side % 16 == 0 for side in tile) else None,
                    # Below a page of strips there is a thumbnail, not a pyramid.
                    copies=below if all(tile) else 0,
                    nested=below > 0 and all(tile),
                    subfile=subfile,
                    place=place,
                    double=(to_number(directory, SAMPLES), to_number(directory, BITS)) == (3, 64),
                    planes=to_number(directory, CHANNELS) if apart else 0,
                    premultiplied=to_number(directory, EXTRA) == 1,
                )
            )
    except FAILURES:
        # Scanners and old programs leave there what was in memory, and there never was a next page;
        # unless the first one says itself that it is one of several.
        if number == 1 and not several and reader.at >= file.seek(0, 2):
            link = reader.link, 8 if reader.big else 4
            return Pages(tuple(found), number, True, reader.most, volume, link)
        return Pages(tuple(found), number, False, reader.most, volume)
    return Pages(tuple(found), number, True, reader.most, volume)


def largest_part(file: BinaryIO, place: int) -> int:
    """Bytes of the largest strip or tile, as it is stored, of the page whose directory is there."""
    wanted = frozenset(counts for _, counts in PIXELS)
    try:
        directory, _ = Reader(file).directory(place, wanted)
    except FAILURES:
        return 0
    return max((size for entry in directory.values() for size in entry.numbers), default=0)
