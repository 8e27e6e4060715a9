"""A photograph as the colorizer sees it, and how large it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.profiles import srgb_profile
from photochrom.samples import requantize, with_alpha

__all__ = ["MAX_PIXELS", "MAX_SIDE", "Photo", "check_colors", "check_size"]

MAX_PIXELS = 500_000_000  # 22,000 x 22,000; larger is far more often an attack than a photograph
MAX_SIDE = (
    100_000  # 4.2 m at 600 dpi; a strip of some millions of pixels costs memory by its length
)


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph as the colorizer sees it, with what is needed to give it back as it came."""

    pixels: NDArray[Any]  # (H, W, 1) gray or (H, W, 3) sRGB-encoded; uint8, uint16, or float32 0..1
    alpha: NDArray[Any] | None  # (H, W), same dtype; straight, not premultiplied
    name: str  # for messages: the path, "array" or "PIL image"
    kind: Literal["file", "array", "pil"]
    dtype: np.dtype[Any] | None = None  # what restore gives back; None: that of the pixels
    profiled: bool = False  # the source carried an ICC profile: tag the result as sRGB
    metadata: Mapping[str, Any] = field(default_factory=dict)  # libvips fields, or a PIL info dict
    resolution: tuple[float, float] | None = None  # pixels per mm, across and down; None: unknown
    source: tuple[str, int, int] | None = None  # a file's absolute path, device and inode
    extension: str = ""  # that of the format which a file was in, ".jpg"

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    def restore(self, rgb: NDArray[Any]) -> Any:
        """Give colored pixels back as the type that came in.

        Parameters
        ----------
        rgb : ndarray, (H, W, 3), dtype of ``pixels``
            sRGB-encoded; floats in 0..1.

        Returns
        -------
        ndarray or PIL.Image.Image
            From a file or an array: (H, W, 3), or (H, W, 4) with alpha; the dtype that came in,
            except that bool, which holds no color, becomes uint8. Without alpha and with the same
            dtype this is ``rgb`` itself, not a copy. From a PIL image: mode RGB or RGBA, 8 bits a
            channel (PIL has no deeper color; 16-bit and float values are rounded to nearest), with
            the EXIF block and resolution of the source, and an sRGB profile if it had a profile.

        Raises
        ------
        PhotoError
            The shape or dtype of ``rgb`` does not belong to this photo.
        """
        check_colors(rgb, self)
        if self.kind != "pil":
            return with_alpha(rgb, self.alpha).astype(self.dtype or rgb.dtype, copy=False)
        import PIL.Image

        alpha = None if self.alpha is None else requantize(self.alpha, np.uint8)
        image = PIL.Image.fromarray(with_alpha(requantize(rgb, np.uint8), alpha))
        image.info.update(self.metadata)
        if self.profiled:
            image.info["icc_profile"] = srgb_profile()
        return image


def check_size(name: str, width: int, height: int) -> None:
    """Raise PhotoError if a photo of this size is over the limits."""
    if width * height > MAX_PIXELS:
        raise PhotoError(
            f"{name}: {width} x {height} pixels are over the limit of {MAX_PIXELS / 1e6:g} "
            "megapixels; scale it down, cut it into tiles, or raise photochrom.photo.MAX_PIXELS"
        )
    if max(width, height) > MAX_SIDE:
        raise PhotoError(
            f"{name}: {width} x {height} pixels are over the limit of {MAX_SIDE} a side; scale it "
            "down, cut it into tiles, or raise photochrom.photo.MAX_SIDE"
        )


def check_colors(rgb: NDArray[Any], photo: Photo) -> None:
    """Raise PhotoError unless ``rgb`` has the shape and dtype that belong to a photo."""
    expected = (photo.height, photo.width, 3)
    if rgb.shape != expected or rgb.dtype != photo.pixels.dtype:
        raise PhotoError(
            f"{photo.name}: colors of shape {rgb.shape} and dtype {rgb.dtype} do not fit it; "
            f"give {expected} and {photo.pixels.dtype}"
        )
