"""A run that was stopped goes on in the very same bits, or says why not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from photochrom.cli.main import main
from photochrom.dataset.store import PhotoStore, write_shard
from photochrom.errors import ConfigError, DataError
from photochrom.train.checkpoint import load_prior, load_run
from photochrom.train.config import TrainConfig
from photochrom.train.data import make_batch
from photochrom.train.loop import Trainer, train
from tests.train.runs import PLAIN, QUIET, Picture, checkpoint, same_bits, trainer_of

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
    assert train(config, [str(shard)], broken, resume=True, session=QUIET)

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
    assert train(config, [str(shard)], run, session=QUIET)
    before = checkpoint(run)
    assert train(config, [str(shard)], run, resume=True, session=QUIET)
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
        train(config, [str(shard)], run, resume=True, session=QUIET)
    train(config, [str(shard)], run, session=QUIET)
    before = checkpoint(run)

    with pytest.raises(ConfigError, match="holds a run; use --resume"):
        train(config, [str(shard)], run, session=QUIET)
    other = TrainConfig(**PLAIN | {"steps": 2, "lr": 0.5})
    with pytest.raises(ConfigError, match=r"was started with lr = 0\.001, not 0\.5"):
        train(other, [str(shard)], run, resume=True, session=QUIET)
    photos = tmp_path / "other.tar"
    write_shard(photos, [("a.webp", encode_picture(draw_picture(77)))])
    with pytest.raises(DataError, match="trained on other photos"):
        train(config, [str(photos)], run, resume=True, session=QUIET)
    same_bits(checkpoint(run), before)
    assert main(["train", str(photos), "-o", str(run), "--resume"]) == 1
    assert main(["train", str(shard), "-o", str(run), "--resume", "--lr", "0.5"]) == 2

    # A budget may grow, and the data may have moved.
    (tmp_path / "moved").mkdir()
    moved = shard.rename(tmp_path / "moved" / shard.name)
    try:
        more = TrainConfig(**PLAIN | {"steps": 2})
        assert train(more, [str(moved)], run, resume=True, session=QUIET)
    finally:
        moved.rename(shard)
    assert checkpoint(run)["step"] == 2

    (run / "prior.npy").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"prior\.npy: not a prior"):
        train(more, [str(shard)], run, resume=True, session=QUIET)
    data = (run / "checkpoint.pt").read_bytes()
    (run / "checkpoint.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"checkpoint\.pt: damaged"):
        load_run(run)
    (run / "checkpoint.pt").unlink()
    with pytest.raises(DataError, match=r"checkpoint\.pt: no checkpoint there"):
        load_run(run)


# --- averages, rates, groups ----------------------------------------------------------------------


def test_a_resumed_run_may_fall_sooner_or_later(shard: Path, run: Path) -> None:
    values = PLAIN | {"schedule": "trapezoid", "cooldown": 0.5}
    long, short = (TrainConfig(**values | {"steps": steps}) for steps in (100, 4))
    trainer = trainer_of(long, shard, run)
    trainer.__class__ = Interrupted
    trainer.start()
    assert not trainer.fit(progress=False)
    assert trainer.optimizer.param_groups[0]["lr"] == long.lr
    assert train(short, [str(shard)], run, resume=True, session=QUIET)
    rate = checkpoint(run)["optimizer"]["param_groups"][0]["lr"]
    assert rate == pytest.approx(0.5 * short.lr), "the last step was the fourth of four"


# --- starting from another run, and weights alone ---


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
    assert train(config, [str(shard)], broken, resume=True, session=QUIET)
    same_bits(checkpoint(broken)["network"], checkpoint(straight)["network"])
