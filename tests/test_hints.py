"""Hints to the letter: at their places exact, on like pixels spread, on others absent."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from photochrom.color.lab import rgb_to_lab
from photochrom.colorizer import Colorizer
from photochrom.evaluate.photos import grayed
from photochrom.hints import (
    BLEND_LIKENESS,
    BLEND_REACH,
    LIGHTNESS,
    LIKENESS,
    NOISE,
    REACH,
    Anchors,
    blend_hints,
)
from photochrom.look import Look
from photochrom.models import load_model
from photochrom.photo.open import open_photo
from photochrom.prediction import Prediction

EXAMPLES = Path(__file__).parent.parent / "examples"
Float32 = NDArray[np.float32]


def two_objects(height: int = 20, width: int = 30) -> tuple[Float32, Float32]:
    """L, and a distribution over four colors that is one thing on the left, another on the right.

    The line between them is at two thirds of the width; L is the same on both sides.
    """
    L = np.full((height, width), 50, dtype=np.float32)
    p = np.zeros((4, height, width), dtype=np.float32)
    p[:2, :, : 2 * width // 3] = 0.5
    p[2:, :, 2 * width // 3 :] = 0.5
    return L, p


def hint(x: float, y: float, a: float, b: float) -> tuple[float, float, Float32]:
    return x, y, np.array([a, b], dtype=np.float32)


def test_a_hint_colors_its_object_and_not_the_other() -> None:
    L, p = two_objects()
    anchors = Anchors.of([hint(0.6, 0.5, 40, -30)], L, p)
    ab = anchors.corrected(np.zeros((20, 30, 2), dtype=np.float32))
    assert np.abs(ab[:, 20:]).max() == 0, "three small pixels away, and another object"
    np.testing.assert_allclose(ab[10, 18], [40, -30], rtol=NOISE)
    assert (ab[:, 10:20, 0] > 10).all(), "the same object"
    assert ab[10, 19, 0] > ab[10, 12, 0] > ab[10, 2, 0] > 0, "less with distance"


def test_the_network_is_heard_where_it_is_like_the_place_of_a_hint() -> None:
    _, p = two_objects()
    p[:2, :5], p[2:, :5] = 0.32, 0.18  # something in between
    rng = np.random.default_rng(0)
    plain, hinted = rng.normal(size=(2, 4, 20, 30)).astype(np.float32)
    hints = [hint(0.1, 0.5, 0, 0), hint(0.2, 0.9, 0, 0)]
    logits = blend_hints(hints, plain, hinted, p)
    np.testing.assert_array_equal(logits[:, 5:, 20:], plain[:, 5:, 20:])
    np.testing.assert_allclose(logits[:, 10, 3], hinted[:, 10, 3], atol=1e-6)
    like = 2 * math.sqrt(0.5 * 0.32)
    near = math.exp(-((8 / (BLEND_REACH * 20)) ** 2) / 2)
    weight = near * like**BLEND_LIKENESS
    expected = plain[:, 2, 3] + weight * (hinted - plain)[:, 2, 3]
    np.testing.assert_allclose(logits[:, 2, 3], expected, atol=1e-5)


def test_other_lightness_is_another_thing() -> None:
    L, p = two_objects()
    L[:, 5:10] = 95
    ab = Anchors.of([hint(0.4, 0.5, 50, 0)], L, p).corrected(np.zeros((20, 30, 2), np.float32))
    assert ab[10, 11, 0] > 40
    assert ab[10, 8, 0] < 5


def test_the_mean_of_the_process_by_its_definition() -> None:
    rng = np.random.default_rng(0)
    h, w, q = 8, 11, 5
    L = rng.uniform(0, 100, (h, w)).astype(np.float32)
    p = rng.dirichlet(np.ones(q), (h, w)).transpose(2, 0, 1).astype(np.float32)
    before = rng.normal(0, 20, (h, w, 2)).astype(np.float32)
    # All remainders of one sign in a and b, and likeness that is no less: no limit is met.
    places = [(2, 3), (5, 9), (7, 0)]
    hints = [
        hint((c + 0.5) / w, (r + 0.5) / h, *(before[r, c] + np.float32([30, -20])))
        for r, c in places
    ]
    anchors = Anchors.of(hints, L, p)
    assert list(zip(anchors.rows, anchors.columns, strict=True)) == places

    def k(one: tuple[int, int], two: tuple[int, int]) -> float:
        distance = math.dist(one, two) / (REACH * min(h, w))
        lightness = (L[one] - L[two]) / LIGHTNESS
        like = sum(math.sqrt(p[i][one] * p[i][two]) for i in range(q))
        return math.exp(-(distance**2) / 2 - lightness**2 / 2) * like**LIKENESS

    K = np.array([[k(a, b) for b in places] for a in places]) + NOISE * np.eye(3)
    after = anchors.corrected(before)
    for r in range(h):
        for c in range(w):
            near = np.array([k((r, c), b) for b in places])
            change = near @ np.linalg.inv(K) @ np.tile([30.0, -20.0], (3, 1))
            change = np.clip(change, [0, -20], [30, 0])
            np.testing.assert_allclose(after[r, c] - before[r, c], change, atol=2e-3)


def test_contradictory_hints_push_no_further_than_either_asks() -> None:
    L, p = two_objects()
    hints = [hint(0.3, 0.5, 80, 60), hint(0.3, 0.5, -80, 60), hint(0.34, 0.5, -70, 0)]
    ab = Anchors.of(hints, L, p).corrected(np.zeros((20, 30, 2), dtype=np.float32))
    assert np.isfinite(ab).all()
    assert ab[..., 0].min() >= -80 and ab[..., 0].max() <= 80
    assert ab[..., 1].min() >= 0 and ab[..., 1].max() <= 60


def test_a_thousand_hints_in_one_place() -> None:
    L, p = two_objects()
    ab = Anchors.of([hint(0.5, 0.5, 20, 10)] * 1000, L, p).corrected(
        np.zeros((20, 30, 2), dtype=np.float32)
    )
    np.testing.assert_allclose(ab[10, 15], [20, 10], atol=0.01)


# --- with the network ---


@pytest.fixture(scope="module")
def gray() -> NDArray[np.uint8]:
    """Part of an example photo."""
    return np.ascontiguousarray(grayed(open_photo(EXAMPLES / "castle.jpg").pixels)[::2, ::2])


def predicted(
    colorizer: Colorizer, gray: NDArray[np.uint8], x: int, y: int, rgb: tuple[int, int, int]
) -> tuple[Prediction, Float32, tuple[int, int]]:
    result = colorizer.predict(gray, hints=[(x, y, rgb)])
    h, w = result.logits.shape[1:]
    place = int((y + 0.5) / gray.shape[0] * h), int((x + 0.5) / gray.shape[1] * w)
    wanted = rgb_to_lab(np.array(rgb, dtype=np.float32) / 255)[1:]
    return result, wanted, place


@pytest.mark.slow
@pytest.mark.parametrize("rgb", [(200, 40, 60), (40, 60, 200), (120, 120, 120)])
def test_at_its_place_a_hint_is_the_color_at_every_temperature(
    colorizer: Colorizer, gray: NDArray[np.uint8], rgb: tuple[int, int, int]
) -> None:
    x, y = gray.shape[1] // 3, gray.shape[0] // 2
    result, wanted, place = predicted(colorizer, gray, x, y, rgb)
    alone = replace(result.distribution, anchors=None)
    for temperature in (0.1, 0.38, 1.0):
        left = np.linalg.norm(alone.ab(Look(temperature))[place] - wanted)
        error = np.linalg.norm(result.ab(temperature)[place] - wanted)
        assert error <= 1.01 * NOISE * left + 1e-3
    np.testing.assert_allclose(result.ab(saturation=0.5), 0.5 * result.ab(), atol=1e-4)


@pytest.mark.slow
def test_alternatives_keep_the_hint(colorizer: Colorizer, gray: NDArray[np.uint8]) -> None:
    result, wanted, place = predicted(colorizer, gray, 40, 60, (180, 90, 30))
    for variant in result.candidate_predictions(3):
        assert np.linalg.norm(variant.ab()[place] - wanted) < 6


@pytest.mark.slow
def test_the_border_takes_hints_too(colorizer: Colorizer, gray: NDArray[np.uint8]) -> None:
    height, width = gray.shape
    for x, y in ((0, 0), (width - 1, height - 1), (width - 1e-3, 0)):
        result, wanted, place = predicted(colorizer, gray, int(x), int(y), (30, 140, 60))
        assert np.linalg.norm(result.ab()[place] - wanted) < 4


@pytest.mark.slow
def test_no_anchors_without_hints(colorizer: Colorizer, gray: NDArray[np.uint8]) -> None:
    assert colorizer.predict(gray).anchors is None
    assert load_model().info.channels == 4
