"""Ctrl-C and SIGTERM: the first one ends gently, the second at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from photochrom.cli.terminal import say

__all__ = ["Limit", "Signals", "Terminated", "until_stopped"]


class Terminated(KeyboardInterrupt):
    """SIGTERM, handled like Ctrl-C so that no draft is left."""

    exit_code = 143


class Signals:
    """Ctrl-C and SIGTERM while a single photo is colored.

    Both raise an exception, so that no draft is left. Where an exception would be lost, and while
    the result is getting its name, they are only noted, for `check`.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._heard = 0
        self._held = False

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._heard = self._heard or number
        while frame is not None:
            # libvips calls this from C: an exception would only be printed there.
            if frame.f_code.co_name == "_log_handler_callback":
                return
            frame = frame.f_back
        if not self._held:
            self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal was noted."""
        if self._heard:
            raise Terminated if self._heard == signal.SIGTERM else KeyboardInterrupt

    def hold(self) -> None:
        """Check; from now on, signals are only noted."""
        self.check()
        self._held = True
        self.check()  # for a signal between these two lines

    def release(self) -> None:
        """The result has its name; from now on, signals raise an exception again."""
        self._held = False
        self.check()


class Limit:
    """The time that one photo may take; then the process ends, whatever it is doing.

    It may be in a library call that never returns, which no exception could end.
    """

    def __init__(self, source: str, seconds: float | None) -> None:
        self.drafts: list[str] = []  # removed at the time limit
        self.folders: list[str] = []
        self._source, self._seconds = source, seconds
        self._lock = threading.Lock()
        self._met = False
        self._timer: threading.Timer | None = None
        if seconds is not None and seconds < threading.TIMEOUT_MAX:
            self._timer = threading.Timer(seconds, self._end)
            self._timer.daemon = True

    def __enter__(self) -> Limit:
        if self._timer is not None:
            self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.met()

    def met(self, draft: str = "") -> None:
        """The photo is done; lift the limit."""
        with self._lock:
            self._met = True
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        with self._lock:
            if self._met:
                return
            for path in self.drafts:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            for folder in self.folders:
                shutil.rmtree(folder, ignore_errors=True)
            say(
                f"{self._source}: took longer than {self._seconds:g} seconds; allow more time "
                "with --timeout"
            )
            sys.stderr.flush()
            os._exit(1)


@contextlib.contextmanager
def until_stopped(notice: str) -> Iterator[Callable[[], int]]:
    """Within this block, the first Ctrl-C or SIGTERM is noted; the second raises KeyboardInterrupt.

    Parameters
    ----------
    notice : printed to stderr at the first

    Yields
    ------
    A function that returns the number of the first signal, or 0.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        # Not print(): the signal may have interrupted one.
        with contextlib.suppress(OSError):
            os.write(2, f"\n{notice}\n".encode())

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {
        number: signal.signal(number, ask)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
