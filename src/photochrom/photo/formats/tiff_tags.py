"""The tags of a TIFF page that neither are EXIF nor say how its pixels are stored.

Sources: TIFF 6.0 (Adobe, 1992); OGC GeoTIFF Standard 1.1 (2019), annex A; GDAL, GTiff driver.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from photochrom.photo.ifd import FAILURES, Reader, Tree
from photochrom.photo.metadata.exif import CAMERA
from photochrom.photo.metadata.iptc import photoshop_names

__all__ = ["GEO", "Tags", "tags_of"]

GEO = (33550, 33922, 34264, 34735, 34736, 34737)
"""Where on Earth the pixels are."""
_KEPT = frozenset([*GEO, 42112])  # and what GDAL says about the file
_MOST_BYTES = 1 << 20  # of such a value
_ABOUT_PIXELS = frozenset([
    *range(254, 260), *range(262, 267), 270, *range(273, 275), *range(277, 285), *range(288, 294),
    296, 301, 317, *range(318, 329), 330, *range(332, 337), *range(338, 342), 343, 346, 347,
    *range(512, 522), *range(529, 533), *range(32995, 32999),
])  # fmt: skip
# XMP, IPTC, the resources of Photoshop, a profile, EXIF and GPS have ways of their own; padding.
_ELSEWHERE = frozenset([700, 33723, 34377, 34675, 34665, 34853, 59932])
_NAMES = {
    286: "XPosition", 287: "YPosition", 37724: "layers of Photoshop", 42113: "GDAL_NODATA",
    50341: "print settings", 50838: "ImageJ metadata", 50839: "ImageJ metadata",
}  # fmt: skip
_MOST_NAMED = 8


class Tags(NamedTuple):
    """What a page says besides."""

    kept: Tree
    gone: tuple[str, ...]  # what a result does not have, in words


def tags_of(file: BinaryIO, place: int, turned: bool, photoshop: bytes | None) -> Tags:
    """The tags of a page.

    Parameters
    ----------
    file : a TIFF file
    place : of the page's directory
    turned : whether the result has the pixels in another order
    photoshop : its resources
    """
    try:
        reader = Reader(file)
        slots = reader.slots(place)
        wanted = frozenset(s.tag for s in slots if s.tag in _KEPT and s.size <= _MOST_BYTES)
        found, _ = reader.directory(place, wanted)
    except FAILURES:
        return Tags({}, ())
    kept: Tree = {tag: entry for tag, entry in found.items() if not (turned and tag in GEO)}
    known = _ABOUT_PIXELS | _ELSEWHERE | frozenset(CAMERA)
    gone: dict[str, None] = {}
    if len(kept) < len(found):
        gone["place on the map (GeoTIFF), because the photo is turned,"] = None
    for slot in slots:
        if slot.tag not in known | found.keys() and len(gone) < _MOST_NAMED:
            gone[_NAMES.get(slot.tag, f"tag {slot.tag}")] = None
    gone |= dict.fromkeys(photoshop_names(photoshop or b""))
    return Tags(kept, tuple(gone))
