"""A file appears whole or not at all: draft, fsync, publish."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import sys
import threading
import time
import zlib
from collections.abc import Iterator

__all__ = ["draft_name", "publish", "sweep_drafts", "to_disk"]

_DRAFT = re.compile(r"\.photochrom-([0-9a-f]{8})-(\d+)-[0-9a-f]{16}\.\w+")
_DRAFT_SECONDS = 60.0


@contextlib.contextmanager
def to_disk(path: str) -> Iterator[None]:
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


def draft_name(folder: str, suffix: str) -> str:
    """A name for an unfinished file, with the number of this process; see `sweep_drafts`."""
    name = f".photochrom-{_machine()}-{os.getpid()}-{secrets.token_hex(8)}{suffix}"
    return os.path.join(folder, name)


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
            if draft is None or draft[1] != _machine() or _runs(int(draft[2])):
                continue
            with contextlib.suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _DRAFT_SECONDS:
                    os.unlink(entry.path)


def _machine() -> str:
    """Where process numbers are unique: a machine, or a container on it."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"{zlib.crc32(f'{platform.node()} {space}'.encode()):08x}"


def _runs(process: int) -> bool:
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
