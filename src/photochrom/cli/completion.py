"""`photochrom completion`: a script with which a shell completes commands, options and files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from photochrom.errors import DependencyError

__all__ = ["EXAMPLES", "arguments", "run"]

SHELLS = ("bash", "zsh", "fish")
EXAMPLES = """\
  photochrom completion bash > ~/.local/share/bash-completion/completions/photochrom
  photochrom completion zsh > ~/.zfunc/_photochrom     a folder that is in fpath
  photochrom completion fish > ~/.config/fish/completions/photochrom.fish
Then open a new terminal."""
_FOLDERS = ("DIR",)
_FILES = ("FILE", "FILE|DIR", "INPUT", "M", "PHOTO", "PHOTOS", "RECIPE", "REPORT", "RUN", "SHARDS")
_NAMED = ("checkpoint", "photos")  # places whose help shows no such word


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument("shell", choices=SHELLS, help="your shell")


def run(options: argparse.Namespace) -> int:
    """Run `photochrom completion`."""
    from photochrom.cli.main import COMMANDS, parser_of

    try:
        import shtab
    except ImportError:
        raise DependencyError("this command needs shtab", "run pip install shtab") from None
    parser = parser_of({command.name for command in COMMANDS})
    for action in _values(parser):
        if action.metavar in _FOLDERS:
            setattr(action, "complete", shtab.DIRECTORY)  # noqa: B010 (argparse does not know it)
        elif action.metavar in _FILES or action.dest in _NAMED:
            setattr(action, "complete", shtab.FILE)  # noqa: B010
    print(shtab.complete(parser, options.shell))
    return 0


def _values(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """What takes a text, in a command and those below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _values(below)
        elif action.nargs != 0 and action.choices is None and action.type not in (int, float):
            yield action
