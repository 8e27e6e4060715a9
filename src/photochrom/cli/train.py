"""`photochrom train`: a network on shards."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from photochrom.cli.extras import needs_torch
from photochrom.cli.values import named_value, sizes_value, start_value

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = """\
  photochrom train shards/ -o runs/first --minutes 90
  photochrom train shards/ -o runs/first --resume
  torchrun --nproc-per-node 2 -m photochrom train shards/ -o runs/two --steps 20000"""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    from photochrom.train.config import ARCHITECTURES, ENCODERS, OBJECTIVES, SCHEDULES

    p.add_argument(
        "shards", nargs="+", metavar="SHARDS", help="tar or tar.gz shards, or a folder of them"
    )
    p.add_argument("-o", "--output", required=True, metavar="RUN", help="output folder of the run")
    p.add_argument("--resume", action="store_true", help="continue from the run's checkpoint")
    p.add_argument(
        "--init", metavar="RUN",
        help="start from the weights of another run (its folder), of an .onnx file, or of a "
             "bundled model",
    )  # fmt: skip
    p.add_argument("--config", metavar="FILE", help="take the settings from this run's config.json")
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    budget = p.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, help="train for this many minutes")
    budget.add_argument("--steps", type=int, help="train for this many steps")
    p.add_argument("--arch", choices=ARCHITECTURES)
    p.add_argument("--encoder", choices=ENCODERS)
    p.add_argument("--pretrained", action=argparse.BooleanOptionalAction, default=None)
    p.add_argument("--objective", choices=OBJECTIVES)
    p.add_argument(
        "--schedule", choices=SCHEDULES,
        help="lower the rate over the whole budget, or only in its last part (--cooldown)",
    )  # fmt: skip
    p.add_argument(
        "--balance", type=float, metavar="X",
        help="give a source of N photos N^X of the samples: 1 treats all photos alike, 0 all "
             "sources",
    )  # fmt: skip
    p.add_argument(
        "--validate", type=named_value, action="append", default=[], metavar="NAME=SHARDS",
        help="print figures for every third of these photos; can be repeated",
    )  # fmt: skip
    p.add_argument(
        "--validate-every", type=float, default=30.0, metavar="MINUTES",
        help="minutes of training between two validations (default: 30)",
    )  # fmt: skip
    p.add_argument(
        "--size", dest="sizes", type=sizes_value, metavar="SIZES",
        help="side of the crops: SIZE, or SHARE:SIZE[/SIZE...],... to change it after each "
             "share of the budget; each step draws one of several sizes (default: "
             "0:96,0.6:128)",
    )  # fmt: skip
    p.add_argument("--batch", type=int, help="photos per step, over all processes")
    for name in ("lr", "cooldown", "encoder_lr", "weight_decay", "clip", "ema", "sigma",
                 "rebalance", "crop", "tone", "hints", "save_every"):  # fmt: skip
        p.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="X")
    for name in ("warmup", "neighbors", "freeze", "seed", "sample_every"):
        p.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N")
    for name in ("amp", "channels_last", "resident"):
        p.add_argument(
            f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction, default=None
        )


def run(options: argparse.Namespace) -> int:
    """Run `photochrom train`."""
    needs_torch()
    from photochrom.train.checkpoint import CONFIG
    from photochrom.train.config import TrainConfig
    from photochrom.train.loop import train
    from photochrom.train.watch import Watch

    folder = Path(options.output)
    values: dict[str, Any] = {}
    if options.resume:
        values = TrainConfig.load(folder / CONFIG).to_dict()
    elif options.config:
        values = TrainConfig.load(Path(options.config)).to_dict()
    given = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(TrainConfig)
        if getattr(options, field.name, None) is not None
    }
    if "steps" in given:
        values["minutes"] = 0.0
    elif "minutes" in given:
        values["steps"] = 0
    values |= given
    config = TrainConfig.from_dict(values)
    init = None if options.init is None else start_value(options.init)
    watch = None
    if options.validate:
        watch = Watch.of(dict(options.validate), 60 * options.validate_every)
    done = train(
        config,
        options.shards,
        folder,
        resume=options.resume,
        init=init,
        device=options.device,
        watch=watch,
    )
    if not done:
        print(
            f"photochrom: stopped; to continue: photochrom train ... -o {folder} --resume",
            file=sys.stderr,
        )
        return 130
    return 0
