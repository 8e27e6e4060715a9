"""Coordinates in a photo that is turned: from how its pixels were stored to how they are shown."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SIDEWAYS", "Turn"]

SIDEWAYS = (5, 6, 7, 8)
"""Orientations that exchange width and height."""


class Turn(NamedTuple):
    """An orientation, 1..8 as in EXIF, and the size of the photo as it is shown."""

    orientation: int = 1
    width: int = 0
    height: int = 0

    @property
    def sideways(self) -> bool:
        """Whether width and height are exchanged."""
        return self.orientation in SIDEWAYS

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height as the pixels were stored."""
        return (self.height, self.width) if self.sideways else (self.width, self.height)

    def point(self, x: float, y: float, width: float = 1, height: float = 1) -> tuple[float, float]:
        """A point of the stored photo, whose size is given, in the shown one."""
        across, down = width - x, height - y
        places = {
            2: (across, y), 3: (across, down), 4: (x, down), 5: (y, x), 6: (down, x),
            7: (down, across), 8: (y, across),
        }  # fmt: skip
        return places.get(self.orientation, (x, y))

    def box(
        self, box: tuple[float, float, float, float], width: float = 1, height: float = 1
    ) -> tuple[float, float, float, float]:
        """A box (left, top, right, bottom), likewise."""
        x1, y1 = self.point(box[0], box[1], width, height)
        x2, y2 = self.point(box[2], box[3], width, height)
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def sides(self, width: float, height: float) -> tuple[float, float]:
        """The width and height of something in the stored photo."""
        return (height, width) if self.sideways else (width, height)
