"""TIFF samples of 9 to 15 bits, which follow one another without a gap and which libvips refuses.

libvips unpacks the bytes, as if each were a gray sample, and the bits are taken apart here. Rows,
and rows of tiles, begin at a whole byte.

Source: TIFF 6.0 (Adobe, 1992), BitsPerSample; libtiff, where bits of such samples are in the order
of a big-endian machine in any file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.formats.planes import open_front, other_front
from photochrom.photo.formats.tiff_channels import Channels
from photochrom.photo.ifd import (
    BITS,
    CHANNELS,
    EXTRA,
    PHOTOMETRIC,
    SAMPLES,
    TILE_WIDTH,
    WIDTH,
    Entry,
)
from photochrom.photo.layout import Layout
from photochrom.photo.source import REMEDY_DAMAGED, Origin
from photochrom.photo.vips import to_numpy, to_vips, watched

__all__ = ["is_packed", "open_packed"]

_MOST_WIDTH = 1 << 24  # pixels; a photo has fewer, see `ReadLimits`
_PART = 1 << 22  # bits that are apart at a time
_INTERPRETATIONS = {"GRAY": "grey16", "RGB ": "rgb16", "CMYK": "cmyk"}


class _Rows(NamedTuple):
    """How the samples lie in the bytes."""

    bits: int
    samples: int  # of a part: a row, or a row of a tile
    size: int  # bytes of a part
    parts: int  # beside one another


def is_packed(layout: Layout) -> bool:
    """Whether a page has such samples."""
    return 8 < layout.bits < 16


def open_packed(
    origin: Origin, layout: Layout, channels: Channels | None, name: str, roomy: bool
) -> tuple[Any, Callable[..., Any]]:
    """The metadata of a page as a libvips image of its size, and what decodes it.

    Raises
    ------
    PhotoError
        The page is stored in a way that is not supported, or is damaged.
    """
    if channels is None or channels.space not in _INTERPRETATIONS or layout.planar:
        raise PhotoError(
            f"TIFF samples of {layout.bits} bits are supported only in gray, RGB and CMYK "
            "without planes",
            "save it with 16 bits per channel",
            name=name,
        )
    width = layout.grid or layout.width
    if (
        not 0 < min(width, layout.width) <= max(width, layout.width) <= _MOST_WIDTH
        or not 0 < layout.height <= _MOST_WIDTH
    ):
        raise PhotoError("its size is damaged", REMEDY_DAMAGED, name=name)
    size = -(-width * layout.channels * layout.bits // 8)
    if layout.grid and size % 16:
        raise PhotoError(
            f"TIFF tiles of this size with samples of {layout.bits} bits are not supported",
            "save it with strips, or with 16 bits per channel",
            name=name,
        )
    rows = _Rows(layout.bits, width * layout.channels, size, -(-layout.width // width))
    changes: dict[int, Entry | None] = {
        WIDTH: Entry.of(4, [rows.size * rows.parts]),
        BITS: Entry.of(3, [8]),
        SAMPLES: Entry.of(3, [1]),
        CHANNELS: Entry.of(3, [1]),
        PHOTOMETRIC: Entry.of(3, [1]),
        EXTRA: None,
    }
    if layout.grid:
        changes[TILE_WIDTH] = Entry.of(4, [rows.size])
    with origin.open() as file:
        front = other_front(file, layout.place, changes)
    if not front:
        raise PhotoError("its directory is damaged", REMEDY_DAMAGED, name=name)
    head = open_front(origin, front)
    call = pyvips.Operation.call
    pixel = call("embed", call("crop", head, 0, 0, 1, 1), 0, 0, layout.width, layout.height)
    header = call("cast", call("bandjoin", [pixel] * layout.channels), "ushort")
    header = header.copy(interpretation=_INTERPRETATIONS[channels.space])
    inverse = layout.photometric == 0

    def load(access: str = "sequential") -> Any:
        def decoded(first: bool) -> NDArray[np.uint8]:
            return to_numpy(open_front(origin, front, roomy=roomy))

        samples = _unpacked(watched(decoded, layout.grid > 0), rows)
        samples = samples.reshape(len(samples), -1, layout.channels)[:, : layout.width]
        if inverse:
            samples[..., 0] ^= 0xFFFF
        image = to_vips(samples)
        return image.copy(interpretation=_INTERPRETATIONS[channels.space])

    return header, load


def _unpacked(data: NDArray[np.uint8], rows: _Rows) -> NDArray[np.uint16]:
    """Bytes (H, W, 1) as samples (H, n), scaled to 16 bits."""
    height = len(data)
    parts = data.reshape(height * rows.parts, rows.size)
    out = np.empty((len(parts), rows.samples), np.uint16)
    step = max(1, _PART // (8 * rows.size))
    for top in range(0, len(parts), step):
        bits = np.unpackbits(parts[top : top + step], axis=1)
        bits = bits[:, : rows.samples * rows.bits].reshape(-1, rows.bits)
        wide = np.zeros((len(bits), 16), np.uint8)
        wide[:, : rows.bits] = bits
        values = np.packbits(wide, axis=1).view(">u2").astype(np.uint16)
        # Its first bits again in those that are empty: white is white.
        out[top : top + step] = (values | values >> rows.bits).reshape(-1, rows.samples)
    return out.reshape(height, -1)
