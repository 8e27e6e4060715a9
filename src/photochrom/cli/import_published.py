"""`photochrom import`: a checkpoint that the paper's authors released to a model file."""

from __future__ import annotations

import argparse
import dataclasses

from photochrom.cli.extras import needs_torch

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = """\
  photochrom import colorization_release_v2-9b330a0b.pth -o eccv16.onnx
  photochrom import siggraph17-df00044c.pth -o siggraph17.onnx"""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="colorization_release_v2-*.pth or siggraph17-*.pth"
    )
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the .onnx file to write")
    p.add_argument(
        "--bits", type=int, choices=(32, 16), default=32,
        help="bits per weight; 16 halves the file (default: 32)",
    )  # fmt: skip
    p.add_argument(
        "--prior", metavar="FILE",
        help="prior_probs.npy from the training of eccv16; used to remove the class weights from "
             "the model's probabilities",
    )  # fmt: skip
    p.add_argument(
        "--head", choices=("regression", "distribution"),
        help="output of siggraph17 to use: regression for its colors (default), or distribution "
             "for the color probabilities that it makes suggestions from",
    )  # fmt: skip
    p.add_argument(
        "--mask-center", type=float, default=0.0, metavar="X",
        help="value to subtract from siggraph17's hint mask: 0.5 if it was trained with the "
             "authors' PyTorch code, 0 for the released model (default: 0)",
    )  # fmt: skip
    p.add_argument(
        "--photos", nargs="+",
        help="photos for comparing the model file with the original network (default: generated "
             "images)",
    )  # fmt: skip
    p.add_argument("-f", "--force", action="store_true", help="replace an existing file")


def run(options: argparse.Namespace) -> int:
    """Run `photochrom import`."""
    needs_torch()
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
