"""From an exported file back to a network: the same function, and one that can go on learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from photochrom.cli.main import main
from photochrom.color import bins
from photochrom.dataset.store import PhotoStore
from photochrom.errors import ConfigError, ModelError
from photochrom.models import DEFAULT, MODELS, WEIGHTS, Model, load_model
from photochrom.train.checkpoint import load_run
from photochrom.train.config import TrainConfig
from photochrom.train.export import ExportOptions, export_run
from photochrom.train.loop import Session, Trainer, train
from photochrom.train.networks import Photochrom, output_layer
from photochrom.train.restore import restore

QUIET = Session(progress=False)

BUNDLED = WEIGHTS / MODELS[0].file


def picture(channels: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height)
    x = np.zeros((channels, height, width), dtype=np.float32)
    x[0] = np.kron(rng.uniform(-1, 1, (height // 8, width // 8)), np.ones((8, 8)))
    if channels == 4:
        x[1:, 9:12, 14:17] = np.array([0.5, -0.2, 1.0], dtype=np.float32)[:, None, None]
    return x


@pytest.mark.parametrize("size", [(64, 96), (160, 128)])
def test_the_bundled_model_comes_back_as_the_same_function(size: tuple[int, int]) -> None:
    config, network, info = restore(BUNDLED)
    assert (config.arch, config.encoder, config.objective) == ("photochrom", "lite2", "full")
    assert info.name == DEFAULT
    x = picture(4, *size)
    with torch.no_grad():
        ours = network(torch.from_numpy(x)[None])[0].numpy()
    theirs = load_model()(x)
    assert np.abs(theirs).max() > 3, "it has opinions"
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_unfolded_layers_have_the_scale_of_fresh_ones() -> None:
    _, network, _ = restore(BUNDLED)
    assert isinstance(network, Photochrom)
    layers = [m for m in network.encoder.modules() if hasattr(m, "conv")]
    assert len(layers) == 63
    for layer in layers:
        weight = layer.conv.weight.detach().flatten(1)
        norms = weight.norm(dim=1)
        live = layer.norm.weight > 1e-3  # a channel that export folded to nothing stays nothing
        torch.testing.assert_close(norms[live], torch.ones_like(norms[live]), rtol=1e-3, atol=1e-3)


def test_a_run_starts_from_a_file_and_keeps_what_it_learned_of_the_prior(
    shard: Path, tmp_path: Path
) -> None:
    """The file's logits are log p + its log weights; those of the run log p + the run's."""
    config = TrainConfig(encoder="lite2", steps=1, batch=2, sizes=((0.0, 32),), rebalance=0.25)
    prior = np.exp(-np.linalg.norm(bins.BINS, axis=1) / 20)
    prior = (prior / prior.sum()).astype(np.float32)
    trainer = Trainer(config, PhotoStore([str(shard)]), prior, tmp_path)
    trainer.start(BUNDLED)
    _, network, info = restore(BUNDLED)
    ours, theirs = output_layer(trainer.network).bias, output_layer(network).bias
    assert ours is not None and theirs is not None
    w = np.log(bins.rebalancing_weights(prior, 0.25))
    assert np.abs(w - info.log_weights).max() > 0.5
    expected = theirs.detach().numpy() - info.log_weights + w
    np.testing.assert_allclose(ours.detach().numpy(), expected, atol=1e-5)
    torch.testing.assert_close(
        trainer.network.state_dict()["head.1.weight"], network.state_dict()["head.1.weight"]
    )


def test_a_run_that_starts_from_another_with_other_weights_is_shifted(
    shard: Path, tmp_path: Path
) -> None:
    common = {"encoder": "lite0", "pretrained": False, "batch": 2, "sizes": ((0.0, 32),)}
    first = TrainConfig(**common, steps=1)
    assert train(first, [str(shard)], tmp_path / "a", session=QUIET)
    prior = np.load(tmp_path / "a" / "prior.npy")
    second = TrainConfig(**common, steps=1, objective="classification")
    trainer = Trainer(second, PhotoStore([str(shard)]), prior, tmp_path / "b")
    trainer.start(tmp_path / "a")
    ours = output_layer(trainer.network).bias
    theirs = output_layer(load_run(tmp_path / "a")[1]).bias  # type: ignore[arg-type]
    assert ours is not None and theirs is not None
    w = np.log(bins.rebalancing_weights(prior, 0.5))
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy() - w, atol=1e-5)


def test_what_is_exported_and_restored_and_exported_again_is_the_same(
    ours: tuple[Path, Path, str], shard: Path, tmp_path: Path
) -> None:
    _, file, _ = ours
    run, again = tmp_path / "next", tmp_path / "b.onnx"
    command = ["train", str(shard), "-o", str(run), "--steps", "1", "--batch", "2", "--size", "32"]
    command += ["--encoder", "lite0", "--init", str(file), "--lr", "1e-12"]
    assert main(command) == 0
    export_run(run, again, options=ExportOptions(rebalance=0.5))
    x = picture(4, 64, 32)
    honest = []
    for model in (Model(again), Model(file)):
        assert model.info.log_weights.any()
        honest.append(model(x) - model.info.log_weights[:, None, None])
    np.testing.assert_allclose(*honest, atol=0.02)


def test_a_regression_comes_back_and_goes_on(shard: Path, tmp_path: Path) -> None:
    run, file, next_run = tmp_path / "run", tmp_path / "a.onnx", tmp_path / "next"
    command = ["train", str(shard), "-o", str(run), "--steps", "2", "--batch", "2", "--size", "32"]
    command += ["--encoder", "lite0", "--no-pretrained", "--objective", "regression"]
    assert main(command) == 0
    export_run(run, file)
    config, network, info = restore(file)
    assert (config.encoder, config.objective, info.regression) == ("lite0", "regression", True)
    x = picture(4, 64, 32)
    expected = Model(file)(x)
    with torch.no_grad():
        restored = network(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(restored, expected, atol=2e-3)
    # That a file is what its run computes is shown by the other exports.
    command[3], command[5] = str(next_run), "1"
    assert main([*command, "--init", str(file), "--lr", "1e-12"]) == 0
    with torch.no_grad():
        trained = load_run(next_run)[1](torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(trained, expected, atol=0.02)


def test_the_published_network_comes_back(tmp_path: Path) -> None:
    from photochrom.train.eccv16 import ECCV16
    from photochrom.train.published import import_published

    torch.manual_seed(0)
    network = ECCV16().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.running_mean, 0.0, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    state = network.state_dict() | {"model_out.weight": torch.zeros(2, bins.Q, 1, 1)}
    state["model_out.weight"][:, :, 0, 0] = torch.from_numpy(bins.BINS.T / 110.0)
    torch.save(state, tmp_path / "colorization_release_v2.pth")
    import_published(tmp_path / "colorization_release_v2.pth", tmp_path / "p.onnx")
    config, restored, _ = restore(tmp_path / "p.onnx")
    assert config.arch == "eccv16"
    x = picture(1, 32, 40)
    with torch.no_grad():
        ours = restored(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(ours, Model(tmp_path / "p.onnx")(x), atol=2e-3)


def test_the_command_takes_a_bundled_model_by_its_name(shard: Path, tmp_path: Path) -> None:
    command = ["train", str(shard), "-o", str(tmp_path / "run"), "--steps", "1", "--batch", "2"]
    command += ["--size", "32", "--lr", "1e-12", "--init", DEFAULT]
    assert main(command) == 0
    _, network, _ = restore(BUNDLED)
    ours = load_run(tmp_path / "run")[1].state_dict()["head.1.weight"]
    torch.testing.assert_close(ours, network.state_dict()["head.1.weight"], rtol=0, atol=1e-6)


def test_what_is_no_model_is_no_start(shard: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    for content in (b"", b"not a model", BUNDLED.read_bytes()[:10000]):
        other.write_bytes(content)
        with pytest.raises(ModelError, match="cannot be read as a photochrom model"):
            restore(other)
    with pytest.raises(ModelError, match="no such model file"):
        restore(tmp_path / "none.onnx")
    config = TrainConfig(encoder="lite0", steps=1, batch=2, sizes=((0.0, 32),))
    with pytest.raises(ConfigError, match="was trained with encoder lite2, not lite0"):
        train(config, [str(shard)], tmp_path / "run", init=BUNDLED, session=QUIET)
