"""Many photos: folders, all cores, and a manifest from which an interrupted run goes on.

::

    find_photos ──▶ plan ──▶ color: a process a core ──▶ results, and a line each in the manifest
                      ▲                                                  │
                      └──────────── the next run reads them ◀────────────┘

The manifest is `photochrom.jsonl` in the output folder: JSON lines, only ever appended to; of the
lines of one result the last one without an error counts. What is decided by it:

- *Order.* A result is written under a draft's name; then it and its line are brought to the disk,
  both at once; when both are there, it gets its name. So whatever is killed when, a result that has
  a name is whole and has a line. A line whose result is missing is done again, a torn line is
  passed over.
- *The same source.* The same path, size and time of last change, as rsync has it. Where one of them
  differs, the SHA-256 of the content decides: an archive that was moved or copied is not done anew.
- *The same settings.* Temperature, saturation, hints, the share of the photo's own color, quality,
  working size and the SHA-256 of the model.
  The version of photochrom and the device are noted, but an update does not redo an archive.
- *Whose file it is.* A file is replaced only if it is, to the byte, the result that a line tells
  of, and of the same source. All else needs `force`. An empty file is nobody's result, though:
  where there are no hard links, a kill can leave one that only held the name.
- *Several runs at once.* Each shard has a manifest of its own, so that even on network drives,
  where appending is not atomic between machines, no line is torn by another; all are read. A lock
  on it (flock) keeps the same shard from running twice. It lasts as long as the last worker, and
  who holds it may clear away the drafts that carry the shard's number.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import multiprocessing
import os
import re
import secrets
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from photochrom._version import __version__
from photochrom.errors import ConfigError, PhotochromError, PhotoError
from photochrom.pool import Crew, spread

if TYPE_CHECKING:
    from photochrom.colorizer import Colorizer, Hint

if sys.platform != "win32":
    import fcntl

__all__ = [
    "MANIFEST",
    "Coloring",
    "Job",
    "Manifest",
    "Outcome",
    "Settings",
    "color",
    "find_photos",
    "plan",
    "read_manifests",
    "target_of",
    "until_stopped",
]

MANIFEST = "photochrom.jsonl"
INPUT_EXTENSIONS = frozenset({
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png",
    ".pnm", ".ppm", ".tif", ".tiff", ".webp",
})  # fmt: skip
"""What counts as a photo in a folder; what cannot be read then fails by name, and is not lost."""

# With the part of the shard, see _part.
_DRAFT = re.compile(r"\.photochrom-draft((?:-\d+-of-\d+)?)-[0-9a-f]{16}\.\w+")
_LOCK_TRIES = 30  # a tenth of a second each: the workers of a killed run have to end first


# --- which photos, and where to -------------------------------------------------------------------


def find_photos(
    folder: str,
    skip: str | None = None,
    problem: Callable[[str], None] = lambda text: None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[str]:
    """Photos of a folder tree in order, by their names; links to folders are not followed.

    Parameters
    ----------
    folder : where to look; what lies in `skip`, hidden files and results are left out. A result is
        what the manifest in the folder says, and, where results lie beside the photos, what has the
        name of one whose photo is there: NAME.color.EXT of NAME.EXT. Below the folder, what another
        manifest says: the output of an earlier run among the photos.
    skip : the output folder; None if results lie beside the photos
    problem : told of each folder that cannot be read
    note : told of each folder that is left out because it is a link, or has results left out
    """
    output = _identity(skip) if skip is not None else None

    def unreadable(error: OSError) -> None:
        problem(f"{error.filename}: the folder cannot be read: {error.strerror}")

    known: Container[str] | None = None  # read when it is needed
    earlier: dict[str, Container[str]] = {}  # what the manifests of folders below say
    told: set[str] = set()
    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        if here != folder and _manifests(here):
            earlier[here] = read_manifests(here)
        above = [
            base for base in earlier if os.path.join(here, "").startswith(os.path.join(base, ""))
        ]
        for name in list(folders):
            path = os.path.join(here, name)
            if output is not None and _identity(path) == output:
                folders.remove(name)
            elif os.path.islink(path):
                note(f"{path}: a link to a folder is not followed; name it as an input")
        beside = {target_of(name, "", True) for name in files} if skip is None else set()
        for name in sorted(files):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() not in INPUT_EXTENSIONS or name.startswith("."):
                continue
            path = os.path.join(here, name)
            if base := next((b for b in above if _result(path, b) in earlier[b]), None):
                if base not in told:
                    note(f"{base}: results of an earlier run are left out; name it as an input")
                told.add(base)
                continue
            if stem.endswith(".color"):
                known = read_manifests(folder) if known is None else known
                if name in beside or _result(path, folder) in known:
                    continue
            yield path


def _result(path: str, folder: str) -> str:
    """As a manifest in a folder calls a file."""
    return Path(os.path.relpath(path, folder)).as_posix()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def target_of(source: str, folder: str, beside: bool) -> str:
    """NAME.color.EXT beside the photo, else its own name; PNG where EXT cannot be written."""
    from photochrom import heif
    from photochrom.image import EXTENSIONS

    stem, suffix = os.path.splitext(os.path.basename(source))
    suffix = suffix if suffix.lower() in (*EXTENSIONS, *heif.EXTENSIONS) else ".png"
    return os.path.join(folder, f"{stem}{'.color' if beside else ''}{suffix}")


# --- the manifest ---------------------------------------------------------------------------------


class FileState(NamedTuple):
    """What a file was like."""

    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: str) -> FileState:
        """Raises OSError, also for what is not an ordinary file: a pipe would be waited for."""
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a file", path)
        with open(path, "rb") as file:
            return cls(
                status.st_size, status.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()
            )

    def is_untouched(self, status: os.stat_result) -> bool:
        """Whether size and time of last change are still the same."""
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


class Known(NamedTuple):
    """What the manifest says of a result."""

    source: str  # absolute path
    source_file: FileState
    result_file: FileState
    settings: str  # Settings.key
    time: str


@dataclass(frozen=True)
class Settings:
    """What decides the pixels of a result, apart from the photo."""

    temperature: float
    saturation: float
    hints: tuple[Hint, ...]
    working_size: int
    model: str
    model_sha256: str
    keep_color: float = 0.0
    quality: int | None = None

    @classmethod
    def of(
        cls,
        colorizer: Colorizer,
        temperature: float,
        saturation: float,
        hints: Sequence[Hint],
        keep_color: float = 0.0,
        quality: int | None = None,
    ) -> Settings:
        """The settings of a colorizer with these for rendering.

        Raises
        ------
        ConfigError
            A temperature or saturation that is negative or not finite, a share or a quality that
            is none.
        """
        from photochrom.colorizer import check_keep, check_settings
        from photochrom.writing import check_quality

        check_settings(temperature, saturation)
        check_keep(keep_color)
        check_quality(quality)
        with colorizer.model.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(
            float(temperature),
            float(saturation),
            tuple((float(x), float(y), tuple(float(v) for v in rgb)) for x, y, rgb in hints),
            colorizer.working_size,
            colorizer.info.name,
            digest,
            float(keep_color),
            quality,
        )

    @property
    def fields(self) -> dict[str, Any]:
        """As the manifest has them."""
        return {
            "settings": {
                "temperature": self.temperature,
                "saturation": self.saturation,
                "hints": self.hints,
                "size": self.working_size,
                "keep_color": self.keep_color,
                "quality": self.quality,
            },
            "model": {"name": self.model, "sha256": self.model_sha256},
        }

    @cached_property
    def key(self) -> str:
        """Equal for settings that give equal results."""
        return _settings_key(self.fields)


def _settings_key(fields: dict[str, Any]) -> str:
    return json.dumps([fields["settings"], fields["model"]["sha256"]], sort_keys=True)


class Manifest:
    """The manifest of one shard in an output folder, open for appending and locked.

    Parameters
    ----------
    folder : the output folder, made if missing
    shard : (i, n), the i-th of n

    Raises
    ------
    ConfigError
        Another run is at work on the same shard.
    PhotoError
        The folder or the manifest cannot be written.

    Notes
    -----
    It can be sent to a process that is being started; the lock then lasts until both have ended.
    """

    def __init__(self, folder: str | os.PathLike[str], shard: tuple[int, int] = (1, 1)) -> None:
        self.folder = os.fspath(folder)
        name, extension = os.path.splitext(MANIFEST)
        part = "" if shard == (1, 1) else f"-{shard[0]}-of-{shard[1]}"
        self.path = os.path.join(self.folder, f"{name}{part}{extension}")
        try:
            os.makedirs(self.folder, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            self._descriptor = os.open(self.path, flags, 0o666)
            try:
                self._locked = self._lock(_LOCK_TRIES)
                end = os.lseek(self._descriptor, 0, os.SEEK_END)
                if end and os.pread(self._descriptor, 1, end - 1) != b"\n":
                    os.write(self._descriptor, b"\n")  # after a line that a kill has torn
            except BaseException:
                self.close()
                raise
        except OSError as error:
            raise PhotoError(
                f"{error.filename or self.path}: cannot be written: {error.strerror}; choose an "
                "output folder that you may write to and that has space left"
            ) from error

    def _lock(self, tries: int) -> bool:
        """Whether it is locked now; not every network drive can."""
        if sys.platform == "win32":
            return False
        for left in reversed(range(tries)):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if left:
                    time.sleep(0.1)
            except OSError:
                return False
        raise ConfigError(
            f"{self.path}: another run is at work on it; wait, or share the work with --shard"
        )

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back, unless a worker still has it."""
        os.close(self._descriptor)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if sys.platform == "win32":
            del state["_descriptor"]
        else:  # the same open file, so that it is the same lock
            state["_descriptor"] = multiprocessing.reduction.DupFd(self._descriptor)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if sys.platform == "win32":
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)
        else:
            self._descriptor = state["_descriptor"].detach()

    def append(
        self,
        job: Job,
        settings: Settings,
        seconds: float,
        *,
        error: str | None = None,
        source: FileState | None = None,
        result: FileState | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """Add a line and bring it to the disk. Raises OSError."""
        fields = {
            "source": os.path.abspath(job.source),  # first, see _parse
            "result": job.result,
            "error": error,
            **({"notes": notes} if notes else {}),
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "seconds": round(seconds, 3),
            **settings.fields,
            "version": __version__,
            "source_file": source and source._asdict(),
            "result_file": result and result._asdict(),
        }
        line = json.dumps(fields).encode() + b"\n"
        # One write: lines of several workers follow each other and do not mix.
        if os.write(self._descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
        os.fsync(self._descriptor)

    def draft(self, target: str) -> str:
        """A name for an unfinished result, in the folder of the finished one."""
        folder, name = os.path.split(target)
        suffix = os.path.splitext(name)[1]
        part = _part(self.path)
        return os.path.join(folder, f".photochrom-draft{part}-{secrets.token_hex(8)}{suffix}")

    def sweep(self, folders: Iterable[str]) -> None:
        """Remove the drafts that killed runs have left in these folders.

        Those of a shard only while its lock is held here: another run may be writing them.
        """
        for folder in folders:
            found: dict[str, list[str]] = {}
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if draft := _DRAFT.fullmatch(entry.name):
                        found.setdefault(draft[1], []).append(entry.path)
            for part, paths in found.items():
                with contextlib.suppress(OSError), self._owned(part) as owned:
                    for path in paths if owned else ():
                        os.unlink(path)

    @contextlib.contextmanager
    def _owned(self, part: str) -> Iterator[bool]:
        """Whether nobody else works at a part; its lock is held only meanwhile, for who comes."""
        if part == _part(self.path) or sys.platform == "win32":
            yield self._locked and part == _part(self.path)
            return
        stem, extension = os.path.splitext(MANIFEST)
        with open(os.path.join(self.folder, f"{stem}{part}{extension}"), "rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True


def _part(manifest: str) -> str:
    """What tells a shard's files: "-2-of-8" of photochrom-2-of-8.jsonl, nothing of the other."""
    stem = os.path.splitext(MANIFEST)[0]
    return os.path.splitext(os.path.basename(manifest))[0].removeprefix(stem)


def _manifests(folder: str) -> list[str]:
    stem, extension = os.path.splitext(MANIFEST)
    pattern = re.compile(rf"{stem}(-\d+-of-\d+)?\{extension}")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if pattern.fullmatch(name)]


def read_manifests(folder: str | os.PathLike[str]) -> dict[str, Known]:
    """What the manifests in an output folder say, by result: its path in there, with slashes.

    Raises
    ------
    PhotoError
        A manifest cannot be read.
    """
    found: dict[str, Known] = {}
    for path in _manifests(os.fspath(folder)):
        here: dict[str, Known] = {}
        try:
            with open(path, "rb") as file:
                for line in file:
                    _take(line, here)
        except OSError as error:
            raise PhotoError(
                f"{path}: cannot be read: {error.strerror}; change its permissions"
            ) from error
        # Within a manifest the order counts; only between two of them there is but the time.
        for result, known in here.items():
            if result not in found or found[result].time <= known.time:
                found[result] = known
    return found


def _take(line: bytes, found: dict[str, Known]) -> None:
    """Add what a line says; what is no whole line says nothing."""
    # A line torn by a full disk stands before the next one. Within a JSON string the quotes would
    # have backslashes, so this is the beginning of a line for sure.
    text = line[max(0, line.rfind(b'{"source": ')) :]
    try:
        fields = json.loads(text)
        result = fields["result"]
        source_file, result_file = (
            fields[name] and FileState(**fields[name]) for name in ("source_file", "result_file")
        )
        known = Known(
            fields["source"],
            source_file,
            result_file,
            sys.intern(_settings_key(fields)),  # 100,000 lines mostly have one
            fields["time"],
        )
        if not isinstance(result, str) or not isinstance(known.time, str):
            return
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    if not fields.get("error"):
        if source_file and result_file:
            found[result] = known
    elif result_file and result in found and found[result].result_file == result_file:
        del found[result]  # the line was there already when the result did not get its name


# --- what is to do --------------------------------------------------------------------------------


class Job(NamedTuple):
    """One photo to color."""

    source: str
    target: str
    result: str  # the target as the manifest names it
    known: Known | None = None
    force: bool = False


ALTERED = "done, and changed by others since"


class Step(NamedTuple):
    """What is to be done about a photo, and why."""

    job: Job
    do: Literal["color", "skip", "fail"]
    why: str


def plan(
    photos: Iterable[tuple[str, str]],
    settings: Settings,
    folder: str | None,
    *,
    shard: tuple[int, int] = (1, 1),
    force: bool = False,
) -> Iterator[Step]:
    """Compare photos with what is there; nothing is written, and no photo is read.

    Parameters
    ----------
    photos : (source, target) each
    settings : of this run
    folder : of the manifests; None if there are none
    shard : (i, n): of n equal parts the i-th. Which one a photo belongs to depends on nothing but
        the name of its result, so that all runs agree even if photos are added meanwhile.
    force : color all, whatever is there
    """
    known = read_manifests(folder) if folder is not None else {}
    photos = list(dict.fromkeys(photos))
    owners = _owners(photos)
    # With force a file is replaced unseen, but an original never.
    originals = {_identity(source) for source, _ in photos} - {None} if force else set()
    for source, target in photos:
        result = target if folder is None else Path(os.path.relpath(target, folder)).as_posix()
        if _shard_of(result, shard[1]) != shard[0]:
            continue
        job = Job(source, target, result, known.get(result), force)
        if _identity(target) is not None and _identity(target) == _identity(source):
            yield Step(job, "fail", f"{source}: is no place for its result; choose another folder")
        elif owners[target] != source:
            yield Step(job, "fail", f"{source}: another photo, {owners[target]}, becomes {target}")
        elif force and _identity(target) in originals:
            yield Step(
                job,
                "fail",
                f"{target}: is one of the photos, and an original is never overwritten; "
                "choose another output folder",
            )
        else:
            yield _compare(job, settings)


def _owners(photos: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Which source each target belongs to: the first, but one of the very extension before it."""
    owners: dict[str, str] = {}
    for source, target in photos:
        suffix = os.path.splitext(target)[1]
        owner = owners.setdefault(target, source)
        if source.endswith(suffix) and not owner.endswith(suffix):
            owners[target] = source
    return owners


def _shard_of(result: str, n: int) -> int:
    digest = hashlib.sha256(result.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % n + 1


def _compare(job: Job, settings: Settings) -> Step:
    known = job.known
    there = _there(job)
    if there is None:
        return Step(job, "color", "new" if known is None else "its result is gone")
    if stat.S_ISDIR(there.st_mode):
        return Step(job, "fail", f"{job.source}: the result {job.target} is a folder; move it away")
    if job.force:
        return Step(job, "color", "forced")
    if known is None:
        return Step(job, "fail", _unknown(job))
    if known.settings != settings.key:
        return Step(job, "color", "other settings")
    try:
        same = known.source_file.is_untouched(os.stat(job.source))
    except OSError:
        same = False
    if not same or known.source != os.path.abspath(job.source):
        return Step(job, "color", "perhaps another photo")
    altered = there.st_size != known.result_file.size
    return Step(job, "skip", ALTERED if altered else "done")


def _there(job: Job) -> os.stat_result | None:
    """What stands in the place of the result; None if nothing does, see the top of this file."""
    try:
        there = os.lstat(job.target)
    except OSError:
        return None
    empty = stat.S_ISREG(there.st_mode) and there.st_size == 0
    return None if empty and job.known is not None else there


def _unknown(job: Job) -> str:
    return (
        f"{job.source}: the result {job.target} exists, and is not known to be one; move it away, "
        "or use --force to replace it"
    )


# --- coloring -------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What came of a job."""

    kind: Literal["done", "skipped", "failed"]
    error: str = ""
    notes: tuple[str, ...] = ()  # what of the photo the result does not have


def prepare() -> None:
    """Load what coloring needs: for a process that has nothing else to do yet."""
    import photochrom.colorizer
    import photochrom.image  # noqa: F401


@dataclass(frozen=True)
class Coloring:
    """Colors one photo after another, with a colorizer that is loaded at the first.

    It is what the workers are given.
    """

    settings: Settings
    manifest: Manifest | None
    model: str | os.PathLike[str] | None = None
    device: str = "cpu"
    threads: int = 1

    @cached_property
    def _colorizer(self) -> Colorizer:
        from photochrom.colorizer import Colorizer

        size = self.settings.working_size
        return Colorizer(self.model, self.device, working_size=size, threads=self.threads)

    def __call__(self, job: Job) -> Outcome:
        """Color a photo; whatever goes wrong becomes an outcome."""
        began = time.perf_counter()
        written: list[FileState] = []
        try:
            return self._color(job, began, written)
        except PhotochromError as error:
            message = str(error)
        except MemoryError:
            message = f"{job.source}: needs more memory than there is; use fewer --workers"
        except Exception as error:  # of a hundred thousand photos none may stop the others
            text = " ".join(str(error).split())
            message = f"{job.source}: failed unexpectedly: {type(error).__name__}: {text}"
        seconds = time.perf_counter() - began
        return self.failed(job, message, seconds, written[0] if written else None)

    def failed(
        self, job: Job, message: str, seconds: float = 0.0, written: FileState | None = None
    ) -> Outcome:
        """The outcome of a failure, which is noted in the manifest as well.

        `written` takes back what an earlier line said of a result.
        """
        if self.manifest is not None:
            with contextlib.suppress(OSError):  # a full disk: it is said on the screen all the same
                self.manifest.append(job, self.settings, seconds, error=message, result=written)
        return Outcome("failed", message)

    def _color(self, job: Job, began: float, written: list[FileState]) -> Outcome:
        from photochrom.image import losses, read_photo

        manifest, settings = self.manifest, self.settings
        replace = job.force
        if manifest is None:
            if not replace and os.path.lexists(job.target):
                raise PhotoError(_unknown(job))
            draft, ready = None, None
        else:
            before = self._look(job.source)
            if _there(job) is not None and not job.force:
                if job.known is None:
                    raise PhotoError(_unknown(job))
                if self._is_done(job, job.known, before):
                    result = job.known.result_file
                    seconds = time.perf_counter() - began
                    manifest.append(job, settings, seconds, source=before, result=result)
                    return Outcome("skipped")
            # What _is_done has let pass is ours, and so is an empty file that is known.
            replace = replace or os.path.lexists(job.target)
            draft = manifest.draft(job.target)

            def ready(draft: str) -> None:
                if not before.is_untouched(os.stat(job.source)):
                    raise PhotoError(f"{job.source}: was changed while it was read; run this again")
                result = FileState.of(draft)
                seconds = time.perf_counter() - began
                manifest.append(job, settings, seconds, source=before, result=result, notes=notes)
                written.append(result)

        photo = read_photo(job.source)
        notes = tuple(losses(photo, job.target, settings.model))
        try:
            os.makedirs(os.path.dirname(job.target) or ".", exist_ok=True)
        except OSError as error:
            raise PhotoError(
                f"{job.target}: its folder cannot be made: {error.strerror}; choose an output "
                "folder that you may write to and that has space left"
            ) from error
        self._colorizer.color_file(
            photo,
            job.target,
            settings.hints,
            settings.temperature,
            settings.saturation,
            keep_color=settings.keep_color,
            quality=settings.quality,
            force=replace,
            draft=draft,
            ready=ready,
        )
        return Outcome("done", notes=notes)

    def _look(self, source: str) -> FileState:
        try:
            return FileState.of(source)
        except OSError:
            from photochrom.image import read_photo

            read_photo(source)  # says what is wrong with it
            raise

    def _is_done(self, job: Job, known: Known, source: FileState) -> bool:
        """Whether a result is that of this very photo; if not, PhotoError unless it is ours."""
        if source.sha256 == known.source_file.sha256 and known.settings == self.settings.key:
            return True
        moved = known.source != os.path.abspath(job.source)
        if moved and source.sha256 != known.source_file.sha256:
            raise PhotoError(
                f"{job.source}: {job.target} is the result of another photo, {known.source}; "
                "choose another output folder, or use --force to replace it"
            )
        try:
            ours = (
                known.result_file.is_untouched(os.stat(job.target))
                or FileState.of(job.target).sha256 == known.result_file.sha256
            )
        except OSError:
            ours = False
        if not ours:
            raise PhotoError(
                f"{job.source}: {job.target} was changed by others since it was made; move it "
                "away, or use --force to replace it"
            )
        return False


def color(
    jobs: Sequence[Job],
    work: Coloring,
    workers: int,
    stop: Callable[[], int] = lambda: 0,
    timeout: float | None = None,
    crew: Crew | None = None,
) -> Generator[tuple[Job, Outcome]]:
    """Do all jobs, as many at once as there are workers.

    A photo at which a worker was killed, as the kernel does when memory is short, is tried again at
    the end, with no other beside it.

    Parameters
    ----------
    jobs : those of `plan` that say "color"
    work : how
    workers : processes, at least 1; each holds one photo, as decoded and as float, in memory
    stop : asked before each job; when it is not 0, what is in hand is finished and no more
    timeout : seconds that a photo may take; then it has failed, and its worker is replaced
    crew : processes that have started already; None to start them now
    """
    crew = crew or Crew(threads=work.threads)
    clean = False

    def going(jobs: Sequence[Job]) -> Iterator[Job]:
        for job in jobs:
            if stop():
                return
            yield job

    try:
        killed: list[Job] = []
        deaths = 0
        for round_jobs, most in ((jobs, workers), (killed, 1)):
            count = min(most, len(round_jobs))
            results = spread(work, going(round_jobs), count, crew=crew, timeout=timeout)
            with closing(results):
                for job, outcome in results:
                    if isinstance(outcome, Outcome):
                        yield job, outcome
                        continue
                    deaths += 1
                    if outcome.late:
                        message = (
                            f"{job.source}: took longer than {timeout:g} seconds; try it alone, or "
                            "allow more with --timeout"
                        )
                        yield job, work.failed(job, message)
                        continue
                    if outcome.exit_code == -signal.SIGKILL and round_jobs is jobs:
                        killed.append(job)
                        continue
                    message = (
                        f"{job.source}: a worker died at this photo (exit code "
                        f"{outcome.exit_code}): too little memory, or a damaged file; try it "
                        "alone, or use fewer --workers"
                    )
                    yield job, work.failed(job, message)
        clean = not deaths
    finally:
        if work.manifest is not None and not clean:
            work.manifest.sweep({os.path.dirname(job.target) for job in jobs})


@contextlib.contextmanager
def until_stopped(notice: str) -> Iterator[Callable[[], int]]:
    """Within this block, Ctrl-C and SIGTERM are only noted; a second one is a KeyboardInterrupt.

    Parameters
    ----------
    notice : said on stderr at the first

    Yields
    ------
    The number of the first, 0 if there was none.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        # Not print: the signal may have come amid one.
        with contextlib.suppress(OSError):
            os.write(2, f"\n{notice}\n".encode())

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {
        number: signal.signal(number, ask)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
