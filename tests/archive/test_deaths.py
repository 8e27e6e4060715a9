"""A photo that kills its workers costs nobody else anything."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from photochrom.archive.crew import Local
from photochrom.archive.lease import Lease
from photochrom.archive.plan import Compared, Planned, Task
from photochrom.archive.query import Query
from photochrom.archive.record import SCHEMA
from photochrom.archive.run import Archive, Wish
from photochrom.archive.spool import Spool
from photochrom.archive.store import Store
from photochrom.archive.work import Bench, Group
from photochrom.batch.job import Settings
from photochrom.batch.plan import Rules
from photochrom.batch.work import Engine, Outcome


class Deadly(Bench):
    """Dies on one photo, and does not color the others."""

    def __call__(self, group: Group) -> list[tuple[Task, Outcome]]:
        with open(os.environ["LIVES"], "a") as file:
            file.write("".join(f"{task.key}\n" for task in group.tasks))
        if any(task.key == "2.png" for task in group.tasks):
            os._exit(9)
        return [(task, Outcome("done")) for task in group.tasks]


class Planning(Compared):
    def rows(self) -> Any:
        for n in range(4):
            task = Task(0, f"{n}.png", f"{n}.png", 1, "m", "", "")
            yield Planned("color", "new", "", task)


@pytest.mark.process
@pytest.mark.slow
def test_a_photo_on_which_three_workers_died_is_named_and_left(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVES", str(tmp_path / "lives"))
    monkeypatch.setattr("photochrom.archive.run.Bench", Deadly)
    out = Store(str(tmp_path / "out"))
    wish = Wish([Store(str(tmp_path))], out, settings, Engine(), Rules())
    with Lease(out) as lease:
        compared = Planning(Spool(str(tmp_path / "none"), SCHEMA))
        archive = Archive(wish, compared, lease)
        told = {task.key: outcome for task, outcome in archive.color(Local(1, size=4))}
    assert [told[f"{n}.png"].kind for n in range(4)] == ["done", "done", "failed", "done"]
    assert told["2.png"].error.startswith(f"{tmp_path}/2.png: 3 workers died on this photo")
    tries = Counter((tmp_path / "lives").read_text().split())
    assert tries == {"0.png": 2, "1.png": 2, "2.png": 3, "3.png": 2}
    (row,) = [row for table in Query(out).tables() for row in table.to_pylist()]
    assert row["outcome"] == "failed" and row["source_size"] == 1  # it is not tried again
