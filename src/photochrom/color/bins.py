"""The 313 color bins: soft-encoded targets, prior, rebalancing weights and the annealed mean.

Source throughout: Zhang, Isola, Efros, "Colorful Image Colorization", ECCV 2016 ("the paper").
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photochrom.arrays import Float32
from photochrom.color import native
from photochrom.color.lab import AB_MAX
from photochrom.errors import ConfigError

__all__ = [
    "BINS",
    "COLDEST",
    "GRID",
    "NEIGHBORS",
    "Q",
    "REBALANCE",
    "SIGMA",
    "TEMPERATURE",
    "annealed_mean",
    "cell_of",
    "count_colors",
    "entropy",
    "nearest_bin",
    "prior_of",
    "rebalancing_weights",
    "smooth_prior",
    "soft_encode",
    "soft_table",
    "softmax",
]

Int64 = NDArray[np.int64]

GRID = 10
"""Side of a bin in ab units (section 2)."""
NEIGHBORS = 5
"""k, the bins that share a pixel's target (section 2.1); the released training code uses 10."""
SIGMA = 5.0
"""Width in ab units of the Gaussian that weighs them (section 2.1)."""
REBALANCE = 0.5
"""lambda, the uniform share of the prior (section 2.2)."""
TEMPERATURE = 0.38
"""T of the annealed mean (section 2.3)."""
COLDEST = 1e-4
"""A temperature below this is 0: the mode."""

# For each a, the b of the bins that the released model keeps, first to last without gaps.
_SPANS = {
    -90: (50, 90), -80: (20, 90), -70: (0, 90), -60: (-20, 90), -50: (-30, 100),
    -40: (-40, 100), -30: (-50, 100), -20: (-50, 100), -10: (-60, 100), 0: (-70, 100),
    10: (-80, 90), 20: (-80, 90), 30: (-90, 90), 40: (-100, 90), 50: (-100, 80),
    60: (-110, 80), 70: (-110, 80), 80: (-110, 70), 90: (-110, 70), 100: (-90, 0),
}  # fmt: skip

BINS: Float32 = np.array(
    [(a, b) for a, (low, high) in _SPANS.items() for b in range(low, high + GRID, GRID)],
    dtype=np.float32,
)
"""float32 (313, 2): the ab of each bin's center; a ascending, then b ascending."""
BINS.setflags(write=False)
Q = len(BINS)
"""Number of bins, 313."""


def _distances(ab: Float32) -> Float32:
    """Squared distance of ab (N, 2) to every bin (N, Q)."""
    d: Float32 = (ab[:, :1] - BINS[:, 0]) ** 2 + (ab[:, 1:] - BINS[:, 1]) ** 2
    return d


def _in_blocks(ab: Float32, rows: int = 8192) -> Iterable[tuple[slice, Float32]]:
    # A photo has a million pixels; its distances to 313 bins would not fit in memory at once.
    for start in range(0, len(ab), rows):
        part = slice(start, start + rows)
        yield part, _distances(ab[part])


@cache
def _lattice() -> tuple[NDArray[np.int64], NDArray[np.int64], Int64]:
    """The first a and b of the grid, and the bin at each of its points; -1 where none is kept."""
    low = BINS.min(axis=0).astype(np.int64)
    places = (BINS.astype(np.int64) - low) // GRID
    table = np.full(places.max(axis=0) + 1, -1, dtype=np.int64)
    table[places[:, 0], places[:, 1]] = np.arange(Q)
    return low, np.array(table.shape), table


def nearest_bin(ab: ArrayLike) -> Int64:
    """Index of the bin nearest to each color.

    Parameters
    ----------
    ab : (..., 2)

    Returns
    -------
    int64 (...), 0..312; the first of two at the same distance
    """
    array = np.asarray(ab, dtype=np.float32)
    flat = array.reshape(-1, 2)
    low, size, table = _lattice()
    # The bins lie on a grid: if its nearest point is a bin, no bin is nearer.
    place = np.ceil((flat - low) / np.float32(GRID) - np.float32(0.5))
    inside = ((place >= 0) & (place < size)).all(axis=1)
    out = np.full(len(flat), -1, dtype=np.int64)
    row, column = place[inside].astype(np.int64).T
    out[inside] = table[row, column]
    (rest,) = np.nonzero(out < 0)
    for part, d in _in_blocks(flat[rest]):
        out[rest[part]] = d.argmin(axis=1)
    return out.reshape(array.shape[:-1])


def soft_encode(ab: ArrayLike, k: int = NEIGHBORS, sigma: float = SIGMA) -> tuple[Int64, Float32]:
    """The paper's soft-encoded target H_gt^-1, sparse: k bins and their shares.

    Parameters
    ----------
    ab : (..., 2)
    k : how many nearest bins share the target
    sigma : width of the Gaussian exp(-d^2 / (2 sigma^2)), ab units

    Returns
    -------
    indices : int64 (..., k), nearest first
    weights : float32 (..., k), sum 1

    Source: section 2.1.
    """
    if not 1 <= k <= Q:
        raise ConfigError(f"k = {k}: must be from 1 to {Q}")
    if not sigma > 0:
        raise ConfigError(f"sigma = {sigma}: must be positive")
    array = np.asarray(ab, dtype=np.float32)
    flat = array.reshape(-1, 2)
    indices = np.empty((len(flat), k), dtype=np.int64)
    weights = np.empty((len(flat), k), dtype=np.float32)
    for part, d in _in_blocks(flat):
        order = np.argsort(d, axis=1, kind="stable")[:, :k]
        near = np.take_along_axis(d, order, axis=1)
        # Subtracting the smallest distance changes no share, and avoids underflow far outside.
        w = np.exp(-(near - near[:, :1]) / np.float32(2 * sigma**2))
        indices[part], weights[part] = order, w / w.sum(axis=1, keepdims=True)
    shape = array.shape[:-1]
    return indices.reshape(*shape, k), weights.reshape(*shape, k)


_TOP = int(AB_MAX)
_CELLS = 2 * _TOP + 1


def cell_of(ab: ArrayLike) -> Int64:
    """The row of `soft_table` for each color: that of its cell of side 1.

    The borders of the bins are whole numbers, so every cell lies in one bin. Rounding ab would move
    some colors across such a border, into the wrong bin.

    Parameters
    ----------
    ab : (..., 2); colors beyond -110..111 belong to the cell at the border

    Returns
    -------
    int64 (...): (floor(a) + 110) * 221 + floor(b) + 110
    """
    whole = np.clip(np.floor(np.asarray(ab)), -_TOP, _TOP).astype(np.int64) + _TOP
    cells: Int64 = whole[..., 0] * _CELLS + whole[..., 1]
    return cells


@cache
def soft_table(k: int = NEIGHBORS, sigma: float = SIGMA) -> tuple[NDArray[np.int16], Float32]:
    """`soft_encode` of the center of every cell of side 1; look up its rows with `cell_of`.

    Row (m + 110) * 221 + (n + 110) is that of a = m + 1/2, b = n + 1/2. Column 0 is the nearest
    bin, which is the same for all colors in the cell.

    Returns
    -------
    indices : int16 (221 * 221, k)
    weights : float32 (221 * 221, k)
    """
    side = np.arange(-_TOP, _TOP + 1, dtype=np.float32) + np.float32(0.5)
    indices, weights = soft_encode(np.stack(np.meshgrid(side, side, indexing="ij"), -1), k, sigma)
    table = indices.reshape(-1, k).astype(np.int16), weights.reshape(-1, k)
    for part in table:
        part.setflags(write=False)
    return table


def prior_of(ab: Iterable[ArrayLike], k: int = NEIGHBORS, sigma: float = SIGMA) -> Float32:
    """The share p of each bin over photos: the mean of their pixels' soft-encoded targets.

    Parameters
    ----------
    ab : arrays (..., 2), one a photo; every pixel counts the same

    Returns
    -------
    float32 (313,), sum 1

    Source: section 2.2.
    """
    total = np.zeros(Q, dtype=np.float64)
    pixels = 0
    for photo in ab:
        indices, weights = soft_encode(photo, k, sigma)
        total += np.bincount(indices.ravel(), weights=weights.ravel(), minlength=Q)
        pixels += indices.size // k
    if not pixels:
        raise ConfigError("a prior needs at least one pixel")
    return (total / pixels).astype(np.float32)


def count_colors(ab: ArrayLike) -> Int64:
    """Histogram over cells of side 1; add it up over photos for `smooth_prior`.

    Parameters
    ----------
    ab : (..., 2); colors beyond -110..111 count at the border

    Returns
    -------
    int64 (221, 221): pixels with floor(a) = row - 110, floor(b) = column - 110
    """
    counts: Int64 = np.bincount(cell_of(ab).ravel(), minlength=_CELLS * _CELLS)
    return counts.reshape(_CELLS, _CELLS)


def smooth_prior(counts: ArrayLike, k: int = NEIGHBORS, sigma: float = SIGMA) -> Float32:
    """The prior from a histogram over cells of side 1.

    Parameters
    ----------
    counts : (221, 221) pixels with floor(a) = row - 110, floor(b) = column - 110

    Returns
    -------
    float32 (313,), sum 1; equals `prior_of` for colors that are the centers of cells

    Raises
    ------
    ConfigError
        A histogram without a pixel.
    """
    histogram = np.asarray(counts, dtype=np.float64).reshape(-1, 1)
    if not histogram.any():
        raise ConfigError("a prior needs at least one pixel")
    indices, weights = soft_table(k, sigma)
    total = np.bincount(indices.ravel(), weights=(weights * histogram).ravel(), minlength=Q)
    return np.asarray(total / total.sum(), dtype=np.float32)


def rebalancing_weights(prior: ArrayLike, strength: float = REBALANCE) -> Float32:
    """Class weights w: w is proportional to ((1 - lambda) p + lambda / Q)^-1 and sum_q p_q w_q = 1.

    Parameters
    ----------
    prior : (313,), sum 1
    strength : lambda, 0 (fully rebalanced) to 1 (no rebalancing: all weights 1)

    Returns
    -------
    float32 (313,)

    Raises
    ------
    ConfigError
        The prior is not a distribution, lambda is outside [0, 1], or it is 0 with an empty bin.

    Source: section 2.2, equation 4.
    """
    p = np.asarray(prior, dtype=np.float64)
    if p.shape != (Q,) or not np.all(p >= 0) or abs(p.sum() - 1) > 1e-4:
        raise ConfigError(f"a prior must be {Q} shares that sum to 1")
    if not 0 <= strength <= 1:
        raise ConfigError(f"lambda = {strength}: must be from 0 to 1")
    mixed = (1 - strength) * p + strength / Q
    if not mixed.all():
        raise ConfigError("lambda = 0: needs a prior that contains every bin")
    w = 1 / mixed
    return np.asarray(w / (p * w).sum(), dtype=np.float32)


def softmax(logits: ArrayLike, temperature: float = 1.0, axis: int = 0) -> Float32:
    """f_T: softmax(logits / T) along `axis`; T = 0 is the mode (section 2.3, equation 5)."""
    z = np.asarray(logits, dtype=np.float32)
    if not temperature >= 0:
        raise ConfigError(f"temperature = {temperature}: must not be negative")
    top = z.max(axis=axis, keepdims=True)
    if temperature < COLDEST:
        hit = (z == top).astype(np.float32)
        return np.asarray(hit / hit.sum(axis=axis, keepdims=True), dtype=np.float32)
    p: Float32 = np.asarray(z - top, dtype=np.float32)
    p *= np.float32(1 / temperature)
    np.exp(p, out=p)
    p /= p.sum(axis=axis, keepdims=True)
    return p


def annealed_mean(
    logits: ArrayLike, temperature: float = TEMPERATURE, bins: ArrayLike = BINS
) -> Float32:
    """ab of each pixel: the mean of the bins under the annealed distribution.

    Parameters
    ----------
    logits : (Q, ...) log probabilities up to a constant
    temperature : T; 1 is the mean (consistent, gray), 0 the mode (vivid, patchy)
    bins : (Q, 2)

    Returns
    -------
    ab : float32 (..., 2)

    Source: section 2.3, equation 5.
    """
    z = np.asarray(logits, dtype=np.float32)
    if native.kernel is not None and temperature >= COLDEST:
        flat = np.ascontiguousarray(z).reshape(len(z), -1)
        centers = np.ascontiguousarray(bins, dtype=np.float32)
        out = np.empty((flat.shape[1], 2), dtype=np.float32)
        native.kernel.annealed_mean(flat, centers, 1 / (temperature * math.log(2)), out)
        return out.reshape(*z.shape[1:], 2)
    p = softmax(z, temperature)
    mean = np.asarray(bins, dtype=np.float32).T @ p.reshape(len(p), -1)
    return np.moveaxis(mean.reshape(2, *p.shape[1:]), 0, -1)


def entropy(logits: ArrayLike) -> Float32:
    """Entropy in bits of logits (Q, ...): 0 if certain, at most log2(313) = 8.29."""
    p = softmax(logits)
    terms = p * np.log2(np.maximum(p, np.float32(1e-30)))
    return np.asarray(-terms.sum(axis=0), dtype=np.float32)
