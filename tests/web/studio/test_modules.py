"""Modules of the studio's page: who imports whom."""

import re
from graphlib import TopologicalSorter
from pathlib import Path

import photochrom

STATIC = Path(photochrom.__file__).parent / "web" / "static" / "studio"


def test_modules_import_in_one_direction_and_the_desk_knows_no_page() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")}
    imports = {
        name: re.findall(r'(?:from|import) "\./(.+?)"', text) for name, text in texts.items()
    }
    TopologicalSorter(imports).prepare()  # raises where they go in a circle
    below, left = set(), ["desk.js"]
    while left:
        below.add(name := left.pop())
        left += set(imports[name]) - below
    for name in below:
        assert not re.search(r"\b(document|window)\b", texts[name]), name
