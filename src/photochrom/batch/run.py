"""Many photos at once: a process per core, and a second chance where memory ran out."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from photochrom.batch.job import Attempt, FileState, Job
from photochrom.batch.work import Coloring, Outcome
from photochrom.pool import Crew, spread

__all__ = ["Pace", "color", "lasting"]

_SIGKILL = 9  # Windows has no name for it


@dataclass(frozen=True)
class Pace:
    """How the work is done.

    Attributes
    ----------
    workers : processes, at least 1; each holds one photo in memory, decoded and as floats
    timeout : seconds that a photo may take; then it has failed, and its worker is replaced
    """

    workers: int
    timeout: float | None = None


def color(
    jobs: Sequence[Job],
    work: Coloring,
    pace: Pace,
    stop: Callable[[], int] = lambda: 0,
    crew: Crew | None = None,
) -> Generator[tuple[Job, Outcome]]:
    """Do all jobs, as many at once as there are workers.

    If a worker is killed, as the kernel does when memory is short, its photo is tried again at the
    end, alone.

    Parameters
    ----------
    jobs : the jobs of `plan` to do
    work : colors a photo
    pace : how many at once, and for how long
    stop : called before each job; unless it returns 0, only the photos in progress are finished
    crew : processes that have started already; None to start them now
    """
    crew = crew or Crew(threads=work.engine.threads)
    clean = False
    ended = False  # the disk is full, or the like: no other photo would fare better

    def going(jobs: Sequence[Job]) -> Iterator[Job]:
        for job in jobs:
            if ended or stop():
                return
            yield job

    try:
        killed: list[Job] = []
        deaths = 0
        for round_jobs, most in ((jobs, pace.workers), (killed, 1)):
            count = min(most, len(round_jobs))
            results = spread(work, going(round_jobs), count, crew=crew, timeout=pace.timeout)
            with closing(results):
                for job, outcome in results:
                    if isinstance(outcome, Outcome):
                        ended = ended or bool(outcome.stop)
                        yield job, outcome
                        continue
                    deaths += 1
                    if outcome.exit_code == -_SIGKILL and not outcome.late and round_jobs is jobs:
                        killed.append(job)
                        continue
                    message = _late(job, pace) if outcome.late else _died(job, outcome.exit_code)
                    yield job, work.failed(job, message, lasting(job, message))
        clean = not deaths
    finally:
        if not clean:
            work.manifest.sweep({os.path.dirname(job.target) for job in jobs})


def _late(job: Job, pace: Pace) -> str:
    return (
        f"{job.source}: took longer than {pace.timeout:g} seconds; try it alone, or allow more "
        "time with --timeout"
    )


def _died(job: Job, exit_code: int | None) -> str:
    return (
        f"{job.source}: a worker died on this photo (exit code {exit_code}), from too little "
        "memory or a damaged file; try the photo alone, or use fewer --workers"
    )


def lasting(job: Job, message: str) -> Attempt:
    """A failure that is remembered as long as the photo does not change."""
    try:
        return Attempt(0.0, source=FileState.of(job.source), error=message)
    except OSError:
        return Attempt(0.0, error=message)
