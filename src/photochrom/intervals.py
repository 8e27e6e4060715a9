"""Bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["bootstrap_interval", "bootstrap_sums", "percentile_interval", "pigeonhole_interval"]

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
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    sums: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a figure that is a function of sums over units.

    Parameters
    ----------
    statistic : takes sums (R, k), gives (R,)
    sums, resamples, seed : see `bootstrap_sums`
    level : share of the resamples between the limits
    """
    with np.errstate(all="ignore"):
        values = statistic(bootstrap_sums(sums, resamples=resamples, seed=seed))
    return percentile_interval(values, level)


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
