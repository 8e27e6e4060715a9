"""How often 95 % intervals of figures over photos hold the truth, by method and number of photos.

    python benchmarks/coverage.py                                  # made photos
    python benchmarks/coverage.py PHOTOS... [--keep FILE.npz]      # real ones

AuC is a mean of errors weighted by 1 / p of the true color, so that some photos weigh hundreds of
times as much as others. Of a population of photos, whose AuC is the truth, samples are drawn again
and again, and each method's interval is asked whether it holds the truth. Two figures are measured:
AuC of gray, and its difference from that of photos colored with 0.7 of their mean color. The prior
is that of the population, as a fixed published one would be.

Made photos have weights from a lognormal law with a Pareto tail, and errors that grow with the
weight. Their parameters are those of 6,000 photos (docs/experiments.md). `--keep` stores what is
needed of real photos, and reads it where the file exists.
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
SPREAD, TAIL, HEAVY = 1.39, 1.43, 0.017
"""Standard deviation of log weight, index of the Pareto tail, and the share of photos in it."""


def auc(sums: Array) -> Array:
    return 100 * (1 - sums[:, 1] / sums[:, 0])


def difference(sums: Array) -> Array:
    return 100 * (sums[:, 1] - sums[:, 2]) / sums[:, 0]


FIGURES: dict[str, Statistic] = {"AuC": auc, "difference": difference}


# --- populations: rows of weight, error of gray, error of the mean color --------------------------


def made_population(photos: int, spread: float = SPREAD) -> Array:
    """`spread` scales the logarithm of the weights: 1.39 is lambda = 0."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal(photos)
    weight = np.exp(SPREAD * z)
    border = np.exp(SPREAD * NormalDist().inv_cdf(1 - HEAVY))
    tail = border * rng.pareto(TAIL, photos)
    weight = np.where(weight > border, np.minimum(border + tail, 400 * border), weight)
    level = np.clip(np.log(weight) / SPREAD, -3, 6)
    mean = np.clip(0.21 + 0.093 * level + 0.062 * rng.standard_normal(photos), 0.01, 0.95)
    other = np.clip(mean * (0.65 + 0.1 * rng.standard_normal(photos)), 0, 1)
    weight = weight ** (spread / SPREAD)
    return np.stack([weight, weight * mean, weight * other], axis=1)


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
        return {
            "made, as raw": (made_population(20_000, 0.2), few),
            "made, as λ = ½": (made_population(20_000, 0.7), some),
            "made, as λ = 0": (made_population(20_000), many),
        }
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
