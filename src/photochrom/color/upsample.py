"""From the network's size to the photo's: enlarge ab, with L as the guide."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photochrom.arrays import Float32
from photochrom.color import native
from photochrom.color.lab import RGB_FROM_RATIOS, fit_gamut
from photochrom.color.resize import area_shrink, between, box_mean, grow, grow_both

__all__ = ["Upsampler", "guide_size"]

CELL = 8
"""The fit sees at most this many pixels of L along a side of a small pixel. Finer ones add nothing,
and so a huge photo costs no more than a small one."""
FLAT = 6.0
"""L units, added in quadrature to the local spread of L. Smaller variations, such as grain and
the blocks of a JPEG, hardly guide."""
SMOOTH = 0.03
"""Weight of the squared difference between the curves of neighboring small pixels."""
LEVEL = 0.008
"""Weight of the squared difference along a curve, so that L guides only where ab asks for it. With
less, folds of cloth would show in predicted ab."""
STEPS = 10
"""Conjugate gradient steps of the fit, from bilinear; five are too few, twenty gain nothing."""
SETTLED = 1e-4
"""The fit stops early at this part of the squared residual. A photo never gets there (3e-3 at best
in ten steps). A strip of a few pixels does, and further steps would only be rounding."""
CORRECTIONS = 4
"""Back-projections after the fit; errors that remain after four are beyond the margin."""
MARGIN = 0.1
"""A color may leave the range of the 3 x 3 small pixels around it by this share of the range. A
small pixel on an edge is a mixture, so purer colors must be in reach. With a quarter, dark grain in
gray beside red turned blue."""
TO_GRAY = 0.5
"""The same toward gray, but no further than gray. Details thinner than a small pixel are often
gray, and gray is never a false hue."""

TOUCHES = 8
"""Rounds over pixels that must have a color, so that those beside each other agree."""


def _neighbors(planes: Float32) -> list[Float32]:
    """Nine views of (..., h, w): the planes moved by -1, 0, 1 rows and columns, edges repeated."""
    h, w = planes.shape[-2:]
    p = np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
    return [p[..., y : y + h, x : x + w] for y in range(3) for x in range(3)]


def _difference(planes: Float32, axis: int) -> Float32:
    """Half the gradient of the sum of squared differences along an axis.

    It is the transposed matrix of differences times the differences.
    """
    steps = np.diff(planes, axis=axis)
    pad = [(0, 0)] * planes.ndim
    pad[axis] = (1, 1)
    return -np.diff(np.pad(steps, pad), axis=axis)


class Upsampler:
    """Enlarges ab of (h, w) to the size of a photo, stopping at the edges that L shows.

    Every small pixel gets a curve, ab as a function of L: one color each for the dark, the middle
    and the bright of its neighborhood, straight between them and constant beyond. A pixel of the
    photo mixes the curves of the four small pixels around it bilinearly, at its own L. If the
    colors of a curve are equal, no texture of L gets into ab. If an edge of L separates two colors,
    each side has its own.

    The curves are fitted to the whole of ab at once. Reduced by area, the large ab must equal the
    small one (back-projection), with curves that differ little along themselves and from their
    neighbors. The fit never needs the large ab: it is linear in the curves, and so are its area
    means, with factors that depend only on L and are computed once. Finally, each color of a curve
    is limited to the range of the small pixels around it. The result mixes such colors, so there
    are no halos.

    At the photo's size, it takes L and yields the result in strips. Between strips, it keeps only
    eight planes (h, W), which have the photo's width but the small ab's height.

    Parameters
    ----------
    L : float32 (H, W), 0..100; it is not kept
    size : (h, w) of the ab to come
    shape : (height, width) of the photo, if L is a reduced copy of its L; None for that of L
    to_gray : see `TO_GRAY`

    Sources: Chen, Adams, Wadhwa, Hasinoff, "Bilateral Guided Upsampling", SIGGRAPH Asia 2016
    (curves in L on a coarse grid, fitted by least squares and applied at full size); Irani and
    Peleg, "Improving Resolution by Image Registration", CVGIP 1991 (back-projection); Hestenes and
    Stiefel, 1952 (conjugate gradients).
    """

    def __init__(
        self,
        L: Float32,
        size: tuple[int, int],
        shape: tuple[int, int] | None = None,
        *,
        to_gray: float = TO_GRAY,
    ) -> None:
        self.to_gray = to_gray
        self.shape: tuple[int, int] = (L.shape[0], L.shape[1]) if shape is None else shape
        # A photo smaller than the network's output asks for less than that.
        h, w = self.size = min(size[0], self.shape[0]), min(size[1], self.shape[1])
        rows, columns = guide_size(size, self.shape)
        cells = rows // h, columns // w
        guide = area_shrink(L, (rows, columns))
        # 3 x 3 pixels twice: an edge that ab shows one pixel away still belongs to it.
        middle = box_mean(box_mean(area_shrink(guide, self.size)))
        square = box_mean(box_mean(area_shrink(guide * guide, self.size)))
        spread = np.sqrt(np.maximum(square - middle * middle, 0) + np.float32(FLAT**2))
        place = np.stack([middle, 1 / spread]).astype(np.float32)
        self._place = grow(place, self.shape[1])
        self._above, _, self._share = between(h, self.shape[0])
        self._moments = _moments(guide, place, cells)

    def fit(self, ab: ArrayLike) -> Float32:
        """The curves of ab (h, w, 2), which `rows` needs: float32 (2, 3, h, W).

        For a and for b: the color in the middle, half the way from dark to bright, and how far the
        mean of dark and bright is from the color in the middle.
        """
        planes = np.moveaxis(np.asarray(ab, dtype=np.float32), -1, 0)
        small = np.stack([area_shrink(plane, self.size) for plane in planes])
        # Differences from one color: if all are the same, nothing is left to round.
        base = small[:, :1, :1]
        curves = self._curves(small - base, -base) + base[:, None]
        dark, middle, bright = np.moveaxis(curves, 1, 0)
        half = np.float32(0.5)
        return grow(
            np.stack([middle, half * (bright - dark), half * (dark + bright) - middle], axis=1),
            self.shape[1],
        )

    def touched(
        self, fitted: Float32, spots: Sequence[tuple[float, float, Float32]], L: Float32
    ) -> Float32:
        """The curves, changed so that single pixels of the photo have exactly a color.

        What is missing at a pixel is added to the curves about it, most at its own L, and less with
        every column until it is nothing at the next small pixel.

        Parameters
        ----------
        fitted : from `fit`
        spots : (x, y, ab), with x and y as shares of the photo in [0, 1); of two, the later counts
        L : float32, 0..100, of the whole photo, at its size or reduced
        """
        if not spots:
            return fitted
        touched, (height, width) = fitted.copy(), self.shape
        for _ in range(TOUCHES if len(spots) > 1 else 1):
            for x, y, ab in spots:
                here = float(L[int(y * L.shape[0]), int(x * L.shape[1])])
                self._touch(touched, int(y * height), int(x * width), here, ab)
        return touched

    def _touch(self, fitted: Float32, row: int, column: int, L: float, ab: Float32) -> None:
        """Change curves in place so that a pixel has a color."""
        first = int(self._above[row])
        pair = slice(first, first + 2)
        share = float(self._share[row])
        rows = np.array([1.0]) if len(self._place[0, pair]) == 1 else np.array([1 - share, share])
        middle, scale = (float(rows @ plane[pair, column]) for plane in self._place)
        t = min(max((L - middle) * scale, -1.0), 1.0)
        of_curve = np.array([1.0, t, abs(t)])
        left = ab - np.einsum("ckr,k,r->c", fitted[:, :, pair, column], of_curve, rows)
        # The smallest change of dark, middle and bright that gives the color at this L.
        nodes = np.array([max(-t, 0), 1 - abs(t), max(t, 0)])
        dark, mid, bright = nodes / (nodes @ nodes)
        change = np.array([mid, (bright - dark) / 2, (dark + bright) / 2 - mid])
        wide = self.shape[1] / self.size[1]
        near = slice(max(0, math.ceil(column - wide)), min(self.shape[1], int(column + wide) + 1))
        fall = 1 - np.abs(np.arange(near.start, near.stop) - column) / wide
        fall = np.maximum(fall, 0)
        weights = np.einsum("c,k,r,x->ckrx", left, change, rows / (rows @ rows), fall)
        fitted[:, :, pair, near] += weights.astype(np.float32)

    def paint(self, fitted: Float32, L: Float32, out: NDArray[Any], first: int = 0) -> None:
        """Encoded sRGB of a strip: `rows`, joined with L by `color.lab.fit_gamut`.

        Parameters
        ----------
        fitted, L, first : see `rows`
        out : uint8, uint16 or float32 (n, W, 3); the result is written there
        """
        if native.kernel is None:
            ab = np.stack(self.rows(fitted, L, first), axis=-1)
            out[...] = fit_gamut(L, ab, out.dtype)
            return
        matrix, height = RGB_FROM_RATIOS, self.shape[0]
        native.kernel.paint(self._place, fitted, L, first, height, matrix, out)

    def rows(self, fitted: Float32, L: Float32, first: int = 0) -> tuple[Float32, Float32]:
        """Large a and b of a strip, float32 (n, W) each, bit for bit the same for any strips.

        Parameters
        ----------
        fitted : from `fit`
        L : float32 (n, W), 0..100, rows first..first + n of the photo
        first : the strip's first row
        """
        out = np.empty((2, *L.shape), dtype=np.float32)
        if native.kernel is not None:
            L = np.ascontiguousarray(L, dtype=np.float32)
            native.kernel.rows(self._place, fitted, L, first, self.shape[0], out)
            return out[0], out[1]
        if len(L) == 0:
            return out[0], out[1]
        above = self._above[first : first + len(L)]
        stops = [0, *(np.flatnonzero(np.diff(above)) + 1), len(L)]
        # Reused: new memory for every step would take longer than the step.
        tallest = max(bottom - top for top, bottom in pairwise(stops))
        room = np.empty((3, tallest, L.shape[1]), dtype=np.float32)
        # All rows between the same two rows of small pixels at once.
        for top, bottom in pairwise(stops):
            y = first + top
            share = self._share[y : first + bottom, None]
            pair = slice(self._above[y], self._above[y] + 2)
            t, bend, part = room[:, : bottom - top]
            middle, scale = self._place[:, pair]
            _mix(middle, share, part)
            np.subtract(L[top:bottom], part, out=t)
            _mix(scale, share, part)
            _position(t, part)
            np.abs(t, out=bend)
            for channel, (middle, slope, curve) in zip(out[:, top:bottom], fitted, strict=True):
                _mix(middle[pair], share, channel)
                for plane, factor in ((slope, t), (curve, bend)):
                    _mix(plane[pair], share, part)
                    part *= factor
                    channel += part
        a, b = out
        return a, b

    def __call__(self, ab: ArrayLike, L: Float32) -> Float32:
        """Enlarge ab (h, w, 2) to float32 (H, W, 2); L is that of the whole photo."""
        return np.stack(self.rows(self.fit(ab), L), axis=-1)

    def columns(self, part: slice) -> Upsampler:
        """The same for some of the photo's columns: `rows` then costs only their own area.

        Cut the result of `fit` too, ``np.ascontiguousarray(fitted[..., part])``. The result is that
        part, bit for bit.
        """
        cut = copy.copy(self)
        cut._place = np.ascontiguousarray(self._place[..., part])
        return cut

    # --- the fit, at the size of ab ---

    def _curves(self, wanted: Float32, gray: Float32) -> Float32:
        """Colors for dark, middle and bright (2, 3, h, w) that give wanted (2, h, w).

        In wanted, gray is the color gray (2, 1, 1).
        """
        if native.kernel is not None:
            out = np.empty((2, 3, *self.size), dtype=np.float32)
            dials = SMOOTH, LEVEL, MARGIN, self.to_gray, SETTLED, STEPS, CORRECTIONS
            wanted, gray = np.ascontiguousarray(wanted), gray.ravel()
            native.kernel.fit(wanted, self._moments, gray, *dials, out)
            return out
        curves = np.repeat(wanted[:, None], 3, axis=1)
        residual = self._returned(wanted - self._reduced(curves)) - _roughness(curves)
        direction = residual
        size = float((residual * residual).sum())
        enough = max(SETTLED * size, 1e-12)  # nothing that any step of color could show
        for _ in range(STEPS):
            if size < enough:
                break
            image = self._returned(self._reduced(direction)) + _roughness(direction)
            step = np.float32(size / float((direction * image).sum()))
            curves += step * direction
            residual = residual - step * image
            before, size = size, float((residual * residual).sum())
            direction = residual + np.float32(size / before) * direction
        near = _neighbors(wanted)
        low, high = _reach(np.minimum.reduce(near), np.maximum.reduce(near), gray, self.to_gray)
        for _ in range(CORRECTIONS):
            curves += (wanted - self._reduced(curves))[:, None]
            np.clip(curves, low[:, None], high[:, None], out=curves)
        return curves

    def _reduced(self, curves: Float32) -> Float32:
        """The area means (2, h, w) of the large ab that curves (2, 3, h, w) make."""
        total = np.zeros((2, *self.size), dtype=np.float32)
        for factor, near in zip(self._moments, _neighbors(curves), strict=True):
            total += (factor * near).sum(axis=1)
        return total

    @cached_property
    def _transposed(self) -> Float32:
        """The moments by where they lead: (9, 3, h, w)."""
        h, w = self.size
        zero = np.pad(self._moments, ((0, 0), (0, 0), (1, 1), (1, 1)))
        return np.stack([zero[8 - n, :, n // 3 :, n % 3 :][:, :h, :w] for n in range(9)])

    def _returned(self, small: Float32) -> Float32:
        """The transposed of `_reduced`: (2, h, w) to (2, 3, h, w)."""
        total = np.zeros((2, 3, *self.size), dtype=np.float32)
        for factor, near in zip(self._transposed, _neighbors(small), strict=True):
            total += factor * near[:, None]
        return total


def guide_size(size: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the L that the fit sees: an `Upsampler` made from it is the same.

    Parameters
    ----------
    size : (h, w) of the ab to come
    shape : (height, width) of the photo
    """
    h, w = min(size[0], shape[0]), min(size[1], shape[1])
    return h * _cell(shape[0] / h), w * _cell(shape[1] / w)


def _cell(ratio: float) -> int:
    """Pixels of L that the fit sees along a side of a small pixel."""
    return min(CELL, max(1, round(ratio)))


def _mix(pair: Float32, share: Float32, out: Float32) -> None:
    """Mix two rows (2, W) by the shares of the second (n, 1) into (n, W); one row stays."""
    np.multiply(share, pair[-1] - pair[0], out=out)
    out += pair[0]


def _position(t: Float32, scale: Float32) -> None:
    """Turn L minus its middle into a position: -1 dark, 0 middle, 1 bright, clipped."""
    t *= scale
    np.maximum(t, np.float32(-1), out=t)
    np.minimum(t, np.float32(1), out=t)


def _reach(low: Float32, high: Float32, gray: Float32, to_gray: float) -> tuple[Float32, Float32]:
    """How far colors may leave the range low..high: by MARGIN, or by to_gray as far as gray."""
    margin, more = np.float32(MARGIN) * (high - low), np.float32(to_gray) * (high - low)
    return (
        np.minimum(low - margin, np.maximum(low - more, gray)),
        np.maximum(high + margin, np.minimum(high + more, gray)),
    )


def _roughness(curves: Float32) -> Float32:
    """Half the gradient of the penalty on curves (2, 3, h, w)."""
    around = _difference(curves, 2) + _difference(curves, 3)
    return np.float32(SMOOTH) * around + np.float32(LEVEL) * _difference(curves, 1)


def _moments(guide: Float32, place: Float32, cells: tuple[int, int]) -> Float32:
    """How much each of the 3 x 3 small pixels around counts in the area mean of a small pixel.

    Parameters
    ----------
    guide : L, with cells (rows, columns) of pixels for each small pixel
    place : float32 (2, h, w), the middle and the scale of L, which determine the shares of dark,
        middle and bright in each pixel of L
    cells : (rows, columns)

    Returns
    -------
    float32 (9, 3, h, w) : neighbors in the order of `_neighbors`, for dark, middle and bright
    """
    h, w = place.shape[1:]
    weights = []
    for count in cells:
        # Bilinear, from the center of the small pixel: the one before, itself, the one after.
        offset = (np.arange(count) + 0.5) / count - 0.5
        shares = [np.maximum(-offset, 0), 1 - np.abs(offset), np.maximum(offset, 0)]
        weights.append(np.stack(shares).astype(np.float32) / np.float32(count))
    if native.kernel is not None:
        m = np.empty((3, 3, 3, h, w), dtype=np.float32)
        native.kernel.moments(guide, grow(place, guide.shape[1]), *weights, m)
    else:
        grown, scale = grow_both(place, (guide.shape[0], guide.shape[1]))
        t = guide - grown
        _position(t, scale)
        dark, bright = np.maximum(-t, 0), np.maximum(t, 0)
        parts = np.stack([dark, 1 - dark - bright, bright]).reshape(3, h, cells[0], w, cells[1])
        m = np.einsum("khywx,ay,bx->abkhw", parts, *weights, optimize=True)
    # Beyond the border, there is nothing: a small pixel at the border replaces its neighbor.
    m[1, :, :, 0] += m[0, :, :, 0]
    m[1, :, :, -1] += m[2, :, :, -1]
    m[:, 1, ..., 0] += m[:, 0, ..., 0]
    m[:, 1, ..., -1] += m[:, 2, ..., -1]
    m[0, :, :, 0] = m[2, :, :, -1] = 0
    m[:, 0, ..., 0] = m[:, 2, ..., -1] = 0
    return np.ascontiguousarray(m.reshape(9, *m.shape[2:]))
