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
from photochrom.color.metrics import EFFECTIVE_SHARE, RAREST
from photochrom.intervals import least_units

__all__ = [
    "CANDIDATES",
    "CELLS",
    "COLUMNS",
    "FIGURES",
    "Figure",
    "INVENTED",
    "SATURATIONS",
    "STRENGTHS",
    "Sums",
    "figures_of",
]

STRENGTHS = (0.0, 0.5)
"""The lambdas of AuC rebalanced."""
CELLS = np.array(
    [0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1]
)
"""Borders of the cells of probability of the reliability diagram; most of 313 are small."""

EXACT = 10 * math.log10(255**2 * 12)
"""PSNR at most, dB: that of rounding to 8 bits alone, an error even between -1/2 and 1/2. A photo
met exactly would have an infinite one, and with it the mean."""

INVENTED = np.linspace(0, 1, 41) ** 2
"""Borders of the cells of a photo's share of invented pixels; most photos have few."""

CANDIDATES = 5
"""Colorings of a photo that "best of" chooses from; the plain one is the first."""
SATURATIONS = (0.25, 0.5, 0.75, 1.0, 1.25)
"""As many colorings that anybody can have: those the candidates are compared with."""

_C, _I = len(CELLS) - 1, len(INVENTED) - 1

# What is kept of each photo and row: named columns of sums, so that photos add up.
COLUMNS = (
    "photos", "pixels", "error", "weight_0", "error_0", "weight_0.5", "error_0.5",
    "psnr", "delta_e", "colorfulness", "chroma",
    "nll", "entropy", "distributions", "ms", "timed", "hit", "labeled", "ssim", "compared",
    "lpips", "perceived",
    "nearest", "nearest_saturated", "apart", "varied",
    *(f"cell_{what}_{i}" for what in ("count", "stated", "hit") for i in range(_C)),
    "invented", *(f"invented_{what}_{i}" for what in ("photos", "sum") for i in range(_I)),
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
    absolute: bool = False
    """The figure is the absolute value of what `of` gives."""
    share: float = 1.0
    """Of n photos, as how many of equal weight they tell: the fewer, the more photos an interval
    takes."""
    units: str = "photos"
    """Column that counts the photos that have the figure."""

    @property
    def fewest(self) -> int:
        """Photos from which on the figure gets an interval; with fewer, none would hold."""
        return least_units(self.share)

    def value(self, sums: Sums, truth: Sums) -> Any:
        """The figure of the sums of a row and those of the originals."""
        found = self.of(sums, truth)
        return np.abs(found) if self.absolute else found


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

    def invented(self, what: str) -> Float64:
        """One of photos, sum, by a photo's share of invented pixels: (..., cells)."""
        first = _AT[f"invented_{what}_0"]
        return self.values[..., first : first + _I]

    def invent(self, share: float) -> None:
        """Enter a photo's share of invented pixels, 0 to 1."""
        cell = min(int(np.searchsorted(INVENTED, share, side="right")) - 1, _I - 1)
        self["invented"] = self.invented("sum")[cell] = share
        self.invented("photos")[cell] = 1


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


def _worst_tenth(s: Sums, _: Sums) -> Any:
    """Mean of the tenth of the photos with the largest shares of invented pixels.

    Photos are taken from the last cell down until there are a tenth of them. Of the cell in which
    that ends a part is taken, with the mean of the cell.
    """
    photos, total = s.invented("photos")[..., ::-1], s.invented("sum")[..., ::-1]
    wanted = s["photos"][..., None] / 10
    taken = np.clip(wanted - (np.cumsum(photos, axis=-1) - photos), 0, photos)
    mean = total / np.where(photos > 0, photos, 1)
    return 100 * (taken * mean).sum(axis=-1) / wanted[..., 0]


FIGURES = (
    Figure("auc_raw", "AuC raw",
           "share of pixels with an ab error of at most t, over t in 0..150, %", 2,
           _auc("error", "pixels"), 1, share=EFFECTIVE_SHARE[1]),
    Figure("auc_rebalanced_0", "AuC reb. λ=0",
           "the same, with each pixel weighted by 1 / p of its true bin, p being at least "
           f"{RAREST:g}", 2,
           _auc("error_0", "weight_0"), 1, share=EFFECTIVE_SHARE[0]),
    Figure("auc_rebalanced_0.5", "AuC half reb. λ=½",
           "the same, weighted by 1 / (p / 2 + 1 / 626) as in the paper's training; the paper "
           "reports λ = 0 only", 2,
           _auc("error_0.5", "weight_0.5"), 1, share=EFFECTIVE_SHARE[0.5]),
    Figure("psnr", "PSNR",
           f"mean over photos, dB, on RGB; an exact match counts as {EXACT:.1f}, the PSNR of "
           "rounding to 8 bits", 2,
           _ratio("psnr", "photos"), 1),
    Figure("delta_e_2000", "ΔE00", "mean CIEDE2000 over photos", 2,
           _ratio("delta_e", "photos"), -1),
    Figure("colorfulness", "CF", "colorfulness (Hasler and Süsstrunk 2003, no absolute values)", 2,
           _ratio("colorfulness", "photos")),
    Figure("delta_colorfulness", "ΔCF", "|CF − CF of the originals|", 2,
           lambda s, o: s["colorfulness"] / s["photos"] - o["colorfulness"] / o["photos"],
           -1, absolute=True),
    Figure("chroma_share", "chroma", "mean chroma as a share of the originals'", 2,
           lambda s, o: s["chroma"] / o["chroma"]),
    Figure("inventions", "invented",
           "pixels with a chroma above 30 where that of the original is below 8, mean over photos, "
           "%", 2,
           lambda s, _: 100 * s["invented"] / s["photos"], -1),
    Figure("inventions_worst", "worst 10 %",
           "the same, mean over the tenth of the photos that has most of them, %", 2,
           _worst_tenth, -1, share=0.1),
    Figure("best_of_candidates", f"best of {CANDIDATES}",
           f"mean ab error of the coloring nearest to the original, of the plain one and "
           f"{CANDIDATES - 1} candidates, at the network's resolution, mean over photos", 2,
           _ratio("nearest", "varied"), -1, units="varied"),
    Figure("best_of_saturations", f"of {len(SATURATIONS)} saturations",
           "the same for the plain coloring at saturations "
           f"{', '.join(f'{x:g}' for x in SATURATIONS)}: what candidates have to beat", 2,
           _ratio("nearest_saturated", "varied"), -1, units="varied"),
    Figure("diversity", "diversity",
           "mean ab distance between two of those colorings", 2,
           _ratio("apart", "varied"), units="varied"),
    Figure("nll", "NLL",
           "−log2 of the probability of the true bin, in bits per pixel, at the network's "
           "resolution, without rebalancing", 2,
           _ratio("nll", "distributions"), -1, units="distributions"),
    Figure("calibration", "calibr.", "mean |stated probability − frequency| over all bins, weighted"
           " by probability, percentage points", 2, _calibration, -1,
           share=0.18, units="distributions"),
    Figure("ssim", "SSIM",
           "structural similarity, mean over photos, on RGB (Wang et al. 2004; by scikit-image: "
           "Gaussian window, sigma 1.5); most of it is lightness, which colorizers keep", 4,
           _ratio("ssim", "compared"), 1, units="compared"),
    Figure("lpips", "LPIPS",
           "learned perceptual distance, mean over photos, on RGB (Zhang et al. 2018; by the "
           "network given)", 4,
           _ratio("lpips", "perceived"), -1, units="perceived"),
    Figure("ms", "ms",
           "milliseconds per photo for network and rendering on one thread, while other workers "
           "run", 1,
           _ratio("ms", "timed"), -1, units="timed"),
    Figure("top_1", "top-1", "share of photos that a classifier still recognizes, %", 1,
           lambda s, _: 100 * s["hit"] / s["labeled"], 1, units="labeled"),
)  # fmt: skip


def figures_of(sums: Float64, truth: Float64) -> dict[str, float]:
    """All figures of a row from its sums (columns,) and those of the originals; NaN: has none."""
    with np.errstate(all="ignore"):
        return {f.key: float(f.value(Sums(sums), Sums(truth))) for f in FIGURES}
