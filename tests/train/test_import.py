"""The published checkpoint becomes a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor

from photochrom import Colorizer
from photochrom.cli.main import main
from photochrom.color import bins
from photochrom.errors import ModelError
from photochrom.models import Model
from photochrom.train.config import TrainConfig
from photochrom.train.networks import build
from photochrom.train.published import ImportOptions, import_published, load_published
from tests.train.exported import Picture, prior, published_network


@torch.no_grad()
def test_the_published_checkpoint_becomes_a_model(
    run: Path, capsys: pytest.CaptureFixture[str], pictures: list[Picture]
) -> None:
    run.mkdir()
    network = published_network(313)
    table = (torch.tensor(bins.BINS.T) + 0.5) / 110  # a table of its own
    state: dict[str, Tensor] = dict(network.state_dict())
    state["model_out.weight"] = table.reshape(2, 313, 1, 1)
    path, file = run / "colorization_release_v2-1234.pth", run / "eccv16.onnx"
    torch.save(state, path)
    shares = run / "prior_probs.npy"
    np.save(shares, prior().astype(np.float64))
    assert main(["import", str(path), "-o", str(file), "--prior", str(shares)]) == 0
    said = capsys.readouterr().out
    assert "against PyTorch on 12 photos" in said and "with 32 bits" in said
    assert "corrected for the class weights" in said
    assert main(["import", str(path), "-o", str(file)]) == 1
    assert "use --force" in capsys.readouterr().err

    model = Model(file)
    info = model.info
    assert (info.name, info.arch, info.working_size) == ("eccv16", "eccv16", 256)
    assert (info.channels, info.multiple, info.L_scale) == (1, 8, 100)
    assert "BSD" in info.license and "ImageNet" in info.training_data
    np.testing.assert_allclose(info.bins, bins.BINS + 0.5, atol=1e-4)
    w = bins.rebalancing_weights(prior(), 0.5)
    np.testing.assert_allclose(info.log_weights, np.log(w), atol=1e-4)
    assert np.ptp(info.log_weights) > 2 and not info.unknown_rebalancing
    assert "lambda = 0.5, targets with k = 10" in info.training_data
    kinds = {t.data_type for t in onnx.load(file).graph.initializer if np.prod(t.dims) >= 64}
    assert kinds == {TensorProto.FLOAT}
    loaded = load_published(path).network
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 48, 40)).astype(np.float32)
    expected = loaded(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(model(x), expected, rtol=0, atol=1e-4)
    prediction = Colorizer(file, working_size=32).predict(pictures[1])
    assert prediction.render().shape == pictures[1].shape
    # What the product calls the distribution is the network's with the weights divided out.
    p = np.exp(prediction.logits - prediction.logits.max(axis=0)) / w[:, None, None]
    np.testing.assert_allclose(
        np.exp(prediction.log_probabilities()), p / p.sum(axis=0), rtol=1e-2, atol=1e-6
    )
    # Without the prior nothing can be taken off, and the file says so.
    halved = ImportOptions(bits=16, force=True)
    compared, _ = import_published(path, file, options=halved)
    assert compared.max_logit > 1e-4 and compared.close
    info = Model(file).info
    assert info.unknown_rebalancing and not info.log_weights.any()
    assert "favor rare colors" in info.about_probabilities


def test_what_is_not_the_published_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(build(TrainConfig(steps=1)).state_dict(), path)
    with pytest.raises(ModelError, match=r"other\.pth: has neither model_out"):
        import_published(path, tmp_path / "a.onnx")
    assert main(["import", str(path), "-o", str(tmp_path / "a.onnx")]) == 1
    assert main(["import", str(tmp_path / "none.pth"), "-o", str(tmp_path / "a.onnx")]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["other.pth"]
