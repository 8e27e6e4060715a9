"""`photochrom colorize` on a folder: the plan, the workers, the progress."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from photochrom.cli.signals import Terminated
from photochrom.cli.terminal import fail, say, shown
from photochrom.cli.values import hint_value
from photochrom.errors import ConfigError

if TYPE_CHECKING:
    from photochrom.batch.job import Settings
    from photochrom.batch.plan import Step
    from photochrom.batch.work import Outcome
    from photochrom.pool import Crew

__all__ = ["MOST_SECONDS", "Progress", "colorize_many"]

MOST_SECONDS = 900.0
"""The default of --timeout where there are several photos."""


def colorize_many(
    options: argparse.Namespace,
    photos: list[tuple[str, str]],
    folder: str | None,
    problems: list[str],
) -> int:
    """Color photos in parallel; `folder` is where the manifest goes, None for no manifest."""
    from photochrom.batch.work import prepare
    from photochrom.cli.signals import until_stopped
    from photochrom.pool import Crew, cpus

    for problem in problems:
        fail(problem)
    if not photos:
        return fail("no photos found in the given folders")
    threads = options.threads or 1
    # One more than there are cores: a core is free while a result is written to the disk.
    workers = cpus() // threads + 1 if options.workers is None else options.workers
    if workers < 1:
        raise ConfigError(f"--workers {workers}: must be at least 1")
    if options.dry_run:
        plan, _ = _planned(options, photos, folder)
        return 1 if _dry_run(plan()) or problems else 0
    notice = "photochrom: finishing the photos in progress; press Ctrl-C again to drop them"
    # The workers start while this process loads the model and the manifest. From here on, signals
    # are only noted: an exception in the middle of an import turns into another one.
    with (
        until_stopped(notice) as stop,
        Crew(min(workers, len(photos)), threads, prepare) as crew,
    ):
        failed = _colorize_with(options, photos, folder, workers, crew, stop)
    return failed or (1 if problems else 0)


def _planned(
    options: argparse.Namespace, photos: list[tuple[str, str]], folder: str | None
) -> tuple[Callable[[], Iterator[Step]], Settings]:
    """A function that returns the plan, and the settings of this run."""
    from photochrom.batch.job import Settings
    from photochrom.batch.plan import plan
    from photochrom.colorizer import Colorizer

    hints = [hint_value(text) for text in options.hint]
    model = Colorizer(options.model, options.device, working_size=options.size, threads=1)
    settings = Settings.of(
        model,
        options.temperature,
        options.saturation,
        hints,
        options.keep_color,
        options.quality,
    )
    shard = options.shard or (1, 1)
    planned = partial(plan, photos, settings, folder, shard=shard, force=options.force)
    return planned, settings


def _colorize_with(
    options: argparse.Namespace,
    photos: list[tuple[str, str]],
    folder: str | None,
    workers: int,
    crew: Crew,
    stop: Callable[[], int],
) -> int:
    from photochrom.batch.manifest import Manifest
    from photochrom.batch.plan import ALTERED
    from photochrom.batch.work import Coloring, color
    from photochrom.photo.write import has_quality

    def check() -> None:
        if number := stop():
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    plan, settings = _planned(options, photos, folder)
    check()
    with contextlib.ExitStack() as stack:
        manifest = None
        if folder is not None:
            manifest = stack.enter_context(Manifest(folder, options.shard or (1, 1)))
            manifest.sweep({os.path.dirname(target) for _, target in photos})
        threads = options.threads or 1
        work = Coloring(settings, manifest, options.model, options.device, threads)
        steps = []
        for step in plan():
            check()
            steps.append(step)
        jobs = [step.job for step in steps if step.do == "color"]
        refused = [(step.job, step.error) for step in steps if step.error is not None]
        altered = sum(step.why == ALTERED for step in steps)
        if altered:
            say(f"{altered} results have changed since they were made; leaving them alone")
        lossless = sum(not has_quality(job.target) for job in jobs)
        if options.quality is not None and lossless:
            say(f"--quality has no effect on {lossless} results, because PNG and TIFF are lossless")
        progress = stack.enter_context(Progress(len(jobs) + len(refused)))
        progress.skipped = len(steps) - progress.left
        del steps
        for job, error in refused:
            progress.count(work.failed(job, error))
        seconds = MOST_SECONDS if options.timeout is None else options.timeout
        seconds = None if seconds == math.inf else seconds
        results = color(jobs, work, workers, stop, seconds, crew)
        for job, outcome in stack.enter_context(closing(results)):
            progress.count(outcome, job.target if options.verbose else None)
    say(progress.summary())
    if progress.left:
        again = (
            "run the same command again to resume"
            if folder is not None
            else "the rest was not colored"
        )
        say(f"stopped with {progress.left} left; {again}")
        return 128 + (stop() or signal.SIGINT)
    return 1 if progress.failed else 0


def _dry_run(steps: Iterable[Step]) -> bool:
    """Print what would be done; returns whether some of it is sure to fail."""
    counts = Counter[str]()
    for step in steps:
        counts[step.do] += 1
        print(shown(f"{step.do:5}  {step.job.source} -> {step.job.target}  ({step.why})"))
    say(
        f"{counts['color']} to color, {counts['fail']} that will fail, {counts['skip']} "
        "already done"
    )
    return counts["fail"] > 0


class Progress:
    """Counts photos: with a bar on a terminal, elsewhere with a line now and then.

    Parameters
    ----------
    total : photos to come
    every : seconds between two lines
    """

    def __init__(self, total: int, every: float = 60.0) -> None:
        from tqdm import tqdm

        self._total = self.left = total
        self._every = every
        self.done = self.failed = self.skipped = 0
        self._write = tqdm.write
        self._bar = tqdm(total=total, unit="photo", disable=None, smoothing=0.02)
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def count(self, outcome: Outcome, target: str | None = None) -> None:
        """Count a photo; prints its error and notes, and its target if given."""
        self.left -= 1
        self.done += outcome.kind == "done"
        self.skipped += outcome.kind == "skipped"
        self.failed += outcome.kind == "failed"
        self._bar.set_postfix(failed=self.failed, refresh=False)
        self._bar.update()
        if outcome.kind == "failed":
            self._write(shown(f"photochrom: {outcome.error}"), file=sys.stderr)
        elif target is not None:
            self._write(shown(target), file=sys.stdout)
        for note in outcome.notes:
            self._write(shown(f"photochrom: {note}"), file=sys.stderr)
        now = time.monotonic()
        if self._bar.disable and self.left and now - self._said >= self._every:
            self._said = now
            minutes = (now - self._began) / (self._total - self.left) * self.left / 60
            say(f"{self.summary()}, {self.left} left, about {minutes:,.0f} min")

    def summary(self) -> str:
        """The counts so far."""
        before = f", {self.skipped} already done" if self.skipped else ""
        return f"{self.done} done, {self.failed} failed{before}"
