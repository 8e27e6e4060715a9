"""Photo files written: complete or absent, never half-written, and no original replaced."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import platform
import re
import secrets
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom import exif, heif
from photochrom.errors import ConfigError, PhotoError
from photochrom.metadata import (
    JPEG_XMP_LIMIT,
    photoshop_block,
    read_iptc,
    result_packet,
    say_synthetic,
)
from photochrom.photo import Photo, check_colors
from photochrom.png import add_texts
from photochrom.profiles import srgb_profile
from photochrom.reading import file_name, reason
from photochrom.resolution import UNKNOWN
from photochrom.samples import DTYPES, requantize, to_vips, with_alpha
from photochrom.strips import StripSource
from photochrom.tiff import Joiner, Layout, exif_block, exif_tags, finish

__all__ = [
    "EXTENSIONS",
    "LEAST_QUALITY",
    "check_pages",
    "check_quality",
    "draft_name",
    "has_quality",
    "losses",
    "publish",
    "sweep_drafts",
    "write_pages",
    "write_photo",
]

Strips = Iterator[tuple[NDArray[Any], NDArray[Any] | None]]

_DRAFT = re.compile(r"\.photochrom-([0-9a-f]{8})-(\d+)-[0-9a-f]{16}\.\w+")
_DRAFT_SECONDS = 60.0
# EXIF 3.0 (CIPA DC-008, 2023) and TIFF 6.0; those of them that libexif is known to leave out.
_EXIF_NAMES = {
    285: "PageName", 297: "PageNumber", 316: "HostComputer", 337: "TargetPrinter", 18246: "Rating",
    18249: "RatingPercent", 37395: "ImageHistory", 42032: "CameraOwnerName",
    42033: "BodySerialNumber", 42037: "LensSerialNumber",
}  # fmt: skip
_JPEG_SEGMENT = 65533  # bytes; ITU-T T.81 (the JPEG standard), B.1.1.4
_STOP_SECONDS = 1.0  # that a saver is waited for when it shall stop
LEAST_QUALITY = 75  # of a JPEG, unless asked for


@dataclass(frozen=True)
class _Saver:
    operation: str
    dtypes: tuple[Any, ...]  # what the format can hold; the last stands in for what it cannot
    alpha: bool
    max_side: int  # pixels
    options: Mapping[str, Any]


# Quality 95 without chroma subsampling: the work of this program is the color alone, and to halve
# its resolution or block its smooth gradients would throw part of that away. WebP has no other
# than subsampled chroma; smart_subsample keeps it sharp along edges, and exact the color below
# transparent parts. PNG filters chosen line by line ("all") save a tenth of a grainy and a third of
# a smooth photo.
_JPEG = _Saver("jpegsave_target", (np.uint8,), False, 65500, {"Q": 95, "subsample_mode": "off"})
_PNG = _Saver("pngsave_target", (np.uint8, np.uint16), True, 2**31 - 1, {"filter": "all"})
_TIFF = _Saver(
    "tiffsave_target",
    (np.uint8, np.uint16, np.float32),
    True,
    2**31 - 1,
    {"compression": "deflate"},
)
_WEBP = _Saver(
    "webpsave_target", (np.uint8,), True, 16383, {"Q": 95, "smart_subsample": True, "exact": True}
)
_AVIF = _Saver(
    "heifsave_target",
    (np.uint8,),
    True,
    16384,
    {"compression": "av1", "Q": 90, "bitdepth": 8, "subsample_mode": "off", "effort": 2},
)
_HEIC = _Saver("", (np.uint8, np.uint16), True, 16384, {"Q": heif.QUALITY})
_SAVERS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": _PNG,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".webp": _WEBP,
    ".avif": _AVIF,
    ".heic": _HEIC,
    ".heif": _HEIC,
}
# Of the files that are read and written, lower case, with the dot; HEIC is an extra.
EXTENSIONS = tuple(suffix for suffix in _SAVERS if suffix not in heif.EXTENSIONS)


def check_quality(quality: int | None) -> None:
    """Raise ConfigError for a quality that is none."""
    if quality is not None and not 1 <= quality <= 100:
        raise ConfigError(f"quality {quality}: must be from 1 to 100")


def has_quality(path: str | os.PathLike[str]) -> bool:
    """Whether the format of a file, by its name, is one that a quality can be chosen for."""
    saver = _SAVERS.get(os.path.splitext(file_name(path))[1].lower())
    return saver is not None and "Q" in saver.options


def losses(photo: Photo, path: str | os.PathLike[str], model: str = "") -> list[str]:
    """What of a photo file will not be in a result of that name, a sentence each.

    Parameters
    ----------
    photo, path, model : as for `write_photo`, also for the errors
    """
    saver, said = _saver_for(path, photo), list(photo.notes)
    kind = os.path.splitext(file_name(path))[1].lstrip(".").upper()
    if photo.frames > 1:
        said.append(f"holds {photo.frames} frames; the first alone is colored")
    if photo.content.has_alpha and not saver.alpha:
        said.append(f"{kind} has no transparency; what was transparent is opaque in the result")
    bits = {np.dtype(np.uint8): "8 bits", np.dtype(np.uint16): "16 bits"}
    if photo.samples not in saver.dtypes and not (saver is _AVIF and photo.bits):
        was, will = bits.get(photo.samples, "floats"), bits[np.dtype(saver.dtypes[-1])]
        said.append(f"its {was} a channel become {will}, all that is written to {kind}")
    if saver is not _TIFF and photo.stored is not None:
        said.append(f"{kind} has no place for its transparency mask; TIFF keeps it")
    if saver is not _PNG and (texts := photo.metadata.get("png-texts")):
        words = dict.fromkeys(text.keyword for text in texts)
        said.append(f"{kind} has no place for its texts ({', '.join(words)}); PNG keeps them")
    if (of_exif := _exif_told(photo, saver)) is not None:
        said.append(of_exif)
    packet, lost, told = _packet(photo, saver, model)
    if told is not None:
        said.append(told)
    if lost:
        said.append(
            f"{kind} has no place for IPTC records, nor XMP for these: {', '.join(lost)}; "
            "TIFF and JPEG keep them"
        )
    iptc = read_iptc(photo.metadata.get("iptc-data", b"")) if photo.kind == "file" else b""
    if saver is _JPEG and len(photoshop_block(iptc)) > _JPEG_SEGMENT:
        said.append("its IPTC is larger than JPEG can hold, and left out; TIFF keeps it")
    if saver is _JPEG and len(packet) > JPEG_XMP_LIMIT:
        said.append("its XMP is larger than JPEG can hold, and left out; TIFF and PNG keep it")
    return [f"{photo.name}: {text}" for text in said]


def _exif_of(photo: Photo) -> bytes | None:
    return photo.metadata.get("exif-data") if photo.kind == "file" else None


def _exif_kept(photo: Photo, saver: _Saver) -> bytes | None:
    """The EXIF block of a result; None if it is what libvips makes of that of the source."""
    block = _exif_of(photo)
    if block is None or saver is _TIFF:
        return None
    whole = exif.taken_over(block, photo.width, photo.height, photo.resolution)
    if saver is _JPEG and whole is not None and len(whole) > exif.JPEG_EXIF_LIMIT:
        return None
    return whole


def _exif_told(photo: Photo, saver: _Saver) -> str | None:
    block = _exif_of(photo)
    if block is None:
        return None
    whole = exif.taken_over(block, photo.width, photo.height, photo.resolution)
    if whole is None:
        what = "damaged"
    elif saver is _JPEG and len(whole) > exif.JPEG_EXIF_LIMIT:
        what = "larger than JPEG can hold"
    else:
        return None
    lost = () if saver in (_TIFF, _HEIC) else _exif_lost(block)
    but = f", but not {', '.join(lost)}" if lost else ""
    return f"its EXIF is {what}; what could be read of it is kept{but}"


@lru_cache(maxsize=8)
def _exif_lost(block: bytes) -> tuple[str, ...]:
    """Tags of an EXIF block that libvips, by libexif, does not write: tried on a single pixel."""
    image = pyvips.Image.black(1, 1).copy()
    image.set_type(pyvips.GValue.blob_type, "exif-data", block)
    written = pyvips.Image.jpegload_buffer(image.jpegsave_buffer(keep="exif"))
    kept = exif_tags(written.get("exif-data")) if "exif-data" in written.get_fields() else set()
    return tuple(_EXIF_NAMES.get(tag, f"tag {tag}") for _, tag in sorted(exif_tags(block) - kept))


def _packet(photo: Photo, saver: _Saver, model: str) -> tuple[bytes, tuple[str, ...], str | None]:
    """The XMP of a result, see `result_packet`; IPTC is told in it where it has no other place."""
    kept = photo.metadata if photo.kind == "file" else {}
    iptc = b"" if saver in (_JPEG, _TIFF) else read_iptc(kept.get("iptc-data", b""))
    if (whole := kept.get("xmp-whole")) is not None:
        packet = result_packet(whole, iptc, model)
        if saver is not _JPEG or len(packet[0]) <= JPEG_XMP_LIMIT:
            return packet
        first = result_packet(kept.get("xmp-data"), iptc, model)
        return (*first[:2], f"the second part of its XMP, of {len(whole) >> 10} kB with the first, "
                "is left out; TIFF and PNG keep it")  # fmt: skip
    return result_packet(kept.get("xmp-data"), iptc, model)


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
    saver = _saver_for(path, photo)
    if saver is _TIFF and photo.stored is not None:  # there are more pages to it
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
    if photo.pages > 1 and _saver_for(path, photo) is not _TIFF:
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
    saver = _saver_for(path, photo)
    if saver is not _TIFF:
        raise PhotoError(f"{name}: only TIFF holds several pages; let its name end in .tif")

    def save(temporary: str) -> None:
        part = os.path.splitext(temporary)[0] + ".page"
        # All offsets of a file are of one width, and the other pages are not at hand yet. A
        # compressed page may be as large as a plain one.
        big = photo.volume > 3 << 30 or _large(photo, photo.samples, 3 + photo.content.has_alpha)
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


def _saver_for(path: str | os.PathLike[str], photo: Photo) -> _Saver:
    name = file_name(path)
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in _SAVERS:
        raise PhotoError(
            f"{name}: the extension {suffix or '(none)'} is not known; use one of "
            + " ".join(EXTENSIONS)
        )
    saver = _SAVERS[suffix]
    if saver is _HEIC:
        heif.need_heif(name)
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
        with _to_disk(temporary):
            if ready is not None:
                ready(temporary)
        publish(temporary, name, force)
    except FileExistsError:
        raise PhotoError(_exists(name)) from None
    except FileNotFoundError:
        raise PhotoError(f"{name}: its folder does not exist; create it first") from None
    except OSError as error:
        raise PhotoError(
            f"{name}: cannot be written: {error.strerror}; "
            "choose a folder that you may write to and that has space left"
        ) from error
    except (OverflowError, struct.error) as error:  # an offset that is too wide
        raise PhotoError(
            f"{name}: cannot be written: it grows over the 4 GB that such a file can hold; "
            "color its pages as files of their own"
        ) from error
    except pyvips.Error as error:
        raise PhotoError(
            f"{name}: cannot be written: {reason(error)}; check the space left, or use .png"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextlib.contextmanager
def _to_disk(path: str) -> Iterator[None]:
    """Bring a file to the disk while the block runs; raises OSError if that fails."""
    failures: list[BaseException] = []

    def sync() -> None:
        try:
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failures:
        raise failures.pop()


def draft_name(folder: str, suffix: str) -> str:
    """A name for an unfinished file, with the process that writes it; see `sweep_drafts`."""
    name = f".photochrom-{_machine()}-{os.getpid()}-{secrets.token_hex(8)}{suffix}"
    return os.path.join(folder, name)


def sweep_drafts(folder: str) -> None:
    """Remove the drafts of `draft_name` in a folder whose processes were killed amid the writing.

    That is, those of this machine, where no process has the number any more. A draft that was
    touched within the last minute stays as well.
    """
    if sys.platform == "win32":  # where asking for a process would end it
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            draft = _DRAFT.fullmatch(entry.name)
            if draft is None or draft[1] != _machine() or _runs(int(draft[2])):
                continue
            with contextlib.suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _DRAFT_SECONDS:
                    os.unlink(entry.path)


def _machine() -> str:
    """Where the number of a process means it: a machine, or a container on it."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"{zlib.crc32(f'{platform.node()} {space}'.encode()):08x}"


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


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
    saver: _Saver,
    model: str,
    quality: int | None,
    big: bool = False,
) -> None:
    dtype = photo.samples
    if dtype not in saver.dtypes and not (saver is _AVIF and photo.bits):
        dtype = np.dtype(saver.dtypes[-1])
    has_alpha = photo.content.has_alpha and saver.alpha
    if saver is _HEIC:
        _save_heic(temporary, rgb, photo, model, quality, dtype)
        return
    if not isinstance(rgb, np.ndarray):
        flow = (_sample_rows(*strip, dtype, has_alpha) for strip in rgb)
        shape = (photo.height, photo.width, 3 + has_alpha)
        with StripSource(flow, shape, dtype) as source:
            image, options = _dressed(source.image(), photo, saver, model, quality)
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
    image, options = _dressed(image, photo, saver, model, quality)
    if big:
        options["bigtiff"] = True
    _interruptibly(
        lambda: _put(temporary, image, saver, options, photo), lambda: image.set_kill(True)
    )


def _interruptibly(save: Callable[[], None], stop: Callable[[], None]) -> None:
    """Save in another thread: Ctrl-C is heard in the main one, and not amid a call of libvips.

    What cannot be stopped then, such as the encoder of AVIF, goes on behind with a file that has
    lost its name, and ends with the process.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            save()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        stop()
        thread.join(_STOP_SECONDS)
        raise
    if failures:
        raise failures.pop()


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
    block = _exif_of(photo) or b""
    with open(temporary, "xb") as file:
        heif.encode_heif(
            file,
            samples,
            photo.name,
            quality=heif.QUALITY if quality is None else quality,
            exif=_exif_kept(photo, _HEIC)
            or exif_block(io.BytesIO(block.removeprefix(b"Exif\0\0")), resolution=photo.resolution),
            xmp=_packet(photo, _HEIC, model)[0],
            profile=srgb_profile() if photo.profiled else None,
        )


def _sample_rows(
    rgb: NDArray[Any], alpha: NDArray[Any] | None, dtype: np.dtype[Any], has_alpha: bool
) -> NDArray[Any]:
    opacity = requantize(alpha, dtype) if has_alpha and alpha is not None else None
    return with_alpha(requantize(rgb, dtype), opacity)


def _put(
    temporary: str, image: Any, saver: _Saver, options: Mapping[str, Any], photo: Photo
) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        target = pyvips.Target.new_to_descriptor(descriptor)
        getattr(image, saver.operation)(target, **options)
        block = _exif_of(photo)
        copies = photo.layout.copies if photo.layout is not None else 0
        if saver is _TIFF and (block or photo.resolution is None or copies):
            with os.fdopen(os.dup(descriptor), "r+b") as file:
                sized = photo.resolution is not None
                finish(file, block, photo.width, photo.height, sized=sized, copies=copies)
        if (block := _exif_kept(photo, saver)) is not None:
            with os.fdopen(os.dup(descriptor), "r+b") as file:
                exif.place(file, block)
        if saver is _PNG:
            with os.fdopen(os.dup(descriptor), "r+b") as file:
                if photo.resolution is None:
                    _without_size(file)
                if texts := photo.metadata.get("png-texts"):
                    add_texts(file, texts)
    finally:
        os.close(descriptor)


def _without_size(file: BinaryIO) -> None:
    """Say in a PNG file that pixels are square, and not how large; libvips always says both.

    Source: PNG (W3C, third edition), 11.3.4.3 pHYs.
    """
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        size = int.from_bytes(head[:4], "big")
        if head[4:] == b"pHYs":
            chunk = b"pHYs" + struct.pack(">IIB", 1, 1, 0)
            file.seek(-4, 1)
            file.write(chunk + struct.pack(">I", zlib.crc32(chunk)))
            return
        file.seek(size + 4, 1)


def publish(temporary: str, name: str, force: bool) -> None:
    """Give the finished file its name in one step; without force, only if the name is free.

    Parameters
    ----------
    temporary : str
        The finished file, in the same folder; with ``force`` it is gone afterwards.
    name : str
    force : bool
        Replace an existing file.

    Raises
    ------
    FileExistsError
        The name is taken.
    OSError
        For any other reason.
    """
    if force:
        os.replace(temporary, name)
        return
    try:
        os.link(temporary, name)  # fails if the name is taken, which a rename would not
        return
    except FileExistsError:
        raise
    except OSError:
        pass  # FAT and some network drives have no links
    # Take the name with an empty file of our own, then put the whole one in its place.
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        os.replace(temporary, name)
    except BaseException:
        os.unlink(name)
        raise


def _large(photo: Photo, dtype: np.dtype[Any], bands: int) -> bool:
    """Whether a page, with its pyramid, may come near the 4 GB of a classic TIFF."""
    size = photo.height * photo.width * bands * dtype.itemsize
    pyramid = photo.layout is not None and photo.layout.pyramid
    return size > (2 << 30 if pyramid else 3 << 30)


def _as_stored(layout: Layout | None) -> dict[str, Any]:
    """Options for TIFF by which a page is stored as the one that was read."""
    if layout is None:
        return {}
    options: dict[str, Any] = {"compression": layout.compression}
    tile = layout.tile or ((256, 256) if layout.pyramid else None)
    if tile is not None:
        options |= {"tile": True, "tile_width": tile[0], "tile_height": tile[1]}
    if layout.pyramid:
        # All that there can be; `finish` leaves as many as there were.
        options |= {"pyramid": True, "subifd": layout.nested, "depth": "onepixel"}
    return options


def _dressed(
    image: Any, photo: Photo, saver: _Saver, model: str, quality: int | None
) -> tuple[Any, dict[str, Any]]:
    """The image to save, with its metadata, and the options to save it with."""
    dtype = np.dtype(DTYPES[image.format])
    options = dict(saver.options)
    if saver is _JPEG and photo.quality is not None:
        # Less than 75 was chosen for a gray photo; on smooth color its blocks would be seen.
        options["Q"] = max(photo.quality, LEAST_QUALITY)
    if saver is _AVIF and dtype == np.uint16:
        options["bitdepth"] = photo.bits
    if quality is not None and "Q" in options:
        options["Q"] = quality
    if saver is _TIFF:
        # Readers without the floating-point predictor are common; four bytes a sample barely fit
        # the 4 GB of a classic TIFF at 300 megapixels.
        options |= _as_stored(photo.layout)
        if dtype != np.float32 and options["compression"] in ("lzw", "deflate"):
            options["predictor"] = "horizontal"
        options["bigtiff"] = _large(photo, dtype, image.bands)
    if photo.profiled:
        options["profile"] = "srgb"

    blob, text = pyvips.GValue.blob_type, pyvips.GValue.refstr_type
    kept = photo.metadata if photo.kind == "file" else {}
    image = image.copy()  # operations may share their result; a copy's metadata is ours to change
    if "exif-data" in kept:
        image.set_type(blob, "exif-data", kept["exif-data"])
        # libvips has now unpacked the block. Its thumbnail shows the photo still gray.
        for key in image.get_fields():
            if key == "jpeg-thumbnail-data" or key.startswith("exif-ifd1-"):
                image.remove(key)
    # After that, for libvips has also taken the resolution from EXIF, as it was before turning.
    across, down = photo.resolution or (UNKNOWN, UNKNOWN)
    interpretation = "rgb16" if dtype == np.uint16 else "srgb"
    image = image.copy(interpretation=interpretation, xres=across, yres=down)
    image.set_progress(True)  # without which what is made of it would not be stopped with it
    image.set_type(text, "exif-ifd2-ColorSpace", "1")  # sRGB; libvips would say uncalibrated
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)
    for key in ("image-description", "resolution-unit"):
        if key in kept:
            image.set_type(text, key, kept[key])
    xmp = _packet(photo, saver, model)[0]
    if saver is _JPEG and len(xmp) > JPEG_XMP_LIMIT:  # libvips would write none at all
        xmp = say_synthetic(None, model)
    image.set_type(blob, "xmp-data", xmp)
    iptc = read_iptc(kept.get("iptc-data", b""))
    if iptc and saver is _JPEG and len(photoshop_block(iptc)) <= _JPEG_SEGMENT:
        image.set_type(blob, "iptc-data", photoshop_block(iptc))
    elif iptc and saver is _TIFF:
        # libvips counts this tag in 32-bit words, newer libtiff in bytes: of what it is given, only
        # a quarter is sure to be written. The zeros after the records mean nothing.
        image.set_type(blob, "iptc-data", iptc + bytes(3 * len(iptc)))
    return image, options
