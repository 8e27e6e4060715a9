"""How a distribution becomes colors: temperature, saturation, kept color."""

from __future__ import annotations

import math
from dataclasses import dataclass

from photochrom.color.bins import TEMPERATURE
from photochrom.errors import ConfigError

__all__ = ["PLAIN_LOOK", "Look"]

MOST_TEMPERATURE = 10.0  # far beyond it, all photos have the mean of all colors


@dataclass(frozen=True)
class Look:
    """The settings of a rendering. None of them needs the network.

    Attributes
    ----------
    temperature : T of the annealed mean; lower is more vivid, higher more muted
    saturation : factor on a and b
    keep_color : share, 0..1, of a color photo's own a and b in the result

    Raises
    ------
    ConfigError
        A value is out of range.
    """

    temperature: float = TEMPERATURE
    saturation: float = 1.0
    keep_color: float = 0.0

    def __post_init__(self) -> None:
        for name in ("temperature", "saturation"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} = {value}: must be 0 or more")
        if self.temperature > MOST_TEMPERATURE:
            raise ConfigError(
                f"temperature = {self.temperature:g}: must be at most {MOST_TEMPERATURE:g}",
                f"it is usually from 0 to 1, such as {TEMPERATURE:g}",
            )
        if not 0 <= self.keep_color <= 1:
            raise ConfigError(f"keep_color = {self.keep_color}: must be from 0 to 1")


PLAIN_LOOK = Look()
