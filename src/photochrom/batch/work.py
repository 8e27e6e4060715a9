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
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from photochrom.batch.job import FileState, Job, Known, Settings
from photochrom.batch.manifest import Manifest
from photochrom.batch.plan import found_result, unknown_result
from photochrom.errors import PhotochromError, PhotoError
from photochrom.pool import Crew, spread

if TYPE_CHECKING:
    from photochrom.colorizer import Colorizer

__all__ = ["Coloring", "Outcome", "color"]


class Outcome(NamedTuple):
    """What came of a job."""

    kind: Literal["done", "skipped", "failed"]
    error: str = ""
    notes: tuple[str, ...] = ()  # what of the photo the result does not have


def prepare() -> None:
    """Load what coloring needs: for a process that has nothing else to do yet."""
    import photochrom.colorizer
    import photochrom.photo.open  # noqa: F401


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
            message = f"{job.source}: not enough memory; use fewer --workers"
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
        from photochrom.photo.losses import losses
        from photochrom.photo.read import read_photo

        manifest, settings = self.manifest, self.settings
        replace = job.force
        if manifest is None:
            if not replace and os.path.lexists(job.target):
                raise PhotoError(unknown_result(job))
            draft, ready = None, None
        else:
            before = self._look(job.source)
            if found_result(job) is not None and not job.force:
                if job.known is None:
                    raise PhotoError(unknown_result(job))
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
                    raise PhotoError(
                        f"{job.source}: changed while it was being read; run this again"
                    )
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
                f"{job.target}: its folder cannot be created: {error.strerror}; choose an "
                "output folder that is writable and has free space"
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
                f"{job.source}: {job.target} has changed since it was made; move it away, or "
                "use --force to replace it"
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
                            f"{job.source}: took longer than {timeout:g} seconds; try it "
                            "alone, or allow more time with --timeout"
                        )
                        yield job, work.failed(job, message)
                        continue
                    if outcome.exit_code == -signal.SIGKILL and round_jobs is jobs:
                        killed.append(job)
                        continue
                    message = (
                        f"{job.source}: a worker died on this photo (exit code "
                        f"{outcome.exit_code}), from too little memory or a damaged file; try "
                        "the photo alone, or use fewer --workers"
                    )
                    yield job, work.failed(job, message)
        clean = not deaths
    finally:
        if work.manifest is not None and not clean:
            work.manifest.sweep({os.path.dirname(job.target) for job in jobs})
