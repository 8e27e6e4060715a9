"""Photo files read: the format found, the header checked, the pixels upright and in sRGB."""

from __future__ import annotations

import io
import itertools
import os
import re
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import IO, Any, BinaryIO, Protocol, TypeVar

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.heif import decode_heif, heif_size, need_heif
from photochrom.jpeg import extended_xmp, jpeg_quality, main_xmp
from photochrom.metadata import extension_of, join_extension
from photochrom.photo import MAX_WHOLE, Held, Photo, Pixels, check_size, check_whole
from photochrom.png import png_texts, raw_profiles
from photochrom.profiles import srgb_dtype, to_srgb
from photochrom.resolution import Resolution, chosen, jfif_resolution, png_resolution, sane
from photochrom.samples import DTYPES, check_unit_range, split_alpha, to_numpy
from photochrom.strips import strip_rows
from photochrom.tiff import (
    Pages,
    exif_block,
    exif_resolution,
    largest_part,
    plane_fronts,
    read_pages,
)

T = TypeVar("T")
Strip = tuple[NDArray[Any], NDArray[Any] | None]

__all__ = [
    "KEPT_BYTES",
    "STREAM_PIXELS",
    "Streamed",
    "decode_photo",
    "file_name",
    "no_room",
    "photo_format",
    "photo_size",
    "read_photo",
    "read_stream",
    "reason",
]

STREAM_PIXELS = 16_000_000
"""Files with more than these are never in memory as floats: the network, and then each rendering,
goes through them a strip after the other."""
KEPT_BYTES = 144 << 20
"""Up to these the samples of such a file are kept as they were decoded the first time: to decode a
JPEG twice would be a third of the whole work. Larger files are decoded anew each time. It holds a
JPEG of 24 megapixels that is not in sRGB."""

_HEIC = "heic"  # no operation of libvips, but photochrom.heif
_REMEDY_DAMAGED = "restore it from a copy, or export it again as PNG or TIFF"
_MOST_MENDED = 1 << 28  # bytes of a file that is held in memory to be mended
_STRAY = (
    "names a next page where the file has ended before; read as a file of one page, so restore it "
    "from a copy if it had more"
)
_LOST_XMP = "its XMP refers to a second part that is missing or damaged; the first is kept"
_LOST_TEXT = 'its text "{}" is damaged and left out'
_LONG_TEXTS = "holds more than 1 MB of texts; the rest is left out"
_FORMAT_NAMES = "JPEG, PNG, TIFF, WebP, AVIF or HEIC"
# Camera raw files begin like TIFF files, and what a TIFF reader finds there is a tiny preview.
_CAMERA_RAW = re.compile(
    r"\.(3fr|arw|cr2|dcr|dng|erf|iiq|kdc|mef|mos|nef|nrw|pef|sr2|srf|srw)$", re.IGNORECASE
)

_MOST_VALUES = 1 << 30  # bytes, of all values of a TIFF directory
# Libtiff, as libvips calls it, takes 50 MB in all. Layers of Photoshop are one value of a
# directory, and some programs store a photo as one strip, which is read as a whole before it is
# unpacked: what is larger than this has to be in the file, and is let pass.
_LARGE = 1 << 23

# What libvips says when it cannot turn a large photo, for which it takes a temporary file.
_TEMPORARY = re.compile(r"write failed|unable to (write|open|create|make)[^\n]*vips-\d")
# What it says of files that are whole, but beyond it.
_BEYOND = {
    "tile size out of range": "its tiles are larger than can be read here; save it with tiles of "
    "256 pixels, or in strips",
    "compression support is not configured": "its compression is not supported here; save it with "
    "LZW or Deflate",
    "cumulated byte limit": "a strip of it is larger than can be held in memory here; save it with "
    "smaller strips, or with tiles",
}
_COLORS = {"GRAY": 1, "RGB ": 3, "CMYK": 4}  # channels besides alpha
_LOADERS = {  # libvips operation -> extension of its format
    "jpegload_source": ".jpg",
    "pngload_source": ".png",
    "tiffload_source": ".tif",
    "webpload_source": ".webp",
    "heifload_source": ".avif",
    _HEIC: ".heic",
}
_HEVC_BRANDS = frozenset([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"])
# What travels from the source file to the result.
_KEPT_FIELDS = ("exif-data", "xmp-data", "iptc-data", "image-description", "resolution-unit")


def read_photo(path: str | os.PathLike[str], page: int = 0) -> Photo:
    """Read a JPEG, PNG, TIFF, WebP or AVIF file.

    8-bit, 16-bit and float files keep their depth (AVIF of 10 or 12 bits is scaled to 16); 1-bit
    and palette images are expanded to 8 bits, CMYK is converted to sRGB. Float samples, which only
    TIFF has, must be sRGB-encoded and in 0..1. The orientation that the file asks for is applied.
    Of an animation, WebP or AVIF, the first frame is read.

    Parameters
    ----------
    path : str or os.PathLike
        The content decides the format, not the extension.
    page : int
        Of a TIFF file, from 0; the smaller copies in a pyramid do not count. How many there are is
        said by ``pages`` of the result.

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
    return _named(name, lambda: _read_file(name, page))


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


def _read_file(name: str, page: int) -> Photo:
    # Non-blocking, so that a named pipe is refused below instead of waited for.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(name, flags)
    try:
        return _read_descriptor(descriptor, name, os.path.abspath(name), page)
    finally:
        os.close(descriptor)


def _read_copy(stream: BinaryIO, name: str) -> Photo:
    head = stream.read(1 << 16)
    if head:
        _find_loader(head[:64], name)  # before an endless stream fills the disk
    with _temporary_file(name) as copy:
        part = head
        while part:
            try:
                while part:
                    part = part[copy.write(part) :]
            except OSError as error:
                raise no_room(name, error.strerror, tempfile.gettempdir()) from None
            part = stream.read(1 << 20)
        os.lseek(copy.fileno(), 0, os.SEEK_SET)
        kept = _Kept(os.dup(copy.fileno()))
    photo = _read_descriptor(kept.descriptor, name, "", 0, kept)
    status = os.fstat(stream.fileno())
    # "< photo.jpg": the file itself, which is never overwritten.
    is_file = stat.S_ISREG(status.st_mode)
    return replace(photo, source=("", status.st_dev, status.st_ino) if is_file else None)


def _temporary_file(name: str) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise no_room(name, error.strerror) from None


def no_room(name: str, why: str | None, folder: str | None = None) -> PhotoError:
    """The error for a temporary folder that is full or missing; by default the one of libvips."""
    folder = folder or os.environ.get("TMPDIR") or "/tmp"
    return PhotoError(
        f"{name}: the temporary folder {folder} cannot be used: {why}; make room there, or let the "
        "environment variable TMPDIR name another folder"
    )


def _named(name: str, read: Callable[[], T]) -> T:
    """What was read; what is raised on the way becomes a PhotoError with the name of the file."""
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
        if _TEMPORARY.search(error.detail):
            raise no_room(name, reason(error)) from error.with_traceback(None)
        if "separate planes not supported" in error.detail:
            raise PhotoError(
                f"{name}: TIFF with tiles and a plane for each channel is supported for gray, RGB "
                "and CMYK of 8 bits or more alone; save it with the channels interleaved"
            ) from error.with_traceback(None)
        problem = next((told for said, told in _BEYOND.items() if said in error.detail), None)
        problem = problem or f"cannot be read: {reason(error)}; {_REMEDY_DAMAGED}"
        raise PhotoError(f"{name}: {problem}") from error.with_traceback(None)
    except UnicodeDecodeError as error:  # of another pyvips than `samples` knows
        pyvips.vips_lib.vips_error_clear()
        raise PhotoError(
            f"{name}: cannot be read: its data is damaged; {_REMEDY_DAMAGED}"
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
    return _named(name, lambda: _decode(_Bytes(data), loader, name, None, 0))


def photo_format(head: bytes, name: str = "photo") -> str:
    """The format of a file by its first 64 bytes, as an extension such as ".jpg".

    Raises
    ------
    PhotoError
        It is none that is read here.
    """
    return _LOADERS[_find_loader(head[:64], name)]


def photo_size(data: bytes, name: str = "photo") -> tuple[int, int]:
    """(height, width) that the header of a photo file states; no pixel is decoded.

    Raises
    ------
    PhotoError
        It is not a photo, or its header is damaged.
    """
    found = _find_loader(data[:64], name)
    if found == _HEIC:
        return heif_size(io.BytesIO(data), name)
    loader = getattr(pyvips.Image, found)
    source = pyvips.Source.new_from_memory(data)

    def size() -> tuple[int, int]:
        with _LOG:
            image = loader(source, access="sequential", fail_on="error")
        return int(image.height), int(image.width)

    return _named(name, size)


# --- where a file is read from, the first time and again ------------------------------------------


class _Origin(Protocol):
    """What the bytes of a file come from."""

    def source(self) -> Any:
        """A new libvips source, at the start."""

    def open(self) -> BinaryIO:
        """The same as a file, for what libvips does not tell."""

    def size(self) -> int:
        """How many bytes they are."""

    def check(self) -> None:
        """Raise PhotoError if the bytes are no longer those that they were."""


@dataclass(frozen=True)
class _Bytes:
    data: bytes

    def source(self) -> Any:
        return pyvips.Source.new_from_memory(self.data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)

    def size(self) -> int:
        return len(self.data)

    def check(self) -> None:
        pass


class _Kept:
    """The descriptor of a temporary file: closed, and so the file gone, with the last reference."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True)
class _File:
    path: str
    name: str  # for messages
    state: tuple[int, ...]  # as when it was first opened
    copy: _Kept | None = None  # instead of the path; not to be read by two at once

    def source(self) -> Any:
        with self.open() as file:
            # By descriptor, for libvips would read options out of a name such as "scan[1].jpg".
            return pyvips.Source.new_from_descriptor(file.fileno())

    def open(self) -> BinaryIO:
        if self.copy is not None:
            descriptor = os.dup(self.copy.descriptor)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        file = os.fdopen(descriptor, "rb", buffering=0)
        try:
            self._compare(os.fstat(descriptor))
        except BaseException:
            file.close()
            raise
        return file

    def size(self) -> int:
        return self.state[2]

    def check(self) -> None:
        self._compare(os.stat(self.path) if self.copy is None else os.fstat(self.copy.descriptor))

    def _compare(self, status: os.stat_result) -> None:
        if _state(status) != self.state:
            raise PhotoError(f"{self.name}: was changed since it was read; read it again")


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read_descriptor(
    descriptor: int, name: str, path: str, page: int, copy: _Kept | None = None
) -> Photo:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError(f"{name}: not a file; give the path of a photo")
    if status.st_size == 0:
        raise PhotoError(f"{name}: the file is empty; restore it from a copy")
    loader = _find_loader(os.read(descriptor, 64), name)
    origin = _File(path, name, _state(status), copy)
    return _decode(origin, loader, name, (path, status.st_dev, status.st_ino), page)


# --- decoding -------------------------------------------------------------------------------------


def _decode(
    origin: _Origin,
    loader: str,
    name: str,
    place: tuple[str, int, int] | None,
    page: int,
    found: Pages | None = None,  # if they were read before
) -> Photo:
    if loader == _HEIC:
        return _decode_heic(origin, name, place)
    pages, layout = 1, None
    if loader == "webpload_source":
        origin = _with_alpha_said(origin)
    if loader == "tiffload_source":
        if found is None:
            with origin.open() as file:
                found = read_pages(file)
        if found.stray is not None:
            origin = _mended(origin, *found.stray, name)
        pages = max(1, len(found.layouts))
        layout = found.layouts[page] if 0 <= page < len(found.layouts) else None
    if not 0 <= page < pages:
        raise PhotoError(f"{name}: has no page {page}; its pages are 0 to {pages - 1}")
    if found is not None and found.values > min(_MOST_VALUES, origin.size()):
        raise PhotoError(
            f"{name}: its directories list more data than there is in the file; {_REMEDY_DAMAGED}"
        )
    if layout is not None and layout.double:
        raise PhotoError(
            f"{name}: floats of 64 bits are not supported; convert it to 32-bit float or 16 bits"
        )
    index = 0 if layout is None else layout.index
    roomy = found is not None and found.values > _LARGE
    if layout is not None and not roomy:
        with origin.open() as file:
            largest = largest_part(file, layout.place)
        roomy = _LARGE < largest <= min(origin.size(), MAX_WHOLE)
    load = partial(_open, origin, loader, index, roomy=roomy)
    image = load()
    if found is not None:
        _check_pages(image, found, name)
    check_size(name, image.width, image.height)
    if image.format not in DTYPES:
        raise PhotoError(
            f"{name}: samples of type {image.format} are not supported; "
            "convert it to 8 or 16 bits a channel"
        )
    kind, size = _held_whole(image, loader)
    check_whole(name, kind, image.width * image.height, size)
    cmyk = image.interpretation == "cmyk"
    if image.interpretation in ("lab", "labq", "labs", "xyz") or image.bands > 4 + cmyk:
        raise PhotoError(
            f"{name}: {image.bands} channels of {image.interpretation} are not supported; "
            "convert it to gray or RGB"
        )

    fields = set(image.get_fields())
    metadata = {key: image.get(key) for key in _KEPT_FIELDS if key in fields}
    notes: tuple[str, ...] = ()
    if loader == "pngload_source":
        with origin.open() as file:
            texts, whole = png_texts(file)
        metadata |= {"png-texts": kept} if (kept := [text for text in texts if text.kept]) else {}
        raw = raw_profiles(texts)
        for key, data in (("exif-data", raw.exif), ("xmp-data", raw.xmp), ("iptc-data", raw.iptc)):
            if data:
                metadata.setdefault(key, data)
        notes = () if whole else (_LONG_TEXTS,)
        notes += tuple(_LOST_TEXT.format(keyword) for keyword in raw.lost)
    if loader == "jpegload_source" and "xmp-data" in metadata:
        with origin.open() as file:
            metadata["xmp-data"] = main_xmp(file) or metadata["xmp-data"]
    if loader == "jpegload_source" and (digest := extension_of(metadata.get("xmp-data", b""))):
        with origin.open() as file:
            second = extended_xmp(file, digest)
        metadata["xmp-data"], joined = join_extension(metadata["xmp-data"], second)
        if joined is not None:
            metadata["xmp-whole"] = joined
        else:
            notes = (_LOST_XMP,)
    if "iptc-data" not in metadata and "photoshop-data" in fields:  # of TIFF
        metadata["iptc-data"] = image.get("photoshop-data")
    profile = image.get("icc-profile-data") if "icc-profile-data" in fields else None
    if layout is not None:  # libvips leaves out the EXIF of a TIFF file
        with origin.open() as file:
            block = exif_block(file, layout.place)
        if block is not None:
            metadata["exif-data"] = block
    resolution = _resolution(image, fields, metadata.get("exif-data"), origin, loader)
    orientation = image.get("orientation") if "orientation" in fields else 1
    if orientation in (5, 6, 7, 8) and resolution is not None:
        resolution = resolution[::-1]

    quality = None
    if loader == "jpegload_source":
        with origin.open() as file:
            quality = jpeg_quality(file)
    if layout is not None and layout.planes:
        with origin.open() as file:
            fronts = plane_fronts(file, layout.place)
        load = partial(
            _open_planes, origin, fronts, roomy=roomy, premultiplied=layout.premultiplied
        )
        header, image = image, load() if len(fronts) == image.bands else None
        if image is None or any(
            getattr(image, key) != getattr(header, key) for key in ("width", "height", "format")
        ):
            raise PhotoError(f"{name}: its planes do not fit together; {_REMEDY_DAMAGED}")
    # libvips divides these by an alpha of 0..255, whatever their type.
    elif (
        layout is not None
        and layout.premultiplied
        and (image.format != "uchar" if cmyk else image.format == "float" and image.bands == 2)
    ):
        raise PhotoError(
            f"{name}: alpha by which color is multiplied is not supported in CMYK of 16 bits and "
            "in gray of floats; save it with unassociated alpha"
        )
    space = "CMYK" if cmyk else "GRAY" if image.bands <= 2 else "RGB "
    # libvips shifts 10 or 12 bits up and leaves the low ones zero: white would not be white.
    narrow = loader == "heifload_source" and image.format == "ushort"
    convert = partial(
        _converted,
        name=name,
        space=space,
        profile=profile,
        bits=image.get("bits-per-sample") if narrow else 0,
    )
    tiled = "tile-width" in fields
    depth = np.dtype(DTYPES[image.format])
    content: Pixels
    if image.width * image.height > STREAM_PIXELS:
        height, width = image.height, image.width
        content = Streamed(
            origin=origin,
            # Turning needs the pixels in another order than they are decoded in: libvips then puts
            # them into a temporary file, or into memory if they are less than 100 MB.
            load=load if orientation == 1 else lambda: _upright(load(access="random")),
            convert=convert,
            name=name,
            shape=(
                *((width, height) if orientation in (5, 6, 7, 8) else (height, width)),
                1 if space == "GRAY" else 3,
            ),
            depth=depth,
            dtype=srgb_dtype(depth, space, profile),
            has_alpha=image.bands > _COLORS[space],
            tiled=tiled,
        )
    else:

        def decoded(first: bool) -> NDArray[Any]:
            one = image if first else load()
            return to_numpy(one if orientation == 1 else _upright(one.copy_memory()))

        content = Held(*convert(_watched(decoded, tiled)))
    return Photo(
        content,
        name,
        "file",
        depth=depth,
        profiled=profile is not None,
        metadata=metadata,
        resolution=resolution,
        source=place,
        extension=_LOADERS[loader],
        page=page,
        pages=pages,
        frames=image.get("n-pages") if layout is None and "n-pages" in fields else 1,
        layout=layout,
        bits=image.get("bits-per-sample") if narrow else 0,
        volume=found.volume if found else 0,
        stored=origin.open if layout is not None and layout.masks else None,
        notes=(_STRAY,) if found is not None and found.stray is not None else notes,
        turn=partial(_turned, origin, loader, name, place, found) if found and pages > 1 else None,
        quality=quality,
    )


def _held_whole(image: Any, loader: str) -> tuple[str, int]:
    """What kind of file it is, and how many bytes a pixel its decoder holds; 0 if it streams."""
    fields = set(image.get_fields())
    interlaced = any(key in fields and image.get(key) for key in ("interlaced", "jpeg-multiscan"))
    size = image.bands * np.dtype(DTYPES[image.format]).itemsize
    if loader == "webpload_source":
        return "WebP", size
    if loader == "heifload_source":
        return "AVIF", size
    if loader == "pngload_source" and interlaced:
        return "interlaced PNG", size
    if loader == "jpegload_source" and interlaced:
        return "progressive JPEG", 2 * image.bands  # its coefficients
    return "", 0


def _decode_heic(origin: _Origin, name: str, place: tuple[str, int, int] | None) -> Photo:
    with origin.open() as file:
        samples, metadata, profile, images, resolution = decode_heif(file, name, check_size)
    space = "GRAY" if samples.shape[2] <= 2 else "RGB "
    color, alpha = _converted(samples, name=name, space=space, profile=profile, bits=0)
    return Photo(
        Held(color, alpha),
        name,
        "file",
        depth=samples.dtype,
        profiled=profile is not None,
        metadata=metadata,
        resolution=resolution,
        source=place,
        extension=_LOADERS[_HEIC],
        frames=images,
    )


def _mended(origin: _Origin, at: int, width: int, name: str) -> _Bytes:
    """A TIFF file without the place of a next page, at which libvips would fail."""
    if origin.size() > _MOST_MENDED:
        raise PhotoError(f"{name}: the chain of its pages breaks off after 1; {_REMEDY_DAMAGED}")
    with origin.open() as file:
        data = bytearray(file.read())
    data[at : at + width] = bytes(width)
    return _Bytes(bytes(data))


def _with_alpha_said(origin: _Origin) -> _Origin:
    """A lossless WebP file with its alpha declared in both headers; libvips trusts the first alone.

    Source: RFC 9649, 2.7 (VP8X) and 3.4 (the header of VP8L).
    """
    with origin.open() as file:
        head = file.read(21)
        if head[12:16] != b"VP8X" or len(head) < 21 or head[20] & 0x12:  # has alpha, or is animated
            return origin
        at = 30
        while len(chunk := _at(file, at, 13)) == 13 and chunk[:4] != b"VP8L":
            size = int.from_bytes(chunk[4:8], "little")
            at += 8 + size + size % 2
        says_alpha = len(chunk) == 13 and chunk[8] == 0x2F and chunk[12] & 0x10
        if not says_alpha or origin.size() > _MOST_MENDED:
            return origin
        file.seek(0)
        data = bytearray(file.read())
    data[20] |= 0x10
    return _Bytes(bytes(data))


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def _turned(
    origin: _Origin,
    loader: str,
    name: str,
    place: tuple[str, int, int] | None,
    found: Pages,
    page: int,
) -> Photo:
    return _named(name, lambda: _decode(origin, loader, name, place, page, found))


def _check_pages(image: Any, found: Pages, name: str) -> None:
    """Refuse a TIFF file of which pages would be lost without a word."""
    counted = image.get("n-pages") if "n-pages" in image.get_fields() else 1
    if found.whole and found.directories == counted:
        return
    pages = min(found.directories, counted)
    raise PhotoError(f"{name}: the chain of its pages breaks off after {pages}; {_REMEDY_DAMAGED}")


def _open(
    origin: _Origin, loader: str, page: int, access: str = "sequential", roomy: bool = False
) -> Any:
    """The libvips image of a page; nothing but its header is read yet."""
    options: dict[str, Any] = {"page": page} if page else {}
    if roomy:
        options["unlimited"] = True
    load = getattr(pyvips.Image, loader)
    with _LOG:
        return load(origin.source(), access=access, fail_on="error", **options)


def _upright(image: Any) -> Any:
    """An image turned as it asks for.

    By `call`, here and below: to look for ``image.autorot``, pyvips clears the log of errors that
    `_watched` reads.
    """
    return pyvips.Operation.call("autorot", image)


def _open_planes(
    origin: _Origin,
    fronts: list[bytes],
    access: str = "sequential",
    roomy: bool = False,
    premultiplied: bool = False,
) -> Any:
    """The libvips image of a page of tiles in separate planes; see `plane_fronts`."""
    file = _Shared(origin)
    planes = []
    for front in fronts:
        view = _Fronted(front, file)
        source = pyvips.SourceCustom()
        source.on_read(view.read)
        source.on_seek(view.seek)
        with _LOG:
            plane = pyvips.Image.tiffload_source(
                source, access=access, fail_on="error", unlimited=roomy
            )
        # As `pyvips.Image.new_from_source` does it, which would try other loaders as well: what is
        # made of the image holds what libvips will call.
        plane._references.append(source)
        planes.append(plane)
    call = pyvips.Operation.call
    joined = call("bandjoin", planes)
    if not premultiplied:
        return joined
    most = {"uchar": 255, "ushort": 65535}.get(joined.format, 1)
    straight = call("unpremultiply", joined, max_alpha=most, alpha_band=joined.bands - 1)
    return call("cast", straight, joined.format)


class _Shared:
    """A file that several read from, each at its own place; closed with the last reference."""

    def __init__(self, origin: _Origin) -> None:
        self.file, self.size = origin.open(), origin.size()
        self.lock = threading.Lock()

    def __del__(self) -> None:
        if "file" in vars(self):
            self.file.close()

    def part(self, at: int, size: int) -> bytes:
        with self.lock:
            return _at(self.file, at, size)


class _Fronted:
    """A file with more bytes in front of its own."""

    def __init__(self, front: bytes, file: _Shared) -> None:
        self.front, self.file, self.at = front, file, 0

    # What libvips calls; no exception may leave these.

    def read(self, size: int) -> bytes:
        if self.at < len(self.front):
            part = self.front[self.at : self.at + size]
        else:
            try:
                part = self.file.part(self.at - len(self.front), size)
            except (OSError, OverflowError):
                return b""  # to libvips an early end of the file
        self.at += len(part)
        return part

    def seek(self, offset: int, whence: int) -> int:
        at = offset + (0, self.at, len(self.front) + self.file.size)[whence]
        if at < 0:
            return -1
        self.at = at
        return at


def _converted(
    samples: NDArray[Any], *, name: str, space: str, profile: bytes | None, bits: int
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Color (n, W, 1 or 3) in sRGB and alpha (n, W) of samples as they were decoded."""
    if samples.dtype == np.float32:
        check_unit_range(samples, name)
    elif bits:
        samples = samples | samples >> bits
    color, alpha = split_alpha(samples, space)
    return to_srgb(color, space, profile), alpha


# The log of errors of libvips is one for the whole process. What it says of tiles is not what it
# says of `strips.StripSource`, when strips that another thread saves end early.
_TILE = re.compile(rb"^tiff2vips: (?!Read error at scanline)", re.MULTILINE)
_LOG = threading.RLock()
_MARK = "photochrom reads here"
_MOST_LOG = 8000  # bytes; somewhat more is all that libvips keeps
_TRIES = 20
_marks = itertools.count()


def _watched(read: Callable[[bool], T], tiled: bool) -> T:
    """Decode; raise pyvips.Error if a tile of a TIFF file that is decoded meanwhile is damaged.

    The cache of tiles in libvips leaves such a tile black and goes on, whatever ``fail_on`` says;
    only its log of errors tells. So threads decode one at a time, whatever the files: one would
    bear the blame of another. On two cores that costs four threads that color TIFFs of half a
    megapixel a fortieth of their time. And an error of any other thread, one that writes say, takes
    the log along: so a line of ours is its first, and where that is gone the file is decoded again.

    Parameters
    ----------
    read : is told whether this is its first time
    tiled : whether there are tiles
    """
    lib = pyvips.vips_lib
    with _LOG:
        if not tiled:
            return read(True)
        for n in range(_TRIES):
            lib.vips_error_clear()
            # There is no such file, and to say so is the only way to write to the log.
            lib.vips_foreign_find_load(f"/{_MARK} {next(_marks)}".encode())
            mark = pyvips.ffi.string(lib.vips_error_buffer())
            found = read(n == 0)
            log = pyvips.ffi.string(lib.vips_error_buffer())
            if _TILE.search(log):
                raise pyvips.Error("damaged tile")  # takes the log along, and clears it
            if log.startswith(mark) and len(log) < _MOST_LOG:
                lib.vips_error_clear()
                return found
    raise pyvips.Error("disturbed", "too many other photos failed at the same time")


@dataclass(frozen=True, eq=False)
class Streamed:
    """Pixels that stay in a file, and are decoded when they are asked for.

    Those of a file of moderate size, see `KEPT_BYTES`, only the first time.
    """

    origin: _Origin
    load: Callable[[], Any]  # the libvips image, upright
    convert: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any] | None]]
    name: str
    shape: tuple[int, int, int]
    depth: np.dtype[Any]  # of the samples as they are decoded, and
    dtype: np.dtype[Any]  # in sRGB
    has_alpha: bool
    tiled: bool

    def strips(self, rows: int) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """Decode from top to bottom, a strip ahead of what is asked for.

        Raises
        ------
        PhotoError
            The file is damaged, or was changed since it was read first.
        """
        if "_all" in vars(self):
            yield from Held(*self._all).strips(rows)
        elif self._nbytes <= KEPT_BYTES:
            # Copied, and not fetched into its place, which libvips does not offer; but this also
            # gives the memory of each strip back at once, to be used for the next one.
            keep = _Keep(self)
            yield from self._decoded(rows, keep.take)
            vars(self)["_all"] = keep.pixels, keep.alpha
        else:
            yield from self._decoded(rows, lambda top, color, alpha: (color, alpha))

    @property
    def _nbytes(self) -> int:
        height, width, channels = self.shape
        size = channels * self.dtype.itemsize + self.has_alpha * self.depth.itemsize
        return height * width * size

    def _decoded(
        self,
        rows: int,
        kept: Callable[[int, NDArray[Any], NDArray[Any] | None], Strip],
    ) -> Iterator[Strip]:
        height, width = self.shape[:2]
        with ThreadPoolExecutor(1) as decoder:
            image: Any = None  # held, for it holds what libvips calls
            region: Any = None

            def fetch(top: int) -> Strip:
                n = min(rows, height - top)

                def read(first: bool) -> Any:
                    nonlocal image, region
                    if region is None or not first:  # in one thread, as libvips wants it
                        fresh = self.load()
                        region = pyvips.Region.new(fresh)
                        image = fresh  # and the one before is let go after its region
                    return region.fetch(0, top, width, n)

                data = _watched(read, self.tiled)
                if top + n == height:
                    self.origin.check()
                samples = np.frombuffer(data, self.depth).reshape(n, width, -1)
                return kept(top, *self.convert(samples))

            ahead = decoder.submit(fetch, 0)
            for top in range(rows, height + rows, rows):
                strip = _named(self.name, ahead.result)
                if top < height:
                    ahead = decoder.submit(fetch, top)
                yield strip

    @cached_property
    def _all(self) -> tuple[NDArray[Any], NDArray[Any] | None]:
        keep = _Keep(self)
        for _ in self._decoded(strip_rows(self.shape[1]), keep.take):
            pass
        return keep.pixels, keep.alpha

    @property
    def pixels(self) -> NDArray[Any]:
        """All of them, kept from now on."""
        return self._all[0]

    @property
    def alpha(self) -> NDArray[Any] | None:
        """All of it, kept from now on."""
        return self._all[1] if self.has_alpha else None


class _Keep:
    """Room for all samples of a file, filled a strip after the other."""

    def __init__(self, photo: Streamed) -> None:
        self.pixels: NDArray[Any] = np.empty(photo.shape, photo.dtype)
        self.alpha = np.empty(photo.shape[:2], photo.depth) if photo.has_alpha else None

    def take(self, top: int, color: NDArray[Any], alpha: NDArray[Any] | None) -> Strip:
        rows = slice(top, top + len(color))
        self.pixels[rows] = color
        if self.alpha is not None:
            self.alpha[rows] = alpha
        return self.pixels[rows], None if self.alpha is None else self.alpha[rows]


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
            need_heif(name)
            return _HEIC
    if loader is None:
        raise PhotoError(f"{name}: not a {_FORMAT_NAMES} file; convert it to one of these")
    if pyvips.type_find("VipsOperation", loader) == 0:
        raise PhotoError(
            f"{name}: the installed libvips cannot read this format; "
            "pip install pyvips-binary, or convert the file to JPEG, PNG or TIFF"
        )
    return loader


def _resolution(
    image: Any, fields: set[str], block: bytes | None, origin: _Origin, loader: str
) -> Resolution | None:
    if loader == "tiffload_source":
        # A ratio is no size, and one is what libvips fills in where the file says nothing.
        unit = image.get("resolution-unit") if "resolution-unit" in fields else ""
        known = unit != "none" if unit else (image.xres, image.yres) != (1.0, 1.0)
        return sane(float(image.xres), float(image.yres)) if known else None
    # Not as libvips has it: it prefers that of EXIF, and takes none from the EXIF of WebP and AVIF.
    exif = None if block is None else exif_resolution(block)
    own = None
    if read := {"jpegload_source": jfif_resolution, "pngload_source": png_resolution}.get(loader):
        with origin.open() as file:
            own = read(file)
    return chosen(own, exif)


def reason(error: pyvips.Error) -> str:
    """The first telling line of a libvips error, without the name of the C module in front."""
    for line in error.detail.splitlines():
        text = re.sub(r"^\w+: ", "", line.strip())
        # Said on the way to the real reason, and by `_watched`.
        if text and not text.startswith("bad seek") and _MARK not in text:
            return text.rstrip(".")
    return "its data is damaged"
