"""The database of a study."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from photochrom.errors import StudyError
from photochrom.study.pairs import REAL, Pairs
from photochrom.study.pictures import pictures_of
from photochrom.study.plan import Planned, StudySettings, check_enough
from photochrom.text import printable

__all__ = [
    "add_trial",
    "connect_database",
    "fill_database",
    "immediate_transaction",
    "open_database",
    "participant_of",
    "sha256",
    "utc_now",
]

_APPLICATION_ID = 0x50434853  # "PCHS", how `file` and we know a study's database
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE study (settings TEXT NOT NULL, key TEXT NOT NULL, created TEXT NOT NULL);
CREATE TABLE method (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE photo (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    problem TEXT  -- why it is left out; NULL: it is shown
);
CREATE TABLE picture (
    photo INTEGER NOT NULL REFERENCES photo,
    method INTEGER NOT NULL REFERENCES method,
    sha256 TEXT NOT NULL,  -- of the file it was made from
    jpeg BLOB,             -- as it is shown; NULL where the photo is left out
    PRIMARY KEY (photo, method)
);
CREATE TABLE participant (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    seed INTEGER NOT NULL,
    joined TEXT NOT NULL
);
CREATE TABLE trial (
    id INTEGER PRIMARY KEY,
    participant INTEGER NOT NULL REFERENCES participant,
    position INTEGER NOT NULL,  -- a replacement has that of the trial it replaces, and a larger id
    kind TEXT NOT NULL CHECK (kind IN ('practice', 'counted', 'catch')),
    photo INTEGER NOT NULL REFERENCES photo,
    method INTEGER REFERENCES method,  -- NULL: an obvious fake
    fake_left INTEGER NOT NULL,
    token TEXT NOT NULL UNIQUE,
    left_token TEXT NOT NULL UNIQUE,
    right_token TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL DEFAULT 'planned'
        CHECK (state IN ('planned', 'shown', 'answered', 'abandoned')),
    shown_at TEXT,
    answered_at TEXT,
    answer_left INTEGER,
    response_ms REAL,
    exposure_ms REAL,
    UNIQUE (participant, photo)
);
CREATE INDEX trial_of_participant ON trial (participant, position, id);
"""


def add_trial(
    db: sqlite3.Connection, participant: int | None, position: int, trial: Planned
) -> None:
    """Add a trial of a participant; None for one that nobody has yet."""
    tokens = [secrets.token_urlsafe(16) for _ in range(3)]
    db.execute(
        "INSERT INTO trial (participant, position, kind, photo, method, fake_left,"
        " token, left_token, right_token) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (participant, position, trial.kind, trial.photo, trial.method, trial.fake_left, *tokens),
    )


def participant_of(db: sqlite3.Connection, token: str) -> int | None:
    """The participant with this token; None if there is none."""
    row = db.execute("SELECT id FROM participant WHERE token = ?", (token,)).fetchone()
    return None if row is None else int(row["id"])


def utc_now() -> str:
    """The time now, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def connect_database(path: Path, mode: Literal["ro", "rw", "rwc"]) -> sqlite3.Connection:
    """Open a database without a look at what is in it. Raises sqlite3.Error."""
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,  # we begin and end transactions ourselves
        timeout=10,
        check_same_thread=False,
    )
    db.row_factory = sqlite3.Row
    return db


@contextlib.contextmanager
def immediate_transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that may write from the start."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # some errors have ended it already
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def open_database(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Open the database of a study.

    Raises
    ------
    StudyError
        It is missing, damaged, or not a study of this version.
    """
    if not path.is_file():
        raise StudyError(f"{path}: no such study", "start one with `photochrom study serve`")
    db = None
    try:
        db = connect_database(path, mode)
        ours = db.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION_ID
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if ours and version == _SCHEMA_VERSION:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            return db
        if ours:
            problem = f"has version {version}, and this photochrom knows only {_SCHEMA_VERSION}"
            remedy = "use the photochrom that made it"
        else:
            problem = "is not a study's database"
            remedy = "give a file that `photochrom study serve` made"
    except sqlite3.OperationalError as error:
        problem = f"cannot be opened: {error}"
        remedy = "check the permissions of the file and its folder"
    except sqlite3.DatabaseError as error:
        problem = f"is not a database, or is damaged ({error})"
        remedy = "restore it from a copy"
    if db is not None:
        db.close()
    raise StudyError(f"{path}: {problem}", remedy)


def fill_database(
    db: sqlite3.Connection,
    pairs: Pairs,
    settings: StudySettings,
    progress: Callable[[Iterable[str]], Iterable[str]],
) -> None:
    """Create the tables of a study and store its settings and pictures.

    Raises
    ------
    StudyError
        Too few photos can be used.
    """
    db.executescript(_SCHEMA)
    db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    with immediate_transaction(db):
        db.execute(
            "INSERT INTO study VALUES (?, ?, ?)",
            (json.dumps(asdict(settings)), secrets.token_urlsafe(16), utc_now()),
        )
        db.executemany("INSERT INTO method VALUES (?, ?)", enumerate((REAL, *pairs.methods)))
        usable, problems = 0, []
        for photo, name in enumerate(progress(pairs.files), 1):
            paths = pairs.files[name]
            pictures, problem = pictures_of(paths, settings.side)
            db.execute("INSERT INTO photo VALUES (?, ?, ?)", (photo, name, problem))
            db.executemany(
                "INSERT INTO picture VALUES (?, ?, ?, ?)",
                (
                    (photo, method, sha256(path), jpeg)
                    for method, (path, jpeg) in enumerate(zip(paths, pictures, strict=True))
                ),
            )
            usable += problem is None
            problems += [problem] if problem else []
        try:
            check_enough(usable, settings)
        except StudyError as error:
            for problem in problems:
                error.add_note(f"skipped: {printable(problem)}")
            raise


def sha256(path: Path) -> str:
    """Digest of a file, or why it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"
