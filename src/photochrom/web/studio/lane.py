"""A lane for work: a few threads, a bounded queue, and a clear no when it is full."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

__all__ = ["Busy", "Lane"]

T = TypeVar("T")


class Busy(Exception):
    """The queue is full. In about `seconds`, there will be room."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Lane:
    """Threads for one kind of work, which is done in the order of its arrival.

    Parameters
    ----------
    name : of the threads
    threads : how many
    waiting : pieces of work that may be running or waiting; more are refused
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.threads = threads
        self.waiting = waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._inside = 0
        self._seconds = 0.1  # that a piece takes, as a moving average

    def check(self) -> None:
        """Raise Busy if the queue is full."""
        with self._lock:
            if self._inside >= self.waiting:
                raise Busy(max(1, math.ceil(self._inside * self._seconds / self.threads)))

    @property
    def crowded(self) -> bool:
        """Whether more than one piece is running or waiting; each should then use one core."""
        return self._inside > 1

    async def run(self, work: Callable[[], T], discard: Callable[[T], None] | None = None) -> T:
        """The result of work() on one of the threads.

        If the caller is cancelled, its work leaves the queue. Work that has begun goes on, and its
        result goes to `discard`.

        Raises
        ------
        Busy
            The queue is full.
        """
        self.check()
        with self._lock:
            self._inside += 1
        future = self._pool.submit(self._timed, work)
        future.add_done_callback(self._left)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if discard is not None:
                future.add_done_callback(partial(_discard, discard))
            raise

    def drop(self) -> None:
        """Accept no more work, and drop what is waiting."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Drop the waiting work, and wait for the running work."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            return work()
        finally:
            with self._lock:
                self._seconds += 0.1 * (time.monotonic() - began - self._seconds)

    def _left(self, future: Future[T]) -> None:
        with self._lock:
            self._inside -= 1


def _discard(discard: Callable[[T], None], future: Future[T]) -> None:
    if not future.cancelled() and future.exception() is None:
        discard(future.result())
