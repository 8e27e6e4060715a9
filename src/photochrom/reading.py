"""Photo files read: the format found, the header checked, the pixels upright and in sRGB."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import pyvips

from photochrom.errors import PhotoError
from photochrom.photo import Photo, check_size
from photochrom.profiles import to_srgb
from photochrom.samples import DTYPES, check_unit_range, color_space, split_alpha, to_numpy

__all__ = ["decode_photo", "file_name", "read_photo", "read_stream", "reason"]

_REMEDY_DAMAGED = "restore it from a copy, or export it again as PNG or TIFF"
_FORMAT_NAMES = "JPEG, PNG, TIFF, WebP or AVIF"
# Camera raw files begin like TIFF files, and what a TIFF reader finds there is a tiny preview.
_CAMERA_RAW = re.compile(
    r"\.(3fr|arw|cr2|dcr|dng|erf|iiq|kdc|mef|mos|nef|nrw|pef|sr2|srf|srw)$", re.IGNORECASE
)
_LOADERS = {  # libvips operation -> extension of its format
    "jpegload_source": ".jpg",
    "pngload_source": ".png",
    "tiffload_source": ".tif",
    "webpload_source": ".webp",
    "heifload_source": ".avif",
}
_HEVC_BRANDS = frozenset([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"])
# What travels from the source file to the result.
_KEPT_FIELDS = ("exif-data", "xmp-data", "iptc-data", "image-description", "resolution-unit")


def read_photo(path: str | os.PathLike[str]) -> Photo:
    """Read a JPEG, PNG, TIFF, WebP or AVIF file.

    8-bit, 16-bit and float files keep their depth (AVIF of 10 or 12 bits is scaled to 16); 1-bit
    and palette images are expanded to 8 bits, CMYK is converted to sRGB. Float samples, which only
    TIFF has, must be sRGB-encoded and in 0..1. The orientation that the file asks for is applied.
    Of a file with several pages or frames the first is read.

    Parameters
    ----------
    path : str or os.PathLike
        The content decides the format, not the extension.

    Returns
    -------
    Photo
        ``pixels`` uint8, uint16 or float32; sRGB-encoded.

    Raises
    ------
    PhotoError
        The file is missing, empty, truncated, damaged, over ``MAX_PIXELS`` or ``MAX_SIDE``, or of a
        kind that is not supported.
    """
    name = file_name(path)
    return _named(name, lambda: _read_file(name))


def read_stream(stream: BinaryIO, name: str = "stdin") -> Photo:
    """Read a photo, as by :func:`read_photo`, from a stream that cannot be gone back in.

    Parameters
    ----------
    stream : binary file object with a descriptor
        Read to its end, but for one that does not begin like a photo.
    name : str
        For messages.

    Returns
    -------
    Photo

    Raises
    ------
    PhotoError
        As for a file.
    """
    return _named(name, lambda: _read_copy(stream, name))


def _read_file(name: str) -> Photo:
    # Non-blocking, so that a named pipe is refused below instead of waited for.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(name, flags)
    try:
        return _read_descriptor(descriptor, name)
    finally:
        os.close(descriptor)


def _read_copy(stream: BinaryIO, name: str) -> Photo:
    with tempfile.TemporaryFile() as copy:
        head = stream.read(1 << 16)
        if head:
            _find_loader(head[:64], name)  # before an endless stream fills the disk
        copy.write(head)
        shutil.copyfileobj(stream, copy)
        copy.flush()
        os.lseek(copy.fileno(), 0, os.SEEK_SET)
        photo = _read_descriptor(copy.fileno(), name)
        status = os.fstat(stream.fileno())
        # "< photo.jpg": the file itself, which is never overwritten.
        is_file = stat.S_ISREG(status.st_mode)
        return replace(photo, source=("", status.st_dev, status.st_ino) if is_file else None)


def _named(name: str, read: Callable[[], Photo]) -> Photo:
    """The photo; what is raised on the way becomes a PhotoError with the name of the file."""
    try:
        return read()
    except FileNotFoundError:
        raise PhotoError(f"{name}: no such file; check the name") from None
    except (IsADirectoryError, NotADirectoryError):
        raise PhotoError(f"{name}: not a file; give the path of a photo") from None
    except PermissionError:
        raise PhotoError(f"{name}: may not be read; change its permissions") from None
    except OSError as error:
        raise PhotoError(f"{name}: cannot be read: {error.strerror}; {_REMEDY_DAMAGED}") from error
    # Both without their traceback: its frames hold the image, hence its memory and a descriptor of
    # the file, and whoever works through a folder may keep all errors to the end.
    except pyvips.Error as error:
        raise PhotoError(
            f"{name}: cannot be read: {reason(error)}; {_REMEDY_DAMAGED}"
        ) from error.with_traceback(None)
    except PhotoError as error:
        raise error.with_traceback(None) from None


def file_name(path: str | os.PathLike[str]) -> str:
    """A path as text; PhotoError if no file can have it."""
    name = os.fsdecode(path)
    if "\0" in name:
        raise PhotoError(f"{name!r}: no file can have a null character in its name; remove it")
    return name


def decode_photo(data: bytes, name: str = "photo") -> Photo:
    """Decode the bytes of a photo file; see :func:`read_photo`.

    Parameters
    ----------
    data : bytes
    name : str
        What to call it in an error.

    Raises
    ------
    PhotoError
        As for a file.
    """
    if not data:
        raise PhotoError(f"{name}: is empty; restore it from a copy")
    loader = _find_loader(data[:64], name)
    source = pyvips.Source.new_from_memory(data)
    return _named(name, lambda: _decode(source, loader, name, None))


def _read_descriptor(descriptor: int, name: str) -> Photo:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError(f"{name}: not a file; give the path of a photo")
    if status.st_size == 0:
        raise PhotoError(f"{name}: the file is empty; restore it from a copy")
    loader = _find_loader(os.read(descriptor, 64), name)
    os.lseek(descriptor, 0, os.SEEK_SET)
    # By descriptor, for libvips would read options out of a name such as "scan[1].jpg".
    source = pyvips.Source.new_from_descriptor(descriptor)
    place = (os.path.abspath(name), status.st_dev, status.st_ino)
    return _decode(source, loader, name, place)


def _decode(source: Any, loader: str, name: str, place: tuple[str, int, int] | None) -> Photo:
    image = getattr(pyvips.Image, loader)(source, access="sequential", fail_on="error")
    check_size(name, image.width, image.height)
    if image.format not in DTYPES:
        raise PhotoError(
            f"{name}: samples of type {image.format} are not supported; "
            "convert it to 8 or 16 bits a channel"
        )
    cmyk = image.interpretation == "cmyk"
    if image.interpretation in ("lab", "labq", "labs", "xyz") or image.bands > 4 + cmyk:
        raise PhotoError(
            f"{name}: {image.bands} channels of {image.interpretation} are not supported; "
            "convert it to gray or RGB"
        )

    fields = set(image.get_fields())
    metadata = {key: image.get(key) for key in _KEPT_FIELDS if key in fields}
    profile = image.get("icc-profile-data") if "icc-profile-data" in fields else None
    resolution = _resolution(image, fields)
    orientation = image.get("orientation") if "orientation" in fields else 1
    if orientation != 1:
        # Turning needs the pixels in another order than they are decoded in.
        image = image.copy_memory().autorot()
        if orientation in (5, 6, 7, 8) and resolution is not None:
            resolution = resolution[::-1]

    samples = to_numpy(image)
    if samples.dtype == np.float32:
        check_unit_range(samples, name)
    elif loader == "heifload_source" and samples.dtype == np.uint16:
        # libvips shifts 10 or 12 bits up and leaves the low ones zero: white would not be white.
        samples = samples | samples >> image.get("bits-per-sample")
    space = "CMYK" if cmyk else color_space(samples)
    color, alpha = split_alpha(samples, space)
    return Photo(
        to_srgb(color, space, profile),
        alpha,
        name,
        "file",
        profiled=profile is not None,
        metadata=metadata,
        resolution=resolution,
        source=place,
        extension=_LOADERS[loader],
    )


def _find_loader(head: bytes, name: str) -> str:
    """The libvips operation for a file that begins with these bytes.

    libvips can find it itself, but would also try loaders for text tables, PDF or its own raw
    formats: more than a photograph needs, and more than a stranger's file should reach.
    """
    loader = None
    if head.startswith(b"\xff\xd8\xff"):
        loader = "jpegload_source"
    elif head.startswith(b"\x89PNG\r\n\x1a\n"):
        loader = "pngload_source"
    elif head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        if _CAMERA_RAW.search(name):
            raise PhotoError(f"{name}: camera raw is not supported; develop it to TIFF or JPEG")
        loader = "tiffload_source"
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        loader = "webpload_source"
    elif head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
        if b"avif" in brands or b"avis" in brands:
            loader = "heifload_source"
        elif brands & _HEVC_BRANDS:
            raise PhotoError(f"{name}: HEIC is not supported; convert it to JPEG, PNG or TIFF")
    if loader is None:
        raise PhotoError(f"{name}: not a {_FORMAT_NAMES} file; convert it to one of these")
    if pyvips.type_find("VipsOperation", loader) == 0:
        raise PhotoError(
            f"{name}: the installed libvips cannot read this format; "
            "pip install pyvips-binary, or convert the file to JPEG, PNG or TIFF"
        )
    return loader


def _resolution(image: Any, fields: set[str]) -> tuple[float, float] | None:
    if image.xres == 1.0 and image.yres == 1.0 and "resolution-unit" not in fields:
        return None  # what libvips fills in where the file says nothing
    across, down = float(image.xres), float(image.yres)
    # A damaged file may say anything; libvips takes no more than a million, and no NaN.
    return (across, down) if 0 < across <= 1e6 and 0 < down <= 1e6 else None


def reason(error: pyvips.Error) -> str:
    """The first telling line of a libvips error, without the name of the C module in front."""
    for line in error.detail.splitlines():
        text = re.sub(r"^\w+: ", "", line.strip())
        if text and not text.startswith("bad seek"):  # said on the way to the real reason
            return text.rstrip(".")
    return "its data is damaged"
