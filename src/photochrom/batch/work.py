"""Many photos: folders, all cores, and a manifest from which an interrupted run resumes.

::

    find_photos ──▶ plan ──▶ color: a process per core ──▶ results, and a line each in the manifest
                      ▲                                                  │
                      └──────────── the next run reads them ◀────────────┘

The manifest is `photochrom.jsonl` in the output folder. It holds JSON lines and is only appended
to. Of the lines about one result, the last one without an error counts. It decides:

- *Order.* A result is written under the name of a draft. Then the draft and its line are brought to
  the disk, both at once. Once both are there, the draft takes the name of the result. So whatever
  is killed when, a result under its own name is whole and has a line. A line without its result is
  done again, and a torn line is skipped.
- *The same source.* Path, size and time of last change are the same, as for rsync. If one of them
  differs, the SHA-256 of the content decides: an archive that was moved or copied is not redone.
- *The same settings.* Temperature, saturation, hints, the share of the photo's own color, quality,
  working size and the SHA-256 of the model. The line also has the version of photochrom, but an
  update does not redo an archive.
- *Whose file it is.* A file is replaced only if it is, to the byte, the result of the same source
  that a line describes. Everything else needs `force`. The exception is an empty file: where there
  are no hard links, a kill can leave one that only reserved the name.
- *Several runs at once.* Each shard has its own manifest. On network drives, appends of several
  machines are not atomic, and this way no line tears another. All manifests are read. A lock on the
  manifest keeps a shard from running twice. It lasts until the last worker has ended, and its owner
  may remove the drafts that carry the number of the shard.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from photochrom.batch.job import Attempt, FileState, Job, Known, Settings
from photochrom.batch.manifest import Manifest
from photochrom.batch.plan import found_result, unknown_result
from photochrom.errors import PhotochromError, PhotoError
from photochrom.pool import Crew, spread

if TYPE_CHECKING:
    from photochrom.colorizer import Colorizer

__all__ = ["Coloring", "Outcome", "color"]

_SIGKILL = 9  # Windows has no name for it


class Outcome(NamedTuple):
    """The outcome of a job."""

    kind: Literal["done", "skipped", "failed"]
    error: str = ""
    notes: tuple[str, ...] = ()  # what the result lacks of the photo


def prepare() -> None:
    """Load what coloring needs, in a process that has no work yet."""
    import photochrom.colorizer
    import photochrom.photo.open  # noqa: F401


@dataclass(frozen=True)
class Coloring:
    """Colors one photo after another; the first one loads the model.

    Each worker gets a copy.
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
        """Color a photo; any failure becomes its outcome."""
        began = time.perf_counter()
        written: list[FileState] = []
        try:
            return self._color(job, began, written)
        except PhotochromError as error:
            failure = error
        except MemoryError:
            failure = PhotoError("not enough memory", "use fewer --workers", name=job.source)
        except Exception as error:  # one photo must never stop the others
            text = " ".join(str(error).split())
            problem = f"failed unexpectedly: {type(error).__name__}: {text}"
            failure = PhotoError(problem, name=job.source)
        seconds = time.perf_counter() - began
        return self.failed(job, failure, seconds, written[0] if written else None)

    def failed(
        self,
        job: Job,
        error: PhotochromError,
        seconds: float = 0.0,
        written: FileState | None = None,
    ) -> Outcome:
        """The outcome of a failure, with its line in the manifest.

        `written` takes back what an earlier line said about a result.
        """
        if self.manifest is not None:
            # A full disk, or no manifest any more; the screen tells it anyway.
            with contextlib.suppress(OSError, PhotoError):
                attempt = Attempt(seconds, error=str(error), result=written)
                self.manifest.append(job, self.settings, attempt)
        return Outcome("failed", str(error))

    def _color(self, job: Job, began: float, written: list[FileState]) -> Outcome:
        from photochrom.photo.losses import losses
        from photochrom.photo.read import read_photo

        manifest, settings = self.manifest, self.settings
        replace = job.force
        if manifest is None:
            if not replace and os.path.lexists(job.target):
                raise unknown_result(job)
            draft, ready = None, None
        else:
            before = self._look(job.source)
            if found_result(job) is not None and not job.force:
                if job.known is None:
                    raise unknown_result(job)
                if self._is_done(job, job.known, before):
                    result = job.known.result_file
                    seconds = time.perf_counter() - began
                    manifest.append(job, settings, Attempt(seconds, before, result))
                    return Outcome("skipped")
            # What passed _is_done is ours, and so is an empty file with a line.
            replace = replace or os.path.lexists(job.target)
            draft = manifest.draft(job.target)

            def ready(draft: str) -> None:
                try:
                    now = os.stat(job.source)
                except OSError as error:
                    raise PhotoError(
                        f"{job.source}: has gone while it was being colored: {error.strerror}",
                        "put it back, and run this again",
                    ) from None
                if not before.is_untouched(now):
                    raise PhotoError(
                        f"{job.source}: changed while it was being read", "run this again"
                    )
                result = FileState.of(draft)
                seconds = time.perf_counter() - began
                attempt = Attempt(seconds, before, result, notes=notes)
                manifest.append(job, settings, attempt)
                written.append(result)

        photo = read_photo(job.source)
        notes = tuple(losses(photo, job.target, settings.model))
        try:
            os.makedirs(os.path.dirname(job.target) or ".", exist_ok=True)
        except OSError as error:
            raise PhotoError(
                f"{job.target}: its folder cannot be created: {error.strerror}",
                "choose an output folder that is writable and has free space",
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
            from photochrom.photo.read import read_photo

            read_photo(source)  # says what is wrong with it
            raise

    def _is_done(self, job: Job, known: Known, source: FileState) -> bool:
        """Whether the result is of this photo and these settings. Raises PhotoError if not ours."""
        if source.sha256 == known.source_file.sha256 and known.settings == self.settings.key:
            return True
        moved = known.source != os.path.abspath(job.source)
        if moved and source.sha256 != known.source_file.sha256:
            raise PhotoError(
                f"{job.source}: {job.target} is the result of another photo, {known.source}",
                "choose another output folder, or use --force to replace it",
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
                f"{job.source}: {job.target} has changed since it was made",
                "move it away, or use --force to replace it",
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

    If a worker is killed, as the kernel does when memory is short, its photo is tried again at the
    end, alone.

    Parameters
    ----------
    jobs : the jobs of `plan` to do
    work : colors a photo
    workers : processes, at least 1; each holds one photo in memory, decoded and as floats
    stop : called before each job; unless it returns 0, only the photos in progress are finished
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
                        late = PhotoError(
                            f"took longer than {timeout:g} seconds",
                            "try it alone, or allow more time with --timeout",
                            name=job.source,
                        )
                        yield job, work.failed(job, late)
                        continue
                    if outcome.exit_code == -_SIGKILL and round_jobs is jobs:
                        killed.append(job)
                        continue
                    died = PhotoError(
                        f"a worker died on this photo (exit code {outcome.exit_code}), from too "
                        "little memory or a damaged file",
                        "try the photo alone, or use fewer --workers",
                        name=job.source,
                    )
                    yield job, work.failed(job, died)
        clean = not deaths
    finally:
        if work.manifest is not None and not clean:
            work.manifest.sweep({os.path.dirname(job.target) for job in jobs})
