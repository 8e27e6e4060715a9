"""The limits of the studio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from photochrom.distribution import CANDIDATES
from photochrom.errors import ConfigError
from photochrom.photo.limits import LIMITS, ReadLimits

__all__ = ["CANDIDATES", "Limits", "TILE", "VIEW"]

VIEW = 1600
"""Longest side of a preview, in pixels; tiles show more."""
TILE = 1024
"""Longest side of a tile, in pixels."""


@dataclass(frozen=True)
class Limits:
    """How much strangers, and friends with many photos, can ask for."""

    bytes: int = 200_000_000  # of a file
    pixels: int = 100_000_000  # of a photo
    photos: int = 100  # that are kept; the least recently used one makes room
    hints: int = 200  # of one prediction
    memory: int = 1 << 30  # bytes of everything that is kept in memory
    disk: int = 4 << 30  # bytes of all files: kept, coming in and going out
    memory_age: float = 1800.0  # seconds that unused data stays in memory
    age: float = 24 * 3600.0  # seconds that an unused photo is kept
    seconds: float = 120.0  # that a request may take after its body has arrived
    silence: float = 15.0  # seconds between two pieces of a body, or of a file that is sent
    grace: float = 30.0  # seconds after which a body must have arrived at `rate`
    rate: float = 1000.0  # bytes per second, on average since the beginning
    patience: float = 60.0  # seconds after which a body must be complete; a long one gets more:
    pace: float = 50_000.0  # one more second for this many bytes
    uploads: int = 64  # that arrive at once
    decodes: int = 128  # photos that wait to be decoded
    networks: int = 128  # photos and clicks that wait for the network
    renders: int = 512  # pictures that wait
    exports: int = 32  # whole files that wait
    reading: ReadLimits = LIMITS

    @classmethod
    def of(cls, **values: Any) -> Limits:
        """Limits from options.

        Raises
        ------
        ConfigError
            A value is not above 0.
        """
        for name, value in values.items():
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"the limit of {name} must be above 0")
        return cls(**values)
