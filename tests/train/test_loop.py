"""A run: it learns, and what it refuses; averages, rates and groups."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from photochrom.cli.main import main
from photochrom.color import bins
from photochrom.dataset.store import PhotoStore, write_shard
from photochrom.errors import ConfigError, DataError, PhotoError
from photochrom.train.checkpoint import load_prior, load_run
from photochrom.train.config import TrainConfig
from photochrom.train.data import make_batch
from photochrom.train.lab import soft_encode
from photochrom.train.loop import Trainer, train
from photochrom.train.networks import output_layer
from tests.train.runs import PLAIN, QUIET, Picture, checkpoint, same_bits, trainer_of

# --- learning -------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["full", "classification", "regression"])
def test_each_objective_learns_two_photos_by_heart(
    objective: str, run: Path, tmp_path: Path, encode_picture: Callable[[Picture], bytes]
) -> None:
    # Dark blue beside bright orange, and dark red above bright green.
    beside = np.zeros((32, 32, 3), dtype=np.uint8)
    beside[:, :16], beside[:, 16:] = (30, 40, 120), (240, 170, 60)
    above = np.zeros((32, 32, 3), dtype=np.uint8)
    above[:16], above[16:] = (110, 20, 30), (130, 220, 120)
    photos = tmp_path / "two.tar"
    write_shard(photos, [("a.webp", encode_picture(beside)), ("b.webp", encode_picture(above))])
    still = {"crop": 1.0, "tone": 0.0, "hints": 0.0, "batch": 4, "lr": 3e-3, "warmup": 5}
    config = TrainConfig(**PLAIN | still | {"steps": 30, "objective": objective})
    assert train(config, [str(photos)], run / objective, session=QUIET)
    store = PhotoStore([photos])
    trainer = Trainer(config, store, load_prior(run / objective / "prior.npy"), run / objective)
    trainer.start()
    batch = make_batch(trainer.loader.samples(0, 32), 4)
    _, network, _ = load_run(run / objective)
    with torch.no_grad():
        before = float(trainer.criterion(trainer.network(batch.x), batch.ab))
        after = float(trainer.criterion(network(batch.x), batch.ab))
    # Cross entropy cannot go below the entropy of the soft targets.
    lowest = 0.0
    if objective != "regression":
        indices, shares = soft_encode(batch.ab)
        entropy = -(shares * shares.clamp_min(1e-9).log()).sum(dim=-1)
        weights = trainer.criterion.class_weights
        lowest = float((entropy * (1 if weights is None else weights[indices[..., 0]])).mean())
    assert after - lowest < 0.2 * (before - lowest)


@pytest.mark.parametrize("objective", ["full", "classification", "regression"])
def test_each_objective_goes_through_the_command(
    objective: str, shard: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        [
            *("train", str(shard), "-o", str(run), "--steps", "2", "--objective", objective),
            *("--no-pretrained", "--batch", "2", "--size", "32", "--sample-every", "0"),
        ]
    )
    assert code == 0
    assert "loss" in capsys.readouterr().err  # the progress bar
    config, network, counters = load_run(run)
    assert config.objective == objective
    assert counters["step"] == 2 and counters["seconds"] > 0
    assert counters["data"] == PhotoStore([shard]).fingerprint()
    outputs = 2 if objective == "regression" else 313
    assert network(torch.zeros(1, 4, 32, 64)).shape == (1, outputs, 8, 16)


def test_the_published_network_trains_too(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 2, "arch": "eccv16", "batch": 2})
    trainer = trainer_of(config, shard, run)
    trainer.start()
    statistics = trainer.network.state_dict()["model7.6.running_mean"].clone()
    batch = make_batch(trainer.loader.samples(0, 32), trainer.network.in_channels)
    assert math.isfinite(trainer.train_step(batch.x, batch.ab))
    # Its BatchNorm learns, and the average follows.
    after = trainer.network.state_dict()["model7.6.running_mean"]
    assert not torch.equal(after, statistics)
    assert not torch.equal(trainer.ema["model7.6.running_mean"], statistics)
    # In several processes that needs an exchange, which PyTorch has on CUDA only.
    trainer.world = 2
    with pytest.raises(ConfigError, match="several processes need CUDA"):
        trainer.start()


def test_a_network_that_sees_nothing_starts_at_the_rebalanced_prior(shard: Path, run: Path) -> None:
    p = np.exp(-np.linalg.norm(bins.BINS, axis=1) / 20)
    p = (p / p.sum()).astype(np.float32)
    for objective in ("full", "classification"):
        config = TrainConfig(**PLAIN | {"steps": 1, "objective": objective})
        trainer = Trainer(config, PhotoStore([shard]), p, run)
        trainer.start()
        bias = output_layer(trainer.network).bias
        assert bias is not None
        share = torch.softmax(bias.detach(), dim=0).numpy()
        w = 1 / (0.5 * p + 0.5 / 313) if objective == "full" else np.ones(313)
        np.testing.assert_allclose(share, p * w / (p * w).sum(), rtol=2e-2)


def test_divergence_is_named_and_spoils_nothing(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 3})
    trainer = trainer_of(config, shard, run)
    trainer.start()
    batch = make_batch(trainer.loader.samples(0, 32), 4)
    trainer.train_step(batch.x, batch.ab)
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    x = batch.x.clone()
    x[0, 0, 5, 5] = math.nan
    with pytest.raises(ConfigError, match=r"the loss is nan .* at step 1: the run diverged"):
        trainer.train_step(x, batch.ab)
    assert trainer.step == 1
    same_bits(trainer.network.state_dict(), before)

    wild = TrainConfig(**PLAIN | {"steps": 9, "lr": 1e30, "warmup": 0})
    with pytest.raises(ConfigError, match="the run diverged"):
        train(wild, [str(shard)], run / "wild", session=QUIET)


def test_an_unreadable_photo_is_named(
    run: Path, tmp_path: Path, pictures: list[Picture], encode_picture: Callable[[Picture], bytes]
) -> None:
    photos = tmp_path / "torn.tar"
    good = [encode_picture(p) for p in pictures[:3]]
    write_shard(
        photos, [*((f"{i}.webp", g) for i, g in enumerate(good)), ("torn.webp", good[0][:99])]
    )
    prior = np.full(bins.Q, 1 / bins.Q, dtype=np.float32)
    np.save(tmp_path / "prior.npy", prior)
    config = TrainConfig(**PLAIN | {"steps": 2, "batch": 2})
    with pytest.raises(PhotoError, match=r"torn\.tar: torn\.webp: cannot be decoded"):
        train(config, [str(photos)], run, session=QUIET)


def test_a_folder_of_gray_photos_is_refused(
    run: Path, tmp_path: Path, pictures: list[Picture], capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    folder = tmp_path / "gray"
    folder.mkdir()
    for i, picture in enumerate(pictures[:3]):
        Image.fromarray(picture).convert("L").save(folder / f"{i}.png")
    assert main(["train", str(folder), "-o", str(run), "--steps", "1", "--no-pretrained"]) == 1
    message = capsys.readouterr().err
    assert "none of the 3 photos looked at has color" in message
    assert "Traceback" not in message and not run.exists()


def test_the_prior_beside_the_shards_is_taken(shard: Path, run: Path, tmp_path: Path) -> None:
    photos = tmp_path / shard.name
    photos.write_bytes(shard.read_bytes())
    config = TrainConfig(**PLAIN | {"steps": 1})
    p = np.zeros(313, dtype=np.float32)
    p[100:110] = 0.1
    np.save(tmp_path / "prior.npy", p)
    train(config, [str(photos)], run / "a", session=QUIET)
    assert np.array_equal(np.load(run / "a" / "prior.npy"), p)
    np.save(tmp_path / "prior.npy", p * 2)
    with pytest.raises(DataError, match=r"prior\.npy: not a prior"):
        train(config, [str(photos)], run / "b", session=QUIET)


# --- averages, rates, groups ----------------------------------------------------------------------


def test_the_average_by_hand(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 9, "ema": 0.25, "lr": 1e-2})
    trainer = trainer_of(config, shard, run)
    trainer.start()
    average = {k: v.double() for k, v in trainer.network.state_dict().items()}
    # Young averages forget faster: (1 + t) / (10 + t) is 2/11, 3/12, 4/13; then 0.25 is less.
    for step, decay in enumerate((2 / 11, 3 / 12, 0.25, 0.25)):
        batch = make_batch(trainer.loader.samples(step, 32), 4)
        trainer.train_step(batch.x, batch.ab)
        for name, value in trainer.network.state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * value.double()
    for name, value in trainer.ema.items():
        torch.testing.assert_close(value.double(), average[name], rtol=1e-5, atol=1e-6)
    averaged = trainer.averaged()
    assert not averaged.training
    for name, parameter in averaged.named_parameters():
        assert torch.equal(parameter, trainer.ema[name])


def test_rates_warm_up_and_fall_to_zero(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 10, "warmup": 4, "lr": 0.01})
    trainer = trainer_of(config, shard, run)
    rates = []
    for trainer.step in range(11):
        rates.append(trainer.learning_rate())
    cosine = [0.5 * (1 + math.cos(math.pi * t / 10)) for t in range(11)]
    warm = [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1, 1]
    assert rates == pytest.approx([0.01 * c * w for c, w in zip(cosine, warm, strict=True)])


def test_the_rate_of_a_trapezoid_stays_until_it_falls(shard: Path, run: Path) -> None:
    values = {"steps": 10, "warmup": 2, "lr": 0.01, "schedule": "trapezoid", "cooldown": 0.4}
    trainer = trainer_of(TrainConfig(**PLAIN | values), shard, run)
    rates = []
    for trainer.step in range(11):
        rates.append(trainer.learning_rate() / 0.01)
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])
    # Without one it never falls, whatever the budget.
    trainer.config = TrainConfig(**PLAIN | values | {"cooldown": 0.0})
    trainer.step = 9
    assert trainer.learning_rate() == 0.01


def test_frozen_parts_of_the_encoder_stay_and_the_rest_learns(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 9, "freeze": 2, "lr": 0.01})
    trainer = trainer_of(config, shard, run)
    trainer.start()
    before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
    for step in range(2):
        batch = make_batch(trainer.loader.samples(step, 32), 4)
        trainer.train_step(batch.x, batch.ab)
    after = trainer.network.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    frozen = {n for n in before if n.startswith(("encoder.stem.", "encoder.blocks.0."))}
    learned = {name for name, _ in trainer.network.named_parameters()} - frozen
    assert len(frozen) > 10 and frozen <= same
    assert "encoder.blocks.1.expand.conv.weight" not in same
    assert len(learned & same) < len(learned) / 10


def test_pretrained_weights_learn_slowly_and_only_matrices_decay(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 9, "pretrained": True, "encoder_lr": 0.1, "lr": 0.01})
    trainer = trainer_of(config, shard, run)
    trainer.start()
    batch = make_batch(trainer.loader.samples(0, 32), 4)
    trainer.train_step(batch.x, batch.ab)
    names = {id(p): name for name, p in trainer.network.named_parameters()}
    seen = []
    for group in trainer.optimizer.param_groups:
        for p in group["params"]:
            name = names[id(p)]
            seen.append(name)
            slow = name.startswith("encoder.")
            assert group["lr"] == pytest.approx(0.01 * 0.5 * (0.1 if slow else 1)), name
            matrix = name.endswith("weight") and "norm" not in name and p.ndim > 1
            assert group["weight_decay"] == (0.02 if matrix else 0), name
    assert sorted(seen) == sorted(names.values())


def test_a_budget_of_minutes_ends_by_the_clock(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"minutes": 1e-9, "sizes": ((0.0, 32), (0.5, 64))})
    assert train(config, [str(shard)], run, session=QUIET)
    state = checkpoint(run)
    assert state["step"] == 1 and state["seconds"] > 60e-9
