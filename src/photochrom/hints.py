"""What a user says about the photo: this spot, this stroke or this region has that color."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color.lab import rgb_to_lab
from photochrom.color.names import color_code
from photochrom.errors import HintError
from photochrom.models import ModelInfo

__all__ = ["MOST_POINTS", "MOST_REACH", "Hint", "HintLike", "Place", "check_hints"]

MOST_POINTS = 200
"""Of a stroke or of the outline of a region."""
MOST_REACH = 4.0
"""With it, a hint colors everything in the photo that resembles its place."""
MARKS = 12
"""Spots, at most, at which the network is told of one stroke or region."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Hint:
    """A color for a spot of a photo, for a stroke across it, or for a region.

    Attributes
    ----------
    x, y : the spot, in pixels from the left and the top. Of a stroke or a region, a place on it
    color : (r, g, b), sRGB in 0..255, or "#3a5fcd", or "navy"; only its a and b count, so
        any gray keeps the place gray
    reach : how far the color spreads, 0..4; 1 fills an object of usual size, 0 stays on the spot
    strength : share of the way from the present color to this one, 0..1
    stroke : points (x, y) of a line that has the color, or ()
    region : points (x, y) of the outline of an area that has the color, or (). It ends there,
        whatever the reach
    """

    x: float
    y: float
    color: str | Sequence[float]
    reach: float = 1.0
    strength: float = 1.0
    stroke: Sequence[Point] = ()
    region: Sequence[Point] = ()

    @classmethod
    def along(
        cls,
        points: Sequence[Point],
        color: str | Sequence[float],
        reach: float = 1,
        strength: float = 1,
    ) -> Hint:
        """A stroke through these points."""
        x, y = points[len(points) // 2]
        return cls(x, y, color, reach, strength, stroke=tuple(points))

    @classmethod
    def within(
        cls, points: Sequence[Point], color: str | Sequence[float], strength: float = 1
    ) -> Hint:
        """A region with these corners; two points are opposite corners of a rectangle."""
        if len(points) == 2:
            (left, top), (right, bottom) = points
            points = (left, top), (right, top), (right, bottom), (left, bottom)
        x, y = np.mean(np.array(points, dtype=np.float64), axis=0).tolist()
        return cls(x, y, color, strength=strength, region=tuple(points))

    @classmethod
    def of(cls, hint: HintLike) -> Hint:
        """A hint of a hint, or of its `values`; the shortest are (x, y, (r, g, b))."""
        made = hint if isinstance(hint, Hint) else cls(*hint)
        if not isinstance(made.color, str):
            return made
        try:
            return replace(made, color=color_code(made.color))
        except ValueError as error:
            raise HintError(f"not a color: {error}") from None

    @property
    def values(self) -> tuple[Any, ...]:
        """What it consists of, in plain numbers, as short as possible."""
        spot = float(self.x), float(self.y), tuple(float(v) for v in self.color)
        stroke, region = (
            tuple((float(x), float(y)) for x, y in line) for line in (self.stroke, self.region)
        )
        rest = float(self.reach), float(self.strength), stroke, region
        return spot if rest == (1.0, 1.0, (), ()) else (*spot, *rest)


HintLike = Hint | tuple[float, float, str | Sequence[float]] | Sequence[Any]
"""A hint, or a tuple of its first values: (x, y, (r, g, b))."""


@dataclass(frozen=True, eq=False)
class Place:
    """A checked hint: a color, and where it holds, in shares of the photo.

    Attributes
    ----------
    x, y : in [0, 1)
    ab : float32 (2,)
    reach, strength : see `Hint`
    line : float32 (n, 2), the points (x, y) of a stroke or an outline; None for a spot
    closed : whether the line is the outline of a region
    """

    x: float
    y: float
    ab: Float32
    reach: float = 1.0
    strength: float = 1.0
    line: Float32 | None = None
    closed: bool = False

    def pixel(self, height: int, width: int) -> tuple[int, int]:
        """(row, column) of the spot."""
        return int(self.y * height), int(self.x * width)

    def seeds(self, height: int, width: int) -> NDArray[np.bool_]:
        """The pixels that have the color: bool (height, width)."""
        mask = np.zeros((height, width), dtype=np.bool_)
        if self.line is not None and self.closed:
            mask = _inside(self.line, height, width)
        elif self.line is not None:
            rows, columns = _along(self.line, height, width)
            mask[rows, columns] = True
        if not mask.any():
            mask[self.pixel(height, width)] = True
        return mask

    def marks(self, height: int, width: int) -> list[tuple[int, int]]:
        """The pixels (row, column), few and spread evenly, at which the network is told."""
        if self.line is None:
            return [self.pixel(height, width)]
        if self.closed:
            rows, columns = np.nonzero(self.seeds(height, width))
        else:
            rows, columns = _along(self.line, height, width)
        few = np.linspace(0, len(rows) - 1, min(MARKS, len(rows))).round().astype(int)
        return list(dict.fromkeys(zip(rows[few].tolist(), columns[few].tolist(), strict=True)))


def _along(line: Float32, height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels along a line, in its order."""
    points = line * np.array([width, height], dtype=np.float32)
    parts = [points[:1]]
    for start, end in pairwise(points):
        steps = max(1, math.ceil(2 * float(np.abs(end - start).max())))
        shares = np.arange(1, steps + 1, dtype=np.float32)[:, None] / np.float32(steps)
        parts.append(start + shares * (end - start))
    columns, rows = np.concatenate(parts).astype(np.intp).T
    return np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)


def _inside(outline: Float32, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels whose centers an outline surrounds: to their left, its edges are odd in number."""
    points = outline * np.array([width, height], dtype=np.float32)
    x, y = np.arange(width) + np.float32(0.5), (np.arange(height) + np.float32(0.5))[:, None]
    inside = np.zeros((height, width), dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 != y1:
            at = x0 + (y - y0) * ((x1 - x0) / (y1 - y0))
            inside ^= ((y0 <= y) != (y1 <= y)) & (x > at)
    return inside


def check_hints(hints: Sequence[HintLike], shape: tuple[int, int], info: ModelInfo) -> list[Place]:
    """Check the hints for a photo of (height, width), and convert them to places.

    Raises
    ------
    HintError
        See `Colorizer.predict`.
    """
    if len(hints) and info.channels != 4:
        raise HintError(f"the model {info.name} doesn't take hints", "use a photochrom model")
    return [_checked(n, hint, shape) for n, hint in enumerate(hints, 1)]


def _checked(n: int, given: HintLike, shape: tuple[int, int]) -> Place:
    height, width = shape
    try:
        hint = Hint.of(given)
        x, y, reach, strength = (float(v) for v in (hint.x, hint.y, hint.reach, hint.strength))
        values = np.array([float(v) for v in hint.color], dtype=np.float32)
        points = [(float(x), float(y)) for x, y in hint.region or hint.stroke]
    except (TypeError, ValueError):
        raise HintError(f"hint {n}: {given!r} is not (x, y, (r, g, b))") from None
    for px, py in ((x, y), *points):
        if not (0 <= px < width and 0 <= py < height):
            raise HintError(
                f"hint {n}: ({px:g}, {py:g}) is outside the photo, "
                f"which has {width} x {height} pixels",
                f"use x from 0 to {width - 1} and y from 0 to {height - 1}",
            )
    if values.shape != (3,) or not ((values >= 0) & (values <= 255)).all():
        raise HintError(
            f"hint {n}: {tuple(hint.color)!r} is not a color", "give r, g, b from 0 to 255"
        )
    if not 0 <= reach <= MOST_REACH:
        raise HintError(f"hint {n}: its reach of {reach:g} must be from 0 to {MOST_REACH:g}")
    if not 0 <= strength <= 1:
        raise HintError(f"hint {n}: its strength of {strength:g} must be from 0 to 1")
    if hint.stroke and hint.region:
        raise HintError(f"hint {n}: is both a stroke and a region", "make two hints of it")
    if hint.region and len(points) < 3:
        raise HintError(f"hint {n}: a region needs at least 3 points")
    if len(points) > MOST_POINTS:
        raise HintError(
            f"hint {n}: has {len(points)} points, more than {MOST_POINTS}", "leave some out"
        )
    ab = rgb_to_lab(values / np.float32(255))[1:]
    shares = [
        (min((px + 0.5) / width, 1 - 1e-6), min((py + 0.5) / height, 1 - 1e-6))
        for px, py in ((x, y), *points)
    ]
    line = np.array(shares[1:], dtype=np.float32) if points else None
    return Place(*shares[0], ab, reach, strength, line, bool(hint.region))
