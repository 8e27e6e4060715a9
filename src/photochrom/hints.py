"""The user's hints: each colors what resembles its place, exactly, and nothing else.

The network follows a hint and spreads it, but neither exactly nor within bounds: a brown for the
horse also tints the sky. Two steps correct this.

- *Only where it is meant.* A pixel takes the logits with hints as far as it resembles the place of
  a hint, and otherwise the logits without hints (`blend_hints`).
- *Exactly.* The remainder of a hint is its ab minus the predicted ab at its place. We treat
  the remainders as samples of a Gaussian process over the pixels, and add its mean (`Anchors`).

Two pixels are alike if they are near each other and have about the same *distribution over colors*
without hints. So grass counts as grass and skin as skin, however their L varies.

Sources: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equation 2.23;
Bhattacharyya, 1943 (the likeness of two distributions). docs/experiments.md compares other methods
and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color.lab import rgb_to_lab
from photochrom.color.names import color_code
from photochrom.errors import HintError
from photochrom.models import ModelInfo

__all__ = ["Anchors", "Hint", "Place", "blend_hints", "check_hints", "color_value"]

Hint = tuple[float, float, str | Sequence[float]]
"""What a user gives: (x, y, color), in pixels from the left and top. A color is (r, g, b), sRGB in
0..255, a code such as "#3a5fcd", or a name such as "navy"."""
Place = tuple[float, float, Float32]
"""A checked hint: (x, y, ab), where x and y are shares of the photo in [0, 1)."""


def color_value(color: str | Sequence[float]) -> tuple[float, float, float]:
    """(r, g, b), sRGB in 0..255, of the color of a hint.

    Raises
    ------
    HintError
        It is not a color.
    """
    remedy = 'give (r, g, b) from 0 to 255, or "#3a5fcd", or "navy"'
    if isinstance(color, str):
        try:
            red, green, blue = color_code(color)
        except ValueError as error:
            raise HintError(f"not a color: {error}", remedy) from None
        return float(red), float(green), float(blue)
    try:
        r, g, b = (float(value) for value in color)
    except (TypeError, ValueError):
        raise HintError(f"{color!r} is not a color", remedy) from None
    if not all(0 <= value <= 255 for value in (r, g, b)):
        raise HintError(f"{tuple(color)!r} is not a color", remedy)
    return r, g, b


def check_hints(hints: Sequence[Hint], shape: tuple[int, int], info: ModelInfo) -> list[Place]:
    """Check the hints for a photo of (height, width), and convert them to places.

    Raises
    ------
    HintError
        See `Colorizer.predict`.
    """
    height, width = shape
    if len(hints) and info.channels != 4:
        raise HintError(f"the model {info.name} doesn't take hints", "use a photochrom model")
    checked = []
    for n, hint in enumerate(hints, 1):
        try:
            x, y, color = hint
            x, y = float(x), float(y)
        except (TypeError, ValueError):
            raise HintError(f"hint {n}: {hint!r} is not (x, y, color)") from None
        if not (0 <= x < width and 0 <= y < height):
            raise HintError(
                f"hint {n}: ({x:g}, {y:g}) is outside the photo, "
                f"which has {width} x {height} pixels"
            )
        try:
            values = np.array(color_value(color), dtype=np.float32)
        except HintError as error:
            raise HintError(f"hint {n}: {error.problem}", error.remedy) from None
        ab = rgb_to_lab(values / np.float32(255))[1:]
        checked.append(((x + 0.5) / width, (y + 0.5) / height, ab))
    return [(min(x, 1 - 1e-6), min(y, 1 - 1e-6), ab) for x, y, ab in checked]


BLEND_REACH = 1.0
"""Standard deviation over the distance from a hint, as a share of the short side; of the blend."""
BLEND_LIKENESS = 2
"""Power of the likeness of distributions; of the blend."""
REACH = 0.5
"""The same two, of the process."""
LIKENESS = 4
LIGHTNESS = 20.0
"""Standard deviation over L."""
NOISE = 0.05
"""Variance of a hint, if that of the process is 1. It keeps contradictory hints from ringing."""


def _places(
    hints: Sequence[Place], height: int, width: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the hints."""
    rows = [int(y * height) for _, y, _ in hints]
    return np.array(rows, np.intp), np.array([int(x * width) for x, _, _ in hints], np.intp)


def _near(hints: Sequence[Place], height: int, width: int, reach: float) -> Float32:
    """How near each pixel is to each hint, 0..1: float32 (h, w, n)."""
    rows, columns = _places(hints, height, width)
    scale = reach * min(height, width)
    # Separable in x and y, as its square exponentials are.
    across = np.exp(-(((np.arange(width)[:, None] - columns) / scale) ** 2) / 2)
    down = np.exp(-(((np.arange(height)[:, None] - rows) / scale) ** 2) / 2)
    near: Float32 = (down[:, None] * across[None]).astype(np.float32)
    return near


def _like(hints: Sequence[Place], distribution: Float32) -> Float32:
    """How alike the distribution of each pixel is to that at each hint, 0..1: (h, w, n)."""
    root = np.sqrt(distribution)
    rows, columns = _places(hints, *distribution.shape[1:])
    like: Float32 = np.tensordot(root, root[:, rows, columns], axes=(0, 0))
    return np.clip(like, 0, 1)


def blend_hints(
    hints: Sequence[Place], plain: Float32, hinted: Float32, distribution: Float32 | None
) -> Float32:
    """Blend the logits with and without hints, so that each hint acts only where it is meant.

    Parameters
    ----------
    hints : at least one
    plain, hinted : float32 (Q, h, w), the logits without and with the hints
    distribution : float32 (Q, h, w), sum 1 over Q, without hints; None for a regression

    Returns
    -------
    float32 (Q, h, w)
    """
    height, width = plain.shape[1:]
    weight = _near(hints, height, width, BLEND_REACH)
    if distribution is not None:
        weight *= _like(hints, distribution) ** BLEND_LIKENESS
    mixed: Float32 = plain + weight.max(axis=-1) * (hinted - plain)
    return mixed


@dataclass(frozen=True, eq=False)
class Anchors:
    """The places and colors of the hints in a prediction, and how far each one reaches.

    Attributes
    ----------
    rows, columns : int (n,), at the network's resolution
    ab : float32 (n, 2)
    spread : float32 (h, w, n), the share of each hint's remainder that is added to each pixel
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    ab: Float32
    spread: Float32

    @classmethod
    def of(cls, hints: Sequence[Place], L: Float32, distribution: Float32 | None) -> Anchors:
        """Anchor the hints in a prediction.

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
        """The predicted ab (h, w, 2), corrected to the hints' colors at their places."""
        left = self.ab - ab[self.rows, self.columns]
        # Contradictory hints on similar pixels must not push a color beyond either of them.
        low, high = np.minimum(left.min(axis=0), 0), np.maximum(left.max(axis=0), 0)
        corrected: Float32 = ab + np.clip(self.spread @ left, low, high)
        return corrected
