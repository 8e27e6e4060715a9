"""The hints of the command line."""

from __future__ import annotations

import pytest

from photochrom.cli.values import hint_value
from photochrom.errors import HintError
from photochrom.hints import Hint

BLUE = (0x3A, 0x5F, 0xCD)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("310,220,3a5fcd", Hint(310, 220, BLUE)),
        ("310,220,#3A5FCD,reach=0.5", Hint(310, 220, BLUE, reach=0.5)),
        ("310.5,220,3a5fcd,strength=.25,reach=2", Hint(310.5, 220, BLUE, 2, 0.25)),
        ("1,2:30,4:50,6,3a5fcd", Hint.along([(1, 2), (30, 4), (50, 6)], BLUE)),
        ("1,2:30,4,3a5fcd,reach=0", Hint.along([(1, 2), (30, 4)], BLUE, reach=0)),
        ("1,2:30,40,3a5fcd,region", Hint.within([(1, 2), (30, 40)], BLUE)),
        (
            "1,2:9,2:9,8,3a5fcd,region,strength=0.5",
            Hint.within([(1, 2), (9, 2), (9, 8)], BLUE, 0.5),
        ),
        ("10,123456,abcdef", Hint(10, 123456, (0xAB, 0xCD, 0xEF))),
    ],
)
def test_what_a_hint_says(text: str, hint: Hint) -> None:
    assert hint_value(text).values == hint.values


@pytest.mark.parametrize(
    "text",
    ["", "1,2", "1,2,3,4", "1,2,rde", "1,2,3a5fcd,rich=1", "1,2,3a5fcd,reach=far",
     "1,2,3a5fcd,reach", "1,2,3a5fcd,region", "1,2:3,4,3a5fcd,region,reach=1", "1:2,3a5fcd",
     "1,2,3:4,3a5fcd"],
)  # fmt: skip
def test_what_is_no_hint(text: str) -> None:
    with pytest.raises(HintError, match="must be X,Y,COLOR"):
        hint_value(text)
