from __future__ import annotations

from photochrom.text import printable, spreadsheet_cell


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert printable("été 写真 нить.jpg") == "été 写真 нить.jpg"
    assert printable("a\x1b[31m\nb\udcff") == "a\\x1b[31m\\nb\\udcff"
    assert printable("a\nb\x07", keep="\n") == "a\nb\\x07"
    assert printable("a\u3000b\u00a0c\u200d") == "a\u3000b\u00a0c\u200d", "spaces, joiners"
    assert printable("exe\u202egpj\u2028") == "exe\\u202egpj\\u2028"


def test_no_cell_begins_a_formula() -> None:
    for text in ("=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"):
        assert spreadsheet_cell(text) == "'" + text
    assert spreadsheet_cell("cat=1") == "cat=1"
    assert spreadsheet_cell("") == ""
