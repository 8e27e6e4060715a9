"""`photochrom colorize`: one photo, a pipe, or a folder."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from photochrom.archive.address import is_store
from photochrom.cli.folders import MOST_SECONDS, colorize_many
from photochrom.cli.one import colorize_one, colorize_stream
from photochrom.cli.terminal import fail, logging_to, say
from photochrom.cli.values import is_address, report_value, seconds_value, shard_value
from photochrom.color.bins import TEMPERATURE
from photochrom.errors import ConfigError

if TYPE_CHECKING:
    from photochrom.batch.find import Asked

__all__ = ["EXAMPLES", "arguments", "run"]


EXAMPLES = """\
  photochrom colorize old.jpg                    writes old.color.jpg next to it
  photochrom colorize old.jpg -o new.png
  photochrom colorize scans/ -o color/           a folder and its subfolders;
                                                 a second run skips finished photos
  photochrom colorize scans/ -o color/ --report review.html
  photochrom colorize scans/ -o color/ --shard 2/8    the second of eight parts
  photochrom colorize s3://scans/1920s -o s3://color/1920s
  photochrom colorize s3://scans -o s3://color --cluster auto    on all machines
                                                 of a Ray cluster
  photochrom colorize - < old.jpg > new.jpg
  photochrom colorize old.jpg --saturation 0.8   more muted colors
  photochrom colorize old.jpg --hint 310,220,3a5fcd   this spot is blue"""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="photo, folder of photos, or - for stdin; also an address such as s3://scans/1920s",
    )
    p.add_argument(
        "-o", "--output", metavar="FILE|DIR",
        help="output file or folder, or - for stdout (default: NAME.color.EXT next to INPUT)",
    )  # fmt: skip
    _look_arguments(p)
    _model_arguments(p)
    _choice_arguments(p)
    _work_arguments(p)


def _look_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "-t", "--temperature", type=float, default=TEMPERATURE, metavar="T",
        help="vividness, from 0 (vivid) to 1 (muted) (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "-s", "--saturation", type=float, default=1.0, metavar="S",
        help="multiply the saturation by S (default: 1)",
    )  # fmt: skip
    p.add_argument(
        "--hint", action="append", default=[], metavar="X,Y,COLOR",
        help="set the color of the spot at pixel (X, Y), counted from the top left, for example "
             "310,220,3a5fcd or 310,220,navy. Can be given several times. Use X,Y:X,Y:...,COLOR "
             "for a stroke, and add ,region to make the points the corners of a region. Add "
             ",reach=R (0 to 4) for how far the hint acts and ,strength=S (0 to 1) for how much. "
             "`photochrom studio PHOTO` shows the X and Y of a spot",
    )  # fmt: skip
    p.add_argument(
        "--color", choices=("recolor", "keep", "skip"),
        help="what to do with photos that are in color: recolor gives them new colors, keep copies "
             "them unchanged, skip leaves them out (default: skip; for a single photo, recolor)",
    )  # fmt: skip
    p.add_argument(
        "--skip-color", dest="color", action="store_const", const="skip",
        help="the same as --color skip",
    )  # fmt: skip
    p.add_argument(
        "--keep-color", type=float, nargs="?", const=0.5, default=0.0, metavar="AMOUNT",
        help="give color photos new colors mixed with this much of their own, from 0 to 1 "
             "(default: 0 without this option, 0.5 without AMOUNT)",
    )  # fmt: skip
    p.add_argument(
        "--no-margins", dest="margins", action="store_false",
        help="color blank margins too; by default, the paper around a print stays gray",
    )  # fmt: skip
    p.add_argument(
        "-q", "--quality", type=int, metavar="N",
        help="quality of JPEG, WebP, AVIF, HEIC and JPEG XL, 1 to 100 (default for JPEG: the "
             "source's quality, but at least 75)",
    )  # fmt: skip


def _model_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "-m", "--model", metavar="M",
        help="bundled model (see `photochrom models`) or .onnx file (default: photochrom-1)",
    )  # fmt: skip
    p.add_argument("--device", default="cpu", metavar="D", help="cpu or cuda (default: cpu)")
    p.add_argument(
        "--size", type=int, metavar="N",
        help="short side of the network's input, in pixels (default: the model's)",
    )  # fmt: skip
    p.add_argument(
        "--threads", type=int, default=0, metavar="N",
        help="CPU cores per photo (default: all for one photo, 1 for several)",
    )  # fmt: skip


def _choice_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN",
        help="skip files and folders whose name or path matches PATTERN, for example '*.tif' or "
             "'1923/*'; can be given several times",
    )  # fmt: skip
    p.add_argument(
        "--shard",
        type=shard_value,
        metavar="I/N",
        help="color only part I of N, to split the work among machines",
    )
    p.add_argument("-f", "--force", action="store_true", help="replace existing results")
    p.add_argument(
        "--retry", action="store_true",
        help="retry photos that failed before, even if they have not changed since",
    )  # fmt: skip


def _work_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--workers", type=int, metavar="N",
        help="number of photos to color at once; each one needs memory (default: number of CPU "
             "cores plus one)",
    )  # fmt: skip
    p.add_argument(
        "--cluster", metavar="ADDRESS",
        help="color on a Ray cluster: auto for the one on this machine, HOST:PORT or "
             "ray://HOST:PORT (see docs/scale.md)",
    )  # fmt: skip
    p.add_argument(
        "--timeout", type=seconds_value, metavar="SECONDS",
        help=f"give up on a photo after this long; 0 means no limit (default: {MOST_SECONDS:g} "
             "for several photos, none for one)",
    )  # fmt: skip
    p.add_argument(
        "--dry-run", action="store_true", help="show what would be done, without doing it"
    )
    p.add_argument(
        "--report", type=report_value, metavar="FILE",
        help="write an overview of all results, the least certain first, as .html (with pictures) "
             "or .csv",
    )  # fmt: skip
    p.add_argument(
        "--log", metavar="FILE", help="append all messages to this file, with timestamps"
    )
    p.add_argument(
        "-v", "--verbose", action="store_true",
        help="print the name of each result, and of each file that cannot be colored",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run `photochrom colorize`."""
    with logging_to(options.log):
        if "-" in (*options.inputs, options.output):
            return colorize_stream(options)
        if options.cluster is not None or any(map(is_store, _places(options))):
            from photochrom.cli.archive import colorize_archive

            return colorize_archive(options)
        return _run(options)


def _places(options: argparse.Namespace) -> list[str]:
    """The inputs, and the output if there is one."""
    places = list(options.inputs)
    if options.output is None:
        # A photo in the web is told to be downloaded; all other addresses need an output.
        return [item for item in places if not is_address(item)]
    return [*places, options.output]


def _run(options: argparse.Namespace) -> int:
    from photochrom.batch.find import Teller, find

    asked = _asked(options)
    problems: list[str] = []
    found = find(asked, Teller(problems.append, say))
    for problem in problems:
        fail(problem)
    alone = len(options.inputs) == 1
    if alone and not os.path.isdir(options.inputs[0]):
        if not found.photos:
            return fail("this is not a photo to color")
        if not options.dry_run:
            return colorize_one(options, found)
    # Photos that were named one by one, with results next to them, share no folder.
    folder = options.inputs[0] if options.output is None and alone else options.output
    folder = None if folder is None or not asked.into_folder else folder
    if folder is not None and alone and not os.path.isdir(options.inputs[0]):
        folder = None
    return colorize_many(options, found, folder) or (1 if problems else 0)


def _asked(options: argparse.Namespace) -> Asked:
    """What the user wants. Raises ConfigError if it makes no sense."""
    from photochrom.batch.find import Asked
    from photochrom.batch.job import identity

    inputs, output = options.inputs, options.output
    several = len(inputs) > 1 or os.path.isdir(inputs[0])
    for item in inputs:
        if is_address(item) and not os.path.exists(item):
            raise ConfigError(f"{item}: is a web address", "download the photo, and give its file")
        if output is not None and os.path.isdir(item) and identity(item) == identity(output):
            raise ConfigError(
                f"-o {output}: is the input folder, and the result would overwrite the photo",
                "leave out -o to get NAME.color.EXT next to each photo, or name another folder",
            )
    if options.hint and several:
        raise ConfigError(
            "--hint: is for a spot in one photo, but there are several photos",
            "color that photo alone, or put its hints into a file next to it: NAME.photochrom.json",
        )
    if options.shard is not None and not several:
        raise ConfigError("--shard: splits folders or several photos, but this is a single photo")
    into_folder = output is None or _asks_folder(output)
    if not into_folder:
        if several:
            raise ConfigError(
                f"{output}: several photos need an output folder; end its name with /"
            )
        _check_format(output)
    return Asked(inputs, output, into_folder, options.exclude)


def _asks_folder(output: str) -> bool:
    folder = os.path.isdir(output) or output.endswith(("/", os.sep))
    return folder or not os.path.splitext(output)[1]


def _check_format(output: str) -> None:
    """Refuse a result that could not be written, before the photo is read."""
    from photochrom.photo.formats.table import EXTENSIONS, format_of

    form = format_of(output)
    if form is None:
        suffix = os.path.splitext(output)[1]
        raise ConfigError(
            f"-o {output}: unknown extension {suffix}",
            f"use one of {' '.join(EXTENSIONS)}, or end the name of a folder with /",
        )
    form.check(output)
