"""The manifest: one JSON line for each photo."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import re
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from photochrom._version import __version__
from photochrom.batch.job import FileState, Job, Known, Settings, settings_key
from photochrom.errors import ConfigError, PhotoError

if sys.platform != "win32":
    import fcntl

__all__ = ["MANIFEST", "Manifest", "manifest_parts", "read_manifests"]

MANIFEST = "photochrom.jsonl"
# With the part of the shard, see _part.
_DRAFT = re.compile(r"\.photochrom-draft((?:-\d+-of-\d+)?)-[0-9a-f]{16}\.\w+")
_LOCK_TRIES = 30  # a tenth of a second each: the workers of a killed run have to end first


class Manifest:
    """The manifest of one shard in an output folder, open for appending and locked.

    Parameters
    ----------
    folder : the output folder, made if missing
    shard : (i, n), the i-th of n

    Raises
    ------
    ConfigError
        Another run is at work on the same shard.
    PhotoError
        The folder or the manifest cannot be written.

    Notes
    -----
    It can be sent to a process that is being started; the lock then lasts until both have ended.
    """

    def __init__(self, folder: str | os.PathLike[str], shard: tuple[int, int] = (1, 1)) -> None:
        self.folder = os.fspath(folder)
        name, extension = os.path.splitext(MANIFEST)
        part = "" if shard == (1, 1) else f"-{shard[0]}-of-{shard[1]}"
        self.path = os.path.join(self.folder, f"{name}{part}{extension}")
        try:
            os.makedirs(self.folder, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            self._descriptor = os.open(self.path, flags, 0o666)
            try:
                self._locked = self._lock(_LOCK_TRIES)
                end = os.lseek(self._descriptor, 0, os.SEEK_END)
                if end and os.pread(self._descriptor, 1, end - 1) != b"\n":
                    os.write(self._descriptor, b"\n")  # after a line that a kill has torn
            except BaseException:
                self.close()
                raise
        except OSError as error:
            raise PhotoError(
                f"{error.filename or self.path}: cannot be written: {error.strerror}; choose "
                "an output folder that is writable and has free space"
            ) from error

    def _lock(self, tries: int) -> bool:
        """Whether it is locked now; not every network drive can."""
        if sys.platform == "win32":
            return False
        for left in reversed(range(tries)):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if left:
                    time.sleep(0.1)
            except OSError:
                return False
        raise ConfigError(
            f"{self.path}: is in use by another run; wait for it, or split the work with --shard"
        )

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
        """Give the lock back, unless a worker still has it."""
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
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)
        else:
            self._descriptor = state["_descriptor"].detach()

    def append(
        self,
        job: Job,
        settings: Settings,
        seconds: float,
        *,
        error: str | None = None,
        source: FileState | None = None,
        result: FileState | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """Add a line and bring it to the disk. Raises OSError."""
        fields = {
            "source": os.path.abspath(job.source),  # first, see _parse
            "result": job.result,
            "error": error,
            **({"notes": notes} if notes else {}),
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "seconds": round(seconds, 3),
            **settings.fields,
            "version": __version__,
            "source_file": source and source._asdict(),
            "result_file": result and result._asdict(),
        }
        line = json.dumps(fields).encode() + b"\n"
        # One write: lines of several workers follow each other and do not mix.
        if os.write(self._descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
        os.fsync(self._descriptor)

    def draft(self, target: str) -> str:
        """A name for an unfinished result, in the folder of the finished one."""
        folder, name = os.path.split(target)
        suffix = os.path.splitext(name)[1]
        part = _part(self.path)
        return os.path.join(folder, f".photochrom-draft{part}-{secrets.token_hex(8)}{suffix}")

    def sweep(self, folders: Iterable[str]) -> None:
        """Remove the drafts that killed runs have left in these folders.

        Those of a shard only while its lock is held here: another run may be writing them.
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
        """Whether nobody else works at a part; its lock is held only meanwhile, for who comes."""
        if part == _part(self.path) or sys.platform == "win32":
            yield self._locked and part == _part(self.path)
            return
        stem, extension = os.path.splitext(MANIFEST)
        with open(os.path.join(self.folder, f"{stem}{part}{extension}"), "rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True


def _part(manifest: str) -> str:
    """What tells a shard's files: "-2-of-8" of photochrom-2-of-8.jsonl, nothing of the other."""
    stem = os.path.splitext(MANIFEST)[0]
    return os.path.splitext(os.path.basename(manifest))[0].removeprefix(stem)


def manifest_parts(folder: str) -> list[str]:
    stem, extension = os.path.splitext(MANIFEST)
    pattern = re.compile(rf"{stem}(-\d+-of-\d+)?\{extension}")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if pattern.fullmatch(name)]


def read_manifests(folder: str | os.PathLike[str]) -> dict[str, Known]:
    """What the manifests in an output folder say, by result: its path in there, with slashes.

    Raises
    ------
    PhotoError
        A manifest cannot be read.
    """
    found: dict[str, Known] = {}
    for path in manifest_parts(os.fspath(folder)):
        here: dict[str, Known] = {}
        try:
            with open(path, "rb") as file:
                for line in file:
                    _take(line, here)
        except OSError as error:
            raise PhotoError(
                f"{path}: cannot be read: {error.strerror}; change its permissions"
            ) from error
        # Within a manifest the order counts; only between two of them there is but the time.
        for result, known in here.items():
            if result not in found or found[result].time <= known.time:
                found[result] = known
    return found


def _take(line: bytes, found: dict[str, Known]) -> None:
    """Add what a line says; what is no whole line says nothing."""
    # A line torn by a full disk stands before the next one. Within a JSON string the quotes would
    # have backslashes, so this is the beginning of a line for sure.
    text = line[max(0, line.rfind(b'{"source": ')) :]
    try:
        fields = json.loads(text)
        result = fields["result"]
        source_file, result_file = (
            fields[name] and FileState(**fields[name]) for name in ("source_file", "result_file")
        )
        known = Known(
            fields["source"],
            source_file,
            result_file,
            sys.intern(settings_key(fields)),  # 100,000 lines mostly have one
            fields["time"],
        )
        if not isinstance(result, str) or not isinstance(known.time, str):
            return
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    if not fields.get("error"):
        if source_file and result_file:
            found[result] = known
    elif result_file and result in found and found[result].result_file == result_file:
        del found[result]  # the line was there already when the result did not get its name
