"""Photos decoded with Pillow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import DependencyError, PhotoError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["decode", "open_photo", "require_pillow", "upright"]

# Those of PHOTO_SUFFIXES and no more: some of Pillow's other formats start foreign programs.
_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
_ORIENTATION = 0x0112  # EXIF 2.3: where the file's first row and column belong


def require_pillow() -> None:
    """Raise DependencyError if Pillow is not installed."""
    try:
        import PIL  # noqa: F401
    except ModuleNotFoundError as error:
        raise DependencyError(
            "reading training photos needs Pillow", "run pip install 'photochrom[train]'"
        ) from error


def open_photo(data: bytes) -> Image.Image:
    """An encoded photo as a Pillow image, header read, pixels not yet.

    Raises
    ------
    DependencyError
        Pillow is not installed.
    Exception
        Whatever Pillow raises for bytes that are no photo, or more pixels than its limit against
        decompression bombs.
    """
    require_pillow()
    from PIL import Image

    return Image.open(io.BytesIO(data), formats=_FORMATS)


def upright(image: Image.Image) -> Image.Image:
    """The image turned and mirrored as its EXIF orientation says."""
    from PIL import Image

    image.load()  # a TIFF is turned while its pixels load, and drops the tag
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # broken metadata are no reason to lose the photo
        orientation = None
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation or 1)
    return image if turn is None else image.transpose(turn)


def decode(data: bytes, name: str = "photo") -> NDArray[np.uint8]:
    """Decode a training photo.

    Parameters
    ----------
    data : an encoded photo (JPEG, PNG, WebP, TIFF, BMP)
    name : what to call it in an error

    Returns
    -------
    rgb : uint8 (H, W, 3), upright, writable

    Raises
    ------
    PhotoError
        The bytes cannot be decoded, or hold more pixels than Pillow's limit.
    DependencyError
        Pillow is not installed.
    """
    try:
        with open_photo(data) as image:
            return np.array(upright(image).convert("RGB"))
    except DependencyError:
        raise
    except Exception as error:  # hostile bytes make Pillow's decoders raise nearly anything
        raise PhotoError(f"{name}: cannot be decoded ({error})", "leave it out") from error
