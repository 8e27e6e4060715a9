"""What XMP says about the pixels, made true of the result.

The result is upright, in color and in sRGB, and it is one picture. So coordinates turn with the
pixels, and what describes the gray samples, or pictures that came with the photo, is left out.

Sources: MWG, Guidelines for Handling Image Metadata 2.0, 5.9; Microsoft, People Tagging; IPTC Photo
Metadata Standard 2025.1, Image Region; XMP Specification Part 2 (Adobe); Ultra HDR Image Format 1.1
and Motion Photo Format 1.0 (Android).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import NamedTuple

from photochrom.photo.metadata.packets import (
    IPTC_EXTENSION,
    MOST_TREE,
    RDF,
    TIFF,
    decoded,
    parsed,
    wrapped,
)
from photochrom.photo.metadata.turn import Turn

__all__ = ["Truth", "made_true"]

_XMP = "http://ns.adobe.com/xap/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_DC = "http://purl.org/dc/elements/1.1/"
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_CRS = "http://ns.adobe.com/camera-raw-settings/1.0/"
_AREA = "http://ns.adobe.com/xmp/sType/Area#"
_DIMENSIONS = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
_REGIONS = "http://www.metadataworkinggroup.com/schemas/regions/"
_MICROSOFT = "http://ns.microsoft.com/photo/1.2/t/Region#"
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_FOCUS = "http://ns.google.com/photos/1.0/focus/"
_LENS = "http://ns.adobe.com/photoshop/1.0/camera-profile"

# Pictures, films and sounds that came with the photo, with what to call them.
_WITH_DATA = {
    "http://ns.google.com/photos/1.0/image/": "second picture",
    "http://ns.google.com/photos/1.0/depthmap/": "depth map",
    "http://ns.google.com/photos/1.0/audio/": "sound",
}
_OF_OTHERS = (
    *_WITH_DATA,
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/container/item/",
    "http://ns.google.com/photos/dd/1.0/device/",
    "http://ns.apple.com/HDRGainMap/1.0/",
    "http://ns.apple.com/pixeldatainfo/1.0/",
)
_MOTION = ("MotionPhoto", "MicroVideo")
# How the gray samples were stored.
_STORED = frozenset(
    f"{{{TIFF}}}{name}"
    for name in (
        "BitsPerSample", "Compression", "NativeDigest", "PhotometricInterpretation",
        "PlanarConfiguration", "PrimaryChromaticities", "ReferenceBlackWhite", "SamplesPerPixel",
        "TransferFunction", "WhitePoint", "YCbCrCoefficients", "YCbCrPositioning",
        "YCbCrSubSampling",
    )
)  # fmt: skip
_GRAY = frozenset(
    [f"{{{_XMP}}}Thumbnails", f"{{{_EXIF}}}NativeDigest", f"{{{_CRS}}}ConvertToGrayscale",
     f"{{{_CRS}}}AutoGrayscaleMix"]
)  # fmt: skip
# Of a raw converter: where in the photo something was done. It has been done.
_RETOUCHED = frozenset(
    f"{{{_CRS}}}{name}"
    for name in (
        "CircularGradientBasedCorrections", "GradientBasedCorrections",
        "MaskGroupBasedCorrections", "PaintBasedCorrections", "RedEyeInfo", "RetouchAreas",
        "RetouchInfo",
    )
)  # fmt: skip
_COLORLESS = (f"{{{_CRS}}}Saturation", f"{{{_CRS}}}Vibrance")
_TOLD = re.compile(
    "|".join(
        [*map(re.escape, _OF_OTHERS), *_MOTION, "Thumbnails", "NativeDigest", "Grayscale",
         "GrayMixer", "Saturation", "Vibrance", "ICCProfile", "ColorMode", "ColorSpace",
         "format", *(name.rpartition("}")[2] for name in _STORED)]
    )
)  # fmt: skip
_TURNED = re.compile(
    "|".join(
        [*map(re.escape, (_AREA, _MICROSOFT, _FOCUS, _LENS)), "AppliedToDimensions", "ImageWidth",
         "PixelXDimension", "CropTop", "Subject(Area|Location)", "rbX",
         *(name.rpartition("}")[2] for name in _RETOUCHED)]
    )
)  # fmt: skip


class Truth(NamedTuple):
    """What is true of the result."""

    turn: Turn
    media_type: str
    profiled: bool  # it has an sRGB profile


@lru_cache(maxsize=4)  # once to list losses, and once to write, of both forms of a packet
def made_true(xmp: bytes, truth: Truth, most: int = MOST_TREE) -> tuple[bytes, tuple[str, ...]]:
    """A packet with what is true of the result, and notes for the user.

    Where nothing is false, it stays the same byte for byte. A packet that is damaged or very large
    is left as it is.
    """
    if len(xmp) > most:
        return xmp, ()
    packet = decoded(xmp)[0]
    turned = truth.turn.orientation != 1
    if not _TOLD.search(packet) and not (turned and _TURNED.search(packet)):
        return xmp, ()
    try:
        root = parsed(packet)
    except ValueError:
        return xmp, ()
    if not any(element.tag == f"{{{RDF}}}RDF" for element in root.iter()):
        return xmp, ()
    work = _Work(root, truth)
    work.correct()
    if turned:
        work.turn()
    if not work.changed:
        return xmp, ()
    if root.tag == f"{{{RDF}}}RDF":
        whole = ElementTree.Element("{adobe:ns:meta/}xmpmeta")
        whole.append(root)
        root = whole
    notes = tuple(f"the {what} in its XMP was dropped" for what in work.gone)
    return wrapped(root), notes


class _Work:
    """A tree that is being made true."""

    def __init__(self, root: ElementTree.Element, truth: Truth) -> None:
        self.root, self.truth, self.told = root, truth, truth.turn
        self.changed = False
        self.gone: dict[str, None] = {}

    # --- what is false in any result ---

    def correct(self) -> None:
        """Leave out, or correct, what is not true of a color photo in sRGB."""
        for element in list(self.root.iter()):
            for key in [key for key in element.attrib if self._is_false(key, element.get(key, ""))]:
                del element.attrib[key]
                self._drop(key)
            for child in list(element):
                if self._is_false(child.tag, child.text or ""):
                    element.remove(child)
                    self._drop(child.tag)
        profile = "sRGB IEC61966-2.1" if self.truth.profiled else None
        self._say(f"{{{_PHOTOSHOP}}}ICCProfile", profile)
        self._say(f"{{{_PHOTOSHOP}}}ColorMode", "3")
        self._say(f"{{{_EXIF}}}ColorSpace", "1")
        self._say(f"{{{_DC}}}format", self.truth.media_type)

    def _is_false(self, key: str, value: str) -> bool:
        space, _, name = key[1:].partition("}")
        return (
            key in _STORED
            or key in _GRAY
            or space in _OF_OTHERS
            or (space == _CAMERA and name.startswith(_MOTION))
            or (space == _CRS and name.startswith("GrayMixer"))
            or (key in _COLORLESS and value.strip() == "-100")
        )

    def _drop(self, key: str) -> None:
        self.changed = True
        what = _WITH_DATA.get(key[1:].partition("}")[0])
        if what is not None:
            self.gone[what] = None

    def _say(self, key: str, value: str | None) -> None:
        """Correct a property where the packet has it; None leaves it out."""
        for element in list(self.root.iter()):
            if element.get(key, value) != value:
                self.changed = True
                if value is None:
                    del element.attrib[key]
                else:
                    element.set(key, value)
            for child in element.findall(key):
                if value is None:
                    element.remove(child)
                elif (child.text or "").strip() != value or len(child):
                    child[:] = []
                    child.text = value
                else:
                    continue
                self.changed = True

    # --- what is false of a turned one ---

    def turn(self) -> None:
        """Turn coordinates."""
        upright = self._upright_regions()
        for element in list(self.root.iter()):
            for key in _RETOUCHED:
                for child in element.findall(key):
                    element.remove(child)
                    self.changed = True
            if element not in upright:
                self._center(element)
            self._rectangle(element)
            self._crop(element)
            self._image_region(element)
            self._subject(element)
            self._plain_point(element, _FOCUS, "FocalPointX", "FocalPointY")
            self._plain_point(element, _LENS, "ImageXCenter", "ImageYCenter")
            if self.told.sideways:
                self._sizes(element)

    def _upright_regions(self) -> set[ElementTree.Element]:
        """All in regions that were drawn on the photo as it is shown, by the size they state."""
        found: set[ElementTree.Element] = set()
        stored, shown = self.told.stored, (self.told.width, self.told.height)
        for regions in self.root.iter():
            dimensions = regions.find(f"{{{_REGIONS}}}AppliedToDimensions")
            if dimensions is None or not self.told.sideways or stored[0] == stored[1]:
                continue
            for part in dimensions.iter():
                sizes = _Numbers(part, _DIMENSIONS, ("w", "h"))
                if sizes.found and (sizes[0] > sizes[1]) == (shown[0] > shown[1]):
                    found.update(regions.iter())
        return found

    def _center(self, element: ElementTree.Element) -> None:
        """An area of the MWG: its center and, unless it is a point or a circle, its sides."""
        center = _Numbers(element, _AREA, ("x", "y"))
        sides = _Numbers(element, _AREA, ("w", "h"))
        if center.found:
            unit = _value(element, f"{{{_AREA}}}unit")
            size = self.told.stored if unit == "pixel" else (1, 1)
            self._put(center, self.told.point(center[0], center[1], *size))
        if sides.found:
            self._put(sides, self.told.sides(sides[0], sides[1]))
        dimensions = _Numbers(element, _DIMENSIONS, ("w", "h"))
        if dimensions.found:
            self._put(dimensions, self.told.sides(dimensions[0], dimensions[1]))

    def _rectangle(self, element: ElementTree.Element) -> None:
        """A region of Microsoft: "x, y, width, height" in one text."""
        key = f"{{{_MICROSOFT}}}Rectangle"
        for get, put in _places(element, key):
            try:
                x, y, width, height = (float(part) for part in get().split(","))
            except ValueError:
                continue
            left, top, right, bottom = self.told.box((x, y, x + width, y + height))
            put(", ".join(_text(v) for v in (left, top, right - left, bottom - top)))
            self.changed = True

    def _crop(self, element: ElementTree.Element) -> None:
        """A crop of Camera Raw."""
        crop = _Numbers(element, _CRS, ("CropLeft", "CropTop", "CropRight", "CropBottom"))
        if crop.found:
            self._put(crop, self.told.box((crop[0], crop[1], crop[2], crop[3])))
        size = _Numbers(element, _CRS, ("CropWidth", "CropHeight"))
        if size.found:
            self._put(size, self.told.sides(size[0], size[1]))

    def _image_region(self, element: ElementTree.Element) -> None:
        """A region of the IPTC: a box by its corner, or the center of a circle, or a vertex."""
        corner = _Numbers(element, IPTC_EXTENSION, ("rbX", "rbY"))
        if not corner.found:
            return
        sides = _Numbers(element, IPTC_EXTENSION, ("rbW", "rbH"))
        values = *corner, *(sides if sides.found else (0, 0))
        # A vertex has its unit in the boundary around it; numbers above 1 are pixels.
        pixels = _value(element, f"{{{IPTC_EXTENSION}}}rbUnit") == "pixel" or max(values) > 1
        size = self.told.stored if pixels else (1, 1)
        x, y, width, height = values
        left, top, right, bottom = self.told.box((x, y, x + width, y + height), *size)
        self._put(corner, (left, top))
        if sides.found:
            self._put(sides, (right - left, bottom - top))

    def _subject(self, element: ElementTree.Element) -> None:
        """Where the subject is, in pixels: a point, a circle or a box around a center."""
        for name in ("SubjectArea", "SubjectLocation"):
            for child in element.findall(f"{{{_EXIF}}}{name}"):
                items = [item for item in child.iter() if item.tag == f"{{{RDF}}}li"]
                try:
                    x, y, *size = (float(item.text or "") for item in items)
                except ValueError:
                    continue
                sides = list(self.told.sides(*size)) if len(size) == 2 else size
                values = [*self.told.point(x, y, *self.told.stored), *sides]
                for item, value in zip(items, values, strict=True):
                    item.text = _text(value)
                self.changed = True

    def _plain_point(self, element: ElementTree.Element, space: str, x: str, y: str) -> None:
        point = _Numbers(element, space, (x, y))
        if point.found:
            self._put(point, self.told.point(point[0], point[1]))

    def _sizes(self, element: ElementTree.Element) -> None:
        shown = self.told.width, self.told.height
        for space, names in (
            (TIFF, ("ImageWidth", "ImageLength")),
            (_EXIF, ("PixelXDimension", "PixelYDimension")),
        ):
            sizes = _Numbers(element, space, names)
            if sizes.found:
                self._put(sizes, shown)
        planes = _Places(element, _EXIF, ("FocalPlaneXResolution", "FocalPlaneYResolution"))
        if planes.found:
            planes.put(planes.texts[::-1])
            self.changed = True

    def _put(self, numbers: _Numbers, values: tuple[float, ...]) -> None:
        numbers.put([_text(value) for value in values])
        self.changed = True


Place = tuple[Callable[[], str], Callable[[str], None]]


def _places(element: ElementTree.Element, key: str) -> Iterator[Place]:
    """Where an element states a property: as an attribute, or in a child."""
    if key in element.attrib:
        yield lambda: element.get(key, ""), lambda text: element.set(key, text)
    for child in element.findall(key):
        yield partial(_get, child), partial(_set, child)


def _get(element: ElementTree.Element) -> str:
    return element.text or ""


def _set(element: ElementTree.Element, text: str) -> None:
    element.text = text


def _value(element: ElementTree.Element, key: str) -> str:
    return next((get().strip() for get, _ in _places(element, key)), "")


class _Places:
    """Properties of an element that belong together."""

    def __init__(self, element: ElementTree.Element, space: str, names: tuple[str, ...]) -> None:
        places = [next(_places(element, f"{{{space}}}{name}"), None) for name in names]
        self._found = [place for place in places if place is not None]
        self.found = len(self._found) == len(names)
        self.texts = [get() for get, _ in self._found]

    def put(self, texts: list[str]) -> None:
        for (_, put), text in zip(self._found, texts, strict=True):
            put(text)


class _Numbers(_Places):
    """Numbers of an element that belong together, such as x and y."""

    def __init__(self, element: ElementTree.Element, space: str, names: tuple[str, ...]) -> None:
        super().__init__(element, space, names)
        try:
            self.values = tuple(float(text) for text in self.texts)
        except ValueError:
            self.found = False

    def __iter__(self) -> Iterator[float]:
        return iter(self.values)

    def __getitem__(self, at: int) -> float:
        return self.values[at]


def _text(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"
