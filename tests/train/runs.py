"""Runs that take a moment, and what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from photochrom.color import bins
from photochrom.dataset.store import PhotoStore
from photochrom.train.config import TrainConfig
from photochrom.train.loop import Session, Trainer

QUIET = Session(progress=False)


Picture = NDArray[np.uint8]
# A run that takes a moment; nothing is saved before its end.
PLAIN: dict[str, Any] = {
    "encoder": "lite0",
    "pretrained": False,
    "batch": 4,
    "sizes": ((0.0, 32),),
    "warmup": 2,
    "sample_every": 0,
    "save_every": 1e9,
}


def trainer_of(config: TrainConfig, shard: Path, run: Path) -> Trainer:
    """A trainer with an even prior and the run's folder as `train` leaves it."""
    prior = np.full(bins.Q, 1 / bins.Q, dtype=np.float32)
    run.mkdir(parents=True, exist_ok=True)
    config.save(run / "config.json")
    np.save(run / "prior.npy", prior)
    return Trainer(config, PhotoStore([shard]), prior, run)


def checkpoint(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "checkpoint.pt", weights_only=True)
    return state


def same_bits(one: Any, other: Any, where: str = "state") -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            same_bits(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, (x, y) in enumerate(zip(one, other, strict=True)):
            same_bits(x, y, f"{where}[{i}]")
    elif isinstance(one, Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    else:
        assert one == other, where
