"""Photo files read: the format found, the header checked, the pixels upright and in sRGB."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo import streamed
from photochrom.photo.formats.heic import HEIC_LOADER, decode_heif, heif_size
from photochrom.photo.formats.jpeg import (
    LOST_XMP,
    extended_xmp,
    jfif_resolution,
    jpeg_quality,
    main_xmp,
)
from photochrom.photo.formats.planes import open_planes, plane_fronts
from photochrom.photo.formats.png import (
    LONG_TEXTS,
    LOST_TEXT,
    png_resolution,
    png_texts,
    raw_profiles,
)
from photochrom.photo.formats.table import LOADERS, find_loader
from photochrom.photo.formats.tiff import (
    LARGE_VALUES,
    MOST_VALUES,
    STRAY,
    Pages,
    check_pages,
    largest_part,
    mended,
    read_pages,
)
from photochrom.photo.formats.webp import with_alpha_said
from photochrom.photo.metadata.exif import exif_block, exif_resolution
from photochrom.photo.metadata.resolution import Resolution, chosen, sane
from photochrom.photo.metadata.xmp import extension_of, join_extension
from photochrom.photo.photo import MAX_WHOLE, Held, Photo, Pixels, check_size, check_whole
from photochrom.photo.profiles import srgb_dtype, to_srgb
from photochrom.photo.samples import check_unit_range, split_alpha
from photochrom.photo.source import (
    REMEDY_DAMAGED,
    BytesOrigin,
    FileOrigin,
    KeptBytes,
    Origin,
    file_name,
    file_state,
    named_in_words,
    no_room,
    temporary_file,
)
from photochrom.photo.streamed import Streamed
from photochrom.photo.vips import DTYPES, VIPS_LOG, to_numpy, upright, watched

__all__ = ["decode_photo", "photo_format", "photo_size", "read_photo", "read_stream"]

_COLORS = {"GRAY": 1, "RGB ": 3, "CMYK": 4}  # channels besides alpha
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
    return named_in_words(name, lambda: _read_file(name, page))


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
    return named_in_words(name, lambda: _read_copy(stream, name))


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
        find_loader(head[:64], name)  # before an endless stream fills the disk
    with temporary_file(name) as copy:
        part = head
        while part:
            try:
                while part:
                    part = part[copy.write(part) :]
            except OSError as error:
                raise no_room(name, error.strerror, tempfile.gettempdir()) from None
            part = stream.read(1 << 20)
        os.lseek(copy.fileno(), 0, os.SEEK_SET)
        kept = KeptBytes(os.dup(copy.fileno()))
    photo = _read_descriptor(kept.descriptor, name, "", 0, kept)
    status = os.fstat(stream.fileno())
    # "< photo.jpg": the file itself, which is never overwritten.
    is_file = stat.S_ISREG(status.st_mode)
    return replace(photo, source=("", status.st_dev, status.st_ino) if is_file else None)


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
    loader = find_loader(data[:64], name)
    return named_in_words(name, lambda: _decode(BytesOrigin(data), loader, name, None, 0))


def photo_format(head: bytes, name: str = "photo") -> str:
    """The format of a file by its first 64 bytes, as an extension such as ".jpg".

    Raises
    ------
    PhotoError
        It is none that is read here.
    """
    return LOADERS[find_loader(head[:64], name)]


def photo_size(data: bytes, name: str = "photo") -> tuple[int, int]:
    """(height, width) that the header of a photo file states; no pixel is decoded.

    Raises
    ------
    PhotoError
        It is not a photo, or its header is damaged.
    """
    found = find_loader(data[:64], name)
    if found == HEIC_LOADER:
        return heif_size(io.BytesIO(data), name)
    loader = getattr(pyvips.Image, found)
    source = pyvips.Source.new_from_memory(data)

    def size() -> tuple[int, int]:
        with VIPS_LOG:
            image = loader(source, access="sequential", fail_on="error")
        return int(image.height), int(image.width)

    return named_in_words(name, size)


def _read_descriptor(
    descriptor: int, name: str, path: str, page: int, copy: KeptBytes | None = None
) -> Photo:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError(f"{name}: not a file; give the path of a photo")
    if status.st_size == 0:
        raise PhotoError(f"{name}: the file is empty; restore it from a copy")
    loader = find_loader(os.read(descriptor, 64), name)
    origin = FileOrigin(path, name, file_state(status), copy)
    return _decode(origin, loader, name, (path, status.st_dev, status.st_ino), page)


def _decode(
    origin: Origin,
    loader: str,
    name: str,
    place: tuple[str, int, int] | None,
    page: int,
    found: Pages | None = None,  # if they were read before
) -> Photo:
    if loader == HEIC_LOADER:
        return _decode_heic(origin, name, place)
    pages, layout = 1, None
    if loader == "webpload_source":
        origin = with_alpha_said(origin)
    if loader == "tiffload_source":
        if found is None:
            with origin.open() as file:
                found = read_pages(file)
        if found.stray is not None:
            origin = mended(origin, *found.stray, name)
        pages = max(1, len(found.layouts))
        layout = found.layouts[page] if 0 <= page < len(found.layouts) else None
    if not 0 <= page < pages:
        raise PhotoError(f"{name}: has no page {page}; its pages are 0 to {pages - 1}")
    if found is not None and found.values > min(MOST_VALUES, origin.size()):
        raise PhotoError(
            f"{name}: its directories list more data than there is in the file; {REMEDY_DAMAGED}"
        )
    if layout is not None and layout.double:
        raise PhotoError(
            f"{name}: floats of 64 bits are not supported; convert it to 32-bit float or 16 bits"
        )
    index = 0 if layout is None else layout.index
    roomy = found is not None and found.values > LARGE_VALUES
    if layout is not None and not roomy:
        with origin.open() as file:
            largest = largest_part(file, layout.place)
        roomy = LARGE_VALUES < largest <= min(origin.size(), MAX_WHOLE)
    load = partial(_open, origin, loader, index, roomy=roomy)
    image = load()
    if found is not None:
        check_pages(image, found, name)
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
        notes = () if whole else (LONG_TEXTS,)
        notes += tuple(LOST_TEXT.format(keyword) for keyword in raw.lost)
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
            notes = (LOST_XMP,)
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
        load = partial(open_planes, origin, fronts, roomy=roomy, premultiplied=layout.premultiplied)
        header, image = image, load() if len(fronts) == image.bands else None
        if image is None or any(
            getattr(image, key) != getattr(header, key) for key in ("width", "height", "format")
        ):
            raise PhotoError(f"{name}: its planes do not fit together; {REMEDY_DAMAGED}")
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
    if image.width * image.height > streamed.STREAM_PIXELS:
        height, width = image.height, image.width
        content = Streamed(
            origin=origin,
            # Turning needs the pixels in another order than they are decoded in: libvips then puts
            # them into a temporary file, or into memory if they are less than 100 MB.
            load=load if orientation == 1 else lambda: upright(load(access="random")),
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
            return to_numpy(one if orientation == 1 else upright(one.copy_memory()))

        content = Held(*convert(watched(decoded, tiled)))
    return Photo(
        content,
        name,
        "file",
        depth=depth,
        profiled=profile is not None,
        metadata=metadata,
        resolution=resolution,
        source=place,
        extension=LOADERS[loader],
        page=page,
        pages=pages,
        frames=image.get("n-pages") if layout is None and "n-pages" in fields else 1,
        layout=layout,
        bits=image.get("bits-per-sample") if narrow else 0,
        volume=found.volume if found else 0,
        stored=origin.open if layout is not None and layout.masks else None,
        notes=(STRAY,) if found is not None and found.stray is not None else notes,
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


def _decode_heic(origin: Origin, name: str, place: tuple[str, int, int] | None) -> Photo:
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
        extension=LOADERS[HEIC_LOADER],
        frames=images,
    )


def _turned(
    origin: Origin,
    loader: str,
    name: str,
    place: tuple[str, int, int] | None,
    found: Pages,
    page: int,
) -> Photo:
    return named_in_words(name, lambda: _decode(origin, loader, name, place, page, found))


def _open(
    origin: Origin, loader: str, page: int, access: str = "sequential", roomy: bool = False
) -> Any:
    """The libvips image of a page; nothing but its header is read yet."""
    options: dict[str, Any] = {"page": page} if page else {}
    if roomy:
        options["unlimited"] = True
    load = getattr(pyvips.Image, loader)
    with VIPS_LOG:
        return load(origin.source(), access=access, fail_on="error", **options)


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


def _resolution(
    image: Any, fields: set[str], block: bytes | None, origin: Origin, loader: str
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
