"""What the channels of a TIFF page are: colors, alpha, and others such as masks.

The photometric interpretation says what the first channels are, and ExtraSamples what the others
are. Their number alone says nothing: gray with two masks has three channels, as RGB has.

Sources: TIFF 6.0 (Adobe, 1992), sections 8, 16, 18 and 23; Adobe Photoshop TIFF Technical Notes
(2002), ICC L*a*b*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyvips

from photochrom.errors import PhotoError
from photochrom.photo.ifd import FAILURES, PHOTOMETRIC, SUB_IFDS, Reader, to_number
from photochrom.photo.layout import Layout
from photochrom.photo.source import Origin

__all__ = ["Channels", "LAB", "channels_of", "is_camera_raw"]

LAB = (8, 9)
"""Photometric interpretations: L*a*b* with signed a and b, and as in ICC profiles."""
_COLORS = {0: "GRAY", 1: "GRAY", 2: "RGB ", 5: "CMYK", 8: "Lab ", 9: "ICC "}
_COUNTS = {"GRAY": 1, "RGB ": 3, "CMYK": 4, "Lab ": 3, "ICC ": 3}
_NAMES = {"GRAY": "gray", "RGB ": "RGB", "CMYK": "CMYK", "Lab ": "CIELab", "ICC ": "CIELab"}
_OTHER = {
    10: "ITU L*a*b*",
    32803: "the raw samples of a camera",
    34892: "the raw samples of a camera",
    32844: "LogL",
    32845: "LogLuv",
}
_RAW = (32803, 34892)
_MOST_EXTRA = 60
_ASSOCIATED = 1  # alpha by which the colors are multiplied


@dataclass(frozen=True)
class Channels:
    """The channels of a page."""

    space: str  # of the colors, by its ICC name; "L   " for L* alone
    colors: int
    extra: tuple[int, ...] = ()  # kinds of the others, as ExtraSamples states them
    inverse: bool = False  # floats of which 0 is white

    @property
    def alpha(self) -> int | None:
        """Which of the others is the alpha channel."""
        return next((n for n, kind in enumerate(self.extra) if kind in (1, 2)), None)

    @property
    def others(self) -> int:
        """How many channels are neither color nor alpha."""
        return len(self.extra) - (self.alpha is not None)

    def seen(self, image: Any) -> Any:
        """The colors of an image and, behind them, its alpha."""
        call = pyvips.Operation.call
        if self.inverse:
            gray = call("linear", call("extract_band", image, 0), [-1.0], [1.0])
            rest = [call("extract_band", image, 1, n=len(self.extra))] if self.extra else []
            image = call("cast", call("bandjoin", [gray, *rest]), "float")
        if not self.others:
            return image
        parts = [call("extract_band", image, 0, n=self.colors)]
        if self.alpha is not None:
            parts.append(call("extract_band", image, self.colors + self.alpha))
        return call("bandjoin", parts)

    def beyond(self, image: Any) -> Any:
        """The channels of an image that are not colors, in their order."""
        return pyvips.Operation.call("extract_band", image, self.colors, n=len(self.extra))


def is_camera_raw(origin: Origin) -> bool:
    """Whether there are raw samples of a camera in the first directory of a file, or below it."""
    try:
        with origin.open() as file:
            reader = Reader(file)
            directory, _ = reader.directory(reader.first, frozenset([PHOTOMETRIC, SUB_IFDS]))
            if to_number(directory, PHOTOMETRIC) in _RAW:
                return True
            for below in directory[SUB_IFDS].numbers[:8] if SUB_IFDS in directory else ():
                found, _ = reader.directory(below, frozenset([PHOTOMETRIC]))
                if to_number(found, PHOTOMETRIC) in _RAW:
                    return True
    except FAILURES:
        pass
    return False


def channels_of(layout: Layout, name: str) -> Channels | None:
    """The channels of a page; None if libvips settles it, as for palettes.

    Raises
    ------
    PhotoError
        Their number does not fit what the page says about them, or they cannot be read.
    """
    remedy = "convert it to gray or RGB"
    if layout.photometric in _OTHER:
        what = _OTHER[layout.photometric]
        raise PhotoError(f"its pixels are {what}, which is not supported", remedy, name=name)
    space = _COLORS.get(layout.photometric)
    if space is None:
        return None
    if space == "CMYK" and layout.inks != 1:
        raise PhotoError("its inks are not those of CMYK", remedy, name=name)
    colors, extra = _COUNTS[space], layout.extra
    if extra is None:  # old programs do not state a single one
        extra = (0,) if layout.channels == colors + 1 else ()
    if space == "Lab " and layout.channels - len(extra) == 1:
        space, colors = "L   ", 1
    if layout.channels != colors + len(extra):
        channels = "1 channel" if layout.channels == 1 else f"{layout.channels} channels"
        beyond = f" with {len(extra)} more" if extra else ""
        named = _NAMES.get(space, space)
        raise PhotoError(
            f"has {channels}, which is not {named}{beyond}, as it says", remedy, name=name
        )
    if len(extra) > _MOST_EXTRA:
        raise PhotoError(
            f"has {len(extra)} channels besides color, over the limit of {_MOST_EXTRA}",
            "remove some of them",
            name=name,
        )
    if _ASSOCIATED in extra[1:]:
        raise PhotoError(
            "premultiplied alpha behind another channel is not supported",
            "save it with unassociated alpha",
            name=name,
        )
    if space in ("Lab ", "ICC ", "L   ") and (layout.bits not in (8, 16) or layout.kind == 3):
        kind = "floats" if layout.kind == 3 else f"{layout.bits} bits"
        raise PhotoError(
            f"CIELab of {kind} is not supported", "save it with 8 or 16 bits", name=name
        )
    inverse = layout.photometric == 0 and layout.kind == 3
    return Channels(space, colors, extra, inverse)
