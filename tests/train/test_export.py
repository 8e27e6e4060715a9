"""Exported models: their files compute what the network computes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from photochrom import Colorizer
from photochrom._version import __version__
from photochrom.cli.main import main
from photochrom.color import bins
from photochrom.dataset.store import write_shard
from photochrom.errors import ConfigError, DataError, DependencyError, ModelError
from photochrom.models import Model, ModelInfo
from photochrom.runtime import onnxruntime
from photochrom.train.checkpoint import load_run
from photochrom.train.config import TrainConfig
from photochrom.train.export import (
    MAX_AB,
    MAX_MEAN_AB,
    Comparison,
    ExportOptions,
    _reduced,
    export_run,
)
from photochrom.train.networks import output_layer
from tests.train.exported import Picture, inputs, prior, published_network


def write_run(run: Path, config: TrainConfig, network: nn.Module) -> None:
    """The files of a run, as `train` leaves them, around a network."""
    run.mkdir(parents=True)
    config.save(run / "config.json")
    np.save(run / "prior.npy", prior())
    state = {"network": network.state_dict(), "ema": {}, "step": 10, "seconds": 60.0, "data": ""}
    torch.save(state, run / "checkpoint.pt")


@pytest.fixture(scope="module")
def photos(
    tmp_path_factory: pytest.TempPathFactory,
    draw_picture: Callable[..., Picture],
    encode_picture: Callable[[Picture], bytes],
) -> Path:
    """Three photos, as small as they may be: eccv16 is slow."""
    path = tmp_path_factory.mktemp("compared") / "photos.tar"
    write_shard(
        path, [(f"{i}.webp", encode_picture(draw_picture(i, 40 + 8 * i, 40))) for i in range(3)]
    )
    return path


def in_16_bits(network: nn.Module) -> nn.Module:
    """The network as it is stored: BatchNorm folded into the convolutions, then rounded."""
    for module in network.modules():
        norm, conv = getattr(module, "norm", None), getattr(module, "conv", None)
        if not (isinstance(norm, nn.BatchNorm2d) and isinstance(conv, nn.Conv2d)):
            continue
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        conv.weight.mul_(scale[:, None, None, None])
        norm.bias.sub_(norm.running_mean * scale)
        norm.running_mean.zero_()
        norm.running_var.fill_(1)
        norm.weight.fill_(1)
        norm.eps = 0.0
    state = network.state_dict()
    state = {k: v.half().to(v.dtype) if v.numel() >= 64 else v for k, v in state.items()}
    network.load_state_dict(state)
    return network


def session(file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


# --- our network ----------------------------------------------------------------------------------


@torch.no_grad()
def test_file_equals_torch_at_any_size_and_batch(ours: tuple[Path, Path, str]) -> None:
    run, file, _ = ours
    _, network, _ = load_run(run)
    _, rounded, _ = load_run(run)
    in_16_bits(rounded)
    onnx_session = session(file)
    means = []
    for batch, height, width in ((1, 32, 32), (1, 64, 224), (3, 96, 64), (5, 32, 160)):
        x = inputs(batch, height, width, seed=height)
        (logits,) = onnx_session.run(None, {"input": x})
        assert logits.dtype == np.float32 and logits.shape == (batch, 313, height // 4, width // 4)
        exact = network(torch.from_numpy(x)).numpy()
        assert exact.std() > 0.5
        for ours_z, exact_z in zip(logits, exact, strict=True):
            ab, expected = bins.annealed_mean(ours_z), bins.annealed_mean(exact_z)
            distance = np.linalg.norm(ab - expected, axis=-1)
            assert distance.mean() < MAX_MEAN_AB[16] and distance.max() < MAX_AB[16]
            assert distance.max() < 0.5
            means.append(distance.mean())
        # That is the rounding to 16 bits: with rounded weights PyTorch gives the same.
        np.testing.assert_allclose(logits, rounded(torch.from_numpy(x)).numpy(), atol=1e-3)
    # Over all of them, as export has it: what 40 steps learn, and so one picture's share, depends
    # on the processor.
    assert np.mean(means) < 0.05


@torch.no_grad()
def test_file_without_hints_and_with_them(ours: tuple[Path, Path, str]) -> None:
    _, file, _ = ours
    model = Model(file)
    x = inputs(1, 64, 64)[0]
    bare, unmasked = x.copy(), x.copy()
    bare[1:] = 0
    unmasked[3] = 0
    assert not np.allclose(model(x), model(bare), atol=0.1)
    np.testing.assert_allclose(model(unmasked), model(bare), atol=1e-5)


def test_weights_are_stored_in_16_bits_and_nothing_private_is(
    ours: tuple[Path, Path, str],
) -> None:
    run, file, _ = ours
    assert file.stat().st_size <= 16 * 2**20
    model = onnx.load(file)
    large = {}
    for tensor in model.graph.initializer:
        size = int(np.prod(tensor.dims))
        if tensor.data_type == TensorProto.FLOAT:
            assert size < 64, tensor.name
        elif size >= 64:
            assert tensor.data_type == TensorProto.FLOAT16, tensor.name
            large[tensor.name.removesuffix(".half")] = numpy_helper.to_array(tensor)
    parameters = sum(p.numel() for p in load_run(run)[1].parameters())
    assert sum(v.size for v in large.values()) > 0.95 * parameters
    # The exporter's notes of source files, with their full paths, are gone.
    data = file.read_bytes()
    for private in (str(Path.home()), str(Path(torch.__file__).parent), "networks.py"):
        assert len(private) < 4 or private.encode() not in data, private
    assert [p.key for p in model.metadata_props] == ["photochrom"]


def test_file_says_what_it_is(ours: tuple[Path, Path, str]) -> None:
    run, file, said = ours
    info = Model(file).info
    assert (info.name, info.arch, info.version) == ("tiny", "photochrom-lite0", __version__)
    assert info.license == "CC0-1.0"
    assert info.training_data.startswith("drawn pictures; full, last run: 160 samples")
    assert (info.channels, info.multiple, info.working_size) == (4, 32, 32)
    assert info.caution == (3.5, 6.5)
    assert (info.L_center, info.L_scale, info.ab_scale) == (50, 50, 110)
    assert np.array_equal(info.bins, bins.BINS)
    w = bins.rebalancing_weights(np.load(run / "prior.npy"), 0.5)
    np.testing.assert_allclose(info.log_weights, np.log(w), atol=1e-5)
    again = ModelInfo.from_json(info.to_json())
    assert again.to_json() == info.to_json()
    for name, value in vars(info).items():
        assert np.array_equal(getattr(again, name), value), name
    assert "12 photos" in said  # the run's own, by the sources that it noted


def test_file_colors_a_photo(ours: tuple[Path, Path, str], pictures: list[Picture]) -> None:
    _, file, _ = ours
    colorizer = Colorizer(file, working_size=64)
    gray = pictures[0].mean(axis=2).astype(np.uint8)
    rgb = colorizer.predict(gray).render()
    assert rgb.shape == (*gray.shape, 3) and rgb.dtype == np.uint8
    assert np.ptp(rgb.astype(int), axis=2).max() > 10


def test_an_existing_file_stays_unless_forced(
    ours: tuple[Path, Path, str], tmp_path: Path, photos: Path
) -> None:
    run, _, _ = ours
    file = tmp_path / "mine.onnx"
    file.write_text("mine")
    with pytest.raises(ModelError, match=r"mine\.onnx: already exists; use --force"):
        export_run(run, file, photos=[str(photos)])
    assert main(["export", str(run), "-o", str(file)]) == 1
    assert file.read_text() == "mine"
    with pytest.raises(ModelError, match="its folder does not exist"):
        export_run(run, tmp_path / "nowhere" / "mine.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.onnx"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rebalance": 4.5}, "rebalance"),
        ({"rebalance": -0.1}, "rebalance"),
        ({"caution": (6.0, 4.0)}, "caution"),
        ({"caution": (-1.0, 4.0)}, "caution"),
        ({"working_size": 0}, "working size 0"),
        ({"working_size": 100_000}, "working size 100000"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExportOptions(**values)  # type: ignore[arg-type]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a run's config"):
        export_run(tmp_path, tmp_path / "a.onnx")
    TrainConfig(steps=1).save(tmp_path / "config.json")
    with pytest.raises(DataError, match="no checkpoint there"):
        export_run(tmp_path, tmp_path / "a.onnx")


def test_a_missing_exporter_is_named(
    ours: tuple[Path, Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _, _ = ours
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # importing it raises
    with pytest.raises(DependencyError, match=r"onnxscript; run pip install 'photochrom\[train\]'"):
        export_run(run, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


# --- from a file, and smaller ---------------------------------------------------------------------


def test_a_name_that_is_no_run_and_no_model_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "photochrom-1-smal", "-o", str(tmp_path / "a.onnx")]) == 1
    said = capsys.readouterr().err
    assert "photochrom-1-smal: no such run or model file" in said and "photochrom-1-small" in said


def test_large_photos_are_reduced_before_they_are_compared_on() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (700, 1000, 3), dtype=np.uint8)
    small = _reduced(rgb)
    assert small.shape == (256, 366, 3)
    assert _reduced(small) is small


# --- other objectives, and refusals, on the network that exports faster ---------------------------


@torch.no_grad()
def test_rebalancing_can_be_taken_off(run: Path, photos: Path) -> None:
    config = TrainConfig(steps=1, arch="eccv16", objective="full", rebalance=0.4)
    network = published_network(313)
    write_run(run, config, network)
    file = run / "a.onnx"
    export_run(run, file, photos=[str(photos)], options=ExportOptions(rebalance=0.25))
    log_w = np.log(bins.rebalancing_weights(prior(), 0.4))
    assert np.ptp(log_w) > 2
    model = Model(file)
    np.testing.assert_allclose(model.info.log_weights, 0.25 * log_w, atol=1e-5)
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 32, 48)).astype(np.float32)
    expected = network(torch.from_numpy(x)[None])[0].numpy() - 0.75 * log_w[:, None, None]
    assert expected.std() > 0.3
    np.testing.assert_allclose(model(x), expected, atol=0.03)
    # What is left, taken off as well, is as if nothing had been rebalanced.
    honest = model(x) - model.info.log_weights[:, None, None]
    np.testing.assert_allclose(honest, expected - 0.25 * log_w[:, None, None], atol=0.03)


@torch.no_grad()
def test_more_rebalancing_is_stated_in_the_file(run: Path, photos: Path) -> None:
    config = TrainConfig(steps=1, arch="eccv16", objective="full", rebalance=0.8)
    write_run(run, config, published_network(313))
    file = run / "a.onnx"
    arguments = ["export", str(run), "-o", str(file), "--photos", str(photos)]
    assert main([*arguments, "--rebalance", "2", "--caution", "3.5", "6.5"]) == 0
    info = Model(file).info
    log_w = np.log(bins.rebalancing_weights(prior(), 0.8))
    np.testing.assert_allclose(info.log_weights, 2 * log_w, atol=1e-5)
    assert info.caution == (3.5, 6.5)


@torch.no_grad()
def test_a_regression_has_two_outputs_and_no_bins(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = published_network(2)
    output_layer(network).weight.mul_(0.05)  # ab / 110 of natural size
    write_run(run, TrainConfig(steps=1, arch="eccv16", objective="regression"), network)
    file = run / "a.onnx"
    arguments = ["export", str(run), "-o", str(file), "--photos", str(photos), "--size", "64"]
    assert main(arguments) == 0
    assert "against PyTorch on 3 photos" in capsys.readouterr().out
    model = Model(file)
    info = model.info
    assert info.regression and info.bins.shape == (0, 2) and info.log_weights.shape == (0,)
    assert (info.name, info.arch, info.working_size) == ("a", "eccv16", 64)
    assert (info.channels, info.multiple, info.L_scale) == (1, 8, 100)
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 40, 32)).astype(np.float32)
    expected = network(torch.from_numpy(x)[None])[0].numpy()
    assert 0.01 < expected.std() < 1
    np.testing.assert_allclose(model(x), expected, atol=2e-3)


@torch.no_grad()
def test_a_file_that_computes_something_else_is_not_written(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = TrainConfig(steps=1, arch="eccv16", objective="classification")
    # Logits of some 10,000 from weights of 16 bits are wrong by whole units.
    network = published_network(313)
    output_layer(network).weight.mul_(2e4)
    write_run(run / "coarse", config, network)
    file = run / "a.onnx"
    file.write_text("an older file")
    command = ["export", str(run / "coarse"), "-o", str(file), "--photos", str(photos), "--force"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "a.onnx: not written, against PyTorch on 3 photos: ab differs by" in said

    output_layer(network).weight[7, 7] = torch.nan
    write_run(run / "nan", config, network)
    with pytest.raises(
        ModelError, match=r"a\.onnx: not written, the file: returned .* rather than finite"
    ):
        export_run(run / "nan", file, photos=[str(photos)], options=ExportOptions(force=True))
    assert file.read_text() == "an older file"
    assert sorted(p.name for p in run.iterdir()) == ["a.onnx", "coarse", "nan"]


@torch.no_grad()
def test_numbers_beyond_16_bits_stay_in_32(run: Path, photos: Path) -> None:
    network = published_network(313)
    norm = network.model1[4]
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None
    norm.running_var.mul_(1e6)
    norm.weight.mul_(1e3)
    write_run(run, TrainConfig(steps=1, arch="eccv16", objective="classification"), network)
    export_run(run, run / "a.onnx", photos=[str(photos)])
    kinds = {t.name: t.data_type for t in onnx.load(run / "a.onnx").graph.initializer}
    assert kinds["model1.4.running_var"] == TensorProto.FLOAT
    assert kinds["model2.4.running_var.half"] == TensorProto.FLOAT16


def test_photos_too_small_to_compare_on_are_refused(
    run: Path, draw_picture: Callable[..., Picture], encode_picture: Callable[[Picture], bytes]
) -> None:
    config = TrainConfig(steps=1, arch="eccv16", objective="regression")
    write_run(run, config, published_network(2))
    tiny = run / "tiny.tar"
    write_shard(tiny, [("a.webp", encode_picture(draw_picture(0, 7, 60)))])
    with pytest.raises(DataError, match="no photo has sides of 8 pixels or more"):
        export_run(run, run / "a.onnx", photos=[str(tiny)])
    names = {p.name for p in run.iterdir()}
    assert names == {"tiny.tar", "config.json", "prior.npy", "checkpoint.pt"}


# --- the published checkpoint ---------------------------------------------------------------------


def test_32_bits_have_bounds_of_their_own() -> None:
    good = Comparison(photos=1, mean_ab=0.0005, max_ab=0.01, max_logit=9e-5, bits=32)
    assert good.close and "at most (allowed: 0.0001)" in str(good)
    for worse in ({"max_logit": 2e-4}, {"mean_ab": 0.01}, {"max_ab": 0.1}, {"max_logit": np.nan}):
        assert not replace(good, **worse).close
    assert replace(good, bits=16, max_logit=0.02).close
