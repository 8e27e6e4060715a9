"""Write docs/help.md, the output of `--help` for every command. `make help-page` runs this."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from photochrom.cli.main import COMMANDS, main

PAGE = Path(__file__).with_name("help.md")
COLUMNS = "100"


def help_of(command: str) -> str:
    """What `photochrom COMMAND --help` prints."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
            main([*command.split(), "--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return text.getvalue().rstrip()


def page() -> str:
    """The page, as Markdown."""
    names = [command.name for command in COMMANDS] + ["study serve", "study report"]
    about = "The output of `--help` for every command. `make help-page` generates this page."
    parts = [f"# Command-line help\n\n{about}\n"]
    for name in ("", *sorted(names)):
        title = f"photochrom {name}".rstrip()
        parts.append(f"## {title}\n\n```text\n{help_of(name)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
