"""Resize images: area means to shrink, linear interpolation to enlarge."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photochrom.arrays import Float32
from photochrom.color import native

__all__ = ["AreaShrink", "area_shrink", "between", "box_mean", "grow", "grow_both"]


def between(size: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Float32]:
    """For each of target pixels: the two of `size` around it, and the share of the second."""
    place = np.clip((np.arange(target) + 0.5) * (size / target) - 0.5, 0, size - 1)
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, size - 1), (place - first).astype(np.float32)


def grow(image: Float32, target: int) -> Float32:
    """Enlarge the last axis: linear between pixel centers, constant beyond the outer ones.

    first + share (second - first) leaves equal neighbors exactly as they are.
    """
    if native.kernel is not None:
        out = np.empty((*image.shape[:-1], target), dtype=np.float32)
        native.kernel.grow(
            np.ascontiguousarray(image).reshape(-1, image.shape[-1]), out.reshape(-1, target)
        )
        return out
    first, second, share = between(image.shape[-1], target)
    left = image[..., first]
    right = image[..., second]
    right -= left
    right *= share
    right += left
    return right


def grow_both(image: Float32, size: tuple[int, int]) -> Float32:
    """Float32 (..., h, w) enlarged to (..., height, width)."""
    return grow(grow(image, size[1]).swapaxes(-1, -2), size[0]).swapaxes(-1, -2)


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
    """Resize (H, W) to (height, width): by the area's mean if it shrinks, linearly if it grows.

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
    # Shrink the rows first: they are contiguous in memory, and less is left to do.
    if height <= array.shape[0]:
        array = _mean_rows(array, height)
    array = _mean_columns(array, width) if width <= array.shape[1] else grow(array, width)
    if height > array.shape[0]:
        array = np.ascontiguousarray(grow(array.T, height).T)
    return array


class AreaShrink:
    """`area_shrink` for an image in strips from top to bottom, with the same result to the bit.

    Parameters
    ----------
    shape : (H, W) of the image
    size : (height, width) of the result
    """

    def __init__(self, shape: tuple[int, int], size: tuple[int, int]) -> None:
        self.shape, self.size = shape, size
        # Rows to be enlarged are few. They are kept, because that step comes last.
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
        """The small image, float32 (height, width), after all rows were pushed."""
        done = np.concatenate(self._done)
        return done if self._shrinks else np.ascontiguousarray(grow(done.T, self.size[0]).T)

    def _across(self, rows: Float32) -> Float32:
        width = self.size[1]
        return _mean_columns(rows, width) if width <= self.shape[1] else grow(rows, width)


def box_mean(image: Float32) -> Float32:
    """Mean over 3 x 3 pixels, edges repeated; float32 (..., h, w)."""
    total = _sum_of_three(_sum_of_three(image.swapaxes(-1, -2)).swapaxes(-1, -2))
    total /= np.float32(9)
    return total


def _sum_of_three(image: Float32) -> Float32:
    """Each pixel plus those before and after it along the last axis, edges repeated.

    np.pad would take several times as long on small images.
    """
    total = np.empty(image.shape, dtype=np.float32)
    np.add(image[..., :-1], image[..., 1:], out=total[..., 1:])
    np.add(image[..., 0], image[..., 0], out=total[..., 0])
    total[..., :-1] += image[..., 1:]
    total[..., -1] += image[..., -1]
    return total
