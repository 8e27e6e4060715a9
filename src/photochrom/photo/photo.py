"""A photograph as the colorizer sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.facts import Facts, Metadata
from photochrom.photo.layout import Layout
from photochrom.photo.limits import LIMITS
from photochrom.photo.metadata.resolution import Resolution
from photochrom.photo.profiles import srgb_profile
from photochrom.photo.samples import requantize, with_alpha
from photochrom.photo.strips import strip_rows

__all__ = ["Held", "Photo", "Pixels", "check_colors"]


class Pixels(Protocol):
    """The pixels of a photo: in memory (`Held`), or in its file (`file_pixels.FilePixels`)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, 1 or 3)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples: uint8, uint16 or float32."""

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha channel."""

    @property
    def pixels(self) -> NDArray[Any]:
        """All pixels, see `Photo.pixels`."""

    @property
    def alpha(self) -> NDArray[Any] | None:
        """The whole alpha channel, see `Photo.alpha`."""

    @property
    def strip_rows(self) -> int:
        """Rows to handle at a time."""

    def strips(self, rows: int) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """Pixels (n, W, C) and alpha (n, W), up to `rows` rows at a time, top to bottom."""


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
        """Type of the samples."""
        dtype: np.dtype[Any] = self.pixels.dtype
        return dtype

    @property
    def has_alpha(self) -> bool:
        """Whether there is an alpha channel."""
        return self.alpha is not None

    @property
    def strip_rows(self) -> int:
        """Rows to handle at a time."""
        return strip_rows(self.shape[1], LIMITS.strip_pixels)

    def strips(self, rows: int) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """Views, up to `rows` rows at a time."""
        for top in range(0, len(self.pixels), rows):
            part = slice(top, top + rows)
            yield self.pixels[part], None if self.alpha is None else self.alpha[part]


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph as the colorizer sees it, with what is needed to give it back as it came.

    The pixels of a large file stay there: see `streamed`.
    """

    content: Pixels
    facts: Facts

    @property
    def name(self) -> str:
        """For messages: the path, "array" or "PIL image"."""
        return self.facts.name

    @property
    def kind(self) -> Literal["file", "array", "pil"]:
        """Where the photo came from."""
        return self.facts.kind

    @property
    def profiled(self) -> bool:
        """Whether the source carried an ICC profile."""
        return self.facts.profiled

    @property
    def metadata(self) -> Metadata:
        """What the file says about the photo."""
        return self.facts.metadata

    @property
    def resolution(self) -> Resolution | None:
        """Pixels per mm, across and down; None if it is unknown."""
        return self.facts.resolution

    @property
    def source(self) -> tuple[str, int, int] | None:
        """The file's absolute path, device and inode; None if there is no such file."""
        return self.facts.source

    @property
    def extension(self) -> str:
        """Extension of the format that the file was in, such as ".jpg"."""
        return self.facts.extension

    @property
    def page(self) -> int:
        """Number of the page in its file."""
        return self.facts.page

    @property
    def pages(self) -> int:
        """How many pages of the file can be read and colored."""
        return self.facts.pages

    @property
    def frames(self) -> int:
        """How many frames the file has; only the first is read."""
        return self.facts.frames

    @property
    def layout(self) -> Layout | None:
        """How a TIFF file stores the page."""
        return self.facts.layout

    @property
    def notes(self) -> tuple[str, ...]:
        """For the user: what the reader could not take."""
        return self.facts.notes

    @property
    def quality(self) -> int | None:
        """Quality that a JPEG file was probably written with, 1..100."""
        return self.facts.quality

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

        The samples of `pixels` are finer if a profile was applied to 8 bits.
        """
        return self.facts.depth or self.content.dtype

    @property
    def streamed(self) -> bool:
        """Whether the pixels stay in the file, to be read one strip at a time."""
        return not isinstance(self.content, Held)

    @property
    def pixels(self) -> NDArray[Any]:
        """(H, W, 1) gray or (H, W, 3) sRGB-encoded; uint8, uint16, or float32 in 0..1.

        Pixels of 8 bits to which a profile was applied are uint16, not rounded to 8 bits again.

        If the photo is `streamed`, the first use reads all of it into memory, where it stays.
        """
        return self.content.pixels

    @property
    def alpha(self) -> NDArray[Any] | None:
        """(H, W), of the type `samples`; straight, not premultiplied. Read like `pixels`."""
        return self.content.alpha

    @property
    def strip_rows(self) -> int:
        """How many rows to handle at a time."""
        return self.content.strip_rows

    def turned_to(self, page: int) -> Photo:
        """Another page of the same file, from 0; PhotoError if there is none, or it has changed."""
        if self.facts.turn is not None:
            return self.facts.turn(page)
        if page == 0:
            return self
        raise PhotoError(f"has no page {page}", "it has only one", name=self.name)

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
            ``rgb`` does not have the shape and dtype of this photo.
        """
        check_colors(rgb, self)
        rgb = requantize(rgb, self.samples)
        if self.kind != "pil":
            return with_alpha(rgb, self.alpha).astype(self.facts.dtype or rgb.dtype, copy=False)
        import PIL.Image

        alpha = None if self.alpha is None else requantize(self.alpha, np.uint8)
        image = PIL.Image.fromarray(with_alpha(requantize(rgb, np.uint8), alpha))
        image.info.update(self.facts.info)
        if self.profiled:
            image.info["icc_profile"] = srgb_profile()
        return image


def check_colors(rgb: NDArray[Any], photo: Photo) -> None:
    """Raise PhotoError unless ``rgb`` has the shape and dtype of a photo."""
    expected = (photo.height, photo.width, 3)
    if rgb.shape != expected or rgb.dtype not in (photo.samples, photo.content.dtype):
        raise PhotoError(
            f"colors with shape {rgb.shape} and dtype {rgb.dtype} don't fit",
            f"give shape {expected} and dtype {photo.samples}",
            name=photo.name,
        )
