"""Photo files read: the format found, the header checked, the pixels upright and in sRGB."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.facts import Facts
from photochrom.photo.file_pixels import FilePixels
from photochrom.photo.formats.format import Format, Page, Request
from photochrom.photo.formats.raw import preview_in
from photochrom.photo.formats.table import find_format
from photochrom.photo.limits import LIMITS, ReadLimits
from photochrom.photo.metadata.exif import LEAST_EXIF, MOST_EXIF
from photochrom.photo.metadata.turn import SIDEWAYS
from photochrom.photo.photo import Held, Photo, Pixels
from photochrom.photo.profiles import srgb_dtype, to_srgb
from photochrom.photo.samples import (
    CHANNELS_OF,
    GRAY_SPACES,
    check_unit_range,
    color_space,
    split_alpha,
    turned,
)
from photochrom.photo.source import (
    BytesOrigin,
    FileOrigin,
    TemporaryCopy,
    file_name,
    file_state,
    named_in_words,
    no_room,
    temporary_file,
)
from photochrom.photo.vips import (
    DTYPES,
    complaints,
    forget,
    to_numpy,
    upright,
    watched,
)

__all__ = ["decode_photo", "photo_format", "photo_size", "read_photo", "read_pipe"]

_HEAD = 64  # bytes by which a format is found
_DAMAGED = "is damaged ({}); parts of it may be gray or misplaced"


def read_photo(path: str | os.PathLike[str], page: int = 0, limits: ReadLimits = LIMITS) -> Photo:
    """Read a JPEG, PNG, TIFF, WebP, AVIF, HEIC, JPEG XL or JPEG 2000 file.

    8-bit, 16-bit and float files keep their depth (9 to 15 bits are scaled to 16); 1-bit and
    palette images are expanded to 8 bits, and CMYK and L*a*b* are converted to sRGB. Float samples,
    which only TIFF has, must be sRGB-encoded and in 0..1. The orientation in the file is applied.
    Of an animation, the first frame is read, and of camera raw the preview that is in it.

    Parameters
    ----------
    path : str or os.PathLike
        The content decides the format, not the extension.
    page : int
        Of a TIFF file, from 0; the smaller copies in a pyramid do not count. The number of pages is
        ``pages`` of the result.
    limits : ReadLimits
        How large the photo may be, and how much of it may be in memory.

    Returns
    -------
    Photo
        ``pixels`` are uint8, uint16 or float32; sRGB-encoded.

    Raises
    ------
    PhotoError
        The file is missing, empty, truncated, damaged, over the limits, or not of a supported kind.
    """
    name = file_name(path)
    return named_in_words(name, lambda: _read_file(name, page, limits))


def read_pipe(pipe: BinaryIO, name: str = "stdin", limits: ReadLimits = LIMITS) -> Photo:
    """Read a photo, as with :func:`read_photo`, from a pipe, which cannot seek.

    Parameters
    ----------
    pipe : binary file object with a descriptor
        Read to its end, unless it does not begin like a photo.
    name : str
        For messages.
    limits : ReadLimits
        As for a file.

    Returns
    -------
    Photo

    Raises
    ------
    PhotoError
        As for a file.
    """
    return named_in_words(name, lambda: _read_copy(pipe, name, limits))


def decode_photo(data: bytes, name: str = "photo", limits: ReadLimits = LIMITS) -> Photo:
    """Decode the bytes of a photo file; see :func:`read_photo`.

    Parameters
    ----------
    data : bytes
    name : str
        For messages.
    limits : ReadLimits
        As for a file.

    Raises
    ------
    PhotoError
        As for a file.
    """
    if not data:
        raise PhotoError("is empty", "restore it from a copy", name=name)
    form = find_format(data[:_HEAD], name)
    request = Request(BytesOrigin(data), name, limits=limits)
    return named_in_words(name, lambda: _decode(form, request))


def photo_format(head: bytes, name: str = "photo") -> str:
    """The format of a file by its first 64 bytes, as an extension such as ".jpg".

    Raises
    ------
    PhotoError
        It is not a format that can be read here.
    """
    return find_format(head[:_HEAD], name).suffixes[0]


def photo_size(data: bytes, name: str = "photo") -> tuple[int, int]:
    """(height, width) in the header of a photo file; no pixel is decoded.

    Raises
    ------
    PhotoError
        It is not a photo, or its header is damaged.
    """
    form = find_format(data[:_HEAD], name)

    def size() -> tuple[int, int]:
        origin = BytesOrigin(data)
        if form.wraps(Request(origin, name)):
            preview = preview_in(origin, name)
            return preview.height, preview.width
        return form.size(data, name)

    return named_in_words(name, size)


# --- where the bytes are --------------------------------------------------------------------------


def _read_file(name: str, page: int, limits: ReadLimits) -> Photo:
    # Non-blocking, so that a named pipe is refused below, and not waited for.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(name, flags)
    try:
        path = os.path.abspath(name)
        status, form = _examined(descriptor, name)
        origin = FileOrigin(path, name, file_state(status))
        place = path, status.st_dev, status.st_ino
        return _decode(form, Request(origin, name, place, page, limits))
    finally:
        os.close(descriptor)


def _read_copy(pipe: BinaryIO, name: str, limits: ReadLimits) -> Photo:
    head = pipe.read(1 << 16)
    if head:
        find_format(head[:_HEAD], name)  # before an endless pipe fills the disk
    with temporary_file(name) as copy:
        part = head
        while part:
            try:
                while part:
                    part = part[copy.write(part) :]
            except OSError as error:
                raise no_room(name, error.strerror, tempfile.gettempdir()) from None
            part = pipe.read(1 << 20)
        os.lseek(copy.fileno(), 0, os.SEEK_SET)
        owner = TemporaryCopy(os.dup(copy.fileno()))
    status, form = _examined(owner.descriptor, name)
    origin = FileOrigin("", name, file_state(status), owner)
    status = os.fstat(pipe.fileno())
    # "< photo.jpg" is the file itself, which is never overwritten.
    is_file = stat.S_ISREG(status.st_mode)
    place = ("", status.st_dev, status.st_ino) if is_file else None
    return _decode(form, Request(origin, name, place, limits=limits))


def _examined(descriptor: int, name: str) -> tuple[os.stat_result, Format]:
    """The state of an open file, and its format."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("not a file", "give the path of a photo", name=name)
    if status.st_size == 0:
        raise PhotoError("the file is empty", "restore it from a copy", name=name)
    return status, find_format(os.read(descriptor, _HEAD), name)


# --- from the bytes to a photo --------------------------------------------------------------------


def _decode(form: Format, request: Request) -> Photo:
    if form.wraps(request):
        return _preview(request)
    if not form.loader:
        decoded = form.decode(request)
        samples, orientation = turned(decoded.samples, decoded.orientation), decoded.orientation
        pixels = _converted(samples, request.name, color_space(samples), decoded.profile)
        facts = replace(_writable(decoded.facts), source=request.place, turned=orientation)
        return Photo(Held(*pixels), facts)
    forget()
    page = form.open(request)
    _check_header(form, page, request.limits)
    page = _checked_space(form.settled(page))
    facts = _writable(form.facts(page))
    orientation = form.orientation(page, facts)
    if facts.metadata.exif is None:
        facts = replace(facts, metadata=replace(facts.metadata, exif=request.exif))
        orientation = request.orientation or orientation
    facts = replace(facts, turned=orientation)
    if orientation in SIDEWAYS and facts.resolution is not None:
        facts = replace(facts, resolution=facts.resolution[::-1])
    if facts.pages > 1:
        again = replace(request, known=page.known)
        facts = replace(facts, turn=lambda number: _turned(form, replace(again, page=number)))
    told: list[str] = []
    content = _content(page, facts, orientation, request.limits, told)
    if told:
        facts = replace(facts, notes=(*facts.notes, _DAMAGED.format(told[0].rstrip("."))))
    return Photo(content, replace(facts, source=request.place))


def _preview(request: Request) -> Photo:
    """The photo in a camera raw file."""
    request.check_page(1)
    found = preview_in(request.origin, request.name)
    inside = BytesOrigin(found.data)
    form = find_format(found.data[:_HEAD], request.name)
    within = replace(request, origin=inside, exif=found.exif, orientation=found.orientation)
    photo = _decode(form, within)
    return replace(photo, facts=replace(photo.facts, notes=(found.note, *photo.facts.notes)))


def _writable(facts: Facts) -> Facts:
    """Facts without an EXIF block of a size for which no result could be written."""
    block = facts.metadata.exif
    if block is None or LEAST_EXIF <= len(block) <= MOST_EXIF:
        return facts
    why = "damaged" if len(block) < LEAST_EXIF else f"too large ({len(block) >> 20} MB)"
    metadata = replace(facts.metadata, exif=None)
    return replace(
        facts, metadata=metadata, notes=(*facts.notes, f"its EXIF is {why} and was dropped")
    )


def _turned(form: Format, request: Request) -> Photo:
    return named_in_words(request.name, lambda: _decode(form, request))


def _check_header(form: Format, page: Page, limits: ReadLimits) -> None:
    """Refuse what is too large, or cannot be colored, before a pixel is decoded."""
    name, image = page.facts.name, page.image
    limits.check_size(name, image.width, image.height)
    if image.format not in DTYPES:
        raise PhotoError(
            f"samples of type {image.format} are not supported",
            "convert it to 8 or 16 bits per channel",
            name=name,
        )
    kind, size = form.held_whole(page)
    limits.check_whole(name, kind, image.width * image.height * size)


def _checked_space(page: Page) -> Page:
    """A page whose color space is known and supported."""
    if page.space:
        return page
    image = page.image
    cmyk = image.interpretation == "cmyk"
    if image.interpretation in ("lab", "labq", "labs", "xyz") or image.bands > 4 + cmyk:
        raise PhotoError(
            f"{image.bands} channels of {image.interpretation} are not supported",
            "convert it to gray or RGB",
            name=page.facts.name,
        )
    return replace(page, space="CMYK" if cmyk else "GRAY" if image.bands <= 2 else "RGB ")


def _content(
    page: Page,
    facts: Facts,
    orientation: int,
    limits: ReadLimits,
    told: list[str],
) -> Pixels:
    """The pixels of a page: decoded now, or left in the file if there are many.

    `told` receives what the decoder complains about.
    """
    image, load, space = page.image, page.load, page.space
    profile = facts.profile
    convert = partial(_converted, name=facts.name, space=space, profile=profile, bits=facts.bits)
    tiled = "tile-width" in page.fields and not page.bare
    if image.width * image.height <= limits.stream_pixels:

        def decoded(first: bool) -> NDArray[Any]:
            one = image if first and not page.bare else load()
            samples = to_numpy(one if orientation == 1 else upright(one.copy_memory(), orientation))
            told[:] = complaints()
            return samples

        return Held(*convert(watched(decoded, tiled)))
    sides = image.height, image.width
    height, width = sides[::-1] if orientation in SIDEWAYS else sides
    depth = np.dtype(DTYPES[image.format])
    return FilePixels(
        origin=page.origin,
        # Turning needs the pixels in another order than decoding gives them. libvips then puts them
        # into a temporary file, or into memory if they are less than 100 MB.
        load=load if orientation == 1 else lambda: upright(load(access="random"), orientation),
        convert=convert,
        name=facts.name,
        shape=(height, width, 1 if space in GRAY_SPACES else 3),
        depth=depth,
        dtype=srgb_dtype(depth, space, profile),
        has_alpha=image.bands > CHANNELS_OF[space],
        tiled=tiled,
        limits=limits,
    )


def _converted(
    samples: NDArray[Any], name: str, space: str, profile: bytes | None, bits: int = 0
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Color (n, W, 1 or 3) in sRGB and alpha (n, W) of decoded samples."""
    if samples.dtype == np.float32:
        check_unit_range(samples, name)
    elif bits:
        # libvips shifts 10 or 12 bits up and leaves the low ones empty: white would not be white.
        samples = samples | samples >> bits
    color, alpha = split_alpha(samples, space)
    return to_srgb(color, space, profile), alpha
