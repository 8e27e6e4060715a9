"""HEIC photos, by the extra photochrom[heif]: libvips comes without a codec for HEVC.

Orientation: the file's own turns are applied by the decoder; what its EXIF says of it counts for
nothing (ISO/IEC 23008-12, 6.5.10 and annex A).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.formats.format import Saver
from photochrom.photo.metadata.exif import exif_resolution
from photochrom.photo.metadata.resolution import Resolution
from photochrom.photo.photo import check_whole
from photochrom.text import one_line

__all__ = [
    "EXTENSIONS",
    "HEIC",
    "HEIC_LOADER",
    "HEVC_BRANDS",
    "QUALITY",
    "decode_heif",
    "encode_heif",
    "heif_size",
    "need_heif",
]

HEIC_LOADER = "heic"  # no operation of libvips, but photochrom.heif
HEVC_BRANDS = frozenset([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"])
EXTENSIONS = (".heic", ".heif")
QUALITY = 90
HEIC = Saver("", (np.uint8, np.uint16), True, 16384, {"Q": QUALITY})


def need_heif(name: str) -> None:
    """Raise PhotoError if the extra is not installed."""
    if importlib.util.find_spec("pillow_heif") is None:
        raise PhotoError(
            f"{name}: HEIC needs photochrom[heif]: pip install 'photochrom[heif]', or convert it "
            "to JPEG, PNG or TIFF"
        )


def decode_heif(
    file: BinaryIO, name: str, check_size: Callable[[str, int, int], None]
) -> tuple[NDArray[Any], dict[str, Any], bytes | None, int, Resolution | None]:
    """The main image of a file.

    Returns
    -------
    samples : (H, W, C), uint8, or uint16 over the full range for 10 and 12 bits
    metadata : as libvips names the fields
    profile : ICC
    images : how many the file holds
    resolution : pixels per mm, as its EXIF states it
    """
    import pillow_heif

    try:
        opened = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
        image = opened[opened.primary_index]
        check_size(name, *image.size)
        width, height = image.size
        deep = image.mode.endswith(";16")
        bands = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[image.mode.partition(";")[0]]
        check_whole(name, "HEIC", width * height, bands * (1 + deep))
        data: NDArray[Any] = np.frombuffer(image.data, np.uint16 if deep else np.uint8)
        row = image.stride // data.itemsize
        info: Mapping[str, Any] = image.info
        samples: NDArray[Any] = data.reshape(height, row)[:, : width * bands].reshape(
            height, width, bands
        )
        if deep:  # shifted up, with nothing in the low bits: white would not be white
            samples = samples | samples >> int(info["bit_depth"])
        metadata = {}
        exif = info.get("exif")
        if exif:
            metadata["exif-data"] = bytes(exif)
        if info.get("xmp"):
            metadata["xmp-data"] = bytes(info["xmp"])
        resolution = exif_resolution(bytes(exif)) if exif else None
        return samples, metadata, info.get("icc_profile") or None, len(opened), resolution
    except PhotoError:
        raise
    except Exception as error:  # whatever the library says of a damaged file
        raise PhotoError(
            f"{name}: cannot be read: {one_line(error)}; restore it from a copy, or export it "
            "again as PNG or TIFF"
        ) from None


def heif_size(file: BinaryIO, name: str) -> tuple[int, int]:
    """(height, width) of the main image, by the header alone; PhotoError if it is damaged."""
    import pillow_heif

    try:
        opened = pillow_heif.open_heif(file)
        width, height = opened[opened.primary_index].size
    except Exception as error:  # as above
        raise PhotoError(f"{name}: cannot be read: {one_line(error)}; restore it") from None
    return height, width


def encode_heif(
    file: BinaryIO,
    samples: NDArray[Any],
    name: str,
    *,
    quality: int,
    exif: bytes | None,
    xmp: bytes,
    profile: bytes | None,
) -> None:
    """Write an image (H, W, 3 or 4), uint8 with 8 or uint16 with 10 bits, chroma not reduced."""
    import pillow_heif

    if "HEIF" not in pillow_heif.libheif_info() or not pillow_heif.libheif_info()["HEIF"]:
        raise PhotoError(
            f"{name}: the installed pillow-heif cannot write HEIC; choose .jpg, .png or .tif"
        )
    height, width, bands = samples.shape
    mode = ("RGB" if bands == 3 else "RGBA") + (";16" if samples.dtype == np.uint16 else "")
    image: Any = pillow_heif.from_bytes(mode, (width, height), samples.tobytes())
    extra: dict[str, Any] = {"exif": exif} if exif else {}
    if profile:
        image[0].info["icc_profile"] = profile
        image[0].info["icc_profile_type"] = "prof"
    try:
        image.save(file, quality=quality, chroma=444, xmp=xmp, save_all=False, **extra)
    except OSError:
        raise
    except Exception as error:
        raise PhotoError(f"{name}: cannot be written: {one_line(error)}; use .png") from None
