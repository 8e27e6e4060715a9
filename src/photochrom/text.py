"""Names that strangers chose, made safe for where they are shown."""

from __future__ import annotations

__all__ = ["printable", "spreadsheet_cell"]


def printable(text: str, keep: str = "") -> str:
    """The text with everything that is not printable written as an escape.

    A file name may hold a line break, or codes that a terminal obeys.

    Parameters
    ----------
    text : str
    keep : str
        Characters that stay all the same, such as a line break of our own.
    """
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape", "replace").decode()
        for c in text
    )


def spreadsheet_cell(text: str) -> str:
    """The text for a cell of a CSV file: a spreadsheet shall not take it for a formula.

    Source: OWASP, "CSV injection".
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
