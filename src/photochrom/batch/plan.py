"""The plan: which photos to color, which are done, which are refused."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from photochrom.batch.job import Chosen, Job, identity, result_name
from photochrom.batch.manifest import read_manifests
from photochrom.errors import PhotoError

__all__ = ["ALTERED", "Step", "found_result", "plan", "unknown_result"]

ALTERED = "done, but changed since"


class Step(NamedTuple):
    """What to do with a photo, and why."""

    job: Job
    do: Literal["color", "skip", "fail"]
    reason: str = ""
    error: PhotoError | None = None
    """Why it fails."""

    @property
    def why(self) -> str:
        """The reason, in words."""
        return self.reason if self.error is None else str(self.error)


def _refused(job: Job, problem: str, remedy: str) -> Step:
    return Step(job, "fail", error=PhotoError(problem, remedy))


def plan(
    photos: Iterable[tuple[str, str]],
    settings: Chosen,
    folder: str | None,
    *,
    shard: tuple[int, int] = (1, 1),
    force: bool = False,
) -> Iterator[Step]:
    """Compare photos with existing results; nothing is written, and no photo is read.

    Parameters
    ----------
    photos : (source, target) each
    settings : the settings of this run
    folder : where the manifests are; None if there are none
    shard : (i, n), the i-th of n equal parts. The part of a photo depends only on the name of its
        result, so that all runs agree even if photos are added meanwhile.
    force : color all photos, whatever exists
    """
    known = read_manifests(folder) if folder is not None else {}
    photos = list(dict.fromkeys(photos))
    owners = _owners(photos)
    # With force, any file is replaced but an original.
    originals = {identity(source) for source, _ in photos} - {None} if force else set()
    for source, target in photos:
        result = target if folder is None else result_name(target, folder)
        if _shard_of(result, shard[1]) != shard[0]:
            continue
        job = Job(source, target, result, known.get(result), force)
        if identity(target) is not None and identity(target) == identity(source):
            problem = f"{source}: the result would overwrite the photo"
            yield _refused(job, problem, "choose another output folder")
        elif owners[target] != source:
            problem = f"{source}: {owners[target]} would have the same result, {target}"
            yield _refused(job, problem, "rename one of them")
        elif force and identity(target) in originals:
            problem = f"{target}: is one of the photos, and originals are never overwritten"
            yield _refused(job, problem, "choose another output folder")
        else:
            yield _compare(job, settings)


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


def _compare(job: Job, settings: Chosen) -> Step:
    known = job.known
    there = found_result(job)
    if there is None:
        return Step(job, "color", "new" if known is None else "its result is missing")
    if stat.S_ISDIR(there.st_mode):
        return _refused(job, f"{job.source}: the result {job.target} is a folder", "move it away")
    if job.force:
        return Step(job, "color", "forced")
    if known is None:
        return Step(job, "fail", error=unknown_result(job))
    if known.settings != settings.key:
        return Step(job, "color", "other settings")
    try:
        same = known.source_file.is_untouched(os.stat(job.source))
    except OSError:
        same = False
    if not same or known.source != os.path.abspath(job.source):
        return Step(job, "color", "may be another photo")
    altered = there.st_size != known.result_file.size
    return Step(job, "skip", ALTERED if altered else "done")


def found_result(job: Job) -> os.stat_result | None:
    """The file in the place of the result; None if there is none, or an empty one of ours."""
    try:
        there = os.lstat(job.target)
    except OSError:
        return None
    empty = stat.S_ISREG(there.st_mode) and there.st_size == 0
    return None if empty and job.known is not None else there


def unknown_result(job: Job) -> PhotoError:
    """The error for a file that has the name of the result, and that no manifest knows."""
    return PhotoError(
        f"{job.source}: {job.target} exists but is not a known result",
        "move it away, or use --force to replace it",
    )
