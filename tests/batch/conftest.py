"""A batch in this process: its photos, its results, and what was done with each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from photochrom import Colorizer
from photochrom.batch.find import find_photos, target_of
from photochrom.batch.job import Settings
from photochrom.batch.manifest import Manifest
from photochrom.batch.plan import plan
from photochrom.batch.work import Coloring
from tests.batch.scans import DRAFT


@pytest.fixture(scope="session")
def settings(colorizer: Colorizer) -> Settings:
    return Settings.of(colorizer, 0.38, 1.0, [])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return tmp_path / "scans"


@pytest.fixture
def once(
    colorizer: Colorizer, settings: Settings, scans: Path, out: Path
) -> Callable[..., dict[str, tuple[str, str]]]:
    """Runs a batch in this process: (what was done, why or the error) by result."""

    def do(
        source: Path = scans, settings: Settings = settings, **options: Any
    ) -> dict[str, tuple[str, str]]:
        photos = []
        for path in find_photos(str(source), str(out)):
            folder = os.path.join(out, os.path.relpath(os.path.dirname(path), source))
            photos.append((path, os.path.normpath(target_of(path, folder, False))))
        told = {}
        with Manifest(out) as manifest:
            work = Coloring(settings, manifest)
            vars(work)["_colorizer"] = colorizer
            for step in list(plan(photos, settings, str(out), **options)):
                told[step.job.result] = (step.do, step.why)
                if step.do == "color":
                    outcome = work(step.job)
                    told[step.job.result] = (outcome.kind, outcome.error or step.why)
        assert not [p for p in out.rglob("*") if DRAFT.match(p.name)]
        return told

    return do
