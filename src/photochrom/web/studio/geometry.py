"""Boxes and sizes."""

from __future__ import annotations

from photochrom.errors import ConfigError
from photochrom.web.studio.asked import Box
from photochrom.web.studio.limits import TILE, VIEW

__all__ = ["cut_box", "fit_within"]


def fit_within(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """(height, width) of a preview, in the photo's proportions and never enlarged."""
    scale = min(1.0, min(size, VIEW) / max(shape))
    height, width = (max(1, round(side * scale)) for side in shape)
    return height, width


def cut_box(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of a level that a box covers, clipped to the photo.

    Pixel (column, row) of a level with scale s is the mean of the photo's pixels from (s column,
    s row) to (s column + s - 1, s row + s - 1). A partly covered pixel counts.

    Raises
    ------
    ConfigError
        The box covers nothing, or more than TILE x TILE pixels.
    """
    parts = []
    for start, length, side in ((box.y, box.height, shape[0]), (box.x, box.width, shape[1])):
        first, stop = start // box.scale, min(-(-(start + length) // box.scale), side)
        if not 0 <= first < stop:
            raise ConfigError("the tile is outside the photo")
        if stop - first > TILE:
            raise ConfigError(f"a tile has at most {TILE} x {TILE} pixels", "ask for several")
        parts.append(slice(first, stop))
    return parts[0], parts[1]
