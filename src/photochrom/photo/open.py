"""Photographs in and out: files, NumPy arrays and PIL images, never altered in place.

::

    open_photo(source) ──▶ Photo ──▶ (the colorizer) ──▶ Photo.restore(rgb)    the type that came in
       │ file: read_photo                               write_photo(path, rgb, photo)   a file

Reading a file takes these steps: find the format from the first bytes, never from the name; check
the size in the header before a pixel is decoded; decode, where truncated data is an error; apply
the EXIF orientation; convert an embedded ICC profile to sRGB; set alpha apart. Bit depth is kept:
8, 16 or float.

Writing makes a new file appear whole or not at all. It replaces another file only with ``force``,
and the photo's own source file never.

Known limits: of an animation, only the first frame is read. IPTC records are written only to JPEG
and TIFF, and to the other formats as XMP. `losses` lists what a result cannot hold.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.facts import Facts
from photochrom.photo.limits import LIMITS, ReadLimits
from photochrom.photo.photo import Held, Photo
from photochrom.photo.profiles import to_srgb
from photochrom.photo.read import read_photo
from photochrom.photo.samples import check_unit_range, color_space, split_alpha
from photochrom.text import one_line

if TYPE_CHECKING:
    import PIL.Image

__all__ = ["open_photo"]


def open_photo(source: Any, limits: ReadLimits = LIMITS) -> Photo:
    """Make a :class:`Photo` of a file, an array or a PIL image.

    Parameters
    ----------
    source : str, os.PathLike, ndarray or PIL.Image.Image
        A path: see :func:`read_photo`.
        An array: (H, W) or (H, W, 1) gray, (H, W, 2) gray and alpha, (H, W, 3) sRGB-encoded RGB,
        (H, W, 4) RGB and alpha; uint8, uint16, bool, or float16/32/64 in 0..1. It is not copied
        if its dtype and layout already fit. An object with ``__array__`` counts as an array.
        A PIL image of mode 1, L, LA, P, RGB, RGBA, I, I;16, F (0..1), CMYK, YCbCr or HSV. Its ICC
        profile is applied. Its EXIF orientation is not: the pixels stay as PIL shows them, and the
        restored image has the same EXIF, so that ``PIL.ImageOps.exif_transpose`` works on it
        just as on the original.
    limits : ReadLimits
        How large the photo may be, and how much of it may be in memory.

    Returns
    -------
    Photo

    Raises
    ------
    PhotoError
        The source cannot be read or is not a photograph.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_photo(source, limits=limits)
    # A PIL image can only exist once its module is loaded: PIL itself stays optional.
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(source, pil.Image):
        return _from_pil(source, limits)
    if not hasattr(source, "__array__"):
        raise PhotoError(
            "not a photo", "give a path, a NumPy array or a PIL image", name=type(source).__name__
        )
    try:
        array = np.asarray(source)
    except Exception as error:  # any error a foreign array type may raise, such as torch's on GPU
        raise PhotoError(
            f"cannot be read as a NumPy array: {one_line(error)}",
            "convert it to one first",
            name=type(source).__name__,
        ) from error
    return _from_array(array, limits)


# --- arrays -------------------------------------------------------------------------------------


def _from_array(array: NDArray[Any], limits: ReadLimits) -> Photo:
    name = "array"
    shape = "(" + ", ".join(map(str, array.shape)) + ")"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        remedy = "give (height, width) or (height, width, channels) with 1 to 4 channels"
        if array.ndim == 3 and array.shape[0] in (1, 2, 3, 4):
            remedy = "move the channels last: array.transpose(1, 2, 0)"
        raise PhotoError(f"an array of shape {shape} is not a photo", remedy, name=name)
    if array.size == 0:
        raise PhotoError(f"an array of shape {shape} has no pixels", "give at least one", name=name)
    limits.check_size(name, array.shape[1], array.shape[0])

    dtype = array.dtype.newbyteorder("=")
    if dtype == np.bool_:
        restored = np.dtype(np.uint8)
        array = array.astype(np.uint8) * np.uint8(255)
    elif dtype in (np.uint8, np.uint16):
        restored = dtype
        array = array.astype(dtype, copy=False)
    elif dtype in (np.float16, np.float32, np.float64):
        restored = dtype
        check_unit_range(array, name)
        array = array.astype(np.float32, copy=False)
    else:
        remedy = "give uint8, uint16, bool, or float16/32/64 in 0..1"
        if np.issubdtype(dtype, np.integer):
            remedy = "convert it, for example array.astype('uint8') for values 0..255"
        raise PhotoError(f"dtype {dtype} is not supported", remedy, name=name)
    samples = array.reshape(*array.shape[:2], -1)
    pixels, alpha = split_alpha(samples, color_space(samples))
    return Photo(Held(pixels, alpha), Facts(name, "array", dtype=restored))


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


def _from_pil(image: PIL.Image.Image, limits: ReadLimits) -> Photo:
    name = "PIL image"
    width, height = image.size
    if width == 0 or height == 0:
        raise PhotoError(f"has no pixels ({width} x {height})", "give at least one", name=name)
    limits.check_size(name, width, height)
    try:
        samples = _pil_samples(image, name)
    except (OSError, SyntaxError, ValueError) as error:  # PIL decodes a lazily opened file here
        raise PhotoError(
            f"cannot be decoded: {one_line(error)}", "save or export it again", name=name
        ) from error
    profile = image.info.get("icc_profile")
    space = "CMYK" if image.mode == "CMYK" else color_space(samples)
    color, alpha = split_alpha(samples, space)
    info: Mapping[Any, Any] = image.info
    facts = Facts(
        name,
        "pil",
        depth=samples.dtype,
        profiled=bool(profile),
        info={key: info[key] for key in ("dpi", "exif", "xmp") if key in info},
    )
    return Photo(Held(to_srgb(color, space, profile), alpha), facts)


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
                f"mode I holds values from {wide.min()} to {wide.max()}",
                "scale them to 0..65535",
                name=name,
            )
        samples = wide.astype(np.uint16)
    elif mode == "F":
        samples = np.asarray(image)
        check_unit_range(samples, name)
    else:
        remedy = "convert it: image.convert('RGB')"
        raise PhotoError(f"mode {mode} is not supported", remedy, name=name)
    return samples.reshape(image.height, image.width, -1)
