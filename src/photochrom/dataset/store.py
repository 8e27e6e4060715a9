"""Photos for training: tar shards, tar.gz shards or a folder, read in any order.

A shard is a tar in the WebDataset layout: each member one encoded photo, its name without the
extension the sample's key. Members are indexed once and their bytes fetched with `os.pread`, so
nothing is ever unpacked under a name that a tar file chose, and threads and forked workers read
through one store without sharing a file position.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
import tarfile
import tempfile
import threading
import weakref
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import DataError
from photochrom.files import whole

__all__ = ["PHOTO_SUFFIXES", "PhotoStore", "write_shard"]

PHOTO_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Names that end so are photos; all else in a shard or folder is passed over."""

JOURNAL = ".work/journal.jsonl"
REPORT = "report.json"
"""A folder with the first and without the second is an unfinished `photochrom prepare`."""

_SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")
UNPACKED, UNPACKED_MORE = 20, 100 << 20
"""A compressed shard may unpack to so many times its size, and so many bytes more. Photos are
compressed already, so a true one hardly grows; a bomb grows a thousandfold."""
_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK = 512  # the unit of a tar file (POSIX.1-1988)


class PhotoStore:
    """Random access to the encoded photos of tar shards, tar.gz shards or folders.

    Samples keep the order of the sources; within a shard that of the tar, within a folder that of
    the sorted relative paths.

    Parameters
    ----------
    sources : shards (.tar, .tar.gz, .tgz) or folders: a folder that holds shards stands for them in
        sorted order, any other for the tree of photos under it (jpg, png, webp, tif, bmp)

    Raises
    ------
    DataError
        A source is missing, damaged, unfinished or holds no photo.

    Notes
    -----
    A compressed shard is unpacked once into a nameless temporary file, which ends with the process.
    Unpickling a store opens its sources again.
    """

    def __init__(self, sources: Sequence[str | os.PathLike[str]]) -> None:
        if isinstance(sources, str | os.PathLike):  # one path; a str is a sequence too, of letters
            sources = [sources]
        if not sources:
            raise DataError("no photos given", "name tar shards or a folder of photos")
        self._sources = [Path(source) for source in sources]
        self._origins: list[Path] = []
        self._descriptors: list[int] = []  # per origin; -1 for a folder
        self._names: list[str] = []
        # There is no close(): a read through a closed descriptor could meet another file's bytes.
        weakref.finalize(self, _close_all, self._descriptors)

        places: list[tuple[int, int, int]] = []
        for source in self._sources:
            before = len(places)
            for origin in _origins_of(source):
                is_folder = origin.is_dir()
                self._descriptors.append(-1 if is_folder else _open_shard(origin))
                self._origins.append(origin)
                found = _index_folder(origin) if is_folder else self._index_last_shard()
                for name, offset, size in found:
                    self._names.append(name)
                    places.append((len(self._origins) - 1, offset, size))
            if len(places) == before:
                raise DataError(
                    f"{source}: holds no photo",
                    "give tar shards, or a folder with files that end in "
                    f"{', '.join(sorted(PHOTO_SUFFIXES))}",
                )
        # Columns: origin, offset, size. One array, as a million tuples would weigh ten times more.
        self._places: NDArray[np.int64] = np.array(places, dtype=np.int64)

    def _index_last_shard(self) -> list[tuple[str, int, int]]:
        with os.fdopen(os.dup(self._descriptors[-1]), "rb") as file:
            return _index_shard(file, self._origins[-1])

    def __len__(self) -> int:
        return len(self._names)

    def __getstate__(self) -> dict[str, Any]:
        return {"sources": self._sources}

    def __setstate__(self, state: dict[str, Any]) -> None:
        PhotoStore.__init__(self, state["sources"])

    def key(self, index: int) -> str:
        """Key of a sample: its name in shard or folder without the extension, "000123-people"."""
        name = self._names[index]
        return name[: -len(PurePosixPath(name).suffix)]

    def name(self, index: int) -> str:
        """Where a sample lies, for messages: "photos/cat.jpg", "a.tar: 000123-people.webp"."""
        origin = self._origins[int(self._places[index, 0])]
        return f"{origin}{': ' if self.in_shard(index) else '/'}{self._names[index]}"

    def in_shard(self, index: int) -> bool:
        """Whether a sample lies in a shard, not in a folder of photos."""
        return self._descriptors[int(self._places[index, 0])] >= 0

    def size(self, index: int) -> int:
        """Length of a sample in bytes, as it was when the store was opened."""
        return int(self._places[index, 2])

    def read(self, index: int) -> bytes:
        """The encoded bytes of a sample.

        Raises
        ------
        DataError
            The file cannot be read any more.
        """
        origin, offset, size = (int(v) for v in self._places[index])
        descriptor = self._descriptors[origin]
        try:
            if descriptor < 0:
                return (self._origins[origin] / self._names[index]).read_bytes()
            data = _read_at(descriptor, size, offset)
        except OSError as error:
            raise DataError(f"{self.name(index)}: cannot be read: {error.strerror}") from error
        if len(data) != size:
            raise DataError(
                f"{self.name(index)}: its shard has shrunk since it was opened", "start again"
            )
        return data

    def fingerprint(self) -> str:
        """SHA-256 over all keys and sizes, in order: another value means other samples.

        Where the sources lie does not enter, so moved data stay the same data.
        """
        digest = hashlib.sha256()
        for index in range(len(self)):
            line = f"{self.key(index)}\0{self.size(index)}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def stamp(self) -> str:
        """SHA-256 that also changes when a file is replaced by one of the same name and size.

        By the time of last change of every file: to read them all would take as long as the work.
        """
        digest = hashlib.sha256(self.fingerprint().encode())
        for origin, descriptor in zip(self._origins, self._descriptors, strict=True):
            if descriptor >= 0:
                digest.update(f"{origin.stat().st_mtime_ns}\n".encode())
        for index in range(len(self)):
            if not self.in_shard(index):
                path = self._origins[int(self._places[index, 0])] / self._names[index]
                digest.update(f"{path.stat().st_mtime_ns}\n".encode())
        return digest.hexdigest()


if sys.platform == "win32":  # has no pread
    _READING = threading.Lock()

    def _read_at(descriptor: int, size: int, offset: int) -> bytes:
        with _READING:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, size)
else:
    _read_at = os.pread


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)


def _origins_of(source: Path) -> list[Path]:
    """The shards that a source stands for, or itself if it is a folder of photos."""
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    if not source.is_dir():
        return [source]
    if (source / JOURNAL).exists() and not (source / REPORT).exists():
        raise DataError(f"{source}: is unfinished", "run the same `photochrom prepare` again")
    shards = sorted(
        path
        for path in source.iterdir()
        if path.name.endswith(_SHARD_SUFFIXES) and not path.name.startswith(".")
    )
    return shards or [source]


def _is_photo(name: str) -> bool:
    path = PurePosixPath(name)
    # macOS puts a "._cat.jpg" beside each "cat.jpg", in its tar files too.
    return path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith(".")


def _index_folder(folder: Path) -> list[tuple[str, int, int]]:
    names: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(parent).relative_to(folder)
        names += [(relative / name).as_posix() for name in files if _is_photo(name)]
    found = []
    for name in sorted(names):
        try:
            found.append((name, 0, (folder / name).stat().st_size))
        except OSError:  # a link to nowhere is no photo
            continue
    return found


def _unpack(unpacked: gzip.GzipFile, plain: IO[bytes], path: Path) -> None:
    """Copy what a compressed shard holds, unless it is far more than photos would be."""
    left = UNPACKED_MORE + UNPACKED * path.stat().st_size
    while piece := unpacked.read(1 << 20):
        left -= len(piece)
        if left < 0:
            raise DataError(
                f"{path}: unpacks to more than {UNPACKED} times its size, which photos do not",
                "don't use it, or unpack it yourself",
            )
        plain.write(piece)


def _open_shard(path: Path) -> int:
    """A descriptor to the plain tar in a shard, compressed or not."""
    try:
        with path.open("rb") as file:
            if file.read(2) != _GZIP_MAGIC:
                return os.dup(file.fileno())
            file.seek(0)
            with gzip.open(file) as unpacked, tempfile.TemporaryFile() as plain:
                _unpack(unpacked, plain, path)
                plain.flush()
                return os.dup(plain.fileno())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be opened: {error.strerror}",
            f"compressed shards are unpacked in {tempfile.gettempdir()}: make room there, or set "
            "TMPDIR to another folder",
        ) from error


def _index_shard(file: IO[bytes], path: Path) -> list[tuple[str, int, int]]:
    """Name, offset and size of each photo in a plain tar."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    found: list[tuple[str, int, int]] = []
    try:
        with tarfile.open(fileobj=file, mode="r:") as shard:
            for member in shard:
                # Links, devices and folders have no bytes; a sparse file's are not in one piece.
                if not member.isreg() or member.issparse() or not _is_photo(member.name):
                    continue
                if member.offset_data + member.size > length:
                    raise tarfile.ReadError("unexpected end of data")
                found.append((member.name, member.offset_data, member.size))
            end = shard.offset
    except (tarfile.TarError, ValueError, OverflowError, MemoryError) as error:
        raise _damaged(path, error) from error
    # tarfile takes a broken header for the end: the samples behind it would be lost without a word.
    file.seek(end)
    if file.read(_BLOCK) != bytes(_BLOCK):
        raise _damaged(path, f"broken at byte {end} of {length}")
    return found


def _damaged(path: Path, reason: object) -> DataError:
    return DataError(f"{path}: is damaged or not a tar shard ({reason})", "copy or create it again")


def write_shard(path: str | os.PathLike[str], samples: Iterable[tuple[str, bytes]]) -> int:
    """Write a shard; the same samples always give the same bytes, and no half of it ever shows.

    Parameters
    ----------
    path : the .tar to write; replaced if it exists
    samples : (name with extension, encoded bytes), taken one at a time

    Returns
    -------
    How many samples were written.
    """
    count = 0
    with (
        whole(path, force=True) as draft,
        tarfile.open(draft, "w", format=tarfile.GNU_FORMAT, encoding="utf-8") as shard,
    ):
        for name, data in samples:
            member = tarfile.TarInfo(name)  # no time, no owner: its defaults are constants
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))
            count += 1
    return count
