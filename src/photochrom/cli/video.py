"""`photochrom video`: films, one or many."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from photochrom.cli.signals import Signals
from photochrom.cli.terminal import closed, copy_to_stdout, fail, say, shown
from photochrom.color.bins import TEMPERATURE
from photochrom.errors import ConfigError, FilmError

if TYPE_CHECKING:
    from photochrom.colorizer import Colorizer
    from photochrom.video.film import Report, Settings

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = """\
  photochrom video old.mp4 -o color.mp4
  photochrom video old.mkv -o color.mkv --codec h265 --crf 22
  photochrom video reels/ -o color/            every film in a folder
  photochrom video old.mp4 --stills stills/    one frame of each shot, to correct by hand
  photochrom video old.mp4 --use stills/       color each shot like its still

To resume after an interruption, run the same command again."""

FILMS = (
    *(".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mkv"),
    *(".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogv", ".ts", ".vob", ".webm"),
    *(".wmv", ".y4m"),
)
"""Suffixes of the files in a folder that count as films."""


def every_value(text: str) -> int | None:
    """The value of --every: a number, or None for auto."""
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number") from None


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="film, folder of films, or - for stdin"
    )
    p.add_argument(
        "-o", "--output", metavar="FILE|DIR",
        help="output file or folder, or - for stdout (default: NAME.color.EXT next to INPUT)",
    )  # fmt: skip
    p.add_argument(
        "--codec", choices=("h264", "h265", "av1", "prores", "ffv1"),
        help="codec of the result (default: h264; ffv1 is lossless, prores is for editing)",
    )  # fmt: skip
    p.add_argument(
        "--crf", type=int, metavar="N",
        help="quality; a lower number means better quality and a larger file (default: 18 for "
             "h264, 20 for h265, 28 for av1)",
    )  # fmt: skip
    p.add_argument(
        "--every", type=every_value, metavar="N",
        help="run the network on every Nth frame (default: auto, that is, more often where there "
             "is more motion)",
    )  # fmt: skip
    p.add_argument(
        "--passes", type=int, choices=(0, 1, 2), default=2,
        help="how hard to work for steady colors: 2 also makes the beginning of a shot agree with "
             "its end, 1 doesn't and is less steady, 0 colors each frame by itself (default: 2)",
    )  # fmt: skip
    p.add_argument(
        "--deinterlace", action="store_true", help="turn interlaced video into full frames"
    )
    p.add_argument(
        "--stills", metavar="DIR",
        help="write one gray frame of each shot (a still) to DIR instead of a film",
    )  # fmt: skip
    p.add_argument(
        "--use", metavar="DIR",
        help="color each shot like its still in DIR, which came from --stills and was then colored",
    )  # fmt: skip
    p.add_argument(
        "-t", "--temperature", type=float, default=TEMPERATURE, metavar="T",
        help="vividness, from 0 (vivid) to 1 (muted) (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "-s", "--saturation", type=float, default=1.0, metavar="S",
        help="multiply the saturation by S (default: 1)",
    )  # fmt: skip
    p.add_argument(
        "-m", "--model", metavar="M",
        help="bundled model (see `photochrom models`) or .onnx file (default: photochrom-1)",
    )  # fmt: skip
    p.add_argument("--device", default="cpu", metavar="D", help="cpu or cuda (default: cpu)")
    p.add_argument(
        "--size", type=int, metavar="N",
        help="short side of the network's input, in pixels (default: the model's)",
    )  # fmt: skip
    p.add_argument("--threads", type=int, default=0, metavar="N", help="CPU cores (default: all)")
    p.add_argument("-f", "--force", action="store_true", help="replace existing results")


def run(options: argparse.Namespace) -> int:
    """Run `photochrom video`."""
    settings = _settings(options)
    if "-" in (*options.inputs, options.output):
        return _stream(options, settings)
    jobs = list(_jobs(options, settings.quality.codec))
    if not jobs:
        return fail("no films found in the given folders")
    several = len(jobs) > 1 or os.path.isdir(options.inputs[0])
    if several and (options.stills or options.use):
        raise ConfigError("--stills and --use: work on a single film", "give one film")
    from photochrom.colorizer import Colorizer

    colorizer = Colorizer(
        options.model, options.device, working_size=options.size, threads=options.threads
    )
    with Signals():
        if several:
            return _several(jobs, colorizer, settings, options)
        source, target = jobs[0]
        try:
            if options.stills:
                _stills(source, options.stills, colorizer)
            else:
                _one(source, target, colorizer, settings, options.force)
                print(shown(target), flush=True)
        except FilmError as error:
            return fail(str(error))
    return 0


def _several(
    jobs: list[tuple[str, str]],
    colorizer: Colorizer,
    settings: Settings,
    options: argparse.Namespace,
) -> int:
    from photochrom.cli.films import Decisive, color_films

    def color(source: str, target: str, replace: bool) -> Report:
        return _one(source, target, colorizer, settings, replace)

    # Films that were named one by one, with results next to them, share no folder.
    alone = len(options.inputs) == 1
    folder = options.inputs[0] if options.output is None and alone else options.output
    return color_films(jobs, folder, Decisive.of(colorizer, settings), color, options.force)


def _settings(options: argparse.Namespace) -> Settings:
    from photochrom.look import Look
    from photochrom.video.encode import Quality
    from photochrom.video.film import Settings
    from photochrom.video.stretch import Pace

    codec = options.codec or "h264"
    return Settings(
        Quality(codec, options.crf, options.threads),
        Pace(options.every, options.passes),
        Look(options.temperature, options.saturation),
        options.deinterlace,
        options.use,
    )


def _one(source: str, target: str, colorizer: Colorizer, settings: Settings, force: bool) -> Report:
    from photochrom.video.film import color_film

    with _progress(source) as progress:
        try:
            report = color_film(source, target, colorizer, settings, force=force, progress=progress)
        except KeyboardInterrupt:
            say(f"{source}: interrupted; to resume, run the same command again")
            raise
    for note in report.notes:
        say(f"{source}: {note}")
    if report.damaged:
        say(
            f"{source}: {report.damaged} places are damaged; where frames are missing, the "
            "previous one is shown longer"
        )
    return report


def _stills(source: str, folder: str, colorizer: Colorizer) -> None:
    from photochrom.video.stills import write_stills

    with _progress(source) as progress:
        written = write_stills(source, folder, colorizer, progress)
    for path in written:
        print(shown(path))


@contextlib.contextmanager
def _progress(source: str) -> Iterator[Any]:
    from tqdm import tqdm

    name = shown(os.path.basename(source))
    with tqdm(unit="frame", disable=None, desc=name, smoothing=0.05) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = max(total, done) or None
            if bar.n == 0 and done > 1:
                bar.initial = done  # of an earlier run: not this one's speed
            bar.update(done - bar.n)

        yield progress


def _stream(options: argparse.Namespace, settings: Settings) -> int:
    """`-` is stdin as input, stdout as output; films are not read or written from end to end."""
    from photochrom.colorizer import Colorizer

    if len(options.inputs) > 1 or options.stills or os.path.isdir(options.inputs[0]):
        raise ConfigError(
            "-: stdin and stdout carry a single film",
            "don't give another input, a folder or --stills",
        )
    source, target = options.inputs[0], options.output or "-"
    for stream, name in ((source, "stdin"), (target, "stdout")):
        if stream == "-" and (name in closed or getattr(sys, name).isatty()):
            raise ConfigError(
                f"-: {name} is closed or a terminal, so no film can go through it",
                "use a file or a pipe",
            )
    colorizer = Colorizer(
        options.model, options.device, working_size=options.size, threads=options.threads
    )
    with Signals(), tempfile.TemporaryDirectory(prefix="photochrom-") as folder:
        path = os.path.join(folder, "stdin") if source == "-" else source
        result = os.path.join(folder, "film.mkv") if target == "-" else target
        if source == "-":
            with open(path, "wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            _one(path, result, colorizer, settings, options.force)
        except FilmError as error:
            return fail(str(error))
        if target == "-":
            copy_to_stdout(result)
        else:
            print(shown(target), flush=True)
    return 0


def _jobs(options: argparse.Namespace, codec: str) -> Iterator[tuple[str, str]]:
    """(source, target) for every film asked for."""
    output: str | None = options.output
    alone = len(options.inputs) == 1 and not os.path.isdir(options.inputs[0])
    folder = output is not None and (
        not alone or os.path.isdir(output) or output.endswith(("/", os.sep))
    )
    if alone and output is not None and not folder:
        yield options.inputs[0], output
        return
    for given in options.inputs:
        for source in _films(given, output) if os.path.isdir(given) else [given]:
            stem, suffix = os.path.splitext(source)
            suffix = _suffix(suffix.lower(), codec)
            if output is None:
                yield source, f"{stem}.color{suffix}"
                continue
            inside = os.path.relpath(stem, given) if os.path.isdir(given) else stem
            if not os.path.isdir(given):
                inside = os.path.basename(stem)
            yield source, os.path.join(output, inside + suffix)


def _films(folder: str, output: str | None) -> Iterator[str]:
    """The films of a folder tree; nothing hidden, and no results."""
    skip = None if output is None else os.path.realpath(output)
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(path, name)) != skip
        )
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            hidden = name.startswith(".") or stem.endswith(".color")
            if suffix.lower() in FILMS and not hidden:
                yield os.path.join(path, name)


def _suffix(suffix: str, codec: str) -> str:
    """That of the source where it can hold the result."""
    from photochrom.video.encode import CODECS

    holds = CODECS[codec].containers
    return suffix if suffix in holds else holds[0]
