"""The settings of a training run: one frozen dataclass, stored with the run."""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from photochrom.color import bins
from photochrom.errors import ConfigError, DataError
from photochrom.files import write_whole

__all__ = [
    "AB_SCALE",
    "ARCHITECTURES",
    "ENCODERS",
    "OBJECTIVES",
    "SCHEDULES",
    "TrainConfig",
]

ARCHITECTURES = ("photochrom", "eccv16")
ENCODERS = ("lite0", "lite1", "lite2")
OBJECTIVES = ("full", "classification", "regression")
SCHEDULES = ("cosine", "trapezoid", "drops")


@dataclass(frozen=True)
class TrainConfig:
    """All that decides a run. Equal config, data and seed give equal weights on one machine."""

    arch: str = "photochrom"
    """Network: one of ARCHITECTURES."""
    encoder: str = "lite2"
    """EfficientNet-Lite that the `photochrom` network starts from: one of ENCODERS."""
    pretrained: bool = True
    """Start the encoder from its ImageNet weights."""
    objective: str = "full"
    """full (rebalanced classification), classification, or regression (the paper's rows)."""

    steps: int = 0
    """Budget in optimizer steps; 0 when `minutes` is the budget."""
    minutes: float = 0.0
    """Budget in minutes of training; 0 when `steps` is the budget."""
    batch: int = 32
    """Photos a step, over all processes together."""
    sizes: tuple[tuple[float, int], ...] = ((0.0, 96), (0.6, 128))
    """Side of the training crop in pixels, from which share of the budget on. Several pairs with
    one share: each step draws one of their sides, so that the network learns several scales."""

    lr: float = 1e-3
    """Peak learning rate (AdamW, linear warm-up)."""
    schedule: str = "cosine"
    """How the rate falls over the budget: in a cosine, or not at all until the `cooldown` (a
    trapezoid), or in the paper's two drops. A trapezoid can be resumed with any other budget, for
    as long as its rate has not fallen."""
    cooldown: float = 0.2
    """Last share of the budget in which the rate of a trapezoid falls to zero, linearly."""
    encoder_lr: float = 0.25
    """Learning rate of pretrained weights, as a share of `lr`."""
    kmeans: bool = False
    """Start the convolutions of eccv16 from k-means of what they see, as the paper does."""
    freeze: int = 0
    """How many parts of the encoder keep their weights: its stem, then its blocks in order."""
    warmup: int = 200
    """Steps of linear warm-up."""
    weight_decay: float = 0.02
    """Decoupled; on matrices only. The loss is a mean over pixels: size does not enter here."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the averaged weights, which are the ones evaluated and exported."""

    neighbors: int = bins.NEIGHBORS
    """k of the soft-encoded targets."""
    sigma: float = bins.SIGMA
    """sigma of the soft-encoded targets, ab units."""
    rebalance: float = bins.REBALANCE
    """lambda of the class rebalancing."""

    balance: float = 1.0
    """How the sources of the photos (the subjects in their keys) share the samples: in proportion
    to their number of photos to this power. 1: each photo alike. 0: each source alike."""
    crop: float = 0.6
    """Smallest crop, as a share of the photo's short side."""
    tone: float = 0.5
    """Chance that a photo's tones are faded, its lightness blurred or made noisy."""
    hints: float = 0.5
    """Share of the samples that get simulated hints."""

    seed: int = 0
    channels_last: bool = True
    amp: bool = False
    """bf16 autocast; pays on a GPU, does not on most CPUs."""
    resident: bool = False
    """Decode all photos once into the device's memory and make the batches there; for a GPU."""
    save_every: float = 45.0
    """Seconds between checkpoints."""
    sample_every: int = 500
    """Steps between TensorBoard pictures; 0 for none."""

    def __post_init__(self) -> None:
        _one_of("arch", self.arch, ARCHITECTURES)
        _one_of("encoder", self.encoder, ENCODERS)
        _one_of("objective", self.objective, OBJECTIVES)
        _one_of("schedule", self.schedule, SCHEDULES)
        for name in (
            "steps", "minutes", "encoder_lr", "warmup", "weight_decay", "seed", "save_every",
            "sample_every", "freeze",
        ):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} = {getattr(self, name)}: must not be negative")
        if (self.steps > 0) == (self.minutes > 0):
            raise ConfigError(
                "give the budget either as steps or as minutes, one of them positive",
                "add --minutes 90 or --steps 20000",
            )
        for name in ("batch", "lr", "clip", "sigma", "crop"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} = {getattr(self, name)}: must be positive")
        for name in ("rebalance", "tone", "hints", "crop", "balance", "cooldown"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: must lie in [0, 1]")
        if not 1 <= self.neighbors <= bins.Q:
            raise ConfigError(f"neighbors = {self.neighbors}: must lie in 1..{bins.Q}")
        if self.freeze and self.arch != "photochrom":
            raise ConfigError(f"freeze = {self.freeze}: arch {self.arch} has no encoder to freeze")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema = {self.ema}: must lie in [0, 1)")
        starts = [start for start, _ in self.sizes]
        if not self.sizes or starts[0] != 0 or starts != sorted(starts):
            raise ConfigError("sizes must be (share, size) pairs from share 0 upwards")
        if self.kmeans and self.arch != "eccv16":
            raise ConfigError(f"kmeans: is the start of arch eccv16, not of {self.arch}")
        multiple = 8 if self.arch == "eccv16" else 32
        for _, size in self.sizes:
            if size < 32 or size % multiple:
                raise ConfigError(f"size {size}: must be a multiple of {multiple}, 32 at least")

    def size_at(self, progress: float, step: int | None = None) -> int:
        """Side of the crop at a share of the budget in [0, 1].

        Where several are drawn from: that of a step, or the last one of them for None.
        """
        start = max(share for share, _ in self.sizes if progress >= share)
        sizes = [size for share, size in self.sizes if share == start]
        if step is None or len(sizes) == 1:
            return sizes[-1]
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, 3, step))))
        return sizes[int(rng.integers(len(sizes)))]

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build from plain values (JSON or command line).

        Raises
        ------
        ConfigError
            An unknown key (the nearest valid one is named) or a value of the wrong type.
        """
        hints = typing.get_type_hints(cls)
        checked = {}
        for key, value in values.items():
            if key not in hints:
                near = difflib.get_close_matches(key, hints, n=1, cutoff=0.0)
                raise ConfigError(f"unknown setting {key!r}: did you mean {near[0]!r}?")
            checked[key] = _coerce(key, value, hints[key])
        return cls(**checked)

    def save(self, path: Path) -> None:
        write_whole(path, json.dumps(self.to_dict(), indent=2) + "\n", DataError)

    @classmethod
    def load(cls, path: Path) -> TrainConfig:
        try:
            values = json.loads(path.read_text())
        except OSError as error:
            raise ConfigError(
                f"{path}: not a run's config: {error.strerror}",
                "name the folder that `photochrom train -o` wrote",
            ) from error
        except ValueError as error:
            raise ConfigError(f"{path}: not a run's config ({error})") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path}: not a run's config (no JSON object)")
        return cls.from_dict(values)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} = {value!r}: must be one of {', '.join(known)}")


def _coerce(key: str, value: Any, hint: Any) -> Any:
    if isinstance(hint, types.GenericAlias) or typing.get_origin(hint) is tuple:
        try:
            pairs = [(start, size) for start, size in value]
        except (TypeError, ValueError):
            pairs = [(None, None)]
        if any(type(start) not in (int, float) or type(size) is not int for start, size in pairs):
            raise ConfigError(f"{key} = {value!r}: must be (share, size) pairs")
        return tuple((float(start), size) for start, size in pairs)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{key} = {value!r}: must be a {hint.__name__}")
    return value


AB_SCALE = 110.0
"""ab hints and regressed ab are divided by this at the network's border."""
