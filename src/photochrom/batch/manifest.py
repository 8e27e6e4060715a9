"""The manifest: one JSON line for each photo. `history` reads it."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol

from filelock import lock_descriptor

from photochrom._version import __version__
from photochrom.batch.history import MANIFEST, home_of, opened
from photochrom.batch.job import Attempt, Chosen, Job, result_name
from photochrom.errors import ConfigError, PhotoError
from photochrom.files import draft_name, sweep_drafts

_FLAGS = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)

__all__ = ["MANIFEST", "Manifest", "ManifestError", "Manifests", "Recorder"]

_DRAFT = re.compile(r"\.photochrom-draft((?:-\d+-of-\d+)?)-[0-9a-f]{16}\.\w+")
"""Drafts have the part of their shard in the name, see `_part`."""


class ManifestError(PhotoError):
    """The manifest cannot be written, or has gone while we wrote to it."""


class Recorder(Protocol):
    """Where lines about photos go, and the names of their drafts."""

    def append(self, job: Job, settings: Chosen, attempt: Attempt) -> str:
        """Add a line and bring it to the disk; "", or why there is none, if that is no matter."""

    def draft(self, target: str) -> str:
        """A name for an unfinished result, in the folder of the finished one."""

    def sweep(self, folders: Iterable[str]) -> None:
        """Remove the drafts that killed runs have left in these folders."""


class Manifest:
    """The manifest of one shard in an output folder, open for appending and locked.

    Parameters
    ----------
    folder : the output folder; created if missing
    shard : (i, n), the i-th of n
    patience : seconds to wait for the lock: the workers of a killed run have to end first

    Raises
    ------
    ConfigError
        Another run is working on the same shard.
    PhotoError
        The folder or the manifest cannot be written.

    Notes
    -----
    It can be sent to a process that is being started. The lock then lasts until both have ended.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        shard: tuple[int, int] = (1, 1),
        *,
        patience: float = 3.0,
    ) -> None:
        self.folder = os.fspath(folder)
        name, extension = os.path.splitext(MANIFEST)
        part = "" if shard == (1, 1) else f"-{shard[0]}-of-{shard[1]}"
        self.path = os.path.join(self.folder, f"{name}{part}{extension}")
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._descriptor = os.open(self.path, _FLAGS | os.O_CREAT, 0o666)
            try:
                if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                    raise PhotoError(f"{self.path}: is not a file", "move it away")
                self._locked = self._lock(patience)
                if os.lseek(self._descriptor, 0, os.SEEK_END):
                    os.lseek(self._descriptor, -1, os.SEEK_END)
                    if os.read(self._descriptor, 1) != b"\n":
                        os.write(self._descriptor, b"\n")  # after a line that a kill has torn
            except BaseException:
                self.close()
                raise
        except OSError as error:
            raise _unwritable(error.filename or self.path, error) from error

    def _lock(self, patience: float) -> bool:
        """Whether it is locked now; not every network drive can."""
        if sys.platform == "win32":  # there, nobody could read the manifest during the run
            return False
        end = time.monotonic() + patience
        try:
            while not lock_descriptor(self._descriptor, blocking=False):
                if time.monotonic() >= end:
                    raise ConfigError(
                        f"{self.path}: is in use by another run",
                        "wait for it, or split the work with --shard",
                    )
                time.sleep(0.1)
        except OSError:
            return False
        return True

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock, unless a worker still holds it."""
        os.close(self._descriptor)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if sys.platform == "win32":
            del state["_descriptor"]
        else:  # the same open file, so that it is the same lock
            state["_descriptor"] = multiprocessing.reduction.DupFd(self._descriptor)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if sys.platform == "win32":
            self._descriptor = os.open(self.path, _FLAGS)
        else:
            self._descriptor = state["_descriptor"].detach()

    def append(self, job: Job, settings: Chosen, attempt: Attempt) -> str:
        """Add a line and bring it to the disk.

        Raises
        ------
        ManifestError
            It cannot be written, or is gone, as when somebody deletes the output folder.
        """
        line = _line(job, job.result, settings, attempt)
        if self._is_gone():
            raise ManifestError(
                f"{self.path}: was deleted or moved during the run",
                "leave the output folder alone, and run this again",
                retry=True,
            )
        try:
            # A single write, so that the lines of several workers don't mix.
            if os.write(self._descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
            os.fsync(self._descriptor)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        return ""

    def _is_gone(self) -> bool:
        """Whether the open manifest is no longer the file of that name."""
        if sys.platform == "win32":  # there, an open file stays
            return False
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except OSError:
            return True

    def draft(self, target: str) -> str:
        """A name for an unfinished result, in the folder of the finished one."""
        folder, name = os.path.split(target)
        suffix = os.path.splitext(name)[1]
        part = _part(self.path)
        return os.path.join(folder, f".photochrom-draft{part}-{secrets.token_hex(8)}{suffix}")

    def sweep(self, folders: Iterable[str]) -> None:
        """Remove the drafts that killed runs have left in these folders.

        Another run may be writing those of another shard, so they go only while we hold its lock.
        """
        for folder in folders:
            found: dict[str, list[str]] = {}
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if draft := _DRAFT.fullmatch(entry.name):
                        found.setdefault(draft[1], []).append(entry.path)
            for part, paths in found.items():
                with contextlib.suppress(OSError), self._owned(part) as owned:
                    for path in paths if owned else ():
                        os.unlink(path)

    @contextlib.contextmanager
    def _owned(self, part: str) -> Iterator[bool]:
        """Whether nobody else works on a part; its lock is held only within the block."""
        if part == _part(self.path) or sys.platform == "win32":
            yield self._locked and part == _part(self.path)
            return
        stem, extension = os.path.splitext(MANIFEST)
        path = os.path.join(self.folder, f"{stem}{part}{extension}")
        with opened(path) as other:
            yield lock_descriptor(other.fileno(), blocking=False)


class Manifests:
    """The manifests for results whose photos were named one by one, each in its own folder.

    A line goes into the nearest manifest in the folder of the result or above it, and into a new
    one in that folder if there is none. Nothing is locked: other runs may be at work there.
    """

    def append(self, job: Job, settings: Chosen, attempt: Attempt) -> str:
        """Add a line and bring it to the disk; "", or a note that nothing may be written there.

        Raises
        ------
        ManifestError
            The disk is full.
        """
        target = os.path.abspath(job.target)
        folder = home_of(os.path.dirname(target))
        path = os.path.join(folder, MANIFEST)
        line = _line(job, result_name(target, folder), settings, attempt)
        try:
            os.makedirs(folder, exist_ok=True)
            _append(path, line)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise _unwritable(path, error) from error
            return (
                f"{job.source}: {path} cannot be written: {error.strerror}; later runs will not "
                "know that this result is ours"
            )
        return ""

    def draft(self, target: str) -> str:
        """A name for an unfinished result, in the folder of the finished one."""
        return draft_name(os.path.dirname(target), os.path.splitext(target)[1])

    def sweep(self, folders: Iterable[str]) -> None:
        """Remove the drafts that killed runs have left in these folders."""
        for folder in folders:
            sweep_drafts(folder or ".")


def _append(path: str, line: bytes) -> None:
    flags = _FLAGS | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags, 0o666), "r+b", 0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a file", path)
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line  # after a line that a kill has torn
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        os.fsync(file.fileno())


def _unwritable(path: str, error: OSError) -> ManifestError:
    return ManifestError(
        f"{path}: cannot be written: {error.strerror}",
        "choose an output folder that is writable and has free space",
        retry=True,
    )


def _line(job: Job, result: str, settings: Chosen, attempt: Attempt) -> bytes:
    source_file, result_file = attempt.source, attempt.result
    more = {
        "notes": attempt.notes,
        "own_color": attempt.own_color,
        "extra": attempt.extra,
        "passed": attempt.passed,
    }
    fields = {
        "source": os.path.abspath(job.source),  # these three first, see `history`
        "result": result,
        "error": attempt.error,
        **{name: value for name, value in more.items() if value},
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "seconds": round(attempt.seconds, 3),
        **({"size": attempt.size} if attempt.size else {}),
        **({"certainty": attempt.certainty._asdict()} if attempt.certainty else {}),
        **settings.fields,
        "version": __version__,
        "source_file": source_file and source_file._asdict(),
        "result_file": result_file and result_file._asdict(),
    }
    return json.dumps(fields).encode() + b"\n"


def _part(manifest: str) -> str:
    """The part in the name of a manifest: "-2-of-8" of photochrom-2-of-8.jsonl, or ""."""
    stem = os.path.splitext(MANIFEST)[0]
    return os.path.splitext(os.path.basename(manifest))[0].removeprefix(stem)
