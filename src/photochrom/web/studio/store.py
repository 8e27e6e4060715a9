"""What the studio keeps of photos: the files on disk, and their results in memory.

Only the files cannot be computed again. They have random names in a private folder, which is made
for the first file and removed at the end. If a server was killed, the next one removes its folder.
Everything else (pixels, lightness, distributions) is in one `Cache` with a limit in bytes, which
drops the least recently used values. They are computed again when needed.
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
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from photochrom.hints import Hint, HintLike
from photochrom.web.studio.cache import Cache
from photochrom.web.studio.kept import Sent

__all__ = [
    "Gone",
    "NoRoom",
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
"""The last used sets of hints that are remembered per photo, so that an undone click can be
redone."""
KNOWN_BYTES = 1 << 20
"""Bytes of all those sets; strokes and outlines have many points."""
FORGOTTEN = 4096
"""Photos that were given up, of which only the name is remembered, to tell the client."""


class Unknown(KeyError):
    """There is no such photo or prediction."""


class Gone(KeyError):
    """The photo was here and made room for others."""


class NoRoom(Exception):
    """The files that come in and go out need more room than there is for all files."""


@dataclass(eq=False)
class Upload:
    """A photo that was sent: its file, how it is turned and cropped, and its description."""

    token: str
    sent: Sent
    nbytes: int
    description: dict[str, Any]
    used: float
    hints: OrderedDict[str, bytes] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def path(self) -> Path:
        """The file."""
        return self.sent.path

    def remember(self, hints: Sequence[HintLike]) -> None:
        """Remember the hints of a prediction, for `recall`."""
        if not hints:
            return  # always known: the page compares with it, and starts with it after a reload
        name = prediction_name(hints)
        with self._lock:
            self.hints[name] = _packed(hints)
            self.hints.move_to_end(name)
            while len(self.hints) > 1 and (
                len(self.hints) > KNOWN or sum(map(len, self.hints.values())) > KNOWN_BYTES
            ):
                self.hints.popitem(last=False)

    def recall(self, name: str) -> list[Hint]:
        """The hints behind the name of a prediction.

        Raises
        ------
        Unknown
            There is no such prediction.
        """
        if name == PLAIN:
            return []
        try:
            with self._lock:
                self.hints.move_to_end(name)
                packed = self.hints[name]
        except KeyError:
            raise Unknown(name) from None
        return [Hint.of(values) for values in json.loads(packed)]


def prediction_name(hints: Sequence[HintLike]) -> str:
    """The name of the prediction with these hints; always the same for the same hints."""
    return hashlib.sha256(_packed(hints)).hexdigest()[:16]


def _packed(hints: Sequence[HintLike]) -> bytes:
    return json.dumps([Hint.of(hint).values for hint in hints], separators=(",", ":")).encode()


PLAIN = prediction_name([])
"""The prediction without hints, which every photo has."""


class Store:
    """The files of the photos, up to a number, a size and an age; the least used ones make room.

    A thread drops photos that are too old, and returns free memory to the system. As a context
    manager, or with `close`, the store leaves no file behind.

    Parameters
    ----------
    photos : how many to keep
    nbytes : of all files together, including those that are being written or sent
    age : seconds since a photo was last asked for
    cache : of the results; it forgets a photo when the store does
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
        self._lock_file: FileLock | None = None
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
            if self._folder is not None and self._lock_file is not None:
                _remove(self._folder, self._lock_file)
            self._folder = self._lock_file = None
            self._held.clear()

    def new_file(self, extension: str = "") -> tuple[BinaryIO, Path]:
        """A new file with a random name, which only this user can open, for writing.

        The writer reports its size with `hold`, and then calls `release` to remove it, or `add` to
        hand it over.
        """
        path = self.folder() / f"{secrets.token_hex(16)}{extension}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        return os.fdopen(os.open(path, flags, 0o600), "w+b"), path

    def folder(self) -> Path:
        """The private folder, made on first use."""
        with self._lock:
            if self._folder is None:
                if self._closed.is_set():
                    raise Gone("the store is closed")
                self._folder, self._lock_file = _new_folder()
            return self._folder

    def hold(self, path: Path, nbytes: int) -> None:
        """Count a file that is being written or waits to be sent; photos make room for it.

        Raises
        ------
        NoRoom
            All such files together are over the limit. The file is still counted.
        """
        with self._lock:
            self._held[path] = nbytes
            if sum(self._held.values()) > self.nbytes:
                raise NoRoom(path)
            self._make_room(0)

    def release(self, path: Path) -> None:
        """Remove a file that was counted by `hold`."""
        with self._lock:
            self._held.pop(path, None)
            path.unlink(missing_ok=True)

    def add(self, sent: Sent, description: dict[str, Any], token: str) -> Upload:
        """Take over a file; other photos make room for it if necessary.

        The name of the photo, `token`, must have been admitted to the cache.
        """
        path = sent.path
        upload = Upload(token, sent, path.stat().st_size, description, time.monotonic())
        with self._lock:
            self._held.pop(path, None)
            self._uploads[token] = upload
            self._make_room(1)
        return upload

    def _make_room(self, least: int) -> None:
        """Give up photos, the least used first, until the limits are met or `least` are left."""
        while len(self._uploads) > least and (
            len(self._uploads) > self.photos or self.counted > self.nbytes
        ):
            self._give_up(next(iter(self._uploads)))

    @property
    def counted(self) -> int:
        """The bytes of all files."""
        return sum(u.nbytes for u in self._uploads.values()) + sum(self._held.values())

    def get(self, token: str) -> Upload:
        """The photo of that name.

        Raises
        ------
        Gone
            It made room for others, or was too old.
        Unknown
            There never was such a photo.
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
        """Delete a photo and everything known about it; errors as for `get`."""
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
    """Return free memory to the system, which glibc's malloc would otherwise keep.

    Dropped values leave holes between the others. Without this, an empty cache still held more than
    half of the memory of a full one.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def sweep_stale() -> None:
    """Remove the folders of killed servers; a running server holds the lock of its folder."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(OSError, Timeout):
            # A folder without a lock is too young to be stale: its server is about to lock it.
            if folder.is_symlink() or not _is_mine(folder) or not (folder / LOCK).is_file():
                continue
            lock = FileLock(folder / LOCK, thread_local=False)
            lock.acquire(blocking=False)
            _remove(folder, lock)


def _is_mine(folder: Path) -> bool:
    """Whether this user owns a folder; on Windows, the folder for temporary files is private."""
    return sys.platform == "win32" or folder.stat().st_uid == os.getuid()


def _new_folder() -> tuple[Path, FileLock]:
    """A private folder, and its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # mode 0700
        lock = FileLock(folder / LOCK, mode=0o600, thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue  # another server was faster, takes the folder for a stale one, and removes it
        return folder, lock


def _remove(folder: Path, lock: FileLock) -> None:
    """Remove a locked folder; Windows removes the lock only after its release."""
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)
