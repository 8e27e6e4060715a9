"""Hints to the letter: exact at their places, complete on their object, absent on others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from photochrom.anchors import Anchors, blend_hints
from photochrom.color.lab import fit_gamut, rgb_to_lab
from photochrom.colorizer import Colorizer
from photochrom.hints import Hint, Place
from photochrom.look import Look
from photochrom.prediction import Prediction

Float32 = NDArray[np.float32]
SIZE = 20, 30
NOTHING = np.zeros((*SIZE, 2), dtype=np.float32)


def scene() -> tuple[Float32, Float32]:
    """L (80, 120) with a dark thing at the left, and one distribution for all of (20, 30)."""
    L = np.full((80, 120), 95, dtype=np.float32)
    L[:, :60] = 5
    return L, np.full((4, *SIZE), 0.25, dtype=np.float32)


def place(x: float, y: float, a: float, b: float, **dials: float) -> Place:
    return Place(x, y, np.array([a, b], dtype=np.float32), **dials)


def anchored(*places: Place, plain: Float32 = NOTHING) -> Anchors:
    L, p = scene()
    return Anchors.of(places, L, plain, p)


def test_a_hint_fills_its_object_up_to_the_edge_of_L() -> None:
    ab = anchored(place(0.1, 0.5, 40, -30)).corrected(NOTHING)
    np.testing.assert_allclose(ab[:, :14], np.broadcast_to([40, -30], (20, 14, 2)), atol=2)
    assert np.abs(ab[:, 16:]).max() < 1e-3


def test_another_distribution_is_another_thing() -> None:
    L, p = scene()
    p[:2, :10], p[2:, :10] = 0.5, 0
    p[:2, 10:], p[2:, 10:] = 0, 0.5
    ab = Anchors.of([place(0.1, 0.1, 40, 0)], L, NOTHING, p).corrected(NOTHING)
    assert ab[:10, :14, 0].min() > 39
    assert np.abs(ab[10:]).max() == 0


def test_a_hint_of_the_present_color_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    plain = rng.normal(0, 10, (*SIZE, 2)).astype(np.float32)
    base = anchored(place(0.2, 0.5, 0, 0), plain=plain)
    now = base.sampled(plain)[0]
    anchors = anchored(place(0.2, 0.5, *now.tolist()), plain=plain)
    np.testing.assert_allclose(anchors.corrected(plain), plain, atol=1e-3)
    logits = rng.normal(size=(2, 4, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(blend_hints(anchors, *logits), logits[0], atol=1e-5)


def test_the_network_is_heard_in_the_cover_and_by_strength() -> None:
    plain, hinted = np.random.default_rng(0).normal(size=(2, 4, *SIZE)).astype(np.float32)
    for strength in (1.0, 0.5):
        anchors = anchored(place(0.1, 0.5, 80, 0, strength=strength))
        mixed = blend_hints(anchors, plain, hinted)
        here = plain[:, 10, 3] + np.float32(strength) * (hinted - plain)[:, 10, 3]
        np.testing.assert_allclose(mixed[:, 10, 3], here, atol=1e-3)
        np.testing.assert_allclose(mixed[:, :, 20:], plain[:, :, 20:], atol=1e-5)


@pytest.mark.parametrize("strength", [0, 0.25, 1])
def test_strength_is_the_share_of_the_way(strength: float) -> None:
    ab = anchored(place(0.1, 0.5, 40, -20, strength=strength)).corrected(NOTHING)
    np.testing.assert_allclose(ab[10, 3], np.array([40, -20]) * strength, atol=0.2)


def test_reach_is_how_far_it_spreads() -> None:
    def reached(reach: float) -> int:
        ab = anchored(place(0.01, 0.5, 40, 0, reach=reach)).corrected(NOTHING)
        return int((ab[..., 0] > 20).sum())

    assert reached(0) <= 4
    assert 10 < reached(0.1) < reached(0.3) < reached(1)
    assert reached(1) == pytest.approx(300, abs=20), "its object"
    assert reached(4) == 600, "all of it, for it is all alike"


def test_each_object_follows_its_own_hint() -> None:
    ab = anchored(place(0.1, 0.5, 40, 0), place(0.9, 0.5, -40, 10)).corrected(NOTHING)
    np.testing.assert_allclose(ab[:, :13, 0], 40, atol=3)
    np.testing.assert_allclose(ab[:, 17:, 0], -40, atol=3)


def test_a_hint_has_no_share_beyond_its_reach() -> None:
    near = place(0.25, 0.5, 40, 0, reach=0.1)
    ab = anchored(place(0.05, 0.1, -40, 0), near).corrected(NOTHING)
    assert ab[10, 7, 0] > 20
    np.testing.assert_allclose(ab[18, 13], [-40, 0], atol=6)


def test_contradictory_hints_push_no_further_than_either_asks() -> None:
    hints = [place(0.3, 0.5, 80, 60), place(0.3, 0.5, -80, 60), place(0.34, 0.5, -70, 0)]
    ab = anchored(*hints).corrected(NOTHING)
    assert np.isfinite(ab).all()
    assert ab[..., 0].min() >= -80 and ab[..., 0].max() <= 80
    assert ab[..., 1].min() >= 0 and ab[..., 1].max() <= 60


def test_many_hints_in_one_place() -> None:
    ab = anchored(*[place(0.1, 0.5, 20, 10)] * 100).corrected(NOTHING)
    np.testing.assert_allclose(ab[10, 3], [20, 10], atol=0.1)


def test_a_region_is_that_color_and_ends_at_its_outline() -> None:
    line = np.float32([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]])
    region = replace(place(0.5, 0.5, 40, -30), line=line, closed=True)
    ab = anchored(region).corrected(np.random.default_rng(0).normal(0, 9, (*SIZE, 2)))
    np.testing.assert_allclose(ab[5:15, 7:23], np.broadcast_to([40, -30], (10, 16, 2)), atol=1e-3)
    spot = place(0.5, 0.5, -40, 0, reach=0.2)
    later = anchored(region, spot).corrected(NOTHING)
    assert later[10, 15, 0] < -30, "the later one lies on top"
    np.testing.assert_allclose(anchored(region).corrected(NOTHING)[:3], 0, atol=1e-6)


def test_a_stroke_reaches_from_all_of_its_points() -> None:
    line = np.float32([[0.1, 0.5], [0.9, 0.5]])
    stroke = replace(place(0.5, 0.5, 40, 0), line=line, reach=0.15)
    ab = anchored(stroke).corrected(NOTHING)
    assert ab[10, 3:27, 0].min() > 30
    assert ab[0, :, 0].max() < 20


# --- with the network ---


def spot_of(result: Prediction, hint: Hint) -> Float32:
    shown = rgb_to_lab(result.render())[int(hint.y), int(hint.x), 1:]
    return np.asarray(shown, dtype=np.float32)


@pytest.mark.parametrize("color", [(200, 40, 60), (40, 60, 200), (120, 120, 120)])
@pytest.mark.slow
def test_the_spot_has_exactly_the_color_that_it_can_have(
    colorizer: Colorizer, gray: NDArray[np.uint8], color: tuple[int, int, int]
) -> None:
    unit = gray.astype(np.float32) / 255
    height, width = gray.shape[:2]
    hints = [Hint(x, y, color) for x, y in ((width // 3, height // 2), (0, 0), (width - 1, 5))]
    result = colorizer.predict(unit, hints)
    wanted = rgb_to_lab(np.float32(color) / 255)[1:]
    for hint in hints:
        L = result.L[int(hint.y), int(hint.x)]
        can = rgb_to_lab(fit_gamut(L, wanted, np.float32))[1:]
        np.testing.assert_allclose(spot_of(result, hint), can, atol=0.1)


@pytest.mark.slow
def test_all_temperatures_and_alternatives_keep_the_hint(
    colorizer: Colorizer, gray: NDArray[np.uint8]
) -> None:
    hint = Hint(gray.shape[1] // 3, gray.shape[0] // 2, (180, 120, 100))
    result = colorizer.predict(gray, [hint])
    ((_, _, wanted),) = result.distribution.exact()
    anchors = result.anchors
    assert anchors is not None
    for one in (result, *result.candidate_predictions(2)):
        for temperature in (0.1, 1.0):
            found = anchors.sampled(one.ab(temperature))[0]
            assert np.linalg.norm(found - wanted) < 4
    np.testing.assert_allclose(result.ab(saturation=0.5), 0.5 * result.ab(), atol=1e-4)
    ((_, _, half),) = result.distribution.exact(Look(saturation=0.5))
    np.testing.assert_allclose(half, 0.5 * wanted)


def test_no_anchors_without_hints(colorizer: Colorizer, gray: NDArray[np.uint8]) -> None:
    assert colorizer.predict(gray).anchors is None
