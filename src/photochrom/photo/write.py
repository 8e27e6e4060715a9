"""Photo files written: complete or absent, never half-written, and no original replaced."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.files import whole
from photochrom.photo.carried import Carried, carried_by
from photochrom.photo.formats.format import Format
from photochrom.photo.formats.table import ALL, EXTENSIONS, format_of
from photochrom.photo.formats.tiff_write import Joiner, is_large
from photochrom.photo.output import Output, check_quality
from photochrom.photo.photo import Photo, check_colors
from photochrom.photo.samples import requantize, with_alpha
from photochrom.photo.source import file_name
from photochrom.photo.strips import StripSource
from photochrom.photo.vips import interruptibly, reason, to_vips, upright

__all__ = [
    "Colors",
    "Output",
    "check_pages",
    "check_quality",
    "format_for",
    "has_quality",
    "without_quality",
    "write_pages",
    "write_photo",
]

_ROOM = 1 << 20  # bytes that a disk must still have, if it is not full

Strips = Iterator[tuple[NDArray[Any], NDArray[Any] | None]]
Colors = NDArray[Any] | Strips
"""All of a photo in color, (H, W, 3), or its strips from top to bottom: colors (n, W, 3), and alpha
(n, W) or None."""


def has_quality(path: str | os.PathLike[str]) -> bool:
    """Whether the user can choose a quality for a file, by its name."""
    form = format_of(file_name(path))
    return form is not None and "Q" in form.options


def without_quality() -> str:
    """The names of the formats that have no quality, because they are lossless, as a list."""
    *names, last = (form.name for form in ALL if "Q" not in form.options)
    return f"{', '.join(names)} and {last}"


def write_photo(
    path: str | os.PathLike[str], rgb: Colors, photo: Photo, output: Output | None = None
) -> None:
    """Write colored pixels to a file that is complete or absent, never half-written.

    The extension decides the format. PNG keeps 8 and 16 bits, and TIFF also floats, which PNG
    stores as 16 bits. HEIC stores 16 bits and floats as 10 bits. JPEG, WebP and AVIF hold 8 bits,
    rounded to nearest, except that an AVIF source of 10 or 12 bits stays as deep in AVIF. Alpha is
    kept, except in JPEG, which has none: there, the colors below transparent parts become visible.
    A WebP or AVIF source without loss stays so in its format, unless a quality is asked for.
    JPEG is written with full chroma resolution, with the quality of a JPEG source but at least 75,
    and with 95 for other sources.

    EXIF (upright, without the gray thumbnail), XMP, IPTC and resolution of a source file are
    carried over if the format can hold them; `losses` lists the rest. Formats other than JPEG and
    TIFF hold IPTC records as XMP. The XMP states, in the terms of the IPTC, that the colors are
    synthetic; it replaces a damaged packet of the source. An sRGB profile is embedded if the source
    had a profile.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in .jpg, .png, .tif, .webp, .avif, .heic, .jxl, .jp2 or another name of these formats.
    rgb : ndarray (H, W, 3), dtype of ``photo.samples`` or ``photo.pixels``, or iterator of strips
        sRGB-encoded; floats in 0..1. With strips, see `Colors`, the whole photo is never in memory,
        except for WebP, AVIF and HEIC.
    photo : Photo
        The photo from which ``rgb`` was made.
    output : Output
        Quality, whether to replace a file, and more.

    Raises
    ------
    PhotoError
        The extension is unknown, the file exists, it is the photo's own source, or it cannot be
        written. Then nothing is left behind, and an existing file is as before.
    """
    output = output or Output()
    if isinstance(rgb, np.ndarray):
        check_colors(rgb, photo)
    form = format_for(path, photo)
    if form.holds.pages and photo.facts.stored is not None:  # there are more pages to it
        write_pages(path, [(rgb, photo)], output)
        return
    carried = carried_by(form, photo, output)
    _write(file_name(path), photo, output, lambda draft: _save(draft, rgb, photo, form, carried))


def write_pages(
    path: str | os.PathLike[str],
    pages: Iterable[tuple[Colors, Photo]],
    output: Output | None = None,
) -> None:
    """Write several pages to one TIFF file, each with its own size, depth and layout.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in .tif or .tiff.
    pages : (rgb, photo), as for `write_photo`
        Each is written before the next is asked for.
    output : see `write_photo`, also for the errors; the quality has no effect
    """
    output = output or Output()
    name = file_name(path)
    rest = iter(pages)
    rgb, photo = next(rest)
    form = format_for(path, photo)
    if not form.holds.pages:
        raise PhotoError(
            "only TIFF can hold several pages", "use a name that ends in .tif", name=name
        )

    def save(draft: str) -> None:
        part = os.path.splitext(draft)[0] + ".page"
        # All offsets of a file have the same width, and the other pages are not known yet. A
        # compressed page may be as large as a plain one.
        size = photo.height * photo.width * (3 + photo.content.has_alpha) * photo.samples.itemsize
        limit = output.bigtiff
        big = photo.facts.volume > limit or is_large(size, photo.layout, limit)
        with open(draft, "x+b") as file:
            joiner = Joiner(file, big)
            for colors, one in itertools.chain([(rgb, photo)], rest):
                try:
                    _save(part, colors, one, form, carried_by(form, one, output, big))
                    with open(part, "rb") as page:
                        joiner.add(page, 0 if one.layout is None else one.layout.subfile)
                finally:
                    with contextlib.suppress(OSError):
                        os.unlink(part)
                _add_masks(joiner, one)

    _write(name, photo, output, save)


def _add_masks(joiner: Joiner, photo: Photo) -> None:
    """Add the masks that follow a page: they have no color, and stay as they are."""
    if photo.facts.stored is None or photo.layout is None:
        return
    with photo.facts.stored() as source:
        for place in photo.layout.masks:
            if not joiner.add_stored(source, place):
                raise PhotoError(
                    "its transparency mask is damaged",
                    "restore the file from a copy, or remove that page",
                    name=photo.name,
                )


def check_pages(photo: Photo, path: str | os.PathLike[str]) -> None:
    """Raise PhotoError if a photo has more pages than a file of this name can hold."""
    if photo.pages > 1 and not format_for(path, photo).holds.pages:
        raise PhotoError(
            f"{photo.name} has {photo.pages} pages, which only TIFF can hold",
            "use a name that ends in .tif, for the result or, if it takes its name from the photo, "
            "for the photo",
            name=file_name(path),
        )


def format_for(path: str | os.PathLike[str], photo: Photo) -> Format:
    """The format of a result by its name; PhotoError if it cannot hold the photo."""
    name = file_name(path)
    form = format_of(name)
    if form is None:
        suffix = os.path.splitext(name)[1].lower()
        extensions = " ".join(EXTENSIONS)
        raise PhotoError(
            f"unknown extension {suffix or '(none)'}", f"use one of {extensions}", name=name
        )
    form.check(name)
    if max(photo.width, photo.height) > form.holds.side:
        raise PhotoError(
            f"{photo.width} x {photo.height} pixels exceed this format's limit of "
            f"{form.holds.side} per side",
            "use .png or .tif",
            name=name,
        )
    return form


# --- a file appears whole or not at all -----------------------------------------------------------


def _write(name: str, photo: Photo, output: Output, save: Callable[[str], None]) -> None:
    """Save a file under the name of a draft, and then give it its own name."""
    _check_target(name, photo)
    force, draft, ready = output.force, output.draft, output.ready
    try:
        with whole(name, PhotoError, force=force, draft=draft, ready=ready) as draft:
            try:
                save(draft)
            except pyvips.Error:
                _check_room(draft)
                raise
    except (OverflowError, struct.error) as error:  # an offset that is too wide
        why = "it would exceed the 4 GB that such a file can hold"
        raise _not_written(name, why, "color its pages as separate files", False) from error
    except pyvips.Error as error:
        remedy = "check the free space, or use .png"
        raise _not_written(name, reason(error), remedy) from error


def _check_room(draft: str) -> None:
    """Raise the OSError of a full disk, of which libvips often says no more than "write error"."""
    with open(draft, "ab", buffering=0) as file:
        for _ in range(_ROOM >> 16):
            if file.write(bytes(1 << 16)) < 1 << 16:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), draft)


def _not_written(name: str, why: str, remedy: str, retry: bool = True) -> PhotoError:
    error = PhotoError(f"cannot be written: {why}", remedy, retry=retry, name=name)
    error.not_written = why
    return error


def _check_target(name: str, photo: Photo) -> None:
    if os.path.lexists(name) and _is_source(name, photo):
        raise PhotoError(
            "is the photo itself, and originals are never overwritten",
            "choose another name or folder",
            name=name,
        )


def _is_source(name: str, photo: Photo) -> bool:
    """Whether a path leads to the photo's own file, by any name or link."""
    if photo.source is None:
        return False
    path, device, inode = photo.source
    try:
        status = os.stat(name)
    except OSError:  # a link to nowhere
        return False
    if (status.st_dev, status.st_ino) == (device, inode):
        return True
    # An editor may have saved the original since it was read: same path, another inode.
    try:
        return os.path.samefile(name, path)
    except OSError:
        return False


# --- the pixels -----------------------------------------------------------------------------------


def _save(draft: str, rgb: Colors, photo: Photo, form: Format, carried: Carried) -> None:
    dtype = form.stored_as(photo.samples, photo.facts)
    beyond = _beyond(photo, form)
    has_alpha = photo.content.has_alpha and form.holds.alpha and beyond is None
    if not form.saver:
        if isinstance(rgb, np.ndarray):
            samples = _samples(rgb, photo.alpha, dtype, has_alpha)
        else:
            samples = np.concatenate([_samples(*strip, dtype, has_alpha) for strip in rgb])
        with open(draft, "xb") as file:
            form.encode(file, samples, carried)
        return
    if isinstance(rgb, np.ndarray):
        image = to_vips(requantize(rgb, dtype))
        if has_alpha and photo.alpha is not None:
            image = image.bandjoin(to_vips(requantize(photo.alpha, dtype)[..., np.newaxis]))
        image, options = form.dress(_joined(image, beyond), carried)
        interruptibly(
            lambda: _put(draft, image, form, options, carried), lambda: image.set_kill(True)
        )
        return
    flow = (_samples(*strip, dtype, has_alpha) for strip in rgb)
    shape = (photo.height, photo.width, 3 + has_alpha)
    with StripSource(flow, shape, dtype, photo.strip_rows) as source:
        image, options = form.dress(_joined(source.image(), beyond), carried)
        source.run(lambda: _put(draft, image, form, options, carried), lambda: image.set_kill(True))


def _beyond(photo: Photo, form: Format) -> Any:
    """The channels of the source that are not colors, alpha among them; None if they don't matter.

    They are a libvips image that is read while the result is written.
    """
    load, turned = photo.facts.beyond, photo.facts.turned
    if load is None or not form.holds.extra:
        return None
    return load("sequential") if turned == 1 else upright(load("random"), turned)


def _joined(image: Any, beyond: Any) -> Any:
    return image if beyond is None else image.bandjoin(beyond)


def _samples(
    rgb: NDArray[Any], alpha: NDArray[Any] | None, dtype: np.dtype[Any], has_alpha: bool
) -> NDArray[Any]:
    opacity = requantize(alpha, dtype) if has_alpha and alpha is not None else None
    return with_alpha(requantize(rgb, dtype), opacity)


def _put(draft: str, image: Any, form: Format, options: dict[str, Any], carried: Carried) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(draft, flags, 0o666)
    try:
        target = pyvips.Target.new_to_descriptor(descriptor)
        getattr(image, form.saver)(target, **options)
        with os.fdopen(os.dup(descriptor), "r+b") as file:
            form.finish(file, carried)
    finally:
        os.close(descriptor)
