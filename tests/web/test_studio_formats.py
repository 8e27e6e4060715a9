"""The page, the service and the table of formats list the same formats."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import photochrom.web
from photochrom.photo.formats.table import ALL, EXTENSIONS
from photochrom.web.studio.schema import Format

SAVING = Path(photochrom.web.__file__).parent / "static" / "studio" / "saving.js"


def test_the_service_takes_every_extension_that_needs_no_extra() -> None:
    literal = get_args(get_args(Format)[0])[0]
    assert sorted(f".{extension}" for extension in get_args(literal)) == sorted(EXTENSIONS)


def test_the_page_offers_every_format_that_needs_no_extra_once_under_its_name() -> None:
    (table,) = re.findall(r"^const FORMATS = \[(.*?)^\];", SAVING.read_text("utf-8"), re.M | re.S)
    offered = re.findall(r'\["(\w+)", "([^"]+)", "[^"]+"\]', table)
    assert table.count("[") == len(offered)
    assert dict(offered) == {form.suffixes[0][1:]: form.name for form in ALL if not form.extra}
    assert len(dict(offered)) == len(offered)
