"""Strips of pixels, made one after the other, as an image that libvips can save.

libvips writes every format as a stream, but only from an image of its own. So the strips are handed
over in the one simple format that it reads as a stream and that holds 8, 16 bits and float, with
and without alpha: a TIFF file without compression, which exists nowhere but in the calls that ask
for its bytes.
"""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

__all__ = ["StripSource", "strip_rows"]

_STRIP = 1 << 20  # pixels: a few megabytes, and enough work to share among threads
_MOST_ROWS = 512


def strip_rows(width: int) -> int:
    """How many rows of a photo to handle at a time."""
    return min(_MOST_ROWS, max(1, _STRIP // width))


class StripSource:
    """A libvips image of strips that are made when it asks for them.

    Parameters
    ----------
    strips : iterator of ndarrays (n, width, channels)
        From top to bottom, each of ``strip_rows(width)`` rows but for the last.
    shape : (height, width, 3 or 4)
    dtype : uint8, uint16 or float32
    """

    def __init__(
        self, strips: Iterator[NDArray[Any]], shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> None:
        self._strips = strips
        self._head, self._counts = _tiff_header(shape, dtype, strip_rows(shape[1]))
        self._end = len(self._head) + sum(self._counts)
        self._at = 0
        self._strip: memoryview = memoryview(b"")  # the one that was made last
        self._start = len(self._head)  # where in the file it begins
        self._failure: BaseException | None = None
        self._stopped = threading.Event()
        # The next strip is made while libvips encodes the last one.
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
        """The libvips image, to be used once, from top to bottom."""
        return pyvips.Image.tiffload_source(
            self._source, access="sequential", fail_on="error", unlimited=True
        )

    def run(self, save: Callable[[], None], stop: Callable[[], None] = lambda: None) -> None:
        """Call what saves the image, and `stop` to end it early.

        An error in the making of a strip comes out as it was.
        """
        # In another thread, for Ctrl-C is heard in this one, and not amid a call of libvips.
        with ThreadPoolExecutor(1) as saver:
            try:
                saver.submit(save).result()
                if self._failure is not None:  # to libvips but an early end of the file
                    raise self._failure
            except pyvips.Error:
                if self._failure is not None:
                    raise self._failure from None
                raise
            except BaseException:
                self._stopped.set()
                stop()
                raise

    # What libvips calls, from any of its threads but one at a time; no exception may leave these.

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


def _tiff_header(
    shape: tuple[int, int, int], dtype: np.dtype[Any], rows: int
) -> tuple[bytes, list[int]]:
    """What stands before the strips, and the size of each strip in bytes.

    Source: TIFF 6.0 (Adobe, 1992); BigTIFF (Joris Van Damme, 2007; AWare Systems).
    """
    height, width, channels = shape
    row = width * channels * dtype.itemsize
    counts = [min(rows, height - top) * row for top in range(0, height, rows)]
    short, long, long8 = "H", "I", "Q"
    floating = dtype.kind == "f"
    entries: list[tuple[int, str, list[int]]] = [
        (256, long, [width]),
        (257, long, [height]),
        (258, short, [8 * dtype.itemsize] * channels),
        (259, short, [1]),  # no compression
        (262, short, [2]),  # RGB
        (273, long8, [0] * len(counts)),  # filled in below
        (277, short, [channels]),
        (278, long, [rows]),
        (279, long8, counts),
        (284, short, [1]),  # channels side by side
        *([(338, short, [2])] if channels == 4 else []),  # straight alpha
        (339, short, [3 if floating else 1] * channels),
    ]
    types = {short: 3, long: 4, long8: 16}
    place = 16 + 8 + 20 * len(entries) + 8  # of the first value that does not fit into its entry
    size = place + sum(
        total for _, kind, values in entries if (total := len(values) * struct.calcsize(kind)) > 8
    )
    starts = size + np.cumsum([0, *counts[:-1]])
    directory, beyond = struct.pack("<Q", len(entries)), b""
    for tag, kind, values in entries:
        numbers = starts.tolist() if tag == 273 else values
        value = struct.pack(f"<{len(numbers)}{kind}", *numbers)
        directory += struct.pack("<HHQ", tag, types[kind], len(numbers))
        if len(value) <= 8:
            directory += value.ljust(8, b"\0")
        else:
            directory += struct.pack("<Q", place + len(beyond))
            beyond += value
    order = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16)
    return order + directory + bytes(8) + beyond, counts
