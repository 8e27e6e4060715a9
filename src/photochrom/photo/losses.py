"""What a result in another format cannot hold of a photo."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyvips

from photochrom.photo.carried import turn_of, xmp_for
from photochrom.photo.formats.format import Format
from photochrom.photo.metadata.exif import exif_tags, for_result, untaken_tags
from photochrom.photo.metadata.iptc import read_iptc
from photochrom.photo.photo import Photo
from photochrom.photo.source import file_name
from photochrom.photo.write import format_for

__all__ = ["losses", "losses_of_page"]

# EXIF 3.0 (CIPA DC-008, 2023) and TIFF 6.0: tags that libexif does not write.
_EXIF_NAMES = {
    285: "PageName", 297: "PageNumber", 316: "HostComputer", 337: "TargetPrinter", 18246: "Rating",
    18249: "RatingPercent", 37395: "ImageHistory", 42032: "CameraOwnerName",
    42033: "BodySerialNumber", 42037: "LensSerialNumber",
}  # fmt: skip
_GEO = {33550, 33922, 34264, 34735, 34736, 34737}  # tags of GeoTIFF
_MOST_TOLD = 50  # sentences about all pages of a file
_BITS = {np.dtype(np.uint8): "8 bits", np.dtype(np.uint16): "16 bits"}


def losses(photo: Photo, path: str | os.PathLike[str], model: str = "") -> list[str]:
    """What will be missing from a result of that name, one sentence each.

    Parameters
    ----------
    photo, path, model : as for `write_photo`, also for the errors
    """
    form = format_for(path, photo)
    kind = os.path.splitext(file_name(path))[1].lstrip(".").upper()
    notes = [*photo.notes, *_of_pixels(photo, form, kind), *_of_metadata(photo, form, kind, model)]
    return [f"{photo.name}: {note}" for note in notes]


def losses_of_page(
    photo: Photo, path: str | os.PathLike[str], model: str, told: Sequence[str]
) -> list[str]:
    """The same for a further page of a file, with its number, but for what was told before."""
    if len(told) >= _MOST_TOLD:
        return []
    where = f"{photo.name}: page {photo.page + 1}: "
    new = [note for note in losses(photo, path, model) if note not in told]
    return [where + note.removeprefix(f"{photo.name}: ") for note in new]


def _of_pixels(photo: Photo, form: Format, kind: str) -> list[str]:
    notes = []
    if photo.frames > 1:
        notes.append(f"holds {photo.frames} frames; only the first is colored")
    if photo.content.has_alpha and not form.holds.alpha:
        notes.append(f"{kind} has no transparency, so the result is opaque")
    if photo.facts.extra and not form.holds.extra:
        others = sum(kind not in (1, 2) for kind in photo.facts.extra)
        named = "its extra channel" if others == 1 else f"its {others} extra channels"
        notes.append(f"{kind} cannot hold {named}, such as masks or selections; TIFF can")
    stored = form.stored_as(photo.samples, photo.facts)
    if stored != photo.samples:
        was, will = _BITS.get(photo.samples, "floats"), _BITS[stored]
        notes.append(f"its {was} per channel become {will}, the most that is written to {kind}")
    if photo.facts.lossless and not form.holds.lossless and not form.stays_lossless(photo.facts):
        notes.append(f"it is stored without loss, and {kind} is not; PNG and TIFF are")
    if photo.facts.stored is not None and not form.holds.pages:
        notes.append(f"{kind} cannot hold its transparency mask; TIFF can")
    return notes


def _of_metadata(photo: Photo, form: Format, kind: str, model: str) -> list[str]:
    notes = []
    metadata = photo.metadata
    if photo.facts.tags and not form.holds.pages:
        what = "place on the map (GeoTIFF)" if set(photo.facts.tags) & _GEO else "GDAL metadata"
        notes.append(f"{kind} cannot hold its {what}; TIFF can")
    if metadata.texts and not form.holds.texts:
        words = dict.fromkeys(text.keyword for text in metadata.texts)
        notes.append(f"{kind} cannot hold its texts ({', '.join(words)}); PNG can")
    if photo.facts.comments and not form.holds.comments:
        notes.append(f"{kind} cannot hold its comment; JPEG can")
    if (note := _of_exif(photo, form, kind)) is not None:
        notes.append(note)
    packet = xmp_for(form, photo, model)
    if packet.note is not None:
        notes.append(packet.note)
    if packet.lost:
        notes.append(
            f"{kind} cannot hold IPTC records, and XMP has no equivalent for these: "
            f"{', '.join(packet.lost)}; TIFF and JPEG keep them"
        )
    if 0 < form.holds.iptc < len(read_iptc(metadata.iptc or b"")):
        notes.append(f"its IPTC is too large for {form.name} and was dropped; TIFF can hold it")
    if len(packet.xmp) > form.holds.xmp:
        notes.append(
            f"its XMP is too large for {form.name} and was dropped; TIFF and PNG can hold it"
        )
    return notes


def _of_exif(photo: Photo, form: Format, kind: str) -> str | None:
    block = photo.metadata.exif
    if block is None:
        return None
    whole = for_result(block, turn_of(photo), photo.resolution)
    if whole is None:
        what = "damaged"
    elif len(whole) > form.holds.exif:
        what = f"too large for {form.name}"
    elif form.holds.pages and photo.facts.layout is None:  # it has them among its own tags
        untaken = [_EXIF_NAMES.get(tag, f"tag {tag}") for tag in untaken_tags(block)[:8]]
        return (
            f"{kind} has no place for some of its EXIF ({', '.join(untaken)})" if untaken else None
        )
    else:
        return None
    lost = _lost_tags(block) if form.exif_by_libvips else ()
    but = f", but not {', '.join(lost)}" if lost else ""
    return f"its EXIF is {what}; photochrom keeps what it can read{but}"


@lru_cache(maxsize=8)
def _lost_tags(block: bytes) -> tuple[str, ...]:
    """Tags of an EXIF block that libvips, with libexif, does not write: tried on a single pixel."""
    image = pyvips.Image.black(1, 1).copy()
    image.set_type(pyvips.GValue.blob_type, "exif-data", block)
    written = pyvips.Image.jpegload_buffer(image.jpegsave_buffer(keep="exif"))
    kept = exif_tags(written.get("exif-data")) if "exif-data" in written.get_fields() else set()
    return tuple(_EXIF_NAMES.get(tag, f"tag {tag}") for _, tag in sorted(exif_tags(block) - kept))
