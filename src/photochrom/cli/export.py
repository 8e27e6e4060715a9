"""`photochrom export`: a trained run to a model file, or a smaller model file."""

from __future__ import annotations

import argparse
from pathlib import Path

from photochrom.cli.extras import needs_torch
from photochrom.cli.values import start_value

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = """\
  photochrom export runs/first -o mine.onnx
  photochrom export mine.onnx -o small.onnx --bits 4 --photos photos/
  photochrom colorize old.jpg --model mine.onnx"""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument(
        "run_folder", metavar="RUN",
        help="folder of a training run, an exported .onnx file, or the name of a bundled model",
    )  # fmt: skip
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the .onnx file to write")
    p.add_argument(
        "--bits", type=int, choices=(32, 16, 8, 4), default=16,
        help="bits per weight; 4 shrinks the bundled model from 13 to 4 MiB (default: 16)",
    )  # fmt: skip
    p.add_argument("--name", help="name of the model (default: the file's name)")
    p.add_argument(
        "--rebalance", type=float, metavar="X",
        help="how much of the class rebalancing (the boost for rare colors) to keep: 0 is none, 1 "
             "is all, up to 4 (default: 1; for a model file, as much as it has)",
    )  # fmt: skip
    p.add_argument(
        "--caution", type=float, nargs=2, metavar=("SURE", "UNSURE"),
        help="keep all of the rebalancing where the model is sure (entropy below SURE bits), and "
             "fade it out to nothing at UNSURE bits (default: keep it everywhere; for a model "
             "file, its own values)",
    )  # fmt: skip
    p.add_argument(
        "--size", type=int, metavar="N",
        help="default short side of the network's input, in pixels",
    )  # fmt: skip
    p.add_argument("--license", help="license to state in the file")
    p.add_argument("--training-data", help="training data to state in the file")
    p.add_argument(
        "--photos", nargs="+",
        help="photos for comparing the model file with the network it is made from, and for "
             "choosing low-bit weights (default: the run's photos; for a model file, generated "
             "images)",
    )  # fmt: skip
    p.add_argument("-f", "--force", action="store_true", help="replace an existing file")


def run(options: argparse.Namespace) -> int:
    """Run `photochrom export`."""
    needs_torch()
    from photochrom.train.export import ExportOptions, export_run

    chosen = ExportOptions(
        name=options.name,
        rebalance=options.rebalance,
        caution=None if options.caution is None else (options.caution[0], options.caution[1]),
        working_size=options.size,
        license=options.license,
        training_data=options.training_data,
        bits=options.bits,
        force=options.force,
    )
    result = export_run(
        start_value(options.run_folder),
        options.output,
        photos=options.photos or (),
        options=chosen,
    )
    size = Path(options.output).stat().st_size / 2**20
    print(f"{options.output}: {size:.2f} MiB; {result}")
    return 0
