"""The command line: parse, call, report, exit code.

Exit codes: 0 all done; 1 something failed (each failure is named on stderr); 2 wrong usage;
130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photochrom._version import __version__
from photochrom.bins import TEMPERATURE
from photochrom.errors import (
    ConfigError,
    DependencyError,
    HintError,
    PhotochromError,
    PhotoError,
)

if TYPE_CHECKING:
    from photochrom import batch

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.run is None:
        parser.print_help()
        return 2
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except PhotochromError as error:
        _say(str(error))
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        print("photochrom: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `photochrom ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


# --- colorize -------------------------------------------------------------------------------------


def _colorize(options: argparse.Namespace) -> int:
    if "-" in (*options.inputs, options.output):
        return _colorize_stream(options)
    problems: list[str] = []
    jobs = list(_jobs(options, problems.append))
    alone = len(options.inputs) == 1
    if alone and not os.path.isdir(options.inputs[0]):
        if not options.dry_run:
            return _colorize_one(options, *jobs[0])
        return _colorize_many(options, jobs, None, problems)
    # Photos that were named one by one, with their results beside them, have no folder in common.
    folder = options.inputs[0] if options.output is None and alone else options.output
    return _colorize_many(options, jobs, folder, problems)


def _colorize_one(options: argparse.Namespace, source: str, target: str) -> int:
    from photochrom.colorizer import Colorizer, check_settings
    from photochrom.image import read_photo, read_stream

    hints = [_hint(text) for text in options.hint]
    colorizer = Colorizer(
        options.model, options.device, working_size=options.size, threads=options.threads
    )
    check_settings(options.temperature, options.saturation)
    rendering = options.temperature, options.saturation
    try:
        if target != "-":
            _check_target(source, target, options.force)
        photo = read_stream(sys.stdin.buffer) if source == "-" else read_photo(source)
        result = colorizer.predict(photo, hints)
        if target == "-":
            with tempfile.TemporaryDirectory(prefix="photochrom-") as folder:
                path = os.path.join(folder, f"photo{photo.extension}")
                result.save(path, *rendering)
                _copy_to_stdout(path)
        else:
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            result.save(target, *rendering, force=options.force)
            print(_shown(target))
    except (PhotoError, HintError) as error:
        return _fail(str(error))
    except BrokenPipeError:
        raise
    except (OSError, MemoryError) as error:
        return _fail(f"{source}: {getattr(error, 'strerror', None) or type(error).__name__}")
    return 0


def _colorize_stream(options: argparse.Namespace) -> int:
    """`-` is stdin as input, stdout as output; of the same type as what comes in."""
    if len(options.inputs) > 1 or os.path.isdir(options.inputs[0]) or options.dry_run:
        raise ConfigError("-: a stream is one photo; give no other input, no folder, no --dry-run")
    (source,) = options.inputs
    target = "-" if options.output is None else options.output
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
    from photochrom.colorizer import Colorizer
    from photochrom.pool import cpus

    for problem in problems:
        _fail(problem)
    if not photos:
        return _fail("no photos found in the given folders")
    threads = options.threads or 1
    workers = max(1, cpus() // threads) if options.workers is None else options.workers
    if workers < 1:
        raise ConfigError(f"--workers {workers}: must be at least 1")
    model = Colorizer(options.model, options.device, working_size=options.size, threads=1)
    hints = [_hint(text) for text in options.hint]
    settings = batch.Settings.of(model, options.temperature, options.saturation, hints)
    del model

    shard = options.shard or (1, 1)
    plan = partial(batch.plan, photos, settings, folder, shard=shard, force=options.force)
    if options.dry_run:
        return 1 if _dry_run(plan()) or problems else 0

    with contextlib.ExitStack() as stack:
        manifest = None
        if folder is not None:
            manifest = stack.enter_context(batch.Manifest(folder, shard))
            manifest.sweep({os.path.dirname(target) for _, target in photos})
        work = batch.Coloring(settings, manifest, options.model, options.device, threads)
        steps = list(plan())
        jobs = [step.job for step in steps if step.do == "color"]
        refused = [step for step in steps if step.do == "fail"]
        altered = sum(step.why == batch.ALTERED for step in steps)
        if altered:
            _say(f"{altered} results were changed by others since they were made; left as they are")
        progress = stack.enter_context(_Progress(len(jobs) + len(refused)))
        progress.skipped = len(steps) - progress.left
        del steps
        for step in refused:
            progress.count(work.failed(step.job, step.why))
        notice = "photochrom: finishing what is in hand; once more to drop it"
        stop = stack.enter_context(batch.until_stopped(notice))
        results = stack.enter_context(closing(batch.color(jobs, work, workers, stop)))
        for job, outcome in results:
            progress.count(outcome, job.target if options.verbose else None)
    _say(progress.summary())
    if progress.left:
        again = "the same command goes on from here" if folder is not None else "the rest is left"
        _say(f"stopped with {progress.left} to do; {again}")
        return 130
    return 1 if progress.failed or problems else 0


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
    """A text for one line of a terminal, whatever the names of files in it hold."""
    plain = "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNSEEN else char
        for char in text
    )
    encoding = sys.stdout.encoding or "utf-8"
    return plain.encode(encoding, "backslashreplace").decode(encoding)


_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}  # control characters, bytes that are no text, line separators


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
    done = train(config, options.shards, run, resume=options.resume, device=options.device)
    if not done:
        print(
            f"photochrom: stopped; go on with: photochrom train ... -o {run} --resume",
            file=sys.stderr,
        )
        return 130
    return 0


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
            share, size = part.split(":") if ":" in part else ("0", part)
            pairs.append((float(share), int(size)))
        return tuple(pairs)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "give SIZE, or SHARE:SIZE,... such as 0:96,0.6:128"
        ) from None


def _export(options: argparse.Namespace) -> int:
    _needs_torch()
    from photochrom.train.export import export_run

    result = export_run(
        options.run_folder,
        options.output,
        name=options.name,
        rebalance=options.rebalance,
        working_size=options.size,
        license=options.license,
        training_data=options.training_data,
        photos=options.photos or (),
        force=options.force,
    )
    print(f"{options.output}: {result}")
    return 0


def _import(options: argparse.Namespace) -> int:
    _needs_torch()
    from photochrom.train.export import import_published

    result = import_published(
        options.checkpoint, options.output, photos=options.photos or (), force=options.force
    )
    print(f"{options.output}: {result}")
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
        name: str, run: Callable[[argparse.Namespace], int], help: str, examples: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(
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
    _export_arguments(
        command(
            "export",
            _export,
            "write a trained run as a model file",
            "  photochrom export runs/first -o mine.onnx\n"
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
    p.add_argument("-m", "--model", metavar="M", help="bundled name or .onnx file (see `models`)")
    p.add_argument("--device", default="cpu", metavar="D", help="cpu (default) or cuda")
    p.add_argument("--size", type=int, metavar="N", help="short side that the network sees")
    p.add_argument(
        "--threads", type=int, default=0, metavar="N",
        help="cores for one photo (default: all for a single photo, else 1)",
    )  # fmt: skip
    p.add_argument(
        "--workers", type=int, metavar="N",
        help="photos at once, each in memory (default: as many as there are cores)",
    )  # fmt: skip
    p.add_argument(
        "--shard", type=_shard, metavar="I/N", help="do the I-th of N parts, for a job array"
    )
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
    from photochrom.train.config import ARCHITECTURES, ENCODERS, OBJECTIVES

    p.add_argument("shards", nargs="+", metavar="SHARDS", help="tar, tar.gz, or a folder")
    p.add_argument("-o", "--output", required=True, metavar="RUN", help="folder of the run")
    p.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
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
        "--size", dest="sizes", type=_sizes, metavar="SIZES",
        help="crop side, or SHARE:SIZE,... over the budget (default: 0:96,0.6:128)",
    )  # fmt: skip
    p.add_argument("--batch", type=int, help="photos a step, over all processes")
    for name in ("lr", "encoder_lr", "weight_decay", "clip", "ema", "sigma", "rebalance", "crop",
                 "tone", "hints", "save_every"):  # fmt: skip
        p.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="X")
    for name in ("warmup", "neighbors", "seed", "sample_every"):
        p.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N")
    for name in ("amp", "channels_last"):
        p.add_argument(
            f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction, default=None
        )


def _export_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("run_folder", metavar="RUN", help="folder of the run")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the .onnx file")
    p.add_argument("--name", help="of the model (default: the file's)")
    p.add_argument("--rebalance", type=float, default=1.0, metavar="X",
                   help="how much of the rebalancing to keep, 0 to 1 (default: 1)")  # fmt: skip
    p.add_argument("--size", type=int, metavar="N", help="default working size")
    p.add_argument("--license", default="not stated", help="stated in the file")
    p.add_argument("--training-data", default="not stated", help="stated in the file")
    p.add_argument("--photos", nargs="+", help="to compare on (default: the run's own)")
    p.add_argument("-f", "--force", action="store_true", help="replace an existing file")


def _import_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("checkpoint", help="colorization_release_v2-*.pth")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the .onnx file")
    p.add_argument("--photos", nargs="+", help="to compare on (default: generated images)")
    p.add_argument("-f", "--force", action="store_true", help="replace an existing file")
