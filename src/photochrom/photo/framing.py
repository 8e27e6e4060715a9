"""Photos turned by quarter turns and cropped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.formats.tiff_tags import GEO
from photochrom.photo.photo import Held, Photo

__all__ = ["UNCHANGED", "Framing", "framed"]

_NEXT = {1: 6, 6: 3, 3: 8, 8: 1, 2: 7, 7: 4, 4: 5, 5: 2}
"""The orientation of EXIF after a quarter turn clockwise."""
_PLACES = (b"Region", b"SubjectArea", b"FocalPoint")
"""What an XMP packet that names places in the photo contains."""
_AWAY = "its metadata names places in the whole photo, not in what was cropped"
_CHANNELS = "has channels beyond color, which were left out because it was turned or cropped"


@dataclass(frozen=True)
class Framing:
    """How a photo is turned, and what is then cropped.

    Attributes
    ----------
    turn : clockwise, in degrees: 0, 90, 180 or 270
    box : (left, top, width, height) in pixels of the turned photo; None for all of it. Without a
        left or a top, it begins at the edge; without a width or a height, it ends there
    """

    turn: int = 0
    box: tuple[int | None, int | None, int | None, int | None] | None = None


UNCHANGED = Framing()


def framed(photo: Photo, framing: Framing) -> Photo:
    """A photo turned and cropped, with all its pixels in memory.

    Raises
    ------
    PhotoError
        The box is not inside the photo, or the photo has several pages.
    """
    if framing == UNCHANGED:
        return photo
    if photo.pages > 1:
        raise PhotoError(
            f"has {photo.pages} pages and cannot be turned or cropped",
            "save the page as a file of its own first",
            name=photo.name,
        )
    sideways = framing.turn % 180 != 0
    height, width = (photo.height, photo.width)[:: -1 if sideways else 1]
    given = framing.box or (None, None, None, None)
    left, top = given[0] or 0, given[1] or 0
    across = width - left if given[2] is None else given[2]
    down = height - top if given[3] is None else given[3]
    if not (0 <= left < left + across <= width and 0 <= top < top + down <= height):
        raise PhotoError(
            f"the crop is not inside the photo, which has {width} x {height} pixels",
            name=photo.name,
        )

    def part(pixels: NDArray[Any]) -> NDArray[Any]:
        turned = np.rot90(pixels, -(framing.turn // 90))
        return np.ascontiguousarray(turned[top : top + down, left : left + across])

    facts = photo.facts
    orientation, resolution = facts.turned, facts.resolution
    for _ in range(framing.turn // 90):
        orientation = _NEXT[orientation]
    if sideways and resolution is not None:
        resolution = resolution[::-1]
    notes = list(facts.notes)
    xmp = photo.metadata.xmp_whole or photo.metadata.xmp or b""
    if framing.box is not None and any(word in xmp for word in _PLACES):
        notes.append(_AWAY)
    if facts.extra:
        notes.append(_CHANNELS)
    alpha = photo.alpha
    return Photo(
        Held(part(photo.pixels), None if alpha is None else part(alpha)),
        replace(
            facts,
            turned=orientation,
            resolution=resolution,
            notes=tuple(notes),
            extra=(),
            beyond=None,
            stored=None,
            turn=None,
            tags={tag: entry for tag, entry in facts.tags.items() if tag not in GEO},
        ),
    )
