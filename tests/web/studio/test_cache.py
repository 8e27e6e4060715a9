"""The cache of the studio."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from photochrom.web.studio.cache import Cache


def test_the_cache_keeps_its_bounds() -> None:
    now = [0.0]
    cache = Cache(100, 10, clock=lambda: now[0])
    cache.admit("a")
    for n in range(30):
        assert cache.get(("a", "x", n), lambda: np.zeros(10, np.uint8)).nbytes == 10
        assert cache.nbytes <= 100
    assert len(cache) == 10 and cache.peek(("a", "x", 29)) is not None
    cache.get(("a", "large"), lambda: np.zeros(101, np.uint8))
    assert cache.peek(("a", "large")) is None and len(cache) == 10
    for n in range(4):
        cache.get(("a", "few", n), lambda: np.zeros(1, np.uint8), keep=2)
    assert [cache.peek(("a", "few", n)) is None for n in range(4)] == [True, True, False, False]
    now[0] = 11
    cache.get(("a", "x", 31), lambda: np.zeros(10, np.uint8))
    cache.sweep()
    assert len(cache) == 1 and cache.nbytes == 10

    def dropped_meanwhile() -> np.ndarray:
        cache.drop("a")
        return np.zeros(10, np.uint8)

    cache.get(("a", "y"), dropped_meanwhile)
    assert len(cache) == 0 and cache.nbytes == 0


def test_a_value_that_many_want_is_computed_once() -> None:
    cache = Cache(1000, 10)
    cache.admit("a")
    calls, ready = [], threading.Barrier(8)

    def make() -> np.ndarray:
        calls.append(1)
        return np.zeros(3)

    def want(_: int) -> np.ndarray:
        ready.wait()
        return cache.get(("a", "b"), make)

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(want, range(8)))
    assert len(calls) == 1 and all(value is values[0] for value in values)

    def fail() -> np.ndarray:
        raise OSError("once")

    with pytest.raises(OSError, match="once"):
        cache.get(("a", "c"), fail)
    assert cache.get(("a", "c"), make) is not None  # an error is not kept
