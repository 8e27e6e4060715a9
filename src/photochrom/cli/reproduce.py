"""`photochrom reproduce`: the paper's table, from photographs to report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from photochrom.cli.extras import needs_torch
from photochrom.cli.terminal import shown
from photochrom.errors import DataError

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = """\
  photochrom reproduce photos/ -o small/
  photochrom reproduce photos/ -o trial/ --share 0.01
  photochrom reproduce imagenet/train --validation imagenet/val --recipe paper -o paper/

To resume after an interruption, run the same command again."""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument("photos", nargs="+", metavar="PHOTOS", help="folders of photos, or tar files")
    p.add_argument(
        "-o", "--output", required=True, metavar="DIR",
        help="output folder for the shards, training runs, models and report",
    )  # fmt: skip
    p.add_argument(
        "--recipe", default="small", metavar="RECIPE",
        help="small, paper, or your own recipe as a TOML file (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "--validation", action="append", default=[], metavar="PHOTOS",
        help="photos to measure on; can be given several times (default: a part of PHOTOS that is "
             "left out of training)",
    )  # fmt: skip
    p.add_argument(
        "--share", type=float, default=1.0, metavar="X",
        help="run only this share of the recipe's training steps, for a trial run (default: 1)",
    )  # fmt: skip
    p.add_argument(
        "--expect", metavar="FILE", help="compare with the table.json of another reproduction"
    )
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    p.add_argument(
        "--workers", type=int, default=0, metavar="N",
        help="number of processes for preparing and measuring (default: one per CPU core)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run `photochrom reproduce`."""
    needs_torch()
    from photochrom.reproduce.recipe import load_recipe
    from photochrom.reproduce.table import agreement, markdown
    from photochrom.reproduce.work import Asked, reproduce

    expected = _expected(options.expect)
    asked = Asked(
        load_recipe(options.recipe),
        tuple(options.photos),
        tuple(options.validation),
        options.share,
        options.workers,
        options.device,
    )
    folder = Path(options.output)
    try:
        table = reproduce(asked, folder, say=lambda line: print(line, file=sys.stderr))
    except KeyboardInterrupt:
        table = None
    if table is None:
        print("\nphotochrom: interrupted; run the same command again to resume", file=sys.stderr)
        return 130
    print(markdown(table))
    print(f"{shown(str(folder / 'report' / 'report.html'))}: curves, pictures, each run by itself")
    if expected is None:
        return 0
    compared, outside = agreement(table, expected)
    print(f"{compared - len(outside)} of {compared} results are within the expected limits")
    for line in outside:
        print(f"outside: {line}")
    return 1 if outside else 0


def _expected(path: str | None) -> dict[str, object] | None:
    if path is None:
        return None
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(table["rows"], dict):
            raise ValueError("it has no rows")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: is not the table of a reproduction ({error})", "give its table.json"
        ) from error
    return dict(table)
