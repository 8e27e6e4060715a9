"""Small pictures of a photo: resize, shrink, encode."""

from __future__ import annotations

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.photo.vips import to_numpy, to_vips

__all__ = ["from_jpeg", "resized", "shrunk", "to_jpeg", "to_png"]


def resized(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A picture (H, W, C), resized to (height, width) by Lanczos filtering, without aliasing."""
    if rgb.shape[:2] == (height, width):
        return rgb
    small = to_vips(rgb).thumbnail_image(width, height=height, size="force", no_rotate=True)
    return np.ascontiguousarray(to_numpy(small))


def shrunk(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """A picture (H, W, C) reduced by a whole factor: the mean of each factor x factor pixels.

    Pixels left over at the right and at the bottom make one more column and row.
    """
    if factor == 1:
        return picture
    return np.ascontiguousarray(to_numpy(to_vips(picture).shrink(factor, factor, ceil=True)))


def to_jpeg(rgb: NDArray[np.uint8], quality: int = 85) -> bytes:
    """A picture (H, W, 3) as a JPEG without metadata; from quality 90 on with full chroma."""
    return bytes(to_vips(rgb).jpegsave_buffer(Q=quality, keep="none"))


def from_jpeg(data: bytes) -> NDArray[np.uint8]:
    """A JPEG that photochrom made, as a picture (H, W, C)."""
    return to_numpy(pyvips.Image.jpegload_buffer(data))


def to_png(picture: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, C) as a PNG without metadata, packed quickly."""
    return bytes(to_vips(picture).pngsave_buffer(compression=1, keep="none"))
