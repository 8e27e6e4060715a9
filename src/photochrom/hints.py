"""The user's hints to the letter: what the network leaves of them is spread to like pixels.

The network follows a hint and spreads it, but not to the letter: its training never asked for the
given color alone. What it leaves, the hint's ab less the predicted ab at that place, is taken for
samples of a Gaussian process over the pixels, and its mean is added: at the places the colors are
the given ones, elsewhere as far as a pixel is *like* them. Alike are pixels that are near, of about
the same L, and of about the same *distribution over colors*: grass is taken for grass and skin for
skin, however their L varies, so a hint ends where the object does.

Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equation 2.23; the
likeness of two distributions is that of Bhattacharyya, 1943.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Anchors"]

Float32 = NDArray[np.float32]

# docs/experiments.md has what other values do.
REACH = 0.5
"""Standard deviation over the place, as a share of the short side."""
LIGHTNESS = 20.0
"""Standard deviation over L."""
LIKENESS = 4
"""Power of the likeness of distributions."""
NOISE = 0.05
"""Variance of a hint, where that of the process is 1: keeps contradictory hints from ringing."""


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
    def of(
        cls,
        hints: Sequence[tuple[float, float, Float32]],
        L: Float32,
        distribution: Float32 | None,
    ) -> Anchors:
        """Anchor hints in a prediction.

        Parameters
        ----------
        hints : (x, y, ab) with x and y as shares of the photo in [0, 1); at least one
        L : float32 (h, w), 0..100, at the network's resolution
        distribution : float32 (Q, h, w), sum 1 over Q; None for a regression
        """
        height, width = L.shape
        columns = np.array([int(x * width) for x, _, _ in hints])
        rows = np.array([int(y * height) for _, y, _ in hints])
        x, y = np.arange(width)[:, None], np.arange(height)[:, None]
        reach = REACH * min(height, width)
        # Separable in x and y, and so are its square exponentials.
        across = np.exp(-(((x - columns) / reach) ** 2) / 2)
        down = np.exp(-(((y - rows) / reach) ** 2) / 2)
        kernel = down[:, None] * across[None]
        kernel *= np.exp(-(((L[..., None] - L[rows, columns]) / LIGHTNESS) ** 2) / 2)
        if distribution is not None:
            root = np.sqrt(distribution)
            like = np.tensordot(root, root[:, rows, columns], axes=(0, 0))
            kernel *= np.clip(like, 0, 1) ** LIKENESS
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
