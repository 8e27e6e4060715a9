"""WebP.

Source: RFC 9649 (WebP).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

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
from photochrom.photo.metadata.exif import EXIF_HEAD
from photochrom.photo.source import BytesOrigin, Origin, read_at

__all__ = ["WEBP"]

_MOST_CHUNKS = 1000


@dataclass(frozen=True, eq=False)
class _WebP(Format):
    def begins(self, head: bytes) -> bool:
        return head[:4] == b"RIFF" and head[8:12] == b"WEBP"

    def open(self, request: Request) -> Page:
        request.check_page(1)
        return self.opened(request, _with_alpha(request.origin), Facts(request.name, "file"))

    def held_whole(self, page: Page) -> tuple[str, int]:
        return self.name, page.pixel_bytes

    def facts(self, page: Page) -> Facts:
        with page.origin.open() as file:
            lossless = _is_lossless(file)
        return replace(super().facts(page), lossless=lossless)

    def dress(self, image: Any, carried: Carried) -> tuple[Any, dict[str, Any]]:
        image, options = super().dress(image, carried)
        if self.stays_lossless(carried.facts) and carried.quality is None:
            options = {**options, "lossless": True, "smart_subsample": False}
            del options["Q"]  # there, it would be the effort
        return image, options

    def put_exif(self, file: BinaryIO, block: bytes) -> None:
        at, end = 12, file.seek(0, 2)
        size = 0
        while at < end and not size:
            file.seek(at)
            kind, length = struct.unpack("<4sI", file.read(8))
            if kind == b"EXIF":
                size = 8 + length + length % 2
            elif kind == b"XMP ":
                break
            else:
                at += 8 + length + length % 2
        data = block.removeprefix(EXIF_HEAD)
        chunk = b"EXIF" + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
        replace_bytes(file, at, min(at + size, end), chunk)
        length = file.seek(0, 2) - 8
        file.seek(4)
        file.write(struct.pack("<I", length))
        file.seek(20)
        (flags,) = file.read(1)
        file.seek(20)
        file.write(bytes([flags | 0x08]))  # in VP8X: there is EXIF


# The chroma of lossy WebP is always subsampled. smart_subsample keeps it sharp along edges, and
# exact keeps the color below transparent parts.
WEBP = _WebP(
    name="WebP",
    suffixes=(".webp",),
    media_type="image/webp",
    loader="webpload_source",
    saver="webpsave_target",
    holds=Holds((np.uint8,), side=16383),
    options={"Q": 95, "smart_subsample": True, "exact": True},
)


def _is_lossless(file: BinaryIO) -> bool:
    """Whether the first picture is stored without loss."""
    at = 12
    for _ in range(_MOST_CHUNKS):
        chunk = read_at(file, at, 8)
        kind, size = chunk[:4], int.from_bytes(chunk[4:], "little")
        if len(chunk) < 8 or kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8L"
        # The chunks of a frame follow its position, size and duration.
        at += 24 if kind == b"ANMF" else 8 + size + size % 2
    return False


def _with_alpha(origin: Origin) -> Origin:
    """A lossless file with its alpha declared in both headers; libvips only looks at the first.

    Source: RFC 9649, 2.7 (VP8X) and 3.4 (the header of VP8L).
    """
    with origin.open() as file:
        head = file.read(21)
        if head[12:16] != b"VP8X" or len(head) < 21 or head[20] & 0x12:  # has alpha, or is animated
            return origin
        at = 30
        while len(chunk := read_at(file, at, 13)) == 13 and chunk[:4] != b"VP8L":
            size = int.from_bytes(chunk[4:8], "little")
            at += 8 + size + size % 2
        has_alpha = len(chunk) == 13 and chunk[8] == 0x2F and chunk[12] & 0x10
        if not has_alpha or origin.size() > MOST_MENDED:
            return origin
        file.seek(0)
        data = bytearray(file.read())
    data[20] |= 0x10
    return BytesOrigin(bytes(data))
