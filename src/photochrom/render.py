"""Huge photos, a strip after the other: what `Colorizer` and `Prediction` do with them.

A photo that is `streamed` is read twice. The first time its L is reduced to what the network sees
and to what guides the colors; the second time each strip is colored and handed on. Every pixel is
the same as if the whole had been in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color.lab import fit_gamut, gray_to_L, rgb_to_L, rgb_to_lab
from photochrom.color.upsample import AreaShrink, Upsampler
from photochrom.photo.photo import Photo

__all__ = ["Strips", "by_strips", "colored_strips", "lightness", "reduced_L", "rejoin", "rows_L"]

Strips = Iterator[tuple[NDArray[Any], NDArray[Any] | None]]
"""Colors (n, W, 3) and alpha (n, W) or None, from top to bottom."""
Paint = Callable[[NDArray[Any], int, NDArray[Any]], None]
"""Pixels (n, W, 1 or 3) and the number of the first row; colors go into the array (n, W, 3)."""

_PART = 1 << 16  # pixels that a thread takes at a time: their float planes stay in the cache


def reduced_L(photo: Photo, sizes: Sequence[tuple[int, int]], threads: int) -> list[Float32]:
    """L of a photo, 0..100, reduced by area to each of some sizes (height, width)."""
    shape = photo.height, photo.width
    shrinks = [AreaShrink(shape, size) for size in sizes]
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for pixels, _ in photo.content.strips(photo.strip_rows):
            L = np.empty(pixels.shape[:2], dtype=np.float32)

            def take(rows: slice, pixels: NDArray[Any] = pixels, L: Float32 = L) -> None:
                L[rows] = rows_L(pixels[rows])

            list(pool.map(take, _parts(len(L), photo.width)))
            list(pool.map(lambda shrink, L=L: shrink.push(L), shrinks))
    return [shrink.result() for shrink in shrinks]


def rows_L(pixels: NDArray[Any]) -> Float32:
    """L of pixels (n, W, 1 or 3): float32 (n, W)."""
    return gray_to_L(pixels[..., 0]) if pixels.shape[2] == 1 else rgb_to_L(pixels)


def colored_strips(photo: Photo, paint: Paint, threads: int) -> Strips:
    """A photo in color, read anew."""
    first = 0
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for pixels, alpha in photo.content.strips(photo.strip_rows):
            height, width = pixels.shape[:2]
            out = np.empty((height, width, 3), dtype=photo.samples)

            def work(
                rows: slice,
                first: int = first,
                pixels: NDArray[Any] = pixels,
                out: NDArray[Any] = out,
            ) -> None:
                paint(pixels[rows], first + rows.start, out[rows])

            list(pool.map(work, _parts(height, width)))
            yield out, alpha
            first += height


def _parts(height: int, width: int) -> list[slice]:
    rows = max(1, _PART // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def lightness(photo: Photo, threads: int = 0) -> Float32:
    """L of a photo: float32 (H, W), 0..100. `threads` as in `Colorizer`."""
    pixels = photo.pixels
    if pixels.shape[2] == 1:
        return gray_to_L(pixels[..., 0])
    # By strips: the intermediate float planes of a large color photo would not fit in the cache.
    L = np.empty(pixels.shape[:2], dtype=np.float32)
    by_strips(L.shape, threads, lambda rows: L.__setitem__(rows, rgb_to_L(pixels[rows])))
    return L


def rejoin(
    upsampler: Upsampler,
    fitted: Float32,
    L: Float32,
    first: int,
    out: NDArray[Any],
    own: NDArray[Any] | None = None,
    keep: float = 0.0,
) -> None:
    """Some rows of a photo in color, encoded sRGB, into `out` (n, W, 3); see `Upsampler.paint`.

    `own` are the pixels (n, W, 1 or 3) of the photo, of whose color a share `keep` is mixed in.
    """
    if not keep or own is None:
        upsampler.paint(fitted, L, out, first)
        return
    ab = np.stack(upsampler.rows(fitted, L, first), axis=-1)
    ab *= np.float32(1 - keep)
    if own.shape[2] == 3:  # a gray photo's own color is none
        ab += np.float32(keep) * rgb_to_lab(own)[..., 1:]
    out[...] = fit_gamut(L, ab, out.dtype)


def by_strips(shape: tuple[int, ...], threads: int, work: Any, pixels: int = 1 << 16) -> None:
    """Call work(slice of rows) over all rows, in threads (NumPy frees the interpreter lock)."""
    height, width = shape
    rows = max(1, pixels // max(width, 1))
    parts = [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        list(pool.map(work, parts))
