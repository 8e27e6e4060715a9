"""How a distribution becomes colors: temperature, saturation, kept color."""

from __future__ import annotations

import math
from dataclasses import dataclass

from photochrom.color.bins import TEMPERATURE
from photochrom.errors import ConfigError

__all__ = ["PLAIN_LOOK", "Look", "check_keep", "check_settings"]


def check_settings(temperature: float, saturation: float) -> None:
    """Raise ConfigError for a temperature or saturation that is negative or not finite."""
    for name, value in (("temperature", temperature), ("saturation", saturation)):
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} = {value}: must be 0 or more")


def check_keep(keep: float) -> None:
    """Raise ConfigError for a share of the photo's own color outside 0..1."""
    if not 0 <= keep <= 1:
        raise ConfigError(f"keep_color = {keep}: must be from 0 to 1")


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
        check_settings(self.temperature, self.saturation)
        check_keep(self.keep_color)


PLAIN_LOOK = Look()
