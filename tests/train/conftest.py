"""Photos to compare on, and our network exported."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from photochrom.cli.main import main
from photochrom.train.export import ExportOptions, export_run


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory, shard: Path) -> Iterator[tuple[Path, Path, str]]:
    """A run of our network that has opinions and follows hints; its file; what the export said."""
    folder = tmp_path_factory.mktemp("ours")
    run, file = folder / "run", folder / "ours.onnx"
    # Long enough to have opinions: logits all but equal would hide any error of the export.
    arguments = [
        *("train", str(shard), "-o", str(run), "--steps", "40", "--lr", "0.003", "--warmup", "5"),
        *("--batch", "4", "--size", "32", "--hints", "0.5", "--sample-every", "0"),
        *("--encoder", "lite0"),
    ]
    assert main(arguments) == 0
    # In so few steps hints have hardly begun to count.
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    torch.manual_seed(0)
    for name, value in state["ema"].items():
        if name.startswith("hints.") and value.ndim > 1:
            nn.init.normal_(value, std=0.5)
    torch.save(state, run / "checkpoint.pt")
    said = ExportOptions(
        name="tiny", license="CC0-1.0", training_data="drawn pictures", caution=(3.5, 6.5)
    )
    result = export_run(run, file, options=said)
    yield run, file, str(result)
    shutil.rmtree(folder)
