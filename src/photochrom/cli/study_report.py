"""`photochrom study report`: how often each method fooled people."""

from __future__ import annotations

import argparse
import json

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = """\
  photochrom study report study.db
  photochrom study report study.db --csv answers.csv"""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    from photochrom.study.report import CATCH_LIMIT

    p.add_argument("study", metavar="FILE", help="database from `photochrom study serve`")
    p.add_argument(
        "--all", action="store_true",
        help="include participants who failed catch trials (pairs with obviously wrong colors), "
             "and pairs shown for too long or too short a time",
    )  # fmt: skip
    p.add_argument(
        "--catch-limit", type=float, default=CATCH_LIMIT, metavar="X",
        help="share of catch trials that a participant may fail (default: %(default)s)",
    )  # fmt: skip
    p.add_argument("--json", metavar="FILE", help="also write the report as JSON")
    p.add_argument("--csv", metavar="FILE", help="also write all answers as CSV")
    p.add_argument("-f", "--force", action="store_true", help="replace existing files")


def run(options: argparse.Namespace) -> int:
    """Run `photochrom study report`."""
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
