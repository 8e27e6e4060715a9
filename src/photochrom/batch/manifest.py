"""The manifest: one JSON line for each photo."""

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
from typing import Any, BinaryIO

from filelock import lock_descriptor

from photochrom._version import __version__
from photochrom.batch.job import Attempt, Chosen, FileState, Job, Known, settings_key
from photochrom.errors import ConfigError, PhotoError

_FLAGS = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)

__all__ = ["MANIFEST", "Manifest", "manifest_parts", "read_manifests"]

MANIFEST = "photochrom.jsonl"
MOST_LINE = 1 << 20
"""Bytes of a line."""
_DRAFT = re.compile(r"\.photochrom-draft((?:-\d+-of-\d+)?)-[0-9a-f]{16}\.\w+")
"""Drafts have the part of their shard in the name, see `_part`."""


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
            raise PhotoError(
                f"{error.filename or self.path}: cannot be written: {error.strerror}",
                "choose an output folder that is writable and has free space",
            ) from error

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

    def append(self, job: Job, settings: Chosen, attempt: Attempt) -> None:
        """Add a line and bring it to the disk.

        Raises
        ------
        PhotoError
            The manifest is gone, as when somebody deletes the output folder.
        OSError
            It cannot be written.
        """
        source, result = attempt.source, attempt.result
        fields = {
            "source": os.path.abspath(job.source),  # first, see _take
            "result": job.result,
            "error": attempt.error,
            **({"notes": attempt.notes} if attempt.notes else {}),
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "seconds": round(attempt.seconds, 3),
            **settings.fields,
            "version": __version__,
            "source_file": source and source._asdict(),
            "result_file": result and result._asdict(),
        }
        line = json.dumps(fields).encode() + b"\n"
        if self._is_gone():
            raise PhotoError(
                f"{self.path}: was deleted or moved during the run",
                "leave the output folder alone, and run this again",
            )
        # A single write, so that the lines of several workers don't mix.
        if os.write(self._descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
        os.fsync(self._descriptor)

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
        with _opened(path) as other:
            yield lock_descriptor(other.fileno(), blocking=False)


def _part(manifest: str) -> str:
    """The part in the name of a manifest: "-2-of-8" of photochrom-2-of-8.jsonl, or ""."""
    stem = os.path.splitext(MANIFEST)[0]
    return os.path.splitext(os.path.basename(manifest))[0].removeprefix(stem)


def manifest_parts(folder: str) -> list[str]:
    """The manifests in a folder, one for each shard; ordinary files only."""
    stem, extension = os.path.splitext(MANIFEST)
    pattern = re.compile(rf"{stem}(-\d+-of-\d+)?\{extension}")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    paths = [os.path.join(folder, name) for name in names if pattern.fullmatch(name)]
    return [path for path in paths if os.path.isfile(path)]  # a pipe would never end


def _opened(path: str) -> BinaryIO:
    """An ordinary file, open for reading; OSError for anything else, such as a pipe."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a file", path)
    return file


def _lines(file: BinaryIO, most: int = MOST_LINE) -> Iterator[bytes]:
    """The lines of a file; of those that are too long for a manifest, only the end."""
    while line := file.readline(most):
        while not line.endswith(b"\n") and (more := file.readline(most)):
            line = line[-most:] + more if len(line) < most else more
        yield line


def read_manifests(folder: str | os.PathLike[str]) -> dict[str, Known]:
    """What the manifests in an output folder say about each result, see `result_name`.

    Raises
    ------
    PhotoError
        A manifest cannot be read.
    """
    found: dict[str, Known] = {}
    for path in manifest_parts(os.fspath(folder)):
        here: dict[str, Known] = {}
        try:
            with _opened(path) as file:
                for line in _lines(file):
                    _take(line, here)
        except OSError as error:
            raise PhotoError(
                f"{path}: cannot be read: {error.strerror}", "change its permissions"
            ) from error
        # The order of lines counts within a manifest. Between two of them, there is only the time.
        for result, known in here.items():
            if result not in found or found[result].time <= known.time:
                found[result] = known
    return found


def _take(line: bytes, found: dict[str, Known]) -> None:
    """Add what a line says; a damaged line says nothing."""
    # A full disk can leave part of a line in front of this one. Inside a JSON string, these quotes
    # would have backslashes, so this is the beginning of a line.
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
