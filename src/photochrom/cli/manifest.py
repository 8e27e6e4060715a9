"""`photochrom manifest`: what became of the photos of a run."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from datetime import datetime

from photochrom.cli.extras import needs_cluster
from photochrom.cli.terminal import say, shown
from photochrom.errors import ConfigError

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = """\
  photochrom manifest s3://color/1920s           counts
  photochrom manifest color/ --outcome failed    the photos that failed, and why
  photochrom manifest s3://color/1920s --csv all.csv
  photochrom manifest color/ --uncertain 4 --csv - | head"""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument("output", metavar="OUTPUT", help="folder or address of the results of a run")
    p.add_argument(
        "--outcome", choices=("done", "failed", "left", "passed"), default="",
        help="only photos that were colored, that failed, that were left alone because they are in "
             "color, or files that cannot be colored",
    )  # fmt: skip
    p.add_argument(
        "--path",
        default="",
        metavar="PATTERN",
        help="only results whose path matches PATTERN, such as '1923/*'",
    )
    p.add_argument(
        "--since",
        default="",
        metavar="TIME",
        help="only records since TIME, such as 2026-11-28T06:30",
    )
    p.add_argument(
        "--uncertain", type=float, default=0.0, metavar="BITS",
        help="only photos whose mean uncertainty is at least BITS, from 0 to 8.3",
    )  # fmt: skip
    p.add_argument(
        "--every", action="store_true", help="list every record, not only the latest of each photo"
    )
    p.add_argument("--csv", metavar="FILE", help="write a table with all columns; - for stdout")


def run(options: argparse.Namespace) -> int:
    """Run `photochrom manifest`."""
    needs_cluster()
    from photochrom.archive.query import Query, write_csv, write_rows
    from photochrom.archive.store import Store

    since = None
    if options.since:
        try:
            since = datetime.fromisoformat(options.since)
        except ValueError:
            raise ConfigError(
                f"--since {options.since}: is not a date or time", "write it as 2026-11-28T06:30"
            ) from None
    query = Query(
        Store(options.output), options.outcome, options.path, since, options.uncertain,
        options.every,
    )  # fmt: skip
    if options.csv == "-":
        write_rows(sys.stdout, query)
        return 0
    if options.csv:
        say(f"{write_csv(options.csv, query)} photos; the table is in {options.csv}")
        return 0
    listed = options.outcome or options.path or options.since or options.uncertain or options.every
    counts = Counter[str]()
    for table in query.tables():
        for row in table.select(["result", "outcome", "error", "passed"]).to_pylist():
            counts[row["outcome"]] += 1
            if listed:
                why = row["error"] or row["passed"]
                print(shown(f"{row['outcome']:6}  {row['result']}" + (f"  ({why})" if why else "")))
    words = {"done": "done", "failed": "failed", "left": "color photos left alone",
             "passed": "files that cannot be colored"}  # fmt: skip
    say(", ".join(f"{counts[name]} {word}" for name, word in words.items()))
    return 0
