"""Small studies, and people who take part in them."""

import sqlite3
from pathlib import Path

from photochrom.study.pairs import find_pairs
from photochrom.study.plan import StudySettings
from photochrom.study.study import Study

SMALL = StudySettings(trials=4, practice=1, catch=1)


def pairs_of(root: Path, *methods: str):
    return find_pairs(root / "real", [(name, root / name) for name in methods])


def trials_of(study: Study, participant: str | None = None) -> list[sqlite3.Row]:
    with sqlite3.connect(study.path) as db:
        db.row_factory = sqlite3.Row
        rows = db.execute(
            "SELECT trial.*, participant.token AS who FROM trial"
            " JOIN participant ON participant.id = participant ORDER BY position, trial.id"
        ).fetchall()
    db.close()
    return [row for row in rows if participant in (None, row["who"])]


def respond(study: Study, participant: str, fooled, exposure=lambda row: 1000) -> None:
    """Take part to the end; fooled(row) says of each trial whether the answer is wrong."""
    while trial := study.next_trial(participant):
        row = next(r for r in trials_of(study) if r["token"] == trial.token)
        assert study.start(participant, trial.token)
        wrong = bool(fooled(row))
        left = bool(row["fake_left"]) != wrong
        side = "left" if left else "right"
        answer = study.answer(participant, trial.token, side, 300, exposure(row))
        assert answer is not None and answer.right != wrong
