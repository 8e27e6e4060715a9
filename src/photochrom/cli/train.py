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

_NUMBERS: tuple[tuple[str, type[int] | type[float], str, str], ...] = (
    ("lr", float, "X", "peak learning rate"),
    (
        "cooldown",
        float,
        "SHARE",
        "share of the training at the end in which the trapezoid schedule lowers the rate to 0",
    ),
    ("encoder_lr", float, "SHARE", "learning rate of pretrained weights, as a share of --lr"),
    ("freeze", int, "N", "number of encoder parts to freeze, counted from the stem"),
    ("warmup", int, "STEPS", "steps until the learning rate peaks"),
    ("weight_decay", float, "X", "weight decay, for matrices only"),
    ("clip", float, "X", "largest gradient norm"),
    ("ema", float, "X", "decay of the averaged weights, which are the ones exported"),
    (
        "neighbors",
        int,
        "N",
        "number of nearest colors that each true color is spread over in the targets",
    ),
    ("sigma", float, "X", "width of that spread, in ab units"),
    (
        "rebalance",
        float,
        "X",
        "mixing weight (lambda) of the class rebalancing, from 0 (full rebalancing) to 1 (none); "
        "--rebalance of evaluate and export counts the other way",
    ),
    ("crop", float, "SHARE", "size of the smallest crop, as a share of the photo's short side"),
    ("tone", float, "SHARE", "share of photos to fade, blur or make noisy"),
    ("hints", float, "SHARE", "share of photos to train with simulated hints"),
    ("save_every", float, "SECONDS", "seconds between checkpoints"),
    ("sample_every", int, "STEPS", "steps between pictures in TensorBoard; 0 for no pictures"),
)
_SWITCHES = (
    ("pretrained", "start the encoder from its ImageNet weights"),
    ("kmeans", "initialize the convolutions of eccv16 by k-means clustering of their inputs"),
    ("channels_last", "store arrays channels-last, which is faster on most devices"),
    ("amp", "compute in bfloat16, which is faster on a GPU"),
    ("resident", "decode all photos once and keep them in GPU memory"),
)


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
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
    p.add_argument(
        "--config", metavar="FILE", help="take the settings from the config.json of another run"
    )
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    budget = p.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, metavar="N", help="train for this many minutes")
    budget.add_argument("--steps", type=int, metavar="N", help="train for this many steps")
    _setting_arguments(p)
    p.add_argument(
        "--validate", type=named_value, action="append", default=[], metavar="NAME=SHARDS",
        help="measure the network on every third of these photos and print the results; can be "
             "given several times",
    )  # fmt: skip
    p.add_argument(
        "--validate-every", type=float, default=30.0, metavar="MINUTES",
        help="minutes of training between validations (default: 30)",
    )  # fmt: skip
    _expert_arguments(p.add_argument_group("expert options"))


def _setting_arguments(p: argparse.ArgumentParser) -> None:
    """The settings that most runs choose; None for those that are not given."""
    from photochrom.train.config import ARCHITECTURES, ENCODERS, OBJECTIVES, TrainConfig

    p.add_argument("--arch", choices=ARCHITECTURES, help=f"network (default: {TrainConfig.arch})")
    p.add_argument(
        "--encoder", choices=ENCODERS,
        help=f"EfficientNet-Lite encoder of photochrom's network (default: {TrainConfig.encoder})",
    )  # fmt: skip
    p.add_argument(
        "--objective", choices=OBJECTIVES,
        help=f"which of the paper's methods to train (default: {TrainConfig.objective})",
    )  # fmt: skip
    p.add_argument(
        "--size", dest="sizes", type=sizes_value, metavar="SIZES",
        help="side of the training crops, in pixels. Use SHARE:SIZE,... to change it when that "
             "share of the training is done, and SIZE/SIZE to draw one of several sizes at each "
             "step (default: 0:96,0.6:128)",
    )  # fmt: skip
    p.add_argument(
        "--batch", type=int, metavar="PHOTOS",
        help=f"photos per step, in total over all processes (default: {TrainConfig.batch})",
    )  # fmt: skip
    p.add_argument(
        "--seed", type=int, metavar="N", help=f"seed for the run (default: {TrainConfig.seed})"
    )


def _expert_arguments(p: argparse._ArgumentGroup) -> None:
    """All other settings; None for those that are not given."""
    from photochrom.train.config import SCHEDULES, TrainConfig

    p.add_argument(
        "--schedule", choices=SCHEDULES,
        help="how to lower the learning rate: cosine over the whole training, trapezoid only at "
             "the end (see --cooldown), drops in two steps as in the paper (default: "
             f"{TrainConfig.schedule})",
    )  # fmt: skip
    p.add_argument(
        "--balance", type=float, metavar="X",
        help="weight a source (a top-level folder) of N photos by N^X; 1 treats all photos "
             f"equally, 0 all sources equally (default: {TrainConfig.balance:g})",
    )  # fmt: skip
    for name, kind, metavar, text in _NUMBERS:
        p.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            metavar=metavar,
            help=f"{text} (default: {getattr(TrainConfig, name):g})",
        )
    for name, text in _SWITCHES:
        default = "yes" if getattr(TrainConfig, name) else "no"
        p.add_argument(
            f"--{name.replace('_', '-')}",
            action=argparse.BooleanOptionalAction,
            default=None,
            help=f"{text} (default: {default})",
        )


def run(options: argparse.Namespace) -> int:
    """Run `photochrom train`."""
    needs_torch()
    from photochrom.train.checkpoint import CONFIG
    from photochrom.train.config import TrainConfig
    from photochrom.train.loop import Session, train
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
        session=Session(options.device, watch=watch),
    )
    if not done:
        print(
            f"photochrom: stopped; to continue: photochrom train ... -o {folder} --resume",
            file=sys.stderr,
        )
        return 130
    return 0
