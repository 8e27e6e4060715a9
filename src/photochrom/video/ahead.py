"""An iterator that works in a thread of its own, so that seeing, coloring and encoding overlap."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

__all__ = ["Unwanted", "ahead", "while_wanted"]

T = TypeVar("T")
_WAIT = 0.05  # seconds after which a thread that cannot go on looks whether it is still wanted
_END = object()


class Unwanted(Exception):
    """Nobody asks for more."""


def while_wanted(items: Iterable[T], stop: Event) -> Iterator[T]:
    """The same items; `Unwanted` is raised once `stop` is set."""
    for item in items:
        if stop.is_set():
            raise Unwanted
        yield item


def ahead(items: Iterable[T], most: int, stop: Event | None = None) -> Generator[T, None, None]:
    """The same items, made in a thread of its own before they are asked for.

    An error there is raised here. When this generator is closed, the thread ends before anything
    goes on here, and items that nobody took are closed.

    Parameters
    ----------
    items : only that thread draws from it, from now on
    most : items that may wait here
    stop : is set when nothing more is wanted; see `while_wanted`
    """
    stop = stop or Event()
    waiting: Queue[Any] = Queue(most)
    errors: list[BaseException] = []
    thread = Thread(target=_work, args=(items, waiting, stop, errors), daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            yield item
        if errors:
            raise errors[0]
    finally:
        stop.set()
        while thread.is_alive():
            thread.join(_WAIT)
        with contextlib.suppress(Empty):
            while True:
                _close(waiting.get_nowait())


def _work(
    items: Iterable[Any], waiting: Queue[Any], stop: Event, errors: list[BaseException]
) -> None:
    try:
        for item in items:
            _give(item, waiting, stop)
            if stop.is_set():
                break
    except BaseException as error:
        errors.append(error)
    finally:
        _close(items)
        _give(_END, waiting, stop)


def _give(item: Any, waiting: Queue[Any], stop: Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(Full):
            waiting.put(item, timeout=_WAIT)
            return
    _close(item)


def _close(item: Any) -> None:
    close = getattr(item, "close", None)
    if close is not None:
        close()
