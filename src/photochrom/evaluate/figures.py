"""The figures of an evaluation: what is kept of each photo, and what is computed from the sums.

Of a photo and a row of the table a fixed set of numbers is kept that add up over photos. Every
figure is a function of such sums, so it can be had for any set of photos, and for the resampled
sets of the bootstrap as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from photochrom.arrays import Float64

__all__ = ["CELLS", "COLUMNS", "FIGURES", "Figure", "STRENGTHS", "Sums", "figures_of"]

STRENGTHS = (0.0, 0.5)
"""The lambdas of AuC rebalanced."""
CELLS = np.array(
    [0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1]
)
"""Borders of the cells of probability of the reliability diagram; most of 313 are small."""

EXACT = 10 * math.log10(255**2 * 12)
"""PSNR at most, dB: that of rounding to 8 bits alone, an error even between -1/2 and 1/2. A photo
met exactly would have an infinite one, and with it the mean."""

_C = len(CELLS) - 1

# What is kept of each photo and row: named columns of sums, so that photos add up.
COLUMNS = (
    "photos", "pixels", "error", "weight_0", "error_0", "weight_0.5", "error_0.5",
    "psnr", "delta_e", "colorfulness", "chroma",
    "nll", "entropy", "distributions", "ms", "timed", "hit", "labeled",
    *(f"cell_{what}_{i}" for what in ("count", "stated", "hit") for i in range(_C)),
)  # fmt: skip
_AT = {name: i for i, name in enumerate(COLUMNS)}


@dataclass(frozen=True)
class Figure:
    """One column of the table."""

    key: str
    title: str
    about: str
    digits: int
    of: Callable[[Sums, Sums], Any]
    """From the sums of a row and those of the originals."""
    best: int = 0
    """1 where more is better, -1 where less is, 0 where neither."""


class Sums:
    """Sums (..., len(COLUMNS)) with names."""

    def __init__(self, values: Float64) -> None:
        self.values = values

    def __getitem__(self, name: str) -> Float64:
        column: Float64 = self.values[..., _AT[name]]
        return column

    def __setitem__(self, name: str, value: Any) -> None:
        self.values[..., _AT[name]] = value

    def cells(self, what: str) -> Float64:
        """One of count, stated, hit: (..., cells)."""
        first = _AT[f"cell_{what}_0"]
        return self.values[..., first : first + _C]


def _ratio(above: str, below: str) -> Callable[[Sums, Sums], Any]:
    return lambda s, _: s[above] / s[below]


def _auc(error: str, weight: str) -> Callable[[Sums, Sums], Any]:
    # The curve of the share of errors up to t, integrated over t in [0, 150], is 150 minus the mean
    # of min(error, 150): by parts, exactly.
    return lambda s, _: 100 * (1 - s[error] / s[weight])


def _calibration(s: Sums, _: Sums) -> Any:
    """Mean distance of stated probability and frequency, by where the probability lies."""
    count, stated, hit = (s.cells(what) for what in ("count", "stated", "hit"))
    gap = np.abs(stated - hit) / np.where(count > 0, count, 1)
    total = stated.sum(axis=-1)
    return 100 * (gap * stated).sum(axis=-1) / np.where(total > 0, total, np.nan)


FIGURES = (
    Figure("auc_raw", "AuC raw", "share of pixels with an ab error of at most t, over t in "
                                 "0..150, %", 2,
           _auc("error", "pixels"), 1),
    Figure("auc_rebalanced_0", "AuC reb. λ=0", "the same, with each pixel weighted by 1 / p "
                                               "of its true bin", 2, _auc("error_0", "weight_0"), 1),
    Figure("auc_rebalanced_0.5", "AuC reb. λ=½", "the same, with the weights used in training", 2,
           _auc("error_0.5", "weight_0.5"), 1),
    Figure("psnr", "PSNR", "mean over photos, dB, on RGB; an exact match counts as "
                           f"{EXACT:.1f}, the PSNR of rounding to 8 bits", 2, _ratio("psnr", "photos"), 1),
    Figure("delta_e_2000", "ΔE00", "mean CIEDE2000 over photos", 2,
           _ratio("delta_e", "photos"), -1),
    Figure("colorfulness", "CF", "colorfulness (Hasler and Süsstrunk 2003, no absolute values)", 2,
           _ratio("colorfulness", "photos")),
    Figure("delta_colorfulness", "ΔCF", "|CF − CF of the originals|", 2,
           lambda s, o: np.abs(s["colorfulness"] / s["photos"] - o["colorfulness"] / o["photos"]),
           -1),
    Figure("chroma_share", "chroma", "mean chroma as a share of the originals'", 2,
           lambda s, o: s["chroma"] / o["chroma"]),
    Figure("nll", "NLL", "−log2 of the probability of the true bin, in bits per pixel, at the "
                         "network's resolution, without rebalancing", 2, _ratio("nll", "distributions"), -1),
    Figure("calibration", "calibr.", "mean |stated probability − frequency| over all bins, weighted"
           " by probability, percentage points", 2, _calibration, -1),
    Figure("ms", "ms", "milliseconds per photo for network and rendering on one thread, while "
                       "other workers run", 1, _ratio("ms", "timed"), -1),
    Figure("top_1", "top-1", "share of photos that a classifier still recognizes, %", 1,
           lambda s, _: 100 * s["hit"] / s["labeled"], 1),
)  # fmt: skip


def figures_of(sums: Float64, truth: Float64) -> dict[str, float]:
    """All figures of a row from its sums (columns,) and those of the originals; NaN: has none."""
    with np.errstate(all="ignore"):
        return {f.key: float(f.of(Sums(sums), Sums(truth))) for f in FIGURES}
