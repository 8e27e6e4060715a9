"""A file appears whole or not at all, and never replaces another one by accident.

`whole` is the way to write a file; `write_whole` is for bytes that are in memory already.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import secrets
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache

from photochrom.errors import PhotochromError

__all__ = [
    "draft_name",
    "machine",
    "not_written",
    "publish",
    "runs",
    "sweep_drafts",
    "sync_folder",
    "whole",
    "write_whole",
]

_DRAFT = re.compile(r"\.photochrom-([0-9a-f]{8})-(\d+)-[0-9a-f]{16}(?:\.[^/]+)?")
_DRAFT_SECONDS = 60.0
_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextlib.contextmanager
def whole(
    path: str | os.PathLike[str],
    kind: type[PhotochromError] | None = None,
    *,
    force: bool = False,
    draft: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> Iterator[str]:
    """Write a file under another name; it gets its own name once it is complete and on the disk.

    If the block fails or is interrupted, nothing is left behind, and an existing file is as before.

    Parameters
    ----------
    path : the file
    kind : the error to raise for an OSError, see `not_written`; None lets the OSError through
    force : replace an existing file
    draft : the name to write under, in the same folder and free; None for a random one that ends
        like `path`
    ready : called with the draft's name while the complete draft is being brought to the disk; if
        it raises, the file does not appear

    Yields
    ------
    The name to write under.

    Raises
    ------
    kind, or OSError
        The file exists, its folder does not, the disk is full, ...
    """
    name = os.fspath(path)
    folder = os.path.dirname(name)
    try:
        if os.path.isdir(name):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if not force and os.path.lexists(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        os.stat(folder or ".")  # work for a folder that is not there would be lost
        if draft is None:
            _sweep_once(os.path.abspath(folder))
            draft = draft_name(folder, os.path.splitext(name)[1].lower())
        try:
            yield draft
            with _to_disk(draft):
                if ready is not None:
                    ready(draft)
            publish(draft, name, force)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(draft)
        sync_folder(folder)
    except OSError as error:
        if kind is None:
            raise
        raise not_written(name, error, kind) from error


def write_whole(
    path: str | os.PathLike[str],
    data: bytes | str,
    kind: type[PhotochromError] | None = None,
    *,
    force: bool = True,
) -> None:
    """Write bytes, or text as UTF-8, to a file that is complete or absent; see `whole`."""
    content = data.encode() if isinstance(data, str) else data
    with whole(path, kind, force=force) as draft, open(draft, "xb") as file:
        file.write(content)


def not_written(name: str, error: OSError, kind: type[PhotochromError]) -> PhotochromError:
    """Why a file could not be written, and what to do about it, as an error of that kind."""
    folder = os.path.dirname(name) or "."
    if isinstance(error, FileExistsError):
        return kind("already exists", "use --force (force=True) to replace it", name=name)
    if isinstance(error, IsADirectoryError):
        return kind("is a folder", "name a file", name=name)
    if isinstance(error, FileNotFoundError):
        if not os.path.isdir(folder):
            return kind("its folder does not exist", "create it first", name=name)
        gone = error.filename or "its draft"
        return kind(f"has gone while {name} was being written", "try again", retry=True, name=gone)
    remedy = "choose a folder that is writable and has free space"
    if error.errno in _NO_ROOM:
        remedy = "free some space, or choose a folder on another disk"
    elif error.errno in _NOT_ALLOWED:
        remedy = "choose a folder that is writable"
    why = str(error.strerror or error)
    refusal = kind(f"cannot be written: {why}", remedy, retry=True, name=name)
    refusal.not_written = why
    return refusal


@contextlib.contextmanager
def _to_disk(path: str) -> Iterator[None]:
    """Bring a file to the disk while the block runs; raises OSError if that fails."""
    failures: list[BaseException] = []

    def sync() -> None:
        try:
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failures:
        raise failures.pop()


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if sys.platform == "win32":  # opens no folder
        return
    # The files are complete: a drive that cannot do this, or a folder that we cannot read, is fine.
    with contextlib.suppress(OSError):
        descriptor = os.open(os.fspath(folder) or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def draft_name(folder: str, suffix: str) -> str:
    """A name for an unfinished file, with the number of this process; see `sweep_drafts`."""
    name = f".photochrom-{machine()}-{os.getpid()}-{secrets.token_hex(8)}{suffix}"
    return os.path.join(folder, name)


@lru_cache(maxsize=256)
def _sweep_once(folder: str) -> None:
    """A folder of many results is not listed for each of them."""
    sweep_drafts(folder)


def sweep_drafts(folder: str) -> None:
    """Remove drafts that killed processes have left in a folder.

    These are the drafts of this machine whose process no longer exists. A draft that was touched
    within the last minute stays.
    """
    if sys.platform == "win32":  # there, os.kill would end the process
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            draft = _DRAFT.fullmatch(entry.name)
            if draft is None or draft[1] != machine() or runs(int(draft[2])):
                continue
            with contextlib.suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _DRAFT_SECONDS:
                    os.unlink(entry.path)


def machine() -> str:
    """Where process numbers are unique: a machine, or a container on it."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"{zlib.crc32(f'{platform.node()} {space}'.encode()):08x}"


def runs(process: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


def publish(temporary: str, name: str, force: bool) -> None:
    """Give a finished file its name in one step; without force, only if the name is free.

    Parameters
    ----------
    temporary : str
        The finished file, in the same folder; with ``force`` it is gone afterwards.
    name : str
    force : bool
        Replace an existing file.

    Raises
    ------
    FileExistsError
        The name is taken.
    OSError
        For any other reason.
    """
    if force:
        os.replace(temporary, name)
        return
    try:
        os.link(temporary, name)  # fails if the name is taken, which a rename would not
        return
    except FileExistsError:
        raise
    except OSError:
        pass  # FAT and some network drives have no links
    # Take the name with an empty file of our own, then put the whole one in its place.
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        os.replace(temporary, name)
    except BaseException:
        os.unlink(name)
        raise
