"""What a file format is: how its files are recognized, opened, written and completed.

::

    begins(head)            whether a file is of this format
    open(request)           its page, of which no pixel is decoded yet
      facts(page)           what the file says about it
      settled(page)         the page, ready to be decoded
    dress(image, carried)   the image and the options to save it with
    finish(file, carried)   adds what libvips does not write

Most formats only fill in the table at the top and override a hook or two.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.carried import Carried
from photochrom.photo.facts import Facts, Metadata
from photochrom.photo.limits import LIMITS, ReadLimits
from photochrom.photo.metadata.exif import (
    EXIF_HEAD,
    exif_block,
    exif_orientation,
    exif_resolution,
)
from photochrom.photo.metadata.packets import xmp_orientation
from photochrom.photo.metadata.resolution import UNKNOWN, Resolution, chosen
from photochrom.photo.source import Origin
from photochrom.photo.vips import DTYPES, VIPS_LOG

__all__ = [
    "Decoded",
    "Format",
    "Holds",
    "MOST_MENDED",
    "Page",
    "Request",
    "boxes",
    "brands",
    "replace_bytes",
    "result_exif",
]

MOST_MENDED = 1 << 28  # bytes of a file that is loaded into memory to be mended
_MOST_COPIED = 1 << 20
_ANY = 1 << 62  # no limit


@dataclass(frozen=True)
class Holds:
    """What the files of a format can hold."""

    dtypes: tuple[Any, ...]  # of samples; the last stands in for those that it cannot hold
    side: int  # pixels
    alpha: bool = True
    extra: bool = False  # other channels, such as masks
    pages: bool = False  # several, and transparency masks
    texts: bool = False  # of PNG
    comments: bool = False  # of JPEG
    lossless: bool = False  # it always is
    iptc: int = 0  # bytes of IPTC records
    exif: int = _ANY  # bytes of an EXIF block
    xmp: int = _ANY  # bytes of an XMP packet


@dataclass(frozen=True)
class Request:
    """What to read."""

    origin: Origin
    name: str  # for messages
    place: tuple[str, int, int] | None = None  # see `Facts.source`
    page: int = 0
    limits: ReadLimits = LIMITS
    known: Any = None  # what the format found out about the file earlier: see `Page.known`
    exif: bytes | None = None  # of a file around this one, used if this one has none
    orientation: int = 0  # stated there; 0: none

    def check_page(self, pages: int) -> None:
        """Raise PhotoError if the file does not have the page."""
        if not 0 <= self.page < pages:
            remedy = f"its pages are 0 to {pages - 1}"
            raise PhotoError(f"has no page {self.page}", remedy, name=self.name)


@dataclass(frozen=True)
class Page:
    """A page of a file whose header has been read."""

    origin: Origin
    image: Any  # of libvips
    load: Callable[..., Any]  # a fresh image; takes ``access``
    facts: Facts  # as far as they are known
    known: Any = None  # for a later `Request` of another page
    options: Mapping[str, Any] = field(default_factory=dict)  # of the loader
    header: Any = None  # the image with the metadata, if it is another one
    bare: bool = False  # the image has no pixels yet; `load` decodes all of them
    space: str = ""  # of its colors, by the ICC name; "": as libvips says

    @property
    def said(self) -> Any:
        """The image with the metadata."""
        return self.image if self.header is None else self.header

    @property
    def fields(self) -> frozenset[str]:
        """The names of the metadata that libvips has."""
        return frozenset(self.said.get_fields())

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel, decoded."""
        return int(self.image.bands * np.dtype(DTYPES[self.image.format]).itemsize)

    @property
    def interlaced(self) -> bool:
        """Whether the pixels come in several passes."""
        return bool(self.get("interlaced") or self.get("jpeg-multiscan"))

    def get(self, field: str) -> Any:
        """Metadata of the image; None if there is none."""
        return self.said.get(field) if field in self.fields else None


@dataclass(frozen=True)
class Decoded:
    """A photo that libvips cannot decode, decoded by its format."""

    samples: NDArray[Any]  # (H, W, C)
    profile: bytes | None  # ICC
    facts: Facts
    orientation: int = 1  # how they have to be turned


@dataclass(frozen=True, eq=False)
class Format:
    """A file format."""

    name: str
    suffixes: tuple[str, ...]  # in lower case, with the dot; the first is the usual one
    media_type: str
    loader: str  # operation of libvips; "" if the format has its own decoder and encoder
    saver: str
    holds: Holds
    options: Mapping[str, Any] = field(default_factory=dict)  # of the saver
    extra: bool = False  # needs an extra of the package
    exif_by_libvips: bool = True  # where a block cannot be carried over, libvips writes its own

    # --- reading ---

    def begins(self, head: bytes) -> bool:
        """Whether a file with these first 64 bytes is of this format."""
        raise NotImplementedError

    def check(self, name: str) -> None:
        """Raise PhotoError if a file of this name cannot be handled here."""

    def wraps(self, request: Request) -> bool:
        """Whether it is camera raw, of which the preview is read: see `raw.preview_in`."""
        return False

    def open(self, request: Request) -> Page:
        """The page that is asked for."""
        request.check_page(1)
        return self.opened(request, request.origin, Facts(request.name, "file"))

    def opened(self, request: Request, origin: Origin, facts: Facts, **options: Any) -> Page:
        """A page at an origin, opened with more options of the loader."""
        loader = getattr(pyvips.Image, self.loader)
        options = {"fail_on": "error"} | options

        def load(access: str = "sequential") -> Any:
            with VIPS_LOG:
                return loader(origin.source(), access=access, **options)

        return Page(origin, load(), load, facts, request.known, options)

    def size(self, data: bytes, name: str) -> tuple[int, int]:
        """(height, width) in the header of a file."""
        loader = getattr(pyvips.Image, self.loader)
        source = pyvips.Source.new_from_memory(data)
        with VIPS_LOG:
            image = loader(source, access="sequential", fail_on="error")
        return int(image.height), int(image.width)

    def held_whole(self, page: Page) -> tuple[str, int]:
        """What kind of file this is, and the bytes per pixel that its decoder holds at once."""
        return self.name, 0

    def facts(self, page: Page) -> Facts:
        """What the file says about a page."""
        exif, xmp, iptc = (page.get(f"{kind}-data") for kind in ("exif", "xmp", "iptc"))
        text, unit = page.get("image-description"), page.get("resolution-unit")
        frames = page.get("n-pages") if page.facts.layout is None else None
        return replace(
            page.facts,
            metadata=Metadata(exif, xmp, iptc=iptc, description=text, unit=unit),
            resolution=self.resolution(page, exif),
            extension=self.suffixes[0],
            depth=np.dtype(DTYPES[page.image.format]),
            profile=page.get("icc-profile-data"),
            profiled="icc-profile-data" in page.fields,
            frames=frames or 1,
        )

    def orientation(self, page: Page, facts: Facts) -> int:
        """How the pixels have to be turned: 1..8 as in EXIF, which counts before XMP."""
        metadata = facts.metadata
        stated = page.get("orientation") or exif_orientation(metadata.exif or b"")
        xmp = metadata.xmp_whole or metadata.xmp or b""
        return stated or xmp_orientation(xmp) or 1

    def resolution(self, page: Page, exif: bytes | None) -> Resolution | None:
        """The resolution that the file states."""
        # Not that of libvips, which prefers EXIF, but ignores it in WebP and AVIF.
        with page.origin.open() as file:
            own = self.header_resolution(file)
        return chosen(own, None if exif is None else exif_resolution(exif))

    def header_resolution(self, file: BinaryIO) -> Resolution | None:
        """The resolution in the file's own header."""
        return None

    def settled(self, page: Page) -> Page:
        """A page whose header has been checked, ready to be decoded."""
        return page

    def decode(self, request: Request) -> Decoded:
        """The photo, if the format has its own decoder."""
        raise NotImplementedError

    # --- writing ---

    def stored_as(self, dtype: np.dtype[Any], facts: Facts) -> np.dtype[Any]:
        """The type of the samples in a file."""
        return dtype if dtype in self.holds.dtypes else np.dtype(self.holds.dtypes[-1])

    def dress(self, image: Any, carried: Carried) -> tuple[Any, dict[str, Any]]:
        """The image to save, with its metadata, and the options to save it with."""
        options = dict(self.options)
        if carried.quality is not None and "Q" in options:
            options["Q"] = carried.quality
        if carried.facts.profiled:
            options["profile"] = "srgb"
        return _with_metadata(image, carried), options

    def stays_lossless(self, facts: Facts) -> bool:
        """Whether a result of this format is stored without loss, as its source was."""
        return facts.lossless and facts.extension == self.suffixes[0]

    def finish(self, file: BinaryIO, carried: Carried) -> None:
        """Complete a file that libvips has written, open for reading and writing."""
        if carried.exif is not None:
            self.put_exif(file, carried.exif)

    def put_exif(self, file: BinaryIO, block: bytes) -> None:
        """Put an EXIF block in the place of the one that libvips has written."""
        raise NotImplementedError

    def encode(self, file: BinaryIO, samples: NDArray[Any], carried: Carried) -> None:
        """Write samples (H, W, 3 or 4), if the format has its own encoder."""
        raise NotImplementedError


def _with_metadata(image: Any, carried: Carried) -> Any:
    blob, text = pyvips.GValue.blob_type, pyvips.GValue.refstr_type
    facts, metadata = carried.facts, carried.facts.metadata
    deep = image.format == "ushort"
    image = image.copy()  # operations may share their result; only a copy's metadata may change
    if metadata.exif is not None:
        image.set_type(blob, "exif-data", metadata.exif)
        # libvips has now unpacked the block. Its thumbnail shows the photo still gray.
        for key in image.get_fields():
            if key == "jpeg-thumbnail-data" or key.startswith("exif-ifd1-"):
                image.remove(key)
    # After that, because libvips has also taken the resolution from EXIF, which may not be upright.
    across, down = facts.resolution or (UNKNOWN, UNKNOWN)
    image = image.copy(interpretation="rgb16" if deep else "srgb", xres=across, yres=down)
    image.set_progress(True)  # otherwise, stopping it would not stop what is made of it
    image.set_type(text, "exif-ifd2-ColorSpace", "1")  # sRGB; libvips would write uncalibrated
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)
    for key, value in (
        ("image-description", metadata.description),
        ("resolution-unit", metadata.unit),
    ):
        if value is not None:
            image.set_type(text, key, value)
    image.set_type(blob, "xmp-data", carried.xmp)
    return image


def replace_bytes(
    file: BinaryIO, start: int, end: int, data: bytes, piece: int = _MOST_COPIED
) -> None:
    """Replace some bytes of a file, and move what follows by pieces of up to so many bytes."""
    size = file.seek(0, 2)
    by = len(data) - (end - start)
    starts = range(end, size, piece)
    for at in reversed(starts) if by > 0 else starts if by else ():
        file.seek(at)
        part = file.read(min(piece, size - at))
        file.seek(at + by)
        file.write(part)
    file.seek(start)
    file.write(data)
    file.truncate(size + by)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box, of a file of the ISO base media kind or a part of one.

    The content of the last one may be cut off. Source: ISO/IEC 14496-12, 4.2.
    """
    at = 0
    while at + 8 <= len(data):
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        size = size or len(data) - at
        if size < head:
            return
        yield kind, data[at + head : at + size]
        at += size


def result_exif(carried: Carried) -> bytes | None:
    """The EXIF of a result whose encoder takes a whole block."""
    source = io.BytesIO((carried.facts.metadata.exif or b"").removeprefix(EXIF_HEAD))
    return carried.exif or exif_block(source, resolution=carried.facts.resolution)


def brands(head: bytes) -> frozenset[bytes]:
    """The brands of an ISOBMFF file, such as AVIF or HEIC, from its first bytes.

    Source: ISO/IEC 14496-12, 4.3.
    """
    if head[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return frozenset([head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))])
