"""The photo as the network sees it."""

from __future__ import annotations

import math
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


Box = tuple[int, int, int, int]
"""(top, left, bottom, right)"""


@dataclass(frozen=True)
class Frame:
    """The photo at the network's scale, and the part of it that the network sees.

    Attributes
    ----------
    height, width : of the photo
    rows, columns : of the network's input: those of the window, padded
    window : the part that the network sees, in pixels of this scale, multiples of `STRIDE`; all of
        the photo unless it has margins
    content : the part of the window that is not margin
    """

    height: int
    width: int
    rows: int
    columns: int
    window: Box
    content: Box

    @classmethod
    def of(
        cls,
        photo_height: int,
        photo_width: int,
        size: int,
        multiple: int,
        box: tuple[float, float, float, float] | None = None,
    ) -> Frame:
        """A short side of `size`, a long side in proportion (to 4 pixels), padded to `multiple`.

        Parameters
        ----------
        photo_height, photo_width : of the photo, pixels
        size, multiple : of the network's input
        box : (top, left, bottom, right) of what is inside the margins, in shares of the photo: it
            gets that size then, and margins are extra
        """
        top, left, bottom, right = box or (0.0, 0.0, 1.0, 1.0)
        inside = max(1.0, photo_height * (bottom - top)), max(1.0, photo_width * (right - left))
        short, long = sorted(inside)
        aspect = min(long / short, MAX_ASPECT)
        other = max(size, STRIDE * round(size * aspect / STRIDE))
        height, width = (size, other) if inside[0] <= inside[1] else (other, size)
        if box is not None:
            height = max(STRIDE, STRIDE * round(height / (bottom - top) / STRIDE))
            width = max(STRIDE, STRIDE * round(width / (right - left) / STRIDE))
        down, across = _span(top, bottom, height), _span(left, right, width)
        content = _inner(top, bottom, height), _inner(left, right, width)
        window = down[0], across[0], down[1], across[1]
        sides = down[1] - down[0], across[1] - across[0]
        rows, columns = (-(-side // multiple) * multiple for side in sides)
        inner = content[0][0], content[1][0], content[0][1], content[1][1]
        return cls(height, width, rows, columns, window, inner)

    def whole(self, multiple: int) -> Frame:
        """The same scale, but the network sees all of the photo."""
        rows, columns = (-(-side // multiple) * multiple for side in (self.height, self.width))
        box = 0, 0, self.height, self.width
        return Frame(self.height, self.width, rows, columns, box, box)

    def cells(self, stride: int) -> tuple[slice, slice]:
        """Where the window lies in the logits of the whole photo."""
        top, left, bottom, right = (side // stride for side in self.window)
        return slice(top, bottom), slice(left, right)


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """From which pixel to which, widened to whole cells."""
    last = -(-size // STRIDE)
    first = min(int(low * size / STRIDE), last - 1)
    return STRIDE * first, min(
        size, STRIDE * max(first + 1, math.ceil(high * size / STRIDE - 1e-6))
    )


def _inner(low: float, high: float, size: int) -> tuple[int, int]:
    """From which pixel to which, without those that are partly margin."""
    first = min(math.ceil(low * size - 1e-6), size - 1)
    return first, max(first + 1, int(high * size + 1e-6))


def network_input(L: Float32, frame: Frame, info: ModelInfo, hints: Sequence[Place]) -> Float32:
    """The network's input, float32 (channels, rows, columns): normalized L, and the hints.

    Where there is no hint, ab is 0 and the mask is `info.hint_mask[0]`.
    """
    small = area_shrink(L, (frame.height, frame.width))
    (top, left, bottom, right), inner = frame.window, frame.content
    small = small[inner[0] : inner[2], inner[1] : inner[3]]
    beyond = (inner[0] - top, bottom - inner[2]), (inner[1] - left, right - inner[3])
    small = np.pad(small, beyond, mode="edge")
    padding = ((0, frame.rows - small.shape[0]), (0, frame.columns - small.shape[1]))
    # Mirrored, if there is enough to mirror: a hard black edge would look like an object.
    enough = all(m <= side for (_, m), side in zip(padding, small.shape, strict=True))
    padded = np.pad(small, padding, mode="symmetric" if enough else "edge")
    x = np.zeros((info.channels, frame.rows, frame.columns), dtype=np.float32)
    x[0] = (padded - info.L_center) / info.L_scale
    off, on = info.hint_mask
    x[3:] = off
    for place in hints:
        for down, across in place.marks(frame.height, frame.width):
            row, column = down - top, across - left
            near = (
                slice(max(0, row - HINT_RADIUS), row + HINT_RADIUS + 1),
                slice(max(0, column - HINT_RADIUS), column + HINT_RADIUS + 1),
            )
            x[1:3, *near] = place.ab[:, None, None] / info.ab_scale
            x[3, *near] = on
    return x


def seen_lightness(x: Float32, frame: Frame, info: ModelInfo) -> Float32:
    """The L of a network input, at the resolution of the logits: float32 (h, w); 0 in margins."""
    s = info.stride
    rows, columns = frame.cells(s)
    h, w = rows.stop - rows.start, columns.stop - columns.start
    seen = x[0, : h * s, : w * s] * info.L_scale + info.L_center
    L = np.zeros((frame.height // s, frame.width // s), dtype=np.float32)
    L[rows, columns] = seen.reshape(h, s, w, s).mean(axis=(1, 3))
    return L
