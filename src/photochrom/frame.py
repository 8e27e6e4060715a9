"""The photo as the network sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from photochrom.arrays import Float32
from photochrom.color.resize import area_shrink
from photochrom.hints import Place
from photochrom.models import STRIDE, ModelInfo

__all__ = ["Frame", "HINT_RADIUS", "MAX_ASPECT", "network_input", "seen_lightness"]

MAX_ASPECT = 6
"""Longer photos are squeezed to this aspect ratio for the network; the result is not."""
HINT_RADIUS = 1
"""A hint covers the (2 r + 1)^2 pixels around its place in the network's input."""


@dataclass(frozen=True)
class Frame:
    """The (height, width) of the photo in the network's input, padded to (rows, columns)."""

    height: int
    width: int
    rows: int
    columns: int

    @classmethod
    def of(cls, photo_height: int, photo_width: int, size: int, multiple: int) -> Frame:
        """A short side of `size`, a long side in proportion (to 4 pixels), padded to `multiple`."""
        short, long = sorted((photo_height, photo_width))
        aspect = min(long / short, MAX_ASPECT)
        other = max(size, STRIDE * round(size * aspect / STRIDE))
        height, width = (size, other) if photo_height <= photo_width else (other, size)
        return cls(height, width, *(-(-side // multiple) * multiple for side in (height, width)))


def network_input(L: Float32, frame: Frame, info: ModelInfo, hints: Sequence[Place]) -> Float32:
    """The network's input, float32 (channels, rows, columns): normalized L, and the hints.

    Where there is no hint, ab is 0 and the mask is `info.hint_mask[0]`.
    """
    small = area_shrink(L, (frame.height, frame.width))
    margin = ((0, frame.rows - frame.height), (0, frame.columns - frame.width))
    # Mirrored, if there is enough to mirror: a hard black edge would look like an object.
    enough = all(m <= side for (_, m), side in zip(margin, small.shape, strict=True))
    padded = np.pad(small, margin, mode="symmetric" if enough else "edge")
    x = np.zeros((info.channels, frame.rows, frame.columns), dtype=np.float32)
    x[0] = (padded - info.L_center) / info.L_scale
    off, on = info.hint_mask
    x[3:] = off
    for place in hints:
        for row, column in place.marks(frame.height, frame.width):
            near = (
                slice(max(0, row - HINT_RADIUS), row + HINT_RADIUS + 1),
                slice(max(0, column - HINT_RADIUS), column + HINT_RADIUS + 1),
            )
            x[1:3, *near] = place.ab[:, None, None] / info.ab_scale
            x[3, *near] = on
    return x


def seen_lightness(x: Float32, frame: Frame, info: ModelInfo) -> Float32:
    """The L of a network input, at the resolution of the logits: float32 (h, w)."""
    seen = x[0, : frame.height, : frame.width] * info.L_scale + info.L_center
    s = info.stride
    blocks = seen.reshape(frame.height // s, s, frame.width // s, s)
    L: Float32 = blocks.mean(axis=(1, 3))
    return L
