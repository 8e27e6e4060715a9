"""The commands: a line each for the list, and a parser once one is asked for."""

from __future__ import annotations

import argparse
import importlib
from typing import Any, NamedTuple

__all__ = ["Command", "HelpFormatter", "add_command"]


class Command(NamedTuple):
    """A command as `photochrom --help` lists it."""

    name: str
    summary: str
    module: str
    """It has EXAMPLES, `arguments(parser)`, and `run(options)` unless it is a group."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help with line breaks kept, and "-o, --output FILE" on every version of Python."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


def add_command(group: Any, command: Command, wanted: bool = True) -> None:
    """Add a command to a group of subparsers; its module is imported only if it is wanted."""
    summary = command.summary
    parser: argparse.ArgumentParser = group.add_parser(
        command.name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}" + "." * (summary[-1] != "?"),
        formatter_class=HelpFormatter,
    )
    if wanted:
        module = importlib.import_module(command.module)
        parser.epilog = f"examples:\n{module.EXAMPLES}"
        parser.set_defaults(run=getattr(module, "run", None))
        module.arguments(parser)
