"""How often 95 % intervals of figures over photos hold the truth, by method and number of photos.

    python benchmarks/coverage.py                                  # made photos
    python benchmarks/coverage.py PHOTOS... [--keep FILE.npz]      # real ones

AuC is a mean of errors weighted by 1 / p of the true color, so that some photos weigh hundreds of
times as much as others. Of a population of photos, whose AuC is the truth, samples are drawn again
and again, and each method's interval is asked whether it holds the truth. Two figures are measured:
AuC of gray, and its difference from that of photos colored with 0.7 of their mean color. The prior
is that of the population, as a fixed published one would be.

Made photos have the weights and errors that 6,000 real ones have at their rank of weight. `--keep`
stores what is needed of real photos, and reads it where the file exists.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from photochrom.color import bins, metrics
from photochrom.color.lab import is_gray, rgb_to_lab
from photochrom.dataset.decode import decode
from photochrom.dataset.store import PhotoStore
from photochrom.intervals import (
    Statistic,
    bootstrap_sums,
    effective_units,
    percentile_interval,
    studentized_intervals,
)

Array = NDArray[np.float64]
RANKS = (0, 0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.9995, 1)
"""Of 6,000 real photos in order of weight, as shares."""
MADE: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "raw": (
        (-1.48, -1.48, -1.48, -0.09, -0.09, -0.09, 0.27, *8 * (0.31,)),
        14 * (0.112,),
    ),
    "λ = 0.5": (
        (-3.88, -2.75, -1.93, -1.14, -0.64, -0.17, 0.36, 0.8, 1.11, 1.42, 1.63, 1.82, 1.98, 2.01,
         2.06),
        (0.07, 0.075, 0.104, 0.136, 0.167, 0.208, 0.252, 0.296, 0.329, 0.344, 0.391, 0.417, 0.433,
         0.6),
    ),
    "λ = 0": (
        (-5.4, -4.13, -3.34, -2.42, -1.77, -1.14, -0.25, 0.57, 1.24, 2.13, 2.67, 3.16, 3.67, 4.4,
         4.48),
        (0.07, 0.072, 0.104, 0.149, 0.195, 0.252, 0.314, 0.365, 0.407, 0.456, 0.481, 0.5, 0.559,
         0.573),
    ),
}  # fmt: skip
"""Logarithm of the weight at each rank, its mean being 1, and the mean error of gray between."""
RANKS_OF_SHARE, SHARES = (0, 0.5, 0.85, 0.99, 1), (0.8, 0.79, 0.72, 0.65, 0.6)
"""Error of the mean color as a share of that of gray."""


def auc(sums: Array) -> Array:
    return 100 * (1 - sums[:, 1] / sums[:, 0])


def difference(sums: Array) -> Array:
    return 100 * (sums[:, 1] - sums[:, 2]) / sums[:, 0]


FIGURES: dict[str, Statistic] = {"AuC": auc, "difference": difference}


# --- populations: rows of weight, error of gray, error of the mean color --------------------------


def made_population(photos: int, name: str) -> Array:
    """Photos with the weights and errors that real ones have at each rank of weight."""
    rng = np.random.default_rng(0)
    log_weights, errors = MADE[name]
    rank = (np.arange(photos) + 0.5) / photos
    weight = np.exp(np.interp(rank, RANKS, log_weights))
    middle = np.convolve(RANKS, [0.5, 0.5], "valid")
    level = np.interp(rank, middle, errors)
    error = np.clip(level * (1 + 0.3 * rng.standard_normal(photos)), 0.01, 1)
    share = np.interp(rank, RANKS_OF_SHARE, SHARES) + 0.175 * rng.standard_normal(photos)
    return np.stack([weight, weight * error, weight * error * np.clip(share, 0, 2)], axis=1)


def counts_of(sources: list[str], limit: int) -> Array:
    """Pixels, and errors of both rows, by bin: (3, photos, 313)."""
    store = PhotoStore(sources)
    picked = np.unique(np.linspace(0, len(store) - 1, min(limit, len(store))).astype(int))
    out = []
    for i in picked:
        lab = rgb_to_lab(decode(store.read(int(i)), store.name(int(i))))[::2, ::2]
        if is_gray(lab):
            continue
        ab = lab[..., 1:].reshape(-1, 2)
        near = bins.nearest_bin(ab)
        errors = [np.linalg.norm(ab - c, axis=1) for c in (0, 0.7 * ab.mean(axis=0))]
        shares = [None, *(np.minimum(e, metrics.THRESHOLDS) / metrics.THRESHOLDS for e in errors)]
        out.append([np.bincount(near, weights=w, minlength=bins.Q) for w in shares])
    return np.array(out, dtype=np.float64).swapaxes(0, 1)


def populations(options: argparse.Namespace) -> dict[str, tuple[Array, tuple[int, ...]]]:
    """By name: the population, and how many photos are drawn of it."""
    few, some, many = (10, 20, 50, 100), (20, 50, 100, 200), (50, 200, 600, 1200, 2400)
    kept = Path(options.keep) if options.keep else None
    if kept is not None and kept.is_file():
        with np.load(kept) as file:
            counts = np.concatenate([file["C"][None], file["E"]]).astype(np.float64)
    elif options.photos:
        counts = counts_of(options.photos, options.limit)
        if kept is not None:
            np.savez(kept, C=counts[0], E=counts[1:])
    else:
        drawn = zip(MADE, (few, some, many), strict=True)
        return {f"made, {name}": (made_population(20_000, name), n) for name, n in drawn}
    prior = counts[0].sum(axis=0)
    prior /= prior.sum()
    weights = {"raw": np.ones(bins.Q)}
    weights |= {f"λ = {x:g}": metrics.class_weights(prior, x) for x in (0.5, 0.0)}
    rows = {name: np.stack([c @ w for c in counts], axis=1) for name, w in weights.items()}
    return {name: (rows[name], n) for name, n in zip(weights, (few, some, many), strict=True)}


# --- intervals ------------------------------------------------------------------------------------


def bca_interval(statistic: Statistic, sample: Array, drawn: Array) -> tuple[float, float]:
    """Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 14.3."""
    normal = NormalDist()
    values, value = statistic(drawn), statistic(sample.sum(axis=0)[None])[0]
    share = np.clip((values < value).mean(), 1 / len(values), 1 - 1 / len(values))
    bias = normal.inv_cdf(float(share))
    without = statistic(sample.sum(axis=0) - sample)
    moves = without.mean() - without
    skew = (moves**3).sum() / (6 * (moves**2).sum() ** 1.5)
    levels = []
    for tail in (0.025, 0.975):
        z = bias + normal.inv_cdf(tail)
        levels.append(normal.cdf(bias + z / (1 - skew * z)))
    low, high = np.quantile(values, levels)
    return float(low), float(high)


def intervals(sample: Array, options: argparse.Namespace, seed: int) -> dict[str, list[Array]]:
    """By method: the limits of each figure."""
    drawn = bootstrap_sums(sample, resamples=options.resamples, seed=seed)
    statistics = list(FIGURES.values())
    studentized = studentized_intervals(
        statistics, sample, resamples=options.resamples, seed=seed
    )  # fmt: skip
    return {
        "percentile": [np.array(percentile_interval(s(drawn))) for s in statistics],
        "BCa": [np.array(bca_interval(s, sample, drawn)) for s in statistics],
        "studentized": [np.array(limits) for limits in studentized],
    }


def measure(name: str, people: Array, sizes: tuple[int, ...], options: argparse.Namespace) -> None:
    truth = [statistic(people.sum(axis=0)[None])[0] for statistic in FIGURES.values()]
    share = effective_units(people[:, 0]) / len(people)
    print(f"\n{name}: {len(people)} photos, effective share {share:.3f}")
    head = ("photos", "effective", "figure", "percentile", "BCa", "studentized")
    print("{:>6} {:>9} {:<10} {:>16} {:>16} {:>16}".format(*head))
    rng = np.random.default_rng(options.seed)
    for n in sizes:
        found: dict[str, list[list[Array]]] = {}
        for trial in range(options.trials):
            sample = people[rng.integers(len(people), size=n)]
            for method, limits in intervals(sample, options, trial).items():
                found.setdefault(method, []).append(limits)
        for i, figure in enumerate(FIGURES):
            cells = []
            for every in found.values():
                low, high = np.array([limits[i] for limits in every]).T
                held = ((low <= truth[i]) & (truth[i] <= high)).mean()
                cells.append(f"{100 * held:5.1f} % ±{np.median(high - low) / 2:6.2f}")
            line = " ".join(f"{cell:>16}" for cell in cells)
            print(f"{n:>6} {n * share:>9.1f} {figure:<10} {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", nargs="*", help="shards or folders (default: made photos)")
    parser.add_argument("--keep", metavar="FILE", help="what was counted of the photos, .npz")
    parser.add_argument("--limit", type=int, default=6000, help="photos of the population")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name, (people, sizes) in populations(options).items():
        measure(name, people, sizes, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
