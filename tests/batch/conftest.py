"""A batch in this process: its photos, its results, and what was done with each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from photochrom import Colorizer
from photochrom.batch.find import Asked, find
from photochrom.batch.job import Settings
from photochrom.batch.manifest import Manifest
from photochrom.batch.plan import Rules, plan
from photochrom.batch.work import Coloring
from photochrom.look import Look
from tests.batch.scans import DRAFT


@pytest.fixture(scope="session")
def settings(colorizer: Colorizer) -> Settings:
    return Settings.of(colorizer, Look(0.38))


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
        found, rules = find(Asked([str(source)], str(out))), Rules(**options)
        told = {}
        with Manifest(out) as manifest:
            work = Coloring(settings, manifest, color=rules.color)
            vars(work.engine)["colorizer"] = colorizer
            for step in list(plan(found.photos, settings, str(out), rules, found.history)):
                told[step.job.result] = (step.do, step.why)
                if step.do == "color":
                    outcome = work(step.job)
                    told[step.job.result] = (outcome.kind, outcome.error or step.why)
        assert not [p for p in out.rglob("*") if DRAFT.match(p.name)]
        return told

    return do
