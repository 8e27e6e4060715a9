"""A cache with a bound on its bytes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

__all__ = ["Cache", "Key", "Sized", "T"]


class Sized(Protocol):
    """A value that knows how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """The bytes of memory."""
        ...


T = TypeVar("T", bound=Sized)
Key = tuple[Hashable, ...]


@dataclass
class _Entry:
    value: Any
    nbytes: int
    used: float


class Cache:
    """Values that can be computed again, up to a number of bytes and an age.

    It is safe to use from several threads. If several want the same value, it is computed once.

    Parameters
    ----------
    nbytes : of all values together; a larger value is returned but not kept
    age : `sweep` drops values that have not been used for so many seconds
    clock : seconds, monotonic
    """

    def __init__(
        self, nbytes: int, age: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit = nbytes
        self.age = age
        self.nbytes = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._pending: dict[Key, Future[Any]] = {}
        self._owners: set[Hashable] = set()

    def admit(self, owner: Hashable) -> None:
        """Keep values whose key begins with `owner`, until `drop`."""
        with self._lock:
            self._owners.add(owner)

    def drop(self, owner: Hashable) -> None:
        """Forget all values whose key begins with `owner`, including those being computed."""
        with self._lock:
            self._owners.discard(owner)
            for key in [key for key in self._entries if key[0] == owner]:
                self._remove(key)

    def peek(self, key: Key) -> Any:
        """The value, or None if it is not kept."""
        with self._lock:
            return self._use(key)

    def get(self, key: Key, make: Callable[[], T], keep: int | None = None) -> T:
        """The value, computed by `make` if it is not kept; errors of `make` are not kept.

        Parameters
        ----------
        key : its first part is the owner, its second the kind of value
        make : runs in this thread
        keep : how many of this owner and kind to keep; the last used ones stay
        """
        with self._lock:
            found: T | None = self._use(key)
            if found is not None:
                return found
            others = self._pending.get(key)
            if others is None:
                mine = self._pending[key] = Future()
        if others is not None:
            shared: T = others.result()
            return shared
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._pending[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._pending[key]
            self._keep(key, value, keep)
        mine.set_result(value)
        return value

    def sweep(self) -> None:
        """Drop the values that have not been used for `age` seconds."""
        with self._lock:
            # They are in the order of their last use.
            while self._entries:
                key, entry = next(iter(self._entries.items()))
                if self._clock() - entry.used <= self.age:
                    break
                self._remove(key)

    def __len__(self) -> int:
        return len(self._entries)

    def _use(self, key: Key) -> Any:
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.used = self._clock()
        self._entries.move_to_end(key)
        return entry.value

    def _keep(self, key: Key, value: Sized, keep: int | None) -> None:
        size = value.nbytes
        if key[0] not in self._owners or size > self.limit:
            return
        self._entries[key] = _Entry(value, size, self._clock())
        self.nbytes += size
        if keep is not None:
            alike = [other for other in self._entries if other[:2] == key[:2]]
            for other in alike[:-keep]:
                self._remove(other)
        while self.nbytes > self.limit:
            self._remove(next(iter(self._entries)))

    def _remove(self, key: Key) -> None:
        self.nbytes -= self._entries.pop(key).nbytes
