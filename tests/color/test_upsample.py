from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photochrom.color.lab import gray_to_L, rgb_to_lab
from photochrom.color.resize import area_shrink, box_mean
from photochrom.color.upsample import CELL, MARGIN, TO_GRAY, Upsampler
from photochrom.photo.read import read_photo

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.usefixtures("each_way")

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


def enlarge(L: np.ndarray, ab: np.ndarray, to_gray: float = TO_GRAY) -> np.ndarray:
    height, width = ab.shape[:2]
    return Upsampler(L, (height, width), to_gray=to_gray)(ab, L)


def shrink_ab(ab: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.stack([area_shrink(ab[..., c], size) for c in range(2)], axis=-1)


# --- resizing one plane ---------------------------------------------------------------------------


@relaxed
@given(sides, sides, st.data())
@pytest.mark.slow
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


def test_areas_of_a_large_image_add_up() -> None:
    image = noisy_L(1201, 907)
    small = area_shrink(image, (37, 41))
    assert small.mean(dtype=np.float64) == pytest.approx(image.mean(dtype=np.float64), abs=1e-3)
    rows = image.astype(np.float64)[: 1201 // 37 + 1]  # the first row of areas: 32 and 17/37 rows
    height = 1201 / 37
    first = (rows[:-1].sum(axis=0) + (height - len(rows) + 1) * rows[-1]) / height
    assert small[0].mean() == pytest.approx(first.mean(), abs=1e-3)


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


def noisy_ab(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-90, 90, (height, width, 2)).astype(np.float32)


# Upright, lying, whole and broken ratios, smaller than the network's output, one pixel wide.
SIZES = [
    ((120, 90), (30, 22)),
    ((64, 64), (16, 16)),
    ((64, 150), (8, 19)),
    ((31, 47), (8, 12)),
    ((10, 9), (16, 16)),
    ((10, 90), (16, 16)),
    ((5, 5), (1, 1)),
    ((1, 40), (4, 24)),
    ((300, 1), (24, 4)),
    ((1, 1), (40, 40)),
]


@pytest.mark.parametrize(("large", "small"), SIZES)
def test_gray_stays_exactly_gray(large: tuple[int, int], small: tuple[int, int]) -> None:
    ab = enlarge(noisy_L(*large), np.zeros((*small, 2)))
    assert ab.shape == (*large, 2)
    assert ab.dtype == np.float32
    assert not ab.any()


@pytest.mark.parametrize(("large", "small"), SIZES)
def test_one_color_stays_exactly_one_color_whatever_L_does(
    large: tuple[int, int], small: tuple[int, int]
) -> None:
    for one in ((100, -90), (-7.3, 55.5)):
        constant = np.broadcast_to(np.float32(one), (*small, 2))
        ab = enlarge(noisy_L(*large), constant)
        if large[0] >= small[0] and large[1] >= small[1]:
            np.testing.assert_array_equal(ab, np.broadcast_to(np.float32(one), ab.shape))
        else:  # ab is shrunk first, which rounds
            np.testing.assert_allclose(ab, np.broadcast_to(one, ab.shape), rtol=1e-5)


def step(edge: int, low: object, high: object, side: int = 96) -> np.ndarray:
    """An image of two halves, which meet at a column."""
    left = (np.arange(side) < edge)[None, :, None]
    return np.broadcast_to(np.where(left, low, high), (side, side, np.size(low))).astype(np.float32)


@pytest.mark.parametrize("cell", [4, 8, 16])
@pytest.mark.parametrize("edge", [40, 41, 42, 43, 51])
@pytest.mark.slow
def test_a_color_edge_follows_the_edge_of_L(edge: int, cell: int) -> None:
    L = step(edge, [30], [70])[..., 0]
    truth = step(edge, [40, -20], [-30, 35])
    small = shrink_ab(truth, (96 // cell, 96 // cell))
    for turn in (False, True):
        # Once upright, once lying: rows and columns must not be confused.
        axes = (1, 0, 2) if turn else (0, 1, 2)
        want = truth.transpose(axes)
        error = np.abs(enlarge(L.T if turn else L, small.transpose(axes)) - want)
        plain = np.abs(bilinear(small.transpose(axes), (96, 96)) - want)
        assert error.mean() < 0.5 * plain.mean()


def test_a_curve_has_a_middle() -> None:
    # Red, gray and red again, as L rises: no straight line in L can say that.
    L = area_shrink(noisy_L(24, 24, seed=4), (96, 96))
    truth = np.stack([40 - 1.2 * np.abs(L - 50), 0 * L], axis=-1)
    small = shrink_ab(truth, (24, 24))
    error = np.abs(enlarge(L, small) - truth).mean()
    assert error < 0.6 * np.abs(bilinear(small, (96, 96)) - truth).mean()


def test_texture_is_not_printed_into_one_color() -> None:
    # Two colors of the same texture, an edge of ab without an edge of L: both sides stay flat.
    L = noisy_L(96, 96, seed=9)
    ab = shrink_ab(step(48, [40, -20], [-30, 35]), (12, 12))
    large = enlarge(L, ab)
    np.testing.assert_array_equal(large[:, :20], np.broadcast_to(large[0, 0], (96, 20, 2)))
    np.testing.assert_allclose(large[:, :20], np.broadcast_to([40, -20], (96, 20, 2)), rtol=1e-6)
    np.testing.assert_allclose(large[:, -20:], np.broadcast_to([-30, 35], (96, 20, 2)), rtol=1e-6)


def test_grain_does_not_guide() -> None:
    # What varies by less than FLAT moves a smooth course of color only a little.
    rng = np.random.default_rng(10)
    L = (50 + rng.normal(0, 2, (96, 96))).astype(np.float32)
    x, y = np.meshgrid(np.linspace(-1, 1, 12), np.linspace(-1, 1, 12))
    ab = np.stack([30 * x, 30 * y], axis=-1).astype(np.float32)
    flat = enlarge(np.full((96, 96), 50, np.float32), ab)
    assert np.abs(enlarge(L, ab) - flat).mean() < 0.6


@pytest.mark.slow
@pytest.mark.parametrize(("large", "small"), SIZES)
def test_no_halo(large: tuple[int, int], small: tuple[int, int]) -> None:
    ab = noisy_ab(*small, seed=11)
    out = enlarge(noisy_L(*large, seed=11), ab)
    inner = min(small[0], large[0]), min(small[1], large[1])
    ab = shrink_ab(ab, inner)
    # The colors of a small pixel keep to its 3 x 3; a large pixel mixes those of its neighbors.
    y, x = (np.clip(np.arange(n)[:, None] + [-1, 0, 1], 0, n - 1) for n in inner)
    windows = ab[y[:, None, :, None], x[None, :, None, :]]
    low, high = windows.min(axis=(2, 3)), windows.max(axis=(2, 3))
    margin, more = MARGIN * (high - low), TO_GRAY * (high - low)
    low, high = (
        # Toward gray it is further, and that ends at gray.
        np.minimum(low - margin, np.maximum(low - more, 0)),
        np.maximum(high + margin, np.minimum(high + more, 0)),
    )
    for pixel in np.ndindex(*large):
        rows, columns = (
            slice(max(int(place - 0.5 + 1e-9), 0), int(place + 0.5 - 1e-9) + 1)
            for place in ((pixel[k] + 0.5) * inner[k] / large[k] for k in range(2))
        )
        assert (out[pixel] >= low[rows, columns].min(axis=(0, 1)) - 1e-3).all()
        assert (out[pixel] <= high[rows, columns].max(axis=(0, 1)) + 1e-3).all()


def test_gray_is_in_reach_where_small_pixels_only_mix_it() -> None:
    # A gray thread before a field of red to orange: no small pixel is as gray as the thread.
    x, y = np.meshgrid(np.arange(96), np.arange(96))
    thread = np.abs(x - 44 - y // 16) < 2
    L = np.where(thread, 20, 70).astype(np.float32)
    truth = np.where(thread[..., None], 0, np.stack([40 + 0 * y, 10 + y / 4], axis=-1))
    small = shrink_ab(truth.astype(np.float32), (12, 12))
    assert small[..., 0].min() > 20
    for turn in (1, -1):
        # Of the opposite hue as well: gray is neither below nor above all colors.
        wrong = []
        for share in (MARGIN, TO_GRAY):
            large = enlarge(L, turn * small, to_gray=share)
            wrong.append(np.abs(large[16:80][thread[16:80]]).mean())
        assert wrong[1] < 0.9 * wrong[0]
        # It ends there: no thread may become blue or green.
        assert (turn * large).min() > -0.01


@pytest.mark.parametrize(
    ("large", "small"), [((64, 96), (16, 24)), ((96, 64), (12, 8)), ((37, 53), (10, 13))]
)
def test_shrunk_again_it_is_the_small_ab(large: tuple[int, int], small: tuple[int, int]) -> None:
    # A smooth course, as the network gives: the margin is hardly a bound to it.
    ab = np.stack([linear(noisy_ab(2, 3, seed=12)[..., c], small) for c in range(2)], axis=-1)
    L = area_shrink(noisy_L(20, 30, seed=12), large)
    back = shrink_ab(enlarge(L, ab), small)
    plain = shrink_ab(bilinear(ab, large), small)
    assert np.abs(back - ab).mean() < 0.35 * np.abs(plain - ab).mean()
    assert np.abs(back - ab).mean() < 0.5


def test_shrunk_again_it_is_the_small_ab_of_a_photo() -> None:
    rgb = read_photo(EXAMPLES / "horses.jpg").pixels
    lab = rgb_to_lab(rgb)
    size = 40, 62  # at a broken ratio, above CELL
    assert min(rgb.shape[0] / size[0], rgb.shape[1] / size[1]) > CELL
    small = shrink_ab(lab[..., 1:], size)
    L = np.ascontiguousarray(lab[..., 0])
    wrong = np.abs(shrink_ab(enlarge(L, small), size) - small)
    assert wrong.mean() < 0.25
    assert wrong.mean() < 0.33 * np.abs(shrink_ab(bilinear(small, L.shape), size) - small).mean()


@pytest.mark.slow
def test_it_beats_bilinear_on_a_photo() -> None:
    lab = rgb_to_lab(read_photo(EXAMPLES / "castle.jpg").pixels)
    L, ab = np.ascontiguousarray(lab[..., 0]), lab[..., 1:]
    small = shrink_ab(ab, (64, 96))
    slope = np.linalg.norm(np.gradient(ab, axis=(0, 1)), axis=(0, -1))
    edge = slope >= np.quantile(slope, 0.9)
    ours = np.linalg.norm(enlarge(L, small) - ab, axis=-1)
    plain = np.linalg.norm(bilinear(small, L.shape) - ab, axis=-1)
    assert ours[edge].mean() < 0.85 * plain[edge].mean()
    assert ours[~edge].mean() < 0.9 * plain[~edge].mean()


def test_at_the_size_of_the_photo_there_is_nothing_to_enlarge() -> None:
    ab = noisy_ab(13, 9, seed=13)
    # Noise is the hardest: there a curve reaches the margin at the pixels that stand out.
    wrong = np.abs(enlarge(noisy_L(13, 9), ab) - ab)
    assert np.median(wrong) < 1e-3 and wrong.mean() < 0.1


def test_turning_the_photo_turns_the_result() -> None:
    L, ab = noisy_L(60, 44, seed=5), noisy_ab(15, 11, seed=5)
    upright = enlarge(L, ab)
    lying = enlarge(L.T.copy(), ab.transpose(1, 0, 2))
    np.testing.assert_allclose(lying.transpose(1, 0, 2), upright, atol=2e-3)
    np.testing.assert_allclose(enlarge(L[::-1].copy(), ab[::-1])[::-1], upright, atol=2e-3)
    np.testing.assert_allclose(enlarge(L[:, ::-1].copy(), ab[:, ::-1])[:, ::-1], upright, atol=2e-3)


@pytest.mark.parametrize(("large", "small"), [((101, 67), (26, 17)), ((9, 70), (16, 16))])
def test_strips_equal_the_whole_bit_for_bit(large: tuple[int, int], small: tuple[int, int]) -> None:
    L, ab = noisy_L(*large, seed=6), noisy_ab(*small, seed=6)
    upsampler = Upsampler(L, small)
    whole, fitted = upsampler(ab, L), upsampler.fit(ab)
    kept = fitted.copy()
    for rows in (1, 7, 64, 101):
        parts = [
            np.stack(upsampler.rows(fitted, L[first : first + rows], first), axis=-1)
            for first in range(0, large[0], rows)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(fitted, kept)


def test_a_reduced_copy_of_L_is_enough_to_fit() -> None:
    L, ab = area_shrink(noisy_L(30, 45, seed=14), (320, 480)), noisy_ab(10, 15, seed=14)
    reduced = area_shrink(L, (10 * CELL, 15 * CELL))
    whole, other = Upsampler(L, (10, 15)), Upsampler(reduced, (10, 15), shape=(320, 480))
    np.testing.assert_allclose(other.fit(ab), whole.fit(ab), atol=1e-2)
    np.testing.assert_allclose(other(ab, L), whole(ab, L), atol=1e-2)


def test_one_upsampler_serves_many_colorings() -> None:
    L = noisy_L(50, 40, seed=7)
    first, second = noisy_ab(12, 10, seed=7), noisy_ab(12, 10, seed=8)
    upsampler = Upsampler(L, (12, 10))
    before = upsampler(first, L)
    upsampler(second, L)
    np.testing.assert_array_equal(upsampler(first, L), before)


def test_sixteen_bits_of_L_are_used() -> None:
    # A ramp of 16-bit grays too fine for 8 bits: the color along it must not come in steps.
    gray = np.broadcast_to(np.linspace(30000, 30500, 96).astype(np.uint16), (96, 96))
    ab = np.stack(np.meshgrid(np.linspace(-50, 50, 12), np.linspace(0, 9, 12)), axis=-1)
    large = enlarge(gray_to_L(gray), ab)
    assert np.abs(np.diff(large[..., 0], axis=1)).max() < 3
