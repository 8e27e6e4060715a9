"""The settings of an evaluation: photos, models, rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from photochrom.color import bins
from photochrom.errors import ConfigError
from photochrom.models import ModelInfo

__all__ = ["Evaluation", "MAX_HINTS", "Row", "SHORT_SIDE", "TEMPERATURES"]

SHORT_SIDE = 256
"""Larger photos are first reduced to this; the paper measured at 256."""
MAX_HINTS = 1000
TEMPERATURES = (0.05, 0.1, 0.2, 0.3, bins.TEMPERATURE, 0.5, 0.65, 0.8, 1.0)
"""Of the temperature sweep."""


@dataclass(frozen=True)
class Row:
    """One way to color, and a line of the table."""

    name: str
    kind: str
    """truth, gray, random, model or folder."""
    source: int = -1
    """Index among the models or folders."""
    temperature: float = bins.TEMPERATURE
    rebalance: float = 1.0
    """How much of the model's rebalancing to keep."""
    hints: int = 0
    """How many true colors the model is given."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that decides the figures."""

    photos: tuple[str, ...]
    """Folders of color photos, or tar shards."""
    models: tuple[tuple[str, str], ...] = ()
    """(name, bundled name or file) of the models to measure."""
    against: tuple[tuple[str, str], ...] = ()
    """(name, folder) of results of other colorizers, with the file names of the photos."""
    baselines: bool = True
    """Rows for the truth, for gray, and for the colors of another photo."""
    temperatures: tuple[float, ...] = (bins.TEMPERATURE,)
    rebalance: tuple[float, ...] = (1.0,)
    hints: tuple[int, ...] = (0,)
    """Numbers of true colors at random places that a model gets; one row each."""
    working_size: int | None = None
    """Short side that the networks see; None for each model's own."""
    short_side: int = SHORT_SIDE
    """Larger photos are reduced to it; 0 keeps their size."""
    skip: int = 0
    limit: int = 0
    """At most this many photos after the first `skip`; 0 for all."""
    sweep: int = 500
    """Photos of the temperature sweep; 0 for none."""
    prior: str | None = None
    """A .npy file, or "measured" for the prior of the photos; None for the published one."""
    classifier: str | None = None
    """ONNX file of an image classifier, for the semantic test."""
    features: str | None = None
    """ONNX file of a feature network, for FID."""
    distance: str | None = None
    """ONNX file of a network that compares two pictures, for LPIPS."""
    ssim: bool = False
    """Add the structural similarity; needs scikit-image."""
    compare: str | None = None
    """Row to compare the others with; None for that of the first model, or else gray."""
    seed: int = 0

    def __post_init__(self) -> None:
        names = [name for name, _ in (*self.models, *self.against)]
        for name in names:
            if names.count(name) > 1 or name in ("original", "gray", "random"):
                raise ConfigError(f"{name}: two rows have this name", "rename one with NAME=...")
            if not name.isprintable():
                raise ConfigError(
                    f"{name!r}: cannot be the name of a row", "choose another with NAME=..."
                )
        for values in (self.temperatures, self.rebalance, self.hints):
            if len(set(values)) < len(values):
                raise ConfigError(f"{values}: the same value appears twice")
        if not names and not self.baselines:
            raise ConfigError("nothing to measure", "name a model or a folder of results")
        for t in self.temperatures:
            if not (np.isfinite(t) and t >= 0):
                raise ConfigError(f"temperature = {t}: must be 0 or more")
        if not (self.temperatures and self.rebalance and self.hints):
            raise ConfigError("give at least one temperature, share of rebalancing and count")
        if any(not 0 <= n <= MAX_HINTS for n in self.hints):
            raise ConfigError(f"hints = {self.hints}: must be from 0 to {MAX_HINTS}")
        if any(not 0 <= r <= 1 for r in self.rebalance):
            raise ConfigError(f"rebalance = {self.rebalance}: must be from 0 to 1")
        if min(self.short_side, self.skip, self.limit, self.sweep) < 0:
            raise ConfigError("short side, skip, limit and sweep must not be negative")
        if 0 < self.short_side < 32:
            raise ConfigError(f"short side {self.short_side}: must be at least 32, or 0 for all")

    def rows(self, infos: Sequence[ModelInfo]) -> list[Row]:
        """The lines of the table; a regression has neither temperature nor rebalancing.

        Raises
        ------
        ConfigError
            Hints are asked for and a model takes none.
        """
        rows = [Row("original", "truth"), Row("gray", "gray")]
        if self.baselines:
            rows.append(Row("random", "random"))
        for source, (name, _) in enumerate(self.models):
            info = infos[source]
            if any(self.hints) and info.channels != 4:
                raise ConfigError(f"{name}: this model doesn't take hints", "leave out --hints")
            ts = (bins.TEMPERATURE,) if info.regression else self.temperatures
            shares = (1.0,) if info.regression else self.rebalance
            for r, t, n in itertools.product(shares, ts, self.hints):
                label = name
                label += f", T {t:g}" if len(ts) > 1 else ""
                label += f", rebalance {r:g}" if len(shares) > 1 else ""
                label += f", {n} hint{'s' * (n != 1)}" if len(self.hints) > 1 else ""
                rows.append(Row(label, "model", source, t, r, n))
        rows += [Row(name, "folder", i) for i, (name, _) in enumerate(self.against)]
        return rows
