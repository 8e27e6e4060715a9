"""Checkpoints and run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from photochrom.color import bins
from photochrom.errors import ConfigError, DataError
from photochrom.files import whole
from photochrom.train.config import TrainConfig
from photochrom.train.networks import build

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "PRIOR",
    "SOURCES",
    "json_equal",
    "load_checkpoint",
    "load_other_run",
    "load_prior",
    "load_run",
    "log_class_weights",
    "save_checkpoint",
    "save_prior",
    "save_weights",
]

CHECKPOINT = "checkpoint.pt"
CONFIG = "config.json"
PRIOR = "prior.npy"
SOURCES = "sources.json"


def load_checkpoint(run: Path) -> dict[str, Any]:
    """The state that `Trainer.save` wrote; DataError if there is none, or it is damaged."""
    path = run / CHECKPOINT
    if not path.exists():
        raise DataError(f"{path}: no checkpoint there", "start without --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise DataError(f"{path}: damaged ({type(error).__name__})") from error
    return state


def save_checkpoint(run: Path, state: dict[str, Any]) -> None:
    """Write a state that `load_checkpoint` reads; a kill leaves it, or the one before, whole."""
    with whole(run / CHECKPOINT, DataError, force=True) as draft, open(draft, "xb") as file:
        torch.save(state, file)  # given a name, torch hides why it fails


def load_run(run: Path) -> tuple[TrainConfig, nn.Module, dict[str, Any]]:
    """A run's config, its network with averaged weights (CPU, evaluation mode), its counters."""
    config = TrainConfig.load(run / CONFIG)
    state = load_checkpoint(run)
    network = build(config)
    network.load_state_dict({**state["network"], **state["ema"]})
    counters = {k: state[k] for k in ("step", "seconds", "data")}
    return config, network.eval(), counters


def load_other_run(init: Path) -> tuple[TrainConfig, nn.Module, np.ndarray[Any, Any]]:
    """What another run, or an exported file, learned: config, network, log class weights."""
    if init.suffix == ".onnx":
        from photochrom.train.restore import restore

        config, network, info = restore(init)
        return config, network, info.log_weights
    config, other, _ = load_run(init)
    log_weights = np.zeros(bins.Q, dtype=np.float32)
    if config.objective == "full":
        log_weights = log_class_weights(config, load_prior(init / PRIOR))
    return config, other, log_weights


def log_class_weights(config: TrainConfig, prior: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """By how much rebalanced training raises each logit, float32 (313,)."""
    return np.log(bins.rebalancing_weights(prior, config.rebalance)).astype(np.float32)


def save_weights(run: Path, target: Path) -> None:
    """Write a run's averaged weights alone, in 16 bits, as the checkpoint of a smaller run.

    `target` is a folder that `train --init` and `export` take; it cannot be resumed. The network of
    the default settings takes 13 MiB so.
    """
    config, network, counters = load_run(run)
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    target.mkdir(parents=True, exist_ok=True)
    save_checkpoint(target, {"network": state, "ema": {}, **counters})
    config.save(target / CONFIG)
    save_prior(target / PRIOR, load_prior(run / PRIOR))


def json_equal(value: Any) -> Any:
    """Tuples and lists alike."""
    return [json_equal(v) for v in value] if isinstance(value, list | tuple) else value


def save_prior(path: Path, prior: np.ndarray[Any, Any]) -> None:
    """Write the prior of a run, float32 (313,); DataError if that fails."""
    with whole(path, DataError, force=True) as draft:
        np.save(draft, prior)


def load_prior(path: Path) -> np.ndarray[Any, Any]:
    """The prior in a file, float32 (313,), sum 1.

    Raises
    ------
    DataError
        It is missing, damaged or no distribution over the bins.
    """
    try:
        prior = np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        bins.rebalancing_weights(prior, 0.5)  # refuses what is no distribution
    except (OSError, EOFError, ValueError, TypeError, ConfigError) as error:
        raise DataError(
            f"{path}: not a prior ({error})", "remove it, and the prior is measured again"
        ) from error
    return prior
