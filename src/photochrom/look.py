"""How a distribution becomes colors: temperature, saturation, kept color."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from photochrom.color import bins
from photochrom.errors import ConfigError

__all__ = ["Look", "check_keep", "check_settings"]


def check_settings(temperature: float, saturation: float) -> None:
    """Raise ConfigError for a temperature or saturation that is negative or not finite."""
    for name, value in (("temperature", temperature), ("saturation", saturation)):
        if not (np.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} = {value}: must be a number not below 0")


def check_keep(keep: float) -> None:
    """Raise ConfigError for a share of the photo's own color that is none."""
    if not 0 <= keep <= 1:
        raise ConfigError(f"keep_color = {keep}: must be from 0 to 1")


@dataclass(frozen=True)
class Look:
    """The settings of a rendering that do not need the network."""

    temperature: float = bins.TEMPERATURE
    saturation: float = 1.0
    candidate: int | None = None  # 0..CANDIDATES - 1; None for the likeliest coloring
    seed: int = 0  # of the candidates
