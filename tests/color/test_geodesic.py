"""Paths around the edges of L: against Dijkstra, and the kernel against NumPy."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from numpy.typing import NDArray

from photochrom.color import native
from photochrom.color.geodesic import edge_costs, geodesic

Float32 = NDArray[np.float32]
KERNEL = native.kernel


@pytest.fixture(params=["kernel", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "kernel" and KERNEL is None:
        pytest.skip("the kernel is not built here")
    monkeypatch.setattr(native, "kernel", KERNEL if request.param == "kernel" else None)
    return str(request.param)


def dijkstra(L: Float32, seeds: NDArray[np.bool_], step: float, contrast: float) -> Float32:
    """By the book, with the metric written out once more."""
    height, width = L.shape
    length = np.full(L.shape, np.inf)
    queue = [(0.0, int(y), int(x)) for y, x in np.argwhere(seeds)]
    for _, y, x in queue:
        length[y, x] = 0
    while queue:
        so_far, y, x = heapq.heappop(queue)
        if so_far > length[y, x]:
            continue
        for v in range(max(0, y - 1), min(height, y + 2)):
            for u in range(max(0, x - 1), min(width, x + 2)):
                rise = (float(L[v, u]) - float(L[y, x])) / contrast
                far = so_far + float(np.sqrt(step**2 * ((v - y) ** 2 + (u - x) ** 2) + rise**2))
                if far < length[v, u]:
                    length[v, u] = far
                    heapq.heappush(queue, (far, v, u))
    return length.astype(np.float32)


@pytest.mark.parametrize("shape", [(23, 31), (1, 9), (9, 1), (1, 1)])
def test_it_is_what_dijkstra_finds(way: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    L = rng.uniform(0, 100, shape).astype(np.float32)
    seeds = np.zeros(shape, dtype=np.bool_)
    seeds[shape[0] // 2, shape[1] // 3] = seeds[-1, -1] = True
    found = geodesic(edge_costs(L, 0.05, 25), seeds)
    np.testing.assert_allclose(found, dijkstra(L, seeds, 0.05, 25), rtol=1e-4, atol=1e-5)


def test_a_wall_is_walked_around(way: str) -> None:
    L = np.zeros((21, 21), dtype=np.float32)
    L[:18, 10] = 100
    seeds = np.zeros(L.shape, dtype=np.bool_)
    seeds[2, 5] = True
    found = geodesic(edge_costs(L, 0.01, 1), seeds)
    assert found[2, 15] > 0.3, "down to the gap and up again"
    assert found[2, 15] < 1, "not across"
    assert found[2, 9] < 0.05


def test_the_kernel_refuses_what_does_not_fit() -> None:
    if KERNEL is None:
        pytest.skip("the kernel is not built here")
    costs = np.zeros((4, 5, 6), dtype=np.float32)
    for bad in (np.zeros((5, 5), np.float32), np.zeros((5, 6), np.float64)):
        with pytest.raises((ValueError, TypeError)):
            KERNEL.geodesic(costs, bad, 4)
    with pytest.raises(ValueError):
        KERNEL.geodesic(costs[:3], np.zeros((5, 6), np.float32), 4)
