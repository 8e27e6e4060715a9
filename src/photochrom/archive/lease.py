"""The lease: of two runs with the same output, one works.

A run takes the next number by creating the file of that number, which only one of several can do.
Who has the highest number holds the lease, and shows that it is alive by writing into its file now
and then. A run that finds the file of a dead one takes the next number. If the dead one was only
asleep, it finds that number taken, and stops.

The number is also that of the run, in its records.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable

from photochrom.archive.manifest import FOLDER
from photochrom.archive.store import NoFolder, Store, StoreError
from photochrom.errors import ConfigError
from photochrom.files import machine, runs

__all__ = ["LEASES", "Lease", "LeaseLost", "is_held"]

LEASES = f"{FOLDER}/lease"
_NAME = re.compile(r"(\d{6,})\.json")
_BEAT = 15.0
_DEAD = 60.0
"""Seconds without a sign of life."""


class LeaseLost(StoreError):
    """Another run has taken over."""


def is_held(output: Store, run: int) -> bool:
    """Whether a run still holds the lease."""
    return output.exists(_key(run)) and not output.exists(_key(run + 1))


def _key(number: int) -> str:
    return f"{LEASES}/{number:06}.json"


class Lease:
    """The right to write into an output, from `__enter__` to `__exit__`.

    Parameters
    ----------
    output : where the results go
    tell : hears that we wait
    dead : seconds without a sign of life after which a run is taken for dead

    Raises
    ------
    ConfigError
        Another run is at work there.
    """

    def __init__(
        self, output: Store, tell: Callable[[str], None] = lambda text: None, dead: float = _DEAD
    ) -> None:
        self._output, self._tell, self._dead = output, tell, dead
        self._owner = secrets.token_hex(16)
        self._end = threading.Event()
        self.lost = False
        self.number = 0

    def __enter__(self) -> Lease:
        while True:
            numbers = self._numbers()
            last = max(numbers, default=0)
            if last:
                self._wait_for_end(last)
            if self._output.create(_key(last + 1), self._sign()):
                break
        self.number = last + 1
        self._output.remove([_key(number) for number in numbers])
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()
        if not self.lost:
            with contextlib.suppress(StoreError):  # the next run then waits a minute
                self._output.write(_key(self.number), self._sign(free=True), self.number)

    def _numbers(self) -> list[int]:
        try:
            listed = [e.key for page in self._output.below(LEASES).listing() for e in page]
        except NoFolder:
            return []
        return [int(found[1]) for name in listed if (found := _NAME.fullmatch(name))]

    def _sign(self, free: bool = False) -> bytes:
        state = {
            "owner": self._owner,
            "machine": machine(),
            "process": os.getpid(),
            "time": time.time(),
            "free": free,
        }
        return json.dumps(state).encode()

    def _wait_for_end(self, number: int) -> None:
        """Return once the run of this number has ended; ConfigError if it is alive."""
        first = self._look(number)
        end = time.monotonic() + self._dead
        told = False
        while True:
            now = self._look(number)
            alive = None if now is None else _is_alive(now)
            if alive is False or now is None:
                return
            if now != first or alive:
                raise ConfigError(
                    f"{self._output.name}: is in use by another run", "wait for it to end"
                )
            if time.monotonic() >= end:
                return
            if not told:
                told = True
                self._tell(
                    f"{self._output.name}: another run was at work there; waiting up to "
                    f"{self._dead:.0f} seconds to see whether it has ended"
                )
            time.sleep(min(1.0, self._dead / 10))

    def _look(self, number: int) -> bytes | None:
        try:
            return self._output.read(_key(number))
        except FileNotFoundError:
            return None

    def _beat(self) -> None:
        while not self._end.wait(min(_BEAT, self._dead / 4)):
            with contextlib.suppress(StoreError):
                if not is_held(self._output, self.number):
                    self.lost = True
                    return
                self._output.write(_key(self.number), self._sign(), self.number)


def _is_alive(content: bytes) -> bool | None:
    """Whether the run that wrote this is at work; None if that cannot be told from here."""
    try:
        state = json.loads(content)
        if state["free"]:
            return False
        return runs(int(state["process"])) if state["machine"] == machine() else None
    except (ValueError, KeyError, TypeError):
        return None
