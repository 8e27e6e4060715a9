"""What of a photo a result in another format cannot hold."""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np
import pyvips

from photochrom.photo.carried import JPEG_SEGMENT, exif_of, xmp_packet
from photochrom.photo.formats.avif import AVIF
from photochrom.photo.formats.format import Saver
from photochrom.photo.formats.heic import HEIC
from photochrom.photo.formats.jpeg import JPEG
from photochrom.photo.formats.png import PNG
from photochrom.photo.formats.tiff import TIFF
from photochrom.photo.metadata import exif
from photochrom.photo.metadata.exif import exif_tags
from photochrom.photo.metadata.iptc import photoshop_block, read_iptc
from photochrom.photo.metadata.xmp import JPEG_XMP_LIMIT
from photochrom.photo.photo import Photo
from photochrom.photo.source import file_name
from photochrom.photo.write import saver_for

__all__ = ["losses"]

# EXIF 3.0 (CIPA DC-008, 2023) and TIFF 6.0; those of them that libexif is known to leave out.
_EXIF_NAMES = {
    285: "PageName", 297: "PageNumber", 316: "HostComputer", 337: "TargetPrinter", 18246: "Rating",
    18249: "RatingPercent", 37395: "ImageHistory", 42032: "CameraOwnerName",
    42033: "BodySerialNumber", 42037: "LensSerialNumber",
}  # fmt: skip


def losses(photo: Photo, path: str | os.PathLike[str], model: str = "") -> list[str]:
    """What of a photo file will not be in a result of that name, a sentence each.

    Parameters
    ----------
    photo, path, model : as for `write_photo`, also for the errors
    """
    saver, said = saver_for(path, photo), list(photo.notes)
    kind = os.path.splitext(file_name(path))[1].lstrip(".").upper()
    if photo.frames > 1:
        said.append(f"holds {photo.frames} frames; the first alone is colored")
    if photo.content.has_alpha and not saver.alpha:
        said.append(f"{kind} has no transparency; what was transparent is opaque in the result")
    bits = {np.dtype(np.uint8): "8 bits", np.dtype(np.uint16): "16 bits"}
    if photo.samples not in saver.dtypes and not (saver is AVIF and photo.bits):
        was, will = bits.get(photo.samples, "floats"), bits[np.dtype(saver.dtypes[-1])]
        said.append(f"its {was} a channel become {will}, all that is written to {kind}")
    if saver is not TIFF and photo.stored is not None:
        said.append(f"{kind} has no place for its transparency mask; TIFF keeps it")
    if saver is not PNG and (texts := photo.metadata.get("png-texts")):
        words = dict.fromkeys(text.keyword for text in texts)
        said.append(f"{kind} has no place for its texts ({', '.join(words)}); PNG keeps them")
    if (of_exif := _exif_told(photo, saver)) is not None:
        said.append(of_exif)
    packet, lost, told = xmp_packet(photo, saver, model)
    if told is not None:
        said.append(told)
    if lost:
        said.append(
            f"{kind} has no place for IPTC records, nor XMP for these: {', '.join(lost)}; "
            "TIFF and JPEG keep them"
        )
    iptc = read_iptc(photo.metadata.get("iptc-data", b"")) if photo.kind == "file" else b""
    if saver is JPEG and len(photoshop_block(iptc)) > JPEG_SEGMENT:
        said.append("its IPTC is larger than JPEG can hold, and left out; TIFF keeps it")
    if saver is JPEG and len(packet) > JPEG_XMP_LIMIT:
        said.append("its XMP is larger than JPEG can hold, and left out; TIFF and PNG keep it")
    return [f"{photo.name}: {text}" for text in said]


def _exif_told(photo: Photo, saver: Saver) -> str | None:
    block = exif_of(photo)
    if block is None:
        return None
    whole = exif.taken_over(block, photo.width, photo.height, photo.resolution)
    if whole is None:
        what = "damaged"
    elif saver is JPEG and len(whole) > exif.JPEG_EXIF_LIMIT:
        what = "larger than JPEG can hold"
    else:
        return None
    lost = () if saver in (TIFF, HEIC) else _exif_lost(block)
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
