"""What is known about a photo besides its pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from photochrom.photo.ifd import Tree
from photochrom.photo.layout import Layout
from photochrom.photo.metadata.resolution import Resolution
from photochrom.photo.metadata.texts import Text

if TYPE_CHECKING:
    from photochrom.photo.photo import Photo

__all__ = ["Facts", "Metadata"]


@dataclass(frozen=True)
class Metadata:
    """What a file says about its photo, as it was found there."""

    exif: bytes | None = None  # from "Exif" on
    xmp: bytes | None = None  # a packet; if a JPEG has two parts, the first
    xmp_whole: bytes | None = None  # both parts of a JPEG, as one packet
    iptc: bytes | None = None  # IPTC-IIM records, bare or in a block of Photoshop resources
    texts: tuple[Text, ...] = ()  # of PNG
    description: str | None = None  # of TIFF
    unit: str | None = None  # of the resolution, as libvips names it


@dataclass(frozen=True)
class Facts:
    """What is needed to give a photo back in the form in which it came."""

    name: str  # for messages: the path, "array" or "PIL image"
    kind: Literal["file", "array", "pil"]
    dtype: np.dtype[Any] | None = None  # that `restore` gives back; None: that of the samples
    depth: np.dtype[Any] | None = None  # of the samples that came in; None: that of the pixels
    profile: bytes | None = field(default=None, repr=False)  # ICC, of the samples of a file
    profiled: bool = False  # the source carried an ICC profile: tag the result as sRGB
    metadata: Metadata = Metadata()  # of a file
    info: Mapping[str, Any] = field(default_factory=dict)  # of a PIL image
    resolution: Resolution | None = None  # pixels per mm, across and down; None: unknown
    source: tuple[str, int, int] | None = None  # a file's absolute path, device and inode
    extension: str = ""  # of the file's format, such as ".jpg"
    page: int = 0  # of the file
    pages: int = 1  # that can be read and colored
    frames: int = 1  # in an animation or a collection of images; only the first is read
    layout: Layout | None = None  # of a TIFF page
    bits: int = 0  # of an AVIF file: 10 or 12, if it is that deep
    volume: int = 0  # of a TIFF file: bytes of all its pages in color, not compressed
    turn: Callable[[int], Photo] | None = field(default=None, repr=False)  # reads another page
    stored: Callable[[], BinaryIO] | None = field(default=None, repr=False)  # opens the file again
    lossless: bool = False  # it was stored without loss, in a format that mostly is not
    comments: tuple[bytes, ...] = ()  # of JPEG
    turned: int = 1  # the orientation that has been applied
    extra: tuple[int, ...] = ()  # kinds of the channels of a TIFF page that are not colors, if some
    # of them are not alpha either
    beyond: Callable[[str], Any] | None = field(default=None, repr=False)  # the libvips image of
    # these channels, as they are stored; takes the access
    tags: Tree = field(default_factory=dict, repr=False)  # of TIFF, that stay as they are
    notes: tuple[str, ...] = ()  # for the user: what the reader could not take
    quality: int | None = None  # that a JPEG file was probably written with, 1..100
