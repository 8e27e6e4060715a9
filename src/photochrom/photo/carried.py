"""EXIF, XMP and IPTC on their way from the photo into the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from photochrom.photo.facts import Facts
from photochrom.photo.metadata import exif
from photochrom.photo.metadata.iptc import read_iptc
from photochrom.photo.metadata.truth import Truth, made_true
from photochrom.photo.metadata.turn import Turn
from photochrom.photo.metadata.xmp import Packet, result_packet, say_synthetic
from photochrom.photo.output import Output
from photochrom.photo.photo import Photo

if TYPE_CHECKING:
    from photochrom.photo.formats.format import Format

__all__ = ["Carried", "carried_by", "exif_for", "turn_of", "xmp_for"]


@dataclass(frozen=True)
class Carried:
    """What goes into a result besides its colors."""

    facts: Facts  # of the photo
    width: int
    height: int
    exif: bytes | None  # a block; None if what libvips makes of the source's has to do
    xmp: bytes
    iptc: bytes  # records, bare; b"" if the format cannot hold them
    quality: int | None = None  # if one is asked for
    bigtiff: int = Output.bigtiff
    big: bool = False  # make a BigTIFF in any case


def carried_by(form: Format, photo: Photo, output: Output, big: bool = False) -> Carried:
    """What a result in a format carries from a photo."""
    xmp = xmp_for(form, photo, output.model).xmp
    if len(xmp) > form.holds.xmp:  # libvips would write none at all
        xmp = say_synthetic(None, output.model)
    iptc = read_iptc(photo.metadata.iptc or b"")
    return Carried(
        photo.facts,
        photo.width,
        photo.height,
        exif_for(form, photo),
        xmp,
        iptc if len(iptc) <= form.holds.iptc else b"",
        output.quality,
        output.bigtiff,
        big,
    )


def turn_of(photo: Photo) -> Turn:
    """The turn that the pixels of a photo have made."""
    return Turn(photo.facts.turned, photo.width, photo.height)


def exif_for(form: Format, photo: Photo) -> bytes | None:
    """The EXIF block of a result; None if what libvips makes of the source's has to do."""
    if photo.metadata.exif is None:
        return None
    block = exif.for_result(photo.metadata.exif, turn_of(photo), photo.resolution)
    return None if block is None or len(block) > form.holds.exif else block


def xmp_for(form: Format, photo: Photo, model: str) -> Packet:
    """The XMP of a result, which also holds IPTC if the format has no other place for it."""
    metadata = photo.metadata
    truth = Truth(turn_of(photo), form.media_type, photo.profiled)
    iptc = b"" if form.holds.iptc else read_iptc(metadata.iptc or b"")
    if metadata.xmp_whole is not None:
        whole, notes = made_true(metadata.xmp_whole, truth)
        packet = _with_notes(result_packet(whole, iptc, model), notes)
        if len(packet.xmp) <= form.holds.xmp:
            return packet
        note = (
            f"the second part of its XMP was dropped ({len(whole) >> 10} kB with the first); TIFF "
            "and PNG can hold it"
        )
        first, notes = made_true(metadata.xmp or b"", truth)
        return _with_notes(result_packet(first, iptc, model)._replace(note=note), notes)
    first, notes = made_true(metadata.xmp or b"", truth)
    return _with_notes(result_packet(first, iptc, model), notes)


def _with_notes(packet: Packet, notes: tuple[str, ...]) -> Packet:
    told = [*([] if packet.note is None else [packet.note]), *notes]
    return packet._replace(note="; ".join(told) or None)
