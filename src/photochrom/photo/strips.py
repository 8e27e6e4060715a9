"""Strips of pixels, made one at a time, as an image that libvips can save.

libvips writes every format as a stream, but only from an image of its own. So the strips go to it
as an uncompressed TIFF file: a simple format that it reads as a stream and that holds 8 bits, 16
bits and floats, with and without alpha. The file exists only in the calls that ask for its bytes.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.photo.ifd import (
    BITS,
    CHANNELS,
    COMPRESSION,
    EXTRA,
    HEIGHT,
    PHOTOMETRIC,
    PLANAR,
    ROWS,
    SAMPLES,
    STRIPS,
    WIDTH,
    Entry,
    Tree,
    file_head,
    packed_tree,
)
from photochrom.photo.limits import LIMITS

__all__ = ["StripSource", "strip_rows"]

_MOST_ROWS = 512


def strip_rows(width: int, pixels: int = LIMITS.strip_pixels) -> int:
    """How many rows of a photo to handle at a time, for strips of about so many pixels."""
    return min(_MOST_ROWS, max(1, pixels // width))


class StripSource:
    """A libvips image of strips that are made when it asks for them.

    Parameters
    ----------
    strips : iterator of ndarrays (n, width, channels)
        From top to bottom, each of `rows` rows except the last.
    shape : (height, width, 3 or 4)
    dtype : uint8, uint16 or float32
    rows : of a strip; `strip_rows` by default
    """

    def __init__(
        self,
        strips: Iterator[NDArray[Any]],
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        rows: int | None = None,
    ) -> None:
        self._strips = strips
        self._head = _tiff_head(shape, dtype, rows or strip_rows(shape[1]))
        self._end = len(self._head) + shape[0] * shape[1] * shape[2] * dtype.itemsize
        self._at = 0
        self._strip: memoryview = memoryview(b"")  # the latest one
        self._start = len(self._head)  # where in the file it begins
        self._failure: BaseException | None = None
        self._stopped = threading.Event()
        # The next strip is made while libvips encodes the latest one.
        self._maker = ThreadPoolExecutor(1)
        self._ahead: Future[NDArray[Any]] | None = None
        self._source = pyvips.SourceCustom()
        self._source.on_read(self._read)
        self._source.on_seek(self._seek)

    def __enter__(self) -> StripSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._maker.shutdown(cancel_futures=True)
        if isinstance(self._strips, Generator):
            with contextlib.suppress(ValueError):  # still at work, after a second Ctrl-C
                self._strips.close()

    def image(self) -> Any:
        """The libvips image, to use once, from top to bottom."""
        return pyvips.Image.tiffload_source(
            self._source, access="sequential", fail_on="error", unlimited=True
        )

    def run(self, save: Callable[[], None], stop: Callable[[], None] = lambda: None) -> None:
        """Call `save`, which saves the image; if it has to end early, call `stop`.

        If making a strip raises an error, this raises the same error.
        """
        # In another thread, because Python cannot react to Ctrl-C in the middle of a libvips call.
        with ThreadPoolExecutor(1) as saver:
            try:
                saver.submit(save).result()
                if self._failure is not None:  # libvips only saw an early end of the file
                    raise self._failure
            except pyvips.Error:
                if self._failure is not None:
                    raise self._failure from None
                raise
            except BaseException:
                self._stopped.set()
                stop()
                raise

    # libvips calls these from any of its threads, but one at a time. No exception may leave them.

    def _read(self, size: int) -> bytes:
        try:
            if self._at < len(self._head):
                part = self._head[self._at : self._at + size]
            else:
                part = bytes(self._made(size))
        except BaseException as error:
            self._failure = error
            return b""
        self._at += len(part)
        return part

    def _made(self, size: int) -> memoryview:
        while self._at >= self._start + len(self._strip) and self._at < self._end:
            if self._stopped.is_set():
                raise InterruptedError
            self._start += len(self._strip)
            made = self._ahead or self._maker.submit(next, self._strips)
            self._strip = np.ascontiguousarray(made.result()).data.cast("B")
            more = self._start + len(self._strip) < self._end
            self._ahead = self._maker.submit(next, self._strips) if more else None
        offset = self._at - self._start
        if offset < 0:
            raise RuntimeError("libvips went back in a stream")
        return self._strip[offset : offset + size]

    def _seek(self, offset: int, whence: int) -> int:
        self._at = offset + (0, self._at, self._end)[whence]
        return self._at


def _tiff_head(shape: tuple[int, int, int], dtype: np.dtype[Any], rows: int) -> bytes:
    """The bytes of a BigTIFF file before its strips."""
    height, width, channels = shape
    row = width * channels * dtype.itemsize
    counts = [min(rows, height - top) * row for top in range(0, height, rows)]
    starts = np.cumsum([0, *counts[:-1]])
    short, long, long8 = 3, 4, 16
    tree: Tree = {
        WIDTH: Entry.of(long, [width]),
        HEIGHT: Entry.of(long, [height]),
        BITS: Entry.of(short, [8 * dtype.itemsize] * channels),
        COMPRESSION: Entry.of(short, [1]),  # none
        PHOTOMETRIC: Entry.of(short, [2]),  # RGB
        CHANNELS: Entry.of(short, [channels]),
        ROWS: Entry.of(long, [rows]),
        279: Entry.of(long8, counts),
        PLANAR: Entry.of(short, [1]),
        SAMPLES: Entry.of(short, [3 if dtype.kind == "f" else 1] * channels),
    }
    if channels == 4:
        tree[EXTRA] = Entry.of(short, [2])
    head = file_head("<", True, 16)
    size = 0
    for _ in range(2):  # the places of the strips depend on the size, but it does not on them
        tree[STRIPS] = Entry.of(long8, [int(n) for n in starts + size])
        whole = head + packed_tree(tree, len(head), True)
        size = len(whole)
    return whole
