"""libvips: arrays in and out, its log, interruption, orientation."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pyvips
from numpy.typing import NDArray

__all__ = [
    "DTYPES",
    "VIPS_LOG",
    "as_text",
    "complaints",
    "forget",
    "interruptibly",
    "reason",
    "strict_value",
    "to_numpy",
    "to_vips",
    "upright",
    "watched",
]

T = TypeVar("T")

# pyvips hands the messages of libvips to Python's logging, in the middle of a call of libvips and
# in any of its threads. Python may collect garbage there, and free an image that has a message of
# its own. GLib ends the process for that: "recursed". So nothing of Python hears of messages.
getattr(pyvips, "_remove_log_handler", lambda: None)()

_STOP_SECONDS = 1.0  # how long to wait for a saver that has to stop


def interruptibly(save: Callable[[], None], stop: Callable[[], None]) -> None:
    """Save in another thread, so that Ctrl-C works in the main thread during a call of libvips.

    An encoder that cannot be stopped, such as that of AVIF, goes on in the background with a file
    that no longer has a name, and ends with the process.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            save()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        stop()
        thread.join(_STOP_SECONDS)
        raise
    if failures:
        raise failures.pop()


def as_text(pointer: Any) -> str:
    """A message of libvips, which pyvips would decode as UTF-8.

    libvips quotes bytes from a damaged file. In pyvips, such bytes raise an error before it has
    cleared the log of errors, so that the error would come back with every good file that follows.
    """
    if pointer == pyvips.ffi.NULL:
        return "NULL"
    text = pyvips.ffi.string(pointer)
    return text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else str(text)


strict_value = getattr(pyvips.error, "_to_string", None)
DTYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_VIPS_FORMATS = {np.dtype(dtype): name for name, dtype in DTYPES.items()}


def to_vips(array: NDArray[Any]) -> Any:
    """A libvips image over the memory of an (H, W, C) array; no copy if it is contiguous."""
    height, width, bands = array.shape
    array = np.ascontiguousarray(array)
    return pyvips.Image.new_from_memory(
        array.data, width, height, bands, _VIPS_FORMATS[array.dtype]
    )


def to_numpy(image: Any) -> NDArray[Any]:
    """(H, W, C), over the memory into which libvips has decoded: no copy."""
    samples = np.frombuffer(image.write_to_memory(), DTYPES[image.format])
    return samples.reshape(image.height, image.width, image.bands)


def upright(image: Any, orientation: int) -> Any:
    """An image turned by an orientation, 1..8 as in EXIF.

    This uses `Operation.call`, because looking up ``image.autorot`` makes pyvips clear the log of
    errors that `watched` reads.
    """
    image = pyvips.Operation.call("copy", image)
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return pyvips.Operation.call("autorot", image)


# libvips has one log of errors for the whole process. This matches what it says about damaged
# tiles, but not what it says about a `strips.StripSource` that ends early in another thread.
_TILE = re.compile(rb"^tiff2vips: (?!Read error at scanline)", re.MULTILINE)
VIPS_LOG = threading.RLock()
_MARK = "photochrom reads here"
_MOST_LOG = 8000  # bytes; libvips stores little more than that
_TRIES = 20
_marks = itertools.count()


def watched(read: Callable[[bool], T], tiled: bool) -> T:
    """Decode; raise pyvips.Error if a tile of a TIFF file is damaged.

    The tile cache of libvips leaves a damaged tile black and goes on, whatever ``fail_on`` says;
    only its log of errors shows it. So only one thread decodes at a time, whatever the files are:
    otherwise, one file could be blamed for the damage of another. On two cores, that costs four
    threads that color TIFFs of half a megapixel a fortieth of their time. An error in any other
    thread, such as one that writes, clears the log. So this first writes a line of its own into
    the log, and decodes the file again if that line is gone.

    Parameters
    ----------
    read : decodes; its argument says whether this is the first time
    tiled : whether the file has tiles
    """
    lib = pyvips.vips_lib
    with VIPS_LOG:
        forget()
        if not tiled:
            return read(True)
        for n in range(_TRIES):
            lib.vips_error_clear()
            # There is no such file. That error is the only way to write to the log.
            lib.vips_foreign_find_load(f"/{_MARK} {next(_marks)}".encode())
            mark = pyvips.ffi.string(lib.vips_error_buffer())
            found = read(n == 0)
            log = pyvips.ffi.string(lib.vips_error_buffer())
            if _TILE.search(log):
                raise pyvips.Error("damaged tile")  # with the log, which this clears
            if log.startswith(mark) and len(log) < _MOST_LOG:
                lib.vips_error_clear()
                return found
    raise pyvips.Error("disturbed", "too many other photos failed at the same time")


def forget() -> None:
    """Clear the log, so that no error quotes what was wrong with another photo.

    libvips leaves there what it can do without, such as the warnings of libjpeg.
    """
    with VIPS_LOG:
        pyvips.vips_lib.vips_error_clear()


def complaints() -> list[str]:
    """What libjpeg has said about damage since `forget`, while VIPS_LOG is held."""
    log = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer())
    return [
        line.removeprefix("VipsJpeg: ")
        for line in log.decode("utf-8", "backslashreplace").splitlines()
        if line.startswith("VipsJpeg: ")
    ]


def reason(error: pyvips.Error) -> str:
    """The first informative line of a libvips error, without the name of the C module."""
    for line in error.detail.splitlines():
        text = re.sub(r"^\w+: ", "", line.strip())
        # These lines come before the real reason; the second is from `watched`.
        if text and not text.startswith("bad seek") and _MARK not in text:
            # libjpeg says this of a photo that is cut off if `jpeg` has given it an end.
            return text.rstrip(".").replace(
                "Corrupt JPEG data: premature end of data segment", "premature end of JPEG image"
            )
    return "its data is damaged"
