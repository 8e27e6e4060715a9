"""Several processes learn what one learns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from photochrom.cli.main import main
from tests.train.runs import checkpoint


def torchrun(*arguments: str) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "--module", "photochrom", "train", *arguments),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def test_two_processes_learn_what_one_learns_on_the_joint_batch(shard: Path, run: Path) -> None:
    one, two = run / "one", run / "two"
    common = [
        *("--steps", "1", "--batch", "4", "--size", "32", "--no-pretrained", "--hints", "1"),
        *("--warmup", "0", "--sample-every", "0", "--seed", "3", "--encoder", "lite0"),
    ]
    assert main(["train", str(shard), "-o", str(one), *common]) == 0
    start = checkpoint(one)
    torchrun(str(shard), "-o", str(two), *common)
    # After one step Adam's first moment is a tenth of the gradient.
    ours = checkpoint(two)["optimizer"]["state"]
    theirs = start["optimizer"]["state"]
    assert ours.keys() == theirs.keys() and len(ours) > 100
    for key, state in theirs.items():
        expected = state["exp_avg"]
        assert float(expected.norm()) > 0
        assert float((ours[key]["exp_avg"] - expected).norm()) < 1e-5 * float(expected.norm())

    assert main(["train", str(shard), "-o", str(one), "--resume", "--steps", "3"]) == 0
    torchrun(str(shard), "-o", str(two), "--resume", "--steps", "3")
    a, b = checkpoint(two), checkpoint(one)
    assert a["step"] == b["step"] == 3
    for part in ("network", "ema"):
        names = [name for name, value in b[part].items() if value.is_floating_point()]
        x, y, z = (torch.cat([s[part][name].flatten() for name in names]) for s in (a, b, start))
        # Adam's step hardly depends on the size of a gradient: one that is zero but for rounding
        # moves its weight all the same. So a few weights differ, and the way they went does not.
        assert float((x - y).norm()) < 0.02 * float((y - z).norm())
        assert float(((x - y).abs() > 1e-5).float().mean()) < 0.01
