"""Where the bytes of a photo come from, and how failures become messages for the user."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Protocol, TypeVar

import pyvips

from photochrom.errors import PhotoError
from photochrom.photo.vips import reason

__all__ = [
    "BytesOrigin",
    "FileOrigin",
    "Origin",
    "REMEDY_DAMAGED",
    "TemporaryCopy",
    "file_name",
    "file_state",
    "named_in_words",
    "no_room",
    "read_at",
    "temporary_file",
]

T = TypeVar("T")
REMEDY_DAMAGED = "restore it from a copy, or export it as PNG or TIFF"
# What libvips says if it cannot turn a large photo, for which it needs a temporary file.
_TEMPORARY = re.compile(r"write failed|unable to (write|open|create|make)[^\n]*vips-\d")
# What libvips says about files that are intact but that it cannot read; our problem and remedy.
_BEYOND = {
    "separate planes not supported": (
        "TIFF tiles with separate planes are supported only for gray, RGB and CMYK of at least 8 "
        "bits",
        "save it with interleaved channels",
    ),
    "tile size out of range": (
        "its tiles are too large to read",
        "save it with 256-pixel tiles, or with strips",
    ),
    "compression support is not configured": (
        "its compression is not supported",
        "save it with LZW or Deflate",
    ),
    "cumulated byte limit": (
        "one of its strips is too large for memory",
        "save it with smaller strips, or with tiles",
    ),
}


def temporary_file(name: str) -> IO[bytes]:
    """A new temporary file; PhotoError if there is no room for it."""
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise no_room(name, error.strerror) from None


def no_room(name: str, why: str | None, folder: str | None = None) -> PhotoError:
    """The error for a temporary folder that is full or missing; by default that of libvips."""
    folder = folder or os.environ.get("TMPDIR") or "/tmp"
    return PhotoError(
        f"the temporary folder {folder} cannot be used: {why}",
        "make room there, or name another folder in the environment variable TMPDIR",
        retry=True,
        name=name,
    )


def named_in_words(name: str, read: Callable[[], T]) -> T:
    """Read, and turn any failure into a PhotoError with the name of the file."""
    try:
        return read()
    except FileNotFoundError:
        raise PhotoError("no such file", "check the name", name=name) from None
    except (IsADirectoryError, NotADirectoryError):
        raise PhotoError("not a file", "give the path of a photo", name=name) from None
    except PermissionError:
        raise PhotoError("permission denied", "change its permissions", name=name) from None
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror}", REMEDY_DAMAGED, name=name) from error
    # The rest without a traceback. Its frames hold the image, with its memory and file descriptor,
    # and code that works through a folder may keep all errors to the end.
    except pyvips.Error as error:
        raise _of_libvips(name, error) from error.with_traceback(None)
    except UnicodeDecodeError as error:  # from a pyvips other than the one that `samples` knows
        pyvips.vips_lib.vips_error_clear()
        raise PhotoError(
            "cannot be read: its data is damaged", REMEDY_DAMAGED, name=name
        ) from error.with_traceback(None)
    except PhotoError as error:
        raise error.with_traceback(None) from None


def _of_libvips(name: str, error: pyvips.Error) -> PhotoError:
    if _TEMPORARY.search(error.detail):
        return no_room(name, reason(error))
    for said, (problem, remedy) in _BEYOND.items():
        if said in error.detail:
            return PhotoError(problem, remedy, name=name)
    return PhotoError(f"cannot be read: {reason(error)}", REMEDY_DAMAGED, name=name)


def file_name(path: str | os.PathLike[str]) -> str:
    """A path as text; PhotoError if no file can have it."""
    name = os.fsdecode(path)
    if "\0" in name:
        raise PhotoError(f"{name!r}: a file name cannot contain a null character", "remove it")
    return name


class Origin(Protocol):
    """Where the bytes of a file come from."""

    def source(self) -> Any:
        """A new libvips source, at the start."""

    def open(self) -> BinaryIO:
        """The same as a Python file, for what libvips does not report."""

    def size(self) -> int:
        """How many bytes there are."""

    def check(self) -> None:
        """Raise PhotoError if the bytes have changed."""


@dataclass(frozen=True)
class BytesOrigin:
    """Bytes in memory."""

    data: bytes

    def source(self) -> Any:
        """See `Origin`."""
        return pyvips.Source.new_from_memory(self.data)

    def open(self) -> BinaryIO:
        """See `Origin`."""
        return io.BytesIO(self.data)

    def size(self) -> int:
        """See `Origin`."""
        return len(self.data)

    def check(self) -> None:
        """See `Origin`."""


class TemporaryCopy:
    """Owns the descriptor of a temporary file, which is closed with the last reference to this."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True)
class FileOrigin:
    """A file on a disk, which must not change between readings."""

    path: str
    name: str  # for messages
    state: tuple[int, ...]  # when it was first opened, see `file_state`
    copy: TemporaryCopy | None = None  # instead of the path; only one thread may read it at a time

    def source(self) -> Any:
        """See `Origin`."""
        with self.open() as file:
            # By descriptor: libvips would read options from a name such as "scan[1].jpg".
            return pyvips.Source.new_from_descriptor(file.fileno())

    def open(self) -> BinaryIO:
        """See `Origin`."""
        if self.copy is not None:
            descriptor = os.dup(self.copy.descriptor)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        file = os.fdopen(descriptor, "rb", buffering=0)
        try:
            self._compare(os.fstat(descriptor))
        except BaseException:
            file.close()
            raise
        return file

    def size(self) -> int:
        """See `Origin`."""
        return self.state[2]

    def check(self) -> None:
        """See `Origin`."""
        self._compare(os.stat(self.path) if self.copy is None else os.fstat(self.copy.descriptor))

    def _compare(self, status: os.stat_result) -> None:
        if file_state(status) != self.state:
            raise PhotoError("has changed since it was read", "read it again", name=self.name)


def file_state(status: os.stat_result) -> tuple[int, ...]:
    """Device, inode, size and time of the last change: they differ if a file has changed."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_at(file: BinaryIO, place: int, size: int) -> bytes:
    """Bytes of a file at a place; fewer at its end."""
    file.seek(place)
    return file.read(size)
