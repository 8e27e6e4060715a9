"""How far pixels are from each other along paths that avoid the edges of L."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color import native

__all__ = ["edge_costs", "geodesic"]

FAR = np.float32(1e30)
"""The cost of a step across the border of the photo."""
ROUNDS = 64
"""Passes down and up at most. A photo settles in 4 to 10; a maze keeps what it has."""
WAYS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Right, down, and the two diagonals down; the other four steps are these backward."""


def edge_costs(L: Float32, step: float, contrast: float) -> Float32:
    """The cost of a step from each pixel in each of the `WAYS`: float32 (4, H, W).

    It is the length of the step over position and L together, so that an edge of L is as far to
    cross as a long way on even ground, and small differences hardly count.

    Parameters
    ----------
    L : float32 (H, W), 0..100
    step : the length of a step to the next pixel
    contrast : the difference of L whose crossing has length 1
    """
    height, width = L.shape
    costs = np.full((len(WAYS), height, width), FAR, dtype=np.float32)
    for cost, (down, across) in zip(costs, WAYS, strict=True):
        here = slice(0, height - down), slice(max(0, -across), width - max(0, across))
        there = slice(down, height), slice(max(0, across), width + min(0, across))
        rise = (L[there] - L[here]) / np.float32(contrast)
        cost[here] = np.sqrt(np.float32(step * step * (down + abs(across))) + rise * rise)
    return costs


def geodesic(costs: Float32, seeds: NDArray[np.bool_]) -> Float32:
    """The length of the shortest path from each pixel to the nearest seed: float32 (H, W).

    Parameters
    ----------
    costs : from `edge_costs`
    seeds : bool (H, W); at least one is set

    Source: Toivanen, "New geodesic distance transforms for gray-scale images", Pattern Recognition
    Letters 1996. Passes over the rows, down and up, until nothing gets shorter.
    """
    length = np.where(seeds, np.float32(0), FAR).astype(np.float32)
    if native.kernel is not None:
        native.kernel.geodesic(costs, length, ROUNDS)
        return length
    right, down, falling, rising = costs
    along = np.zeros((len(length), length.shape[1]), dtype=np.float64)
    np.cumsum(right[:, :-1], axis=1, out=along[:, 1:])
    for _ in range(ROUNDS):
        before = length.copy()
        for y in range(len(length)):
            if y:
                _step(length[y], length[y - 1], down[y - 1], falling[y - 1], rising[y - 1])
            _along(length[y], along[y])
        for y in reversed(range(len(length) - 1)):
            row, below = length[y], length[y + 1]
            np.minimum(row, below + down[y], out=row)
            np.minimum(row[:-1], below[1:] + falling[y, :-1], out=row[:-1])
            np.minimum(row[1:], below[:-1] + rising[y, 1:], out=row[1:])
            _along(row, along[y])
        if np.allclose(length, before, rtol=1e-6, atol=0):
            break
    return length


def _step(row: Float32, above: Float32, down: Float32, falling: Float32, rising: Float32) -> None:
    """Shorten a row by the paths through the row above."""
    np.minimum(row, above + down, out=row)
    np.minimum(row[1:], above[:-1] + falling[:-1], out=row[1:])
    np.minimum(row[:-1], above[1:] + rising[1:], out=row[:-1])


def _along(row: Float32, along: NDArray[np.float64]) -> None:
    """Shorten a row by the paths within it; `along` is how far each pixel is from the first."""
    from_left = np.minimum.accumulate(row - along) + along
    from_right = np.minimum.accumulate((row + along)[::-1])[::-1] - along
    np.minimum(row, np.minimum(from_left, from_right), out=row, casting="same_kind")
