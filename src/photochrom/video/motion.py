"""What moved between two frames: dense optical flow on L, and where it can be trusted.

Sources: Kroeger, Timofte, Dai, Van Gool, "Fast Optical Flow using Dense Inverse Search", ECCV 2016
(OpenCV's DIS); Sundaram, Brox, Keutzer, ECCV 2010 (forward-backward check).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.models import STRIDE
from photochrom.video.libraries import cv2

__all__ = ["ASTRAY", "Match", "Motion", "Seen", "carry"]

ASTRAY = 0.5
"""Standard deviation, in pixels of the network's output, of a way there and back that ends beside
its start: what is further astray is another thing."""
UNLIKE = 4.0
"""Standard deviation over L of what is still taken for the same thing."""
_BLUR = 1.0  # pixels: grain has no motion
_GAIN = 2.0  # a frame's contrast is stretched by this at most to be like another's


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame as the network sees it.

    Attributes
    ----------
    L : float32 (rows, columns), 0..100, at the size of the network's input
    image : uint8 (rows, columns), the same for the flow, smoothed
    small : float32 (h, w), L at the size of the network's output
    """

    L: Float32
    image: NDArray[np.uint8]
    small: Float32

    @classmethod
    def of(cls, L: Float32) -> Seen:
        """From L at the size of the network's input, sides multiples of 4."""
        smooth = cv2.GaussianBlur(L, (0, 0), _BLUR)
        image = np.asarray(np.clip(smooth * np.float32(2.55) + np.float32(0.5), 0, 255), np.uint8)
        height, width = L.shape
        small = cv2.resize(L, (width // STRIDE, height // STRIDE), interpolation=cv2.INTER_AREA)
        return cls(L, image, np.asarray(small, np.float32))

    def light_of(self, other: Seen) -> tuple[float, float]:
        """Gain and offset that give L the mean and contrast of another frame, against flicker."""
        mine, theirs = float(self.small.std()), float(other.small.std())
        gain = min(max(theirs / max(mine, 1e-3), 1 / _GAIN), _GAIN)
        return gain, float(other.small.mean()) - gain * float(self.small.mean())


@dataclass(frozen=True, eq=False)
class Match:
    """Where the places of one frame are found in another.

    Attributes
    ----------
    x, y : float32 (h, w), pixels of the network's output in the other frame
    certainty : float32 (h, w), 0..1
    """

    x: Float32
    y: Float32
    certainty: Float32


class Motion:
    """Finds the places of one frame in another."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def flow(self, here: Seen, there: Seen) -> Float32:
        """Motion of each place from `here` to `there`: float32 (h, w, 2), x and y, small pixels."""
        return _coarse(self._fine(here, there), here)

    def drift(self, here: Seen, there: Seen) -> tuple[float, float]:
        """How far things have moved, and how much is lost.

        Returns
        -------
        travel : way of the tenth that moved farthest, at least, in small pixels
        lost : share of `here` that looks different where the motion leads
        """
        fine = self._fine(here, there)
        way = _coarse(fine, here)
        travel = float(np.percentile(np.hypot(way[..., 0], way[..., 1]), 90))
        return travel, float((_unlike(here, there, fine) > (2 * UNLIKE) ** 2).mean())

    def match(self, here: Seen, there: Seen) -> Match:
        """Where each place of `here` is in `there`, and how sure that is."""
        fine = self._fine(here, there)
        way, back = _coarse(fine, here), self.flow(there, here)
        height, width = here.small.shape
        start = _places(height, width)
        x, y = start[..., 0] + way[..., 0], start[..., 1] + way[..., 1]
        returned = way + cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        astray = (returned**2).sum(axis=-1)
        certainty = np.exp(-astray / (2 * ASTRAY**2) - _unlike(here, there, fine) / (2 * UNLIKE**2))
        beyond = np.maximum.reduce([-x, x - (width - 1), -y, y - (height - 1)])
        certainty *= np.clip(1 - beyond, 0, 1)  # it came from outside the frame
        return Match(x, y, np.asarray(certainty, np.float32))

    def _fine(self, here: Seen, there: Seen) -> Float32:
        """The same at the size of the network's input, and in its pixels."""
        fine: Any = self._flow.calc(here.image, there.image, None)  # type: ignore[call-overload]
        return np.asarray(fine, np.float32)


def _coarse(fine: Float32, here: Seen) -> Float32:
    height, width = here.small.shape
    coarse = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(coarse, np.float32) / np.float32(STRIDE)


def _unlike(here: Seen, there: Seen, fine: Float32) -> Float32:
    """Mean squared difference of L along the motion, details and all: float32 (h, w).

    A smooth thing in front of a textured one of the same lightness differs in its details only.
    """
    height, width = here.small.shape
    place = fine + _places(*here.image.shape)
    moved = cv2.remap(there.image, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    gain, offset = there.light_of(here)
    apart = here.image - np.float32(gain) * moved - np.float32(2.55 * offset)
    apart *= apart
    small = cv2.resize(apart, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.7), np.float32) / np.float32(2.55**2)


@cache
def _places(height: int, width: int) -> Float32:
    """x and y of each place: float32 (height, width, 2)."""
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    return np.stack([columns, rows], axis=-1)


def carry(planes: Float32, x: Float32, y: Float32, interpolation: int = cv2.INTER_CUBIC) -> Float32:
    """Planes (n, h, w) as seen from where x and y (h, w) point into them: float32 (n, h, w)."""
    out = np.empty((len(planes), *x.shape), dtype=np.float32)
    for plane, moved in zip(planes, out, strict=True):
        cv2.remap(plane, x, y, interpolation, dst=moved, borderMode=cv2.BORDER_REPLICATE)
    return out
