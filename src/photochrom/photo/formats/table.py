"""All formats: the only place that lists them."""

from __future__ import annotations

import os

import pyvips

from photochrom.errors import PhotoError
from photochrom.photo.formats.avif import AVIF
from photochrom.photo.formats.format import Format
from photochrom.photo.formats.heic import HEIC
from photochrom.photo.formats.jp2 import JP2
from photochrom.photo.formats.jpeg import JPEG
from photochrom.photo.formats.jxl import JXL
from photochrom.photo.formats.png import PNG
from photochrom.photo.formats.raw import DEVELOP, RAW, RAW_SUFFIXES
from photochrom.photo.formats.tiff import TIFF
from photochrom.photo.formats.webp import WEBP

__all__ = [
    "ALL",
    "EXTENSIONS",
    "FORMATS",
    "INPUT_EXTENSIONS",
    "RAW_SUFFIXES",
    "RESULT_EXTENSIONS",
    "TYPES",
    "find_format",
    "format_of",
]

ALL: tuple[Format, ...] = (JPEG, PNG, TIFF, WEBP, AVIF, HEIC, JXL, JP2)
_OF_SUFFIX = {suffix: form for form in ALL for suffix in form.suffixes}
RESULT_EXTENSIONS = tuple(_OF_SUFFIX)
"""Of files that can be written: lower case, with the dot."""
EXTENSIONS = tuple(suffix for suffix, form in _OF_SUFFIX.items() if not form.extra)
"""Those that need no extra of the package."""
INPUT_EXTENSIONS = frozenset(RESULT_EXTENSIONS) | RAW_SUFFIXES | {
    ".bmp", ".gif", ".j2k", ".jpf", ".jpx", ".pgm", ".pnm", ".ppm",
}  # fmt: skip
"""Of files that count as photos in a folder. Those that cannot be read fail by name, so that no
photo gets lost."""
FORMATS = {form.suffixes[0]: form.name for form in ALL}
"""Names of the formats by their usual extension."""
TYPES = {suffix: form.media_type for suffix, form in _OF_SUFFIX.items()}
"""Media types by extension."""


def find_format(head: bytes, name: str) -> Format:
    """The format of a file that begins with these bytes.

    libvips could find it itself, but would also try its loaders for text tables, PDF or its own raw
    formats: more than a photograph needs, and more than a stranger's file should reach.

    Raises
    ------
    PhotoError
        It is not one of these formats, or the format cannot be read here.
    """
    _refuse_others(head, name)
    form = next((form for form in (RAW, *ALL) if form.begins(head)), None)
    if form is None:
        *names, last = (form.name for form in ALL)
        raise PhotoError(
            f"not a {', '.join(names)} or {last} file", "convert it to one of those", name=name
        )
    form.check(name)
    if form.loader and pyvips.type_find("VipsOperation", form.loader) == 0:
        raise PhotoError(
            "the installed libvips cannot read this format",
            "run pip install pyvips-binary, or convert the file to JPEG, PNG or TIFF",
            name=name,
        )
    return form


_OTHERS: tuple[tuple[int, bytes, str, str], ...] = (  # place, bytes there, problem, remedy
    (0, b"8BPS", "Photoshop files are not supported", "save it as TIFF"),
    (0, b"FOVb", "camera raw files of Sigma are not supported", DEVELOP),
    (0, b"\0MRM", "camera raw files of Minolta are not supported", DEVELOP),
    (0, b"II\xbc", "JPEG XR files are not supported", "convert it to TIFF"),
    (0, b"%PDF", "PDF files are not supported", "export its pages as TIFF or PNG"),
    (0, b"\xff\xd8\xff\xf7", "JPEG-LS files are not supported", "convert it to TIFF or PNG"),
)


def _refuse_others(head: bytes, name: str) -> None:
    """Raise PhotoError for files of a kind that is known, but not supported."""
    for at, mark, problem, remedy in _OTHERS:
        if head[at : at + len(mark)] == mark:
            raise PhotoError(f"{problem}", remedy, name=name)


def format_of(name: str) -> Format | None:
    """The format of a result by its name; None if it is not one of these."""
    return _OF_SUFFIX.get(os.path.splitext(name)[1].lower())
