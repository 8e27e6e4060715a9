"""Would it fool a person? The two-alternative forced choice of the paper, in one SQLite file.

::

    folders ──find_pairs──▶ Study.create ──▶ study.db ◀──▶ join, next_trial, start, answer
                                                 │
                                                 └──▶ study_report: rates, intervals

A participant sees a photo and a recolored version of it side by side for a second and says which
one was recolored. Practice trials come first and say whether the answer was right; among the
counted ones that follow are catch trials, whose colors are obviously wrong: who fails those did not
look. Nobody sees a photo twice.

The database holds the pictures as they were shown. So they cannot change during a study, and the
file is all that is needed to continue. Every answer is on the disk before it is
acknowledged. Nothing here knows the web.

Source: the paper, section 3.1 ("perceptual realism").
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from photochrom.errors import StudyError
from photochrom.files import whole
from photochrom.study.database import (
    add_trial,
    connect_database,
    fill_database,
    immediate_transaction,
    open_database,
    participant_of,
    sha256,
    utc_now,
)
from photochrom.study.pairs import REAL, Pairs
from photochrom.study.pictures import decode_picture, encode_picture, obvious_fake
from photochrom.study.plan import Planned, StudySettings, check_enough, plan

__all__ = ["Answer", "Progress", "Study", "Trial"]

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Progress:
    """How far a participant is. `right` and `counted` mean nothing before the end."""

    answered: int  # of all trials
    total: int
    right: int  # of the counted ones
    counted: int


@dataclass(frozen=True)
class Trial:
    """What a participant may know about a trial before answering: not which side is which."""

    token: str
    left: str  # token of a picture
    right: str
    practice: bool
    number: int  # from 1, within the practice or the rest
    total: int


@dataclass(frozen=True)
class Answer:
    """The answer to a trial. Participants may know it only after practice trials."""

    right: bool
    fake: Side
    practice: bool


class Study:
    """An open study. Several threads and processes may call its methods.

    Examples
    --------
    >>> study = Study.open("study.db")  # doctest: +SKIP
    >>> participant = study.join()  # doctest: +SKIP
    >>> trial = study.next_trial(participant)  # doctest: +SKIP
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        """Use `create` and `open`."""
        self.path = path
        self._db = db
        self._lock = threading.Lock()
        row = db.execute("SELECT settings, key, created FROM study").fetchone()
        self.settings = StudySettings(**json.loads(row["settings"]))
        self.key: str = row["key"]
        """A secret of the study, the same after every restart."""
        self.id = hashlib.sha256(self.key.encode()).hexdigest()[:12]
        """A public name of the study."""
        self.methods = {
            int(id): str(name)
            for id, name in db.execute("SELECT id, name FROM method WHERE id > 0 ORDER BY id")
        }
        self.photos = [
            int(id) for (id,) in db.execute("SELECT id FROM photo WHERE problem IS NULL")
        ]

    # --- starting and resuming ---

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        pairs: Pairs,
        settings: StudySettings,
        progress: Callable[[Iterable[str]], Iterable[str]] = iter,
    ) -> Study:
        """Start a study: read all photos, store the pictures, and write the database.

        The file is complete or absent. Photos that cannot be read or have no color are left out;
        `problems` names them.

        Parameters
        ----------
        path : of the new database
        pairs : from `find_pairs`
        settings : of the study
        progress : wraps the names of the photos while they are read, for a bar

        Raises
        ------
        StudyError
            The file exists or cannot be written, or too few photos are left.
        """
        target = Path(path)
        check_enough(len(pairs.files), settings)
        if os.path.lexists(target):
            raise StudyError(f"{target}: already exists", "give another name")
        try:
            with (
                whole(target, StudyError) as draft,
                contextlib.closing(connect_database(Path(draft), "rwc")) as db,
            ):
                # If anything fails, this file is thrown away, so one sync at the end is enough.
                db.execute("PRAGMA synchronous = OFF")
                db.execute("PRAGMA journal_mode = MEMORY")
                fill_database(db, pairs, settings, progress)
        except sqlite3.Error as error:
            raise StudyError(
                f"{target}: cannot be written: {error}",
                "choose an existing folder that is writable and has free space",
            ) from error
        return cls.open(target)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Study:
        """Open a study that exists.

        Raises
        ------
        StudyError
            The file is missing, damaged, not ours, or of another version.
        """
        db = open_database(Path(path), "rw")
        try:
            # FULL: an answer survives even a power cut.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            return cls(Path(path), db)
        except sqlite3.Error as error:
            db.close()
            raise StudyError(
                f"{path}: cannot be written: {error}",
                "check the permissions of the file and its folder",
            ) from error

    def close(self) -> None:
        """Close the file. Nothing is lost without this."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_same(self, pairs: Pairs) -> None:
        """Raise StudyError unless the study was started with exactly these files."""
        if sorted(pairs.methods) != sorted(self.methods.values()):
            raise StudyError(
                f"{self.path}: was started with the methods "
                f"{', '.join(self.methods.values())}, not {', '.join(pairs.methods)}",
                "give the same methods, or another file for a new study",
            )
        with self._transaction() as db:
            rows = db.execute(
                "SELECT photo.name AS photo, method.name AS method, sha256 FROM picture"
                " JOIN photo ON photo.id = photo JOIN method ON method.id = method"
            ).fetchall()
        before = {(row["photo"], row["method"]): row["sha256"] for row in rows}
        now = {
            (photo, method): sha256(path)
            for photo, paths in pairs.files.items()
            for method, path in zip((REAL, *pairs.methods), paths, strict=True)
        }
        other = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if other:
            photo, method = other[0]
            raise StudyError(
                f"{self.path}: was started with other photos ({len(other)} files differ, such "
                f"as {photo} of {method})",
                "give the same folders, or another file for a new study",
            )

    def check_settings(self, given: Mapping[str, Any]) -> None:
        """Raise StudyError if a setting differs from that of the study; None never does."""
        for name, value in given.items():
            mine = getattr(self.settings, name)
            if value is not None and value != mine:
                raise StudyError(
                    f"{self.path}: was started with --{name} {mine:g}, not {value:g}",
                    "leave out the option, or give another file for a new study",
                )

    def problems(self) -> list[str]:
        """Why photos were skipped, one line each."""
        with self._transaction() as db:
            rows = db.execute("SELECT problem FROM photo WHERE problem IS NOT NULL ORDER BY id")
            return [str(problem) for (problem,) in rows]

    # --- taking part ---

    def join(self) -> str:
        """Add a participant with a plan of trials; returns the secret token."""
        token, seed = secrets.token_urlsafe(24), secrets.randbits(48)
        with self._transaction() as db:
            participant = db.execute(
                "INSERT INTO participant (token, seed, joined) VALUES (?, ?, ?)",
                (token, seed, utc_now()),
            ).lastrowid
            trials = plan(seed, self.photos, list(self.methods), self.settings)
            for position, trial in enumerate(trials):
                add_trial(db, participant, position, trial)
        return token

    def progress(self, participant: str) -> Progress | None:
        """How far a participant is; None for an unknown one."""
        with self._transaction() as db:
            id = participant_of(db, participant)
            if id is None:
                return None
            row = db.execute(
                "SELECT coalesce(sum(state = 'answered'), 0) AS answered,"
                " coalesce(sum(state != 'abandoned'), 0) AS total,"
                " coalesce(sum(kind = 'counted' AND answer_left = fake_left), 0) AS right,"
                " coalesce(sum(kind = 'counted' AND state = 'answered'), 0) AS counted"
                " FROM trial WHERE participant = ?",
                (id,),
            ).fetchone()
            return Progress(**row)

    def next_trial(self, participant: str) -> Trial | None:
        """The next trial of a participant; None if there is none left, or no such participant.

        A trial that was shown and not answered is abandoned: a second look would be an advantage.
        Another photo takes its place, as long as there is one that the participant has not seen.
        """
        with self._transaction() as db:
            id = participant_of(db, participant)
            if id is None:
                return None
            self._abandon(db, id)
            row = db.execute(
                "SELECT * FROM trial WHERE participant = ? AND state = 'planned'"
                " ORDER BY position, id LIMIT 1",
                (id,),
            ).fetchone()
            if row is None:
                return None
            practice = row["kind"] == "practice"
            done, total = db.execute(
                "SELECT coalesce(sum(state = 'answered'), 0), sum(state != 'abandoned') FROM trial"
                " WHERE participant = ? AND (kind = 'practice') = ?",
                (id, practice),
            ).fetchone()
            return Trial(
                row["token"], row["left_token"], row["right_token"], practice, done + 1, total
            )

    def start(self, participant: str, trial: str) -> bool:
        """Note that a trial is about to be shown; False if it must not be.

        True once at most: with two pages open, one person could see the pair twice. Where the reply
        is lost on its way, the pair is lost as well, and `next_trial` puts another in its place.
        """
        with self._transaction() as db:
            done = db.execute(
                "UPDATE trial SET state = 'shown', shown_at = ?"
                " WHERE token = ? AND participant = ? AND state = 'planned'",
                (utc_now(), trial, participant_of(db, participant)),
            )
            return done.rowcount == 1

    def answer(
        self,
        participant: str,
        trial: str,
        fake: Side,
        response_ms: float,
        exposure_ms: float,
    ) -> Answer | None:
        """Store which side was called recolored. It is on the disk when this returns.

        The first answer to a trial is the one that counts; another one changes nothing and gets the
        same reply.

        Parameters
        ----------
        participant, trial : tokens
        fake : the side that was chosen
        response_ms : time from the end of the exposure to the answer
        exposure_ms : how long the pair was really shown

        Returns
        -------
        None for an unknown trial, and for one that was not shown or was abandoned
        """
        with self._transaction() as db:
            db.execute(
                "UPDATE trial SET state = 'answered', answered_at = ?, answer_left = ?,"
                " response_ms = ?, exposure_ms = ?"
                " WHERE token = ? AND participant = ? AND state = 'shown'",
                (
                    utc_now(), fake == "left", response_ms, exposure_ms,
                    trial, participant_of(db, participant),
                ),
            )  # fmt: skip
            row = db.execute(
                "SELECT * FROM trial WHERE token = ? AND participant = ? AND state = 'answered'",
                (trial, participant_of(db, participant)),
            ).fetchone()
        if row is None:
            return None
        return Answer(
            row["answer_left"] == row["fake_left"],
            "left" if row["fake_left"] else "right",
            row["kind"] == "practice",
        )

    def picture(self, participant: str, token: str) -> bytes | None:
        """A picture of an open trial, as JPEG; None for any other token.

        Both pictures of a trial have as many bytes, for the true length could tell them apart.
        """
        with self._transaction() as db:
            trial = db.execute(
                "SELECT * FROM trial WHERE ? IN (left_token, right_token) AND participant = ?"
                " AND state IN ('planned', 'shown')",
                (token, participant_of(db, participant)),
            ).fetchone()
            if trial is None:
                return None
            pictures = dict(
                db.execute("SELECT method, jpeg FROM picture WHERE photo = ?", (trial["photo"],))
            )
        real = pictures[0]
        if trial["method"] is None:
            fake = encode_picture(obvious_fake(decode_picture(real)))
        else:
            fake = pictures[trial["method"]]
        is_fake = bool(trial["fake_left"]) == (token == trial["left_token"])
        # Decoders stop at the end-of-image marker.
        return bytes((fake if is_fake else real).ljust(max(len(fake), len(real)), b"\0"))

    # --- inside ---

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with immediate_transaction(self._db):
                    yield self._db
            except sqlite3.Error as error:
                raise StudyError(
                    f"{self.path}: cannot be used: {error}",
                    "check that it exists, is writable and has free space",
                ) from error

    def _abandon(self, db: sqlite3.Connection, participant: int) -> None:
        rows = db.execute(
            "SELECT * FROM trial WHERE participant = ? AND state = 'shown'", (participant,)
        ).fetchall()
        for row in rows:
            db.execute("UPDATE trial SET state = 'abandoned' WHERE id = ?", (row["id"],))
            used = {
                photo
                for (photo,) in db.execute(
                    "SELECT photo FROM trial WHERE participant = ?", (participant,)
                )
            }
            fresh = [photo for photo in self.photos if photo not in used]
            if fresh:
                rng = random.Random(row["token"])
                instead = Planned(row["kind"], rng.choice(fresh), row["method"], rng.random() < 0.5)
                add_trial(db, participant, row["position"], instead)
