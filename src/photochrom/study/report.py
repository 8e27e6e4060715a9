"""The results of a study: fooling rates with intervals, photos at both ends, all answers.

Source: the paper, section 3.1 ("perceptual realism"): the share of trials in which the recolored
photo was taken for the real one; 50% would be perfect.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from photochrom.errors import ConfigError, StudyError
from photochrom.files import write_whole
from photochrom.intervals import pigeonhole_interval
from photochrom.study.database import open_database
from photochrom.study.pairs import OBVIOUS
from photochrom.study.plan import StudySettings
from photochrom.text import printable, spreadsheet_cell

__all__ = [
    "LeftOut",
    "MethodRate",
    "PhotoRate",
    "StudyReport",
    "answers_csv",
    "report",
    "write_export",
]

MIN_ANSWERS = 3
"""A photo needs this many answers to be listed among those that fooled most or least."""
PRIOR_ANSWERS = 4
"""To smooth the rate of a photo, this many answers at its method's rate are added."""
CATCH_LIMIT = 0.25
"""Participants who fail more than this share of catch trials are left out."""
EXPOSURE_OFF = 0.5
"""An answer is left out if the time its pair was shown is off by more than this share.

A page that was held up, on a busy machine say, may show a pair for far too long.
"""
FEW = 10
"""With fewer participants or photos a bootstrap tends to be too narrow; the report says so."""


@dataclass(frozen=True)
class MethodRate:
    """How often a method fooled people: they took the recolored photo for real."""

    method: str
    answers: int
    fooled: int
    participants: int
    photos: int
    rate: float  # fooled / answers; 0.5 is perfect
    low: float  # limits of the 95% bootstrap interval
    high: float
    resampled: Literal["participants and photos", "participants", "photos"]


@dataclass(frozen=True)
class PhotoRate:
    """How often one method's version of one photo fooled people."""

    photo: str
    method: str
    answers: int
    fooled: int
    smoothed: float  # with `PRIOR_ANSWERS` more answers at the method's rate


@dataclass(frozen=True)
class LeftOut:
    """A participant who failed too many catch trials."""

    participant: int
    failed: int
    catch: int


@dataclass(frozen=True)
class StudyReport:
    """The results of a study so far."""

    study: str
    participants: int  # who gave at least one counted answer
    finished: int  # who saw all of their pairs
    abandoned: int  # pairs that were shown and not answered
    exposure: float  # seconds that a pair should be shown
    exposure_ms: tuple[float, float, float]  # 2.5%, 50% and 97.5% quantile of what was measured
    mistimed: int  # answers off that by more than `EXPOSURE_OFF`; in the figures only if `everyone`
    catch_limit: float
    careless: tuple[LeftOut, ...]  # in the figures only if `everyone`
    everyone: bool
    min_answers: int  # that a photo needs to be listed
    methods: tuple[MethodRate, ...]
    photos: tuple[PhotoRate, ...]  # with enough answers; those that fooled most first

    def to_dict(self) -> dict[str, Any]:
        """All fields, for JSON; None for a figure that does not exist."""
        values = asdict(self)
        return {name: _without_nan(value) for name, value in values.items()}

    def text(self, most: int = 5) -> str:
        """The report as text, with at most `most` photos at each end."""
        lines = [
            f"{printable(self.study)}: {_count(self.participants, 'participant')} "
            f"({self.finished} finished), "
            f"{_count(sum(m.answers for m in self.methods), 'answer')} in the figures, "
            f"{_count(self.abandoned, 'pair')} abandoned"
        ]
        for person in self.careless:
            lines.append(
                f"{'kept' if self.everyone else 'left out'}: participant {person.participant} "
                f"failed {person.failed} of {person.catch} catch trials "
                f"(more than {self.catch_limit:.0%}"
                + ("; kept by --all)" if self.everyone else "; --all keeps them)")
            )
        if self.mistimed:
            low, high = ((1 + sign * EXPOSURE_OFF) * self.exposure for sign in (-1, 1))
            lines.append(
                f"{'kept' if self.everyone else 'left out'}: {_count(self.mistimed, 'answer')} to "
                f"pairs shown for less than {low:.3g} s or more than {high:.3g} s "
                f"({'kept by --all' if self.everyone else '--all keeps them'})"
            )
        rates = [
            (
                printable(m.method),
                str(m.answers),
                str(m.participants),
                f"{m.rate:.1%}",
                f"{m.low:.1%} to {m.high:.1%}",
            )
            for m in self.methods
            if m.answers
        ]
        head = ("method", "answers", "participants", "fooled", "95% interval")
        lines += ["", *_table(head, rates), "", *self._notes(), ""]
        half = min(most, (len(self.photos) + 1) // 2)
        for title, photos in (
            ("fooled most", self.photos[:half]),
            ("fooled least", self.photos[half:][::-1][:most]),
        ):
            if photos:
                rows = [
                    (
                        printable(p.photo),
                        printable(p.method),
                        f"{p.fooled} of {p.answers}",
                        f"{p.smoothed:.0%}",
                    )
                    for p in photos
                ]
                lines += [*_table((title, "method", "fooled", "smoothed"), rows), ""]
        if self.photos:
            lines.append(
                f"Smoothed: {PRIOR_ANSWERS} more answers are added at the method's own rate."
            )
        lines.append(
            f"Photos with at least {_count(self.min_answers, 'answer')} are listed"
            + ("." if self.photos else ": none yet.")
        )
        return "\n".join(lines)

    def _notes(self) -> Iterator[str]:
        yield "Fooled: people took the recolored photo for the real one. 50% is perfect."
        shown = [m for m in self.methods if m.answers]
        if any(m.resampled == "participants and photos" for m in shown):
            yield (
                "Intervals: bootstrap over participants and photos. They show how the rate "
                "would vary with others of both."
            )
        if any(m.resampled == "photos" for m in shown):
            yield (
                "If only one participant answered, the bootstrap is over photos and says "
                "nothing about other people."
            )
        if any(m.resampled == "participants" for m in shown):
            yield (
                "If all answers are about one photo, the bootstrap is over participants and "
                "says nothing about other photos."
            )
        if any(1 < n < FEW for m in shown for n in (m.participants, m.photos)):
            yield (
                f"With fewer than {FEW} participants or photos, an interval tends to be too narrow."
            )
        if any(m.low == m.high for m in shown):
            yield (
                "An interval of zero width means only that all resamples agree, not that the "
                "rate is known."
            )
        low, median, high = (ms / 1000 for ms in self.exposure_ms)
        yield f"Pairs were shown for {median:.2f} s (median; 95%: {low:.2f} to {high:.2f} s)."


def report(
    path: str | os.PathLike[str],
    *,
    everyone: bool = False,
    catch_limit: float = CATCH_LIMIT,
    min_answers: int = MIN_ANSWERS,
) -> StudyReport:
    """The fooling rates of a study, which may still be running.

    Parameters
    ----------
    path : of the database
    everyone : keep participants who failed too many catch trials, and answers to pairs that were
        shown for far too long or too short
    catch_limit : share of catch trials that may be failed; participants who have not
        answered one yet are kept
    min_answers : of a photo and method, to be listed

    Raises
    ------
    StudyError
        The database cannot be used, or holds no counted answer yet.

    Notes
    -----
    The interval is a percentile bootstrap that resamples participants and photos, for neither the
    answers of one person nor those to one photo are independent (A. B. Owen, "The pigeonhole
    bootstrap", 2007): see `intervals.pigeonhole_interval`. Where one person gave all answers, only
    the photos are resampled, and the interval says nothing about other people.
    """
    stored = _stored(Path(path))
    careless = _careless(stored.answers, catch_limit)
    out = set() if everyone else {person.participant for person in careless}
    counted = [row for row in stored.answers if row["kind"] == "counted"]
    if not counted:
        raise StudyError(f"{path}: has no counted answers yet", "somebody has to take part first")
    kept = [row for row in counted if row["participant"] not in out]
    if not kept:
        raise StudyError(
            f"{path}: every participant failed too many catch trials", "use --all to keep them"
        )
    mistimed = sum(row["mistimed"] for row in kept)
    if mistimed == len(kept) and not everyone:
        raise StudyError(
            f"{path}: no pair was shown for about {stored.exposure:g} s, as the study asks",
            "use --all to keep the answers",
        )
    if not everyone:
        kept = [row for row in kept if not row["mistimed"]]
    methods = tuple(
        _method_rate(name, [row for row in kept if row["method"] == name])
        for name in stored.methods
    )
    exposures = np.quantile([row["exposure_ms"] for row in kept], [0.025, 0.5, 0.975])
    return StudyReport(
        study=str(path),
        participants=len({row["participant"] for row in counted}),
        finished=stored.finished,
        abandoned=stored.abandoned,
        exposure=stored.exposure,
        exposure_ms=(float(exposures[0]), float(exposures[1]), float(exposures[2])),
        mistimed=mistimed,
        catch_limit=catch_limit,
        careless=careless,
        everyone=everyone,
        min_answers=min_answers,
        methods=methods,
        photos=_photo_rates(kept, {m.method: m.rate for m in methods}, min_answers),
    )


@dataclass(frozen=True)
class _Stored:
    """The contents of the database of a study."""

    answers: list[dict[str, Any]]  # every one, in the order given
    finished: int  # participants
    abandoned: int  # pairs
    methods: list[str]
    exposure: float  # seconds asked for


def _stored(path: Path) -> _Stored:
    try:
        with contextlib.closing(open_database(path, "ro")) as db:
            answers = db.execute(
                "SELECT participant, position, kind, coalesce(method.name, ?) AS method,"
                " photo.name AS photo, fake_left, answer_left, response_ms, exposure_ms, shown_at,"
                " answered_at FROM trial JOIN photo ON photo.id = trial.photo"
                " LEFT JOIN method ON method.id = trial.method"
                " WHERE state = 'answered' ORDER BY participant, position, trial.id",
                (OBVIOUS,),
            ).fetchall()
            finished = db.execute(
                "SELECT count(*) FROM participant WHERE NOT EXISTS (SELECT 1 FROM trial"
                " WHERE participant = participant.id AND state IN ('planned', 'shown'))"
            ).fetchone()[0]
            abandoned = db.execute(
                "SELECT count(*) FROM trial WHERE state = 'abandoned'"
            ).fetchone()[0]
            names = [name for (name,) in db.execute("SELECT name FROM method WHERE id > 0")]
            settings = StudySettings(
                **json.loads(db.execute("SELECT settings FROM study").fetchone()[0])
            )
    except sqlite3.Error as error:
        raise StudyError(f"{path}: cannot be read: {error}", "restore it from a copy") from error
    rows = [dict(row) for row in answers]
    for row in rows:
        off = abs(row["exposure_ms"] / 1000 - settings.exposure)
        row["mistimed"] = int(off > EXPOSURE_OFF * settings.exposure)
    return _Stored(rows, finished, abandoned, names, settings.exposure)


def _careless(rows: Sequence[Mapping[str, Any]], limit: float) -> tuple[LeftOut, ...]:
    """Who failed too many catch trials; pairs shown too briefly are not held against anyone."""
    if not 0 <= limit <= 1:
        raise ConfigError(f"--catch-limit {limit:g}: must be from 0 to 1")
    seen: Counter[int] = Counter()
    failed: Counter[int] = Counter()
    for row in rows:
        if row["kind"] == "catch" and not row["mistimed"]:
            seen[row["participant"]] += 1
            failed[row["participant"]] += row["answer_left"] != row["fake_left"]
    return tuple(
        LeftOut(who, failed[who], n) for who, n in sorted(seen.items()) if failed[who] > limit * n
    )


def _method_rate(name: str, rows: Sequence[Mapping[str, Any]]) -> MethodRate:
    fooled = [row["answer_left"] != row["fake_left"] for row in rows]
    people, photos = ([row[unit] for row in rows] for unit in ("participant", "photo"))
    n_people, n_photos = len(set(people)), len(set(photos))
    resampled: Literal["participants and photos", "participants", "photos"]
    if n_people > 1:
        resampled = "participants and photos" if n_photos > 1 else "participants"
    else:
        resampled = "photos"
    rate = sum(fooled) / len(fooled) if fooled else math.nan
    low, high = pigeonhole_interval(fooled, people, photos)
    return MethodRate(name, len(rows), sum(fooled), n_people, n_photos, rate, low, high, resampled)


def _photo_rates(
    rows: Sequence[Mapping[str, Any]], rates: Mapping[str, float], min_answers: int
) -> tuple[PhotoRate, ...]:
    cells: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in rows:
        cells[row["photo"], row["method"]].append(row["answer_left"] != row["fake_left"])
    found = [
        PhotoRate(
            photo, method, len(wrong), sum(wrong),
            (sum(wrong) + PRIOR_ANSWERS * rates[method]) / (len(wrong) + PRIOR_ANSWERS),
        )
        for (photo, method), wrong in cells.items()
        if len(wrong) >= min_answers
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda p: (-p.smoothed, -p.answers, p.photo, p.method)))


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns: words to the left, figures to the right."""
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
    lines = []
    for line in (head, *rows):
        cells = [
            cell.ljust(width) if title in ("method", head[0]) else cell.rjust(width)
            for title, cell, width in zip(head, line, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- exports --------------------------------------------------------------------------------------

_COLUMNS = (
    "participant", "position", "kind", "method", "photo", "recolored", "answer", "right",
    "response_ms", "exposure_ms", "shown_at", "answered_at", "careless", "mistimed",
)  # fmt: skip


def answers_csv(path: str | os.PathLike[str], catch_limit: float = CATCH_LIMIT) -> str:
    """All answers of a study as CSV, with practice and catch trials; times in UTC.

    `careless` marks the participants that `report` leaves out, `mistimed` the answers to pairs that
    were shown for far too long or too short. Participants are numbers: the database knows nothing
    else of them.
    """
    rows = _stored(Path(path)).answers
    careless = {person.participant for person in _careless(rows, catch_limit)}
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        row["recolored"] = "left" if row["fake_left"] else "right"
        row["answer"] = "left" if row["answer_left"] else "right"
        row["right"] = int(row["answer_left"] == row["fake_left"])
        row["careless"] = int(row["participant"] in careless)
        row |= {name: spreadsheet_cell(row[name]) for name in ("method", "photo")}
        writer.writerow(row)
    return text.getvalue()


def write_export(path: str | os.PathLike[str], text: str, *, force: bool = False) -> None:
    """Write a text file that is complete or absent; another one is replaced only with `force`.

    Raises
    ------
    StudyError
        The file exists, or cannot be written.
    """
    write_whole(path, text, StudyError, force=force)
