"""Where a shot ends and the next begins.

A cut is where hardly anything in a frame matches the frame before it, and the next few frames don't
return to what was there before. So a flash or a torn frame is no cut. Blank frames (black or white)
separate shots only if the frames after them don't match those before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from photochrom.arrays import Float32
from photochrom.video.motion import Motion, Seen

__all__ = ["marked"]

ALIKE = 0.9
"""Correlation of two frames, place by place, above which they are one shot whatever the motion."""
FOUND = 0.3
"""Share of a frame that must be found in another for them to be of the same shot."""
BLANK = 2.0
"""Standard deviation of L below which a frame shows nothing."""
FLASH = 4
"""Frames that a flash or a torn frame may last."""


def marked(pictures: Iterable[Seen], motion: Motion) -> Iterator[tuple[Seen, bool]]:
    """Every frame, and whether a shot begins with it; delayed by a few frames."""
    waiting: deque[Seen] = deque()
    source = iter(pictures)
    known: Seen | None = None  # the last frame that showed something
    first = True
    while True:
        while len(waiting) <= FLASH:
            following = next(source, None)
            if following is None:
                break
            waiting.append(following)
        if not waiting:
            return
        here = waiting.popleft()
        if is_blank(here):
            yield here, first
        elif known is None or same_shot(known, here, motion):
            yield here, first
            known = here
        elif comes_back(known, waiting, motion):
            yield here, first  # a flash: the next are compared with what was before it
        else:
            yield here, True
            known = here
        first = False


def is_blank(picture: Seen) -> bool:
    """Whether a frame shows nothing, as black film does."""
    return float(picture.small.std()) < BLANK


def comes_back(known: Seen, following: Iterable[Seen], motion: Motion) -> bool:
    """Whether one of the next frames returns to what was known."""
    return any(not is_blank(p) and same_shot(known, p, motion) for p in following)


def same_shot(before: Seen, here: Seen, motion: Motion) -> bool:
    """Whether two frames are of one shot."""
    if correlation(before.small, here.small) > ALIKE:
        return True
    return float(motion.match(here, before).certainty.mean()) > FOUND


def correlation(one: Float32, other: Float32) -> float:
    """Pearson's, of two planes (h, w)."""
    a, b = one - one.mean(), other - other.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0
