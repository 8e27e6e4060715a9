"""EXIF, XMP and IPTC on their way from the photo into the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyvips

from photochrom.photo.formats.avif import AVIF
from photochrom.photo.formats.format import Saver
from photochrom.photo.formats.jpeg import JPEG, LEAST_QUALITY
from photochrom.photo.formats.tiff import TIFF
from photochrom.photo.formats.tiff_write import as_stored, is_large
from photochrom.photo.metadata import exif
from photochrom.photo.metadata.iptc import photoshop_block, read_iptc
from photochrom.photo.metadata.resolution import UNKNOWN
from photochrom.photo.metadata.xmp import JPEG_XMP_LIMIT, result_packet, say_synthetic
from photochrom.photo.photo import Photo
from photochrom.photo.vips import DTYPES

__all__ = ["JPEG_SEGMENT", "dressed_jpeg", "exif_kept", "exif_of", "xmp_packet"]

JPEG_SEGMENT = 65533  # bytes; ITU-T T.81 (the JPEG standard), B.1.1.4


def exif_of(photo: Photo) -> bytes | None:
    return photo.metadata.get("exif-data") if photo.kind == "file" else None


def exif_kept(photo: Photo, saver: Saver) -> bytes | None:
    """The EXIF block of a result; None if it is what libvips makes of that of the source."""
    block = exif_of(photo)
    if block is None or saver is TIFF:
        return None
    whole = exif.taken_over(block, photo.width, photo.height, photo.resolution)
    if saver is JPEG and whole is not None and len(whole) > exif.JPEG_EXIF_LIMIT:
        return None
    return whole


def xmp_packet(photo: Photo, saver: Saver, model: str) -> tuple[bytes, tuple[str, ...], str | None]:
    """The XMP of a result, see `result_packet`; IPTC is told in it where it has no other place."""
    kept = photo.metadata if photo.kind == "file" else {}
    iptc = b"" if saver in (JPEG, TIFF) else read_iptc(kept.get("iptc-data", b""))
    if (whole := kept.get("xmp-whole")) is not None:
        packet = result_packet(whole, iptc, model)
        if saver is not JPEG or len(packet[0]) <= JPEG_XMP_LIMIT:
            return packet
        first = result_packet(kept.get("xmp-data"), iptc, model)
        return (*first[:2], f"the second part of its XMP, of {len(whole) >> 10} kB with the first, "
                "is left out; TIFF and PNG keep it")  # fmt: skip
    return result_packet(kept.get("xmp-data"), iptc, model)


def dressed_jpeg(
    image: Any, photo: Photo, saver: Saver, model: str, quality: int | None
) -> tuple[Any, dict[str, Any]]:
    """The image to save, with its metadata, and the options to save it with."""
    dtype = np.dtype(DTYPES[image.format])
    options = dict(saver.options)
    if saver is JPEG and photo.quality is not None:
        # Less than 75 was chosen for a gray photo; on smooth color its blocks would be seen.
        options["Q"] = max(photo.quality, LEAST_QUALITY)
    if saver is AVIF and dtype == np.uint16:
        options["bitdepth"] = photo.bits
    if quality is not None and "Q" in options:
        options["Q"] = quality
    if saver is TIFF:
        # Readers without the floating-point predictor are common; four bytes a sample barely fit
        # the 4 GB of a classic TIFF at 300 megapixels.
        options |= as_stored(photo.layout)
        if dtype != np.float32 and options["compression"] in ("lzw", "deflate"):
            options["predictor"] = "horizontal"
        options["bigtiff"] = is_large(photo, dtype, image.bands)
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
    xmp = xmp_packet(photo, saver, model)[0]
    if saver is JPEG and len(xmp) > JPEG_XMP_LIMIT:  # libvips would write none at all
        xmp = say_synthetic(None, model)
    image.set_type(blob, "xmp-data", xmp)
    iptc = read_iptc(kept.get("iptc-data", b""))
    if iptc and saver is JPEG and len(photoshop_block(iptc)) <= JPEG_SEGMENT:
        image.set_type(blob, "iptc-data", photoshop_block(iptc))
    elif iptc and saver is TIFF:
        # libvips counts this tag in 32-bit words, newer libtiff in bytes: of what it is given, only
        # a quarter is sure to be written. The zeros after the records mean nothing.
        image.set_type(blob, "iptc-data", iptc + bytes(3 * len(iptc)))
    return image, options
