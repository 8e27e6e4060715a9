"""The user's hints: each colors what is like its place, to the letter, and nothing else.

The network follows a hint and spreads it, but neither to the letter nor within bounds: a brown for
the horse also tints the sky. So two things are done with what it says.

- *Heard only where it is meant.* The logits with hints count as far as a pixel is like the place of
  one, elsewhere those without hints (`heard`).
- *To the letter.* What is left of a hint, its ab less the predicted ab at that place, is taken for
  a sample of a Gaussian process over the pixels, whose mean is added (`Anchors`).

Alike are pixels that are near and of about the same *distribution over colors*, as the network sees
it without hints: grass is taken for grass and skin for skin, however their L varies.

Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equation 2.23; the
likeness of two distributions is that of Bhattacharyya, 1943. docs/experiments.md has what other
ways and values do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color.lab import rgb_to_lab
from photochrom.errors import HintError
from photochrom.models import ModelInfo

__all__ = ["Anchors", "Hint", "Hints", "check_hints", "heard"]

Hint = tuple[float, float, Sequence[float]]
"""(x, y, (r, g, b)): x to the right and y down in pixels of the photo, color as sRGB in 0..255."""


def check_hints(
    hints: Sequence[Hint], shape: tuple[int, int], info: ModelInfo
) -> list[tuple[float, float, Float32]]:
    """Hints as (x share, y share, ab), of a photo of (height, width).

    See `Colorizer.predict` for the errors.
    """
    height, width = shape
    if len(hints) and info.channels != 4:
        raise HintError(f"the model {info.name} takes no hints; use a photochrom model")
    checked = []
    for n, hint in enumerate(hints, 1):
        try:
            x, y, rgb = hint
            x, y = float(x), float(y)
            values = np.array([float(v) for v in rgb], dtype=np.float32)
        except (TypeError, ValueError):
            raise HintError(f"hint {n}: {hint!r} is not (x, y, (r, g, b))") from None
        if not (0 <= x < width and 0 <= y < height):
            raise HintError(
                f"hint {n}: ({x:g}, {y:g}) lies outside the photo of {width} x {height}"
            )
        if values.shape != (3,) or not ((values >= 0) & (values <= 255)).all():
            raise HintError(f"hint {n}: {tuple(rgb)!r} is no color; give r, g, b in 0..255")
        ab = rgb_to_lab(values / np.float32(255))[1:]
        checked.append(((x + 0.5) / width, (y + 0.5) / height, ab))
    return [(min(x, 1 - 1e-6), min(y, 1 - 1e-6), ab) for x, y, ab in checked]


Hints = Sequence[tuple[float, float, Float32]]
"""(x, y, ab): x to the right and y down as shares of the photo in [0, 1), and the color there."""

# Standard deviations over the place are shares of the short side.
HEARD_REACH = 1.0
HEARD_LIKENESS = 2
"""Power of the likeness of distributions."""
REACH = 0.5
LIKENESS = 4
LIGHTNESS = 20.0
"""Standard deviation over L."""
NOISE = 0.05
"""Variance of a hint, where that of the process is 1: keeps contradictory hints from ringing."""


def _places(hints: Hints, height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the hints."""
    rows = [int(y * height) for _, y, _ in hints]
    return np.array(rows, np.intp), np.array([int(x * width) for x, _, _ in hints], np.intp)


def _near(hints: Hints, height: int, width: int, reach: float) -> Float32:
    """How near each pixel is to each hint, 0..1: float32 (h, w, n)."""
    rows, columns = _places(hints, height, width)
    scale = reach * min(height, width)
    # Separable in x and y, as its square exponentials are.
    across = np.exp(-(((np.arange(width)[:, None] - columns) / scale) ** 2) / 2)
    down = np.exp(-(((np.arange(height)[:, None] - rows) / scale) ** 2) / 2)
    near: Float32 = (down[:, None] * across[None]).astype(np.float32)
    return near


def _like(hints: Hints, distribution: Float32) -> Float32:
    """How alike the distribution of each pixel is to that at each hint, 0..1: (h, w, n)."""
    root = np.sqrt(distribution)
    rows, columns = _places(hints, *distribution.shape[1:])
    like: Float32 = np.tensordot(root, root[:, rows, columns], axes=(0, 0))
    return np.clip(like, 0, 1)


def heard(hints: Hints, plain: Float32, hinted: Float32, distribution: Float32 | None) -> Float32:
    """Logits in which each hint is heard only where it is meant.

    Parameters
    ----------
    hints : at least one
    plain, hinted : float32 (Q, h, w), what the network says without and with the hints
    distribution : float32 (Q, h, w), sum 1 over Q, without hints; None for a regression

    Returns
    -------
    float32 (Q, h, w)
    """
    height, width = plain.shape[1:]
    weight = _near(hints, height, width, HEARD_REACH)
    if distribution is not None:
        weight *= _like(hints, distribution) ** HEARD_LIKENESS
    mixed: Float32 = plain + weight.max(axis=-1) * (hinted - plain)
    return mixed


@dataclass(frozen=True, eq=False)
class Anchors:
    """Where hints lie in a prediction, what they ask for, and how far each reaches.

    Attributes
    ----------
    rows, columns : int (n,), at the network's resolution
    ab : float32 (n, 2)
    spread : float32 (h, w, n), what each hint's remainder adds to every pixel
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    ab: Float32
    spread: Float32

    @classmethod
    def of(cls, hints: Hints, L: Float32, distribution: Float32 | None) -> Anchors:
        """Anchor hints in a prediction.

        Parameters
        ----------
        hints : at least one
        L : float32 (h, w), 0..100, at the network's resolution
        distribution : float32 (Q, h, w), sum 1 over Q, without hints; None for a regression
        """
        height, width = L.shape
        rows, columns = _places(hints, height, width)
        kernel = _near(hints, height, width, REACH).astype(np.float64)
        kernel *= np.exp(-(((L[..., None] - L[rows, columns]) / LIGHTNESS) ** 2) / 2)
        if distribution is not None:
            kernel *= _like(hints, distribution) ** LIKENESS
        between = kernel[rows, columns] + NOISE * np.eye(len(rows))
        spread = np.linalg.solve(between, kernel.reshape(-1, len(rows)).T).T
        return cls(
            rows,
            columns,
            np.stack([ab for _, _, ab in hints]).astype(np.float32),
            spread.reshape(kernel.shape).astype(np.float32),
        )

    def corrected(self, ab: Float32) -> Float32:
        """Predicted ab (h, w, 2) with the hints' colors at their places."""
        left = self.ab - ab[self.rows, self.columns]
        # Hints that contradict each other on like pixels must not push beyond what either asks for.
        low, high = np.minimum(left.min(axis=0), 0), np.maximum(left.max(axis=0), 0)
        corrected: Float32 = ab + np.clip(self.spread @ left, low, high)
        return corrected
