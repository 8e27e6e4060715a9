"""Pixels that stay in their file and are decoded one strip at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.photo.limits import LIMITS, ReadLimits
from photochrom.photo.photo import Held
from photochrom.photo.source import Origin, named_in_words
from photochrom.photo.strips import strip_rows
from photochrom.photo.vips import watched

__all__ = ["Streamed", "Strip"]

Strip = tuple[NDArray[Any], NDArray[Any] | None]
"""Colors (n, W, 1 or 3), and alpha (n, W) or None."""


@dataclass(frozen=True, eq=False)
class Streamed:
    """Pixels that stay in their file and are decoded each time they are needed.

    The samples of a file of moderate size are cached: see `ReadLimits.cache_bytes`.
    """

    origin: Origin
    load: Callable[[], Any]  # the libvips image, upright
    convert: Callable[[NDArray[Any]], Strip]
    name: str
    shape: tuple[int, int, int]
    depth: np.dtype[Any]  # of the samples as they are decoded
    dtype: np.dtype[Any]  # of the samples in sRGB
    has_alpha: bool
    tiled: bool
    limits: ReadLimits = LIMITS

    @property
    def strip_rows(self) -> int:
        """Rows to handle at a time."""
        return strip_rows(self.shape[1], self.limits.strip_pixels)

    def strips(self, rows: int) -> Iterator[Strip]:
        """Decode from top to bottom, one strip ahead.

        Raises
        ------
        PhotoError
            The file is damaged, or has changed since it was first read.
        """
        if "_all" in vars(self):
            yield from Held(*self._all).strips(rows)
        elif self._nbytes <= self.limits.cache_bytes:
            # Copied, because libvips cannot decode into a given place; but this also frees the
            # memory of each strip at once, for the next one.
            cache = _Cache(self)
            yield from self._decoded(rows, cache.put)
            vars(self)["_all"] = cache.pixels, cache.alpha
        else:
            yield from self._decoded(rows, lambda top, color, alpha: (color, alpha))

    @property
    def _nbytes(self) -> int:
        height, width, channels = self.shape
        size = channels * self.dtype.itemsize + self.has_alpha * self.depth.itemsize
        return height * width * size

    def _decoded(
        self, rows: int, put: Callable[[int, NDArray[Any], NDArray[Any] | None], Strip]
    ) -> Iterator[Strip]:
        """Strips as `put` returns them, given their first row."""
        height, width = self.shape[:2]
        with ThreadPoolExecutor(1) as decoder:
            image: Any = None  # kept alive, because it owns the callbacks that libvips calls
            region: Any = None

            def fetch(top: int) -> Strip:
                n = min(rows, height - top)

                def read(first: bool) -> Any:
                    nonlocal image, region
                    if region is None or not first:  # in one thread, as libvips requires
                        fresh = self.load()
                        region = pyvips.Region.new(fresh)
                        image = fresh  # the image before is freed after its region
                    return region.fetch(0, top, width, n)

                data = watched(read, self.tiled)
                if top + n == height:
                    self.origin.check()
                samples = np.frombuffer(data, self.depth).reshape(n, width, -1)
                return put(top, *self.convert(samples))

            ahead = decoder.submit(fetch, 0)
            for top in range(rows, height + rows, rows):
                strip = named_in_words(self.name, ahead.result)
                if top < height:
                    ahead = decoder.submit(fetch, top)
                yield strip

    @cached_property
    def _all(self) -> Strip:
        cache = _Cache(self)
        for _ in self._decoded(self.strip_rows, cache.put):
            pass
        return cache.pixels, cache.alpha

    @property
    def pixels(self) -> NDArray[Any]:
        """All pixels, cached from now on."""
        return self._all[0]

    @property
    def alpha(self) -> NDArray[Any] | None:
        """The whole alpha channel, cached from now on."""
        return self._all[1] if self.has_alpha else None


class _Cache:
    """Memory for all samples of a file, filled one strip at a time."""

    def __init__(self, photo: Streamed) -> None:
        self.pixels: NDArray[Any] = np.empty(photo.shape, photo.dtype)
        self.alpha = np.empty(photo.shape[:2], photo.depth) if photo.has_alpha else None

    def put(self, top: int, color: NDArray[Any], alpha: NDArray[Any] | None) -> Strip:
        rows = slice(top, top + len(color))
        self.pixels[rows] = color
        if self.alpha is not None:
            self.alpha[rows] = alpha
        return self.pixels[rows], None if self.alpha is None else self.alpha[rows]
