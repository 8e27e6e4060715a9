"""Strokes, regions, reach and strength through the studio's service."""

from __future__ import annotations

import pytest

from photochrom.hints import Hint
from photochrom.web.studio.kept import Sent
from photochrom.web.studio.schema import HintIn
from photochrom.web.studio.store import KNOWN_BYTES, Upload, prediction_name

COLOR = (200.0, 40.0, 40.0)


def upload() -> Upload:
    from pathlib import Path

    return Upload("t", Sent(Path("photo")), 0, {}, 0.0)


def test_a_body_becomes_a_hint_with_all_its_values() -> None:
    body = {
        "x": 1,
        "y": 2,
        "color": COLOR,
        "reach": 0.5,
        "strength": 0.75,
        "stroke": [[1, 2], [3, 4]],
    }
    assert HintIn.model_validate(body).hint == Hint(1, 2, COLOR, 0.5, 0.75, ((1, 2), (3, 4)), ())
    assert HintIn(x=1, y=2, color=COLOR).hint == Hint(1, 2, COLOR)


@pytest.mark.parametrize(
    "wrong",
    [{"reach": -1}, {"reach": 5}, {"strength": 2}, {"stroke": [[1]]}, {"region": [[1, 2]] * 201},
     {"stroke": [[-1, 2]]}, {"size": 3}],
)  # fmt: skip
def test_bodies_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HintIn.model_validate({"x": 1, "y": 2, "color": COLOR, **wrong})


def test_all_shapes_are_remembered_and_have_names_of_their_own() -> None:
    sets = [
        [Hint(1, 2, COLOR)],
        [Hint(1, 2, COLOR, reach=0.5)],
        [Hint(1, 2, COLOR, strength=0.5)],
        [Hint.along([(1, 2), (3, 4)], COLOR)],
        [Hint.within([(1, 2), (3, 4)], COLOR)],
    ]
    names = {prediction_name(hints) for hints in sets}
    assert len(names) == len(sets)
    photo = upload()
    for hints in sets:
        photo.remember(hints)
        recalled = photo.recall(prediction_name(hints))
        assert [hint.values for hint in recalled] == [hint.values for hint in hints]


@pytest.mark.slow
def test_long_outlines_make_room_for_the_last_ones() -> None:
    photo = upload()
    for n in range(60):
        photo.remember([Hint.along([(n, i / 7) for i in range(200)], COLOR)] * 10)
    assert sum(map(len, photo.hints.values())) <= KNOWN_BYTES
    assert 1 < len(photo.hints) < 60
