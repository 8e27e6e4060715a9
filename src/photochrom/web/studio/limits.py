"""Limits of the studio, and what is beyond them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from photochrom.errors import ConfigError

__all__ = ["Box", "CANDIDATES", "Limits", "Refused", "TILE", "VIEW"]

VIEW = 1600
"""Longest side of a preview, pixels: more than that is a matter of tiles."""
TILE = 1024
"""Longest side of a tile, pixels."""
CANDIDATES = 6
"""Alternatives that there are for each seed."""


@dataclass(frozen=True)
class Limits:
    """What strangers, and friends with many photos, can ask for."""

    bytes: int = 200_000_000  # of a file
    pixels: int = 100_000_000  # of a photo
    photos: int = 100  # that are kept; the least recently used makes room
    hints: int = 200  # of one prediction
    memory: int = 1 << 30  # bytes of all that is kept in memory
    disk: int = 4 << 30  # bytes of all files: kept, coming in and going out
    memory_age: float = 1800.0  # seconds that what is not used stays in memory
    age: float = 24 * 3600.0  # seconds that a photo which is not used is kept
    seconds: float = 120.0  # that a request may take once its body is here
    silence: float = 15.0  # seconds between two pieces of a body, or of a file that is read
    grace: float = 30.0  # seconds after which a body must have come at `rate`
    rate: float = 1000.0  # bytes a second, on the average since its beginning
    patience: float = 60.0  # seconds at whose end a body must be here, and more for a long one:
    pace: float = 50_000.0  # a second for so many bytes of it
    uploads: int = 64  # that come in at once
    decodes: int = 128  # photos that wait to be decoded
    networks: int = 128  # photos and clicks that wait for the network
    renders: int = 512  # pictures that wait
    exports: int = 32  # whole files that wait

    @classmethod
    def of(cls, **values: Any) -> Limits:
        """Limits from options.

        Raises
        ------
        ConfigError
            One that is not above 0.
        """
        for name, value in values.items():
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"the limit of {name} must be above 0")
        return cls(**values)


class Refused(Exception):
    """A photo that is not taken: with the HTTP status that says why, and the words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the photo, and by how much it is reduced."""

    x: int
    y: int
    width: int
    height: int
    scale: int = 1
