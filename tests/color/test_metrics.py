from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000
from skimage.metrics import peak_signal_noise_ratio

from photochrom.color import metrics
from photochrom.intervals import bootstrap_interval, pigeonhole_interval

DATA = Path(__file__).parents[1] / "data"
HALF_CELL = 100 / (2 * 1500) + 1e-9
"""What the histogram's cells of 0.1 can move an AuC by: half a cell of 1500, in percent."""


def auc_of(errors: np.ndarray, weights: np.ndarray | None = None) -> float:
    """AuC of pixels whose ab errors are these, in directions that differ."""
    angle = np.linspace(0, 6, errors.size)
    truth = np.column_stack([np.linspace(-20, 20, errors.size), np.full(errors.size, 7.0)])
    ab = truth + errors[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return metrics.auc(metrics.error_histogram(ab, truth, weights))


@pytest.mark.parametrize("error", [0.04, 1, 33.3, 75, 120, 149.93])
def test_auc_of_one_error_is_the_rest_of_the_interval(error: float) -> None:
    # The curve is a step at t = error, so the area under it is 150 - error.
    assert auc_of(np.full(50, error)) == pytest.approx(100 * (1 - error / 150), abs=HALF_CELL)


def test_auc_ends() -> None:
    assert auc_of(np.zeros(10)) == pytest.approx(100, abs=1e-9)
    assert auc_of(np.full(10, 150.0)) == pytest.approx(0, abs=HALF_CELL)
    assert auc_of(np.full(10, 250.0)) == pytest.approx(0, abs=HALF_CELL)


def test_auc_of_evenly_spread_errors_is_a_triangle() -> None:
    # The curve is t / 150: half of the square. With errors up to 75 it is full from there on: 3/4.
    spread = (np.arange(30_000) + 0.5) / 30_000
    assert auc_of(150 * spread) == pytest.approx(50, abs=0.01)
    assert auc_of(75 * spread) == pytest.approx(75, abs=0.01)
    # Errors 150 s^2: the curve is sqrt(t / 150), its area 2/3.
    assert auc_of(150 * spread**2) == pytest.approx(200 / 3, abs=0.01)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0.01, 10)), min_size=1, max_size=30))
@pytest.mark.slow
def test_auc_is_the_weighted_mean_of_what_each_pixel_leaves(
    pixels: list[tuple[float, float]],
) -> None:
    errors, weights = np.array(pixels).T
    expected = 100 * np.average(np.maximum(0, 1 - errors / 150), weights=weights)
    assert auc_of(errors, weights) == pytest.approx(expected, abs=HALF_CELL + 1e-4)


def test_auc_rebalanced_by_hand() -> None:
    # Three quarters of the weight has no error, one quarter an error of 75.
    assert auc_of(np.array([0.0, 75.0]), np.array([3.0, 1.0])) == pytest.approx(87.5, abs=HALF_CELL)
    assert auc_of(np.array([0.0, 75.0])) == pytest.approx(75, abs=HALF_CELL)


def test_histograms_add_up_over_photos() -> None:
    rng = np.random.default_rng(1)
    ab, truth = rng.uniform(-90, 90, (2, 20, 30, 2))
    weights = rng.uniform(0.1, 3, (20, 30))
    whole = metrics.error_histogram(ab, truth, weights)
    parts = [metrics.error_histogram(ab[s], truth[s], weights[s]) for s in (slice(7), slice(7, 20))]
    assert whole.shape == (1501,)
    assert whole.dtype == np.float64
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-12)
    assert whole.sum() == pytest.approx(weights.sum())


def test_cells_are_closed_above() -> None:
    errors = np.array([0, 0.05, 0.15, 25.0, 149.95, 151, 400])
    ab = np.column_stack([errors, np.zeros_like(errors)])
    histogram = metrics.error_histogram(ab, np.zeros_like(ab))
    assert np.flatnonzero(histogram).tolist() == [0, 1, 2, 250, 1500]
    assert histogram[1500] == 3


def test_psnr_equals_scikit_image() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 256, (2, 31, 17, 3)).astype(np.uint8)
    near = np.clip(a.astype(int) + rng.integers(-3, 4, a.shape), 0, 255).astype(np.uint8)
    for other in (b, near):
        assert metrics.psnr(a, other) == pytest.approx(peak_signal_noise_ratio(a, other), abs=1e-9)
    assert metrics.psnr(a, a) == float("inf")
    # Black on white is an error as large as the peak.
    black = np.zeros((4, 4, 3), np.uint8)
    assert metrics.psnr(black, black + np.uint8(255)) == pytest.approx(0, abs=1e-12)


def test_colorfulness_by_hand() -> None:
    # Half red, half blue: rg = 255, 0 has mean 127.5 and deviation 127.5; yb = 127.5, -255 has mean
    # -63.75 and deviation 191.25. With absolute values the figure would be 211.5.
    photo = np.zeros((2, 4, 3), np.uint8)
    photo[:, :2, 0] = photo[:, 2:, 2] = 255
    # sqrt(127.5^2 + 191.25^2) + 0.3 sqrt(127.5^2 + 63.75^2) = 229.8539 + 0.3 * 142.5493
    assert metrics.colorfulness(photo) == pytest.approx(272.6187, abs=1e-3)


def test_colorfulness_of_plain_images() -> None:
    gray = np.random.default_rng(4).integers(0, 256, (5, 6, 1)).astype(np.uint8).repeat(3, axis=2)
    assert metrics.colorfulness(gray) == 0
    # One color all over has no deviation: 0.3 sqrt(100^2 + 50^2) for (100, 0, 0).
    red = np.broadcast_to(np.array([100, 0, 0], np.uint8), (3, 3, 3))
    assert metrics.colorfulness(red) == pytest.approx(0.3 * np.sqrt(12500), rel=1e-12)


def test_ciede2000_gives_the_34_published_values() -> None:
    table = np.genfromtxt(DATA / "ciede2000.csv", delimiter=",", skip_header=2)
    assert table.shape == (34, 7)
    for one, other in ((slice(0, 3), slice(3, 6)), (slice(3, 6), slice(0, 3))):
        got = metrics.delta_e_2000(table[:, one], table[:, other])
        np.testing.assert_allclose(got, table[:, 6], atol=1e-4)


def test_ciede2000_equals_scikit_image_over_the_space() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.uniform([0, -110, -110], [100, 110, 110], (2, 20, 50, 3))
    b[:5] = a[:5] + rng.normal(0, 1, (5, 50, 3))
    a[5, :, 1:] = b[6, :, 1:] = 0
    np.testing.assert_allclose(metrics.delta_e_2000(a, b), deltaE_ciede2000(a, b), atol=1e-9)
    assert metrics.delta_e_2000(a, a).max() == 0


def test_inventions_by_hand() -> None:
    truth = [[0, 7.9], [0, 8.1], [5, 5], [60, 0], [0, 0]]
    ab = [[0, 31], [0, 31], [-22, 22], [0, 90], [29.9, 0]]
    # Dull and made vivid are the first and the third; the fifth stays below 30.
    assert metrics.invented(ab, truth) == pytest.approx(2 / 5)
    assert metrics.invented(truth, truth) == 0


def test_the_worst_tenth_by_hand() -> None:
    assert metrics.worst_tenth([*range(18), 90.0, 100.0]) == pytest.approx(95)
    assert metrics.worst_tenth([1.0, 3.0]) == 3


def test_class_weights_by_hand() -> None:
    p = np.full(313, 1 / 312)
    p[7] = 0
    w = metrics.class_weights(p, 0)
    assert w[0] == pytest.approx(312) and w[7] == pytest.approx(1 / metrics.RAREST)
    w = metrics.class_weights(p, 0.5)
    assert w[7] / w[0] == pytest.approx((0.5 / 312 + 0.5 / 313) / (0.5 / 313), rel=1e-4)
    np.testing.assert_allclose(metrics.class_weights(p, 1), 1, rtol=1e-5)


def ratio(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[:, 0] / sums[:, 1])


def test_bootstrap_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(6).normal(10, 3, 400)
    low, high = bootstrap_interval(ratio, np.column_stack([values, np.ones(400)]))
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.05)
    assert high == pytest.approx(values.mean() + half, abs=0.05)


@pytest.mark.slow
def test_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for seed in range(300):
        # A ratio of sums whose units differ in size, as photos do in their pixels.
        size = rng.uniform(1, 5, 60)
        units = np.column_stack([rng.binomial(20, 0.3, 60) / 20 * size, size])
        low, high = bootstrap_interval(ratio, units, resamples=400, seed=seed, level=0.9)
        hits += low <= 0.3 <= high
    assert 0.83 < hits / 300 < 0.95


def test_bootstrap_interval_is_the_same_for_a_seed_and_nan_without_a_figure() -> None:
    units = np.column_stack([np.arange(9.0), np.ones(9)])
    assert bootstrap_interval(ratio, units) == bootstrap_interval(ratio, units)
    assert bootstrap_interval(ratio, units) != bootstrap_interval(ratio, units, seed=1)
    assert np.isnan(bootstrap_interval(ratio, np.zeros((4, 2)))).all()
    assert bootstrap_interval(ratio, np.ones((5, 2))) == (1, 1)


def answers_of(rng: np.random.Generator, people: int, photos: int, each: int, spread: float):
    """Yes or no of people on some of the photos, both of varied difficulty, in probits."""
    person = np.repeat(np.arange(people), each)
    photo = np.concatenate([rng.permutation(photos)[:each] for _ in range(people)])
    ease = rng.normal(-0.4, 0.3, people)[person] + rng.normal(0, spread, photos)[photo]
    return rng.normal(size=len(person)) < ease, person, photo


@pytest.mark.slow
def test_pigeonhole_interval_covers_the_rate_of_other_people_and_photos() -> None:
    truth = scipy.special.ndtr(-0.4 / np.sqrt(1 + 0.3**2 + 0.8**2))
    hits, hits_over_people = 0, 0
    for seed in range(120):
        values, people, photos = answers_of(np.random.default_rng(seed), 25, 25, 20, 0.8)
        low, high = pigeonhole_interval(values, people, photos, resamples=300, seed=seed)
        hits += low <= truth <= high
        sums = np.column_stack([np.bincount(people, values), np.bincount(people)])
        low, high = bootstrap_interval(ratio, sums, resamples=300, seed=seed)
        hits_over_people += low <= truth <= high
    assert hits / 120 >= 0.9
    assert hits_over_people / 120 < 0.8  # which takes the photos for all that there are


@pytest.mark.slow
def test_pigeonhole_interval_is_that_of_drawing_people_and_photos_one_by_one() -> None:
    rng = np.random.default_rng(8)
    values, people, photos = answers_of(rng, 6, 9, 5, 1.0)
    answer = {(p, q): y for y, p, q in zip(values, people, photos, strict=True)}
    means = []
    for _ in range(4000):
        some_people, some_photos = rng.integers(6, size=6), rng.integers(9, size=9)
        drawn = [
            answer[p, q] for p in some_people for q in some_photos if (p, q) in answer
        ]  # one that is drawn twice is there twice
        if drawn:
            means.append(np.mean(drawn))
    expected = np.quantile(means, [0.025, 0.975])
    found = pigeonhole_interval(values, people, [f"photo {q}" for q in photos])
    np.testing.assert_allclose(found, expected, atol=0.04)


def test_pigeonhole_interval_of_one_row_is_the_bootstrap_over_columns() -> None:
    values = np.random.default_rng(9).random(50)
    one, many = np.zeros(50), np.arange(50)
    expected = bootstrap_interval(ratio, np.column_stack([values, np.ones(50)]))
    for rows, columns in ((one, many), (many, one)):
        found = pigeonhole_interval(values, rows, columns)
        np.testing.assert_allclose(found, expected, atol=0.01)
    assert pigeonhole_interval(values, one, one) == pytest.approx((values.mean(),) * 2)


def test_pigeonhole_interval_is_the_same_for_a_seed_and_drops_what_is_empty() -> None:
    crossed = [0, 1], [0, 1], ["a", "b"]  # in a quarter of the resamples nothing is left
    assert pigeonhole_interval(*crossed) == pigeonhole_interval(*crossed)
    assert pigeonhole_interval(*crossed) == (0, 1)
    data = answers_of(np.random.default_rng(1), 9, 9, 7, 1)
    assert pigeonhole_interval(*data) != pigeonhole_interval(*data, seed=1)
    assert np.isnan(pigeonhole_interval([], [], [])).all()


@pytest.mark.slow
def test_pigeonhole_interval_of_many_answers_needs_little_memory() -> None:
    values, people, photos = answers_of(np.random.default_rng(2), 200, 3000, 40, 0.5)
    tracemalloc.start()
    low, high = pigeonhole_interval(values, people, photos, resamples=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert low < values.mean() < high
    assert peak < 150e6  # all at once: 64 MB for each of several arrays
