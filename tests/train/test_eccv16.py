"""The network of 2016 against its publication, and checkpoints that claim to be of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photochrom.color import bins
from photochrom.errors import ModelError
from photochrom.train.eccv16 import ECCV16
from photochrom.train.networks import flops
from photochrom.train.published import load_published


class Published(nn.Module):
    """The released PyTorch model, written out layer by layer, with its input and output scaling."""

    def __init__(self) -> None:
        super().__init__()
        self.model1 = nn.Sequential(
            nn.Conv2d(1, 64, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(64, 64, kernel_size=3, stride=2, padding=1, bias=True),
            nn.ReLU(True),
            nn.BatchNorm2d(64),
        )
        self.model2 = nn.Sequential(
            nn.Conv2d(64, 128, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(128, 128, kernel_size=3, stride=2, padding=1, bias=True),
            nn.ReLU(True),
            nn.BatchNorm2d(128),
        )
        self.model3 = nn.Sequential(
            nn.Conv2d(128, 256, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(256, 256, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(256, 256, kernel_size=3, stride=2, padding=1, bias=True),
            nn.ReLU(True),
            nn.BatchNorm2d(256),
        )
        self.model4 = nn.Sequential(
            nn.Conv2d(256, 512, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(512, 512, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(512, 512, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.BatchNorm2d(512),
        )
        self.model5 = nn.Sequential(
            nn.Conv2d(512, 512, kernel_size=3, dilation=2, stride=1, padding=2, bias=True),
            nn.ReLU(True),
            nn.Conv2d(512, 512, kernel_size=3, dilation=2, stride=1, padding=2, bias=True),
            nn.ReLU(True),
            nn.Conv2d(512, 512, kernel_size=3, dilation=2, stride=1, padding=2, bias=True),
            nn.ReLU(True),
            nn.BatchNorm2d(512),
        )
        self.model6 = nn.Sequential(
            nn.Conv2d(512, 512, kernel_size=3, dilation=2, stride=1, padding=2, bias=True),
            nn.ReLU(True),
            nn.Conv2d(512, 512, kernel_size=3, dilation=2, stride=1, padding=2, bias=True),
            nn.ReLU(True),
            nn.Conv2d(512, 512, kernel_size=3, dilation=2, stride=1, padding=2, bias=True),
            nn.ReLU(True),
            nn.BatchNorm2d(512),
        )
        self.model7 = nn.Sequential(
            nn.Conv2d(512, 512, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(512, 512, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(512, 512, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.BatchNorm2d(512),
        )
        self.model8 = nn.Sequential(
            nn.ConvTranspose2d(512, 256, kernel_size=4, stride=2, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(256, 256, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(256, 256, kernel_size=3, stride=1, padding=1, bias=True),
            nn.ReLU(True),
            nn.Conv2d(256, 313, kernel_size=1, stride=1, padding=0, bias=True),
        )
        self.model_out = nn.Conv2d(313, 2, kernel_size=1, padding=0, dilation=1, bias=False)

    def logits(self, L: Tensor) -> Tensor:
        x: Tensor = (L - 50.0) / 100.0
        for part in (
            self.model1, self.model2, self.model3, self.model4,
            self.model5, self.model6, self.model7, self.model8,
        ):  # fmt: skip
            x = part(x)
        return x

    def ab(self, L: Tensor) -> Tensor:
        out: Tensor = self.model_out(F.softmax(self.logits(L), dim=1)) * 110.0
        return out


@pytest.fixture(scope="module")
def published() -> Published:
    """The published architecture with random weights that keep its signals at a natural size."""
    torch.manual_seed(0)
    network = Published()
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 1.0, 2.0)
            nn.init.normal_(module.bias, std=0.2)
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.running_mean, 0.0, 1.0)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    # Not our table: what is read must be the checkpoint's.
    table = torch.tensor(bins.BINS.T / 110).reshape(2, 313, 1, 1) + 0.01
    network.model_out.weight.data.copy_(table)
    return network.eval()


@torch.no_grad()
def test_eccv16_is_the_published_network(published: Published, tmp_path: Path) -> None:
    path = tmp_path / "colorization_release_v2.pth"
    torch.save(published.state_dict(), path)
    try:
        loaded = load_published(path)
    finally:
        path.unlink()  # 129 MB
    network, centers = loaded.network, torch.from_numpy(loaded.centers)
    assert isinstance(network, ECCV16) and not network.training
    assert (loaded.arch, loaded.rebalanced) == ("eccv16", True)
    np.testing.assert_allclose(loaded.centers, bins.BINS + 1.1, atol=1e-4)
    generator = torch.Generator().manual_seed(1)
    for height, width in ((32, 32), (40, 64)):
        L = 100 * torch.rand(2, 1, height, width, generator=generator)
        expected = published.logits(L)
        logits = network((L - network.L_center) / network.L_scale)
        assert logits.shape == (2, 313, height // 4, width // 4)
        assert 0.5 < float(expected.std()) < 50
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
        # With temperature 1 and the checkpoint's own table, the colors are the released ones too.
        ab = torch.einsum("bqhw,qc->bchw", torch.softmax(logits, dim=1), centers)
        torch.testing.assert_close(ab, published.ab(L), rtol=0, atol=1e-2)


def test_eccv16_has_the_published_size() -> None:
    network = ECCV16()
    assert sum(p.numel() for p in network.parameters()) == 32_235_385  # 32.2 M
    assert flops(network) / 1e9 == pytest.approx(83.5, abs=0.1)
    assert flops(network, 128, 256) == pytest.approx(flops(network) / 2, rel=1e-6)


def layout() -> dict[str, Tensor]:
    """A checkpoint in the released layout that takes no room: each tensor is one number."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in Published().state_dict().items()}
    state = {name: torch.tensor(0.01).expand(shape) for name, shape in shapes.items()}
    for name in state:
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
    return state


def refused(tmp_path: Path, state: Any, message: str) -> None:
    path = tmp_path / "some.pth"
    torch.save(state, path)
    with pytest.raises(ModelError, match=message) as caught:
        load_published(str(path))
    assert str(caught.value).startswith(str(path))


def test_a_checkpoint_in_the_released_layout_is_taken(tmp_path: Path) -> None:
    state = layout()
    path = tmp_path / "some.pth"
    torch.save(state, path)
    loaded = load_published(path)
    assert loaded.centers.shape == (313, 2) and np.all(loaded.centers == np.float32(110 * 0.01))
    assert all(bool((p == 0.01).all()) for p in loaded.network.parameters())
    # A file older than BatchNorm's counters is as good.
    older = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(older, path)
    load_published(str(path))


def test_a_checkpoint_must_have_each_tensor_in_its_shape_and_no_other(tmp_path: Path) -> None:
    state = layout()

    def without(name: str) -> dict[str, Tensor]:
        return {k: v for k, v in state.items() if k != name}

    refused(
        tmp_path, without("model3.2.weight"), "not the published network eccv16.*model3.2.weight"
    )
    refused(tmp_path, without("model5.6.running_var"), "not the published.*model5.6.running_var")
    refused(tmp_path, without("model_out.weight"), "neither model_out.weight nor model_out.0")
    extra = state | {"model9.0.weight": torch.zeros(1)}
    refused(tmp_path, extra, "not the published network.*model9.0.weight")
    wide = state | {"model1.0.weight": torch.zeros(64, 3, 3, 3)}
    refused(tmp_path, wide, "not the published network.*model1.0.weight")
    flat = state | {"model_out.weight": torch.zeros(313, 2, 1, 1)}
    refused(tmp_path, flat, "model_out.weight must be")
    more = state | {"model_out.weight": torch.zeros(2, 313, 3, 3)}
    refused(tmp_path, more, "model_out.weight must be")
    refused(tmp_path, state | {"model_out.weight": "table"}, "model_out.weight is no tensor")
    refused(tmp_path, [1, 2], "holds no tensors with names")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not a zip", bytes(range(256)) * 8])
def test_a_garbage_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "garbage.pth"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"garbage\.pth: cannot be read as a PyTorch checkpoint"):
        load_published(str(path))


def test_missing_checkpoint_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.pth: no such file"):
        load_published(str(tmp_path / "nowhere.pth"))
    with pytest.raises(ModelError, match="cannot be read"):
        load_published(str(tmp_path))


class _Bomb:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, legacy: bool) -> None:
    trace = tmp_path / "was-here"
    path = tmp_path / "bomb.pth"
    state = {"model_out.weight": torch.zeros(2, 313, 1, 1), "bomb": _Bomb(str(trace))}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match=r"bomb\.pth: cannot be read"):
        load_published(str(path))
    assert not trace.exists()
    # The bomb is live: a loader that trusts the file would run it.
    torch.load(path, weights_only=False)
    assert trace.exists()
