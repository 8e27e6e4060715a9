"""All formats: the only place that lists them."""

from __future__ import annotations

import os

import pyvips

from photochrom.errors import PhotoError
from photochrom.photo.formats.avif import AVIF
from photochrom.photo.formats.format import Format
from photochrom.photo.formats.heic import HEIC
from photochrom.photo.formats.jpeg import JPEG
from photochrom.photo.formats.png import PNG
from photochrom.photo.formats.tiff import TIFF
from photochrom.photo.formats.webp import WEBP

__all__ = [
    "ALL",
    "EXTENSIONS",
    "FORMATS",
    "INPUT_EXTENSIONS",
    "RESULT_EXTENSIONS",
    "TYPES",
    "find_format",
    "format_of",
]

ALL: tuple[Format, ...] = (JPEG, PNG, TIFF, WEBP, AVIF, HEIC)
_OF_SUFFIX = {suffix: form for form in ALL for suffix in form.suffixes}
RESULT_EXTENSIONS = tuple(_OF_SUFFIX)
"""Of files that can be written: lower case, with the dot."""
EXTENSIONS = tuple(suffix for suffix, form in _OF_SUFFIX.items() if not form.extra)
"""Those that need no extra of the package."""
INPUT_EXTENSIONS = frozenset(RESULT_EXTENSIONS) | {
    ".bmp", ".gif", ".jfif", ".jpe", ".pgm", ".pnm", ".ppm",
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
    form = next((form for form in ALL if form.begins(head)), None)
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


def format_of(name: str) -> Format | None:
    """The format of a result by its name; None if it is not one of these."""
    return _OF_SUFFIX.get(os.path.splitext(name)[1].lower())
