"""Bootstrap confidence intervals.

For figures over photos take `studentized_intervals`: where few photos carry much of the weight, the
percentiles of a bootstrap cover far less than they say, and so does BCa. `benchmarks/coverage.py`
measures it. Of too few photos no interval covers: ask `least_units` first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Statistic",
    "bootstrap_interval",
    "bootstrap_sums",
    "effective_units",
    "folded",
    "least_units",
    "percentile_interval",
    "pigeonhole_interval",
    "studentized_intervals",
]

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A figure of sums over units: takes sums (R, k), gives (R,)."""

_LEAST = 30.0
"""Units of equal weight from which on intervals cover 90 % where they say 95; see `least_units`."""

_BLOCK = 1 << 22  # cells that a bootstrap has in memory at once


def bootstrap_sums(sums: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """Sums over resampled sets of units (photos), each drawn with replacement.

    Parameters
    ----------
    sums : (n, k), one row a unit; a mean needs the columns value and 1, a ratio both its parts
    resamples : how often n units are drawn
    seed : equal seeds draw the same units

    Returns
    -------
    float64 (resamples, k)

    Source: B. Efron, "Bootstrap methods: another look at the jackknife", 1979.
    """
    rows = np.asarray(sums, np.float64)
    n = len(rows)
    rng = np.random.default_rng(seed)
    totals = np.empty((resamples, rows.shape[1]))
    # Counts of how often each unit is drawn, in blocks: all at once would take n x resamples cells.
    block = max(1, _BLOCK // max(n, 1))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        counts = rng.multinomial(n, np.full(n, 1 / n), size=size)
        totals[start : start + size] = counts @ rows
    return totals


def percentile_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Limits between which the share `level` of the values lies; (nan, nan) if none is finite."""
    array = np.asarray(values, np.float64)
    array = array[np.isfinite(array)]
    if not array.size:
        return float("nan"), float("nan")
    low, high = np.quantile(array, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_interval(
    statistic: Statistic,
    sums: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a figure that is a function of sums over units.

    Too narrow where weights have heavy tails; see `studentized_intervals`.

    Parameters
    ----------
    statistic : takes sums (R, k), gives (R,)
    sums, resamples, seed : see `bootstrap_sums`
    level : share of the resamples between the limits
    """
    with np.errstate(all="ignore"):
        values = statistic(bootstrap_sums(sums, resamples=resamples, seed=seed))
    return percentile_interval(values, level)


_STEP = 1e-5
"""Of numerical derivatives, as a share of a column's sum."""
_ROUNDING = 1e-9
"""How wrong they are, as a share of the parts that they are made of, with a margin."""


@dataclass(frozen=True, eq=False)
class _Linear:
    """A figure near some sums: its value, and how each unit moves it."""

    statistic: Statistic
    rows: NDArray[np.float64]  # (n, k)
    steps: NDArray[np.float64]  # (k,)
    active: NDArray[np.intp]  # columns that the figure depends on

    @classmethod
    def of(cls, statistic: Statistic, rows: NDArray[np.float64]) -> _Linear:
        steps = _STEP * np.abs(rows).sum(axis=0)
        every = cls(statistic, rows, steps, np.flatnonzero(steps))
        slopes = every.slopes(rows.sum(axis=0)[None])[0]
        return cls(statistic, rows, steps, every.active[slopes != 0])

    def slopes(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives by the active columns at sums (R, k): (R, active)."""
        out = np.empty((len(sums), len(self.active)))
        moved = sums.copy()
        for i, column in enumerate(self.active):
            values = []
            for step in (self.steps[column], -self.steps[column]):
                moved[:, column] = sums[:, column] + step
                values.append(self.statistic(moved))
            moved[:, column] = sums[:, column]
            out[:, i] = (values[0] - values[1]) / (2 * self.steps[column])
        return out

    def variance(
        self, sums: NDArray[np.float64], counts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Of the figure, by linearization, for units drawn so often: (R,)."""
        n = len(self.rows)
        moves = self.slopes(sums) @ self.rows[:, self.active].T
        weighted = counts * moves
        mean = weighted.sum(axis=1) / n
        squares = np.einsum("rn,rn->r", weighted, moves)
        spread: NDArray[np.float64] = np.maximum(squares - n * mean**2, 0) * n / max(n - 1, 1)
        return spread

    def rounding(self, sums: NDArray[np.float64]) -> float:
        """An error of the figure that small is the derivatives' own."""
        sizes = np.abs(self.slopes(sums)) @ np.abs(self.rows[:, self.active]).T
        return float(_ROUNDING * np.sqrt((sizes**2).sum()))


def studentized_intervals(
    statistics: Sequence[Statistic],
    sums: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[tuple[float, float]]:
    """Bootstrap-t intervals of figures that are functions of sums over the same units.

    Each resample's distance from the figure is divided by that resample's own standard error, by
    linearization in the sums. A sample that has missed the heavy units has both a wrong figure and
    too small an error, and this tells how far that goes; percentiles and BCa don't.

    Parameters
    ----------
    statistics : each takes sums (R, k) and gives (R,); it may depend on some of the columns only
    sums : (n, k), one row a unit
    level : share of the resamples between the limits
    resamples : how often n units are drawn with replacement
    seed : equal seeds draw the same units

    Returns
    -------
    (low, high) of each figure; both are the figure itself where all units agree, and nan where it
    is not finite

    Source: B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, section 12.5; the
    linearization is theirs of section 21.5 (infinitesimal jackknife).
    """
    rows = np.asarray(sums, np.float64)
    n = len(rows)
    if not n:
        return [(float("nan"), float("nan"))] * len(statistics)
    whole, once = rows.sum(axis=0)[None], np.ones((1, n))
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        linear = [_Linear.of(statistic, rows) for statistic in statistics]
        values = np.array([one.statistic(whole)[0] for one in linear])
        variances = np.array([one.variance(whole, once)[0] for one in linear])
        roundings = [one.rounding(whole) for one in linear]
        t = np.empty((len(linear), resamples))
        block = max(1, _BLOCK // (4 * n))
        for start in range(0, resamples, block):
            part = slice(start, min(start + block, resamples))
            drawn = rng.multinomial(n, np.full(n, 1 / n), size=part.stop - start)
            counts = drawn.astype(np.float64)
            totals = counts @ rows
            for i, one in enumerate(linear):
                variance = one.variance(totals, counts)
                # A unit drawn n times has an error of 0, and says nothing of how wrong it is.
                variance[variance <= 1e-12 * variances[i]] = np.nan
                t[i, part] = (one.statistic(totals) - values[i]) / np.sqrt(variance)
    out = []
    for value, variance, rounding, each in zip(values, variances, roundings, t, strict=True):
        error = float(np.sqrt(variance))
        if not np.isfinite(value) or not np.isfinite(error):
            out.append((float("nan"), float("nan")))
        elif error <= rounding:
            out.append((float(value), float(value)))
        else:
            low, high = percentile_interval(each, level)
            out.append((float(value - high * error), float(value - low * error)))
    return out


def folded(low: float, high: float) -> tuple[float, float]:
    """Limits of |x| from those of x: 0 is among them where x may be of either sign."""
    inside = low <= 0 <= high
    small, large = sorted((abs(low), abs(high)))
    return (0.0 if inside else small), large


def effective_units(weights: ArrayLike) -> float:
    """How many equally weighted units tell as much as these: (sum w)^2 / sum w^2; 0 without any.

    Parameters
    ----------
    weights : (n,), not negative

    Source: L. Kish, "Survey Sampling", 1965, section 11.7.
    """
    w = np.asarray(weights, np.float64)
    squares = float((w**2).sum())
    return float(w.sum()) ** 2 / squares if squares > 0 else 0.0


def least_units(share: float = 1.0) -> int:
    """From how many units on a studentized 95 % interval covers at least 90 %.

    30 share^-1.5: 30 units of equal weight, 85 where they tell as much as half of them, 1,992 where
    as 6 %. `benchmarks/coverage.py` found 90 % from a little fewer on.

    Parameters
    ----------
    share : of n units, as how many of equal weight they tell in the long run; see
        `photochrom.color.metrics.EFFECTIVE_SHARE`. Don't take it from the units measured if it is
        known from elsewhere: the sample that has missed all heavy units looks best, and its
        interval covers least.
    """
    return math.ceil(_LEAST / math.pow(share, 1.5))


def pigeonhole_interval(
    values: ArrayLike,
    rows: ArrayLike,
    columns: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of values that go together in two ways.

    Answers of one person are alike, and so are answers to one photo. Both are drawn with
    replacement, each on its own, and a value weighs how often its row was drawn times how often its
    column was. The interval is then for other rows and other columns, and on the safe side: what
    is the value's own, beyond row and column, counts up to three times. A factor with a single unit
    is not resampled at all, and the interval says nothing about other units of it.

    Parameters
    ----------
    values : (n,)
    rows, columns : (n,), what the values belong to; any labels
    level : share of the resamples between the limits
    resamples : how often both are drawn; those in which no value is left are dropped
    seed : equal seeds draw the same units

    Returns
    -------
    (low, high); (nan, nan) without values

    Source: A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2), 2007.
    """
    y = np.asarray(values, np.float64)
    factors = [np.unique(np.asarray(f), return_inverse=True) for f in (rows, columns)]
    if not len(y):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    block = max(1, _BLOCK // len(y))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        weights = np.ones((size, len(y)))
        for units, unit in factors:
            n = len(units)
            weights *= rng.multinomial(n, np.full(n, 1 / n), size=size)[:, unit]
        with np.errstate(invalid="ignore"):
            means[start : start + size] = weights @ y / weights.sum(axis=1)
    return percentile_interval(means, level)
