"""The command line: parse, call, report, exit code.

Exit codes: 0 if everything worked, 1 if something failed (stderr names each failure), 2 for wrong
usage, 130 after Ctrl-C, 143 after SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Container, Sequence

from photochrom._version import __version__
from photochrom.cli.commands import Command, HelpFormatter, add_command
from photochrom.cli.terminal import open_streams, say
from photochrom.cli.values import is_address
from photochrom.errors import ConfigError, PhotochromError

__all__ = ["COMMANDS", "main", "parser_of"]

COMMANDS = (
    Command("colorize", "color photos", "photochrom.cli.colorize"),
    Command("video", "color films and videos without flicker", "photochrom.cli.video"),
    Command("manifest", "show the outcome of each photo in a run", "photochrom.cli.manifest"),
    Command("models", "list the bundled models", "photochrom.cli.models"),
    Command(
        "prepare",
        "pack folders of color photos into shards (tar files) for training",
        "photochrom.cli.prepare",
    ),
    Command("train", "train a network on shards", "photochrom.cli.train"),
    Command("evaluate", "measure how good the colors are", "photochrom.cli.evaluate"),
    Command(
        "reproduce",
        "reproduce the paper's results table, from photos to report",
        "photochrom.cli.reproduce",
    ),
    Command(
        "export",
        "convert a training run into a model file, or make a model file smaller",
        "photochrom.cli.export",
    ),
    Command(
        "import",
        "convert a checkpoint released by the authors of the paper (Zhang et al. 2016)"
        " into a model file",
        "photochrom.cli.import_published",
    ),
    Command(
        "studio",
        "color and correct photos in your browser; also an HTTP service for programs",
        "photochrom.cli.studio",
    ),
    Command(
        "site",
        "write a web page that colors photos in its visitors' browsers",
        "photochrom.cli.site",
    ),
    Command(
        "study",
        "run a perception study: can people tell which of two photos was recolored?",
        "photochrom.cli.study",
    ),
    Command(
        "completion",
        "print a script that lets your shell complete commands",
        "photochrom.cli.completion",
    ),
)

_EXAMPLES = """\
examples:
  photochrom colorize grandmother.jpg
  photochrom colorize scans/ -o color/
  photochrom models

Run `photochrom COMMAND --help` for help on a command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    open_streams()
    arguments = sys.argv[1:] if argv is None else list(argv)
    if (meant := _meant(arguments)) is not None:
        say(f"{arguments[0]}: is not a command; did you mean `{meant}`?")
        return 2
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    parser = parser_of({wanted})
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 2
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except PhotochromError as error:
        for line in (str(error), *getattr(error, "__notes__", ())):
            say(line)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt as error:
        print("photochrom: interrupted", file=sys.stderr)
        return getattr(error, "exit_code", 130)
    except BrokenPipeError:  # the reader of our output has gone, as in `photochrom ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _meant(arguments: Sequence[str]) -> str | None:
    """The command line that the user meant, if a photo or folder is in the command's place."""
    first = arguments[0] if arguments else ""
    if first in {command.name for command in COMMANDS} or not (
        is_address(first) or os.path.exists(first)
    ):
        return None
    return shlex.join(["photochrom", "colorize", *arguments])


def parser_of(wanted: Container[str | None]) -> argparse.ArgumentParser:
    """A parser that knows all commands. Only the commands in `wanted` are complete."""
    parser = argparse.ArgumentParser(
        prog="photochrom",
        description="Color black-and-white photos and films on your own machine.",
        formatter_class=HelpFormatter,
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", action="version", version=f"photochrom {__version__}")
    parser.set_defaults(run=None)
    group = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        add_command(group, command, command.name in wanted)
    return parser
