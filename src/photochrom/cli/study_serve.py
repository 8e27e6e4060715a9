"""`photochrom study serve`: the page where people take part in a study."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from photochrom.cli.extras import needs_web
from photochrom.cli.pages import listen_arguments
from photochrom.cli.values import named_folder
from photochrom.errors import ConfigError, PhotochromError
from photochrom.text import printable

if TYPE_CHECKING:
    from photochrom.study.pairs import Pairs
    from photochrom.study.study import Study

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = """\
  photochrom study serve --real photos/ --fake ours=color/ -o study.db
  photochrom study serve --real photos/ --fake a=a/ --fake b=b/ -o study.db
  photochrom study serve -o study.db            continue a study"""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    from photochrom.study.plan import StudySettings as Default

    p.add_argument("--real", metavar="DIR", help="folder of the original color photos")
    p.add_argument(
        "--fake", action="append", default=[], metavar="NAME=DIR",
        help="folder of the same photos recolored by method NAME, with the same file names; can "
             "be given several times",
    )  # fmt: skip
    p.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="the study's database; an existing one is continued",
    )
    p.add_argument(
        "--trials",
        type=int,
        metavar="N",
        help=f"number of pairs that count, per participant (default: {Default.trials})",
    )
    p.add_argument(
        "--practice",
        type=int,
        metavar="N",
        help=f"number of practice pairs at the start, with feedback (default: {Default.practice})",
    )
    p.add_argument(
        "--catch", type=int, metavar="N",
        help="number of catch trials: extra pairs with obviously wrong colors (default: a tenth of "
             "--trials)",
    )  # fmt: skip
    p.add_argument(
        "--exposure",
        type=float,
        metavar="S",
        help=f"how long to show each pair, in seconds (default: {Default.exposure:g})",
    )
    p.add_argument(
        "--side", type=int, metavar="N",
        help=f"longest side of the photos shown, in pixels (default: {Default.side}; the paper "
             "used 256)",
    )  # fmt: skip
    listen_arguments(p, 8016)


def run(options: argparse.Namespace) -> int:
    """Run `photochrom study serve`."""
    from photochrom.study.pairs import find_pairs

    try:
        from photochrom.web.serving.host import is_local
        from photochrom.web.serving.listen import listen, serve
        from photochrom.web.study.api import study_app
    except ImportError as error:
        raise needs_web(error) from None
    if bool(options.real) != bool(options.fake):
        raise ConfigError("--real and --fake go together: --real DIR --fake NAME=DIR")
    pairs = None
    if options.real:
        pairs = find_pairs(
            Path(options.real), [named_folder("--fake", text) for text in options.fake]
        )
        for folder, photos in pairs.unpaired.items():
            if photos:
                print(
                    f"photochrom: skipped {len(photos)} photos of {printable(folder)} that are not "
                    f"in every folder, such as {printable(photos[0])}",
                    file=sys.stderr,
                )
    # Listen before reading the photos: that takes a while, and the port may be taken.
    with listen(options.host, options.port, allow_network=options.allow_network) as sock:
        with _study(Path(options.output), pairs, options) as study:
            for problem in study.problems():
                print(f"photochrom: skipped: {printable(problem)}", file=sys.stderr)
            print(
                f"{printable(str(study.path))}: {len(study.photos)} photos; methods: "
                f"{printable(', '.join(study.methods.values()))}"
            )
            key = None if is_local(options.host) else study.key
            serve(study_app(study), sock, key=key, browser=options.browser)
        print(
            "\nStopped. All answers are saved.\n"
            f"  continue:  photochrom study serve -o {shlex.quote(options.output)}\n"
            f"  report:    photochrom study report {shlex.quote(options.output)}"
        )
    return 0


def _study(path: Path, pairs: Pairs | None, options: argparse.Namespace) -> Study:
    """The study in that file; a new one if the file does not exist."""
    from tqdm import tqdm

    from photochrom.study.plan import StudySettings
    from photochrom.study.study import Study

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
        raise ConfigError(f"{path}: no such study", "to start it, add --real DIR --fake NAME=DIR")
    return Study.create(
        path, pairs, StudySettings.of(given), lambda names: tqdm(names, unit="photo", disable=None)
    )
