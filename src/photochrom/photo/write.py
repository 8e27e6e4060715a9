"""Photo files written: complete or absent, never half-written, and no original replaced."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.errors import ConfigError, PhotoError
from photochrom.files import draft_name, publish, to_disk
from photochrom.photo.carried import dressed_jpeg, exif_kept, exif_of, xmp_packet
from photochrom.photo.formats import heic, table
from photochrom.photo.formats.avif import AVIF
from photochrom.photo.formats.format import Saver
from photochrom.photo.formats.heic import HEIC
from photochrom.photo.formats.png import PNG, add_texts, without_size
from photochrom.photo.formats.table import EXTENSIONS, SAVERS
from photochrom.photo.formats.tiff import TIFF
from photochrom.photo.formats.tiff_write import Joiner, finish, is_large
from photochrom.photo.metadata.exif import exif_block
from photochrom.photo.photo import Photo, check_colors
from photochrom.photo.profiles import srgb_profile
from photochrom.photo.samples import requantize, with_alpha
from photochrom.photo.source import file_name
from photochrom.photo.strips import StripSource
from photochrom.photo.vips import interruptibly, reason, to_vips

__all__ = ["check_pages", "check_quality", "has_quality", "saver_for", "write_pages", "write_photo"]

Strips = Iterator[tuple[NDArray[Any], NDArray[Any] | None]]


def check_quality(quality: int | None) -> None:
    """Raise ConfigError for a quality that is none."""
    if quality is not None and not 1 <= quality <= 100:
        raise ConfigError(f"quality {quality}: must be from 1 to 100")


def has_quality(path: str | os.PathLike[str]) -> bool:
    """Whether the format of a file, by its name, is one that a quality can be chosen for."""
    saver = SAVERS.get(os.path.splitext(file_name(path))[1].lower())
    return saver is not None and "Q" in saver.options


def write_photo(
    path: str | os.PathLike[str],
    rgb: NDArray[Any] | Strips,
    photo: Photo,
    *,
    force: bool = False,
    model: str = "",
    quality: int | None = None,
    draft: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Write colored pixels to a file that is complete or absent, never half-written.

    The extension decides the format. PNG keeps 8 and 16 bits, TIFF also float; JPEG, WebP and AVIF
    hold 8 bits, rounded to nearest, and PNG holds float as 16 bits. An AVIF source of 10 or 12 bits
    stays so in AVIF. Alpha is kept, except in JPEG,
    which has none: there the colors below transparent parts become visible. JPEG is written with
    the quality of a JPEG source, but at least 75, and with 95 for other sources; with full chroma
    resolution.

    From a source file the EXIF block (upright, without the gray thumbnail; else as it was, see
    `exif`), XMP, IPTC and resolution are taken over where the format has a place for them; `losses`
    tells what is not. What IPTC records say goes into the XMP of formats other than JPEG and TIFF.
    The XMP says, in the terms of the IPTC, that the colors are synthetic; a packet of the source
    that is damaged is replaced. An sRGB profile is embedded if the source had a profile.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in .jpg, .jpeg, .png, .tif, .tiff, .webp or .avif.
    rgb : ndarray (H, W, 3), dtype of ``photo.samples`` or ``photo.pixels``, or iterator of strips
        sRGB-encoded; floats in 0..1. Strips are pairs, colors (n, W, 3) and alpha (n, W) or None,
        from top to bottom: the whole is never in memory then, but for WebP and AVIF.
    photo : Photo
        The photo that ``rgb`` was made from.
    force : bool
        Replace an existing file; never the one that ``photo`` was read from.
    model : str
        The name of the model, for the XMP.
    quality : int, 1..100
        Of JPEG, WebP and AVIF; PNG and TIFF have no loss.
    draft : str
        The name that the file has until it is complete; in the same folder, and free. By default a
        random one, .photochrom-....
    ready : callable
        Called with the name of the draft when that is complete, while it is brought to the disk.
        If it raises, the draft is removed and nothing else has happened; if not, and the draft is
        on the disk, this takes its place.

    Raises
    ------
    PhotoError
        The extension is unknown, the file exists, it is the photo's own source, or it cannot be
        written. Nothing is left behind then, and an existing file is as it was.
    """
    check_quality(quality)
    if isinstance(rgb, np.ndarray):
        check_colors(rgb, photo)
    saver = saver_for(path, photo)
    if saver is TIFF and photo.stored is not None:  # there are more pages to it
        pages = [(rgb, photo)]
        write_pages(path, pages, force=force, model=model, draft=draft, ready=ready)
        return
    _write(
        file_name(path),
        photo,
        force,
        draft,
        ready,
        lambda temporary: _save(temporary, rgb, photo, saver, model, quality),
    )


def check_pages(photo: Photo, path: str | os.PathLike[str]) -> None:
    """Raise PhotoError if a photo has more pages than a file of this name can hold."""
    if photo.pages > 1 and saver_for(path, photo) is not TIFF:
        raise PhotoError(
            f"{file_name(path)}: {photo.name} has {photo.pages} pages, which only TIFF can hold; "
            "let the name end in .tif, or that of the source if the result takes it from there"
        )


def write_pages(
    path: str | os.PathLike[str],
    pages: Iterable[tuple[NDArray[Any] | Strips, Photo]],
    *,
    force: bool = False,
    model: str = "",
    draft: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Write several pages to one TIFF file, each of its own size, depth and layout.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in .tif or .tiff.
    pages : (rgb, photo), as `write_photo` takes them
        Each is written before the next is asked for.
    force, model, draft, ready : see `write_photo`, also for the errors
    """
    name = file_name(path)
    rest = iter(pages)
    rgb, photo = next(rest)
    saver = saver_for(path, photo)
    if saver is not TIFF:
        raise PhotoError(f"{name}: only TIFF holds several pages; let its name end in .tif")

    def save(temporary: str) -> None:
        part = os.path.splitext(temporary)[0] + ".page"
        # All offsets of a file are of one width, and the other pages are not at hand yet. A
        # compressed page may be as large as a plain one.
        big = photo.volume > 3 << 30 or is_large(photo, photo.samples, 3 + photo.content.has_alpha)
        with open(temporary, "x+b") as file:
            joiner = Joiner(file, big)
            for colors, one in itertools.chain([(rgb, photo)], rest):
                try:
                    _save(part, colors, one, saver, model, None, big)
                    with open(part, "rb") as page:
                        joiner.add(page, 0 if one.layout is None else one.layout.subfile)
                finally:
                    with contextlib.suppress(OSError):
                        os.unlink(part)
                _add_masks(joiner, one)

    _write(name, photo, force, draft, ready, save)


def _add_masks(joiner: Joiner, photo: Photo) -> None:
    """Masks that follow a page say nothing of color, and stay as they were."""
    if photo.stored is None or photo.layout is None:
        return
    with photo.stored() as source:
        for place in photo.layout.masks:
            if not joiner.add_stored(source, place):
                raise PhotoError(
                    f"{photo.name}: its transparency mask is damaged; restore it from a copy, or "
                    "remove that page"
                )


def saver_for(path: str | os.PathLike[str], photo: Photo) -> Saver:
    name = file_name(path)
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in SAVERS:
        raise PhotoError(
            f"{name}: the extension {suffix or '(none)'} is not known; use one of "
            + " ".join(EXTENSIONS)
        )
    saver = SAVERS[suffix]
    if saver is HEIC:
        heic.need_heif(name)
    if max(photo.width, photo.height) > saver.max_side:
        raise PhotoError(
            f"{name}: {photo.width} x {photo.height} pixels are more than the {saver.max_side} a "
            "side that this format can hold; write .png or .tif"
        )
    return saver


def _write(
    name: str,
    photo: Photo,
    force: bool,
    draft: str | None,
    ready: Callable[[str], None] | None,
    save: Callable[[str], None],
) -> None:
    """Have a file saved under a draft's name, and give it its own."""
    suffix = os.path.splitext(name)[1].lower()
    _check_target(name, photo, force)
    folder = os.path.dirname(name)
    # Same folder, so that the last step is a rename; same extension, for tools that watch folders.
    temporary = draft or draft_name(folder, suffix)
    try:
        save(temporary)
        with to_disk(temporary):
            if ready is not None:
                ready(temporary)
        publish(temporary, name, force)
    except FileExistsError:
        raise PhotoError(_exists(name)) from None
    except FileNotFoundError:
        raise PhotoError(f"{name}: its folder does not exist; create it first") from None
    except OSError as error:
        raise PhotoError(
            f"{name}: cannot be written: {error.strerror}",
            "choose a folder that you may write to and that has space left",
            retry=True,
        ) from error
    except (OverflowError, struct.error) as error:  # an offset that is too wide
        raise PhotoError(
            f"{name}: cannot be written: it grows over the 4 GB that such a file can hold; "
            "color its pages as files of their own"
        ) from error
    except pyvips.Error as error:
        raise PhotoError(
            f"{name}: cannot be written: {reason(error)}",
            "check the space left, or use .png",
            retry=True,
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _exists(name: str) -> str:
    return f"{name}: exists; use --force (force=True) to replace it"


def _check_target(name: str, photo: Photo, force: bool) -> None:
    if not os.path.lexists(name):
        return
    if os.path.isdir(name):
        raise PhotoError(f"{name}: is a folder; give the name of a file")
    if _is_source(name, photo):
        raise PhotoError(
            f"{name}: is the photo itself, and an original is never overwritten; "
            "choose another name or folder"
        )
    if not force:
        raise PhotoError(_exists(name))


def _is_source(name: str, photo: Photo) -> bool:
    """Whether a path leads to the photo's own file, by whatever name or link."""
    if photo.source is None:
        return False
    path, device, inode = photo.source
    try:
        status = os.stat(name)
    except OSError:  # a link to nowhere
        return False
    if (status.st_dev, status.st_ino) == (device, inode):
        return True
    # An editor may have saved the original anew since it was read: same path, another inode.
    try:
        return os.path.samefile(name, path)
    except OSError:
        return False


def _save(
    temporary: str,
    rgb: NDArray[Any] | Strips,
    photo: Photo,
    saver: Saver,
    model: str,
    quality: int | None,
    big: bool = False,
) -> None:
    dtype = photo.samples
    if dtype not in saver.dtypes and not (saver is AVIF and photo.bits):
        dtype = np.dtype(saver.dtypes[-1])
    has_alpha = photo.content.has_alpha and saver.alpha
    if saver is HEIC:
        _save_heic(temporary, rgb, photo, model, quality, dtype)
        return
    if not isinstance(rgb, np.ndarray):
        flow = (_sample_rows(*strip, dtype, has_alpha) for strip in rgb)
        shape = (photo.height, photo.width, 3 + has_alpha)
        with StripSource(flow, shape, dtype) as source:
            image, options = dressed_jpeg(source.image(), photo, saver, model, quality)
            if big:
                options["bigtiff"] = True
            source.run(
                lambda: _put(temporary, image, saver, options, photo),
                lambda: image.set_kill(True),
            )
        return
    image = to_vips(requantize(rgb, dtype))
    if has_alpha and photo.alpha is not None:
        image = image.bandjoin(to_vips(requantize(photo.alpha, dtype)[..., np.newaxis]))
    image, options = dressed_jpeg(image, photo, saver, model, quality)
    if big:
        options["bigtiff"] = True
    interruptibly(
        lambda: _put(temporary, image, saver, options, photo), lambda: image.set_kill(True)
    )


def _save_heic(
    temporary: str,
    rgb: NDArray[Any] | Strips,
    photo: Photo,
    model: str,
    quality: int | None,
    dtype: np.dtype[Any],
) -> None:
    if isinstance(rgb, np.ndarray):
        samples = _sample_rows(rgb, photo.alpha, dtype, photo.content.has_alpha)
    else:
        rows = [_sample_rows(*strip, dtype, photo.content.has_alpha) for strip in rgb]
        samples = np.concatenate(rows)
    block = exif_of(photo) or b""
    with open(temporary, "xb") as file:
        heic.encode_heif(
            file,
            samples,
            photo.name,
            quality=heic.QUALITY if quality is None else quality,
            exif=exif_kept(photo, HEIC)
            or exif_block(io.BytesIO(block.removeprefix(b"Exif\0\0")), resolution=photo.resolution),
            xmp=xmp_packet(photo, HEIC, model)[0],
            profile=srgb_profile() if photo.profiled else None,
        )


def _sample_rows(
    rgb: NDArray[Any], alpha: NDArray[Any] | None, dtype: np.dtype[Any], has_alpha: bool
) -> NDArray[Any]:
    opacity = requantize(alpha, dtype) if has_alpha and alpha is not None else None
    return with_alpha(requantize(rgb, dtype), opacity)


def _put(
    temporary: str, image: Any, saver: Saver, options: Mapping[str, Any], photo: Photo
) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        target = pyvips.Target.new_to_descriptor(descriptor)
        getattr(image, saver.operation)(target, **options)
        block = exif_of(photo)
        copies = photo.layout.copies if photo.layout is not None else 0
        if saver is TIFF and (block or photo.resolution is None or copies):
            with os.fdopen(os.dup(descriptor), "r+b") as file:
                sized = photo.resolution is not None
                finish(file, block, photo.width, photo.height, sized=sized, copies=copies)
        if (block := exif_kept(photo, saver)) is not None:
            with os.fdopen(os.dup(descriptor), "r+b") as file:
                table.place(file, block)
        if saver is PNG:
            with os.fdopen(os.dup(descriptor), "r+b") as file:
                if photo.resolution is None:
                    without_size(file)
                if texts := photo.metadata.get("png-texts"):
                    add_texts(file, texts)
    finally:
        os.close(descriptor)
