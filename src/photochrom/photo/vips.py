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
    "interruptibly",
    "reason",
    "strict_value",
    "to_numpy",
    "to_vips",
    "upright",
    "watched",
]

T = TypeVar("T")

_STOP_SECONDS = 1.0  # that a saver is waited for when it shall stop


def interruptibly(save: Callable[[], None], stop: Callable[[], None]) -> None:
    """Save in another thread: Ctrl-C is heard in the main one, and not amid a call of libvips.

    What cannot be stopped then, such as the encoder of AVIF, goes on behind with a file that has
    lost its name, and ends with the process.
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
    """What libvips says, where pyvips would take it for UTF-8.

    libvips quotes what it found in a damaged file. The error that such bytes raise in pyvips would
    come before it has cleared the log of errors, and so at every good file thereafter.
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
    """(H, W, C), over the memory that libvips has decoded to: no copy."""
    samples = np.frombuffer(image.write_to_memory(), DTYPES[image.format])
    return samples.reshape(image.height, image.width, image.bands)


def upright(image: Any) -> Any:
    """An image turned as it asks for.

    By `call`, here and below: to look for ``image.autorot``, pyvips clears the log of errors that
    `watched` reads.
    """
    return pyvips.Operation.call("autorot", image)


# The log of errors of libvips is one for the whole process. What it says of tiles is not what it
# says of `strips.StripSource`, when strips that another thread saves end early.
_TILE = re.compile(rb"^tiff2vips: (?!Read error at scanline)", re.MULTILINE)
VIPS_LOG = threading.RLock()
_MARK = "photochrom reads here"
_MOST_LOG = 8000  # bytes; somewhat more is all that libvips keeps
_TRIES = 20
_marks = itertools.count()


def watched(read: Callable[[bool], T], tiled: bool) -> T:
    """Decode; raise pyvips.Error if a tile of a TIFF file that is decoded meanwhile is damaged.

    The cache of tiles in libvips leaves such a tile black and goes on, whatever ``fail_on`` says;
    only its log of errors tells. So threads decode one at a time, whatever the files: one would
    bear the blame of another. On two cores that costs four threads that color TIFFs of half a
    megapixel a fortieth of their time. And an error of any other thread, one that writes say, takes
    the log along: so a line of ours is its first, and where that is gone the file is decoded again.

    Parameters
    ----------
    read : is told whether this is its first time
    tiled : whether there are tiles
    """
    lib = pyvips.vips_lib
    with VIPS_LOG:
        if not tiled:
            return read(True)
        for n in range(_TRIES):
            lib.vips_error_clear()
            # There is no such file, and to say so is the only way to write to the log.
            lib.vips_foreign_find_load(f"/{_MARK} {next(_marks)}".encode())
            mark = pyvips.ffi.string(lib.vips_error_buffer())
            found = read(n == 0)
            log = pyvips.ffi.string(lib.vips_error_buffer())
            if _TILE.search(log):
                raise pyvips.Error("damaged tile")  # takes the log along, and clears it
            if log.startswith(mark) and len(log) < _MOST_LOG:
                lib.vips_error_clear()
                return found
    raise pyvips.Error("disturbed", "too many other photos failed at the same time")


def reason(error: pyvips.Error) -> str:
    """The first telling line of a libvips error, without the name of the C module in front."""
    for line in error.detail.splitlines():
        text = re.sub(r"^\w+: ", "", line.strip())
        # Said on the way to the real reason, and by `watched`.
        if text and not text.startswith("bad seek") and _MARK not in text:
            return text.rstrip(".")
    return "its data is damaged"
