"""Files exported again: smaller, or with less rebalancing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from photochrom.cli.main import main
from photochrom.color import bins
from photochrom.errors import ConfigError, ModelError
from photochrom.models import Model
from photochrom.train.export import MAX_AB, MAX_MEAN_AB, ExportOptions, export_run
from photochrom.train.quantize import AVERAGE_BITS
from photochrom.train.restore import restore
from tests.train.exported import inputs


@torch.no_grad()
def test_a_file_is_exported_smaller_with_less_rebalancing(
    ours: tuple[Path, Path, str], shard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, file, _ = ours
    small = tmp_path / "small.onnx"
    command = ["export", str(file), "-o", str(small), "--bits", "4", "--rebalance", "0.25"]
    assert main([*command, "--photos", str(shard)]) == 0
    said = capsys.readouterr().out
    assert f"allowed with 4 bits: {MAX_MEAN_AB[4]} and {MAX_AB[4]}" in said
    assert f"small.onnx: {small.stat().st_size / 2**20:.2f} MiB" in said
    whole, model = Model(file), Model(small)
    assert model.info.caution == whole.info.caution == (3.5, 6.5)
    assert small.stat().st_size < file.stat().st_size * (AVERAGE_BITS[4] + 0.4) / 16
    # Of a file, too, the share of rebalancing is that of the training.
    weights = whole.info.log_weights
    np.testing.assert_allclose(model.info.log_weights, 0.25 * weights, atol=2e-3)
    x = inputs(1, 64, 96)[0]
    expected = bins.annealed_mean(whole(x) - 0.75 * weights[:, None, None])
    distance = np.linalg.norm(bins.annealed_mean(model(x)) - expected, axis=-1)
    assert distance.mean() < MAX_MEAN_AB[4]
    # And back: what training would start from is what the file computes.
    _, network, _ = restore(small)
    np.testing.assert_allclose(network(torch.from_numpy(x[None]))[0].numpy(), model(x), atol=0.02)


def test_odd_bits_and_what_is_left_of_no_rebalancing_are_refused(
    ours: tuple[Path, Path, str], tmp_path: Path
) -> None:
    run, file, _ = ours
    with pytest.raises(ConfigError, match="weights of 5 bits: must be 32, 16, 8 or 4"):
        export_run(run, tmp_path / "a.onnx", options=ExportOptions(bits=5))
    with pytest.raises(SystemExit):
        main(["export", str(run), "-o", str(tmp_path / "a.onnx"), "--bits", "2"])
    with pytest.raises(ModelError, match="no such model file"):
        export_run(tmp_path / "none.onnx", tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
    # With another lambda than the default nothing tells how much is left; all can be taken off.
    model = onnx.load(file)
    info = Model(file).info
    log_weights = info.log_weights * np.linspace(0.5, 1, bins.Q, dtype=np.float32)
    model.metadata_props[0].value = replace(info, log_weights=log_weights).to_json()
    other = tmp_path / "other.onnx"
    onnx.save(model, other)
    half = ExportOptions(rebalance=0.5)
    with pytest.raises(ConfigError, match="does not tell which part"):
        export_run(other, tmp_path / "a.onnx", options=half)
    model.metadata_props[0].value = replace(info, log_weights=0 * log_weights).to_json()
    onnx.save(model, other)
    with pytest.raises(ConfigError, match="has no rebalancing"):
        export_run(other, tmp_path / "a.onnx", options=half)
