"""The command line: parse, call, report, exit code.

Exit codes: 0 all done; 1 something failed (each failure is named on stderr); 2 wrong usage;
130 interrupted, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from photochrom._version import __version__
from photochrom.bins import TEMPERATURE
from photochrom.errors import (
    ConfigError,
    DataError,
    DependencyError,
    HintError,
    ModelError,
    PhotochromError,
    PhotoError,
)
from photochrom.text import printable

if TYPE_CHECKING:
    from photochrom import batch
    from photochrom.pool import Crew
    from photochrom.study import Pairs, Study

__all__ = ["main"]

_MOST_SECONDS = 900.0  # that one of several photos may take, unless --timeout says else


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    _open_streams()
    parser = _parser()
    options = parser.parse_args(argv)
    if options.run is None:
        parser.print_help()
        return 2
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except PhotochromError as error:
        for line in (str(error), *getattr(error, "__notes__", ())):
            _say(line)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt as error:
        print("photochrom: interrupted", file=sys.stderr)
        return 143 if isinstance(error, _Terminated) else 130
    except BrokenPipeError:  # the reader of our output has gone, as in `photochrom ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


_closed: set[str] = set()  # of the three streams, those that were at the start


def _open_streams() -> None:
    """Open stdin, stdout and stderr to nothing where they are closed.

    A photo could get their number else, and be written to by all that reports something.
    """
    for name, mode in ("stdin", "r"), ("stdout", "w"), ("stderr", "w"):
        if getattr(sys, name) is None:
            _closed.add(name)
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: its own number
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


# --- colorize -------------------------------------------------------------------------------------


def _colorize(options: argparse.Namespace) -> int:
    if "-" in (*options.inputs, options.output):
        return _colorize_stream(options)
    problems: list[str] = []
    alone = len(options.inputs) == 1
    if options.shard is not None and alone and not os.path.isdir(options.inputs[0]):
        raise ConfigError("--shard: shares out folders or several photos, and this is one photo")
    jobs = list(_jobs(options, problems.append))
    if alone and not os.path.isdir(options.inputs[0]):
        if not options.dry_run:
            return _colorize_one(options, *jobs[0])
        return _colorize_many(options, jobs, None, problems)
    # Photos that were named one by one, with their results beside them, have no folder in common.
    folder = options.inputs[0] if options.output is None and alone else options.output
    return _colorize_many(options, jobs, folder, problems)


def _colorize_one(options: argparse.Namespace, source: str, target: str) -> int:
    with _Signals() as signals:
        return _colorize_heard(options, source, target, signals)


def _colorize_heard(
    options: argparse.Namespace, source: str, target: str, signals: _Signals
) -> int:
    from photochrom.colorizer import Colorizer, check_keep, check_settings
    from photochrom.image import losses, read_photo, read_stream
    from photochrom.reading import no_room
    from photochrom.writing import check_quality, draft_name, has_quality, sweep_drafts

    hints = [_hint(text) for text in options.hint]
    colorizer = Colorizer(
        options.model, options.device, working_size=options.size, threads=options.threads
    )
    check_settings(options.temperature, options.saturation)
    check_keep(options.keep_color)
    check_quality(options.quality)
    save: dict[str, Any] = {
        "temperature": options.temperature,
        "saturation": options.saturation,
        "keep_color": options.keep_color,
        "quality": options.quality,
    }
    scratch = contextlib.ExitStack()
    try:
        with scratch, _Limit(source, options.timeout) as limit:
            if target != "-":
                _check_target(source, target, options.force)
            photo = read_stream(sys.stdin.buffer) if source == "-" else read_photo(source)
            signals.check()
            if target != "-":
                folder, path = os.path.dirname(target) or ".", target
                os.makedirs(folder, exist_ok=True)
                sweep_drafts(folder)
            else:
                folder = scratch.enter_context(_scratch_folder(source, limit))
                path = os.path.join(folder, f"photo{photo.extension}")
            for note in losses(photo, path, colorizer.info.name):
                _say(note)
            if options.quality is not None and not has_quality(path):
                _say(f"{source}: --quality has no effect: PNG and TIFF have no loss")
            suffix = os.path.splitext(path)[1]
            draft = draft_name(folder, suffix)
            limit.drafts += [draft, os.path.splitext(draft)[0] + ".page"]

            def ready(draft: str) -> None:
                signals.hold()
                limit.met()

            try:
                colorizer.color_file(
                    photo, path, hints, **save, force=options.force, draft=draft, ready=ready
                )
            except PhotoError as error:
                _, found, why = str(error).partition(f"{path}: cannot be written: ")
                if target == "-" and found:
                    raise no_room(source, why.partition(";")[0], os.path.dirname(folder)) from None
                raise
            if target == "-":
                signals.release()
                _copy_to_stdout(path)
            else:
                print(_shown(target), flush=True)
                signals.release()
    except (PhotoError, HintError) as error:
        return _fail(str(error))
    except BrokenPipeError:
        raise
    except (OSError, MemoryError) as error:
        return _fail(f"{source}: {getattr(error, 'strerror', None) or type(error).__name__}")
    return 0


@contextlib.contextmanager
def _scratch_folder(source: str, limit: _Limit) -> Iterator[str]:
    from photochrom.reading import no_room

    try:
        scratch = tempfile.TemporaryDirectory(prefix="photochrom-")
    except OSError as error:
        raise no_room(source, error.strerror) from None
    with scratch as folder:
        limit.folders.append(folder)
        yield folder


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which then takes the way of Ctrl-C: no draft is left."""


class _Signals:
    """Ctrl-C and SIGTERM while a single photo is colored.

    Both are exceptions, so that no draft is left, but where these would be lost, and where the
    result has just begun to get its name: there they are noted, for `check`.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._heard = 0
        self._held = False

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._heard = self._heard or number
        while frame is not None:
            # What pyvips has libvips call: an exception would be printed there, and end there.
            if frame.f_code.co_name == "_log_handler_callback":
                return
            frame = frame.f_back
        if not self._held:
            self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was one of them."""
        if self._heard:
            raise _Terminated if self._heard == signal.SIGTERM else KeyboardInterrupt

    def hold(self) -> None:
        """As `check`; from now on they are only noted."""
        self.check()
        self._held = True
        self.check()  # one between these two lines

    def release(self) -> None:
        """The result has its name: from now on they are exceptions again."""
        self._held = False
        self.check()


class _Limit:
    """The time that one photo may take; then the process ends, whatever it is at.

    That may be a call into a library that never comes back, so that no exception could end it.
    """

    def __init__(self, source: str, seconds: float | None) -> None:
        self.drafts: list[str] = []  # removed at the end, as the process cannot any more
        self.folders: list[str] = []
        self._source, self._seconds = source, seconds
        self._lock = threading.Lock()
        self._met = False
        self._timer: threading.Timer | None = None
        if seconds is not None and seconds < threading.TIMEOUT_MAX:
            self._timer = threading.Timer(seconds, self._end)
            self._timer.daemon = True

    def __enter__(self) -> _Limit:
        if self._timer is not None:
            self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.met()

    def met(self, draft: str = "") -> None:
        """The photo is done: from now on there is no limit."""
        with self._lock:
            self._met = True
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        with self._lock:
            if self._met:
                return
            for path in self.drafts:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            for folder in self.folders:
                shutil.rmtree(folder, ignore_errors=True)
            _say(f"{self._source}: took longer than {self._seconds:g} seconds; allow more with "
                 "--timeout")  # fmt: skip
            sys.stderr.flush()
            os._exit(1)


def _colorize_stream(options: argparse.Namespace) -> int:
    """`-` is stdin as input, stdout as output; of the same type as what comes in."""
    if len(options.inputs) > 1 or os.path.isdir(options.inputs[0]) or options.dry_run:
        raise ConfigError("-: a stream is one photo; give no other input, no folder, no --dry-run")
    if options.shard is not None:
        raise ConfigError("--shard: shares out folders or several photos, and a stream is one")
    (source,) = options.inputs
    target = "-" if options.output is None else options.output
    if source == "-" and "stdin" in _closed:
        raise ConfigError("-: stdin is closed; use < photo.jpg, or a pipe")
    if target == "-" and "stdout" in _closed:
        raise ConfigError("-: stdout is closed; use > color.jpg, or a pipe")
    if source == "-" and sys.stdin.isatty():
        raise ConfigError("-: no photo comes in; use < photo.jpg, or a pipe")
    if target == "-" and sys.stdout.isatty():
        raise ConfigError("-: an image is nothing for a terminal; use > color.jpg, or a pipe")
    if target != "-" and _asks_folder(target):
        raise ConfigError(f"{target}: a photo from stdin has no name; give one for the result")
    return _colorize_one(options, source, target)


def _copy_to_stdout(path: str) -> None:
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            while chunk:  # without a buffer: what cannot be written is not tried again at exit
                chunk = chunk[os.write(sys.stdout.fileno(), chunk) :]


def _colorize_many(
    options: argparse.Namespace,
    photos: list[tuple[str, str]],
    folder: str | None,
    problems: list[str],
) -> int:
    """Color photos side by side; `folder` is that of the manifest, None for none."""
    from photochrom import batch
    from photochrom.pool import Crew, cpus

    for problem in problems:
        _fail(problem)
    if not photos:
        return _fail("no photos found in the given folders")
    threads = options.threads or 1
    # One more than there are cores: while a result goes to the disk, its core is free.
    workers = cpus() // threads + 1 if options.workers is None else options.workers
    if workers < 1:
        raise ConfigError(f"--workers {workers}: must be at least 1")
    if options.dry_run:
        plan, _ = _planned(options, photos, folder)
        return 1 if _dry_run(plan()) or problems else 0
    notice = "photochrom: finishing what is in hand; once more to drop it"
    # The workers start up while this process looks at the model and at what was done before. From
    # here on a signal is only noted: an exception amid an import becomes another one.
    with (
        batch.until_stopped(notice) as stop,
        Crew(min(workers, len(photos)), threads, batch.prepare) as crew,
    ):
        failed = _colorize_with(options, photos, folder, workers, crew, stop)
    return failed or (1 if problems else 0)


def _planned(
    options: argparse.Namespace, photos: list[tuple[str, str]], folder: str | None
) -> tuple[Callable[[], Iterator[batch.Step]], batch.Settings]:
    """What says what is to be done, when it is called, and with which settings."""
    from photochrom import batch
    from photochrom.colorizer import Colorizer

    hints = [_hint(text) for text in options.hint]
    model = Colorizer(options.model, options.device, working_size=options.size, threads=1)
    settings = batch.Settings.of(
        model,
        options.temperature,
        options.saturation,
        hints,
        options.keep_color,
        options.quality,
    )
    shard = options.shard or (1, 1)
    plan = partial(batch.plan, photos, settings, folder, shard=shard, force=options.force)
    return plan, settings


def _colorize_with(
    options: argparse.Namespace,
    photos: list[tuple[str, str]],
    folder: str | None,
    workers: int,
    crew: Crew,
    stop: Callable[[], int],
) -> int:
    from photochrom import batch
    from photochrom.writing import has_quality

    def check() -> None:
        if number := stop():
            raise _Terminated if number == signal.SIGTERM else KeyboardInterrupt

    plan, settings = _planned(options, photos, folder)
    check()
    with contextlib.ExitStack() as stack:
        manifest = None
        if folder is not None:
            manifest = stack.enter_context(batch.Manifest(folder, options.shard or (1, 1)))
            manifest.sweep({os.path.dirname(target) for _, target in photos})
        threads = options.threads or 1
        work = batch.Coloring(settings, manifest, options.model, options.device, threads)
        steps = []
        for step in plan():
            check()
            steps.append(step)
        jobs = [step.job for step in steps if step.do == "color"]
        refused = [step for step in steps if step.do == "fail"]
        altered = sum(step.why == batch.ALTERED for step in steps)
        if altered:
            _say(f"{altered} results were changed by others since they were made; left as they are")
        lossless = sum(not has_quality(job.target) for job in jobs)
        if options.quality is not None and lossless:
            _say(f"--quality has no effect on {lossless} results: PNG and TIFF have no loss")
        progress = stack.enter_context(_Progress(len(jobs) + len(refused)))
        progress.skipped = len(steps) - progress.left
        del steps
        for step in refused:
            progress.count(work.failed(step.job, step.why))
        seconds = _MOST_SECONDS if options.timeout is None else options.timeout
        seconds = None if seconds == math.inf else seconds
        results = batch.color(jobs, work, workers, stop, seconds, crew)
        for job, outcome in stack.enter_context(closing(results)):
            progress.count(outcome, job.target if options.verbose else None)
    _say(progress.summary())
    if progress.left:
        again = "the same command goes on from here" if folder is not None else "the rest is left"
        _say(f"stopped with {progress.left} to do; {again}")
        return 128 + (stop() or signal.SIGINT)
    return 1 if progress.failed else 0


def _dry_run(steps: Iterable[batch.Step]) -> bool:
    """Print what would be done; whether some of it would fail for sure."""
    counts = Counter[str]()
    for step in steps:
        counts[step.do] += 1
        print(_shown(f"{step.do:5}  {step.job.source} -> {step.job.target}  ({step.why})"))
    _say(f"{counts['color']} to do, {counts['fail']} to fail, {counts['skip']} done before")
    return counts["fail"] > 0


class _Progress:
    """Counts, on a terminal with a bar that says the time left, elsewhere a line a minute."""

    EVERY = 60.0  # seconds

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        self._total = self.left = total
        self.done = self.failed = self.skipped = 0
        self._write = tqdm.write
        self._bar = tqdm(total=total, unit="photo", disable=None, smoothing=0.02)
        self._began = self._said = time.monotonic()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def count(self, outcome: batch.Outcome, target: str | None = None) -> None:
        self.left -= 1
        self.done += outcome.kind == "done"
        self.skipped += outcome.kind == "skipped"
        self.failed += outcome.kind == "failed"
        self._bar.set_postfix(failed=self.failed, refresh=False)
        self._bar.update()
        if outcome.kind == "failed":
            self._write(_shown(f"photochrom: {outcome.error}"), file=sys.stderr)
        elif target is not None:
            self._write(_shown(target), file=sys.stdout)
        for note in outcome.notes:
            self._write(_shown(f"photochrom: {note}"), file=sys.stderr)
        now = time.monotonic()
        if self._bar.disable and self.left and now - self._said >= self.EVERY:
            self._said = now
            minutes = (now - self._began) / (self._total - self.left) * self.left / 60
            _say(f"{self.summary()}, {self.left} left, about {minutes:,.0f} min")

    def summary(self) -> str:
        before = f", {self.skipped} done before" if self.skipped else ""
        return f"{self.done} done, {self.failed} failed{before}"


def _say(text: str) -> None:
    print(_shown(f"photochrom: {text}"), file=sys.stderr)


def _fail(text: str) -> int:
    _say(text)
    return 1


def _shown(text: str) -> str:
    """A text for this terminal, whatever the names of files in it hold."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


def _check_target(source: str, target: str, force: bool) -> None:
    """Refuse before the work what would be refused after it."""
    if os.path.exists(target) and not force:
        raise PhotoError(f"{source}: the result {target} exists; use --force to replace it")
    if os.path.isdir(target):
        raise PhotoError(f"{source}: the result {target} is a folder")


def _asks_folder(output: str) -> bool:
    folder = os.path.isdir(output) or output.endswith(("/", os.sep))
    return folder or not os.path.splitext(output)[1]


def _jobs(options: argparse.Namespace, problem: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """(source, target) for every photo asked for; folders are searched through."""
    from photochrom.batch import find_photos, target_of

    output: str | None = options.output
    one_file = len(options.inputs) == 1 and not os.path.isdir(options.inputs[0])
    into_folder = output is not None and _asks_folder(output)
    if output is not None and not into_folder and not one_file:
        raise ConfigError(f"{output}: several photos need a folder as output; end it with /")
    beside = output is None
    for item in options.inputs:
        if not os.path.isdir(item):
            if output is not None and not into_folder:
                yield item, output
            else:
                yield item, target_of(item, output or os.path.dirname(item), beside)
            continue
        for source in find_photos(item, output, problem, _say):
            folder = os.path.dirname(source)
            if output is not None:
                below = os.path.relpath(folder, item)
                folder = output if below == "." else os.path.join(output, below)
            yield source, target_of(source, folder, beside)


def _hint(text: str) -> tuple[float, float, tuple[int, int, int]]:
    parts = text.split(",")
    try:
        x, y, code = float(parts[0]), float(parts[1]), parts[2].removeprefix("#")
        if len(parts) != 3 or len(code) != 6:
            raise ValueError
        red, green, blue = bytes.fromhex(code)
    except (ValueError, IndexError):
        raise HintError(f"--hint {text}: give X,Y,RRGGBB, such as 120,80,3366cc") from None
    return x, y, (red, green, blue)


# --- models ---------------------------------------------------------------------------------------


def _models(options: argparse.Namespace) -> int:
    from photochrom.models import DEFAULT, MODELS, load_model

    for row in MODELS:
        info = load_model(row.name).info
        default = "  (default)" if row.name == DEFAULT else ""
        print(f"{row.name}{default}")
        print(f"  {row.about}")
        hints = "takes hints" if info.channels == 4 else "takes no hints"
        print(f"  working size {info.working_size}, {hints}")
        print(f"  license {row.license}; file {row.file}; sha256 {row.sha256}")
        print(f"  trained on {info.training_data}")
    return 0


# --- training -------------------------------------------------------------------------------------


def _needs_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise DependencyError(
            "this command needs PyTorch: pip install 'photochrom[train]'"
        ) from None


def _prepare(options: argparse.Namespace) -> int:
    from photochrom.train.prepare import prepare

    report = prepare(
        options.photos,
        options.output,
        short_side=options.short_side,
        max_aspect=options.max_aspect,
        shard_size=options.shard_size,
        quality=options.quality,
        seed=options.seed,
        workers=options.workers,
        force=options.force,
    )
    print(report.summary())
    return 0


def _train(options: argparse.Namespace) -> int:
    _needs_torch()
    from photochrom.train.config import TrainConfig
    from photochrom.train.loop import CONFIG, train

    run = Path(options.output)
    values: dict[str, Any] = {}
    if options.resume:
        values = TrainConfig.load(run / CONFIG).to_dict()
    elif options.config:
        values = TrainConfig.load(Path(options.config)).to_dict()
    given = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(TrainConfig)
        if getattr(options, field.name, None) is not None
    }
    if "steps" in given:
        values["minutes"] = 0.0
    elif "minutes" in given:
        values["steps"] = 0
    values |= given
    config = TrainConfig.from_dict(values)
    init = None if options.init is None else _start_of(options.init)
    done = train(
        config,
        options.shards,
        run,
        resume=options.resume,
        init=init,
        device=options.device,
        validation=dict(options.validate),
        validate_every=60 * options.validate_every,
    )
    if not done:
        print(
            f"photochrom: stopped; go on with: photochrom train ... -o {run} --resume",
            file=sys.stderr,
        )
        return 130
    return 0


def _start_of(name: str) -> Path:
    """A run's folder, an .onnx file, or the file of the bundled model with this name."""
    from photochrom.models import MODELS, WEIGHTS

    files = {model.name: WEIGHTS / model.file for model in MODELS}
    path = files.get(name) or Path(name)
    if not path.exists():
        known = ", ".join(files)
        raise ModelError(f"{name}: no such run or model file; the bundled models are: {known}")
    return path


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("give seconds, such as 60; 0 for no limit")
    return seconds or math.inf


def _shard(text: str) -> tuple[int, int]:
    try:
        i, n = (int(part) for part in text.split("/"))
    except ValueError:
        i, n = 0, 0
    if not 1 <= i <= n:
        raise argparse.ArgumentTypeError("give I/N with I from 1 to N, such as 2/8")
    return i, n


def _sizes(text: str) -> tuple[tuple[float, int], ...]:
    try:
        pairs = []
        for part in text.split(","):
            share, sizes = part.split(":") if ":" in part else ("0", part)
            pairs += [(float(share), int(size)) for size in sizes.split("/")]
        return tuple(pairs)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "give SIZE, or SHARE:SIZE,... such as 0:96,0.6:96/128/160"
        ) from None


def _named(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if not (name and path):
        raise argparse.ArgumentTypeError("give NAME=SHARDS, such as val=val.tar.gz")
    return name, path


def _export(options: argparse.Namespace) -> int:
    _needs_torch()
    from photochrom.train.export import export_run

    result = export_run(
        _start_of(options.run_folder),
        options.output,
        name=options.name,
        rebalance=options.rebalance,
        working_size=options.size,
        license=options.license,
        training_data=options.training_data,
        photos=options.photos or (),
        bits=options.bits,
        force=options.force,
    )
    size = Path(options.output).stat().st_size / 2**20
    print(f"{options.output}: {size:.2f} MiB; {result}")
    return 0


def _import(options: argparse.Namespace) -> int:
    _needs_torch()
    from photochrom.train.export import import_published

    result = import_published(
        options.checkpoint, options.output, photos=options.photos or (), force=options.force
    )
    print(f"{options.output}: {result}")
    return 0


# --- evaluate -------------------------------------------------------------------------------------


def _evaluate(options: argparse.Namespace) -> int:
    from photochrom.evaluate import Evaluation, evaluate
    from photochrom.models import DEFAULT
    from photochrom.report import check_target, summary, table, write_report

    models = [_named_model(text) for text in options.model]
    against = [(n, str(d)) for n, d in (_named_folder("--against", t) for t in options.against)]
    missing = _missing_judges(options)
    asked = Evaluation(
        photos=tuple(options.photos),
        models=tuple(models or ([] if against else [(DEFAULT, DEFAULT)])),
        against=tuple(against),
        baselines=options.baselines,
        temperatures=options.temperature,
        rebalance=options.rebalance,
        hints=options.hints,
        working_size=options.size,
        short_side=options.short_side,
        skip=options.skip,
        limit=options.limit,
        sweep=options.sweep,
        prior=options.prior,
        classifier=options.classifier,
        features=options.fid,
        compare=options.compare,
        seed=options.seed,
    )
    folder = Path(options.output)
    work = folder / ".work"
    try:
        check_target(folder, work, options.force)
        result = evaluate(asked, work, workers=options.workers, anew=options.force)
        facts = summary(result)
        write_report(result, facts, folder)
    except KeyboardInterrupt:
        print("\nphotochrom: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except OSError as error:
        place = getattr(error, "filename", None) or folder
        raise DataError(
            f"{place}: cannot be written: {error.strerror}; what was scored before is kept: make "
            "room or name another folder"
        ) from error
    print(table(facts))
    print(f"\n{len(result.used)} photos; prior: {result.prior}; ± and brackets: 95 % interval")
    if facts["labeled"]:
        print(f"top-1 over the {facts['labeled']} photos whose class the classifier knows")
    print(f"{_shown(str(folder / 'report.html'))}: curves, subjects, pictures")
    for _, reason in result.skipped[:10]:
        print(f"photochrom: left out: {printable(reason)}", file=sys.stderr)
    if len(result.skipped) > 10:
        print(
            f"photochrom: {len(result.skipped)} photos left out in all, see report.json",
            file=sys.stderr,
        )
    return 1 if result.skipped or missing else 0


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("give numbers with commas, such as 0,0.38,1") from None


def _counts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("give whole numbers with commas, such as 0,5,20") from None


def _missing_judges(options: argparse.Namespace) -> int:
    """Say which columns are left out, and why; returns how many that were asked for."""
    missing = 0
    for name, column in (("classifier", "top-1"), ("fid", "FID")):
        path = getattr(options, name)
        if path is not None and not Path(path).is_file():
            print(
                f"photochrom: {path}: no such file; the column {column} is left out",
                file=sys.stderr,
            )
            setattr(options, name, None)
            missing += 1
    return missing


def _named_model(text: str) -> tuple[str, str]:
    """NAME=MODEL, or MODEL alone, which then is named after its file."""
    name, equals, model = text.partition("=")
    if not equals or "/" in name or os.sep in name:
        name, model = Path(text).stem, text
    if not name or not model:
        raise ConfigError(f"--model {text}: give MODEL or NAME=MODEL, such as mine=mine.onnx")
    return name, model


def _named_folder(flag: str, text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise ConfigError(f"{flag} {text}: give NAME=DIR, such as ours=color/")
    return name, Path(folder)


# --- study ----------------------------------------------------------------------------------------


def _needs_web(error: ImportError) -> PhotochromError:
    if error.name is None or error.name.partition(".")[0] not in ("fastapi", "uvicorn"):
        raise error
    return DependencyError("this command needs FastAPI and uvicorn: pip install 'photochrom[web]'")


def _study_serve(options: argparse.Namespace) -> int:
    from photochrom.study import find_pairs

    try:
        from photochrom.web.server import is_local, listen, serve
        from photochrom.web.study import study_app
    except ImportError as error:
        raise _needs_web(error) from None
    if bool(options.real) != bool(options.fake):
        raise ConfigError("--real and --fake go together: --real DIR --fake NAME=DIR")
    pairs = None
    if options.real:
        pairs = find_pairs(
            Path(options.real), [_named_folder("--fake", text) for text in options.fake]
        )
        for folder, photos in pairs.unpaired.items():
            if photos:
                print(
                    f"photochrom: left out: {len(photos)} of {printable(folder)} not in every "
                    f"folder, such as {printable(photos[0])}",
                    file=sys.stderr,
                )
    # Before the photos are read, which takes its time.
    with listen(options.host, options.port, allow_network=options.allow_network) as sock:
        with _study(Path(options.output), pairs, options) as study:
            for problem in study.problems():
                print(f"photochrom: left out: {printable(problem)}", file=sys.stderr)
            print(
                f"{printable(str(study.path))}: {len(study.photos)} photos, methods "
                f"{printable(', '.join(study.methods.values()))}"
            )
            key = None if is_local(options.host) else study.key
            serve(study_app(study), sock, key=key, browser=options.browser)
        print(
            "\nStopped; every answer is stored.\n"
            f"  go on:   photochrom study serve -o {shlex.quote(options.output)}\n"
            f"  report:  photochrom study report {shlex.quote(options.output)}"
        )
    return 0


def _studio(options: argparse.Namespace) -> int:
    try:
        from photochrom.web.api import max_body, studio_app
        from photochrom.web.server import is_local, listen, serve
        from photochrom.web.studio import Limits, Studio
    except ImportError as error:
        raise _needs_web(error) from None
    from photochrom.colorizer import Colorizer

    limits = Limits.of(
        bytes=round(options.max_mb * 1e6),
        pixels=round(options.max_megapixels * 1e6),
        photos=options.photos,
        memory=round(options.memory * 1e6),
        seconds=options.seconds,
    )
    with listen(options.host, options.port, allow_network=options.allow_network) as sock:
        colorizer = Colorizer(
            options.model, options.device, working_size=options.size, threads=options.threads
        )
        key = None if is_local(options.host) else secrets.token_urlsafe(16)
        with Studio(colorizer, limits) as studio:
            serve(
                studio_app(studio),
                sock,
                key=key,
                max_body=max_body(limits.bytes),
                programs=True,
                browser=options.browser,
            )
    return 0


def _study(path: Path, pairs: Pairs | None, options: argparse.Namespace) -> Study:
    """The study of that file, begun where there is none yet."""
    from tqdm import tqdm

    from photochrom.study import Study, StudySettings

    names = [field.name for field in dataclasses.fields(StudySettings)]
    given = {name: getattr(options, name) for name in names}
    if path.exists():
        study = Study.open(path)
        try:
            study.check_settings(given)
            if pairs is not None:
                study.check_same(pairs)
        except PhotochromError:
            study.close()
            raise
        return study
    if pairs is None:
        raise ConfigError(f"{path}: no such study; begin it with --real DIR --fake NAME=DIR")
    return Study.create(
        path, pairs, StudySettings.of(given), lambda names: tqdm(names, unit="photo", disable=None)
    )


def _study_report(options: argparse.Namespace) -> int:
    from photochrom.study_report import answers_csv, report, write_export

    limit = options.catch_limit
    found = report(options.study, everyone=options.all, catch_limit=limit)
    print(found.text())
    if options.json:
        text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n"
        write_export(options.json, text, force=options.force)
    if options.csv:
        write_export(options.csv, answers_csv(options.study, limit), force=options.force)
    return 0


# --- arguments ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="photochrom",
        description="Color for black-and-white photographs, on your own machine.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  photochrom colorize grandmother.jpg\n"
        "  photochrom colorize scans/ -o color/\n"
        "  photochrom models\n"
        "`photochrom COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"photochrom {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(
        name: str,
        run: Callable[[argparse.Namespace], int],
        help: str,
        examples: str,
        group: Any = commands,
    ) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = group.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    _colorize_arguments(
        command(
            "colorize",
            _colorize,
            "color photos",
            "  photochrom colorize old.jpg                    writes old.color.jpg beside it\n"
            "  photochrom colorize old.jpg -o new.png\n"
            "  photochrom colorize scans/ -o color/           a folder, its structure kept;\n"
            "                                                 a second run skips what is done\n"
            "  photochrom colorize scans/ -o color/ --shard 2/8    one of eight jobs\n"
            "  photochrom colorize - < old.jpg > new.jpg\n"
            "  photochrom colorize old.jpg --saturation 0.8   calmer\n"
            "  photochrom colorize old.jpg --hint 310,220,3a5fcd   this spot is blue",
        )
    )
    command("models", _models, "list the bundled models", "  photochrom models")
    _prepare_arguments(
        command(
            "prepare",
            _prepare,
            "turn folders of color photos into training shards",
            "  photochrom prepare ~/Pictures -o shards/",
        )
    )
    _train_arguments(
        command(
            "train",
            _train,
            "train a network on shards",
            "  photochrom train shards/ -o runs/first --minutes 90\n"
            "  photochrom train shards/ -o runs/first --resume\n"
            "  torchrun --nproc-per-node 2 -m photochrom train shards/ -o runs/two --steps 20000",
        )
    )
    _evaluate_arguments(
        command(
            "evaluate",
            _evaluate,
            "measure how good the colors are, as the paper does and more",
            "  photochrom evaluate photos/ -o report/                       the bundled model\n"
            "  photochrom evaluate val.tar -m mine.onnx -m photochrom-1 -o report/\n"
            "  photochrom evaluate photos/ --against dahl=dahl_results/ -o report/\n"
            "  photochrom evaluate val.tar --temperature 0,0.38,1 -o report/\n"
            "An interrupted evaluation goes on when the same command is given again.",
        )
    )
    _export_arguments(
        command(
            "export",
            _export,
            "write a trained run as a model file, or a model file smaller",
            "  photochrom export runs/first -o mine.onnx\n"
            "  photochrom export mine.onnx -o small.onnx --bits 4 --photos photos/\n"
            "  photochrom colorize old.jpg --model mine.onnx",
        )
    )
    _import_arguments(
        command(
            "import",
            _import,
            "turn the published eccv16 checkpoint into a model file",
            "  photochrom import colorization_release_v2-9b330a0b.pth -o eccv16.onnx",
        )
    )
    _studio_arguments(
        command(
            "studio",
            _studio,
            "open a page to color photos and correct them, with a service that programs can use",
            "  photochrom studio\n"
            "  photochrom studio --port 8080 --no-browser\n"
            "  curl --data-binary @old.jpg http://127.0.0.1:8017/api/color -o new.jpg\n"
            "http://127.0.0.1:8017/api/docs describes the service.",
        )
    )
    study: Any = command(
        "study",
        _study_serve,
        "ask people which photo was recolored",
        "  photochrom study serve --real photos/ --fake ours=color/ -o study.db\n"
        "  photochrom study report study.db",
    ).add_subparsers(title="commands", metavar="COMMAND", required=True)
    _study_serve_arguments(
        command(
            "serve",
            _study_serve,
            "open the page on which people take part",
            "  photochrom study serve --real photos/ --fake ours=color/ -o study.db\n"
            "  photochrom study serve --real photos/ --fake a=a/ --fake b=b/ -o study.db\n"
            "  photochrom study serve -o study.db            go on with a study",
            study,
        )
    )
    _study_report_arguments(
        command(
            "report",
            _study_report,
            "print how often each method fooled people",
            "  photochrom study report study.db\n"
            "  photochrom study report study.db --csv answers.csv",
            study,
        )
    )
    return parser


def _colorize_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="photo, folder of photos, or - for stdin"
    )
    p.add_argument(
        "-o", "--output", metavar="FILE|DIR",
        help="where to (default: NAME.color.EXT beside INPUT); - for stdout",
    )  # fmt: skip
    p.add_argument(
        "-t", "--temperature", type=float, default=TEMPERATURE, metavar="T",
        help="0 vivid .. 1 muted (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "-s", "--saturation", type=float, default=1.0, metavar="S",
        help="factor on the colors (default: 1)",
    )  # fmt: skip
    p.add_argument(
        "--keep-color", type=float, nargs="?", const=0.5, default=0.0, metavar="AMOUNT",
        help="share of a color photo's own color in the result, 0 none .. 1 all (default: 0; "
        "without AMOUNT: 0.5)",
    )  # fmt: skip
    p.add_argument(
        "-q", "--quality", type=int, metavar="N",
        help="of JPEG, WebP and AVIF, 1 to 100 (default: that of a JPEG source, at least 75)",
    )  # fmt: skip
    p.add_argument("-m", "--model", metavar="M", help="bundled name or .onnx file (see `models`)")
    p.add_argument("--device", default="cpu", metavar="D", help="cpu (default) or cuda")
    p.add_argument("--size", type=int, metavar="N", help="short side that the network sees")
    p.add_argument(
        "--threads", type=int, default=0, metavar="N",
        help="cores for one photo (default: all for a single photo, else 1)",
    )  # fmt: skip
    p.add_argument(
        "--workers", type=int, metavar="N",
        help="photos at once, each in memory (default: one more than there are cores)",
    )  # fmt: skip
    p.add_argument(
        "--shard", type=_shard, metavar="I/N", help="do the I-th of N parts, for a job array"
    )
    p.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS",
        help=f"how long a photo may take; 0: no limit (default: {_MOST_SECONDS:g}, of several)",
    )  # fmt: skip
    p.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    p.add_argument(
        "--hint", action="append", default=[], metavar="X,Y,RRGGBB",
        help="color for a spot, pixels from the top left; may be repeated",
    )  # fmt: skip
    p.add_argument("-f", "--force", action="store_true", help="replace existing results")
    p.add_argument("-v", "--verbose", action="store_true", help="print each result's name")


def _prepare_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("photos", nargs="+", metavar="PHOTOS", help="folders of photos, or tar files")
    p.add_argument("-o", "--output", required=True, metavar="SHARDS", help="folder for the shards")
    p.add_argument("--short-side", type=int, default=128, help="pixels (default: %(default)s)")
    p.add_argument(
        "--max-aspect", type=float, default=1.5, metavar="X",
        help="longer photos are cut to this proportion (default: %(default)s)",
    )  # fmt: skip
    p.add_argument("--quality", type=int, default=50, help="of WebP (default: %(default)s)")
    p.add_argument("--shard-size", type=int, default=10000, help="photos (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of the shuffling (default: %(default)s)")
    p.add_argument("--workers", type=int, help="processes (default: all cores)")
    p.add_argument("-f", "--force", action="store_true", help="replace what SHARDS holds")


def _train_arguments(p: argparse.ArgumentParser) -> None:
    from photochrom.train.config import ARCHITECTURES, ENCODERS, OBJECTIVES, SCHEDULES

    p.add_argument("shards", nargs="+", metavar="SHARDS", help="tar, tar.gz, or a folder")
    p.add_argument("-o", "--output", required=True, metavar="RUN", help="folder of the run")
    p.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    p.add_argument(
        "--init", metavar="RUN",
        help="start from what another run learned: its folder, an .onnx file, or a bundled model",
    )  # fmt: skip
    p.add_argument("--config", metavar="FILE", help="a run's config.json to start from")
    p.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    budget = p.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, help="budget in minutes of training")
    budget.add_argument("--steps", type=int, help="budget in optimizer steps")
    p.add_argument("--arch", choices=ARCHITECTURES)
    p.add_argument("--encoder", choices=ENCODERS)
    p.add_argument("--pretrained", action=argparse.BooleanOptionalAction, default=None)
    p.add_argument("--objective", choices=OBJECTIVES)
    p.add_argument(
        "--schedule", choices=SCHEDULES,
        help="how the rate falls: over the whole budget, or in its last part alone (--cooldown)",
    )  # fmt: skip
    p.add_argument(
        "--balance", type=float, metavar="X",
        help="a source of N photos gives N^X of the samples: 1 each photo alike, 0 each source",
    )  # fmt: skip
    p.add_argument(
        "--validate", type=_named, action="append", default=[], metavar="NAME=SHARDS",
        help="print figures on every third photo of these; may be repeated",
    )  # fmt: skip
    p.add_argument(
        "--validate-every", type=float, default=30.0, metavar="MINUTES",
        help="minutes of training between two validations (default: 30)",
    )  # fmt: skip
    p.add_argument(
        "--size", dest="sizes", type=_sizes, metavar="SIZES",
        help="crop side, or SHARE:SIZE[/SIZE...],... over the budget; of several each step draws "
        "one (default: 0:96,0.6:128)",
    )  # fmt: skip
    p.add_argument("--batch", type=int, help="photos a step, over all processes")
    for name in ("lr", "cooldown", "encoder_lr", "weight_decay", "clip", "ema", "sigma",
                 "rebalance", "crop", "tone", "hints", "save_every"):  # fmt: skip
        p.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="X")
    for name in ("warmup", "neighbors", "freeze", "seed", "sample_every"):
        p.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N")
    for name in ("amp", "channels_last", "resident"):
        p.add_argument(
            f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction, default=None
        )


def _evaluate_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTOS",
        help="folders of color photos, or tar shards; the models see them in gray",
    )
    p.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="REPORT",
        help="folder for report.html, report.json and photos.csv",
    )
    p.add_argument(
        "-m",
        "--model",
        action="append",
        default=[],
        metavar="[NAME=]MODEL",
        help="bundled name or .onnx file; may be repeated (default: the bundled one)",
    )
    p.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="results of another colorizer, same file names; may be repeated",
    )
    p.add_argument(
        "--baselines",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the row with the colors of other photos (default: yes)",
    )
    p.add_argument(
        "-t",
        "--temperature",
        type=_numbers,
        default=(TEMPERATURE,),
        metavar="T[,T...]",
        help=f"a row for each (default: {TEMPERATURE})",
    )
    p.add_argument(
        "--rebalance",
        type=_numbers,
        default=(1.0,),
        metavar="X[,X...]",
        help="how much of a model's rebalancing to keep, a row for each (default: 1)",
    )
    p.add_argument(
        "--hints",
        type=_counts,
        default=(0,),
        metavar="N[,N...]",
        help="true colors at random places that the models are given, a row for each (default: 0)",
    )
    p.add_argument("--size", type=int, metavar="N", help="short side that the networks see")
    p.add_argument(
        "--short-side",
        type=int,
        default=256,
        metavar="N",
        help="larger photos are reduced to it; 0: none is, and those over 8 megapixels are left "
        "out (default: %(default)s)",
    )
    p.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N photos")
    p.add_argument("--limit", type=int, default=0, metavar="N", help="only N photos (default: all)")
    p.add_argument(
        "--sweep",
        type=int,
        default=500,
        metavar="N",
        help="photos for the temperature sweep; 0: none (default: %(default)s)",
    )
    p.add_argument(
        "--prior",
        metavar="FILE",
        help="prior.npy of the rebalanced columns (default: the one beside PHOTOS, else "
        "measured on PHOTOS)",
    )
    p.add_argument(
        "--classifier",
        metavar="FILE",
        help="image classifier (.onnx) for the semantic test; a photo's folder, or its "
        "key's end, is its class",
    )
    p.add_argument(
        "--fid",
        metavar="FILE",
        help="feature network (.onnx) for the Fréchet distance; needs photochrom[fid]",
    )
    p.add_argument(
        "--compare",
        metavar="ROW",
        help="row that the report compares the others with (default: the first model's)",
    )
    p.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes (default: all cores)"
    )
    p.add_argument("--seed", type=int, default=0, help="of resampling and grids (default: 0)")
    p.add_argument("-f", "--force", action="store_true", help="replace what REPORT holds")


def _export_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("run_folder", metavar="RUN",
                   help="folder of the run, an exported .onnx file or a bundled model")  # fmt: skip
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the .onnx file")
    p.add_argument("--bits", type=int, choices=(16, 8, 4), default=16,
                   help="of the weights; 4 makes 13 MiB 4 MiB (default: 16)")  # fmt: skip
    p.add_argument("--name", help="of the model (default: the file's)")
    p.add_argument("--rebalance", type=float, metavar="X",
                   help="how much of the rebalancing to keep, 0 to 1; 1 is as trained "
                        "(default: 1; of a file, what it has)")  # fmt: skip
    p.add_argument("--size", type=int, metavar="N", help="default working size")
    p.add_argument("--license", help="stated in the file")
    p.add_argument("--training-data", help="stated in the file")
    p.add_argument("--photos", nargs="+",
                   help="to compare on, and to choose weights of fewer bits by "
                        "(default: the run's own, of a file generated images)")  # fmt: skip
    p.add_argument("-f", "--force", action="store_true", help="replace an existing file")


def _import_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("checkpoint", help="colorization_release_v2-*.pth")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the .onnx file")
    p.add_argument("--photos", nargs="+", help="to compare on (default: generated images)")
    p.add_argument("-f", "--force", action="store_true", help="replace an existing file")


def _study_serve_arguments(p: argparse.ArgumentParser) -> None:
    from photochrom.study import StudySettings as Default

    p.add_argument("--real", metavar="DIR", help="the original color photos")
    p.add_argument(
        "--fake", action="append", default=[], metavar="NAME=DIR",
        help="their recolored versions by the method NAME, same names; may be repeated",
    )  # fmt: skip
    p.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="the study, begun or gone on with"
    )
    p.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help=f"counted pairs for each participant (default: {Default.trials})",
    )
    p.add_argument(
        "--practice",
        type=int,
        metavar="N",
        help=f"pairs before them, with feedback (default: {Default.practice})",
    )
    p.add_argument(
        "--catch", type=int, metavar="N",
        help="pairs among them with obviously wrong colors (default: a tenth of --trials)",
    )  # fmt: skip
    p.add_argument(
        "--exposure",
        type=float,
        metavar="S",
        help=f"seconds that a pair is shown (default: {Default.exposure:g})",
    )
    p.add_argument(
        "--side", type=int, metavar="N",
        help=f"pixels of the longest side shown (default: {Default.side}; the paper: 256)",
    )  # fmt: skip
    _listen_arguments(p, 8016)


def _studio_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "-m", "--model", metavar="M", help="bundled model or .onnx file (default: the best bundled)"
    )
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    p.add_argument(
        "--size", type=int, metavar="N", help="short side of what the network sees, pixels"
    )
    p.add_argument(
        "--threads", type=int, default=0, metavar="N",
        help="cores for the network (default: all)",
    )  # fmt: skip
    _listen_arguments(p, 8017)
    limits = p.add_argument_group("limits")
    limits.add_argument(
        "--max-mb", type=float, default=200, metavar="MB",
        help="size of a photo's file (default: %(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--max-megapixels", type=float, default=100, metavar="MP",
        help="size of a photo (default: %(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--photos", type=int, default=100, metavar="N",
        help="photos that are kept; the least recently used makes room (default: %(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--memory", type=float, default=1000, metavar="MB",
        help="of what is kept to answer quickly (default: %(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--seconds", type=float, default=120, metavar="S",
        help="that a request may take (default: %(default)s)",
    )  # fmt: skip


def _listen_arguments(p: argparse.ArgumentParser, port: int) -> None:
    p.add_argument(
        "--port", type=int, default=port, metavar="N", help=f"0 for a free one (default: {port})"
    )
    p.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    p.add_argument(
        "--allow-network", action="store_true",
        help="let --host be one that other machines reach; not encrypted",
    )  # fmt: skip
    p.add_argument(
        "--no-browser", dest="browser", action="store_false", help="do not open the page"
    )


def _study_report_arguments(p: argparse.ArgumentParser) -> None:
    from photochrom.study_report import CATCH_LIMIT

    p.add_argument("study", metavar="FILE", help="from `photochrom study serve`")
    p.add_argument(
        "--all", action="store_true",
        help="keep participants who failed catch trials, and pairs shown far too long or too short",
    )  # fmt: skip
    p.add_argument(
        "--catch-limit", type=float, default=CATCH_LIMIT, metavar="X",
        help="share of catch trials that may be failed (default: %(default)s)",
    )  # fmt: skip
    p.add_argument("--json", metavar="FILE", help="write the report as JSON as well")
    p.add_argument("--csv", metavar="FILE", help="write every single answer")
    p.add_argument("-f", "--force", action="store_true", help="replace existing files")
