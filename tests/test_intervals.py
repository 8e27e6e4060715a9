from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from photochrom.intervals import (
    bootstrap_interval,
    effective_units,
    folded,
    least_units,
    studentized_intervals,
)

Array = NDArray[np.float64]


def ratio(sums: Array) -> Array:
    return sums[:, 0] / sums[:, 1]


def means(values: Array) -> Array:
    return np.column_stack([values, np.ones(len(values))])


def heavy(rng: np.random.Generator, n: int) -> Array:
    """Error and weight of units of which few carry the most, with larger errors."""
    log = 0.8 * rng.standard_normal(n)
    weight = np.exp(log)
    return np.column_stack([weight * np.clip(0.3 + 0.1 * log, 0, 1), weight])


def test_studentized_interval_of_a_mean_is_that_of_its_textbook() -> None:
    values = np.random.default_rng(0).exponential(size=25)
    n, resamples, seed = len(values), 200, 3
    # Efron and Tibshirani's recipe, resample by resample, each written out.
    rng = np.random.default_rng(seed)
    t = []
    for counts in rng.multinomial(n, np.full(n, 1 / n), size=resamples):
        drawn = np.repeat(values, counts)
        t.append((drawn.mean() - values.mean()) / (drawn.std(ddof=1) / np.sqrt(n)))
    low, high = np.quantile(t, [0.025, 0.975])
    error = values.std(ddof=1) / np.sqrt(n)
    expected = values.mean() - high * error, values.mean() - low * error
    ((found_low, found_high),) = studentized_intervals(
        [ratio], means(values), resamples=resamples, seed=seed
    )
    assert (found_low, found_high) == pytest.approx(expected, rel=1e-6)


def test_studentized_interval_of_normal_values_is_that_of_student() -> None:
    values = np.random.default_rng(1).standard_normal(60)
    ((low, high),) = studentized_intervals([ratio], means(values), resamples=4000)
    half = 2.001 * values.std(ddof=1) / np.sqrt(60)  # t of 59 degrees of freedom
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert low + half == pytest.approx(values.mean(), abs=0.1 * half)


@pytest.mark.slow
def test_it_covers_where_percentiles_do_not() -> None:
    rng = np.random.default_rng(2)
    truth = ratio(heavy(rng, 300_000).sum(axis=0)[None])[0]
    held = {"percentile": 0, "studentized": 0}
    trials = 200
    for seed in range(trials):
        sample = heavy(rng, 50)
        low, high = bootstrap_interval(ratio, sample, resamples=200, seed=seed)
        held["percentile"] += low <= truth <= high
        ((low, high),) = studentized_intervals([ratio], sample, resamples=200, seed=seed)
        held["studentized"] += low <= truth <= high
    assert held["percentile"] < 0.88 * trials
    assert held["studentized"] >= 0.89 * trials
    assert held["studentized"] > held["percentile"] + 0.03 * trials


def test_several_figures_at_once_are_each_as_alone() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([heavy(rng, 30), heavy(rng, 30), np.zeros(30)])
    figures = [ratio, lambda s: s[:, 2] / s[:, 3], lambda s: s[:, 0] / s[:, 1] - s[:, 2] / s[:, 3]]
    together = studentized_intervals(figures, rows, resamples=100, seed=5)
    for figure, limits in zip(figures, together, strict=True):
        assert studentized_intervals([figure], rows, resamples=100, seed=5) == [limits]
    assert len(set(together)) == 3
    assert studentized_intervals(figures, rows, resamples=100, seed=6) != together


def test_what_is_certain_or_unknown() -> None:
    assert studentized_intervals([ratio], np.ones((5, 2))) == [(1, 1)]
    assert np.isnan(studentized_intervals([ratio], np.zeros((4, 2)))).all()
    assert np.isnan(studentized_intervals([ratio, ratio], np.empty((0, 2)))).all()
    # Every value half of its weight: the ratio is exact, however the weights differ.
    rows = np.column_stack([[0.5, 1, 4], [1, 2, 8]])
    ((low, high),) = studentized_intervals([ratio], rows)
    assert (low, high) == pytest.approx((0.5, 0.5))


def test_limits_of_a_distance_reach_zero() -> None:
    assert folded(-3, 1) == (0, 3)
    assert folded(-1, 3) == (0, 3)
    assert folded(1, 3) == (1, 3)
    assert folded(-3, -1) == (1, 3)
    assert folded(0, 2) == (0, 2)


def test_effective_units() -> None:
    assert effective_units(np.full(50, 3.0)) == pytest.approx(50)
    assert effective_units([1.0, 0, 0, 0]) == 1
    assert effective_units([3.0, 1.0]) == pytest.approx(1.6)
    assert effective_units([]) == 0 and effective_units([0.0, 0.0]) == 0


def test_heavier_tails_need_more_units() -> None:
    assert least_units() == 30
    assert least_units(0.5) == 85 and least_units(0.06) == 2042
    assert least_units(0.5) < least_units(0.4) < least_units(0.3)
