"""Names that strangers chose, made safe to show."""

from __future__ import annotations

import unicodedata

__all__ = ["one_line", "printable", "spreadsheet_cell"]

_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control characters, bytes that are not text, line separators."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They reverse the direction of writing, so that "gpj.exe" reads "exe.jpg"."""


def printable(text: str, keep: str = "") -> str:
    """The text with escapes in place of characters that a terminal would obey.

    Parameters
    ----------
    text : str
    keep : str
        Characters that stay, such as our own line breaks.
    """
    return "".join(
        c.encode("unicode_escape").decode()
        if c not in keep and (c in _TURNING or unicodedata.category(c) in _UNSEEN)
        else c
        for c in text
    )


def spreadsheet_cell(text: str) -> str:
    """The text for a cell of a CSV file, so that no spreadsheet takes it for a formula.

    Source: OWASP, "CSV injection".
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def one_line(error: Exception) -> str:
    """The message of an exception on one line; its type if there is none."""
    return " ".join(str(error).split()) or type(error).__name__
