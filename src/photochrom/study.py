"""Would it fool a person? The two-alternative forced choice of the paper, kept in one SQLite file.

::

    folders ──find_pairs──▶ Study.create ──▶ study.db ◀──▶ join, next_trial, start, answer
                                                 │
                                                 └──▶ study_report: rates, intervals

A participant sees a photo and a recolored version of it side by side for a second and says which
one was recolored. Practice trials come first and say whether the answer was right; among the
counted ones that follow are catch trials, whose colors are obviously wrong: who fails those did not
look. Nobody sees a photo twice.

The database holds the pictures as they were shown. What is shown therefore cannot change under a
running study, and to go on needs the file alone. Every answer is on the disk before it is
acknowledged. Nothing here knows the web.

Source: the paper, section 3.1 ("perceptual realism").
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import random
import secrets
import sqlite3
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from photochrom import color
from photochrom.errors import ConfigError, PhotoError, StudyError
from photochrom.text import printable

__all__ = [
    "Answer",
    "Pairs",
    "Planned",
    "Progress",
    "Study",
    "StudySettings",
    "Trial",
    "find_pairs",
    "obvious_fake",
    "plan",
]

Side = Literal["left", "right"]

REAL = "real"
"""What the real photos are called in the table of methods; no method may have this name."""
OBVIOUS = "obvious"
"""What exports call the method of practice and catch trials."""

GRAY_CHROMA = 2.0
"""A real photo whose mean chroma is below this has no color of its own: it is left out."""
OBVIOUS_CHROMA = 25.0
"""Mean chroma that the wrong colors of an obvious fake have at least."""

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


# --- settings -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StudySettings:
    """What every participant of a study gets."""

    trials: int = 40  # counted ones, as in the paper
    practice: int = 6  # before them, with feedback
    catch: int = 4  # among them, with an obvious fake
    exposure: float = 1.0  # seconds for which a pair is shown
    side: int = 512  # pixels, the longest side shown at most

    def __post_init__(self) -> None:
        """Raise ConfigError for what cannot be meant."""
        limits = {
            "trials": (1, 1000), "practice": (0, 100), "catch": (0, 1000),
            "exposure": (0.05, 60), "side": (32, 2048),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(
                    f"--{name} {getattr(self, name):g}: must lie between {low} and {high}"
                )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> StudySettings:
        """Settings from what is given; None is the default, of catch trials a tenth of the rest."""
        values = {name: value for name, value in given.items() if value is not None}
        trials = values.get("trials", cls.trials)
        return cls(**{"catch": math.ceil(trials / 10)} | values)

    @property
    def photos(self) -> int:
        """Photos that one participant sees, each once."""
        return self.practice + self.trials + self.catch


# --- photos in pairs ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """The photos that a study can use: those that are there as real and from every method."""

    methods: tuple[str, ...]
    files: dict[str, tuple[Path, ...]]  # photo -> its real file, then one of each method
    unpaired: dict[str, tuple[str, ...]]  # folder's name -> photos that another one lacks


def find_pairs(real: Path, fakes: Sequence[tuple[str, Path]]) -> Pairs:
    """Pair photos by their path below their folder, without extension.

    ``NAME.color.EXT``, as `photochrom colorize` calls a result beside its photo, stands for NAME
    in a folder of fakes, and is no real photo. Only photos that every method has recolored are
    used, for rates of different photos could not be compared.

    Parameters
    ----------
    real : folder of the originals; subfolders are searched too
    fakes : (name of the method, folder of its results)

    Raises
    ------
    ConfigError
        A name is missing, taken or given twice, or a folder does not exist.
    StudyError
        Two files of a folder stand for one photo, a fake is the real file itself, or nothing pairs.
    """
    names = [name for name, _ in fakes]
    if not names:
        raise ConfigError("--fake: name at least one folder of recolored photos, NAME=DIR")
    for name in names:
        if not name.strip() or not name.isprintable() or name in (REAL, OBVIOUS):
            raise ConfigError(f"--fake {name}=...: give the method another name, such as ours=DIR")
        if names.count(name) > 1:
            raise ConfigError(f"--fake {name}=...: is given twice; each method needs its own name")
    found = [_photos(real, fake=False), *(_photos(folder, fake=True) for _, folder in fakes)]
    everywhere = sorted(set.intersection(*(set(photos) for photos in found)))
    files = {name: tuple(photos[name] for photos in found) for name in everywhere}
    for original, *others in files.values():
        for path in others:
            if path.samefile(original):
                raise StudyError(f"{path}: is the real photo itself; give the recolored ones")
    if not files:
        folders = ", ".join(str(folder) for _, folder in fakes)
        raise StudyError(
            f"{real}: none of its {len(found[0])} photos has its like in {folders}; a photo and "
            "its recolored version need the same path below their folders, extension aside"
        )
    unpaired = {
        name: tuple(sorted(set(photos) - set(everywhere)))
        for name, photos in zip((REAL, *names), found, strict=True)
    }
    return Pairs(tuple(names), files, unpaired)


def _photos(folder: Path, fake: bool) -> dict[str, Path]:
    from photochrom.image import EXTENSIONS

    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; check the name")
    plain: dict[str, Path] = {}
    colored: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if hidden or path.suffix.lower() not in EXTENSIONS or not path.is_file():
            continue
        name = below.with_suffix("").as_posix()
        home = colored if name.endswith(".color") else plain
        # One spelling for "é", and none that SQLite cannot hold.
        key = unicodedata.normalize("NFC", os.fsencode(name).decode(errors="replace"))
        key = key.removesuffix(".color")
        if key in home:
            raise StudyError(f"{path}: stands for the same photo as {home[key]}; remove one")
        home[key] = path
    return plain | colored if fake else plain


# --- pictures as they are shown -------------------------------------------------------------------


def _shown(files: Sequence[Path], side: int) -> list[bytes]:
    """A real photo and its fakes as JPEG of one size, all from the same mill.

    The smallest of them sets the size: a method with small results must not be given away by blur.
    """
    from photochrom.image import read_photo, resized

    pixels = []
    for path in files:
        photo = read_photo(path)
        values = photo.pixels
        if photo.alpha is not None:  # what shows through is white, as in most viewers
            opacity = color.to_unit(photo.alpha)[..., None]
            values = color.to_unit(values) * opacity + (1 - opacity)
        rgb = values if values.dtype == np.uint8 else color.from_unit(color.to_unit(values), "u1")
        pixels.append(np.repeat(rgb, 3, axis=2) if rgb.shape[2] == 1 else rgb)
    height, width = pixels[0].shape[:2]
    longest = min(side, *(max(p.shape[:2]) for p in pixels))
    scale = longest / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return [_encode(resized(p, *size)) for p in pixels]


def _encode(rgb: NDArray[np.uint8]) -> bytes:
    """At this quality the chroma keeps its full resolution: only the color is judged."""
    from photochrom.image import to_jpeg

    return to_jpeg(rgb, 95)


def _decode(jpeg: bytes) -> NDArray[np.uint8]:
    import pyvips

    pixels: NDArray[np.uint8] = pyvips.Image.jpegload_buffer(jpeg).numpy()
    return pixels


def obvious_fake(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photo with its colors turned into their opposites and made strong, L kept.

    Parameters
    ----------
    rgb : uint8 (H, W, 3), sRGB-encoded

    Returns
    -------
    uint8 (H, W, 3)
    """
    lab = color.rgb_to_lab(rgb)
    strength = max(1.5, OBVIOUS_CHROMA / max(_mean_chroma(lab), 1e-6))
    fake: NDArray[np.uint8] = color.fit_gamut(lab[..., 0], -strength * lab[..., 1:], np.uint8)
    return fake


def _mean_chroma(lab: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(lab[..., 1:], axis=-1).mean())


# --- the plan of one participant ------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    """One trial of a plan."""

    kind: Literal["practice", "counted", "catch"]
    photo: int
    method: int | None  # None: an obvious fake
    fake_left: bool


def plan(
    seed: int, photos: Sequence[int], methods: Sequence[int], settings: StudySettings
) -> list[Planned]:
    """The trials of one participant in order: practice, then counted and catch trials mixed.

    Methods come equally often, up to one; no photo comes twice; sides are fair coins. Equal seeds
    give equal plans.
    """
    rng = random.Random(seed)
    chosen = iter(rng.sample(photos, settings.photos))
    some = rng.sample(methods, len(methods))  # who gets one more, where it does not divide
    kinds: list[tuple[Literal["counted", "catch"], int | None]] = [
        ("counted", some[i % len(some)]) for i in range(settings.trials)
    ]
    kinds += [("catch", None)] * settings.catch
    rng.shuffle(kinds)
    practice = [
        Planned("practice", next(chosen), None, rng.random() < 0.5)
        for _ in range(settings.practice)
    ]
    return practice + [
        Planned(kind, next(chosen), method, rng.random() < 0.5) for kind, method in kinds
    ]


# --- the study ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """How far a participant is. `right` and `counted` are for the end: they say nothing before."""

    answered: int  # of all trials
    total: int
    right: int  # of the counted ones
    counted: int


@dataclass(frozen=True)
class Trial:
    """What a participant may know of a trial before answering: not which side is which."""

    token: str
    left: str  # token of a picture
    right: str
    practice: bool
    number: int  # from 1, within the practice or the rest
    total: int


@dataclass(frozen=True)
class Answer:
    """What was answered. Only after practice trials may the participant know."""

    right: bool
    fake: Side
    practice: bool


class Study:
    """An open study. Its methods may be called from several threads, and of several processes.

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

    # --- beginning and going on ---

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        pairs: Pairs,
        settings: StudySettings,
        progress: Callable[[Iterable[str]], Iterable[str]] = iter,
    ) -> Study:
        """Begin a study: read all photos, store the pictures, and write the database.

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
        temporary = target.parent / f".photochrom-{secrets.token_hex(8)}.db"
        _check_enough(len(pairs.files), settings)
        try:
            with contextlib.closing(_connect(temporary, "rwc")) as db:
                # It is thrown away if anything fails: to be safe on the disk once is enough.
                db.execute("PRAGMA synchronous = OFF")
                db.execute("PRAGMA journal_mode = MEMORY")
                _fill(db, pairs, settings, progress)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            publish_file(temporary, target, force=False)
        except sqlite3.Error as error:
            raise StudyError(
                f"{target}: cannot be written: {error}; "
                "choose a folder that exists, that you may write to and that has space left"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        return cls.open(target)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Study:
        """Open a study that was begun before.

        Raises
        ------
        StudyError
            The file is missing, damaged, not ours, or of another version.
        """
        db = open_database(Path(path), "rw")
        try:
            # FULL: an answer outlives not only our end but a power cut.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            return cls(Path(path), db)
        except sqlite3.Error as error:
            db.close()
            raise StudyError(
                f"{path}: cannot be written: {error}; check that you may write to it and its folder"
            ) from error

    def close(self) -> None:
        """Close the file. Nothing is lost without it."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_same(self, pairs: Pairs) -> None:
        """Raise StudyError unless these are the very files that the study was begun with."""
        if sorted(pairs.methods) != sorted(self.methods.values()):
            raise StudyError(
                f"{self.path}: was begun with the methods {', '.join(self.methods.values())}, not "
                f"{', '.join(pairs.methods)}; name the same, or another file for a new study"
            )
        with self._transaction() as db:
            rows = db.execute(
                "SELECT photo.name AS photo, method.name AS method, sha256 FROM picture"
                " JOIN photo ON photo.id = photo JOIN method ON method.id = method"
            ).fetchall()
        before = {(row["photo"], row["method"]): row["sha256"] for row in rows}
        now = {
            (photo, method): _sha256(path)
            for photo, paths in pairs.files.items()
            for method, path in zip((REAL, *pairs.methods), paths, strict=True)
        }
        other = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if other:
            photo, method = other[0]
            raise StudyError(
                f"{self.path}: was begun with other photos ({len(other)} files differ, such as "
                f"{photo} of {method}); give the same folders, or another file for a new study"
            )

    def check_settings(self, given: Mapping[str, Any]) -> None:
        """Raise StudyError for a setting that is not that of the study; None asks for nothing."""
        for name, value in given.items():
            mine = getattr(self.settings, name)
            if value is not None and value != mine:
                raise StudyError(
                    f"{self.path}: was begun with --{name} {mine:g}, not {value:g}; leave the "
                    "option out, or give another file for a new study"
                )

    def problems(self) -> list[str]:
        """Why photos are left out, one line each."""
        with self._transaction() as db:
            rows = db.execute("SELECT problem FROM photo WHERE problem IS NOT NULL ORDER BY id")
            return [str(problem) for (problem,) in rows]

    # --- taking part ---

    def join(self) -> str:
        """A new participant's secret token; its plan is drawn and stored."""
        token, seed = secrets.token_urlsafe(24), secrets.randbits(48)
        with self._transaction() as db:
            participant = db.execute(
                "INSERT INTO participant (token, seed, joined) VALUES (?, ?, ?)",
                (token, seed, _now()),
            ).lastrowid
            trials = plan(seed, self.photos, list(self.methods), self.settings)
            for position, trial in enumerate(trials):
                _add_trial(db, participant, position, trial)
        return token

    def progress(self, participant: str) -> Progress | None:
        """How far a participant is; None for an unknown one."""
        with self._transaction() as db:
            id = _participant(db, participant)
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
        """The trial that a participant is to see; None when there is none left or nobody such.

        A trial that was shown and not answered is abandoned: a second look would be an advantage.
        Another photo takes its place, as long as there is one that the participant has not seen.
        """
        with self._transaction() as db:
            id = _participant(db, participant)
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
        """Note that a trial is now shown, before it is; False if it is not one to be shown.

        True once at most: with two pages open, one person could see the pair twice. Where the reply
        is lost on its way, the pair is lost as well, and `next_trial` puts another in its place.
        """
        with self._transaction() as db:
            done = db.execute(
                "UPDATE trial SET state = 'shown', shown_at = ?"
                " WHERE token = ? AND participant = ? AND state = 'planned'",
                (_now(), trial, _participant(db, participant)),
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
        """Store which side was called recolored; it is on the disk when this returns.

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
                    _now(), fake == "left", response_ms, exposure_ms,
                    trial, _participant(db, participant),
                ),
            )  # fmt: skip
            row = db.execute(
                "SELECT * FROM trial WHERE token = ? AND participant = ? AND state = 'answered'",
                (trial, _participant(db, participant)),
            ).fetchone()
        if row is None:
            return None
        return Answer(
            row["answer_left"] == row["fake_left"],
            "left" if row["fake_left"] else "right",
            row["kind"] == "practice",
        )

    def picture(self, participant: str, token: str) -> bytes | None:
        """A picture of a trial that is open, as JPEG; None for any other token.

        Both pictures of a trial have as many bytes, for the true length could tell them apart.
        """
        with self._transaction() as db:
            trial = db.execute(
                "SELECT * FROM trial WHERE ? IN (left_token, right_token) AND participant = ?"
                " AND state IN ('planned', 'shown')",
                (token, _participant(db, participant)),
            ).fetchone()
            if trial is None:
                return None
            pictures = dict(
                db.execute("SELECT method, jpeg FROM picture WHERE photo = ?", (trial["photo"],))
            )
        real = pictures[0]
        if trial["method"] is None:
            fake = _encode(obvious_fake(_decode(real)))
        else:
            fake = pictures[trial["method"]]
        is_fake = bool(trial["fake_left"]) == (token == trial["left_token"])
        # Decoders end at the end-of-image marker.
        return bytes((fake if is_fake else real).ljust(max(len(fake), len(real)), b"\0"))

    # --- inside ---

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with _immediate(self._db):
                    yield self._db
            except sqlite3.Error as error:
                raise StudyError(
                    f"{self.path}: cannot be used: {error}; "
                    "check that it is there, that you may write to it and that there is space left"
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
                _add_trial(db, participant, row["position"], instead)


def _add_trial(
    db: sqlite3.Connection, participant: int | None, position: int, trial: Planned
) -> None:
    tokens = [secrets.token_urlsafe(16) for _ in range(3)]
    db.execute(
        "INSERT INTO trial (participant, position, kind, photo, method, fake_left,"
        " token, left_token, right_token) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (participant, position, trial.kind, trial.photo, trial.method, trial.fake_left, *tokens),
    )


def _participant(db: sqlite3.Connection, token: str) -> int | None:
    row = db.execute("SELECT id FROM participant WHERE token = ?", (token,)).fetchone()
    return None if row is None else int(row["id"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _check_enough(photos: int, settings: StudySettings) -> None:
    if photos < settings.photos:
        raise StudyError(
            f"{photos} photos are there in pairs, and a participant needs {settings.photos} "
            f"(practice {settings.practice}, counted {settings.trials}, catch {settings.catch}; "
            "none twice): lower --trials, or give more photos"
        )


# --- the file -------------------------------------------------------------------------------------


def _connect(path: Path, mode: Literal["ro", "rw", "rwc"]) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,  # transactions are begun and ended here, not guessed by the module
        timeout=10,
        check_same_thread=False,
    )
    db.row_factory = sqlite3.Row
    return db


@contextlib.contextmanager
def _immediate(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that holds the right to write from its beginning."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # some errors have ended it already
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def open_database(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    if not path.is_file():
        raise StudyError(f"{path}: no such study; begin one with `photochrom study serve`")
    db = None
    try:
        db = _connect(path, mode)
        ours = db.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION_ID
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if ours and version == _SCHEMA_VERSION:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            return db
        problem = (
            f"is of version {version} and this photochrom knows {_SCHEMA_VERSION}; use the "
            "photochrom that made it"
            if ours
            else "is not a study's database; give a file that `photochrom study serve` made"
        )
    except sqlite3.OperationalError as error:
        problem = f"cannot be opened: {error}; check that you may read and write it and its folder"
    except sqlite3.DatabaseError as error:
        problem = f"is no database, or damaged ({error}); restore it from a copy"
    if db is not None:
        db.close()
    raise StudyError(f"{path}: {problem}")


def _fill(
    db: sqlite3.Connection,
    pairs: Pairs,
    settings: StudySettings,
    progress: Callable[[Iterable[str]], Iterable[str]],
) -> None:
    db.executescript(_SCHEMA)
    db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    with _immediate(db):
        db.execute(
            "INSERT INTO study VALUES (?, ?, ?)",
            (json.dumps(asdict(settings)), secrets.token_urlsafe(16), _now()),
        )
        db.executemany("INSERT INTO method VALUES (?, ?)", enumerate((REAL, *pairs.methods)))
        usable, problems = 0, []
        for photo, name in enumerate(progress(pairs.files), 1):
            paths = pairs.files[name]
            pictures, problem = _pictures(paths, settings.side)
            db.execute("INSERT INTO photo VALUES (?, ?, ?)", (photo, name, problem))
            db.executemany(
                "INSERT INTO picture VALUES (?, ?, ?, ?)",
                (
                    (photo, method, _sha256(path), jpeg)
                    for method, (path, jpeg) in enumerate(zip(paths, pictures, strict=True))
                ),
            )
            usable += problem is None
            problems += [problem] if problem else []
        try:
            _check_enough(usable, settings)
        except StudyError as error:
            for problem in problems:
                error.add_note(f"left out: {printable(problem)}")
            raise


def _pictures(paths: Sequence[Path], side: int) -> tuple[Sequence[bytes | None], str | None]:
    """The pictures of a photo, or why there are none."""
    try:
        pictures = _shown(paths, side)
    except PhotoError as error:
        # A name that is no text cannot be stored as one.
        return [None] * len(paths), str(error).encode(errors="replace").decode()
    if _mean_chroma(color.rgb_to_lab(_decode(pictures[0]))) < GRAY_CHROMA:
        return [None] * len(paths), f"{paths[0]}: has no color of its own"
    return pictures, None


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def publish_file(temporary: Path, target: Path, force: bool) -> None:
    """As `image.publish`, with errors for the user."""
    from photochrom.image import publish

    try:
        publish(str(temporary), str(target), force)
    except FileExistsError:
        raise StudyError(f"{target}: exists; use --force or give another name") from None
    except OSError as error:
        raise StudyError(
            f"{target}: cannot be written: {error.strerror}; choose another folder"
        ) from error
