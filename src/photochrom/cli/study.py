"""`photochrom study`: its two commands."""

from __future__ import annotations

import argparse

from photochrom.cli.commands import Command, add_command

__all__ = ["EXAMPLES", "arguments"]

EXAMPLES = """\
  photochrom study serve --real photos/ --fake ours=color/ -o study.db
  photochrom study report study.db"""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the commands of the group."""
    group = p.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_command(
        group,
        Command("serve", "start the web page where people take part", "photochrom.cli.study_serve"),
    )
    add_command(
        group,
        Command(
            "report", "print how often each method fooled people", "photochrom.cli.study_report"
        ),
    )
