"""`photochrom colorize`: one photo, a pipe, or a folder."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from photochrom.cli.folders import MOST_SECONDS, colorize_many
from photochrom.cli.signals import Limit, Signals
from photochrom.cli.terminal import closed, copy_to_stdout, fail, say, shown
from photochrom.cli.values import hint_value, is_address, seconds_value, shard_value
from photochrom.color.bins import TEMPERATURE
from photochrom.errors import ConfigError, HintError, PhotoError

__all__ = ["EXAMPLES", "arguments", "run"]


EXAMPLES = """\
  photochrom colorize old.jpg                    writes old.color.jpg beside it
  photochrom colorize old.jpg -o new.png
  photochrom colorize scans/ -o color/           a folder and its subfolders;
                                                 a second run skips finished photos
  photochrom colorize scans/ -o color/ --shard 2/8    the second of eight parts
  photochrom colorize - < old.jpg > new.jpg
  photochrom colorize old.jpg --saturation 0.8   calmer colors
  photochrom colorize old.jpg --hint 310,220,3a5fcd   this spot is blue"""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="photo, folder of photos, or - for stdin"
    )
    p.add_argument(
        "-o", "--output", metavar="FILE|DIR",
        help="output file or folder, or - for stdout (default: NAME.color.EXT beside INPUT)",
    )  # fmt: skip
    p.add_argument(
        "-t", "--temperature", type=float, default=TEMPERATURE, metavar="T",
        help="from 0 (vivid) to 1 (muted) (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "-s", "--saturation", type=float, default=1.0, metavar="S",
        help="multiply the color strength by S (default: 1)",
    )  # fmt: skip
    p.add_argument(
        "--keep-color", type=float, nargs="?", const=0.5, default=0.0, metavar="AMOUNT",
        help="keep this much of a color photo's own color, from 0 to 1 (default: 0; "
             "0.5 if AMOUNT is left out)",
    )  # fmt: skip
    p.add_argument(
        "-q", "--quality", type=int, metavar="N",
        help="quality of JPEG, WebP, AVIF and HEIC, 1 to 100 (default for JPEG: that of the "
             "source, but at least 75)",
    )  # fmt: skip
    _model_arguments(p)
    _work_arguments(p)


def _model_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "-m", "--model", metavar="M", help="bundled model (see `photochrom models`) or .onnx file"
    )
    p.add_argument("--device", default="cpu", metavar="D", help="cpu or cuda (default: cpu)")
    p.add_argument(
        "--size", type=int, metavar="N", help="short side of what the network sees, in pixels"
    )
    p.add_argument(
        "--threads", type=int, default=0, metavar="N",
        help="cores per photo (default: all for one photo, 1 for several)",
    )  # fmt: skip


def _work_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--workers", type=int, metavar="N",
        help="photos to color at once; each takes memory (default: your cores plus one)",
    )  # fmt: skip
    p.add_argument(
        "--shard",
        type=shard_value,
        metavar="I/N",
        help="color only part I of N, to split the work among machines",
    )
    p.add_argument(
        "--timeout", type=seconds_value, metavar="SECONDS",
        help=f"give up on a photo after this long; 0 means no limit (default: {MOST_SECONDS:g} "
             "for several photos, none for one)",
    )  # fmt: skip
    p.add_argument(
        "--dry-run", action="store_true", help="show what would be done, without doing it"
    )
    p.add_argument(
        "--hint", action="append", default=[], metavar="X,Y,RRGGBB",
        help="set the color of the spot at pixel (X, Y), counted from the top left; repeatable. "
        "X,Y:X,Y:...,RRGGBB is a stroke; after the color, ,reach=R (0 to 4) and ,strength=S (0 to "
        "1) say how far and how much, and ,region makes the points the corners of a region",
    )  # fmt: skip
    p.add_argument("-f", "--force", action="store_true", help="overwrite existing results")
    p.add_argument("-v", "--verbose", action="store_true", help="print the name of each result")


def run(options: argparse.Namespace) -> int:
    """Run `photochrom colorize`."""
    if "-" in (*options.inputs, options.output):
        return _colorize_stream(options)
    _check_inputs(options)
    problems: list[str] = []
    alone = len(options.inputs) == 1
    if options.shard is not None and alone and not os.path.isdir(options.inputs[0]):
        raise ConfigError("--shard: splits folders or several photos, and this is a single photo")
    jobs = list(_jobs(options, problems.append))
    if alone and not os.path.isdir(options.inputs[0]):
        if not options.dry_run:
            return _colorize_one(options, *jobs[0])
        return colorize_many(options, jobs, None, problems)
    # Photos that were named one by one, with results beside them, share no folder.
    folder = options.inputs[0] if options.output is None and alone else options.output
    return colorize_many(options, jobs, folder, problems)


def _check_inputs(options: argparse.Namespace) -> None:
    """Refuse what cannot be meant."""
    for item in options.inputs:
        if is_address(item) and not os.path.exists(item):
            raise ConfigError(
                f"{item}: is an address in the web", "download the photo, and give its file"
            )
    if options.hint and (len(options.inputs) > 1 or os.path.isdir(options.inputs[0])):
        raise ConfigError(
            "--hint: is for a place in one photo, and these are several", "color that photo alone"
        )


def _colorize_one(options: argparse.Namespace, source: str, target: str) -> int:
    with Signals() as signals:
        return _colorize_under(options, source, target, signals)


def _colorize_under(options: argparse.Namespace, source: str, target: str, signals: Signals) -> int:
    from photochrom.colorizer import Colorizer
    from photochrom.files import draft_name, sweep_drafts
    from photochrom.look import Look
    from photochrom.photo.losses import losses
    from photochrom.photo.read import read_photo, read_pipe
    from photochrom.photo.source import no_room
    from photochrom.photo.write import check_quality, has_quality

    hints = [hint_value(text) for text in options.hint]
    colorizer = Colorizer(
        options.model, options.device, working_size=options.size, threads=options.threads
    )
    Look(options.temperature, options.saturation, options.keep_color)  # checks them
    check_quality(options.quality)
    save: dict[str, Any] = {
        "temperature": options.temperature,
        "saturation": options.saturation,
        "keep_color": options.keep_color,
        "quality": options.quality,
    }
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
            for note in losses(photo, path, colorizer.info.name):
                say(note)
            if options.quality is not None and not has_quality(path):
                say(f"{source}: --quality has no effect, because PNG and TIFF are lossless")
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


def _colorize_stream(options: argparse.Namespace) -> int:
    """`-` is stdin as the input and stdout as the output; the format stays the same."""
    if len(options.inputs) > 1 or os.path.isdir(options.inputs[0]) or options.dry_run:
        raise ConfigError(
            "-: stdin is a single photo", "don't give another input, a folder or --dry-run"
        )
    if options.shard is not None:
        raise ConfigError("--shard: splits folders or several photos, and stdin is a single photo")
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
    if target != "-" and _asks_folder(target):
        raise ConfigError(
            f"{target}: is a folder, and a photo from stdin has no name", "name the output file"
        )
    return _colorize_one(options, source, target)


def _check_target(source: str, target: str, force: bool) -> None:
    """Refuse before the work what would be refused after it."""
    if os.path.exists(target) and not force:
        raise PhotoError(
            f"{source}: the result {target} already exists", "use --force to replace it"
        )
    if os.path.isdir(target):
        raise PhotoError(f"{source}: the result {target} is a folder")


def _asks_folder(output: str) -> bool:
    folder = os.path.isdir(output) or output.endswith(("/", os.sep))
    return folder or not os.path.splitext(output)[1]


def _jobs(options: argparse.Namespace, problem: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """(source, target) of every photo; folders are searched."""
    from photochrom.batch.find import find_photos, target_of

    output: str | None = options.output
    one_file = len(options.inputs) == 1 and not os.path.isdir(options.inputs[0])
    into_folder = output is not None and _asks_folder(output)
    if output is not None and not into_folder and not one_file:
        raise ConfigError(f"{output}: several photos need an output folder", "end its name with /")
    beside = output is None
    for item in options.inputs:
        if not os.path.isdir(item):
            if output is not None and not into_folder:
                yield item, output
            else:
                yield item, target_of(item, output or os.path.dirname(item), beside)
            continue
        for source in find_photos(item, output, problem, say):
            folder = os.path.dirname(source)
            if output is not None:
                below = os.path.relpath(folder, item)
                folder = output if below == "." else os.path.join(output, below)
            yield source, target_of(source, folder, beside)
