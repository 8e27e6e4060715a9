"""Where a photo's bytes come from, and how a failure reads in the user's words."""

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
    "KeptBytes",
    "Origin",
    "REMEDY_DAMAGED",
    "T",
    "file_name",
    "file_state",
    "named_in_words",
    "no_room",
    "read_at",
    "temporary_file",
]

T = TypeVar("T")
REMEDY_DAMAGED = "restore it from a copy, or export it again as PNG or TIFF"
# What libvips says when it cannot turn a large photo, for which it takes a temporary file.
_TEMPORARY = re.compile(r"write failed|unable to (write|open|create|make)[^\n]*vips-\d")
# What it says of files that are whole, but beyond it.
_BEYOND = {
    "tile size out of range": "its tiles are larger than can be read here; save it with tiles of "
    "256 pixels, or in strips",
    "compression support is not configured": "its compression is not supported here; save it with "
    "LZW or Deflate",
    "cumulated byte limit": "a strip of it is larger than can be held in memory here; save it with "
    "smaller strips, or with tiles",
}


def temporary_file(name: str) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise no_room(name, error.strerror) from None


def no_room(name: str, why: str | None, folder: str | None = None) -> PhotoError:
    """The error for a temporary folder that is full or missing; by default the one of libvips."""
    folder = folder or os.environ.get("TMPDIR") or "/tmp"
    return PhotoError(
        f"{name}: the temporary folder {folder} cannot be used: {why}; make room there, or let the "
        "environment variable TMPDIR name another folder"
    )


def named_in_words(name: str, read: Callable[[], T]) -> T:
    """What was read; what is raised on the way becomes a PhotoError with the name of the file."""
    try:
        return read()
    except FileNotFoundError:
        raise PhotoError(f"{name}: no such file; check the name") from None
    except (IsADirectoryError, NotADirectoryError):
        raise PhotoError(f"{name}: not a file; give the path of a photo") from None
    except PermissionError:
        raise PhotoError(f"{name}: may not be read; change its permissions") from None
    except OSError as error:
        raise PhotoError(f"{name}: cannot be read: {error.strerror}; {REMEDY_DAMAGED}") from error
    # Both without their traceback: its frames hold the image, hence its memory and a descriptor of
    # the file, and whoever works through a folder may keep all errors to the end.
    except pyvips.Error as error:
        if _TEMPORARY.search(error.detail):
            raise no_room(name, reason(error)) from error.with_traceback(None)
        if "separate planes not supported" in error.detail:
            raise PhotoError(
                f"{name}: TIFF with tiles and a plane for each channel is supported for gray, RGB "
                "and CMYK of 8 bits or more alone; save it with the channels interleaved"
            ) from error.with_traceback(None)
        problem = next((told for said, told in _BEYOND.items() if said in error.detail), None)
        problem = problem or f"cannot be read: {reason(error)}; {REMEDY_DAMAGED}"
        raise PhotoError(f"{name}: {problem}") from error.with_traceback(None)
    except UnicodeDecodeError as error:  # of another pyvips than `samples` knows
        pyvips.vips_lib.vips_error_clear()
        raise PhotoError(
            f"{name}: cannot be read: its data is damaged; {REMEDY_DAMAGED}"
        ) from error.with_traceback(None)
    except PhotoError as error:
        raise error.with_traceback(None) from None


def file_name(path: str | os.PathLike[str]) -> str:
    """A path as text; PhotoError if no file can have it."""
    name = os.fsdecode(path)
    if "\0" in name:
        raise PhotoError(f"{name!r}: no file can have a null character in its name; remove it")
    return name


class Origin(Protocol):
    """What the bytes of a file come from."""

    def source(self) -> Any:
        """A new libvips source, at the start."""

    def open(self) -> BinaryIO:
        """The same as a file, for what libvips does not tell."""

    def size(self) -> int:
        """How many bytes they are."""

    def check(self) -> None:
        """Raise PhotoError if the bytes are no longer those that they were."""


@dataclass(frozen=True)
class BytesOrigin:
    data: bytes

    def source(self) -> Any:
        return pyvips.Source.new_from_memory(self.data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)

    def size(self) -> int:
        return len(self.data)

    def check(self) -> None:
        pass


class KeptBytes:
    """The descriptor of a temporary file: closed, and so the file gone, with the last reference."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True)
class FileOrigin:
    path: str
    name: str  # for messages
    state: tuple[int, ...]  # as when it was first opened
    copy: KeptBytes | None = None  # instead of the path; not to be read by two at once

    def source(self) -> Any:
        with self.open() as file:
            # By descriptor, for libvips would read options out of a name such as "scan[1].jpg".
            return pyvips.Source.new_from_descriptor(file.fileno())

    def open(self) -> BinaryIO:
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
        return self.state[2]

    def check(self) -> None:
        self._compare(os.stat(self.path) if self.copy is None else os.fstat(self.copy.descriptor))

    def _compare(self, status: os.stat_result) -> None:
        if file_state(status) != self.state:
            raise PhotoError(f"{self.name}: was changed since it was read; read it again")


def file_state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)
