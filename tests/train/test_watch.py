"""Watching a run, by figures and pictures, does not change it."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from photochrom.cli.main import main
from photochrom.color import bins
from photochrom.dataset.store import PhotoStore
from photochrom.errors import DataError
from photochrom.train.checkpoint import load_prior, load_run
from photochrom.train.config import TrainConfig
from photochrom.train.loop import Session, train
from photochrom.train.progress import ProgressBar
from photochrom.train.validate import Take, validate
from photochrom.train.watch import Watch
from tests.train.runs import PLAIN, QUIET, checkpoint, same_bits, trainer_of

# --- averages, rates, groups ----------------------------------------------------------------------


def test_the_log_shows_and_does_not_disturb(shard: Path, run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    quiet = TrainConfig(**PLAIN | {"steps": 10, "batch": 2})
    shown = TrainConfig(**PLAIN | {"steps": 10, "batch": 2, "sample_every": 5})
    for name, config in (("quiet", quiet), ("shown", shown)):
        train(config, [str(shard)], run / name, session=QUIET)
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
    rows = validate(
        network, PhotoStore([shard]), prior, shifts=(-own, decoded), take=Take(every=3, size=160)
    )
    assert lines[-1]["nll"] == pytest.approx(rows[1]["nll"], rel=1e-5)
    for key in ("auc_raw", "auc_rebalanced_0.5", "chroma_share", "inventions", "inventions_worst"):
        assert lines[-1][key] == pytest.approx(rows[2][key], rel=1e-5, abs=1e-9)


def test_watching_a_run_does_not_change_it(shard: Path, run: Path) -> None:
    config = TrainConfig(**PLAIN | {"steps": 3, "hints": 0.5})
    train(config, [str(shard)], run / "plain", session=QUIET)
    train(
        config,
        [str(shard)],
        run / "watched",
        session=Session(progress=False, watch=Watch.of({"all": str(shard)}, 0)),
    )
    same_bits(checkpoint(run / "watched")["network"], checkpoint(run / "plain")["network"])
    with pytest.raises(DataError, match="no such file"):
        train(
            config,
            [str(shard)],
            run / "x",
            session=Session(progress=False, watch=Watch.of({"a": "gone.tar"})),
        )
    assert not (run / "x").exists()


# --- starting from another run, and weights alone ---


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
