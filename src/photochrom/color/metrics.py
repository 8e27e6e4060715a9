"""How good a coloring is: AuC of the ab error, PSNR, CIEDE2000, colorfulness.

Each function takes arrays of one photo, or sums over photos. They know no model and no file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photochrom.color import bins

__all__ = [
    "DULL",
    "EFFECTIVE_SHARE",
    "RAREST",
    "THRESHOLDS",
    "VIVID",
    "auc",
    "class_weights",
    "colorfulness",
    "delta_e_2000",
    "error_histogram",
    "invented",
    "psnr",
    "worst_tenth",
]

THRESHOLDS = 150
"""AuC counts pixels with an ab error of at most t, t from 0 to this (the paper, section 3.1)."""

_STEPS = 10  # error histogram cells per unit of ab


def error_histogram(
    ab: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Histogram of the Euclidean ab error; add it up over photos for `auc`.

    Parameters
    ----------
    ab, truth : (..., 2)
    weights : (...), None for 1 each

    Returns
    -------
    float64 (1501,): cell i holds errors in (i - 1, i] / 10; the last one also holds all beyond 150
    """
    error = np.linalg.norm(np.asarray(ab, np.float32) - np.asarray(truth, np.float32), axis=-1)
    cell = np.minimum(np.ceil(error.ravel() * _STEPS), THRESHOLDS * _STEPS).astype(np.int64)
    w = None if weights is None else np.asarray(weights, np.float64).ravel()
    return np.bincount(cell, weights=w, minlength=THRESHOLDS * _STEPS + 1).astype(np.float64)


VIVID, DULL = 30.0, 8.0
"""A pixel is an invention if its chroma is above the first and that of the original below the
second: a color that anybody sees, where there was none."""


def invented(ab: ArrayLike, truth: ArrayLike) -> float:
    """The share of a photo's pixels, 0 to 1, that are inventions; ab and truth are (..., 2)."""
    ours = np.linalg.norm(np.asarray(ab, np.float32), axis=-1)
    theirs = np.linalg.norm(np.asarray(truth, np.float32), axis=-1)
    return float(np.mean((ours > VIVID) & (theirs < DULL)))


def worst_tenth(values: ArrayLike) -> float:
    """Mean of the largest tenth of the values, one at least: how bad it is where it is bad."""
    ordered = np.sort(np.asarray(values, np.float64).ravel())
    return float(ordered[-max(1, round(len(ordered) / 10)) :].mean())


RAREST = 1e-5
"""Floor of the prior if lambda is 0. Without it, a single pixel of a very rare bin would weigh as
much as all pixels of a common one."""


EFFECTIVE_SHARE = {0.0: 0.061, 0.5: 0.495, 1.0: 0.928}
"""By the strength of `class_weights`: the number of photos of equal weight that tell as much as n
weighted ones, as a share of n, (sum w)^2 / (n sum w^2). Measured on 6,000 training photos; see
docs/experiments.md."""


def class_weights(prior: ArrayLike, strength: float) -> NDArray[np.float64]:
    """Weight of each bin in AuC rebalanced, up to a constant factor.

    Parameters
    ----------
    prior : (313,), sum 1
    strength : lambda; 0 weighs by 1 / p (all bins count alike), 1 not at all

    Source: the paper, sections 2.2 and 3.1.
    """
    p = np.asarray(prior, np.float64)
    if strength == 0:
        return 1 / np.maximum(p, RAREST)
    return bins.rebalancing_weights(p.astype(np.float32), strength).astype(np.float64)


def auc(histogram: ArrayLike) -> float:
    """Area under the cumulative error curve from t = 0 to 150, as a percentage.

    Parameters
    ----------
    histogram : from `error_histogram`; weights 1 give AuC raw, 1 / p of the true bin AuC rebalanced

    Source: the paper, section 3.1 ("colorization results on ImageNet").
    """
    cells = np.asarray(histogram, np.float64)
    share = np.cumsum(cells[:-1]) / cells.sum()
    # The curve at t = i / 10, integrated by the trapezoid rule; its last point is 1 by definition.
    # Written out, because NumPy 1 and 2 have different names for the rule.
    curve = np.append(share, 1.0)
    return float(100 * (curve.sum() - (curve[0] + curve[-1]) / 2) / (len(curve) - 1))


def psnr(rgb: ArrayLike, truth: ArrayLike) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 images of one shape; infinite if equal."""
    a, b = np.asarray(rgb, np.float64), np.asarray(truth, np.float64)
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def colorfulness(rgb: ArrayLike) -> float:
    """CF of a uint8 image (..., 3): sigma + 0.3 mu of rg = R - G and yb = (R + G) / 2 - B.

    Source: Hasler and Suesstrunk, "Measuring colourfulness in natural images", 2003;
    without the absolute values of rg and yb.
    """
    array = np.asarray(rgb, np.float64)
    r, g, b = array[..., 0], array[..., 1], array[..., 2]
    rg, yb = r - g, 0.5 * (r + g) - b
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def delta_e_2000(lab: ArrayLike, truth: ArrayLike) -> NDArray[np.float64]:
    """CIEDE2000 color difference, kL = kC = kH = 1.

    Parameters
    ----------
    lab, truth : (..., 3)

    Returns
    -------
    float64 (...); about 1 is just noticeable side by side

    Source: G. Sharma, W. Wu, E. N. Dalal, "The CIEDE2000 color-difference formula: implementation
    notes, supplementary test data, and mathematical observations", 2005; equation numbers are
    theirs.
    """
    (L1, a1, b1), (L2, a2, b2) = (
        np.moveaxis(np.asarray(x, np.float64), -1, 0) for x in (lab, truth)
    )
    C7 = (0.5 * (np.hypot(a1, b1) + np.hypot(a2, b2))) ** 7  # (2), (3)
    G = 0.5 * (1 - np.sqrt(C7 / (C7 + 25.0**7)))  # (4)
    a1, a2 = (1 + G) * a1, (1 + G) * a2  # (5)
    C1, C2 = np.hypot(a1, b1), np.hypot(a2, b2)  # (6)
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))  # (7)
    gray = C1 * C2 == 0
    turn = h2 - h1
    turn = np.where(turn > 180, turn - 360, np.where(turn < -180, turn + 360, turn))
    turn = np.where(gray, 0, turn)  # (10)
    dL, dC = L2 - L1, C2 - C1  # (8), (9)
    dH = 2 * np.sqrt(C1 * C2) * np.sin(np.radians(turn / 2))  # (11)
    L, C = 0.5 * (L1 + L2), 0.5 * (C1 + C2)  # (12), (13)
    both = h1 + h2
    far = np.abs(h1 - h2) > 180
    h = np.where(gray, both, 0.5 * (both + far * np.where(both < 360, 360, -360)))  # (14)
    cos = [np.cos(np.radians(n * h + shift)) for n, shift in ((1, -30), (2, 0), (3, 6), (4, -63))]
    T = 1 - 0.17 * cos[0] + 0.24 * cos[1] + 0.32 * cos[2] - 0.20 * cos[3]  # (15)
    theta = 30 * np.exp(-(((h - 275) / 25) ** 2))  # (16)
    RC = 2 * np.sqrt(C**7 / (C**7 + 25.0**7))  # (17)
    SL = 1 + 0.015 * (L - 50) ** 2 / np.sqrt(20 + (L - 50) ** 2)  # (18)
    SC, SH = 1 + 0.045 * C, 1 + 0.015 * C * T  # (19), (20)
    RT = -np.sin(np.radians(2 * theta)) * RC  # (21)
    l_, c_, h_ = dL / SL, dC / SC, dH / SH
    square = l_**2 + c_**2 + h_**2 + RT * c_ * h_  # (22)
    return np.asarray(np.sqrt(np.maximum(square, 0)), np.float64)
