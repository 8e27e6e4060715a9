"""How good a coloring is: AuC of the ab error, PSNR, chroma share, colorfulness.

Each takes arrays of one photo, or sums over photos; nothing here knows a model or a file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["THRESHOLDS", "auc", "chroma_share", "colorfulness", "error_histogram", "psnr"]

THRESHOLDS = 150
"""AuC counts the pixels whose ab error is at most t, t from 0 to this (the paper, section 3.1)."""

_STEPS = 10  # error histogram cells per unit of ab


def error_histogram(
    ab: ArrayLike, truth: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Histogram of the Euclidean ab error, to be added up over photos and given to `auc`.

    Parameters
    ----------
    ab, truth : (..., 2)
    weights : (...), None for 1 each

    Returns
    -------
    float64 (1501,): cell i holds errors in (i - 1, i] / 10; the last one, all beyond 150 as well
    """
    error = np.linalg.norm(np.asarray(ab, np.float32) - np.asarray(truth, np.float32), axis=-1)
    cell = np.minimum(np.ceil(error.ravel() * _STEPS), THRESHOLDS * _STEPS).astype(np.int64)
    w = None if weights is None else np.asarray(weights, np.float64).ravel()
    return np.bincount(cell, weights=w, minlength=THRESHOLDS * _STEPS + 1).astype(np.float64)


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
    # Written out, for NumPy 1 and 2 call the rule by different names.
    curve = np.append(share, 1.0)
    return float(100 * (curve.sum() - (curve[0] + curve[-1]) / 2) / (len(curve) - 1))


def psnr(rgb: ArrayLike, truth: ArrayLike) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 images of one shape; infinite when equal."""
    a, b = np.asarray(rgb, np.float64), np.asarray(truth, np.float64)
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def chroma_share(ab: ArrayLike, truth: ArrayLike) -> float:
    """Mean chroma of ab (..., 2) as a share of the mean chroma of the truth (..., 2)."""
    chroma = np.linalg.norm(np.asarray(ab, np.float32), axis=-1).mean()
    return float(chroma / np.linalg.norm(np.asarray(truth, np.float32), axis=-1).mean())


def colorfulness(rgb: ArrayLike) -> float:
    """CF of a uint8 image (..., 3): sigma + 0.3 mu of rg = R - G and yb = (R + G) / 2 - B.

    Source: Hasler and Suesstrunk, "Measuring colourfulness in natural images", 2003;
    no absolute values are taken of rg and yb.
    """
    array = np.asarray(rgb, np.float64)
    r, g, b = array[..., 0], array[..., 1], array[..., 2]
    rg, yb = r - g, 0.5 * (r + g) - b
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
