"""The plan: which photos to color, which are done, which are refused."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from photochrom._version import __version__
from photochrom.batch.history import History, home_of, read_history
from photochrom.batch.job import (
    Chosen,
    Job,
    Known,
    OwnColor,
    Past,
    Places,
    Settings,
    identity,
    result_name,
)
from photochrom.batch.sidecar import Sidecars, with_sidecar
from photochrom.errors import PhotoError

__all__ = [
    "ALTERED",
    "Rules",
    "Step",
    "found_result",
    "lacking",
    "other_color",
    "plan",
    "unknown_result",
]

ALTERED = "done, but changed since"
MOST_NAME = 255
"""Bytes of a file name on nearly all file systems."""


class Step(NamedTuple):
    """What to do with a photo, and why."""

    job: Job
    do: Literal["color", "skip", "fail"]
    reason: str = ""
    tally: Literal["", "done", "failed before", "color photos", "need an extra"] = ""
    """What it counts as, if there is nothing to do or it cannot be done."""
    error: PhotoError | None = None
    """Why it fails."""

    @property
    def why(self) -> str:
        """The reason, in words."""
        return self.reason if self.error is None else str(self.error)


@dataclass(frozen=True)
class Rules:
    """What else decides the plan.

    Attributes
    ----------
    shard : (i, n), the i-th of n equal parts. The part of a photo depends only on the name of its
        result, so that all runs agree even if photos are added meanwhile.
    force : color all photos, whatever exists
    retry : try again what failed before
    color : what to do with color photos
    noun : what a source is, in messages
    """

    shard: tuple[int, int] = (1, 1)
    force: bool = False
    retry: bool = False
    color: OwnColor = "recolor"
    noun: str = "photo"


def plan(
    photos: Iterable[tuple[str, str]],
    settings: Chosen,
    folder: str | None,
    rules: Rules | None = None,
    history: History | None = None,
) -> Iterator[Step]:
    """Compare photos with existing results; nothing is written, and no photo is read.

    Parameters
    ----------
    photos : (source, target) each
    settings : the settings of this run
    folder : where the manifest of this run is; None if every result has its own, in its folder or
        above it
    rules : what else decides
    history : what is known of the targets; None to read it
    """
    rules = rules or Rules()
    photos = list(dict.fromkeys(photos))
    places = Places()
    if history is None:
        history = read_history(places.of(target) for _, target in photos)
    owners = _owners(photos)
    # With force, any file is replaced but an original.
    originals = {identity(source) for source, _ in photos} - {None} if rules.force else set()
    homes: dict[str, str] = {}
    starts: dict[str, str] = {}
    sidecars = Sidecars()
    for source, target in photos:
        place = places.of(target)
        home = folder
        if home is None:
            inside = os.path.dirname(place)
            home = homes.get(inside) or homes.setdefault(inside, home_of(inside))
        start = starts.get(home) or starts.setdefault(home, os.path.join(os.path.abspath(home), ""))
        # The long way takes a tenth of the plan of a large archive.
        below = os.sep == "/" and place.startswith(start)
        result = place[len(start) :] if below else result_name(target, home)
        if rules.shard[1] > 1 and _shard_of(result, rules.shard[1]) != rules.shard[0]:
            continue
        job = Job(source, target, result, history.known.get(place), rules.force)
        seen = _Seen.of(job, places)
        refused = _refused(job, seen, owners[target], originals, rules.noun)
        if refused is not None:
            yield Step(job, "fail", error=refused)
            continue
        try:
            if isinstance(settings, Settings) and sidecars.beside(source):
                job = job._replace(settings=with_sidecar(source, settings))
        except PhotoError as error:
            yield Step(job, "fail", error=error)
            continue
        past = history.past.get(place)
        if past is not None and not seen.is_as_in(past):
            past = None  # it was another photo, or the photo has changed since
        yield _compare(job, seen, job.settings or settings, rules, past)


class _Seen(NamedTuple):
    """The states of two files; None if there is no such file."""

    place: str  # absolute path of the source
    source: os.stat_result | None
    target: os.stat_result | None  # of a link, not of what it leads to

    @classmethod
    def of(cls, job: Job, places: Places) -> _Seen:
        """Look at the files of a job."""
        place = places.of(job.source)
        return cls(place, _state(job.source, os.stat), _state(job.target, os.lstat))

    def is_as_in(self, said: Known | Past) -> bool:
        """Whether a line in a manifest is about the photo as it is now."""
        state = said.source_file
        if self.source is None or state is None or said.source != self.place:
            return False
        return state.is_untouched(self.source)


def _state(path: str, look: Callable[[str], os.stat_result]) -> os.stat_result | None:
    try:
        return look(path)
    except (OSError, ValueError):
        return None


def _refused(
    job: Job, seen: _Seen, owner: str, originals: set[tuple[int, int] | None], noun: str
) -> PhotoError | None:
    """Why a photo cannot have the result that is asked for; None if it can."""
    source, target = job.source, job.target
    there = None if seen.target is None else (seen.target.st_dev, seen.target.st_ino)
    if seen.target is not None and stat.S_ISLNK(seen.target.st_mode):
        there = identity(target)
    itself = None if seen.source is None else (seen.source.st_dev, seen.source.st_ino)
    if there is not None and there == itself:
        problem = f"{source}: the result would overwrite the {noun}"
        return PhotoError(problem, "choose another output folder")
    if owner != source:
        problem = f"{source}: {owner} would have the same result, {target}"
        return PhotoError(problem, "rename one of them")
    if job.force and there in originals:
        problem = f"{target}: is one of the {noun}s, and originals are never overwritten"
        return PhotoError(problem, "choose another output folder")
    size = len(os.fsencode(os.path.basename(target)))
    if size > MOST_NAME:
        return PhotoError(
            f"{source}: the name of its result has {size} bytes, and file systems allow "
            f"{MOST_NAME}",
            f"shorten the name of the {noun}, or name another output folder with -o",
        )
    return None


def _owners(photos: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The source that gets each target: the first with the same extension, or else the first."""
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


def _compare(job: Job, seen: _Seen, settings: Chosen, rules: Rules, past: Past | None) -> Step:
    """What to do; `past` is what came of trying the same photo."""
    known, there = job.known, _result_in(seen.target, job)
    if past is not None and not job.force:
        step = _settled(job, settings, rules, past)
        if step is not None:
            return step
    if there is None:
        if (needs := lacking(job)) is not None:
            return Step(job, "fail", "", "need an extra", needs)
        return Step(job, "color", "new" if known is None else "its result is missing")
    if stat.S_ISDIR(there.st_mode):
        error = PhotoError(f"{job.source}: the result {job.target} is a folder", "move it away")
        return Step(job, "fail", error=error)
    if job.force:
        return Step(job, "color", "forced")
    if known is None:
        return Step(job, "fail", error=unknown_result(job))
    if known.settings != settings.key or other_color(known.own_color, rules.color):
        return Step(job, "color", "other settings")
    if not seen.is_as_in(known):
        return Step(job, "color", f"may be another {rules.noun}")
    altered = there.st_size != known.result_file.size
    return Step(job, "skip", ALTERED if altered else "done", "done")


def other_color(done: str, wanted: OwnColor) -> bool:
    """Whether a color photo was treated in another way than is asked for now."""
    return done not in ("", wanted) and wanted != "skip"


def _settled(job: Job, settings: Chosen, rules: Rules, past: Past) -> Step | None:
    """What an earlier try has settled for now; None if it is worth another one."""
    if not past.error:
        left = rules.color == "skip"
        return Step(job, "skip", "a color photo", "color photos") if left else None
    if rules.retry or past.version != __version__ or past.settings != settings.key:
        return None
    if past.extra:
        return Step(job, "skip", past.error, "need an extra") if lacking(job) else None
    return Step(job, "skip", f"failed before: {past.error}", "failed before")


def lacking(job: Job) -> PhotoError | None:
    """The error for a photo that needs an extra, by the names; None if it needs none."""
    from photochrom.photo.formats.table import format_of

    for path in (job.source, job.target):
        form = format_of(path)
        if form is not None and form.extra:
            try:
                form.check(path)
            except PhotoError as error:
                return error
    return None


def found_result(job: Job) -> os.stat_result | None:
    """The file in the place of the result; None if there is none, or an empty one of ours."""
    return _result_in(_state(job.target, os.lstat), job)


def _result_in(there: os.stat_result | None, job: Job) -> os.stat_result | None:
    empty = there is not None and stat.S_ISREG(there.st_mode) and there.st_size == 0
    return None if empty and job.known is not None else there


def unknown_result(job: Job) -> PhotoError:
    """The error for a file that has the name of the result, and that no manifest knows."""
    return PhotoError(
        f"{job.source}: {job.target} exists but is not a known result",
        "move it away, or use --force to replace it",
        retry=True,
    )
