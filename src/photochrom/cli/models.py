"""`photochrom models`: the bundled models."""

from __future__ import annotations

import argparse

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = "  photochrom models"


def arguments(p: argparse.ArgumentParser) -> None:
    """There are none."""


def run(options: argparse.Namespace) -> int:
    """Run `photochrom models`."""
    from photochrom.models import DEFAULT, MODELS, load_model

    for row in MODELS:
        info = load_model(row.name).info
        default = "  (default)" if row.name == DEFAULT else ""
        print(f"{row.name}{default}")
        print(f"  {row.about}")
        hints = "takes hints" if info.channels == 4 else "doesn't take hints"
        print(f"  working size {info.working_size}, {hints}")
        print(f"  license {row.license}; file {row.file}; sha256 {row.sha256}")
        print(f"  trained on {info.training_data}")
    return 0
