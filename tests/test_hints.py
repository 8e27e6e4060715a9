"""What a user says, checked and turned into places."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from photochrom.color.lab import rgb_to_lab
from photochrom.colorizer import Colorizer
from photochrom.errors import HintError
from photochrom.hints import MARKS, MOST_POINTS, Hint, Place, check_hints

RED = (200, 40, 60)


def test_the_shortest_hint_is_a_tuple(colorizer: Colorizer) -> None:
    (place,) = check_hints([(30, 10, RED)], (40, 60), colorizer.info)
    assert place.pixel(40, 60) == (10, 30)
    np.testing.assert_allclose(place.ab, rgb_to_lab(np.float32(RED) / 255)[1:])
    assert (place.reach, place.strength, place.line) == (1, 1, None)
    assert Hint.of((30, 10, RED)) == Hint(30, 10, RED)


@pytest.mark.parametrize(
    "hint",
    [
        Hint(3, 4, RED),
        Hint(3, 4, RED, reach=0.5, strength=0.25),
        Hint.along([(1, 2), (3, 4), (5, 6)], RED, reach=2),
        Hint.within([(1, 2), (9, 8)], RED),
    ],
)
def test_its_values_make_the_same_hint(hint: Hint) -> None:
    assert Hint.of(hint.values).values == hint.values
    assert len(hint.values) == (3 if hint == Hint(3, 4, RED) else 7)


def test_two_corners_are_a_rectangle() -> None:
    hint = Hint.within([(1, 2), (9, 8)], RED)
    assert hint.region == ((1, 2), (9, 2), (9, 8), (1, 8))
    assert (hint.x, hint.y) == (5, 5)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Hint(3, 4, RED, reach=5), "reach of 5"),
        (Hint(3, 4, RED, reach=math.nan), "reach of nan"),
        (Hint(3, 4, RED, strength=1.5), "strength of 1.5"),
        (Hint(3, 4, RED, stroke=[(1, 2), (70, 2)]), "(70, 2) is outside"),
        (Hint(3, 4, RED, region=[(1, 2), (3, 4)]), "at least 3"),
        (Hint(3, 4, RED, stroke=[(1, 2)], region=[(1, 2), (3, 4), (3, 2)]), "both"),
        (Hint(3, 4, RED, stroke=[(1, 2)] * (MOST_POINTS + 1)), "points"),
        (Hint(3, 4, RED, stroke=[(1, 2, 3)]), "is not (x, y"),  # type: ignore[list-item]
        ((3, 4), "is not (x, y"),
        ((3, 4, RED, 1, 1, (), (), 9), "is not (x, y"),
    ],
)
def test_what_is_refused(hint: Hint, words: str, colorizer: Colorizer) -> None:
    with pytest.raises(HintError, match="hint 2") as refusal:
        check_hints([(0, 0, RED), hint], (40, 60), colorizer.info)
    assert words in str(refusal.value)


def test_a_region_is_what_a_drawing_library_fills() -> None:
    outline = [(3, 3), (50, 8), (40, 35), (25, 12), (8, 36)]
    line = (np.float32(outline) + 0.5) / np.float32([60, 40])
    seeds = Place(0.5, 0.5, np.zeros(2, np.float32), line=line, closed=True).seeds(40, 60)
    image = Image.new("1", (60, 40))
    ImageDraw.Draw(image).polygon(outline, fill=1)
    apart = seeds != np.asarray(image)
    assert apart.sum() < 0.1 * seeds.sum(), "its border is drawn, and not cut"
    assert not (seeds & ~np.asarray(image)).any()


def test_a_stroke_has_no_gap_and_few_marks() -> None:
    line = np.float32([[0.01, 0.01], [0.99, 0.4], [0.99, 0.99]])
    place = Place(0.5, 0.5, np.zeros(2, np.float32), line=line)
    seeds = place.seeds(40, 60)
    assert seeds[0, 0] and seeds[39, 59] and seeds.any(axis=1).all() and seeds.any(axis=0).all()
    marks = place.marks(40, 60)
    assert 2 < len(marks) <= MARKS and all(seeds[mark] for mark in marks)


def test_a_region_between_the_pixels_is_one_pixel() -> None:
    line = np.float32([[0.501, 0.501], [0.502, 0.501], [0.502, 0.502]])
    place = Place(0.5, 0.5, np.zeros(2, np.float32), line=line, closed=True)
    assert np.argwhere(place.seeds(40, 60)).tolist() == [[20, 30]]


def pixels(place: Place) -> NDArray[np.bool_]:
    return place.seeds(40, 60)


def test_a_spot_is_a_pixel() -> None:
    assert np.argwhere(pixels(Place(0.26, 0.51, np.zeros(2, np.float32)))).tolist() == [[20, 15]]
