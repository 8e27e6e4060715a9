"""What the command says, and where: stdout, stderr, streams that were closed."""

from __future__ import annotations

import os
import sys

from photochrom.text import printable

__all__ = ["closed", "copy_to_stdout", "fail", "open_streams", "say", "shown"]

closed: set[str] = set()  # of the three streams, those that were at the start


def open_streams() -> None:
    """Open stdin, stdout and stderr to nothing where they are closed.

    A photo could get their number else, and be written to by all that reports something.
    """
    for name, mode in ("stdin", "r"), ("stdout", "w"), ("stderr", "w"):
        if getattr(sys, name) is None:
            closed.add(name)
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: its own number
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def copy_to_stdout(path: str) -> None:
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            while chunk:  # without a buffer: what cannot be written is not tried again at exit
                chunk = chunk[os.write(sys.stdout.fileno(), chunk) :]


def say(text: str) -> None:
    print(shown(f"photochrom: {text}"), file=sys.stderr)


def fail(text: str) -> int:
    say(text)
    return 1


def shown(text: str) -> str:
    """A text for this terminal, whatever the names of files in it hold."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)
