"""Between the photo's size and the network's: shrink L, enlarge ab with L as the guide."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Upsampler", "area_shrink", "box_mean"]

Float32 = NDArray[np.float32]

EPSILON = 64.0
"""Regularizes the regression of ab on L: below this variance (L units squared) L hardly guides."""


@lru_cache(maxsize=8)
def _area_matrix(size: int, target: int) -> Float32:
    """(target, size): row i averages the part of the line that output pixel i covers."""
    edges = np.arange(target + 1) * (size / target)
    left, right = edges[:-1, None], edges[1:, None]
    pixel = np.arange(size)[None, :]
    overlap = np.minimum(right, pixel + 1) - np.maximum(left, pixel)
    return np.asarray(np.maximum(overlap, 0) * (target / size), dtype=np.float32)


@lru_cache(maxsize=8)
def _linear_matrix(size: int, target: int) -> Float32:
    """(target, size): linear interpolation between pixel centers, constant beyond the outer."""
    place = np.clip((np.arange(target) + 0.5) * (size / target) - 0.5, 0, size - 1)
    first = np.minimum(place.astype(int), max(size - 2, 0))
    share = (place - first).astype(np.float32)
    matrix = np.zeros((target, size), dtype=np.float32)
    rows = np.arange(target)
    matrix[rows, first] = 1 - share
    if size > 1:
        matrix[rows, first + 1] = share
    return matrix


def area_shrink(image: ArrayLike, size: tuple[int, int]) -> Float32:
    """Resize (H, W) to (height, width): the area's mean where it shrinks, linear where it grows.

    Parameters
    ----------
    image : (H, W), any number type
    size : (height, width) of the result

    Returns
    -------
    float32 (height, width)
    """
    array = np.asarray(image, dtype=np.float32)
    rows, columns = (
        (_area_matrix if target <= side else _linear_matrix)(side, target)
        for side, target in zip(array.shape, size, strict=True)
    )
    # The cheaper axis first: the larger reduction leaves less to do.
    if array.shape[1] * size[0] < array.shape[0] * size[1]:
        return np.asarray((rows @ array) @ columns.T, dtype=np.float32)
    return np.asarray(rows @ (array @ columns.T), dtype=np.float32)


def box_mean(image: Float32) -> Float32:
    """Mean over 3 x 3 pixels, edges repeated; float32 (..., h, w)."""
    pad = [(0, 0)] * (image.ndim - 2) + [(1, 1), (1, 1)]
    p = np.pad(image, pad, mode="edge")
    rows = p[..., :-2, :] + p[..., 1:-1, :] + p[..., 2:, :]
    return np.asarray(
        (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / np.float32(9), np.float32
    )


class Upsampler:
    """Enlarges ab of (h, w) to the size of L, stopping at the edges that L shows.

    Around each small pixel ab is regressed on L over 3 x 3 pixels. The large ab is the bilinear one
    plus that slope times the detail of L, which is what L has beyond its own bilinear enlargement:
    where L is smooth nothing is added, where an edge of L separates two colors the transition
    follows it.

    Parameters
    ----------
    L : float32 (H, W), 0..100
    size : (h, w) of the ab to come

    Source: after He, Sun, Tang, "Guided Image Filtering", ECCV 2010, equations 5 and 6.
    """

    def __init__(self, L: Float32, size: tuple[int, int]) -> None:
        self.L = L
        self.small = area_shrink(L, size)
        self._rows = _linear_matrix(size[0], L.shape[0])
        self._columns = np.ascontiguousarray(_linear_matrix(size[1], L.shape[1]).T)
        mean = box_mean(self.small)
        self._mean, self._variance = mean, box_mean(self.small * self.small) - mean * mean

    def fit(self, ab: ArrayLike) -> Float32:
        """What `rows` needs of ab (h, w, 2): (5, h, w), ab, its slopes on L, and L."""
        planes = np.moveaxis(np.asarray(ab, dtype=np.float32), -1, 0)
        covariance = box_mean(planes * self.small) - box_mean(planes) * self._mean
        slope = box_mean(
            np.asarray(covariance / (self._variance + np.float32(EPSILON)), np.float32)
        )
        return np.concatenate([planes, slope, self.small[None]])

    def rows(self, fitted: Float32, first: int, last: int) -> tuple[Float32, Float32]:
        """Large a and b, float32 (last - first, W) each, of rows first..last."""
        tall = np.matmul(self._rows[first:last], fitted)
        a, b, slope_a, slope_b, L = np.matmul(tall, self._columns)
        detail = self.L[first:last] - L
        slope_a *= detail
        slope_b *= detail
        a += slope_a
        b += slope_b
        return a, b

    def __call__(self, ab: ArrayLike) -> Float32:
        """ab (h, w, 2) enlarged to float32 (H, W, 2)."""
        return np.stack(self.rows(self.fit(ab), 0, len(self.L)), axis=-1)
