"""TIFF tiles with a separate plane for each channel, which libvips does not read."""

from __future__ import annotations

import threading
from typing import Any, BinaryIO

import numpy as np
import pyvips

from photochrom.photo.ifd import (
    BITS,
    CHANNELS,
    COMPRESSION,
    FAILURES,
    HEIGHT,
    ORIENTATION,
    PHOTOMETRIC,
    SAMPLES,
    TILE_HEIGHT,
    TILE_WIDTH,
    TILES,
    WIDTH,
    Entry,
    Reader,
    Tree,
    file_head,
    packed_tree,
    to_number,
)
from photochrom.photo.source import Origin, read_at
from photochrom.photo.vips import VIPS_LOG

__all__ = ["IN_PLANES", "open_planes", "plane_fronts"]


def open_planes(
    origin: Origin,
    fronts: list[bytes],
    access: str = "sequential",
    roomy: bool = False,
    premultiplied: bool = False,
) -> Any:
    """The libvips image of a page of tiles in separate planes; see `plane_fronts`."""
    file = _Shared(origin)
    planes = []
    for front in fronts:
        view = _Fronted(front, file)
        source = pyvips.SourceCustom()
        source.on_read(view.read)
        source.on_seek(view.seek)
        with VIPS_LOG:
            plane = pyvips.Image.tiffload_source(
                source, access=access, fail_on="error", unlimited=roomy
            )
        # As in `pyvips.Image.new_from_source`, which would also try other loaders: whatever is made
        # of the image keeps alive what libvips will call.
        plane._references.append(source)
        planes.append(plane)
    call = pyvips.Operation.call
    joined = call("bandjoin", planes)
    if not premultiplied:
        return joined
    most = {"uchar": 255, "ushort": 65535}.get(joined.format, 1)
    straight = call("unpremultiply", joined, max_alpha=most, alpha_band=joined.bands - 1)
    return call("cast", straight, joined.format)


class _Shared:
    """A file for several readers, each at its own place; closed with the last reference."""

    def __init__(self, origin: Origin) -> None:
        self.file, self.size = origin.open(), origin.size()
        self.lock = threading.Lock()

    def __del__(self) -> None:
        if "file" in vars(self):
            self.file.close()

    def part(self, at: int, size: int) -> bytes:
        with self.lock:
            return read_at(self.file, at, size)


class _Fronted:
    """A file with more bytes in front of its own."""

    def __init__(self, front: bytes, file: _Shared) -> None:
        self.front, self.file, self.at = front, file, 0

    # libvips calls these. No exception may leave them.

    def read(self, size: int) -> bytes:
        if self.at < len(self.front):
            part = self.front[self.at : self.at + size]
        else:
            try:
                part = self.file.part(self.at - len(self.front), size)
            except (OSError, OverflowError):
                return b""  # libvips sees an early end of the file
        self.at += len(part)
        return part

    def seek(self, offset: int, whence: int) -> int:
        at = offset + (0, self.at, len(self.front) + self.file.size)[whence]
        if at < 0:
            return -1
        self.at = at
        return at


# The tags of a page that its planes share: also order of bits, orientation, predictor, JPEG tables.
_OF_PLANE = frozenset(
    [WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, 266, ORIENTATION, CHANNELS, 317, TILE_WIDTH,
     TILE_HEIGHT, TILES, 325, SAMPLES, 347]
)  # fmt: skip
IN_PLANES = (0, 1, 2, 5)  # white is 0, black is 0, RGB, CMYK: their channels are independent


def plane_fronts(file: BinaryIO, place: int) -> list[bytes]:
    """For each plane of a page of tiles, bytes that make it a gray photo; none if it is damaged.

    They are a header and a directory, for the front of all the bytes of the file.

    Parameters
    ----------
    file : a TIFF file
    place : of the page's directory, as in its `Layout`
    """
    try:
        # `Pages.values` has shown that what the directory claims is in the file.
        reader = Reader(file, own=True)
        directory, _ = reader.directory(place, _OF_PLANE)
        width, height, tile_width, tile_height, planes = (
            to_number(directory, tag) for tag in (WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT, CHANNELS)
        )
        each = -(-width // tile_width) * -(-height // tile_height)
        starts, counts = (directory[tag].numbers for tag in (TILES, 325))
        formats = {tag: directory[tag].numbers for tag in (BITS, SAMPLES) if tag in directory}
    except (*FAILURES, KeyError, ZeroDivisionError):
        return []
    mixed = any(len(set(values)) != 1 for values in formats.values())
    if mixed or not len(starts) == len(counts) == each * planes > 0:
        return []
    head = file_head(reader.order, True, 16)
    inverse = to_number(directory, PHOTOMETRIC) == 0
    fronts = []
    for n in range(planes):
        part = slice(n * each, (n + 1) * each)
        tree: Tree = {**directory, **{tag: Entry.of(3, v[:1]) for tag, v in formats.items()}}
        tree |= {
            PHOTOMETRIC: Entry.of(3, [0 if inverse and n == 0 else 1]),  # alpha is never inverse
            CHANNELS: Entry.of(3, [1]),
            325: Entry.of(16, counts[part]),
        }
        size = 0
        for _ in range(2):  # the places of the tiles depend on the size, but it does not on them
            moved = np.array(starts[part], np.uint64) + np.uint64(size)
            tree[TILES] = Entry(16, moved.astype("<u8").tobytes())
            front = head + packed_tree(tree, len(head), True, order=reader.order)
            size = len(front)
        fronts.append(front)
    return fronts
