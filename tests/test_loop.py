from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from photochrom.cli.main import main
from photochrom.color import bins
from photochrom.dataset.store import PhotoStore, write_shard
from photochrom.errors import ConfigError, DataError, PhotoError
from photochrom.train.checkpoint import load_prior, load_run, save_weights
from photochrom.train.config import TrainConfig
from photochrom.train.data import make_batch
from photochrom.train.lab import soft_encode
from photochrom.train.loop import Trainer, train
from photochrom.train.networks import output_layer
from photochrom.train.progress import ProgressBar
from photochrom.train.validate import validate
from photochrom.train.watch import Watch

Picture = NDArray[np.uint8]

PLAIN: dict[str, Any] = {
    "pretrained": False,
    "batch": 4,
    "sizes": ((0.0, 32),),
    "warmup": 2,
    "sample_every": 0,
    "save_every": 1e9,
}
"""A run that takes a moment; nothing is saved before its end."""


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


# --- resume ---------------------------------------------------------------------------------------


class Interrupted(Trainer):
    """Presses Ctrl-C during a step."""

    at = 3

    def train_step(self, x: Tensor, ab: Tensor) -> float:
        if self.step + 1 == self.at:
            signal.raise_signal(signal.SIGINT)
        return super().train_step(x, ab)


def test_an_interrupted_run_ends_in_the_very_same_bits(shard: Path, run: Path) -> None:
    # Three sizes and more than one epoch of photos, so that order and schedule must go on as well.
    sizes = ((0.0, 32), (0.4, 64), (0.8, 32))
    config = TrainConfig(**PLAIN | {"steps": 6, "sizes": sizes})
    straight, broken = run / "straight", run / "broken"
    trainer = trainer_of(config, shard, straight)
    trainer.start()
    assert trainer.fit(progress=False)

    trainer = trainer_of(config, shard, broken)
    trainer.__class__ = Interrupted
    trainer.start()
    handler = signal.getsignal(signal.SIGINT)
    assert not trainer.fit(progress=False)
    assert signal.getsignal(signal.SIGINT) is handler
    half = checkpoint(broken)
    assert half["step"] == 3
    torch.manual_seed(99)  # what else happened in between must not matter
    assert train(config, [str(shard)], broken, resume=True, progress=False)

    ours, theirs = checkpoint(broken), checkpoint(straight)
    assert ours["step"] == 6
    for part in ("network", "ema", "optimizer", "torch_rng", "step", "data"):
        same_bits(ours[part], theirs[part], part)
    with pytest.raises(AssertionError):  # the second half did something
        same_bits(ours["network"], half["network"])


def test_a_killed_process_leaves_a_checkpoint_to_go_on_from(shard: Path, run: Path) -> None:
    command = [
        *(sys.executable, "-m", "photochrom", "train", str(shard), "-o", str(run)),
        *("--steps", "100000", "--save-every", "0", "--sample-every", "0", "--seed", "5"),
        *("--no-pretrained", "--batch", "4", "--size", "32", "--objective", "classification"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    path = run / "checkpoint.pt"
    try:
        first = None
        while process.poll() is None:  # until the first checkpoint has been replaced by another
            if path.exists():
                inode = path.stat().st_ino
                first = first or inode
                if inode != first:
                    break
            time.sleep(0.02)
    finally:
        process.kill()
        _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()

    config, network, counters = load_run(run)
    step = counters["step"]
    assert step >= 2 and not network.training
    assert (config.steps, config.seed, config.batch) == (100000, 5, 4)
    # What it holds is, to the bit, what a process that nobody killed has at that step.
    trainer = Trainer(config, PhotoStore([shard]), load_prior(run / "prior.npy"), run)
    trainer.start()
    for n in range(step):
        batch = make_batch(trainer.loader.samples(n, 32), 4)
        trainer.train_step(batch.x, batch.ab)
    for part in ("network", "ema", "optimizer"):
        same_bits(trainer.state()[part], checkpoint(run)[part], part)

    again = ["train", str(shard), "-o", str(run), "--resume", "--steps", str(step + 2)]
    assert main(again) == 0
    assert checkpoint(run)["step"] == step + 2


def test_a_second_interrupt_is_patient_and_a_third_is_not(shard: Path, run: Path) -> None:
    class Impatient(Trainer):
        presses = 2

        def train_step(self, x: Tensor, ab: Tensor) -> float:
            for _ in range(self.presses):
                signal.raise_signal(signal.SIGINT)
            return super().train_step(x, ab)

    config = TrainConfig(**PLAIN | {"steps": 5})
    trainer = trainer_of(config, shard, run)
    trainer.__class__ = Impatient
    trainer.start()
    assert not trainer.fit(progress=False)
    assert trainer.step == checkpoint(run)["step"] == 1
    Impatient.presses = 3
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(progress=False)


def test_a_finished_run_is_finished(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 2})
    assert train(config, [str(shard)], run, progress=False)
    before = checkpoint(run)
    assert train(config, [str(shard)], run, resume=True, progress=False)
    same_bits(checkpoint(run), before)


def test_resume_refuses_what_is_not_the_same_run(
    shard: Path,
    run: Path,
    tmp_path: Path,
    draw_picture: Callable[..., Picture],
    encode_picture: Callable[[Picture], bytes],
) -> None:
    config = TrainConfig(**PLAIN | {"steps": 1})
    with pytest.raises(ConfigError, match="not a run's config"):
        train(config, [str(shard)], run, resume=True, progress=False)
    train(config, [str(shard)], run, progress=False)
    before = checkpoint(run)

    with pytest.raises(ConfigError, match="holds a run; use --resume"):
        train(config, [str(shard)], run, progress=False)
    other = TrainConfig(**PLAIN | {"steps": 2, "lr": 0.5})
    with pytest.raises(ConfigError, match=r"was started with lr = 0\.001, not 0\.5"):
        train(other, [str(shard)], run, resume=True, progress=False)
    photos = tmp_path / "other.tar"
    write_shard(photos, [("a.webp", encode_picture(draw_picture(77)))])
    with pytest.raises(DataError, match="trained on other photos"):
        train(config, [str(photos)], run, resume=True, progress=False)
    same_bits(checkpoint(run), before)
    assert main(["train", str(photos), "-o", str(run), "--resume"]) == 1
    assert main(["train", str(shard), "-o", str(run), "--resume", "--lr", "0.5"]) == 2

    # A budget may grow, and the data may have moved.
    (tmp_path / "moved").mkdir()
    moved = shard.rename(tmp_path / "moved" / shard.name)
    try:
        more = TrainConfig(**PLAIN | {"steps": 2})
        assert train(more, [str(moved)], run, resume=True, progress=False)
    finally:
        moved.rename(shard)
    assert checkpoint(run)["step"] == 2

    (run / "prior.npy").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"prior\.npy: not a prior"):
        train(more, [str(shard)], run, resume=True, progress=False)
    data = (run / "checkpoint.pt").read_bytes()
    (run / "checkpoint.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"checkpoint\.pt: damaged"):
        load_run(run)
    (run / "checkpoint.pt").unlink()
    with pytest.raises(DataError, match=r"checkpoint\.pt: no checkpoint there"):
        load_run(run)


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
    config = TrainConfig(**PLAIN | still | {"steps": 40, "objective": objective})
    assert train(config, [str(photos)], run / objective, progress=False)
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
        train(wild, [str(shard)], run / "wild", progress=False)


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
        train(config, [str(photos)], run, progress=False)


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
    train(config, [str(photos)], run / "a", progress=False)
    assert np.array_equal(np.load(run / "a" / "prior.npy"), p)
    np.save(tmp_path / "prior.npy", p * 2)
    with pytest.raises(DataError, match=r"prior\.npy: not a prior"):
        train(config, [str(photos)], run / "b", progress=False)


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


def test_a_resumed_run_may_fall_sooner_or_later(shard: Path, run: Path) -> None:
    values = PLAIN | {"schedule": "trapezoid", "cooldown": 0.5}
    long, short = (TrainConfig(**values | {"steps": steps}) for steps in (100, 4))
    trainer = trainer_of(long, shard, run)
    trainer.__class__ = Interrupted
    trainer.start()
    assert not trainer.fit(progress=False)
    assert trainer.optimizer.param_groups[0]["lr"] == long.lr
    assert train(short, [str(shard)], run, resume=True, progress=False)
    rate = checkpoint(run)["optimizer"]["param_groups"][0]["lr"]
    assert rate == pytest.approx(0.5 * short.lr), "the last step was the fourth of four"


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
    assert train(config, [str(shard)], run, progress=False)
    state = checkpoint(run)
    assert state["step"] == 1 and state["seconds"] > 60e-9


def test_the_log_shows_and_does_not_disturb(shard: Path, run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    quiet = TrainConfig(**PLAIN | {"steps": 10, "batch": 2})
    shown = TrainConfig(**PLAIN | {"steps": 10, "batch": 2, "sample_every": 5})
    for name, config in (("quiet", quiet), ("shown", shown)):
        train(config, [str(shard)], run / name, progress=False)
    log = EventAccumulator(str(run / "shown" / "log")).Reload()
    assert set(log.Tags()["scalars"]) == {"loss", "learning_rate", "photos_per_minute"}
    assert math.isfinite(log.Scalars("loss")[0].value)
    pictures = log.Images(log.Tags()["images"][0])
    assert [p.step for p in pictures] == [5, 10]
    assert (pictures[0].width, pictures[0].height) == (2 * 8, 3 * 8)  # two samples; three rows
    same_bits(checkpoint(run / "shown")["network"], checkpoint(run / "quiet")["network"])


def test_validation_prints_figures_of_each_set_and_keeps_them(
    shard: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        *("train", str(shard), "-o", str(run), "--no-pretrained", "--batch", "2"),
        *("--size", "32", "--sample-every", "0", "--rebalance", "0.8", "--steps", "2"),
        *("--validate", f"ours={shard}", "--validate", f"wild={shard}", "--validate-every", "0"),
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr().err
    for name in ("ours", "wild"):
        assert printed.count(f"{name}: step 1: NLL ") == 1
        assert printed.count(f"{name}: step 2: NLL ") == 1
    lines = [json.loads(line) for line in (run / "validation.jsonl").read_text().splitlines()]
    assert [(row["step"], row["name"]) for row in lines] == [
        *((1, "ours"), (1, "wild"), (2, "ours"), (2, "wild"))
    ]
    # The last is what `validate` gives of the averaged weights, decoded as all runs are.
    config, network, _ = load_run(run)
    prior = load_prior(run / "prior.npy")
    own = np.log(bins.rebalancing_weights(prior, config.rebalance))
    decoded = 0.75 * np.log(bins.rebalancing_weights(prior)) - own
    rows = validate(network, PhotoStore([shard]), prior, every=3, size=160, shifts=(-own, decoded))
    assert lines[-1]["nll"] == pytest.approx(rows[1]["nll"], rel=1e-5)
    for key in ("auc_raw", "auc_rebalanced_0.5", "chroma_share", "inventions", "inventions_worst"):
        assert lines[-1][key] == pytest.approx(rows[2][key], rel=1e-5, abs=1e-9)


def test_watching_a_run_does_not_change_it(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 3, "hints": 0.5})
    train(config, [str(shard)], run / "plain", progress=False)
    train(
        config,
        [str(shard)],
        run / "watched",
        progress=False,
        watch=Watch.of({"all": str(shard)}, 0),
    )
    same_bits(checkpoint(run / "watched")["network"], checkpoint(run / "plain")["network"])
    with pytest.raises(DataError, match="no such file"):
        train(config, [str(shard)], run / "x", progress=False, watch=Watch.of({"a": "gone.tar"}))
    assert not (run / "x").exists()


# --- several processes ----------------------------------------------------------------------------


def torchrun(arguments: list[str]) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "photochrom", *arguments),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def test_two_processes_learn_what_one_learns_on_the_joint_batch(shard: Path, run: Path) -> None:
    one, two = run / "one", run / "two"
    common = [
        *("--steps", "1", "--batch", "4", "--size", "32", "--no-pretrained", "--hints", "1"),
        *("--warmup", "0", "--sample-every", "0", "--seed", "3"),
    ]
    assert main(["train", str(shard), "-o", str(one), *common]) == 0
    torchrun(["train", str(shard), "-o", str(two), *common])
    # After one step Adam's first moment is a tenth of the gradient.
    ours, theirs = (checkpoint(r)["optimizer"]["state"] for r in (two, one))
    assert ours.keys() == theirs.keys() and len(ours) > 100
    for key, state in theirs.items():
        expected = state["exp_avg"]
        assert float(expected.norm()) > 0
        assert float((ours[key]["exp_avg"] - expected).norm()) < 1e-5 * float(expected.norm())

    start = checkpoint(one)
    assert main(["train", str(shard), "-o", str(one), "--resume", "--steps", "3"]) == 0
    torchrun(["train", str(shard), "-o", str(two), "--resume", "--steps", "3"])
    a, b = checkpoint(two), checkpoint(one)
    assert a["step"] == b["step"] == 3
    for part in ("network", "ema"):
        names = [name for name, value in b[part].items() if value.is_floating_point()]
        x, y, z = (torch.cat([s[part][name].flatten() for name in names]) for s in (a, b, start))
        # Adam's step hardly depends on the size of a gradient: one that is zero but for rounding
        # moves its weight all the same. So a few weights differ, and the way they went does not.
        assert float((x - y).norm()) < 0.02 * float((y - z).norm())
        assert float(((x - y).abs() > 1e-5).float().mean()) < 0.01


# --- starting from another run, and weights alone ---


def test_a_run_starts_from_the_averaged_weights_of_another(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 3})
    first, second = run / "first", run / "second"
    assert train(config, [str(shard)], first, progress=False)
    prior = np.load(first / "prior.npy")  # with another one the last bias would be shifted
    trainer = Trainer(config, PhotoStore([shard]), prior, second)
    trainer.start(first)
    expected = load_run(first)[1].state_dict()
    same_bits(trainer.network.state_dict(), expected)
    assert trainer.step == 0
    assert train(config, [str(shard)], run / "third", init=first, progress=False)
    with pytest.raises(AssertionError):
        same_bits(load_run(run / "third")[1].state_dict(), expected)


def test_another_network_is_no_start(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 1})
    assert train(config, [str(shard)], run / "a", progress=False)
    for values in ({"objective": "regression"}, {"encoder": "lite1"}):
        other = TrainConfig(**PLAIN | {"steps": 1} | values)
        with pytest.raises(ConfigError, match="was trained with"):
            train(other, [str(shard)], run / "b", init=run / "a", progress=False)
    with pytest.raises(ConfigError, match="give one of them"):
        train(config, [str(shard)], run / "a", init=run / "a", resume=True, progress=False)


def test_weights_alone_are_half_as_large_and_can_be_exported_and_started_from(
    shard: Path, run: Path
) -> None:
    config = TrainConfig(**PLAIN | {"steps": 2})
    assert train(config, [str(shard)], run / "a", progress=False)
    save_weights(run / "a", run / "small")
    whole, small = (load_run(run / name)[1].state_dict() for name in ("a", "small"))
    for name, value in whole.items():
        torch.testing.assert_close(small[name], value, rtol=1e-3, atol=1e-4)
    sizes = [(run / name / "checkpoint.pt").stat().st_size for name in ("a", "small")]
    assert sizes[1] < sizes[0] / 6, "no optimizer, no second copy, 16 bits"
    assert train(config, [str(shard)], run / "b", init=run / "small", progress=False)
    with pytest.raises(DataError, match="weights alone"):
        train(config, [str(shard)], run / "small", resume=True, progress=False)


def test_a_resident_run_goes_on_in_the_very_same_bits(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 5, "resident": True, "tone": 0.5, "hints": 0.5})
    straight, broken = run / "straight", run / "broken"
    trainer = trainer_of(config, shard, straight)
    trainer.start()
    assert trainer.fit(progress=False)
    trainer = trainer_of(config, shard, broken)
    trainer.__class__ = Interrupted
    trainer.start()
    assert not trainer.fit(progress=False)
    assert train(config, [str(shard)], broken, resume=True, progress=False)
    same_bits(checkpoint(broken)["network"], checkpoint(straight)["network"])


def test_without_tqdm_progress_is_told_in_lines(
    shard: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    trainer = trainer_of(TrainConfig(**PLAIN | {"steps": 2}), shard, run)
    trainer.start()
    bar = ProgressBar(trainer, True)
    bar.said -= 60
    bar.update(1.25)
    bar.close()
    assert "step 0, loss 1.2500" in capfd.readouterr().err
