"""`photochrom prepare`, `train`, `export` and `import`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from photochrom.cli.values import sizes_value
from photochrom.errors import DependencyError, ModelError

__all__ = [
    "export_arguments",
    "import_arguments",
    "prepare_arguments",
    "run_export",
    "run_import",
    "run_prepare",
    "run_train",
    "train_arguments",
]


def _needs_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise DependencyError(
            "this command needs PyTorch: pip install 'photochrom[train]'"
        ) from None


def run_prepare(options: argparse.Namespace) -> int:
    from photochrom.dataset.prepare import prepare

    report = prepare(
        options.photos,
        options.output,
        short_side=options.short_side,
        max_aspect=options.max_aspect,
        shard_size=options.shard_size,
        quality=options.quality,
        seed=options.seed,
        workers=options.workers,
        force=options.force,
    )
    print(report.summary())
    return 0


def run_train(options: argparse.Namespace) -> int:
    _needs_torch()
    from photochrom.train.checkpoint import CONFIG
    from photochrom.train.config import TrainConfig
    from photochrom.train.loop import train

    run = Path(options.output)
    values: dict[str, Any] = {}
    if options.resume:
        values = TrainConfig.load(run / CONFIG).to_dict()
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
    init = None if options.init is None else _start_of(options.init)
    done = train(
        config, options.shards, run, resume=options.resume, init=init, device=options.device
    )
    if not done:
        print(
            f"photochrom: stopped; go on with: photochrom train ... -o {run} --resume",
            file=sys.stderr,
        )
        return 130
    return 0


def _start_of(name: str) -> Path:
    """A run's folder, an .onnx file, or the file of the bundled model with this name."""
    from photochrom.models import MODELS, WEIGHTS

    files = {model.name: WEIGHTS / model.file for model in MODELS}
    path = files.get(name) or Path(name)
    if not path.exists():
        known = ", ".join(files)
        raise ModelError(f"{name}: no such run or model file; the bundled models are: {known}")
    return path


def run_export(options: argparse.Namespace) -> int:
    _needs_torch()
    from photochrom.train.export import export_run

    result = export_run(
        _start_of(options.run_folder),
        options.output,
        name=options.name,
        rebalance=options.rebalance,
        working_size=options.size,
        license=options.license,
        training_data=options.training_data,
        photos=options.photos or (),
        bits=options.bits,
        force=options.force,
    )
    size = Path(options.output).stat().st_size / 2**20
    print(f"{options.output}: {size:.2f} MiB; {result}")
    return 0


def run_import(options: argparse.Namespace) -> int:
    _needs_torch()
    from photochrom.train.published import ImportOptions, import_published

    names = [field.name for field in dataclasses.fields(ImportOptions)]
    result, info = import_published(
        options.checkpoint,
        options.output,
        photos=options.photos or (),
        options=ImportOptions(**{name: getattr(options, name) for name in names}),
    )
    print(f"{options.output}: {result}")
    print(f"{options.output}: {info.about_probabilities}")
    return 0


def prepare_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("photos", nargs="+", metavar="PHOTOS", help="folders of photos, or tar files")
    p.add_argument("-o", "--output", required=True, metavar="SHARDS", help="folder for the shards")
    p.add_argument("--short-side", type=int, default=128, help="pixels (default: %(default)s)")
    p.add_argument(
        "--max-aspect", type=float, default=1.5, metavar="X",
        help="longer photos are cut to this proportion (default: %(default)s)",
    )  # fmt: skip
    p.add_argument("--quality", type=int, default=50, help="of WebP (default: %(default)s)")
    p.add_argument("--shard-size", type=int, default=10000, help="photos (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of the shuffling (default: %(default)s)")
    p.add_argument("--workers", type=int, help="processes (default: all cores)")
    p.add_argument("-f", "--force", action="store_true", help="replace what SHARDS holds")


def train_arguments(p: argparse.ArgumentParser) -> None:
    from photochrom.train.config import ARCHITECTURES, ENCODERS, OBJECTIVES

    p.add_argument("shards", nargs="+", metavar="SHARDS", help="tar, tar.gz, or a folder")
    p.add_argument("-o", "--output", required=True, metavar="RUN", help="folder of the run")
    p.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    p.add_argument(
        "--init", metavar="RUN",
        help="start from what another run learned: its folder, an .onnx file, or a bundled model",
    )  # fmt: skip
    p.add_argument("--config", metavar="FILE", help="a run's config.json to start from")
    p.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    budget = p.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, help="budget in minutes of training")
    budget.add_argument("--steps", type=int, help="budget in optimizer steps")
    p.add_argument("--arch", choices=ARCHITECTURES)
    p.add_argument("--encoder", choices=ENCODERS)
    p.add_argument("--pretrained", action=argparse.BooleanOptionalAction, default=None)
    p.add_argument("--objective", choices=OBJECTIVES)
    p.add_argument(
        "--size", dest="sizes", type=sizes_value, metavar="SIZES",
        help="crop side, or SHARE:SIZE[/SIZE...],... over the budget; of several each step draws "
        "one (default: 0:96,0.6:128)",
    )  # fmt: skip
    p.add_argument("--batch", type=int, help="photos a step, over all processes")
    for name in ("lr", "encoder_lr", "weight_decay", "clip", "ema", "sigma", "rebalance", "crop",
                 "tone", "hints", "save_every"):  # fmt: skip
        p.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="X")
    for name in ("warmup", "neighbors", "seed", "sample_every"):
        p.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N")
    for name in ("amp", "channels_last", "resident"):
        p.add_argument(
            f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction, default=None
        )


def export_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("run_folder", metavar="RUN",
                   help="folder of the run, an exported .onnx file or a bundled model")  # fmt: skip
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the .onnx file")
    p.add_argument("--bits", type=int, choices=(32, 16, 8, 4), default=16,
                   help="of the weights; 4 makes 13 MiB 4 MiB (default: 16)")  # fmt: skip
    p.add_argument("--name", help="of the model (default: the file's)")
    p.add_argument("--rebalance", type=float, metavar="X",
                   help="how much of the rebalancing to keep, 0 to 1; 1 is as trained "
                        "(default: 1; of a file, what it has)")  # fmt: skip
    p.add_argument("--size", type=int, metavar="N", help="default working size")
    p.add_argument("--license", help="stated in the file")
    p.add_argument("--training-data", help="stated in the file")
    p.add_argument("--photos", nargs="+",
                   help="to compare on, and to choose weights of fewer bits by "
                        "(default: the run's own, of a file generated images)")  # fmt: skip
    p.add_argument("-f", "--force", action="store_true", help="replace an existing file")


def import_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("checkpoint", help="colorization_release_v2-*.pth or siggraph17-*.pth")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the .onnx file")
    p.add_argument("--bits", type=int, choices=(32, 16), default=32,
                   help="of the weights; 16 halves the file (default: 32)")  # fmt: skip
    p.add_argument("--prior", metavar="FILE",
                   help="prior_probs.npy of eccv16's training; takes the class weights off its "
                        "probabilities")  # fmt: skip
    p.add_argument("--head", choices=("regression", "distribution"),
                   help="of siggraph17: the colors (default), or what it suggests colors "
                        "from")  # fmt: skip
    p.add_argument("--mask-center", type=float, default=0.0, metavar="X",
                   help="0.5 for a siggraph17 that the authors' PyTorch code trained "
                        "(default: 0, the released one)")  # fmt: skip
    p.add_argument("--photos", nargs="+", help="to compare on (default: generated images)")
    p.add_argument("-f", "--force", action="store_true", help="replace an existing file")
