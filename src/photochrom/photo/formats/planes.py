"""TIFF pages whose bytes are fine but which libvips cannot read, or reads wrongly, as they are.

libvips gets the same bytes with a directory of ours in front, which says something else about them:
that each plane is a gray photo, or that L*a*b* is red, green and blue.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
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
    PIXELS,
    POINTERS,
    ROWS,
    SAMPLES,
    STRIPS,
    TILE_HEIGHT,
    TILE_WIDTH,
    TILES,
    WIDTH,
    Directory,
    Entry,
    Reader,
    Tree,
    file_head,
    packed_tree,
    to_number,
)
from photochrom.photo.source import Origin, read_at
from photochrom.photo.vips import VIPS_LOG

__all__ = ["IN_PLANES", "open_front", "open_planes", "other_front", "plane_fronts"]


def open_planes(
    origin: Origin,
    fronts: list[bytes],
    access: str = "sequential",
    roomy: bool = False,
    premultiplied: bool = False,
) -> Any:
    """The libvips image of a page in separate planes; see `plane_fronts`."""
    file = _Shared(origin)
    planes = [_opened(_Fronted(front, file), access, roomy) for front in fronts]
    call = pyvips.Operation.call
    joined = call("bandjoin", planes)
    if not premultiplied:
        return joined
    most = {"uchar": 255, "ushort": 65535}.get(joined.format, 1)
    straight = call("unpremultiply", joined, max_alpha=most, alpha_band=joined.bands - 1)
    return call("cast", straight, joined.format)


def open_front(
    origin: Origin, front: bytes, access: str = "sequential", roomy: bool = False
) -> Any:
    """The libvips image of a page with another directory in front; see `other_front`."""
    return _opened(_Fronted(front, _Shared(origin)), access, roomy)


def _opened(view: _Fronted, access: str, roomy: bool) -> Any:
    source = pyvips.SourceCustom()
    source.on_read(view.read)
    source.on_seek(view.seek)
    with VIPS_LOG:
        image = pyvips.Image.tiffload_source(
            source, access=access, fail_on="error", unlimited=roomy
        )
    # As in `pyvips.Image.new_from_source`, which would also try other loaders: whatever is made
    # of the image keeps alive what libvips will call.
    image._references.append(source)
    return image


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
    [WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, 266, STRIPS, ORIENTATION, CHANNELS, ROWS, 279,
     317, TILE_WIDTH, TILE_HEIGHT, TILES, 325, SAMPLES, 347]
)  # fmt: skip
IN_PLANES = (0, 1, 2, 5)  # white is 0, black is 0, RGB, CMYK: their channels are independent
_LARGE = frozenset([34377, 37724])  # Photoshop's, which may be most of the file


def plane_fronts(file: BinaryIO, place: int) -> list[bytes]:
    """For each plane of a page, bytes that make it a gray photo; none if it is damaged.

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
        planes, each = to_number(directory, CHANNELS), _parts(directory)
        at, size = PIXELS[TILES in directory]
        starts, counts = (directory[tag].numbers for tag in (at, size))
        formats = {tag: directory[tag].numbers for tag in (BITS, SAMPLES) if tag in directory}
    except (*FAILURES, KeyError, ZeroDivisionError):
        return []
    mixed = any(len(set(values)) != 1 for values in formats.values())
    if mixed or not len(starts) == len(counts) == each * planes > 0:
        return []
    inverse = to_number(directory, PHOTOMETRIC) == 0
    fronts = []
    for n in range(planes):
        part = slice(n * each, (n + 1) * each)
        tree: Tree = {**directory, **{tag: Entry.of(3, v[:1]) for tag, v in formats.items()}}
        tree |= {
            PHOTOMETRIC: Entry.of(3, [0 if inverse and n == 0 else 1]),  # alpha is never inverse
            CHANNELS: Entry.of(3, [1]),
            size: Entry.of(16, counts[part]),
        }
        fronts.append(_front(tree, reader.order, at, starts[part]))
    return fronts


def _parts(directory: Directory) -> int:
    """How many strips or tiles a plane has."""
    width, height = to_number(directory, WIDTH), to_number(directory, HEIGHT)
    if TILES in directory:
        across, down = to_number(directory, TILE_WIDTH), to_number(directory, TILE_HEIGHT)
        return -(-width // across) * -(-height // down)
    return -(-height // (min(to_number(directory, ROWS), height) or height))


def other_front(file: BinaryIO, place: int, changes: Mapping[int, Entry | None]) -> bytes:
    """Bytes that have a page say something else of its pixels; b"" if it is damaged.

    Parameters
    ----------
    file, place : as for `plane_fronts`
    changes : the tags that differ; None for one that is left out
    """
    try:
        reader = Reader(file, own=True)
        wanted = frozenset(range(1 << 16)) - frozenset(POINTERS) - _LARGE
        directory, _ = reader.directory(place, wanted)
        at, _ = PIXELS[TILES in directory]
        tree: Tree = {
            tag: entry for tag, entry in {**directory, **changes}.items() if entry is not None
        }
        return _front(tree, reader.order, at, directory[at].numbers)
    except (*FAILURES, KeyError):
        return b""


def _front(tree: Tree, order: str, at: int, starts: list[int]) -> bytes:
    """A header and a directory whose tag `at` has these places, moved by their own length."""
    head = file_head(order, True, 16)
    front = b""
    for _ in range(2):  # the places depend on the length, but it does not on them
        moved = np.array(starts, np.uint64) + np.uint64(len(front))
        tree[at] = Entry(16, moved.astype("<u8").tobytes())
        front = head + packed_tree(tree, len(head), True, order=order)
    return front
