"""`photochrom import`: the published eccv16 checkpoint to a model file."""

from __future__ import annotations

import argparse

from photochrom.cli.extras import needs_torch

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = "  photochrom import colorization_release_v2-9b330a0b.pth -o eccv16.onnx"


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument("checkpoint", help="colorization_release_v2-*.pth")
    p.add_argument("-o", "--output", required=True, metavar="FILE", help="the .onnx file to write")
    p.add_argument("--photos", nargs="+", help="photos to compare on (default: generated images)")
    p.add_argument("-f", "--force", action="store_true", help="replace an existing file")


def run(options: argparse.Namespace) -> int:
    """Run `photochrom import`."""
    needs_torch()
    from photochrom.train.export import import_published

    result = import_published(
        options.checkpoint, options.output, photos=options.photos or (), force=options.force
    )
    print(f"{options.output}: {result}")
    return 0
