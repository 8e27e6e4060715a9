"""`photochrom study`, `study-serve` and `study-report`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from photochrom.cli.pages import listen_arguments, needs_web
from photochrom.cli.values import named_folder
from photochrom.errors import ConfigError, PhotochromError
from photochrom.text import printable

if TYPE_CHECKING:
    from photochrom.study.pairs import Pairs
    from photochrom.study.study import Study

__all__ = [
    "run_study",
    "run_study_report",
    "run_study_serve",
    "study_report_arguments",
    "study_serve_arguments",
]


def run_study_serve(options: argparse.Namespace) -> int:
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
                    f"photochrom: left out: {len(photos)} of {printable(folder)} not in every "
                    f"folder, such as {printable(photos[0])}",
                    file=sys.stderr,
                )
    # Before the photos are read, which takes its time.
    with listen(options.host, options.port, allow_network=options.allow_network) as sock:
        with run_study(Path(options.output), pairs, options) as study:
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


def run_study(path: Path, pairs: Pairs | None, options: argparse.Namespace) -> Study:
    """The study of that file, begun where there is none yet."""
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
        raise ConfigError(f"{path}: no such study; begin it with --real DIR --fake NAME=DIR")
    return Study.create(
        path, pairs, StudySettings.of(given), lambda names: tqdm(names, unit="photo", disable=None)
    )


def run_study_report(options: argparse.Namespace) -> int:
    from photochrom.study.report import answers_csv, report, write_export

    limit = options.catch_limit
    found = report(options.study, everyone=options.all, catch_limit=limit)
    print(found.text())
    if options.json:
        text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n"
        write_export(options.json, text, force=options.force)
    if options.csv:
        write_export(options.csv, answers_csv(options.study, limit), force=options.force)
    return 0


def study_serve_arguments(p: argparse.ArgumentParser) -> None:
    from photochrom.study.plan import StudySettings as Default

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
    listen_arguments(p, 8016)


def study_report_arguments(p: argparse.ArgumentParser) -> None:
    from photochrom.study.report import CATCH_LIMIT

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
