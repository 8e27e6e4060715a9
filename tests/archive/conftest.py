"""Stores in memory, and a bench in this process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from photochrom import Colorizer
from photochrom.archive.lease import Lease
from photochrom.archive.listing import Inputs
from photochrom.archive.manifest import Parts
from photochrom.archive.plan import Planned, compare
from photochrom.archive.store import Store
from photochrom.archive.work import Bench, grouped
from photochrom.batch.job import Settings
from photochrom.batch.plan import Rules
from photochrom.batch.work import Engine
from photochrom.look import Look

_numbers = itertools.count()


@pytest.fixture
def memory() -> Iterator[str]:
    """An address in memory that no other test has."""
    name = f"memory://t{next(_numbers)}"
    yield name
    fs, path = fsspec.core.url_to_fs(name)
    if fs.exists(path):
        fs.rm(path, recursive=True)


@pytest.fixture
def scans(memory: str) -> Store:
    return Store(f"{memory}/scans")


@pytest.fixture
def out(memory: str) -> Store:
    return Store(f"{memory}/out")


@pytest.fixture(scope="session")
def settings(colorizer: Colorizer) -> Settings:
    return Settings.of(colorizer, Look(0.38))


@pytest.fixture
def once(
    colorizer: Colorizer, settings: Settings, scans: Store, out: Store, tmp_path: Path
) -> Callable[..., dict[str, tuple[str, str]]]:
    """Runs over all photos in this process: (what was done, why or the error) by result."""
    numbers = itertools.count()

    def do(
        source: Store = scans,
        settings: Settings = settings,
        bench: Callable[[Bench], None] = lambda bench: None,
        **options: Any,
    ) -> dict[str, tuple[str, str]]:
        rules = Rules(**options)
        folder = tmp_path / f"plan{next(numbers)}"
        folder.mkdir()
        told = {}
        with Lease(out) as lease:
            one = Bench((source,), out, lease.number, settings, Engine(), rules.color, rules.force)
            vars(one.engine)["colorizer"] = colorizer
            bench(one)
            stores = [source], out
            compared = compare(Inputs([source], out), stores, settings, rules, str(folder), 0)
            rows: list[Planned] = list(compared.rows())
            told = {row.task.result: (row.do, row.why) for row in rows}
            for group in grouped((row.task for row in rows if row.do == "color"), 4):
                for task, outcome in one(group):
                    told[task.result] = (outcome.kind, outcome.error or told[task.result][1])
            Parts(out).compact(lease.number)
        return told

    return do


@pytest.fixture
def photo() -> Callable[[int], bytes]:
    """A small gray PNG of this seed."""
    import io

    import numpy as np
    from PIL import Image

    def draw(seed: int) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 24), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    return draw
