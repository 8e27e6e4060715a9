"""Checkpoints: what another run starts from, and weights alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from photochrom.dataset.store import PhotoStore
from photochrom.errors import ConfigError, DataError
from photochrom.train.checkpoint import load_run, save_weights
from photochrom.train.config import TrainConfig
from photochrom.train.loop import Trainer, train
from tests.train.runs import PLAIN, QUIET, same_bits


def test_a_run_starts_from_the_averaged_weights_of_another(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 3})
    first, second = run / "first", run / "second"
    assert train(config, [str(shard)], first, session=QUIET)
    prior = np.load(first / "prior.npy")  # with another one the last bias would be shifted
    trainer = Trainer(config, PhotoStore([shard]), prior, second)
    trainer.start(first)
    expected = load_run(first)[1].state_dict()
    same_bits(trainer.network.state_dict(), expected)
    assert trainer.step == 0
    assert train(config, [str(shard)], run / "third", init=first, session=QUIET)
    with pytest.raises(AssertionError):
        same_bits(load_run(run / "third")[1].state_dict(), expected)


def test_another_network_is_no_start(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 1})
    assert train(config, [str(shard)], run / "a", session=QUIET)
    for values in ({"objective": "regression"}, {"encoder": "lite1"}):
        other = TrainConfig(**PLAIN | {"steps": 1} | values)
        with pytest.raises(ConfigError, match="was trained with"):
            train(other, [str(shard)], run / "b", init=run / "a", session=QUIET)
    with pytest.raises(ConfigError, match="give only one of them"):
        train(config, [str(shard)], run / "a", init=run / "a", resume=True, session=QUIET)


def test_weights_alone_are_half_as_large_and_can_be_exported_and_started_from(
    shard: Path, run: Path
) -> None:
    config = TrainConfig(**PLAIN | {"steps": 2})
    assert train(config, [str(shard)], run / "a", session=QUIET)
    save_weights(run / "a", run / "small")
    whole, small = (load_run(run / name)[1].state_dict() for name in ("a", "small"))
    for name, value in whole.items():
        torch.testing.assert_close(small[name], value, rtol=1e-3, atol=1e-4)
    sizes = [(run / name / "checkpoint.pt").stat().st_size for name in ("a", "small")]
    assert sizes[1] < sizes[0] / 6, "no optimizer, no second copy, 16 bits"
    assert train(config, [str(shard)], run / "b", init=run / "small", session=QUIET)
    with pytest.raises(DataError, match="weights alone"):
        train(config, [str(shard)], run / "small", resume=True, session=QUIET)
