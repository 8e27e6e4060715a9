"""`photochrom colorize` for a single photo: a file, or stdin and stdout."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from photochrom.batch.watch import Watch
from photochrom.cli.signals import Limit, Signals
from photochrom.cli.terminal import closed, copy_to_stdout, fail, log, say, shown
from photochrom.cli.wish import engine_of, rules_of, settings_of
from photochrom.errors import ConfigError, HintError, PhotoError

if TYPE_CHECKING:
    from photochrom.batch.find import Found
    from photochrom.batch.plan import Step
    from photochrom.prediction import Prediction

__all__ = ["Watching", "colorize_one", "colorize_stream"]

MANY_PAGES = 100
"""From here on, a file is said to take long."""


class Watching(Watch):
    """Tells the user of one photo's way, and lets signals and the time limit know."""

    def __init__(self, source: str, signals: Signals, limit: Limit, color: bool = False) -> None:
        self._source, self._signals, self._limit = source, signals, limit
        self._color = color  # say so if the photo has colors of its own
        self._bar: Any = None
        self._began = time.monotonic()

    def begun(self, draft: str) -> None:
        """See `Watch`."""
        self._signals.check()
        self._limit.drafts += [draft, os.path.splitext(draft)[0] + ".page"]

    def page(self, number: int, pages: int) -> None:
        """See `Watch`: a progress bar on a terminal, if there are several pages."""
        self._signals.check()
        if pages > 1:
            if self._bar is None:
                self._first_page(pages)
            self._bar.update()
            if number == pages:
                self.close()

    def _first_page(self, pages: int) -> None:
        from tqdm import tqdm

        if pages >= MANY_PAGES:
            minutes = (time.monotonic() - self._began) * pages / 60
            say(
                f"{self._source}: has {pages:,} pages, which will take about {minutes:,.0f} "
                "minutes; --timeout SECONDS sets a limit"
            )
        self._bar = tqdm(total=pages, unit="page", disable=None)

    def close(self) -> None:
        """Take the progress bar away."""
        if self._bar is not None:
            self._bar.close()

    def note(self, text: str) -> None:
        """See `Watch`."""
        say(text)

    def colored(self) -> None:
        """See `Watch`."""
        if self._color:
            say(
                f"{self._source}: is a color photo, and gets new colors; --color skip leaves such "
                "photos out, and --keep-color mixes in their own colors"
            )

    def ready(self) -> None:
        """See `Watch`."""
        self._signals.hold()
        self._limit.met()


def colorize_one(options: argparse.Namespace, found: Found) -> int:
    """Color a photo that was named alone."""
    from photochrom.batch.manifest import Manifests
    from photochrom.batch.plan import plan
    from photochrom.batch.work import Coloring
    from photochrom.photo.write import has_quality, without_quality

    ((source, target),) = found.photos
    with Signals() as signals, Limit(source, options.timeout) as limit:
        engine = engine_of(options, options.threads)
        settings = settings_of(options, engine)
        rules = rules_of(options, alone=True)
        (step,) = plan(found.photos, settings, None, rules, found.history)
        if step.do != "color":
            return _nothing_to_do(step)
        if options.quality is not None and not has_quality(target):
            say(f"{source}: --quality has no effect, because {without_quality()} are lossless")
        manifests = Manifests()
        manifests.sweep([os.path.dirname(target)])
        watch = Watching(source, signals, limit, options.color is None and not options.keep_color)
        outcome = Coloring(settings, manifests, engine, rules.color, watch)(step.job)
        watch.close()
        if outcome.kind == "failed":
            return fail(outcome.error)
        if outcome.kind == "done":
            log(f"{source} -> {target}")
            print(shown(target), flush=True)
            signals.release()
            return 0
        signals.release()
    if outcome.kind == "left":
        say(f"{outcome.error}; --color recolor gives it new colors")
    else:
        say(_done(source, target))
    return 0


def _nothing_to_do(step: Step) -> int:
    """Say why a photo is not colored; returns the exit code."""
    if step.do == "fail":
        return fail(step.why)
    if step.tally == "color photos":
        say(
            f"{step.job.source}: skipped, because it is in color; --color recolor gives it new "
            "colors"
        )
    elif step.tally == "done":
        say(_done(step.job.source, step.job.target))
    else:
        return fail(step.why)
    return 0


def _done(source: str, target: str) -> str:
    return f"{source}: is already done, as {target}; use --force to color it again"


def colorize_stream(options: argparse.Namespace) -> int:
    """`-` is stdin as the input and stdout as the output; the format stays the same."""
    if len(options.inputs) > 1 or os.path.isdir(options.inputs[0]) or options.dry_run:
        raise ConfigError(
            "-: stdin is a single photo, so don't give another input, a folder or --dry-run"
        )
    if options.shard is not None:
        raise ConfigError("--shard: splits folders or several photos, but stdin is a single photo")
    if options.report is not None:
        raise ConfigError("--report: is for photos in files", "give files or folders")
    if options.color in ("keep", "skip"):
        raise ConfigError(f"--color {options.color}: a pipe needs a result", "use --keep-color 1")
    (source,) = options.inputs
    target = "-" if options.output is None else options.output
    if source == "-" and "stdin" in closed:
        raise ConfigError("-: stdin is closed", "use < photo.jpg, or a pipe")
    if target == "-" and "stdout" in closed:
        raise ConfigError("-: stdout is closed", "use > color.jpg, or a pipe")
    if source == "-" and sys.stdin.isatty():
        raise ConfigError("-: stdin is a terminal", "use < photo.jpg, or a pipe")
    if target == "-" and sys.stdout.isatty():
        raise ConfigError("-: stdout is a terminal", "use > color.jpg, or a pipe")
    folder = os.path.isdir(target) or target.endswith(("/", os.sep))
    if target != "-" and (folder or not os.path.splitext(target)[1]):
        raise ConfigError(
            f"{target}: is a folder, but a photo from stdin has no name", "name the output file"
        )
    with Signals() as signals:
        return _stream(options, source, target, signals)


def _stream(options: argparse.Namespace, source: str, target: str, signals: Signals) -> int:
    from photochrom.files import draft_name, sweep_drafts
    from photochrom.photo.losses import losses, losses_of_page
    from photochrom.photo.read import read_photo, read_pipe
    from photochrom.photo.source import no_room
    from photochrom.photo.write import has_quality, without_quality

    engine = engine_of(options, options.threads)
    settings = settings_of(options, engine)
    scratch = contextlib.ExitStack()
    try:
        with scratch, Limit(source, options.timeout) as limit:
            if target != "-":
                _check_target(source, target, options.force)
            photo = read_pipe(sys.stdin.buffer) if source == "-" else read_photo(source)
            signals.check()
            if target != "-":
                folder, path = os.path.dirname(target) or ".", target
                os.makedirs(folder, exist_ok=True)
                sweep_drafts(folder)
            else:
                folder = scratch.enter_context(_scratch_folder(source, limit))
                path = os.path.join(folder, f"photo{photo.extension}")
            notes = losses(photo, path, settings.model)
            for note in notes:
                say(note)
            if options.quality is not None and not has_quality(path):
                say(f"{source}: --quality has no effect, because {without_quality()} are lossless")
            watch = Watching(source, signals, limit)
            draft = draft_name(folder, os.path.splitext(path)[1])
            watch.begun(draft)

            def page(prediction: Prediction) -> None:
                if prediction.photo.page:
                    for note in losses_of_page(prediction.photo, path, settings.model, notes):
                        say(note)
                watch.page(prediction.photo.page + 1, photo.pages)

            try:
                engine.colorizer.color_file(
                    photo,
                    path,
                    settings.hints,
                    settings.temperature,
                    settings.saturation,
                    keep_color=settings.keep_color,
                    quality=settings.quality,
                    force=options.force,
                    draft=draft,
                    ready=lambda draft: watch.ready(),
                    page=page,
                )
            except PhotoError as error:
                if target == "-" and error.not_written:
                    where = os.path.dirname(folder)
                    raise no_room(source, error.not_written, where) from None
                raise
            if target == "-":
                signals.release()
                copy_to_stdout(path)
            else:
                print(shown(target), flush=True)
                signals.release()
    except (PhotoError, HintError) as error:
        return fail(str(error))
    except BrokenPipeError:
        raise
    except (OSError, MemoryError) as error:
        return fail(f"{source}: {getattr(error, 'strerror', None) or type(error).__name__}")
    return 0


@contextlib.contextmanager
def _scratch_folder(source: str, limit: Limit) -> Iterator[str]:
    from photochrom.photo.source import no_room

    try:
        scratch = tempfile.TemporaryDirectory(prefix="photochrom-")
    except OSError as error:
        raise no_room(source, error.strerror) from None
    with scratch as folder:
        limit.folders.append(folder)
        yield folder


def _check_target(source: str, target: str, force: bool) -> None:
    """Refuse before the work what would be refused after it."""
    if os.path.exists(target) and not force:
        raise PhotoError(
            f"{source}: the result {target} already exists", "use --force to replace it"
        )
    if os.path.isdir(target):
        raise PhotoError(f"{source}: the result {target} is a folder")
