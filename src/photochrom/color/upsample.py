"""Between the photo's size and the network's: shrink L, enlarge ab with L as the guide."""

from __future__ import annotations

import copy
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photochrom.arrays import Float32
from photochrom.color import native
from photochrom.color.lab import RGB_FROM_RATIOS, fit_gamut

__all__ = ["AreaShrink", "Upsampler", "area_shrink", "box_mean", "guide_size"]

CELL = 8
"""The fit sees at most this many pixels of L along a side of a small pixel: it finds nothing more
in finer ones, and a huge photo costs it no more than a small one."""
FLAT = 6.0
"""L units, added in quadrature to the local spread of L: what varies less than this hardly guides,
as grain and the blocks of a JPEG must not."""
SMOOTH = 0.03
"""Weight of the squared difference between the curves of neighboring small pixels."""
LEVEL = 0.008
"""Weight of the squared difference along a curve: where nothing speaks for it L does not guide.
Less restores true ab as well, but prints folds of cloth into predicted ab."""
STEPS = 10
"""Conjugate gradient steps of the fit, from bilinear; five fall short, twenty gain nothing."""
SETTLED = 1e-4
"""The part of the squared residual at which the fit ends before its steps do. A photo never gets
there (3e-3 at best in ten steps); a strip of a few pixels does, and on from there steps are made of
rounding."""
CORRECTIONS = 4
"""Back-projections after the fit; what is wrong after four lies beyond the margin."""
MARGIN = 0.1
"""A color may leave the range of the 3 x 3 small pixels around it by this share of that range. A
small pixel on an edge is a mixture, so purer colors than it must be in reach; but at a quarter dark
grain in gray beside red turned blue."""
TO_GRAY = 0.5
"""The same toward gray, but no further than gray: what is thinner than a small pixel is often gray,
and gray is no false hue."""


def _between(size: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Float32]:
    """For each of target pixels: the two of `size` around it, and the share of the second."""
    place = np.clip((np.arange(target) + 0.5) * (size / target) - 0.5, 0, size - 1)
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, size - 1), (place - first).astype(np.float32)


def _grow(image: Float32, target: int) -> Float32:
    """The last axis enlarged: linear between pixel centers, constant beyond the outer.

    As first + share (second - first), which leaves equal neighbors exactly as they are.
    """
    if native.kernel is not None:
        out = np.empty((*image.shape[:-1], target), dtype=np.float32)
        native.kernel.grow(
            np.ascontiguousarray(image).reshape(-1, image.shape[-1]), out.reshape(-1, target)
        )
        return out
    first, second, share = _between(image.shape[-1], target)
    left = image[..., first]
    right = image[..., second]
    right -= left
    right *= share
    right += left
    return right


def _grow_both(image: Float32, size: tuple[int, int]) -> Float32:
    """Float32 (..., h, w) enlarged to (..., height, width)."""
    return _grow(_grow(image, size[1]).swapaxes(-1, -2), size[0]).swapaxes(-1, -2)


def _cuts(size: int, target: int) -> tuple[NDArray[np.intp], Float32]:
    """Where the target + 1 borders of the areas fall: the pixel, and the share of it before."""
    place = np.arange(target + 1) * (size / target)
    place[-1] = size  # where rounding would leave a sliver
    pixel = place.astype(np.intp)
    return pixel, (place - pixel).astype(np.float32)


def _mean_rows(image: Float32, target: int) -> Float32:
    """(H, W) to (target, W): the mean of the area that each row covers."""
    pixel, share = _cuts(len(image), target)
    out = np.empty((target, image.shape[1]), dtype=np.float32)
    for i, (start, stop) in enumerate(pairwise(pixel)):
        _mean_row(image[start : stop + 1], int(stop - start), share[i], share[i + 1], out[i])
    out *= np.float32(target / len(image))
    return out


def _mean_row(rows: Float32, whole: int, before: float, after: float, out: Float32) -> None:
    """The sum of so many rows less a share of the first, and a share of the one that follows."""
    rows[:whole].sum(axis=0, out=out)
    if before > 0:
        out -= before * rows[0]
    if after > 0:
        out += after * rows[whole]


def _mean_columns(image: Float32, target: int) -> Float32:
    """(H, W) to (H, target): the mean of the area that each column covers."""
    pixel, share = _cuts(image.shape[1], target)
    out = np.add.reduceat(image, pixel[:-1], axis=1)
    out -= share[:-1] * image[:, pixel[:-1]]
    out += share[1:] * image[:, np.minimum(pixel[1:], image.shape[1] - 1)]
    out *= np.float32(target / image.shape[1])
    return out


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
    height, width = size
    if native.kernel is not None and height <= array.shape[0] and width <= array.shape[1]:
        out = np.empty(size, dtype=np.float32)
        native.kernel.area_shrink(np.ascontiguousarray(array), out)
        return out
    # Shrinking rows first: they lie in memory one after the other, and less is left to do.
    if height <= array.shape[0]:
        array = _mean_rows(array, height)
    array = _mean_columns(array, width) if width <= array.shape[1] else _grow(array, width)
    if height > array.shape[0]:
        array = np.ascontiguousarray(_grow(array.T, height).T)
    return array


class AreaShrink:
    """`area_shrink` for an image that comes in strips from top to bottom: the same, bit for bit.

    Parameters
    ----------
    shape : (H, W) of the image
    size : (height, width) of the result
    """

    def __init__(self, shape: tuple[int, int], size: tuple[int, int]) -> None:
        self.shape, self.size = shape, size
        # Where rows are to be enlarged there are not many: they are kept, for that comes last.
        self._shrinks = size[0] <= shape[0]
        self._pixel, self._share = _cuts(*((shape[0], size[0]) if self._shrinks else (1, 1)))
        self._left = np.empty((0, shape[1]), dtype=np.float32)  # rows not yet used up
        self._first = 0  # of these
        self._done: list[Float32] = []

    def push(self, strip: Float32) -> None:
        """Take the next rows, float32 (n, W)."""
        if not self._shrinks:
            self._done.append(self._across(strip))
            return
        self._left = np.concatenate([self._left, strip])
        last = self._first + len(self._left)
        top, (height, width) = len(self._done), self.size
        if self._shrinks and native.kernel is not None and width <= self.shape[1]:
            ends = self._pixel[top + 1 :] + (self._share[top + 1 :] > 0)
            out = np.empty((int((ends <= last).sum()), width), dtype=np.float32)
            if len(out):
                native.kernel.area_shrink(self._left, out, self._first, self.shape[0], top, height)
            self._done.extend(out[:, None])
        for i in range(len(self._done), height):
            start, stop = self._pixel[i], self._pixel[i + 1]
            if stop + (self._share[i + 1] > 0) > last:
                break
            rows = self._left[start - self._first : stop + 1 - self._first]
            out = np.empty((1, self.shape[1]), dtype=np.float32)
            _mean_row(rows, int(stop - start), self._share[i], self._share[i + 1], out[0])
            out *= np.float32(self.size[0] / self.shape[0])
            self._done.append(self._across(out))
        used = int(self._pixel[len(self._done)]) - self._first
        self._left, self._first = self._left[used:].copy(), self._first + used

    def result(self) -> Float32:
        """The small image, float32 (height, width), when all rows were taken."""
        done = np.concatenate(self._done)
        return done if self._shrinks else np.ascontiguousarray(_grow(done.T, self.size[0]).T)

    def _across(self, rows: Float32) -> Float32:
        width = self.size[1]
        return _mean_columns(rows, width) if width <= self.shape[1] else _grow(rows, width)


def _neighbors(planes: Float32) -> list[Float32]:
    """Nine views of (..., h, w): the planes moved by -1, 0, 1 rows and columns, edges repeated."""
    h, w = planes.shape[-2:]
    p = np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
    return [p[..., y : y + h, x : x + w] for y in range(3) for x in range(3)]


def box_mean(image: Float32) -> Float32:
    """Mean over 3 x 3 pixels, edges repeated; float32 (..., h, w)."""
    total = _sum_of_three(_sum_of_three(image.swapaxes(-1, -2)).swapaxes(-1, -2))
    total /= np.float32(9)
    return total


def _sum_of_three(image: Float32) -> Float32:
    """Each pixel with those before and after it along the last axis, edges repeated.

    As with np.pad, which takes several times as long on small images.
    """
    total = np.empty(image.shape, dtype=np.float32)
    np.add(image[..., :-1], image[..., 1:], out=total[..., 1:])
    np.add(image[..., 0], image[..., 0], out=total[..., 0])
    total[..., :-1] += image[..., 1:]
    total[..., -1] += image[..., -1]
    return total


def _difference(planes: Float32, axis: int) -> Float32:
    """The transposed product with the matrix of differences, of the differences along an axis.

    Of the sum of their squares it is half the gradient.
    """
    steps = np.diff(planes, axis=axis)
    pad = [(0, 0)] * planes.ndim
    pad[axis] = (1, 1)
    return -np.diff(np.pad(steps, pad), axis=axis)


class Upsampler:
    """Enlarges ab of (h, w) to the size of a photo, stopping at the edges that L shows.

    Every small pixel gets a curve, ab as a function of L: a color for the dark, one for the middle
    and one for the bright of its neighborhood, straight between them and constant beyond. A pixel
    of the photo takes the curves of the four small pixels around it, mixed bilinearly, at its own
    L. Where the colors of a curve are equal, no texture of L can get into ab; where an edge of L
    parts two colors, each side has its own.

    The curves are fitted to the whole of ab at once: reduced by area again the large ab shall equal
    the small one (back-projection), with curves that differ little along themselves and from their
    neighbors. For that the large ab is never needed: it is linear in the curves, so its area means
    are too, with factors that depend on L alone and are computed once. At last each color of a
    curve is kept within the range of the small pixels around it. Everything after is a mixture of
    such colors, so that there are no halos.

    At the photo's size it needs L and the result, both by strips. Eight planes (h, W), of the
    photo's width but the small ab's height, are all it keeps between strips.

    Parameters
    ----------
    L : float32 (H, W), 0..100; used here only, not kept
    size : (h, w) of the ab to come
    shape : (height, width) of the photo, where L is a reduced copy of it; None for that of L

    Sources: Chen, Adams, Wadhwa, Hasinoff, "Bilateral Guided Upsampling", SIGGRAPH Asia 2016
    (curves in L on a coarse grid, fitted by least squares and applied at full size); Irani and
    Peleg, "Improving Resolution by Image Registration", CVGIP 1991 (back-projection); Hestenes and
    Stiefel, 1952 (conjugate gradients).
    """

    def __init__(
        self, L: Float32, size: tuple[int, int], shape: tuple[int, int] | None = None
    ) -> None:
        self.shape: tuple[int, int] = (L.shape[0], L.shape[1]) if shape is None else shape
        # A photo smaller than the network's output asks for less than that.
        h, w = self.size = min(size[0], self.shape[0]), min(size[1], self.shape[1])
        rows, columns = guide_size(size, self.shape)
        cells = rows // h, columns // w
        guide = area_shrink(L, (rows, columns))
        # Twice 3 x 3 pixels: an edge that ab shows a pixel away still belongs to it.
        middle = box_mean(box_mean(area_shrink(guide, self.size)))
        square = box_mean(box_mean(area_shrink(guide * guide, self.size)))
        spread = np.sqrt(np.maximum(square - middle * middle, 0) + np.float32(FLAT**2))
        place = np.stack([middle, 1 / spread]).astype(np.float32)
        self._place = _grow(place, self.shape[1])
        self._above, _, self._share = _between(h, self.shape[0])
        self._moments = _moments(guide, place, cells)

    def fit(self, ab: ArrayLike) -> Float32:
        """What `rows` needs of ab (h, w, 2): its curves, float32 (2, 3, h, W).

        Of each of a and b: the color in the middle, half the way from dark to bright, and how far
        the middle of dark and bright is from the color in the middle.
        """
        planes = np.moveaxis(np.asarray(ab, dtype=np.float32), -1, 0)
        small = np.stack([area_shrink(plane, self.size) for plane in planes])
        # Differences from one color: where all are the same there is nothing left to round.
        base = small[:, :1, :1]
        curves = self._curves(small - base, -base) + base[:, None]
        dark, middle, bright = np.moveaxis(curves, 1, 0)
        half = np.float32(0.5)
        return _grow(
            np.stack([middle, half * (bright - dark), half * (dark + bright) - middle], axis=1),
            self.shape[1],
        )

    def paint(self, fitted: Float32, L: Float32, out: NDArray[Any], first: int = 0) -> None:
        """Encoded sRGB of a strip: `rows`, joined with L by `color.fit_gamut`.

        Parameters
        ----------
        fitted, L, first : as of `rows`
        out : uint8, uint16 or float32 (n, W, 3); the result goes there
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
        fitted : what `fit` gave
        L : float32 (n, W), 0..100, rows first..first + n of the photo
        first : the strip's first row
        """
        out = np.empty((2, *L.shape), dtype=np.float32)
        if native.kernel is not None:
            L = np.ascontiguousarray(L, dtype=np.float32)
            native.kernel.rows(self._place, fitted, L, first, self.shape[0], out)
            return out[0], out[1]
        above = self._above[first : first + len(L)]
        stops = [0, *(np.flatnonzero(np.diff(above)) + 1), len(L)]
        # Written over and over: fresh memory for every step would take longer than the steps.
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
        """ab (h, w, 2) enlarged to float32 (H, W, 2); L is that of the whole photo."""
        return np.stack(self.rows(self.fit(ab), L), axis=-1)

    def columns(self, part: slice) -> Upsampler:
        """The same for some of the photo's columns: `rows` of them costs only their own area.

        What `fit` gave is cut alike, ``np.ascontiguousarray(fitted[..., part])``; the result is bit
        for bit that part.
        """
        cut = copy.copy(self)
        cut._place = np.ascontiguousarray(self._place[..., part])
        return cut

    # --- the fit, at the size of ab ---

    def _curves(self, wanted: Float32, gray: Float32) -> Float32:
        """Colors for dark, middle and bright (2, 3, h, w) that give wanted (2, h, w).

        In wanted, what is gray has the color gray (2, 1, 1).
        """
        if native.kernel is not None:
            out = np.empty((2, 3, *self.size), dtype=np.float32)
            dials = SMOOTH, LEVEL, MARGIN, TO_GRAY, SETTLED, STEPS, CORRECTIONS
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
        low, high = _reach(np.minimum.reduce(near), np.maximum.reduce(near), gray)
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
    """(height, width) of the L that the fit sees: an `Upsampler` made of it is the same.

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
    """Rows between two: (2, W) and the share of the second (n, 1) into (n, W); one row stays."""
    np.multiply(share, pair[-1] - pair[0], out=out)
    out += pair[0]


def _position(t: Float32, scale: Float32) -> None:
    """Make of L less its middle where it stands: -1 dark, 0 middle, 1 bright, none beyond."""
    t *= scale
    np.maximum(t, np.float32(-1), out=t)
    np.minimum(t, np.float32(1), out=t)


def _reach(low: Float32, high: Float32, gray: Float32) -> tuple[Float32, Float32]:
    """How far colors may go that leave the range low..high: MARGIN, or TO_GRAY as far as gray."""
    margin, more = np.float32(MARGIN) * (high - low), np.float32(TO_GRAY) * (high - low)
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

    Of L (h rows, w columns) for cells (rows, columns), and of its middle and scale (2, h, w), from
    which follow the shares that dark, middle and bright have in each pixel of L: float32
    (9, 3, h, w), the neighbors in the order of `_neighbors`.
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
        native.kernel.moments(guide, _grow(place, guide.shape[1]), *weights, m)
    else:
        grown, scale = _grow_both(place, (guide.shape[0], guide.shape[1]))
        t = guide - grown
        _position(t, scale)
        dark, bright = np.maximum(-t, 0), np.maximum(t, 0)
        parts = np.stack([dark, 1 - dark - bright, bright]).reshape(3, h, cells[0], w, cells[1])
        m = np.einsum("khywx,ay,bx->abkhw", parts, *weights, optimize=True)
    # Beyond the border there is nothing: there a small pixel stands in for its neighbor.
    m[1, :, :, 0] += m[0, :, :, 0]
    m[1, :, :, -1] += m[2, :, :, -1]
    m[:, 1, ..., 0] += m[:, 0, ..., 0]
    m[:, 1, ..., -1] += m[:, 2, ..., -1]
    m[0, :, :, 0] = m[2, :, :, -1] = 0
    m[:, 0, ..., 0] = m[:, 2, ..., -1] = 0
    return np.ascontiguousarray(m.reshape(9, *m.shape[2:]))
