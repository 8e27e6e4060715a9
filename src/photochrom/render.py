"""Put ab and L together again: in memory, or strip by strip for huge photos.

A `streamed` photo is read twice. The first time, its L is reduced to what the network sees and to
what guides the colors. The second time, each strip is colored and passed on. Every pixel is the
same as if the whole photo had been in memory.

Strips are rows as the file yields them, from top to bottom. Parts are the rows of a strip, or of a
photo in memory, that one thread takes at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color.lab import fit_gamut, gray_to_L, rgb_to_L, rgb_to_lab
from photochrom.color.resize import AreaShrink
from photochrom.color.upsample import Upsampler
from photochrom.margin import Margin
from photochrom.photo.photo import Photo

__all__ = [
    "PART",
    "Brush",
    "Strips",
    "by_parts",
    "colored_strips",
    "lightness",
    "painted",
    "reduced_L",
    "rows_L",
]

Strips = Iterator[tuple[NDArray[Any], NDArray[Any] | None]]
"""Colors (n, W, 3) and alpha (n, W) or None, from top to bottom."""
PART = 1 << 16
"""Pixels that a thread takes at a time: their float planes stay in the cache."""


def lightness(pixels: NDArray[Any], threads: int = 0) -> Float32:
    """L of pixels (H, W, 1 or 3): float32 (H, W), 0..100. `threads` as in `Colorizer`."""
    if pixels.shape[2] == 1:
        return gray_to_L(pixels[..., 0])
    # In parts: the float planes of a large color photo would not fit in the cache.
    L = np.empty(pixels.shape[:2], dtype=np.float32)
    by_parts(L.shape, threads, lambda rows: L.__setitem__(rows, rgb_to_L(pixels[rows])))
    return L


def reduced_L(photo: Photo, sizes: Sequence[tuple[int, int]], threads: int) -> list[Float32]:
    """L of a streamed photo, 0..100, reduced by area to each of the sizes (height, width)."""
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


@dataclass(frozen=True, eq=False)
class Brush:
    """Paints rows of one photo in color.

    Attributes
    ----------
    upsampler : for the photo
    fitted : what its `fit` returned for the ab to paint
    keep : share, 0..1, of the photo's own a and b to mix in
    margin : what of the photo stays gray
    """

    upsampler: Upsampler
    fitted: Float32
    keep: float = 0.0
    margin: Margin | None = None

    def paint(
        self, L: Float32, first: int, out: NDArray[Any], own: NDArray[Any] | None = None
    ) -> None:
        """Write some rows in color, as encoded sRGB, into `out` (n, W, 3).

        Parameters
        ----------
        L : float32 (n, W), 0..100, of rows first..first + n
        first : the first of the rows
        out : uint8, uint16 or float32 (n, W, 3)
        own : the photo's own pixels (n, W, 1 or 3), for `keep`
        """
        if not self.keep or own is None:
            self.upsampler.paint(self.fitted, L, out, first)
            if self.margin is not None:
                self.margin.clear(L, out, self.upsampler.shape, first)
            return
        ab = np.stack(self.upsampler.rows(self.fitted, L, first), axis=-1)
        ab *= np.float32(1 - self.keep)
        if self.margin is not None:
            ab[self.margin.of(L, self.upsampler.shape, first)] = 0
        if own.shape[2] == 3:  # a gray photo has no color of its own
            ab += np.float32(self.keep) * rgb_to_lab(own)[..., 1:]
        out[...] = fit_gamut(L, ab, out.dtype)


def painted(
    brush: Brush,
    L: Float32,
    own: NDArray[Any],
    dtype: Any,
    threads: int = 0,
    part: int = PART,
) -> NDArray[Any]:
    """A photo in memory, in color: encoded sRGB (H, W, 3) of a dtype.

    Parameters
    ----------
    brush : for this photo
    L : float32 (H, W), 0..100
    own : the photo's own pixels (H, W, 1 or 3), for `Brush.keep`
    dtype : uint8, uint16 or float32
    threads : as in `Colorizer`
    part : pixels that a thread takes at a time; the result does not depend on it
    """
    out = np.empty((*L.shape, 3), dtype=dtype)
    by_parts(
        L.shape, threads, lambda rows: brush.paint(L[rows], rows.start, out[rows], own[rows]), part
    )
    return out


def colored_strips(photo: Photo, brush: Brush, threads: int) -> Strips:
    """A streamed photo in color, which is read again for it."""
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
                own = pixels[rows]
                brush.paint(rows_L(own), first + rows.start, out[rows], own)

            list(pool.map(work, _parts(height, width)))
            yield out, alpha
            first += height


def _parts(height: int, width: int, pixels: int = PART) -> list[slice]:
    rows = max(1, pixels // max(width, 1))
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def by_parts(
    shape: tuple[int, ...], threads: int, work: Callable[[slice], Any], pixels: int = PART
) -> None:
    """Call work(slice of rows) for all rows, in threads: NumPy releases the interpreter lock.

    Parameters
    ----------
    shape : (height, width)
    threads : as in `Colorizer`
    work : is called with consecutive slices
    pixels : about how many a slice holds
    """
    parts = _parts(shape[0], shape[1], pixels)
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        list(pool.map(work, parts))
