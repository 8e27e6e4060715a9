"""Output to the terminal: stdout, stderr, streams that were closed, and a log beside them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TextIO

from photochrom.errors import ConfigError
from photochrom.text import printable

__all__ = ["closed", "copy_to_stdout", "fail", "log", "logging_to", "open_streams", "say", "shown"]

closed: set[str] = set()  # those of the three streams that were closed at the start
_logs: list[TextIO] = []


@contextlib.contextmanager
def logging_to(path: str | None) -> Iterator[None]:
    """Within this block, all messages also go to the end of a file, each with its time.

    Raises
    ------
    ConfigError
        The file cannot be written.
    """
    if path is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(
                open(path, "a", encoding="utf-8", errors="backslashreplace", buffering=1)
            )
        except OSError as error:
            raise ConfigError(
                f"--log {path}: cannot be written: {error.strerror}", "name another file"
            ) from None
        _logs.append(file)
        stack.callback(_logs.remove, file)
        yield


def log(text: str) -> None:
    """Add a line to the log, if there is one."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for file in _logs:
        with contextlib.suppress(OSError):  # a full disk must not end the run
            file.write(f"{now} {printable(text)}\n")


def open_streams() -> None:
    """Open those of stdin, stdout and stderr that are closed, onto nothing.

    Otherwise a photo could get their file number, and messages would be written into it.
    """
    for name, mode in ("stdin", "r"), ("stdout", "w"), ("stderr", "w"):
        if getattr(sys, name) is None:
            closed.add(name)
            descriptor = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: its own
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def copy_to_stdout(path: str) -> None:
    """Copy a file to stdout."""
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            while chunk:  # unbuffered, so that Python does not try again at exit
                chunk = chunk[os.write(sys.stdout.fileno(), chunk) :]


def say(text: str) -> None:
    """Print a message to stderr, and add it to the log."""
    log(text)
    print(shown(f"photochrom: {text}"), file=sys.stderr)


def fail(text: str) -> int:
    """Print a message to stderr; returns the exit code for a failure."""
    say(text)
    return 1


def shown(text: str) -> str:
    """A text made safe for this terminal, whatever file names it contains."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)
