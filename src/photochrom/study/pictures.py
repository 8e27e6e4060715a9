"""The pictures of a study as participants see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photochrom.color.lab import fit_gamut, from_unit, rgb_to_lab, to_unit
from photochrom.errors import PhotoError

__all__ = [
    "GRAY_CHROMA",
    "OBVIOUS_CHROMA",
    "decode_picture",
    "encode_picture",
    "obvious_fake",
    "pictures_of",
]

GRAY_CHROMA = 2.0
"""A real photo with a mean chroma below this has no color of its own and is skipped."""
OBVIOUS_CHROMA = 25.0
"""Least mean chroma of the wrong colors of an obvious fake."""


def _shown(files: Sequence[Path], side: int) -> list[bytes]:
    """A real photo and its fakes as JPEG of one size, all made in the same way.

    The smallest of them sets the size: a method with small results must not be given away by blur.
    """
    from photochrom.photo.pictures import resized
    from photochrom.photo.read import read_photo

    pixels = []
    for path in files:
        photo = read_photo(path)
        values = photo.pixels
        if photo.alpha is not None:  # on white, as in most viewers
            opacity = to_unit(photo.alpha)[..., None]
            values = to_unit(values) * opacity + (1 - opacity)
        rgb = values if values.dtype == np.uint8 else from_unit(to_unit(values), "u1")
        pixels.append(np.repeat(rgb, 3, axis=2) if rgb.shape[2] == 1 else rgb)
    height, width = pixels[0].shape[:2]
    longest = min(side, *(max(p.shape[:2]) for p in pixels))
    scale = longest / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return [encode_picture(resized(p, *size)) for p in pixels]


def encode_picture(rgb: NDArray[np.uint8]) -> bytes:
    """Encode as JPEG of a quality that keeps the full resolution of the chroma."""
    from photochrom.photo.pictures import to_jpeg

    return to_jpeg(rgb, 95)


def decode_picture(jpeg: bytes) -> NDArray[np.uint8]:
    """A picture of a study, uint8 (H, W, 3)."""
    from photochrom.photo.pictures import from_jpeg

    return from_jpeg(jpeg)


def obvious_fake(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photo with opposite, strong colors and the same L.

    Parameters
    ----------
    rgb : uint8 (H, W, 3), sRGB-encoded

    Returns
    -------
    uint8 (H, W, 3)
    """
    lab = rgb_to_lab(rgb)
    strength = max(1.5, OBVIOUS_CHROMA / max(_mean_chroma(lab), 1e-6))
    fake: NDArray[np.uint8] = fit_gamut(lab[..., 0], -strength * lab[..., 1:], np.uint8)
    return fake


def _mean_chroma(lab: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(lab[..., 1:], axis=-1).mean())


def pictures_of(paths: Sequence[Path], side: int) -> tuple[Sequence[bytes | None], str | None]:
    """The pictures of a photo, or the reason why there are none."""
    try:
        pictures = _shown(paths, side)
    except PhotoError as error:
        # A name that is not text cannot be stored as text.
        return [None] * len(paths), str(error).encode(errors="replace").decode()
    if _mean_chroma(rgb_to_lab(decode_picture(pictures[0]))) < GRAY_CHROMA:
        return [None] * len(paths), f"{paths[0]}: has no color of its own"
    return pictures, None
