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
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from photochrom.cli.signals import Terminated
from photochrom.cli.terminal import fail, log, say, shown
from photochrom.cli.wish import engine_of, rules_of, settings_of
from photochrom.errors import ConfigError, PhotoError

if TYPE_CHECKING:
    from photochrom.batch.find import Found
    from photochrom.batch.job import Settings
    from photochrom.batch.manifest import Recorder
    from photochrom.batch.plan import Step
    from photochrom.batch.work import Coloring, Outcome
    from photochrom.pool import Crew

__all__ = ["MOST_SECONDS", "Progress", "colorize_many"]

MOST_SECONDS = 900.0
"""The default of --timeout where there are several photos."""


def colorize_many(options: argparse.Namespace, found: Found, folder: str | None) -> int:
    """Color photos in parallel; `folder` is where the manifest goes, None for those of each."""
    from photochrom.batch.work import prepare
    from photochrom.cli.signals import until_stopped
    from photochrom.pool import Crew, cpus

    _tell_passed(found, options.verbose)
    if not found.photos:
        return fail("no photos found in the given folders")
    threads = options.threads or 1
    # One more than there are cores: a core is free while a result is written to disk.
    workers = cpus() // threads + 1 if options.workers is None else options.workers
    if workers < 1:
        raise ConfigError(f"--workers {workers}: must be at least 1")
    if options.dry_run:
        return _dry_run(options, found, folder)
    notice = "photochrom: finishing the photos in progress; press Ctrl-C again to drop them"
    # The workers start while this process loads the model and the manifest. From here on, signals
    # are only noted: an exception in the middle of an import turns into another one.
    with (
        until_stopped(notice) as stop,
        Crew(min(workers, len(found.photos)), threads, prepare) as crew,
    ):
        return _Run(options, found, folder, stop).done(crew, workers)


class _Run:
    """One run over many photos."""

    def __init__(
        self,
        options: argparse.Namespace,
        found: Found,
        folder: str | None,
        stop: Callable[[], int],
    ) -> None:
        self.options, self.found, self.folder, self.stop = options, found, folder, stop

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal was noted."""
        if number := self.stop():
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def done(self, crew: Crew, workers: int) -> int:
        """Do it all; returns the exit code."""
        from photochrom.batch.run import Pace, color
        from photochrom.batch.work import Coloring

        options = self.options
        engine = engine_of(options, options.threads or 1)
        settings, rules = settings_of(options, engine), rules_of(options)
        self.check()
        with contextlib.ExitStack() as stack:
            manifest = stack.enter_context(self._manifest())
            work = Coloring(settings, manifest, engine, rules.color)
            steps = self._steps(settings)
            skipped = Counter[str](step.tally for step in steps if step.do == "skip")
            left = len(steps) - skipped.total()
            progress = stack.enter_context(Progress(left, skipped=skipped))
            self._record(work, steps, progress)
            seconds = MOST_SECONDS if options.timeout is None else options.timeout
            pace = Pace(workers, None if seconds == math.inf else seconds)
            jobs = [step.job for step in steps if step.do == "color"]
            del steps
            results = color(jobs, work, pace, self.stop, crew)
            for job, outcome in stack.enter_context(closing(results)):
                progress.count(outcome, job.target, options.verbose)
        say(f"{progress.summary()}; {self._where()}")
        self._report()
        return self._code(progress)

    @contextlib.contextmanager
    def _manifest(self) -> Iterator[Recorder]:
        from photochrom.batch.manifest import Manifest, Manifests

        folders = {os.path.dirname(target) for _, target in self.found.photos}
        if self.folder is None:
            manifests = Manifests()
            manifests.sweep(folders)
            yield manifests
            return
        with Manifest(self.folder, self.options.shard or (1, 1)) as manifest:
            manifest.sweep(folders)
            yield manifest

    def _steps(self, settings: Settings) -> list[Step]:
        from photochrom.batch.plan import ALTERED, plan
        from photochrom.photo.write import has_quality, without_quality

        steps = []
        found, rules = self.found, rules_of(self.options)
        for step in plan(found.photos, settings, self.folder, rules, found.history):
            self.check()
            steps.append(step)
        altered = sum(step.why == ALTERED for step in steps)
        if altered:
            say(f"skipped {altered} results that have changed since they were made")
        lossless = sum(step.do == "color" and not has_quality(step.job.target) for step in steps)
        if self.options.quality is not None and lossless:
            why = f"because {without_quality()} are lossless"
            say(f"--quality has no effect on {lossless} results, {why}")
        return steps

    def _record(self, work: Coloring, steps: list[Step], progress: Progress) -> None:
        """Record photos that are refused and files that cannot be colored: they need no work."""
        from photochrom.batch.job import Attempt, Job, result_name
        from photochrom.batch.run import lasting

        for step in steps:
            if step.do == "fail":
                attempt = None
                if step.tally == "need an extra":
                    attempt = lasting(step.job, step.why)._replace(extra=True)
                progress.count(work.failed(step.job, step.why, attempt))
        for passed in self.found.passed:
            if os.path.abspath(passed.result) not in self.found.history.past:
                name = result_name(passed.result, self.folder or os.path.dirname(passed.result))
                job = Job(passed.source, passed.result, name)
                with contextlib.suppress(PhotoError):  # the screen tells it anyway
                    work.manifest.append(job, work.settings, Attempt(0.0, passed=passed.kind))

    def _where(self) -> str:
        """Where the results are."""
        if self.options.output is None:
            return "the results are next to the photos, as NAME.color.EXT"
        return f"the results are in {self.options.output}"

    def _report(self) -> None:
        if self.options.report is not None:
            from photochrom.batch.history import home_of
            from photochrom.batch.report import write_report

            folders = [self.folder] if self.folder is not None else []
            if not folders:
                inside = {os.path.dirname(target) for _, target in self.found.photos}
                folders = sorted({home_of(folder) for folder in inside})
            for path in write_report(self.options.report, folders):
                print(shown(path))

    def _code(self, progress: Progress) -> int:
        if progress.ended:
            fail(f"{progress.ended}, and run the same command again to resume")
            return 1
        if progress.left:
            say(f"stopped with {progress.left} left; to resume, run the same command again")
            return 128 + (self.stop() or signal.SIGINT)
        return 1 if progress.failed else 0


def _tell_passed(found: Found, each: bool) -> None:
    """Name the files that cannot be colored, by their kinds."""
    kinds = Counter(passed.kind for passed in found.passed)
    if not kinds:
        return
    for passed in found.passed if each else ():
        say(f"{passed.source}: skipped, because {passed.kind} files cannot be read")
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    more = "" if each else "; -v names them"
    say(f"skipped files that cannot be read ({counts}); convert them to TIFF or PNG{more}")


def _dry_run(options: argparse.Namespace, found: Found, folder: str | None) -> int:
    """Print what would be done; returns 1 if some of it is sure to fail."""
    from photochrom.batch.plan import plan

    settings = settings_of(options, engine_of(options, 1))
    counts = Counter[str]()
    for step in plan(found.photos, settings, folder, rules_of(options), found.history):
        counts[step.tally or step.do] += 1
        print(shown(f"{step.do:5}  {step.job.source} -> {step.job.target}  ({step.why})"))
    more = [
        f"{counts[what]} {words}"
        for what, words in (
            ("failed before", "failed before (--retry tries again)"),
            ("need an extra", "need an extra"),
            ("color photos", "color photos skipped"),
        )
        if counts[what]
    ]
    first = f"{counts['color']} to color, {counts['fail']} that will fail"
    say(", ".join([first, f"{counts['done']} already done", *more]))
    return 1 if counts["fail"] else 0


class Progress:
    """Counts photos: with a bar on a terminal, elsewhere with a line now and then.

    Parameters
    ----------
    total : photos to come
    every : seconds between two lines
    skipped : how many photos there is nothing to do for, by `Step.tally`
    """

    def __init__(
        self, total: int, every: float = 60.0, skipped: Mapping[str, int] | None = None
    ) -> None:
        from tqdm import tqdm

        self._total = self.left = total
        self._every = every
        self.done = self.failed = 0
        self.skipped = Counter(skipped or {})
        self.ended = ""  # why the run ends early
        self._write = tqdm.write
        self._bar = tqdm(total=self._total, unit="photo", disable=None, smoothing=0.02)
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def count(self, outcome: Outcome, target: str = "", named: bool = False) -> None:
        """Count a photo; prints its error and notes, and its target if it is to be named."""
        self.left -= 1
        self.done += outcome.kind == "done"
        self.failed += outcome.kind == "failed"
        self.skipped["done"] += outcome.kind == "skipped"
        self.skipped["color photos"] += outcome.kind == "left"
        self.ended = self.ended or outcome.stop
        self._bar.set_postfix(failed=self.failed, refresh=False)
        self._bar.update()
        for text in (outcome.error, *outcome.notes):
            if text:
                log(text)
                self._write(shown(f"photochrom: {text}"), file=sys.stderr)
        if outcome.kind == "done":
            log(target)
        if named and outcome.kind in ("done", "skipped"):
            self._write(shown(target), file=sys.stdout)
        now = time.monotonic()
        if self._bar.disable and self.left and now - self._said >= self._every:
            self._said = now
            minutes = (now - self._began) / (self._total - self.left) * self.left / 60
            say(f"{self.summary()}, {self.left} left, about {minutes:,.0f} min")

    def summary(self) -> str:
        """The counts so far."""
        one = self.skipped["color photos"] == 1
        words = {
            "done": "already done",
            "color photos": f"color photo{'' if one else 's'} skipped (--color recolor gives "
            f"{'it' if one else 'them'} new colors)",
            "failed before": "failed before (--retry tries again)",
            "need an extra": f"need{'s' * (self.skipped['need an extra'] == 1)} an extra, as the "
            "manifest says",
        }
        more = [
            f"{self.skipped[what]} {text}" for what, text in words.items() if self.skipped[what]
        ]
        return ", ".join([f"{self.done} done", f"{self.failed} failed", *more])
