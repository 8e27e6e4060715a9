"""What libvips does not tell of a JPEG file: its quality, and the second part of its XMP."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from photochrom.photo.formats.format import Saver, replace_bytes
from photochrom.photo.metadata.exif import EXIF_HEAD
from photochrom.photo.metadata.resolution import Resolution, sane

__all__ = [
    "JPEG",
    "LEAST_QUALITY",
    "LOST_XMP",
    "extended_xmp",
    "in_jpeg",
    "jfif_resolution",
    "jpeg_quality",
    "main_xmp",
]

LEAST_QUALITY = 75  # of a JPEG, unless asked for
# Quality 95 without chroma subsampling: the work of this program is the color alone, and to halve
# its resolution or block its smooth gradients would throw part of that away. WebP has no other
# than subsampled chroma; smart_subsample keeps it sharp along edges, and exact the color below
# transparent parts. PNG filters chosen line by line ("all") save a tenth of a grainy and a third of
# a smooth photo.
JPEG = Saver("jpegsave_target", (np.uint8,), False, 65500, {"Q": 95, "subsample_mode": "off"})


def jfif_resolution(file: BinaryIO) -> Resolution | None:
    """What a JPEG file states in its JFIF segment, which comes first if there is one."""
    head = file.read(18)
    if head[:4] != b"\xff\xd8\xff\xe0" or head[6:11] != b"JFIF\0" or len(head) < 18:
        return None
    unit, across, down = struct.unpack(">BHH", head[13:18])
    scale = {1: 25.4, 2: 10.0}.get(unit)  # else but a ratio
    return None if scale is None else sane(across / scale, down / scale)


_MAIN = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_MOST_EXTENSION = 1 << 24  # bytes

# ITU-T T.81 (the JPEG standard), table K.1, in the zigzag order of files.
_LUMINANCE = np.array([
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40,
    26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51,
    56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
    95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
])  # fmt: skip


def jpeg_quality(file: BinaryIO) -> int | None:
    """The quality, 1..100, whose table of libjpeg is nearest to that of a file; None if unknown.

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


def main_xmp(file: BinaryIO) -> bytes | None:
    """The first part of the XMP, which libvips confuses with the second; None if there is none."""
    for marker, size in _segments(file):
        segment = file.read(size) if marker == 0xE1 else b""
        if segment.startswith(_MAIN):
            return segment.removeprefix(_MAIN)
    return None


def extended_xmp(file: BinaryIO, digest: bytes) -> bytes | None:
    """The part of the XMP that did not fit into 64 kB; None if it is not there as a whole.

    Parameters
    ----------
    file : binary file, at its start
    digest : by which the first part calls it, 32 hexadecimal digits

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


def _segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Marker and size of each segment before the pixels, with the file at its content."""
    if file.read(2) != b"\xff\xd8":
        return
    while True:
        marker = file.read(2)
        while marker[1:] == b"\xff":  # padding
            marker = marker[1:] + file.read(1)
        if len(marker) < 2 or marker[0] != 0xFF or marker[1] == 0xDA:
            return  # the pixels begin, or it is damaged
        if marker[1] == 0x01 or 0xD0 <= marker[1] <= 0xD7:  # TEM and RST: nothing belongs to them
            continue
        size = int.from_bytes(file.read(2), "big") - 2
        if size < 0:
            return
        at = file.tell()
        yield marker[1], size
        file.seek(at + size)


def _first_table(file: BinaryIO) -> NDArray[np.int64] | None:
    """The quantization table 0, that of luminance: 64 numbers in zigzag order."""
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


LOST_XMP = "its XMP refers to a second part that is missing or damaged; the first is kept"


def in_jpeg(file: BinaryIO, block: bytes) -> None:
    file.seek(2)
    at = start = end = 2
    while len(head := file.read(10)) == 10 and head[1] != 0xDA:
        after = at + 2 + int.from_bytes(head[2:4], "big")
        if head[1] == 0xE0:
            start = end = after  # JFIF comes first
        if head[1] == 0xE1 and head[4:] == EXIF_HEAD:
            start, end = at, after
            break
        at = after
        file.seek(at)
    replace_bytes(file, start, end, b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block)
