"""A shot being colored: the frames on which the network runs, and its results, made steady."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from photochrom.arrays import Float32
from photochrom.look import Look
from photochrom.video.dissolves import shots
from photochrom.video.eye import Eye
from photochrom.video.luma import Luma
from photochrom.video.motion import Motion, Seen
from photochrom.video.shots import same_shot
from photochrom.video.steady import Gathered, Spool, between, carried, dissolved, said, together

__all__ = ["Carried", "Pace", "Stretch", "stretches"]

MOST_KEYS = 240
MOST_PICTURES = 1500
"""A longer shot is colored in stretches of at most this many keys and frames."""
RAMP = 48
"""Frames over which a stretch that continues a shot begins to use later frames, which the end of
the stretch before could not use."""
TRAVEL = 2.5
"""Pixels of the network's output by which things may move before the network runs again."""
LOST = 0.05
"""Share of a frame that may be something else before the network runs again: an arm in the air
has no color between two keys that don't show it there."""
LONGEST = 8
"""Frames after which the network runs in any case: a third of a second."""


@dataclass(frozen=True)
class Pace:
    """How often the network runs, and how steady its results are made.

    Attributes
    ----------
    every : the network runs on every n-th frame; None: as often as the motion requires
    passes : 0 colors each frame by itself; 1 goes through a shot once; 2 also goes back
    always : numbers of the frames in the film on which it runs in any case
    longest : frames that are colored at once; a longer shot is colored in stretches
    """

    every: int | None = None
    passes: int = 2
    always: frozenset[int] = frozenset()
    longest: int = MOST_PICTURES


@dataclass(frozen=True, eq=False)
class Carried:
    """What a stretch hands on to the next of its shot: its last key, and what is known there."""

    seen: Seen
    known: Gathered
    shift: Float32 | None = None

    def shifted(self, shift: Float32) -> Carried:
        """The same, with what a still adds to a and b there: float32 (2, h, w)."""
        return replace(self, shift=shift)


@dataclass(eq=False)
class Stretch:
    """Frames of one shot, and the network's results at its keys.

    Attributes
    ----------
    first : the number of the first frame in the film
    begins : whether a shot begins with it
    count : frames
    keys : numbers of frames within the stretch; from 0 to the last, or from the first that is
        clear, where the shot before dissolves into this one
    seen : what the network saw at each key, without the L that only it needs
    states : planes float32 (Q, h, w) of each key
    before : what the stretch before handed on, if the shot began there, or dissolves into this
    last : handed on to the next stretch
    goes_on : whether the shot may be longer than the stretch
    mixed : frames at the beginning that are mixed with the shot before
    dissolves : the same of the next stretch
    shifts : what is added to a and b at each key, float32 (2, h, w), or None
    look : temperature and saturation
    """

    first: int
    begins: bool
    states: Spool
    count: int = 0
    keys: list[int] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    before: Carried | None = None
    last: Carried | None = None
    goes_on: bool = False
    mixed: int = 0
    dissolves: int = 0
    shifts: list[Float32] | None = None
    look: Look = field(default_factory=Look)

    def close(self) -> None:
        """Free the space on disk."""
        self.states.close()

    def colors(self, lumas: Iterable[Luma], eye: Eye) -> Iterator[Float32]:
        """ab (h, w, 2) of every frame, as it is stored.

        Parameters
        ----------
        lumas : Y' of the frames of this stretch
        """
        motion = Motion()
        at, last = 0, len(self.keys) - 1
        pair = self._ab(0, eye), self._ab(min(1, last), eye)
        old = self._old_ab(eye)
        for number, luma in zip(range(self.count), lumas, strict=False):
            if at < last and number == self.keys[at + 1]:
                at += 1
                pair = pair[1], self._ab(min(at + 1, last), eye)
            if number < self.keys[0] and old is not None and self.before is not None:
                share = (number + 1) / (self.keys[0] + 1)
                looks = self.before.seen, self.seen[0]
                yield eye.stored(dissolved(looks, (old, pair[0]), share))
            elif number <= self.keys[at]:
                yield eye.stored(pair[0])
            else:
                share = (number - self.keys[at]) / (self.keys[at + 1] - self.keys[at])
                ends = self.seen[at], self.seen[at + 1]
                yield eye.stored(between(eye.see(luma), ends, pair, share, motion))

    def _ab(self, key: int, eye: Eye) -> Float32:
        shift = None if self.shifts is None else self.shifts[key]
        return eye.upright_ab(self.states[key], self.look, shift)

    def _old_ab(self, eye: Eye) -> Float32 | None:
        if self.mixed == 0 or self.before is None:
            return None
        return eye.upright_ab(self.before.known.logits, self.look, self.before.shift)


class _Builder:
    """Fills one stretch, frame after frame."""

    def __init__(self, stretch: Stretch, eye: Eye, pace: Pace) -> None:
        self.stretch = stretch
        self._eye, self._pace = eye, pace
        self._before = None if stretch.mixed else stretch.before
        self._motion = Motion()
        self._said = Spool()
        self._latest: Seen | None = None
        self._weights: list[Float32] = []

    @property
    def full(self) -> bool:
        return len(self.stretch.keys) >= MOST_KEYS or self.stretch.count >= self._pace.longest

    def add(self, seen: Seen) -> None:
        number = self.stretch.count
        self.stretch.count += 1
        self._latest = seen
        if number < self.stretch.mixed:
            return
        if number == self.stretch.mixed or self._due(seen, number):
            self._look(number, seen)

    def _due(self, seen: Seen, number: int) -> bool:
        if self.stretch.first + number in self._pace.always:
            return True
        passed = number - self.stretch.keys[-1]
        if self._pace.every is not None:
            return passed >= self._pace.every
        if passed >= LONGEST:
            return True
        travel, lost = self._motion.drift(seen, self.stretch.seen[-1])
        return travel > TRAVEL or lost > LOST

    def _look(self, number: int, seen: Seen) -> None:
        stretch = self.stretch
        logits = self._eye.logits(seen)
        before = self._before
        known = said(logits)
        if self._pace.passes and before is not None:
            match = self._motion.match(seen, before.seen)
            known = together(known, carried(before.known, match))
        key = len(stretch.keys)
        stretch.keys.append(number)
        kept = replace(seen, L=seen.small)
        stretch.seen.append(kept)
        self._said[key] = logits
        stretch.states[key] = known.logits
        self._weights.append(known.weight)
        self._before = Carried(kept, known)

    def finished(self) -> Stretch:
        stretch = self.stretch
        if self._latest is not None and stretch.keys[-1:] != [stretch.count - 1]:
            self._look(stretch.count - 1, self._latest)
        stretch.last, stretch.goes_on = self._before, self.full
        if self._pace.passes > 1:
            self._go_back()
        self._said.close()
        return stretch

    def close(self) -> None:
        self._said.close()
        self.stretch.close()

    def _go_back(self) -> None:
        """The second pass: from the last key to the first."""
        stretch = self.stretch
        future: Gathered | None = None  # what is known from the end down to the key after
        for key in reversed(range(len(stretch.keys))):
            here = said(self._said[key])
            if future is not None:
                match = self._motion.match(stretch.seen[key], stretch.seen[key + 1])
                coming = carried(future, match)
                here = together(here, coming)
                if not stretch.begins and stretch.keys[key] < RAMP:
                    share = np.float32(stretch.keys[key] / RAMP)
                    coming = replace(coming, weight=coming.weight * share)
                past = Gathered(stretch.states[key], self._weights[key])
                stretch.states[key] = together(past, coming).logits
            future = here


def stretches(
    lumas: Iterable[Luma],
    eye: Eye,
    pace: Pace,
    first: int = 0,
    before: Carried | None = None,
    mixed: int = 0,
) -> Generator[Stretch, None, None]:
    """A film, stretch after stretch: each is a shot, or a part of a long one.

    Parameters
    ----------
    lumas : Y' of the frames
    first : number of the first of them in the film
    before : where they go on with a shot, or begin amid a dissolve, what is known of the old shot
    mixed : frames that are left of the dissolve

    Yields
    ------
    Stretch : to be closed by the caller
    """
    number = first
    builder: _Builder | None = None
    motion = Motion()
    try:
        for seen, begins, mixture in shots((eye.see(luma) for luma in lumas), motion):
            if builder is not None and (begins or builder.full):
                stretch = builder.finished()
                stretch.dissolves, builder = mixture, None
                yield stretch
                before = stretch.last if mixture or not begins else None
                mixed = mixture
            elif number == first and _is_new(before, mixed, seen, motion):
                before = None  # resumed exactly where a new shot begins
            if builder is None:
                anew = before is None or mixed > 0
                stretch = Stretch(number, anew, Spool(), before=before, mixed=mixed)
                builder = _Builder(stretch, eye, pace)
            builder.add(seen)
            number += 1
        if builder is not None:
            stretch, builder = builder.finished(), None
            yield stretch
    finally:
        if builder is not None:
            builder.close()


def _is_new(before: Carried | None, mixed: int, seen: Seen, motion: Motion) -> bool:
    """Whether a frame does not continue the known shot."""
    return before is not None and not mixed and not same_shot(before.seen, seen, motion)
