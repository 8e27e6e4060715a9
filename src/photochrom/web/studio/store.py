"""What the studio holds of photos: the uploaded files on disk, and in memory what they became.

The files are all that cannot be computed again. They lie under random names in a private folder,
made for the first of them and removed at the end; one that a killed server left behind is removed
by the next. Everything else (pixels, lightness, distributions) is in one `Cache` within a bound of
bytes, the least recently used goes first, and what is gone is computed again when it is wanted.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from photochrom.hints import Hint
from photochrom.web.studio.cache import Cache

if sys.platform != "win32":
    import fcntl

__all__ = [
    "Full",
    "Gone",
    "PLAIN",
    "Store",
    "Unknown",
    "Upload",
    "give_back",
    "prediction_name",
    "sweep_stale",
]

PREFIX = "photochrom-studio-"
LOCK = "lock"
KNOWN = 256
"""Sets of hints that are remembered per photo, those used last, so that an undone click can be
redone."""
FORGOTTEN = 4096
"""Photos given up that are remembered by their name alone, to say so."""


class Unknown(KeyError):
    """No such photo or prediction."""


class Gone(KeyError):
    """The photo was here and made room for others."""


class Full(Exception):
    """The files that come in and go out need more room than there is for all."""


@dataclass(eq=False)
class Upload:
    """A photo that was sent: its file, and what is known of it for good."""

    token: str
    path: Path
    nbytes: int
    description: dict[str, Any]
    used: float
    hints: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def remember(self, hints: Sequence[Hint]) -> None:
        """Let `recall` know the prediction with these hints from now on."""
        if not hints:
            return  # always known: the page compares with it, and begins with it after a reload
        name = prediction_name(hints)
        with self._lock:
            self.hints[name] = _numbers(hints).tobytes()
            self.hints.move_to_end(name)
            while len(self.hints) > KNOWN:
                self.hints.popitem(last=False)

    def recall(self, name: str) -> list[Hint]:
        """The hints behind the name of a prediction.

        Raises
        ------
        Unknown
        """
        if name == PLAIN:
            return []
        try:
            with self._lock:
                self.hints.move_to_end(name)
                numbers = array("d", self.hints[name])
        except KeyError:
            raise Unknown(name) from None
        rows = [numbers[at : at + 5] for at in range(0, len(numbers), 5)]
        return [(x, y, (r, g, b)) for x, y, r, g, b in rows]


def prediction_name(hints: Sequence[Hint]) -> str:
    """The name of the prediction with these hints: the same for the same hints, always."""
    return hashlib.sha256(json.dumps(_numbers(hints).tolist()).encode()).hexdigest()[:16]


def _numbers(hints: Sequence[Hint]) -> array[float]:
    return array("d", (v for x, y, rgb in hints for v in (x, y, *rgb)))


PLAIN = prediction_name([])
"""The prediction without hints, which every photo has."""


class Store:
    """The files of the photos, at most so many, so large and so old; the least used make room.

    Its own thread drops what is too old, and gives back what is free. As a context manager, or by
    `close`, it leaves no file.

    Parameters
    ----------
    photos : how many
    nbytes : of all files together, those that are still written or sent included
    age : seconds since a photo was last asked for
    cache : what is computed from them; it forgets a photo when the store does
    """

    def __init__(self, photos: int, nbytes: int, age: float, cache: Cache) -> None:
        self.photos = photos
        self.nbytes = nbytes
        self.age = age
        self.cache = cache
        self._lock = threading.RLock()
        self._uploads: OrderedDict[str, Upload] = OrderedDict()
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._held: dict[Path, int] = {}
        self._folder: Path | None = None
        self._mark: int | None = None
        self._closed = threading.Event()
        sweep_stale()
        every = max(1.0, min(60.0, age / 4, cache.age / 4))
        self._sweeper = threading.Thread(target=self._sweep, args=(every,), daemon=True)
        self._sweeper.start()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove all files, and the folder."""
        self._closed.set()
        with self._lock:
            for token in list(self._uploads):
                self._forget(token)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            if self._mark is not None:
                os.close(self._mark)
            self._folder = self._mark = None
            self._held.clear()

    def new_file(self, extension: str = "") -> tuple[BinaryIO, Path]:
        """A file with a random name that only this user can open, to be written to.

        Who writes says by `hold` how large it is, and has it removed by `release`, or by `add`
        taken over.
        """
        path = self.folder() / f"{secrets.token_hex(16)}{extension}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        return os.fdopen(os.open(path, flags, 0o600), "w+b"), path

    def folder(self) -> Path:
        """The private folder, made when it is first asked for."""
        with self._lock:
            if self._folder is None:
                if self._closed.is_set():
                    raise Gone("the store is closed")
                self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # mode 0700
                # Locked before it has its name: nobody finds it free in between.
                draft = self._folder / "draft"
                self._mark = os.open(draft, os.O_RDWR | os.O_CREAT, 0o600)
                if sys.platform != "win32":
                    fcntl.flock(self._mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.rename(self._folder / LOCK)
            return self._folder

    def hold(self, path: Path, nbytes: int) -> None:
        """Count a file that is being written, or waits to be sent; photos make room for it.

        Raises
        ------
        Full
            All such files together are larger than what may be kept. It is still counted.
        """
        with self._lock:
            self._held[path] = nbytes
            if sum(self._held.values()) > self.nbytes:
                raise Full(path)
            self._make_room(0)

    def release(self, path: Path) -> None:
        """Remove a file that was counted by `hold`."""
        with self._lock:
            self._held.pop(path, None)
            path.unlink(missing_ok=True)

    def add(self, path: Path, description: dict[str, Any], token: str) -> Upload:
        """Take a file over; others make room for it where that is needed.

        The name of the photo, `token`, must have been admitted to the cache.
        """
        upload = Upload(token, path, path.stat().st_size, description, time.monotonic())
        with self._lock:
            self._held.pop(path, None)
            self._uploads[token] = upload
            self._make_room(1)
        return upload

    def _make_room(self, least: int) -> None:
        """Give up photos, the least used first, until all is within the bounds or `least` left."""
        while len(self._uploads) > least and (
            len(self._uploads) > self.photos or self.counted > self.nbytes
        ):
            self._give_up(next(iter(self._uploads)))

    @property
    def counted(self) -> int:
        """Bytes of all files."""
        return sum(u.nbytes for u in self._uploads.values()) + sum(self._held.values())

    def get(self, token: str) -> Upload:
        """The photo of that name.

        Raises
        ------
        Gone
            It made room for others, or was too old.
        Unknown
        """
        with self._lock:
            if token in self._gone:
                raise Gone(token)
            if token not in self._uploads:
                raise Unknown(token)
            upload = self._uploads[token]
            upload.used = time.monotonic()
            self._uploads.move_to_end(token)
            return upload

    def remove(self, token: str) -> None:
        """Delete a photo and all that is known of it; errors as for `get`."""
        with self._lock:
            self.get(token)
            self._forget(token)

    def __len__(self) -> int:
        return len(self._uploads)

    def _give_up(self, token: str) -> None:
        self._forget(token)
        self._gone[token] = None
        while len(self._gone) > FORGOTTEN:
            self._gone.popitem(last=False)

    def _forget(self, token: str) -> None:
        upload = self._uploads.pop(token)
        self.cache.drop(token)
        upload.path.unlink(missing_ok=True)

    def _sweep(self, every: float) -> None:
        while not self._closed.wait(every):
            self.sweep()
            give_back()

    def sweep(self) -> None:
        """Drop what has not been used for too long."""
        self.cache.sweep()
        with self._lock:
            while self._uploads:
                token, upload = next(iter(self._uploads.items()))
                if time.monotonic() - upload.used <= self.age:
                    break
                self._give_up(token)


def give_back() -> None:
    """Give memory that is free back to the system, where malloc (glibc's) would keep it.

    What the cache drops leaves holes between what it keeps, and without this an empty cache still
    held more than half of the memory that a full one had.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def sweep_stale() -> None:
    """Remove the folders of servers that were killed; one that runs holds a lock on its own."""
    if sys.platform == "win32":
        return
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            mark = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(mark)
