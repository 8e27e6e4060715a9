"""Output to the terminal: stdout, stderr, and streams that were closed."""

from __future__ import annotations

import os
import sys

from photochrom.text import printable

__all__ = ["closed", "copy_to_stdout", "fail", "open_streams", "say", "shown"]

closed: set[str] = set()  # those of the three streams that were closed at the start


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
    """Print a message to stderr."""
    print(shown(f"photochrom: {text}"), file=sys.stderr)


def fail(text: str) -> int:
    """Print a message to stderr; returns the exit code for a failure."""
    say(text)
    return 1


def shown(text: str) -> str:
    """A text made safe for this terminal, whatever file names it contains."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)
