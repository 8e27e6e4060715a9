"""Whether a photo has colors of its own, or only a tone.

A scan of a black-and-white print is rarely gray: sepia, selenium, yellowed paper and the noise of a
scanner give every pixel some a and b. But these follow from its L and its place, smoothly. The
colors of a color photo don't: red and green things can be equally bright, side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color.lab import rgb_to_lab
from photochrom.color.resize import AreaShrink
from photochrom.photo.photo import Photo
from photochrom.photo.samples import requantize

__all__ = ["OWN_COLOR", "is_colored", "own_color"]

OWN_COLOR = 6.5
"""ab units from which on a twentieth of the pixels make a color photo. Of 400 color photos, 2 % had
less: nearly gray ones. Of toned ones, with noise and stains, as few had more."""
SIDE = 160
"""Longest side that the colors are looked at with, in pixels: noise averages out."""
KNOTS = 9
"""Of the tone, as a function of L: straight in between."""


def is_colored(photo: Photo) -> bool:
    """Whether a photo has colors of its own; of several pages, the first decides."""
    return photo.content.shape[2] == 3 and own_color(_reduced(photo)) > OWN_COLOR


def own_color(rgb: Float32) -> float:
    """How far the most colorful twentieth of the pixels is from the photo's tone, at least.

    Parameters
    ----------
    rgb : float32 (h, w, 3), encoded sRGB, 0..1; reduced, so that noise does not count

    Returns
    -------
    ab units : about 0 for gray, 2 to 6 for toned photos, 6 to 50 for color photos
    """
    lab = rgb_to_lab(rgb)
    L, ab = lab[..., 0].ravel(), lab[..., 1:].reshape(-1, 2)
    h, w = lab.shape[:2]
    y, x = (v.ravel() for v in np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j])
    knots = np.linspace(0, 100, KNOTS)
    tone = np.maximum(0, 1 - np.abs(L[:, None] - knots) / (knots[1] - knots[0]))
    # And smooth over the page, as old paper yellows.
    known = np.concatenate([tone, np.stack([x, y, x * x, x * y, y * y], axis=1)], axis=1)
    square = known.T @ known + 1e-5 * len(L) * np.eye(known.shape[1])
    rest = ab - known @ np.linalg.solve(square, known.T @ ab)
    return float(np.percentile(np.linalg.norm(rest, axis=1), 95))


def _reduced(photo: Photo) -> Float32:
    """A photo of three channels, reduced by area: float32 (h, w, 3), 0..1."""
    height, width = photo.height, photo.width
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    shrinks = [AreaShrink((height, width), size) for _ in range(3)]
    for pixels, _ in photo.content.strips(photo.strip_rows):
        _push(shrinks, pixels)
    return np.stack([shrink.result() for shrink in shrinks], axis=-1)


def _push(shrinks: list[AreaShrink], pixels: NDArray[Any]) -> None:
    for channel, shrink in enumerate(shrinks):
        shrink.push(requantize(np.ascontiguousarray(pixels[..., channel]), np.float32))
