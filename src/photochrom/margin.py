"""Flat margins: the paper around a print, a mount, the page of an album, the lid of a scanner.

A margin has one tone, lies at the edge of the photo, and ends in straight lines, tilted a little
perhaps. What it surrounds is a picture, or several. There may be another margin inside: a print
with white borders on a black page.

The network has seen no margins. It would give them colors, and they would take up a part of what
it sees of the picture. So it sees the pictures alone, and margins stay gray.

A plain sky or backdrop is not a margin: it meets what is in front of it in no straight line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color.lab import fit_gamut
from photochrom.color.resize import area_shrink

__all__ = ["Margin", "Picture", "find_margin", "look_size"]

LOOK = 384
"""Longest side at which margins are looked for, in pixels."""
RING = 2
"""Pixels along an edge by which its tone is known."""
FLAT = 5.0
"""L units by which a margin may differ from its tone."""
LEAST_FLAT = 1.5
"""The same for a margin without any noise."""
EVEN = 0.95
"""Share of the pixels along an edge that have to be so flat."""
SAME = 8.0
"""L units by which the tones of two edges may differ."""
PURE = 1.5
"""L units from black or white of a margin on a single edge, or on two adjacent ones: a scanner's.
Any other could be a sky above the sea."""
STRAIGHT = 1.5
"""Pixels by which a border may leave its line."""
MOST_LEAKS = 0.5
"""Share of a border that may lie deeper than its line, where the picture has the margin's tone; if
the margin surrounds the picture."""
STRICT_LEAKS = 0.1
"""The same for a margin on fewer than three edges."""
MOST_TILT = 0.1
"""Slope of a border, at most: 6 degrees."""
CORNER = 0.06
"""Share of a border at each end that does not count: corners are round or worn."""
SMALLEST = 0.01
"""Share of the photo that a picture has at least; less is dust, a stamp, a written word."""
MOST_PARTS = 40
"""Pictures and large stains that are looked at."""
LEAST_PICTURES = 0.15
"""Share of the photo that all pictures have at least."""
LEAST_MARGIN = 0.01
"""Share of the photo that margins have at least."""
DEEPEST = 3
"""Margins inside one another."""
BAND = 1.25
"""Pixels to both sides of a border where each pixel's own L decides."""

Mask = NDArray[np.bool_]
Lines = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Picture:
    """A picture inside a margin, at the size of `look_size`.

    Attributes
    ----------
    lines : (nx, ny, c) of its four borders; nx x + ny y + c is the distance from it, inside > 0
    tone : L of the margin around it
    flat : L units by which that margin differs from its tone, at most
    """

    lines: Lines
    tone: float
    flat: float = FLAT

    def depth(self, x: Float32, y: Float32) -> Float32:
        """How deep inside the picture points are, in pixels; negative outside."""
        inside = [
            np.float32(nx) * x + np.float32(ny) * y + np.float32(c) for nx, ny, c in self.lines
        ]
        return np.asarray(np.minimum.reduce(inside), dtype=np.float32)


@dataclass(frozen=True)
class Margin:
    """What of a photo is margin.

    Attributes
    ----------
    pictures : what it surrounds
    look : (height, width) at which it was found
    box : (top, left, bottom, right) around all pictures, in shares of the photo
    """

    pictures: tuple[Picture, ...]
    look: tuple[int, int]
    box: tuple[float, float, float, float]

    def depth(self, x: Float32, y: Float32) -> Float32:
        """How deep inside a picture points are, in pixels of `look`; negative in the margin.

        Parameters
        ----------
        x, y : places, in shares of the photo; they are broadcast
        """
        height, width = self.look
        across, down = x * np.float32(width), y * np.float32(height)
        depths = [picture.depth(across, down) for picture in self.pictures]
        return np.asarray(np.maximum.reduce(depths), dtype=np.float32)

    def holds(self, x: float, y: float) -> bool:
        """Whether a place, in shares of the photo, is surely in the margin."""
        return bool(self.depth(np.array(x, np.float32), np.array(y, np.float32)) < -BAND)

    def of(self, L: Float32, shape: tuple[int, int], top: int = 0, left: int = 0) -> Mask:
        """Which pixels of a part of the photo are margin.

        Parameters
        ----------
        L : float32 (n, m), 0..100, of the part
        shape : (height, width) of the photo, at the size at hand
        top, left : the first row and column of the part
        """
        n, m = L.shape
        y = (np.arange(top, top + n, dtype=np.float32) + np.float32(0.5)) / np.float32(shape[0])
        x = (np.arange(left, left + m, dtype=np.float32) + np.float32(0.5)) / np.float32(shape[1])
        height, width = self.look
        across, down = x[None] * np.float32(width), y[:, None] * np.float32(height)
        # Wider for small photos: the line may run anywhere in its pixel.
        band = max(BAND, BAND * width / shape[1])
        margin = np.ones(L.shape, dtype=bool)
        for picture in self.pictures:
            depth = picture.depth(across, down)
            differs = np.abs(L - np.float32(picture.tone)) > picture.flat
            margin &= (depth < -band) | ((depth < band) & ~differs)
        return margin

    def clear(
        self, L: Float32, out: NDArray[Any], shape: tuple[int, int], top: int = 0, left: int = 0
    ) -> None:
        """Make the margin in a part of a colored photo gray again.

        Parameters
        ----------
        L, shape, top, left : as for `of`
        out : encoded sRGB (n, m, 3)
        """
        margin = self.of(L, shape, top, left)
        if margin.any():
            gray = L[margin]
            out[margin] = fit_gamut(gray, np.zeros((*gray.shape, 2), np.float32), out.dtype)


def look_size(shape: tuple[int, int]) -> tuple[int, int]:
    """(height, width) at which margins of a photo are looked for."""
    scale = min(1.0, LOOK / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def find_margin(L: Float32, shape: tuple[int, int] | None = None) -> Margin | None:
    """The margin of a photo; None if it has none.

    Parameters
    ----------
    L : float32 (H, W), 0..100; its own, or reduced by area to its `look_size`
    shape : (height, width) of the photo; None for that of L
    """
    size = look_size(L.shape[:2] if shape is None else shape)
    if min(size) < 16:
        return None
    small = area_shrink(L, size)
    ring = _edges(small)
    if ring is None:
        return None
    seeds, tone, leaks = ring
    room = np.ones(size, dtype=bool)
    pictures = tuple(_inside(small, room, seeds, tone, (leaks, DEEPEST)))
    if not pictures:
        return None
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32) + np.float32(0.5)
    depth = np.maximum.reduce([picture.depth(x, y) for picture in pictures])
    share = float((depth > 0).mean())
    if not LEAST_PICTURES <= share <= 1 - LEAST_MARGIN:
        return None
    rows, columns = (np.flatnonzero((depth > 0).any(axis=axis)) for axis in (1, 0))
    box = (
        rows[0] / size[0],
        columns[0] / size[1],
        (rows[-1] + 1) / size[0],
        (columns[-1] + 1) / size[1],
    )
    return Margin(pictures, size, tuple(float(side) for side in box))  # type: ignore[arg-type]


def _edges(L: Float32) -> tuple[Mask, float, float] | None:
    """The flat edges of a photo: (their pixels, their tone, how much may leak); None if none."""
    parts = {
        "top": np.s_[:RING, :], "bottom": np.s_[-RING:, :],
        "left": np.s_[:, :RING], "right": np.s_[:, -RING:],
    }  # fmt: skip
    tones = {}
    for name, part in parts.items():
        tone = float(np.median(L[part]))
        if (np.abs(L[part] - tone) <= FLAT).mean() >= EVEN:
            tones[name] = tone
    if not tones:
        return None
    tone = float(np.median(list(tones.values())))
    flat = [name for name, own in tones.items() if abs(own - tone) <= SAME]
    leaks = MOST_LEAKS if len(flat) >= 3 else STRICT_LEAKS
    opposite = {"top", "bottom"} <= set(flat) or {"left", "right"} <= set(flat)
    if len(flat) < 3 and not opposite and PURE < tone < 100 - PURE:
        return None
    seeds = np.zeros(L.shape, dtype=bool)
    for name in flat:
        seeds[parts[name]] = True
    return seeds, tone, leaks


def _inside(
    L: Float32, room: Mask, seeds: Mask, tone: float, rules: tuple[float, int]
) -> Iterator[Picture]:
    """The pictures in a room whose margin has a tone and begins at the seeds.

    Parameters
    ----------
    L : float32 (h, w)
    room : where to look
    rules : (how much of a border may leak, how many margins may lie inside one another)
    """
    leaks, deeper = rules
    # No wider than its own noise: what has nearly its tone is not taken for it.
    noise = np.abs(L[seeds] - tone)
    flat = max(LEAST_FLAT, min(FLAT, 4 * float(np.median(noise)) + LEAST_FLAT))
    like = room & (np.abs(L - tone) <= flat)
    margin = _reached(seeds & like, like)
    rest = room & ~margin
    # Noise makes many specks. What matters is wider.
    cores = _eroded(_eroded(rest))
    found = []
    for _ in range(MOST_PARTS):
        if not cores.any():
            break
        seed = np.zeros(L.shape, dtype=bool)
        seed[np.unravel_index(int(cores.argmax()), L.shape)] = True
        part = _reached(seed, rest)
        cores &= ~part
        if part.sum() < SMALLEST * L.size:
            continue
        lines = _borders(part, leaks)
        if lines is None:
            return  # nothing that a margin surrounds, so it is none
        found.append(Picture(lines, tone, flat))
    for picture in found:
        inner = list(_next(L, picture, rules)) if deeper > 1 else []
        yield from inner or [picture]


def _next(L: Float32, picture: Picture, rules: tuple[float, int]) -> Iterator[Picture]:
    """The pictures inside a picture that is framed by another margin."""
    y, x = np.mgrid[: L.shape[0], : L.shape[1]].astype(np.float32) + np.float32(0.5)
    depth = picture.depth(x, y)
    # Behind the border, which may be a shadow, a bevel or a black line.
    ring = (depth > 2) & (depth <= 2 + RING)
    if not ring.any():
        return
    tone = float(np.median(L[ring]))
    if (np.abs(L[ring] - tone) <= FLAT).mean() < EVEN:
        return
    yield from _inside(L, depth > 2, ring, tone, (MOST_LEAKS, rules[1] - 1))


def _eroded(mask: Mask) -> Mask:
    """The pixels whose eight neighbors are in a mask as well."""
    p = np.pad(mask, 1)
    rows: Mask = p[:-2] & p[1:-1] & p[2:]
    return rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]


def _reached(seeds: Mask, allowed: Mask) -> Mask:
    """The allowed pixels that seeds reach by steps to the four sides."""
    reached, count = seeds & allowed, -1
    while count != (count := int(reached.sum())):
        for axis in (1, 0):
            for step in (1, -1):
                flip = np.s_[:, ::step] if axis else np.s_[::step]
                here, free = reached[flip], allowed[flip]
                at = np.arange(here.shape[axis]).reshape((1, -1) if axis else (-1, 1))
                last = np.maximum.accumulate(np.where(here, at, -1), axis=axis)
                wall = np.maximum.accumulate(np.where(free, -1, at), axis=axis)
                here |= free & (last > wall)
    return reached


def _borders(part: Mask, leaks: float) -> Lines | None:
    """The four straight borders of a picture; None if one of them is not straight."""
    lines = []
    for axis, far in ((0, False), (0, True), (1, False), (1, True)):
        turned = part if axis == 0 else part.T
        turned = turned[::-1] if far else turned
        line = _line(turned, leaks)
        if line is None:
            return None
        slope, start = line
        # In the turned picture: y - slope x - start > 0 inside.
        norm = float(np.hypot(1, slope))
        along, across, c = -slope / norm, 1 / norm, -start / norm
        if far:
            across, c = -across, c + across * len(turned)
        lines.append((along, across, c) if axis == 0 else (across, along, c))
    return tuple(lines)


def _line(part: Mask, leaks: float) -> tuple[float, float] | None:
    """(slope, start) of the upper border of a picture; None if it is not straight."""
    columns = np.flatnonzero(part.any(axis=0))
    cut = round(CORNER * len(columns))
    columns = columns[cut : len(columns) - cut]
    if len(columns) < 8:
        return None
    x = columns + 0.5
    first = part.argmax(axis=0)[columns].astype(np.float64)
    # Leaks lead inwards only, so the line begins among the outermost points.
    chunks = np.array_split(np.arange(len(x)), 8)
    anchors = np.array([[x[chunk].mean(), np.percentile(first[chunk], 20)] for chunk in chunks])
    i, j = np.triu_indices(8, 1)
    slope = float(np.median((anchors[j, 1] - anchors[i, 1]) / (anchors[j, 0] - anchors[i, 0])))
    start = float(np.median(anchors[:, 1] - slope * anchors[:, 0]))
    for _ in range(4):
        near = np.abs(first - slope * x - start) <= STRAIGHT
        if near.mean() < 1 - leaks:
            return None
        slope, start = (float(v) for v in np.polyfit(x[near], first[near], 1))
    near = np.abs(first - slope * x - start) <= STRAIGHT
    if near.mean() < 1 - leaks or abs(slope) > MOST_TILT:
        return None
    return slope, start
