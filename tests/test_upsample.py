from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photochrom.upsample import Upsampler, area_shrink, box_mean

relaxed = settings(deadline=None, max_examples=60)
sides = st.integers(1, 24)


def mean_over_areas(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """By brute force: every pixel cut into so many that the areas consist of whole ones."""
    height, width = size
    fine = np.kron(np.asarray(image, np.float64), np.ones((height, width)))
    return fine.reshape(height, image.shape[0], width, image.shape[1]).mean(axis=(1, 3))


def linear(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """By np.interp, axis after axis: between pixel centers, constant beyond the outer ones."""
    out = np.asarray(image, np.float64)
    for axis, target in enumerate(size):
        side = out.shape[axis]
        place = (np.arange(target) + 0.5) * side / target - 0.5
        lines = np.moveaxis(out, axis, -1).reshape(-1, side)
        grown = np.stack([np.interp(place, np.arange(side), line) for line in lines])
        out = grown if axis == 1 else grown.T
    return out


def bilinear(ab: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack([linear(ab[..., c], size) for c in range(ab.shape[-1])], axis=-1)


def shrink_ab(ab: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack([area_shrink(ab[..., c], size) for c in range(2)], axis=-1)


# --- resizing one plane ---------------------------------------------------------------------------


@relaxed
@given(sides, sides, st.data())
def test_shrinking_takes_the_mean_of_each_area(
    height: int, width: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    image = np.random.default_rng(height * 100 + width).uniform(0, 100, (height, width))
    small = area_shrink(image, size)
    assert small.shape == size
    assert small.dtype == np.float32
    np.testing.assert_allclose(small, mean_over_areas(image, size), atol=1e-4)
    assert small.mean(dtype=np.float64) == pytest.approx(image.mean(), abs=1e-4)


@relaxed
@given(sides, sides, st.integers(0, 40), st.integers(0, 40))
def test_growing_is_linear(height: int, width: int, more: int, wider: int) -> None:
    size = height + more, width + wider
    image = np.random.default_rng(height * 100 + width).uniform(0, 100, (height, width))
    np.testing.assert_allclose(area_shrink(image, size), linear(image, size), atol=1e-4)


def test_each_axis_for_itself() -> None:
    # 12 rows become 4 means, 5 columns become 9 by interpolation.
    image = np.random.default_rng(1).uniform(0, 100, (12, 5))
    expected = linear(mean_over_areas(image, (4, 5)), (4, 9))
    np.testing.assert_allclose(area_shrink(image, (4, 9)), expected, atol=1e-4)
    expected = linear(mean_over_areas(image.T, (5, 4)), (9, 4))
    np.testing.assert_allclose(area_shrink(image.T, (9, 4)), expected, atol=1e-4)


def test_the_same_size_is_the_same_image() -> None:
    image = np.random.default_rng(2).uniform(0, 100, (13, 8)).astype(np.float32)
    np.testing.assert_array_equal(area_shrink(image, (13, 8)), image)


def test_area_by_hand() -> None:
    # Three pixels to two: each output covers one and a half.
    np.testing.assert_allclose(area_shrink([[3, 6, 30]], (1, 2)), [[4, 22]], rtol=1e-6)
    # Integers are numbers like any other.
    image = np.array([[0, 255], [255, 0]], np.uint8)
    assert area_shrink(image, (1, 1)).tolist() == [[127.5]]


def test_linear_by_hand() -> None:
    # Two pixels to four: centers at -0.25, 0.25, 0.75 and 1.25 of the old ones.
    np.testing.assert_allclose(area_shrink([[0, 8]], (1, 4)), [[0, 2, 6, 8]], rtol=1e-6)


def test_a_constant_stays_constant_at_any_size() -> None:
    for size in ((3, 3), (7, 31), (40, 2), (50, 60)):
        np.testing.assert_allclose(area_shrink(np.full((17, 23), 61.7), size), 61.7, rtol=1e-6)


def test_box_mean_repeats_the_edges() -> None:
    image = np.random.default_rng(8).uniform(-90, 90, (2, 6, 5)).astype(np.float32)
    mean = box_mean(image)
    assert mean.dtype == np.float32
    assert mean.shape == image.shape
    y, x = (np.clip(np.arange(n)[:, None] + [-1, 0, 1], 0, n - 1) for n in (6, 5))
    windows = image[:, y[:, None, :, None], x[None, :, None, :]]  # (2, 6, 5, 3, 3)
    np.testing.assert_allclose(mean, windows.mean(axis=(3, 4)), atol=1e-4)
    np.testing.assert_allclose(box_mean(image[0]), mean[0], atol=1e-4)


# --- enlarging ab ---------------------------------------------------------------------------------


def noisy_L(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 100, (height, width)).astype(np.float32)


SIZES = [
    ((120, 90), (30, 22)),
    ((64, 64), (16, 16)),
    ((31, 47), (8, 12)),
    ((10, 9), (16, 16)),
    ((5, 5), (1, 1)),
]


@pytest.mark.parametrize(("large", "small"), SIZES)
def test_gray_stays_exactly_gray(large: tuple[int, int], small: tuple[int, int]) -> None:
    ab = Upsampler(noisy_L(*large), small)(np.zeros((*small, 2)))
    assert ab.shape == (*large, 2)
    assert ab.dtype == np.float32
    assert not ab.any()


@pytest.mark.parametrize(("large", "small"), SIZES)
def test_one_color_stays_one_color_whatever_L_does(
    large: tuple[int, int], small: tuple[int, int]
) -> None:
    for color in ((100, -90), (-7.3, 55.5)):
        ab = Upsampler(noisy_L(*large), small)(np.broadcast_to(np.array(color), (*small, 2)))
        np.testing.assert_allclose(ab, np.broadcast_to(color, ab.shape), atol=2e-3)


def test_without_edges_in_L_it_is_bilinear() -> None:
    ab = np.random.default_rng(3).uniform(-90, 90, (15, 10, 2)).astype(np.float32)
    for L in (np.full((60, 43), 55, np.float32), np.zeros((60, 43), np.float32)):
        np.testing.assert_allclose(Upsampler(L, (15, 10))(ab), bilinear(ab, (60, 43)), atol=1e-3)


def step(edge: int, low: object, high: object, side: int = 96) -> np.ndarray:
    """An image of two halves, which meet at a column."""
    left = (np.arange(side) < edge)[None, :, None]
    return np.broadcast_to(np.where(left, low, high), (side, side, np.size(low))).astype(np.float32)


@pytest.mark.parametrize("edge", [40, 41, 42, 43, 51])
def test_a_color_edge_follows_the_edge_of_L(edge: int) -> None:
    L = step(edge, [30], [70])[..., 0]
    truth = step(edge, [40, -20], [-30, 35])
    small = shrink_ab(truth, (24, 24))
    for turn in (False, True):
        # Once upright, once lying: rows and columns must not be confused.
        axes = (1, 0, 2) if turn else (0, 1, 2)
        want = truth.transpose(axes)
        error = np.abs(Upsampler(L.T if turn else L, (24, 24))(small.transpose(axes)) - want)
        plain = np.abs(bilinear(small.transpose(axes), (96, 96)) - want)
        assert error.mean() < 0.5 * plain.mean()
        assert error.max() < 0.5 * plain.max()


def test_an_edge_of_L_within_one_color_changes_nothing() -> None:
    # A shadow's edge in x, a color edge in y, where L is smooth: the color edge stays bilinear.
    L = step(50, [20], [80])[..., 0]
    truth = step(48, [40, -20], [-30, 35]).transpose(1, 0, 2)
    small = shrink_ab(truth, (24, 24))
    np.testing.assert_allclose(Upsampler(L, (24, 24))(small), bilinear(small, (96, 96)), atol=1e-2)


def test_color_that_depends_on_L_is_restored() -> None:
    # Where ab is linear in L, the regression finds it, but for the part that regularization takes.
    rng = np.random.default_rng(4)
    L = area_shrink(rng.uniform(0, 100, (40, 40)), (160, 160))
    truth = np.stack([0.8 * L - 40, 25 - 0.5 * L], axis=-1)
    small = shrink_ab(truth, (40, 40))
    error = np.abs(Upsampler(L, (40, 40))(small) - truth).mean()
    assert error < 0.25 * np.abs(bilinear(small, (160, 160)) - truth).mean()


def test_turning_the_photo_turns_the_result() -> None:
    L = noisy_L(60, 44, seed=5)
    ab = np.random.default_rng(5).uniform(-90, 90, (15, 11, 2)).astype(np.float32)
    upright = Upsampler(L, (15, 11))(ab)
    lying = Upsampler(L.T.copy(), (11, 15))(ab.transpose(1, 0, 2))
    np.testing.assert_allclose(lying.transpose(1, 0, 2), upright, atol=2e-3)
    flipped = Upsampler(L[::-1].copy(), (15, 11))(ab[::-1])
    np.testing.assert_allclose(flipped[::-1], upright, atol=2e-3)


def test_strips_equal_the_whole() -> None:
    L = noisy_L(101, 67, seed=6)
    ab = np.random.default_rng(6).uniform(-90, 90, (26, 17, 2)).astype(np.float32)
    upsampler = Upsampler(L, (26, 17))
    whole, fitted = upsampler(ab), upsampler.fit(ab)
    kept = fitted.copy()
    for rows in (1, 7, 64, 101):
        parts = [
            np.stack(upsampler.rows(fitted, first, min(first + rows, 101)), axis=-1)
            for first in range(0, 101, rows)
        ]
        # Matrix products of other sizes add in another order: float32, not bits.
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-4)
    np.testing.assert_array_equal(fitted, kept)


def test_one_upsampler_serves_many_colorings() -> None:
    L = noisy_L(50, 40, seed=7)
    first, second = np.random.default_rng(7).uniform(-90, 90, (2, 12, 10, 2)).astype(np.float32)
    upsampler = Upsampler(L, (12, 10))
    before = upsampler(first)
    upsampler(second)
    np.testing.assert_array_equal(upsampler(first), before)
    # Linear in ab: the enlargement of a mixture is the mixture of the enlargements.
    mixed = upsampler(0.25 * first + 0.75 * second)
    np.testing.assert_allclose(mixed, 0.25 * before + 0.75 * upsampler(second), atol=2e-3)
