"""A photograph as the colorizer sees it, and how large it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.layout import Layout
from photochrom.photo.profiles import srgb_profile
from photochrom.photo.samples import requantize, with_alpha

__all__ = [
    "Held",
    "MAX_PIXELS",
    "MAX_SIDE",
    "MAX_WHOLE",
    "Photo",
    "Pixels",
    "check_colors",
    "check_size",
    "check_whole",
]

MAX_PIXELS = 500_000_000  # 22,000 x 22,000; larger is far more often an attack than a photograph
MAX_SIDE = (
    100_000  # 4.2 m at 600 dpi; a strip of some millions of pixels costs memory by its length
)
MAX_WHOLE = 1_500_000_000  # bytes of a photo that its decoder has to hold in memory as a whole


class Pixels(Protocol):
    """Where the pixels of a photo are: in memory (`Held`), or in its file (`reading.Streamed`)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 1 or 3)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples: uint8, uint16 or float32."""

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha channel."""

    @property
    def pixels(self) -> NDArray[Any]:
        """All of them, as `Photo.pixels`."""

    @property
    def alpha(self) -> NDArray[Any] | None:
        """All of it, as `Photo.alpha`."""

    def strips(self, rows: int) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """Pixels (n, W, C) and alpha (n, W), up to that many rows at a time, top to bottom."""


@dataclass(frozen=True, eq=False)
class Held:
    """Pixels in memory."""

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 1 or 3)."""
        height, width, channels = self.pixels.shape
        return height, width, channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        dtype: np.dtype[Any] = self.pixels.dtype
        return dtype

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha channel."""
        return self.alpha is not None

    def strips(self, rows: int) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """Views, up to that many rows at a time."""
        for top in range(0, len(self.pixels), rows):
            part = slice(top, top + rows)
            yield self.pixels[part], None if self.alpha is None else self.alpha[part]


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph as the colorizer sees it, with what is needed to give it back as it came.

    The pixels of a large file stay there: see `streamed`.
    """

    content: Pixels
    name: str  # for messages: the path, "array" or "PIL image"
    kind: Literal["file", "array", "pil"]
    dtype: np.dtype[Any] | None = None  # what restore gives back; None: that of the samples
    depth: np.dtype[Any] | None = None  # of the samples that came in; None: that of the pixels
    profiled: bool = False  # the source carried an ICC profile: tag the result as sRGB
    metadata: Mapping[str, Any] = field(default_factory=dict)  # libvips fields, or a PIL info dict
    resolution: tuple[float, float] | None = None  # pixels per mm, across and down; None: unknown
    source: tuple[str, int, int] | None = None  # a file's absolute path, device and inode
    extension: str = ""  # that of the format which a file was in, ".jpg"
    page: int = 0  # of the file
    pages: int = 1  # that can be read and colored
    frames: int = 1  # of an animation or a collection of images, of which the first alone is read
    layout: Layout | None = None  # of a TIFF page
    bits: int = 0  # of an AVIF file: 10 or 12, if it is that deep
    volume: int = 0  # of a TIFF file: bytes of all its pages in color, not compressed
    turn: Callable[[int], Photo] | None = field(default=None, repr=False)  # reads another page
    stored: Callable[[], BinaryIO] | None = field(default=None, repr=False)  # opens its file anew
    notes: tuple[str, ...] = ()  # what was passed over in the reading, to be told to the user
    quality: int | None = None  # that a JPEG file was written with, 1..100, as far as one can tell

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.content.shape[0]

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.content.shape[1]

    @property
    def samples(self) -> np.dtype[Any]:
        """Type of the samples that came in, and of those of the result.

        Those of `pixels` are finer where a profile was applied to 8 bits.
        """
        return self.depth or self.content.dtype

    @property
    def streamed(self) -> bool:
        """Whether the pixels are read from the file each time, a strip after the other."""
        return not isinstance(self.content, Held)

    @property
    def pixels(self) -> NDArray[Any]:
        """(H, W, 1) gray or (H, W, 3) sRGB-encoded; uint8, uint16, or float32 in 0..1.

        Those of 8 bits that a profile was applied to are uint16, not rounded to 8 bits again.

        If the photo is `streamed`, all of it is read into memory at the first use and stays there.
        """
        return self.content.pixels

    @property
    def alpha(self) -> NDArray[Any] | None:
        """(H, W), of the type `samples`; straight, not premultiplied. Read as `pixels` are."""
        return self.content.alpha

    def turned_to(self, page: int) -> Photo:
        """Another page of the same file, from 0; PhotoError if there is none, or it has changed."""
        if self.turn is not None:
            return self.turn(page)
        if page == 0:
            return self
        raise PhotoError(f"{self.name}: has no page {page}; it has but one")

    def restore(self, rgb: NDArray[Any]) -> Any:
        """Give colored pixels back as the type that came in.

        Parameters
        ----------
        rgb : ndarray, (H, W, 3), dtype of ``samples`` or ``pixels``
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
        rgb = requantize(rgb, self.samples)
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


def check_whole(name: str, kind: str, pixels: int, size: int) -> None:
    """Raise PhotoError if what a decoder has to hold at once is over the limit.

    Parameters
    ----------
    name, kind : of the file, for the message
    pixels : number
    size : bytes that the decoder needs for each
    """
    if pixels * size > MAX_WHOLE:
        raise PhotoError(
            f"{name}: {kind} is decoded as a whole, and {pixels * size / 1e9:.2g} GB of pixels are "
            f"over the limit of {MAX_WHOLE / 1e9:g}; convert it to TIFF, or to PNG that is not "
            "interlaced, or raise photochrom.photo.MAX_WHOLE"
        )


def check_colors(rgb: NDArray[Any], photo: Photo) -> None:
    """Raise PhotoError unless ``rgb`` has the shape and dtype that belong to a photo."""
    expected = (photo.height, photo.width, 3)
    if rgb.shape != expected or rgb.dtype not in (photo.samples, photo.content.dtype):
        raise PhotoError(
            f"{photo.name}: colors of shape {rgb.shape} and dtype {rgb.dtype} do not fit it; "
            f"give {expected} and {photo.samples}"
        )
