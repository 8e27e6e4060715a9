"""Photographs in and out: files, NumPy arrays and PIL images, never altered in place.

::

    open_photo(source) ──▶ Photo ──▶ (the colorizer) ──▶ Photo.restore(rgb)    the type that came in
       │ file: read_photo                               write_photo(path, rgb, photo)   a file

What reading a file does, in this order: the format is found from the first bytes, never from the
name; the size in the header is checked before a pixel is decoded; truncated data is an error; the
EXIF orientation is applied; an embedded ICC profile is converted to sRGB; alpha is set apart. Bit
depth is kept: 8, 16 or float.

What writing does: the new file appears whole or not at all, another file is replaced only with
``force``, and the photo's own source file never.

Known limits: of a file with several pages or frames only the first is read; the EXIF of a TIFF file
is neither read nor written (libvips leaves it out; its XMP, IPTC, resolution and description
are kept); IPTC blocks are written to JPEG and TIFF only.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Literal
from xml.sax.saxutils import quoteattr

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.errors import PhotoError

if TYPE_CHECKING:
    import PIL.Image

__all__ = [
    "EXTENSIONS",
    "MAX_PIXELS",
    "MAX_SIDE",
    "Photo",
    "decode_photo",
    "open_photo",
    "photo_format",
    "photo_size",
    "publish",
    "read_photo",
    "read_stream",
    "resized",
    "shrunk",
    "to_jpeg",
    "to_png",
    "to_uint8",
    "write_photo",
]

# libvips keeps the results of recent operations, in case they are asked for again: here they never
# are, so it would only hold memory, and what it holds under a file's name goes stale.
pyvips.cache_set_max(0)

MAX_PIXELS = 500_000_000  # 22,000 x 22,000; larger is far more often an attack than a photograph
MAX_SIDE = (
    100_000  # 4.2 m at 600 dpi; a strip of some millions of pixels costs memory by its length
)

# Where no resolution is known, EXIF 2.32 (tag 0x011A, XResolution) designates 72 pixels an inch.
_UNKNOWN_RESOLUTION = 72 / 25.4  # pixels per mm, the unit of libvips

_DTYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_VIPS_FORMATS = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_INTERPRETATIONS = {  # (color space as ICC spells it, 16 bit?) -> as libvips spells it
    ("GRAY", False): "b-w",
    ("GRAY", True): "grey16",
    ("RGB ", False): "srgb",
    ("RGB ", True): "rgb16",
    ("CMYK", False): "cmyk",
    ("CMYK", True): "cmyk",
}


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph as the colorizer sees it, with what is needed to give it back as it came."""

    pixels: NDArray[Any]  # (H, W, 1) gray or (H, W, 3) sRGB-encoded; uint8, uint16, or float32 0..1
    alpha: NDArray[Any] | None  # (H, W), same dtype; straight, not premultiplied
    name: str  # for messages: the path, "array" or "PIL image"
    kind: Literal["file", "array", "pil"]
    dtype: np.dtype[Any] | None = None  # what restore gives back; None: that of the pixels
    profiled: bool = False  # the source carried an ICC profile: tag the result as sRGB
    metadata: Mapping[str, Any] = field(default_factory=dict)  # libvips fields, or a PIL info dict
    resolution: tuple[float, float] | None = None  # pixels per mm, across and down; None: unknown
    source: tuple[str, int, int] | None = None  # a file's absolute path, device and inode
    extension: str = ""  # that of the format which a file was in, ".jpg"

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    def restore(self, rgb: NDArray[Any]) -> Any:
        """Give colored pixels back as the type that came in.

        Parameters
        ----------
        rgb : ndarray, (H, W, 3), dtype of ``pixels``
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
            The shape or dtype of ``rgb`` does not belong to this photo.
        """
        _check_colors(rgb, self)
        if self.kind != "pil":
            return _with_alpha(rgb, self.alpha).astype(self.dtype or rgb.dtype, copy=False)
        import PIL.Image

        alpha = None if self.alpha is None else _requantize(self.alpha, np.uint8)
        image = PIL.Image.fromarray(_with_alpha(_requantize(rgb, np.uint8), alpha))
        image.info.update(self.metadata)
        if self.profiled:
            image.info["icc_profile"] = _srgb_profile()
        return image


def open_photo(source: Any) -> Photo:
    """Make a :class:`Photo` of a file, an array or a PIL image.

    Parameters
    ----------
    source : str, os.PathLike, ndarray or PIL.Image.Image
        A path: see :func:`read_photo`.
        An array: (H, W) or (H, W, 1) gray, (H, W, 2) gray and alpha, (H, W, 3) sRGB-encoded RGB,
        (H, W, 4) RGB and alpha; uint8, uint16, bool, or float16/32/64 in 0..1. It is not copied
        where its dtype and layout already fit. An object with ``__array__`` counts as an array.
        A PIL image of mode 1, L, LA, P, RGB, RGBA, I, I;16, F (0..1), CMYK, YCbCr or HSV. Its ICC
        profile is applied. Its EXIF orientation is not: the pixels stay as PIL shows them, and the
        restored image has the same EXIF, so that ``PIL.ImageOps.exif_transpose`` works on it
        just as on the original.

    Returns
    -------
    Photo

    Raises
    ------
    PhotoError
        The source cannot be read or is not a photograph.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_photo(source)
    # A PIL image can only exist once its module is loaded: PIL itself stays optional.
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(source, pil.Image):
        return _from_pil(source)
    if not hasattr(source, "__array__"):
        raise PhotoError(
            f"{type(source).__name__}: not a photo; give a path, a NumPy array or a PIL image"
        )
    try:
        array = np.asarray(source)
    except Exception as error:  # any error a foreign array type may raise, such as torch's on GPU
        raise PhotoError(
            f"{type(source).__name__}: cannot be read as a NumPy array: {_one_line(error)}; "
            "convert it to one first"
        ) from error
    return _from_array(array)


# --- arrays -------------------------------------------------------------------------------------


def _from_array(array: NDArray[Any]) -> Photo:
    name = "array"
    shape = "(" + ", ".join(map(str, array.shape)) + ")"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        remedy = "give (height, width) or (height, width, channels) with 1 to 4 channels"
        if array.ndim == 3 and array.shape[0] in (1, 2, 3, 4):
            remedy = "move its channels last: array.transpose(1, 2, 0)"
        raise PhotoError(f"{name}: shape {shape} is not that of a photo; {remedy}")
    if array.size == 0:
        raise PhotoError(f"{name}: shape {shape} holds no pixels; give at least one")
    _check_size(name, array.shape[1], array.shape[0])

    dtype = array.dtype.newbyteorder("=")
    if dtype == np.bool_:
        restored = np.dtype(np.uint8)
        array = array.astype(np.uint8) * np.uint8(255)
    elif dtype in (np.uint8, np.uint16):
        restored = dtype
        array = array.astype(dtype, copy=False)
    elif dtype in (np.float16, np.float32, np.float64):
        restored = dtype
        _check_unit_range(array, name)
        array = array.astype(np.float32, copy=False)
    else:
        remedy = "give uint8, uint16, bool, or float16/32/64 in 0..1"
        if np.issubdtype(dtype, np.integer):
            remedy = "convert it, for example array.astype('uint8') for values 0..255"
        raise PhotoError(f"{name}: dtype {dtype} is not supported; {remedy}")
    samples = array.reshape(*array.shape[:2], -1)
    pixels, alpha = _split(samples, _space(samples))
    return Photo(pixels, alpha, name, "array", dtype=restored)


def _check_unit_range(array: NDArray[Any], name: str) -> None:
    low, high = float(array.min()), float(array.max())  # NaN anywhere makes both NaN
    if low >= 0 and high <= 1:
        return
    if np.isnan(low):
        problem, remedy = "holds NaN", "replace them, for example with numpy.nan_to_num"
    else:
        problem = f"holds values from {low:g} to {high:g} where floats must lie in 0..1"
        remedy = "scale or clip them"
    raise PhotoError(f"{name}: {problem}; {remedy}")


def _check_size(name: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PhotoError(
            f"{name}: {width} x {height} pixels are over the limit of {MAX_PIXELS / 1e6:g} "
            "megapixels; scale it down, cut it into tiles, or raise photochrom.image.MAX_PIXELS"
        )
    if max(width, height) > MAX_SIDE:
        raise PhotoError(
            f"{name}: {width} x {height} pixels are over the limit of {MAX_SIDE} a side; scale it "
            "down, cut it into tiles, or raise photochrom.image.MAX_SIDE"
        )


def _check_colors(rgb: NDArray[Any], photo: Photo) -> None:
    expected = (photo.height, photo.width, 3)
    if rgb.shape != expected or rgb.dtype != photo.pixels.dtype:
        raise PhotoError(
            f"{photo.name}: colors of shape {rgb.shape} and dtype {rgb.dtype} do not fit it; "
            f"give {expected} and {photo.pixels.dtype}"
        )


def _space(samples: NDArray[Any]) -> str:
    """The color space of samples other than CMYK, as ICC spells it."""
    return "GRAY" if samples.shape[2] <= 2 else "RGB "


def _split(samples: NDArray[Any], space: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """(H, W, C) into color (H, W, 1, 3 or 4) and, if there is one more channel, alpha (H, W)."""
    colors = {"GRAY": 1, "RGB ": 3, "CMYK": 4}[space]
    alpha = np.ascontiguousarray(samples[..., colors]) if samples.shape[2] > colors else None
    return np.ascontiguousarray(samples[..., :colors]), alpha


def _with_alpha(rgb: NDArray[Any], alpha: NDArray[Any] | None) -> NDArray[Any]:
    return rgb if alpha is None else np.concatenate([rgb, alpha[..., np.newaxis]], axis=2)


def _requantize(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """The same values in another dtype of the three, rounded to nearest."""
    if values.dtype == dtype:
        return values
    result: NDArray[Any]
    if values.dtype == np.uint16 and dtype == np.uint8:
        # v / 257, rounded: to drop the low byte, as libvips does, darkens by half a step.
        table = ((np.arange(65536) + 128) // 257).astype(np.uint8)
        result = np.take(table, values)
    elif values.dtype == np.uint8 and dtype == np.uint16:
        result = values.astype(np.uint16) * np.uint16(257)
    elif values.dtype == np.float32:
        scaled = np.clip(values, 0, 1) * np.float32(np.iinfo(dtype).max)
        result = np.rint(scaled, out=scaled).astype(dtype)
    else:
        result = values / np.float32(np.iinfo(values.dtype).max)
    return result


def to_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels of a :class:`Photo` in 8 bits, rounded to nearest."""
    return _requantize(pixels, np.uint8)


def resized(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A picture (H, W, C) brought to (height, width) by Lanczos filtering, without aliasing."""
    if rgb.shape[:2] == (height, width):
        return rgb
    small = _to_vips(rgb).thumbnail_image(width, height=height, size="force", no_rotate=True)
    return np.ascontiguousarray(_to_numpy(small))


def shrunk(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """A picture (H, W, C) reduced by a whole factor: the mean of each factor x factor pixels.

    What is left over at the right and below makes one more column and row.
    """
    if factor == 1:
        return picture
    return np.ascontiguousarray(_to_numpy(_to_vips(picture).shrink(factor, factor, ceil=True)))


def to_jpeg(rgb: NDArray[np.uint8], quality: int = 85) -> bytes:
    """A picture (H, W, 3) as a JPEG without metadata; from quality 90 on with full chroma."""
    return bytes(_to_vips(rgb).jpegsave_buffer(Q=quality, keep="none"))


def to_png(picture: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, C) as a PNG without metadata, packed quickly."""
    return bytes(_to_vips(picture).pngsave_buffer(compression=1, keep="none"))


# --- PIL images ---------------------------------------------------------------------------------

# Modes that PIL itself converts; CMYK and the deep gray modes are not among them.
_PIL_TARGETS = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "YCbCr": "RGB",
    "HSV": "RGB",
}


def _from_pil(image: PIL.Image.Image) -> Photo:
    name = "PIL image"
    width, height = image.size
    if width == 0 or height == 0:
        raise PhotoError(f"{name}: {width} x {height} holds no pixels; give at least one")
    _check_size(name, width, height)
    try:
        samples = _pil_samples(image, name)
    except (OSError, SyntaxError, ValueError) as error:  # PIL decodes a lazily opened file here
        raise PhotoError(
            f"{name}: cannot be decoded: {_one_line(error)}; save or export it again"
        ) from error
    profile = image.info.get("icc_profile")
    space = "CMYK" if image.mode == "CMYK" else _space(samples)
    color, alpha = _split(samples, space)
    info: Mapping[Any, Any] = image.info
    metadata = {key: info[key] for key in ("dpi", "exif", "xmp") if key in info}
    return Photo(
        _to_srgb(color, space, profile),
        alpha,
        name,
        "pil",
        profiled=bool(profile),
        metadata=metadata,
    )


def _pil_samples(image: PIL.Image.Image, name: str) -> NDArray[Any]:
    """(H, W, C) uint8, uint16 or float32."""
    mode = image.mode
    if mode in _PIL_TARGETS:
        target = _PIL_TARGETS[mode]
        if "transparency" in image.info:  # one color, or one entry of the palette, is see-through
            target = {"L": "LA", "RGB": "RGBA"}.get(target, target)
        samples = np.asarray(image if mode == target else image.convert(target))
    elif mode == "CMYK":
        samples = np.asarray(image)
    elif mode.startswith("I;16"):
        samples = np.asarray(image).astype(np.uint16, copy=False)  # I;16B comes big-endian
    elif mode == "I":
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:
            raise PhotoError(
                f"{name}: mode I holds values from {wide.min()} to {wide.max()}; "
                "scale them to 0..65535"
            )
        samples = wide.astype(np.uint16)
    elif mode == "F":
        samples = np.asarray(image)
        _check_unit_range(samples, name)
    else:
        raise PhotoError(f"{name}: mode {mode} is not supported; convert it: image.convert('RGB')")
    return samples.reshape(image.height, image.width, -1)


# --- color profiles -----------------------------------------------------------------------------


def _to_srgb(color: NDArray[Any], space: str, profile: bytes | None) -> NDArray[Any]:
    """(H, W, C) without alpha, in sRGB: gray stays one channel, CMYK becomes three.

    A damaged profile, or one of another color space than the pixels, is passed over, as viewers
    do: the values then count as sRGB (CMYK: as the press profile that libvips brings).
    """
    usable = profile is not None and profile[36:40] == b"acsp" and profile[16:20] == space.encode()
    if space == "CMYK":
        if usable:
            with contextlib.suppress(pyvips.Error):
                return _transform(color, space, profile)
        return _transform(color, space, None)
    if not usable or profile is None or (space == "RGB " and _is_srgb(profile)):
        return color
    if color.dtype == np.float32:  # LittleCMS in libvips takes integers only
        deep = _requantize(color, np.uint16)
        converted = _to_srgb(deep, space, profile)
        return color if converted is deep else _requantize(converted, np.float32)
    if space == "RGB ":
        return _transform(color, space, profile)
    table = _gray_table(profile, color.dtype == np.uint16)
    return color if table is None else np.take(table, color)


def _transform(color: NDArray[Any], space: str, profile: bytes | None) -> NDArray[Any]:
    deep = color.dtype == np.uint16
    image = _to_vips(color).copy(interpretation=_INTERPRETATIONS[space, deep])
    # Black point compensation: without it the darkest ink becomes a washed-out dark gray.
    options = {"intent": "relative", "black_point_compensation": True}
    depth = 16 if deep else 8
    if profile is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    if profile is not None and space != "CMYK" and (deep or space == "GRAY"):
        # The direct way looks values up in a coarse grid unless they are 8-bit RGB, and errs by
        # ten levels of 255 in saturated or dark colors. This one computes, at a fifth of its speed.
        light = image.icc_import(embedded=True, pcs="xyz", **options)
        return _to_numpy(light.icc_export(output_profile="srgb", pcs="xyz", depth=depth, **options))
    if space == "CMYK":
        options["input_profile"] = "cmyk"  # where none is embedded
    return _to_numpy(
        image.icc_transform("srgb", embedded=profile is not None, depth=depth, **options)
    )


@functools.lru_cache(maxsize=16)  # the photos of one folder mostly share one profile
def _is_srgb(profile: bytes) -> bool:
    """Whether a profile is one of sRGB or of no use: to convert would only cost time.

    The sRGB profiles of different makers differ by up to one 8-bit step, other spaces by more.
    """
    steps = np.linspace(0, 65535, 33).astype(np.uint16)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(33, -1, 3)
    try:
        moved = _transform(grid, "RGB ", profile).astype(np.int32) - grid
    except pyvips.Error:
        return True
    return bool(np.abs(moved).max() < 2 * 257)


@functools.lru_cache(maxsize=16)
def _gray_table(profile: bytes, deep: bool) -> NDArray[Any] | None:
    """The sRGB value of each gray value; None if it is the same or the profile is of no use."""
    steps = np.arange(65536 if deep else 256).astype(np.uint16 if deep else np.uint8)
    try:
        # R = G = B, for both white points are neutral.
        table = _transform(steps.reshape(1, -1, 1), "GRAY", profile)[0, :, 1]
    except pyvips.Error:
        return None
    moved = int(np.abs(table.astype(np.int32) - steps.astype(np.int32)).max())
    return table if moved >= (128 if deep else 1) else None


@functools.lru_cache(maxsize=1)
def _srgb_profile() -> bytes:
    return bytes(pyvips.Image.profile_load("srgb"))


def _to_vips(array: NDArray[Any]) -> Any:
    """A libvips image over the memory of an (H, W, C) array; no copy if it is contiguous."""
    height, width, bands = array.shape
    array = np.ascontiguousarray(array)
    return pyvips.Image.new_from_memory(
        array.data, width, height, bands, _VIPS_FORMATS[array.dtype]
    )


def _to_numpy(image: Any) -> NDArray[Any]:
    """(H, W, C), over the memory that libvips has decoded to: no copy."""
    samples = np.frombuffer(image.write_to_memory(), _DTYPES[image.format])
    return samples.reshape(image.height, image.width, image.bands)


# --- reading files ------------------------------------------------------------------------------

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
    name = _text(path)
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
            f"{name}: cannot be read: {_reason(error)}; {_REMEDY_DAMAGED}"
        ) from error.with_traceback(None)
    except PhotoError as error:
        raise error.with_traceback(None) from None


def _text(path: str | os.PathLike[str]) -> str:
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
    loader = getattr(pyvips.Image, _find_loader(data[:64], name))
    source = pyvips.Source.new_from_memory(data)

    try:
        image = loader(source, access="sequential", fail_on="error")
    except pyvips.Error as error:
        raise PhotoError(
            f"{name}: cannot be read: {_reason(error)}; {_REMEDY_DAMAGED}"
        ) from error.with_traceback(None)
    return int(image.height), int(image.width)


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
    _check_size(name, image.width, image.height)
    if image.format not in _DTYPES:
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

    samples = _to_numpy(image)
    if samples.dtype == np.float32:
        _check_unit_range(samples, name)
    elif loader == "heifload_source" and samples.dtype == np.uint16:
        # libvips shifts 10 or 12 bits up and leaves the low ones zero: white would not be white.
        samples = samples | samples >> image.get("bits-per-sample")
    space = "CMYK" if cmyk else _space(samples)
    color, alpha = _split(samples, space)
    return Photo(
        _to_srgb(color, space, profile),
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


def _reason(error: pyvips.Error) -> str:
    """The first telling line of a libvips error, without the name of the C module in front."""
    for line in error.detail.splitlines():
        text = re.sub(r"^\w+: ", "", line.strip())
        if text and not text.startswith("bad seek"):  # said on the way to the real reason
            return text.rstrip(".")
    return "its data is damaged"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --- writing files ------------------------------------------------------------------------------


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
_SAVERS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": _PNG,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".webp": _WEBP,
    ".avif": _AVIF,
}
EXTENSIONS = tuple(_SAVERS)  # of the files that are read and written, lower case, with the dot


def write_photo(
    path: str | os.PathLike[str],
    rgb: NDArray[Any],
    photo: Photo,
    *,
    force: bool = False,
    model: str = "",
    draft: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Write colored pixels to a file that is complete or absent, never half-written.

    The extension decides the format. PNG keeps 8 and 16 bits, TIFF also float; JPEG, WebP and AVIF
    hold 8 bits, rounded to nearest, and PNG holds float as 16 bits. Alpha is kept, except in JPEG,
    which has none: there the colors below transparent parts become visible. JPEG is written with
    quality 95 and full chroma resolution.

    From a source file the EXIF block (orientation reset, embedded gray thumbnail removed), XMP,
    IPTC and resolution are taken over where the format has a place for them. The XMP says, in the
    terms of the IPTC, that the colors are synthetic; only a packet of the source that is malformed
    or unusual is left as it is. An sRGB profile is embedded if the source had a profile.

    Parameters
    ----------
    path : str or os.PathLike
        Ends in .jpg, .jpeg, .png, .tif, .tiff, .webp or .avif.
    rgb : ndarray, (H, W, 3), dtype of ``photo.pixels``
        sRGB-encoded; floats in 0..1.
    photo : Photo
        The photo that ``rgb`` was made from.
    force : bool
        Replace an existing file; never the one that ``photo`` was read from.
    model : str
        The name of the model, for the XMP.
    draft : str
        The name that the file has until it is complete; in the same folder, and free. By default a
        random one, .photochrom-....
    ready : callable
        Called with the name of the draft when that is complete and on the disk, just before it
        takes its place. If it raises, the draft is removed and nothing else has happened.

    Raises
    ------
    PhotoError
        The extension is unknown, the file exists, it is the photo's own source, or it cannot be
        written. Nothing is left behind then, and an existing file is as it was.
    """
    _check_colors(rgb, photo)
    name = _text(path)
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in _SAVERS:
        raise PhotoError(
            f"{name}: the extension {suffix or '(none)'} is not known; use one of "
            + " ".join(EXTENSIONS)
        )
    saver = _SAVERS[suffix]
    if max(photo.width, photo.height) > saver.max_side:
        raise PhotoError(
            f"{name}: {photo.width} x {photo.height} pixels are more than the {saver.max_side} a "
            "side that this format can hold; write .png or .tif"
        )
    _check_target(name, photo, force)
    folder = os.path.dirname(name)
    # Same folder, so that the last step is a rename; same extension, for tools that watch folders.
    temporary = draft or os.path.join(folder, f".photochrom-{secrets.token_hex(8)}{suffix}")
    try:
        _save(temporary, rgb, photo, saver, model)
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
    except pyvips.Error as error:
        raise PhotoError(
            f"{name}: cannot be written: {_reason(error)}; check the space left, or use .png"
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


def _save(temporary: str, rgb: NDArray[Any], photo: Photo, saver: _Saver, model: str) -> None:
    image, options = _dressed(rgb, photo, saver, model)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        target = pyvips.Target.new_to_descriptor(descriptor)
        getattr(image, saver.operation)(target, **options)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def _dressed(
    rgb: NDArray[Any], photo: Photo, saver: _Saver, model: str
) -> tuple[Any, dict[str, Any]]:
    """The image to save, with its metadata, and the options to save it with."""
    dtype = photo.pixels.dtype
    if dtype not in saver.dtypes:
        dtype = np.dtype(saver.dtypes[-1])
    image = _to_vips(_requantize(rgb, dtype))
    if photo.alpha is not None and saver.alpha:
        image = image.bandjoin(_to_vips(_requantize(photo.alpha, dtype)[..., np.newaxis]))

    options = dict(saver.options)
    if saver is _TIFF:
        # Readers without the floating-point predictor are common; four bytes a sample barely fit
        # the 4 GB of a classic TIFF at 300 megapixels.
        if dtype != np.float32:
            options["predictor"] = "horizontal"
        options["bigtiff"] = rgb.size // 3 * image.bands * dtype.itemsize > 3 << 30
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
    across, down = photo.resolution or (_UNKNOWN_RESOLUTION, _UNKNOWN_RESOLUTION)
    interpretation = "rgb16" if dtype == np.uint16 else "srgb"
    image = image.copy(interpretation=interpretation, xres=across, yres=down)
    image.set_type(text, "exif-ifd2-ColorSpace", "1")  # sRGB; libvips would say uncalibrated
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)
    for key in ("image-description", "resolution-unit"):
        if key in kept:
            image.set_type(text, key, kept[key])
    xmp = _say_synthetic(kept.get("xmp-data"), model)
    if saver is _JPEG and len(xmp) > _JPEG_XMP_LIMIT:  # libvips would write none at all
        xmp = _say_synthetic(None, model)
    image.set_type(blob, "xmp-data", xmp)
    iptc = _read_iptc(kept.get("iptc-data", b""))
    if iptc and saver is _JPEG:
        image.set_type(blob, "iptc-data", _photoshop_block(iptc))
    elif iptc and saver is _TIFF:
        # libvips counts this tag in 32-bit words, newer libtiff in bytes: of what it is given, only
        # a quarter is sure to be written. The zeros after the records mean nothing.
        image.set_type(blob, "iptc-data", iptc + bytes(3 * len(iptc)))
    return image, options


# --- metadata -----------------------------------------------------------------------------------

# "Augmentation, correction or enhancement using a Generative AI model": of the terms at
# https://cv.iptc.org/newscodes/digitalsourcetype/ the one for a real photo with made-up parts. The
# milder algorithmicallyEnhanced is for sharpening or noise reduction.
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_JPEG_XMP_LIMIT = 65502  # bytes; XMP Specification Part 3, 1.1.3
_EMPTY_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">\n'
    '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
)


def _say_synthetic(xmp: bytes | None, model: str) -> bytes:
    """The XMP packet with the statement that the colors are synthetic.

    IPTC Photo Metadata Standard 2025.1, properties Digital Source Type and AI System Used. A packet
    from the source keeps all else that it says, byte for byte, apart from an orientation, which has
    been applied. One that cannot safely be added to is returned as it is.
    """
    try:
        packet = _EMPTY_XMP if xmp is None else xmp.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return xmp or b""
    packet = re.sub(r"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8]", r"\g<1>1", packet)
    system = "".join(char for char in f"photochrom {model}".strip() if char.isprintable())
    values = {"DigitalSourceType": _SOURCE_TYPE, "AISystemUsed": system}

    bare = packet
    for key in values:  # said before, of the source: not true of the result
        bare = re.sub(rf"\sIptc4xmpExt:{key}\s*=\s*(?:\"[^\"]*\"|'[^']*')", "", bare)
        bare = re.sub(rf"<Iptc4xmpExt:{key}\s*>[^<]*</Iptc4xmpExt:{key}\s*>", "", bare)
    body, closing, tail = bare.rpartition("</rdf:RDF>")
    about = re.search(r"\srdf:about\s*=\s*(\"[^\"]*\"|'[^']*')", body)
    # The padding of a packet only serves edits in place, and JPEG holds 64 kB in all.
    padding, mark, end = tail.partition("<?xpacket end")
    subject = about[1] if about else '""'
    attributes = "".join(f" Iptc4xmpExt:{k}={quoteattr(v)}" for k, v in values.items())
    marked = (
        f"{body}<rdf:Description rdf:about={subject}"
        f' xmlns:Iptc4xmpExt="{_IPTC_EXTENSION}"{attributes}/>\n'
        f"{closing}{padding.rstrip()}\n{mark}{end}"
    )
    return (marked if closing and _says_once(marked, values) else packet).encode()


def _says_once(packet: str, values: Mapping[str, str]) -> bool:
    """Whether a packet is well-formed and states each value exactly once, at the top level."""
    if "<!DOCTYPE" in packet or "<!ENTITY" in packet:  # never in XMP; a way to eat memory
        return False
    try:
        root = ElementTree.fromstring(packet.strip("\ufeff \t\r\n"))
    except (ElementTree.ParseError, ValueError):
        return False
    elements = list(root.iter())
    top = [part for element in elements if element.tag == f"{{{_RDF}}}RDF" for part in element]
    for key, value in values.items():
        tag = f"{{{_IPTC_EXTENSION}}}{key}"
        if any(element.tag == tag for element in elements):
            return False
        if [element.get(tag) for element in elements if tag in element.attrib] != [value]:
            return False
        if not any(element.get(tag) == value for element in top):
            return False
    return len({element.get(f"{{{_RDF}}}about") or "" for element in top}) == 1


def _read_iptc(block: bytes) -> bytes:
    """The IPTC-IIM records out of what libvips found in a JPEG or TIFF; b"" if there are none.

    JPEG wraps them in a block of Photoshop resources (Adobe, XMP Specification Part 3, 1.1.3),
    which also holds a gray thumbnail and printing hints; TIFF has them bare.
    """
    header = b"Photoshop 3.0\0"
    if not block.startswith(header):
        if block[:1] != b"\x1c":  # written as 32-bit words by a machine of the other byte order
            words = block[: len(block) // 4 * 4]
            block = np.frombuffer(words, np.uint32).byteswap().tobytes()
        return block if block[:1] == b"\x1c" else b""
    at = len(header)
    while block[at : at + 4] == b"8BIM" and at + 12 <= len(block):
        number = int.from_bytes(block[at + 4 : at + 6], "big")
        start = at + 6 + (block[at + 6] // 2 + 1) * 2  # past the name, padded to even
        size = int.from_bytes(block[start : start + 4], "big")
        data = block[start + 4 : start + 4 + size]
        if number == 0x0404 and len(data) == size:
            return data
        at = start + 4 + size + size % 2
    return b""


def _photoshop_block(iptc: bytes) -> bytes:
    size = len(iptc).to_bytes(4, "big")
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + size + iptc + bytes(len(iptc) % 2)
