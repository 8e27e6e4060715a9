"""All formats, by signature and by suffix."""

from __future__ import annotations

import re
from typing import BinaryIO

import pyvips

from photochrom.errors import PhotoError
from photochrom.photo.formats import heic
from photochrom.photo.formats.avif import AVIF, in_avif
from photochrom.photo.formats.heic import HEIC, HEIC_LOADER, HEVC_BRANDS, need_heif
from photochrom.photo.formats.jpeg import JPEG, in_jpeg
from photochrom.photo.formats.png import PNG, in_png
from photochrom.photo.formats.tiff import TIFF
from photochrom.photo.formats.webp import WEBP, in_webp

__all__ = ["EXTENSIONS", "FORMATS", "LOADERS", "SAVERS", "TYPES", "find_loader", "place"]

SAVERS = {
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".png": PNG,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".webp": WEBP,
    ".avif": AVIF,
    ".heic": HEIC,
    ".heif": HEIC,
}
# Of the files that are read and written, lower case, with the dot; HEIC is an extra.
EXTENSIONS = tuple(suffix for suffix in SAVERS if suffix not in heic.EXTENSIONS)
_FORMAT_NAMES = "JPEG, PNG, TIFF, WebP, AVIF or HEIC"
# Camera raw files begin like TIFF files, and what a TIFF reader finds there is a tiny preview.
_CAMERA_RAW = re.compile(
    r"\.(3fr|arw|cr2|dcr|dng|erf|iiq|kdc|mef|mos|nef|nrw|pef|sr2|srf|srw)$", re.IGNORECASE
)
LOADERS = {  # libvips operation -> extension of its format
    "jpegload_source": ".jpg",
    "pngload_source": ".png",
    "tiffload_source": ".tif",
    "webpload_source": ".webp",
    "heifload_source": ".avif",
    HEIC_LOADER: ".heic",
}


def find_loader(head: bytes, name: str) -> str:
    """The libvips operation for a file that begins with these bytes.

    libvips can find it itself, but would also try loaders for text tables, PDF or its own raw
    formats: more than a photograph needs, and more than a stranger's file should reach.
    """
    loader = None
    if head.startswith(b"\xff\xd8\xff"):
        loader = "jpegload_source"
    elif head.startswith(b"\x89PNG\r\n\x1a\n"):
        loader = "pngload_source"
    elif head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        if _CAMERA_RAW.search(name):
            raise PhotoError(f"{name}: camera raw is not supported; develop it to TIFF or JPEG")
        loader = "tiffload_source"
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        loader = "webpload_source"
    elif head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
        if b"avif" in brands or b"avis" in brands:
            loader = "heifload_source"
        elif brands & HEVC_BRANDS:
            need_heif(name)
            return HEIC_LOADER
    if loader is None:
        raise PhotoError(f"{name}: not a {_FORMAT_NAMES} file; convert it to one of these")
    if pyvips.type_find("VipsOperation", loader) == 0:
        raise PhotoError(
            f"{name}: the installed libvips cannot read this format; "
            "pip install pyvips-binary, or convert the file to JPEG, PNG or TIFF"
        )
    return loader


def place(file: BinaryIO, block: bytes) -> None:
    """Give a file of libvips this block in the place of the one that libvips has written.

    Parameters
    ----------
    file : JPEG, PNG, WebP or AVIF, open for reading and writing
    block : as `taken_over` gives it
    """
    file.seek(0)
    into = {b"\xff\xd8": in_jpeg, b"\x89P": in_png, b"RI": in_webp}
    into.get(file.read(2), in_avif)(file, block)


FORMATS = {
    ".jpg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".webp": "WebP",
    ".avif": "AVIF",
    ".heic": "HEIC",
}
"""Formats that are taken and handed out, by their extension."""
TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
}
