"""Photos that are read by strips and never whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.photo.photo import Held
from photochrom.photo.source import Origin, named_in_words
from photochrom.photo.strips import strip_rows
from photochrom.photo.vips import watched

__all__ = ["KEPT_BYTES", "STREAM_PIXELS", "Streamed", "Strip"]

Strip = tuple[NDArray[Any], NDArray[Any] | None]

STREAM_PIXELS = 16_000_000
"""Files with more than these are never in memory as floats: the network, and then each rendering,
goes through them a strip after the other."""
KEPT_BYTES = 144 << 20
"""Up to these the samples of such a file are kept as they were decoded the first time: to decode a
JPEG twice would be a third of the whole work. Larger files are decoded anew each time. It holds a
JPEG of 24 megapixels that is not in sRGB."""


@dataclass(frozen=True, eq=False)
class Streamed:
    """Pixels that stay in a file, and are decoded when they are asked for.

    Those of a file of moderate size, see `KEPT_BYTES`, only the first time.
    """

    origin: Origin
    load: Callable[[], Any]  # the libvips image, upright
    convert: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any] | None]]
    name: str
    shape: tuple[int, int, int]
    depth: np.dtype[Any]  # of the samples as they are decoded, and
    dtype: np.dtype[Any]  # in sRGB
    has_alpha: bool
    tiled: bool

    def strips(self, rows: int) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """Decode from top to bottom, a strip ahead of what is asked for.

        Raises
        ------
        PhotoError
            The file is damaged, or was changed since it was read first.
        """
        if "_all" in vars(self):
            yield from Held(*self._all).strips(rows)
        elif self._nbytes <= KEPT_BYTES:
            # Copied, and not fetched into its place, which libvips does not offer; but this also
            # gives the memory of each strip back at once, to be used for the next one.
            keep = _Keep(self)
            yield from self._decoded(rows, keep.take)
            vars(self)["_all"] = keep.pixels, keep.alpha
        else:
            yield from self._decoded(rows, lambda top, color, alpha: (color, alpha))

    @property
    def _nbytes(self) -> int:
        height, width, channels = self.shape
        size = channels * self.dtype.itemsize + self.has_alpha * self.depth.itemsize
        return height * width * size

    def _decoded(
        self,
        rows: int,
        kept: Callable[[int, NDArray[Any], NDArray[Any] | None], Strip],
    ) -> Iterator[Strip]:
        height, width = self.shape[:2]
        with ThreadPoolExecutor(1) as decoder:
            image: Any = None  # held, for it holds what libvips calls
            region: Any = None

            def fetch(top: int) -> Strip:
                n = min(rows, height - top)

                def read(first: bool) -> Any:
                    nonlocal image, region
                    if region is None or not first:  # in one thread, as libvips wants it
                        fresh = self.load()
                        region = pyvips.Region.new(fresh)
                        image = fresh  # and the one before is let go after its region
                    return region.fetch(0, top, width, n)

                data = watched(read, self.tiled)
                if top + n == height:
                    self.origin.check()
                samples = np.frombuffer(data, self.depth).reshape(n, width, -1)
                return kept(top, *self.convert(samples))

            ahead = decoder.submit(fetch, 0)
            for top in range(rows, height + rows, rows):
                strip = named_in_words(self.name, ahead.result)
                if top < height:
                    ahead = decoder.submit(fetch, top)
                yield strip

    @cached_property
    def _all(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        keep = _Keep(self)
        for _ in self._decoded(strip_rows(self.shape[1]), keep.take):
            pass
        return keep.pixels, keep.alpha

    @property
    def pixels(self) -> NDArray[Any]:
        """All of them, kept from now on."""
        return self._all[0]

    @property
    def alpha(self) -> NDArray[Any] | None:
        """All of it, kept from now on."""
        return self._all[1] if self.has_alpha else None


class _Keep:
    """Room for all samples of a file, filled a strip after the other."""

    def __init__(self, photo: Streamed) -> None:
        self.pixels: NDArray[Any] = np.empty(photo.shape, photo.dtype)
        self.alpha = np.empty(photo.shape[:2], photo.depth) if photo.has_alpha else None

    def take(self, top: int, color: NDArray[Any], alpha: NDArray[Any] | None) -> Strip:
        rows = slice(top, top + len(color))
        self.pixels[rows] = color
        if self.alpha is not None:
            self.alpha[rows] = alpha
        return self.pixels[rows], None if self.alpha is None else self.alpha[rows]
