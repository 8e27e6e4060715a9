"""Where one shot dissolves into the next: frames that are mixtures of the two.

Within a dissolve, every frame lies on the straight line between the last frame of the old shot
and the first of the new one, and moves along it from end to end. Its details are paler than theirs,
since details of two shots have nothing in common; a moving camera or a moving thing leaves them as
they are. Fades to black or white are not dissolves.

Source: the contrast that sinks amid a dissolve is that of Alattar, "Detecting and Compressing
Dissolve Regions in Video Sequences", ISCAS 1993.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from photochrom.video.libraries import cv2
from photochrom.video.motion import Motion, Seen
from photochrom.video.shots import correlation, is_blank, marked, same_shot

__all__ = ["LONGEST", "shots", "with_dissolves"]

LONGEST = 48
"""Mixed frames that a dissolve may have: two seconds."""
SHORTEST = 3
"""The same, at least. Anything shorter looks like a cut."""
ALIKE = 0.7
"""Correlation above which two frames count as one shot."""
ASTRAY = 0.12
"""Mean square by which the frames of a dissolve may leave the line, as a share of the square of
its length."""
PALER = 0.82
"""Energy of the details amid a dissolve, as a share of that between the two shots; half of it in
theory, if both shots stand still."""
CLEAR = 0.08
"""Share of the way at which a frame still counts as an end of the line."""
UNEVEN = 0.2
"""Share of the way by which a frame may be ahead of an even dissolve, or behind it."""
_STILL = 3  # frames at each end that have to be clear
_WINDOWS = (8, 11, 15, 20, 27, 37, 53)  # frames between the two that are compared
_ROWS = 16  # of the reduced frame, in which small motions vanish


class _Trace:
    """What is kept of a frame: a few pixels, and the energy of its details."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        height, width = seen.small.shape
        size = max(1, round(width * _ROWS / height)), _ROWS
        tiny = cv2.resize(seen.small, size, interpolation=cv2.INTER_AREA)
        self.tiny = np.asarray(cv2.GaussianBlur(tiny, (0, 0), 0.8), np.float32)
        smooth = cv2.GaussianBlur(seen.small, (0, 0), 0.8)
        steps = np.diff(smooth, axis=0)[:, :-1] ** 2 + np.diff(smooth, axis=1)[:-1] ** 2
        self.energy = float(steps.mean())


def shots(pictures: Iterable[Seen], motion: Motion) -> Iterator[tuple[Seen, bool, int]]:
    """Every frame, whether a shot begins with it, and how many mixed frames it begins with."""
    numbers: deque[int] = deque()

    def noted() -> Iterator[Seen]:
        for seen, mixed in with_dissolves(pictures, motion):
            numbers.append(mixed)
            yield seen

    left = 0  # mixed frames, and the first clear one
    for seen, cut in marked(noted(), motion):
        mixed = numbers.popleft()
        yield seen, mixed > 0 or (cut and left <= 0), mixed
        left = mixed if mixed else left - 1


def with_dissolves(pictures: Iterable[Seen], motion: Motion) -> Iterator[tuple[Seen, int]]:
    """Every frame, and how many mixed frames begin with it: mostly 0.

    The frames are delayed by the length of a dissolve.
    """
    waiting: deque[_Trace] = deque()
    begins: dict[int, int] = {}  # by the number of the frame
    first = 0  # number of the next frame that is given
    free = 0  # of the first frame that is in no dissolve
    for seen in pictures:
        waiting.append(_Trace(seen))
        found = _found([*waiting][max(0, free - first) :], motion)
        if found is not None:
            start = max(first, free) + found[0]
            begins[start + 1] = found[1] - found[0] - 1
            free = max(first, free) + found[1]
        if len(waiting) > max(_WINDOWS):
            yield waiting.popleft().seen, begins.pop(first, 0)
            first += 1
    for trace in waiting:
        yield trace.seen, begins.pop(first, 0)
        first += 1


def _found(traces: list[_Trace], motion: Motion) -> tuple[int, int] | None:
    """A dissolve that is over by the last frame: the last before it and the first after it."""
    count = len(traces)
    for window in _WINDOWS:
        if window >= count:
            return None
        start = count - 1 - window
        one, other = traces[start], traces[-1]
        if correlation(one.tiny, other.tiny) > ALIKE or is_blank(one.seen) or is_blank(other.seen):
            continue
        inside = _ends(traces[start:])
        if inside is None:
            continue
        ends = start + inside[0], start + inside[1]
        if not same_shot(traces[ends[0]].seen, traces[ends[1]].seen, motion):
            return ends
    return None


def _ends(traces: list[_Trace]) -> tuple[int, int] | None:
    """The same, where the first and the last frame are of two shots; None for no dissolve."""
    points = np.stack([t.tiny.ravel() for t in traces]).astype(np.float64)
    line = points[-1] - points[0]
    length = float(line @ line)
    away = points - points[0]
    share = away @ line / max(length, 1e-6)
    astray = ((away - share[:, None] * line) ** 2).sum(axis=1) / max(length, 1e-6)
    before = int(np.flatnonzero(share < CLEAR)[-1])
    after = int(np.flatnonzero(share > 1 - CLEAR)[0])
    mixed = slice(before + 1, after)
    if before + 1 < _STILL or after > len(traces) - _STILL:
        return None  # it may have begun earlier, or go on
    if not SHORTEST <= after - before - 1 <= LONGEST:
        return None
    even = np.arange(1, after - before) / (after - before)
    if np.abs(share[mixed] - even).max() > UNEVEN or astray[mixed].mean() > ASTRAY:
        return None
    energy = np.array([t.energy for t in traces])
    expected = (1 - share) * energy[before] + share * energy[after]
    middle = (share > 0.25) & (share < 0.75)
    if not middle.any() or energy[middle].sum() > PALER * expected[middle].sum():
        return None
    return before, after
