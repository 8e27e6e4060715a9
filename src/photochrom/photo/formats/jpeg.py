"""JPEG, with what libvips does not report: the quality, and the second part of the XMP.

Sources: ITU-T T.81 (JPEG), B.1.1.4; JFIF 1.02 (ITU-T T.871), 10.1; XMP Specification Part 3
(Adobe), 1.1.3.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.carried import Carried
from photochrom.photo.facts import Facts
from photochrom.photo.formats.format import (
    MOST_MENDED,
    Format,
    Holds,
    Page,
    Request,
    replace_bytes,
)
from photochrom.photo.formats.jpeg_parts import Parts, parts_of
from photochrom.photo.metadata.exif import EXIF_HEAD
from photochrom.photo.metadata.iptc import photoshop_block, whole_iptc
from photochrom.photo.metadata.packets import extension_of, join_extension
from photochrom.photo.metadata.resolution import CENTIMETER, INCH, Resolution, stated
from photochrom.photo.source import BytesOrigin, Origin, read_at

__all__ = ["JPEG", "JPEG_EXIF_LIMIT", "extended_xmp", "jpeg_quality", "main_xmp"]

_SEGMENT = 65533  # bytes
JPEG_EXIF_LIMIT = _SEGMENT  # with the six in front
_XMP_LIMIT = 65502
_LEAST_QUALITY = 75  # of a result, unless the user asks for less
_END = b"\xff\xd9"
_NO_END = "its last bytes are missing; it was read as far as it goes"
_GONE = "its {} cannot be kept"
_GAIN_MAPS = (b"http://ns.adobe.com/hdr-gain-map/1.0/", b"http://ns.apple.com/HDRGainMap/1.0/")
_MOTION = (b'MotionPhoto="1"', b'MicroVideo="1"', b"MotionPhoto>1<", b"MicroVideo>1<")
_LOST_XMP = "the second part of its XMP is missing or damaged; the first part is kept"


@dataclass(frozen=True, eq=False)
class _Jpeg(Format):
    def begins(self, head: bytes) -> bool:
        return head.startswith(b"\xff\xd8\xff")

    def open(self, request: Request) -> Page:
        with request.origin.open() as file:
            precision = parts_of(file, _segments(file)).precision
        if precision > 8:
            raise PhotoError(
                f"JPEG with {precision} bits per sample is not supported",
                "convert it to TIFF or PNG with 16 bits",
                name=request.name,
            )
        page = super().open(request)
        if _is_ended(request.origin):
            return page
        facts = replace(page.facts, notes=(*page.facts.notes, _NO_END))
        if request.origin.size() > MOST_MENDED:
            return replace(page, facts=facts)
        # libjpeg would go on to look for more. Any other fault is fatal here: with an end
        # of ours, the rest of a photo that is cut off would be gray.
        with request.origin.open() as file:
            whole = BytesOrigin(file.read() + _END)
        return self.opened(request, whole, facts, fail_on="warning")

    def held_whole(self, page: Page) -> tuple[str, int]:
        coefficients = 2 * page.image.bands if page.interlaced else 0
        return "progressive JPEG", coefficients

    def facts(self, page: Page) -> Facts:
        facts = super().facts(page)
        with page.origin.open() as file:
            facts = replace(facts, quality=jpeg_quality(file))
        with page.origin.open() as file:
            parts = parts_of(file, _segments(file))
        facts = _with_parts(facts, parts)
        if facts.metadata.xmp is None:
            return facts
        with page.origin.open() as file:
            xmp = main_xmp(file) or facts.metadata.xmp
        whole, notes = None, facts.notes
        if digest := extension_of(xmp):
            with page.origin.open() as file:
                second = extended_xmp(file, digest)
            xmp, whole = join_extension(xmp, second)
            notes = notes if whole is not None else (*notes, _LOST_XMP)
        metadata = replace(facts.metadata, xmp=xmp, xmp_whole=whole)
        return replace(facts, metadata=metadata, notes=notes)

    def header_resolution(self, file: BinaryIO) -> Resolution | None:
        for marker, size in _segments(file):  # JFIF comes first if there is one
            segment = file.read(min(size, 12))
            if marker != 0xE0 or segment[:5] != b"JFIF\0" or len(segment) < 12:
                return None
            unit, across, down = struct.unpack(">BHH", segment[7:])
            return stated({1: INCH, 2: CENTIMETER}.get(unit, 0), (across, 1), (down, 1))
        return None

    def dress(self, image: Any, carried: Carried) -> tuple[Any, dict[str, Any]]:
        image, options = super().dress(image, carried)
        if carried.quality is None and carried.facts.quality is not None:
            # Less than 75 was chosen for a gray photo; on smooth color, its blocks would show.
            options["Q"] = max(carried.facts.quality, _LEAST_QUALITY)
        if carried.iptc:
            image.set_type(pyvips.GValue.blob_type, "iptc-data", photoshop_block(carried.iptc))
        return image, options

    def put_exif(self, file: BinaryIO, block: bytes) -> None:
        file.seek(0)
        start = end = 2
        for marker, size in _segments(file):
            at = file.tell()
            if marker == 0xE0:
                start = end = at + size  # JFIF comes first
            if marker == 0xE1 and file.read(6) == EXIF_HEAD:
                start, end = at - 4, at + size
                break
        replace_bytes(file, start, end, b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block)

    def finish(self, file: BinaryIO, carried: Carried) -> None:
        super().finish(file, carried)
        if carried.facts.comments:
            file.seek(0)
            at = 2
            for marker, size in _segments(file):
                if not 0xE0 <= marker <= 0xEF:
                    break
                at = file.tell() + size
            comments = b"".join(
                b"\xff\xfe" + struct.pack(">H", 2 + len(text)) + text
                for text in carried.facts.comments
            )
            replace_bytes(file, at, at, comments)


def _with_parts(facts: Facts, parts: Parts) -> Facts:
    """Facts with what else the file holds, and notes of what no result has."""
    metadata = replace(
        facts.metadata, iptc=whole_iptc([facts.metadata.iptc, parts.photoshop or None])
    )
    xmp = facts.metadata.xmp or b""
    notes = [_GONE.format(what) for what in parts.gone]
    if parts.gain_map or any(mark in xmp for mark in _GAIN_MAPS):
        notes.append(_GONE.format("gain map, which brightens it on HDR screens,"))
    if any(mark in xmp for mark in _MOTION):
        notes.append(_GONE.format("film (a motion photo)"))
    pictures = parts.pictures - any("gain map" in note for note in notes)
    if pictures > 1:
        notes.append(f"holds {pictures} pictures; only the first is colored")
    return replace(facts, metadata=metadata, comments=parts.comments, notes=(*facts.notes, *notes))


# Quality 95 without chroma subsampling: the color is all that this program adds, and it would be a
# pity to halve its resolution or to break its smooth gradients into blocks.
JPEG = _Jpeg(
    name="JPEG",
    suffixes=(".jpg", ".jpeg", ".jfif", ".jpe", ".jif"),
    media_type="image/jpeg",
    loader="jpegload_source",
    saver="jpegsave_target",
    holds=Holds(
        (np.uint8,),
        side=65500,
        alpha=False,
        comments=True,
        iptc=(_SEGMENT - len(photoshop_block(b""))) // 2 * 2,  # the block is padded to even
        exif=JPEG_EXIF_LIMIT,
        xmp=_XMP_LIMIT,
    ),
    options={"Q": 95, "subsample_mode": "off"},
)


# --- the segments before the pixels ---------------------------------------------------------------

_MAIN = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_MOST_EXTENSION = 1 << 24  # bytes
_MOST_SEGMENTS = 10_000  # of a file; a whole extension takes 257
_BLOCK = 1 << 16  # bytes
_MOST_READ = 1 << 20

# ITU-T T.81 (the JPEG standard), table K.1, in the zigzag order of files.
_LUMINANCE = np.array([
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40,
    26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51,
    56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
    95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
])  # fmt: skip


def _segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Marker and size of each segment before the pixels, with the file at its content."""
    if file.read(2) != b"\xff\xd8":
        return
    for _ in range(_MOST_SEGMENTS):
        marker = file.read(2)
        if marker == b"\xff\xff":
            marker = b"\xff" + _after_padding(file)
        if len(marker) < 2 or marker[0] != 0xFF or marker[1] == 0xDA:
            return  # the pixels begin, or it is damaged
        if marker[1] == 0x01 or 0xD0 <= marker[1] <= 0xD7:  # TEM and RST have no content
            continue
        size = int.from_bytes(file.read(2), "big") - 2
        if size < 0:
            return
        at = file.tell()
        yield marker[1], size
        file.seek(at + size)


def _is_ended(origin: Origin) -> bool:
    """Whether there is an end of the image after the begin of its pixels."""
    size = origin.size()
    with origin.open() as file:
        if read_at(file, max(0, size - 2), 2) == _END:
            return True
        file.seek(0)
        for _ in _segments(file):
            pass
        last = b""
        while block := file.read(_MOST_READ):
            if _END in last + block:
                return True
            last = block[-1:]
    return False


def _after_padding(file: BinaryIO) -> bytes:
    """The byte after any number of 0xFF, read in blocks: there may be megabytes of them."""
    while block := file.read(_BLOCK):
        if rest := block.lstrip(b"\xff"):
            file.seek(1 - len(rest), os.SEEK_CUR)
            return rest[:1]
    return b""


def jpeg_quality(file: BinaryIO) -> int | None:
    """The quality, 1..100, whose table in libjpeg is nearest to that of a file; None if unknown.

    Parameters
    ----------
    file : binary file, at its start
    """
    table = _first_table(file)
    if table is None:
        return None
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)  # libjpeg, jcparam.c
    tables = np.clip((_LUMINANCE * scale + 50) // 100, 1, 255)
    return int(np.abs(tables - table).sum(axis=1).argmin()) + 1


def _first_table(file: BinaryIO) -> NDArray[np.int64] | None:
    """Quantization table 0, which is for luminance: 64 numbers in zigzag order."""
    for marker, size in _segments(file):
        segment = file.read(size) if marker == 0xDB else b""
        while segment:
            deep, number = divmod(segment[0], 16)
            length = 64 * (1 + bool(deep))
            if len(segment) < 1 + length:
                return None
            values = np.frombuffer(segment[1 : 1 + length], ">u2" if deep else np.uint8)
            if number == 0:
                return values.astype(np.int64)
            segment = segment[1 + length :]
    return None


def main_xmp(file: BinaryIO) -> bytes | None:
    """The first part of the XMP, which libvips confuses with the second; None if there is none."""
    for marker, size in _segments(file):
        segment = file.read(size) if marker == 0xE1 else b""
        if segment.startswith(_MAIN):
            return segment.removeprefix(_MAIN)
    return None


def extended_xmp(file: BinaryIO, digest: bytes) -> bytes | None:
    """The part of the XMP that did not fit into 64 kB; None if it is missing or incomplete.

    Parameters
    ----------
    file : binary file, at its start
    digest : the first part's name for it, 32 hexadecimal digits

    Notes
    -----
    Source: XMP Specification Part 3 (Adobe), 1.1.3.1.
    """
    parts: dict[int, bytes] = {}
    total = 0
    for marker, size in _segments(file):
        if marker != 0xE1 or size < len(_EXTENSION) + 40:
            continue
        segment = file.read(size)
        head = segment[len(_EXTENSION) : len(_EXTENSION) + 40]
        if not segment.startswith(_EXTENSION) or head[:32] != digest:
            continue
        total = int.from_bytes(head[32:36], "big")
        parts[int.from_bytes(head[36:40], "big")] = segment[len(_EXTENSION) + 40 :]
    whole = bytearray()
    while len(whole) < min(total, _MOST_EXTENSION) and (part := parts.get(len(whole))):
        whole += part
    return bytes(whole) if len(whole) == total > 0 else None
