"""The user-guided network against the published architecture, written down a second time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from photochrom import Colorizer
from photochrom.cli.main import main
from photochrom.color import bins
from photochrom.color.lab import rgb_to_lab
from photochrom.errors import ConfigError, ModelError
from photochrom.models import Model
from photochrom.train.published import ImportOptions, import_published, load_published
from photochrom.train.siggraph17 import LATTICE, SIGGRAPH17

Picture = NDArray[np.uint8]

# The released checkpoint: each convolution's name, outputs, inputs and side, and each BatchNorm's.
CONVOLUTIONS = {
    "model1.0": (64, 4, 3), "model1.2": (64, 64, 3),
    "model2.0": (128, 64, 3), "model2.2": (128, 128, 3),
    "model3.0": (256, 128, 3), "model3.2": (256, 256, 3), "model3.4": (256, 256, 3),
    "model4.0": (512, 256, 3), "model4.2": (512, 512, 3), "model4.4": (512, 512, 3),
    "model5.0": (512, 512, 3), "model5.2": (512, 512, 3), "model5.4": (512, 512, 3),
    "model6.0": (512, 512, 3), "model6.2": (512, 512, 3), "model6.4": (512, 512, 3),
    "model7.0": (512, 512, 3), "model7.2": (512, 512, 3), "model7.4": (512, 512, 3),
    "model3short8.0": (256, 256, 3), "model8.1": (256, 256, 3), "model8.3": (256, 256, 3),
    "model2short9.0": (128, 128, 3), "model9.1": (128, 128, 3),
    "model1short10.0": (128, 64, 3), "model10.1": (128, 128, 3),
    "model_class.0": (529, 256, 1), "model_out.0": (2, 128, 1),
}  # fmt: skip
TRANSPOSED = {"model8up.0": (512, 256), "model9up.0": (256, 128), "model10up.0": (128, 128)}
NORMS = {
    "model1.4": 64, "model2.4": 128, "model3.6": 256, "model4.6": 512, "model5.6": 512,
    "model6.6": 512, "model7.6": 512, "model8.5": 256, "model9.3": 128,
}  # fmt: skip


def checkpoint() -> dict[str, Tensor]:
    """Random weights in the released layout, under which signals keep a natural size."""
    make = torch.Generator().manual_seed(0)
    state = {}
    for name, (outputs, inputs, side) in CONVOLUTIONS.items():
        scale = math.sqrt(2 / (inputs * side * side))
        state[f"{name}.weight"] = scale * torch.randn(outputs, inputs, side, side, generator=make)
        state[f"{name}.bias"] = 0.1 * torch.randn(outputs, generator=make)
    for name, (inputs, outputs) in TRANSPOSED.items():
        scale = math.sqrt(2 / (inputs * 4))
        state[f"{name}.weight"] = scale * torch.randn(inputs, outputs, 4, 4, generator=make)
        state[f"{name}.bias"] = 0.1 * torch.randn(outputs, generator=make)
    for name, channels in NORMS.items():
        state[f"{name}.weight"] = 1 + torch.rand(channels, generator=make)
        state[f"{name}.bias"] = 0.2 * torch.randn(channels, generator=make)
        state[f"{name}.running_mean"] = torch.rand(channels, generator=make)
        state[f"{name}.running_var"] = 0.5 + 1.5 * torch.rand(channels, generator=make)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)
    state["model_out.0.weight"] *= 0.03  # colors, not only -110 and 110
    return state


class Published:
    """The published forward pass, layer by layer: L 0..100, ab of hints, mask 0 or 1."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def conv(self, x: Tensor, name: str, dilation: int = 1) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        margin = dilation * (weight.shape[-1] // 2)
        return F.conv2d(x, weight, bias, padding=margin, dilation=dilation)

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            self.state[f"{name}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias

    def up(self, x: Tensor, name: str) -> Tensor:
        """A transposed convolution as a plain one of the input with zeros between its pixels."""
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        spread = torch.zeros(*x.shape[:2], 2 * x.shape[2] - 1, 2 * x.shape[3] - 1)
        spread[:, :, ::2, ::2] = x
        return F.conv2d(F.pad(spread, (2, 2, 2, 2)), weight.flip(2, 3).transpose(0, 1), bias)

    def stage(self, x: Tensor, stage: int, layers: tuple[int, ...], dilation: int = 1) -> Tensor:
        for layer in layers:
            x = F.relu(self.conv(x, f"model{stage}.{layer}", dilation))
        return self.norm(x, f"model{stage}.{layers[-1] + 2}")

    def __call__(self, L: Tensor, ab: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """ab (B, 2, H, W) and logits (B, 529, H/4, W/4)."""
        x = torch.cat([(L - 50) / 100, ab / 110, mask], dim=1)
        one = self.stage(x, 1, (0, 2))
        two = self.stage(one[:, :, ::2, ::2], 2, (0, 2))
        three = self.stage(two[:, :, ::2, ::2], 3, (0, 2, 4))
        x = self.stage(three[:, :, ::2, ::2], 4, (0, 2, 4))
        x = self.stage(x, 5, (0, 2, 4), dilation=2)
        x = self.stage(x, 6, (0, 2, 4), dilation=2)
        x = self.stage(x, 7, (0, 2, 4))
        x = F.relu(self.up(x, "model8up.0") + self.conv(three, "model3short8.0"))
        eight = self.stage(x, 8, (1, 3))
        x = F.relu(self.up(eight, "model9up.0") + self.conv(two, "model2short9.0"))
        nine = self.stage(x, 9, (1,))
        x = F.relu(self.up(nine, "model10up.0") + self.conv(one, "model1short10.0"))
        ten = F.leaky_relu(self.conv(x, "model10.1"), 0.2)
        return 110 * torch.tanh(self.conv(ten, "model_out.0")), self.conv(eight, "model_class.0")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return checkpoint()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, state: dict[str, Tensor]) -> Iterator[Path]:
    """The checkpoint as a file of 137 MB."""
    path = tmp_path_factory.mktemp("siggraph17") / "siggraph17-1234.pth"
    torch.save(state, path)
    yield path
    path.unlink()


def asked(height: int, width: int, hints: int) -> tuple[Tensor, Tensor, Tensor]:
    make = torch.Generator().manual_seed(height + hints)
    L = 100 * torch.rand(1, 1, height, width, generator=make)
    ab, mask = torch.zeros(1, 2, height, width), torch.zeros(1, 1, height, width)
    for n in range(hints):
        here = slice(5 * n, 5 * n + 3), slice(7 * n, 7 * n + 3)
        ab[0, :, *here] = torch.tensor([60.0 - 50 * n, -30.0 + 40 * n])[:, None, None]
        mask[0, 0, *here] = 1
    return L, ab, mask


@torch.no_grad()
def test_it_is_the_published_network(file: Path, state: dict[str, Tensor]) -> None:
    published = Published(state)
    colors, distribution = (load_published(file, h) for h in (None, "distribution"))
    assert isinstance(colors.network, SIGGRAPH17) and not colors.network.training
    assert (colors.arch, colors.rebalanced, colors.centers.shape) == ("siggraph17", False, (0, 2))
    np.testing.assert_array_equal(distribution.centers, LATTICE)
    for height, width, hints in ((32, 32, 0), (24, 40, 3)):
        L, ab, mask = asked(height, width, hints)
        expected, expected_logits = published(L, ab, mask)
        x = torch.cat([(L - 50) / 100, ab / 110, mask], dim=1)
        assert 10 < float(expected.abs().mean()) < 90 and float(expected_logits.std()) > 0.3
        torch.testing.assert_close(colors.network(x), expected / 110, rtol=0, atol=1e-4)
        logits = distribution.network(x)
        assert logits.shape == (1, 529, height // 4, width // 4)
        torch.testing.assert_close(logits, expected_logits, rtol=0, atol=1e-4)


def test_the_classes_are_the_grid_in_the_order_of_the_training_code() -> None:
    for a, b in ((-110, -110), (-110, 110), (0, 0), (30, -70), (110, 100)):
        assert LATTICE[23 * ((a + 110) // 10) + (b + 110) // 10].tolist() == [a, b]
    # The paper's 313 are among them, in the same order.
    within = [i for i, ab in enumerate(LATTICE.tolist()) if ab in bins.BINS.tolist()]
    np.testing.assert_array_equal(LATTICE[within], bins.BINS)


def test_each_tensor_must_be_there_in_its_shape_and_no_other(tmp_path: Path) -> None:
    small = {name: torch.tensor(0.01).expand(value.shape) for name, value in checkpoint().items()}
    path = tmp_path / "some.pth"

    def message(changed: dict[str, Tensor], head: str | None = None) -> str:
        torch.save(changed, path)
        with pytest.raises(ModelError) as caught:
            load_published(path, head)  # type: ignore[arg-type]
        return str(caught.value)

    def without(start: str) -> dict[str, Tensor]:
        return {name: value for name, value in small.items() if not name.startswith(start)}

    said = message(without("model3short8.0.bias"))
    assert "some.pth: is not the published network siggraph17" in said and "model3short8" in said
    assert "model11.0.weight" in message(small | {"model11.0.weight": torch.zeros(1)})
    assert "model1.0.weight" in message(small | {"model1.0.weight": torch.zeros(64, 3, 3, 3)})
    assert "model_class.0.weight" in message(without("model_class."), "distribution")
    assert "neither" in message(without("model_out."))
    # Copies for coloring alone have no classes, and files may be older than BatchNorm's counters.
    older = {k: v for k, v in without("model_class.").items() if "num_batches" not in k}
    torch.save(older, path)
    assert load_published(path).arch == "siggraph17"


def test_a_head_it_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="head 'hair': must be one of regression, distribution"):
        SIGGRAPH17("hair")  # type: ignore[arg-type]


@torch.no_grad()
def test_the_released_checkpoint_becomes_a_model_that_follows_hints(
    file: Path,
    state: dict[str, Tensor],
    tmp_path: Path,
    pictures: list[Picture],
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "siggraph17.onnx"
    assert main(["import", str(file), "-o", str(target)]) == 0
    said = capsys.readouterr().out
    assert "allowed with 32 bits" in said and "a regression: it has no probabilities" in said
    model = Model(target)
    info = model.info
    assert (info.arch, info.channels, info.multiple, info.stride) == ("siggraph17", 4, 8, 1)
    assert info.regression and info.hint_mask == (0, 1) and info.working_size == 256
    L, ab, mask = asked(40, 32, 2)
    expected, _ = Published(state)(L, ab, mask)
    found = model(torch.cat([(L - 50) / 100, ab / 110, mask], dim=1)[0].numpy())
    np.testing.assert_allclose(found, expected[0].numpy() / 110, rtol=0, atol=1e-4)
    # Through the whole product: the network's own answer without hints, and hints that count.
    colorizer = Colorizer(target, working_size=64, threads=1)
    gray = pictures[0].mean(axis=2).astype(np.uint8)
    plain = colorizer.predict(gray)
    assert plain.logits.shape[0] == 2 and min(plain.logits.shape[1:]) == 64
    hinted = colorizer.predict(gray, hints=[(20, 30, (200, 60, 40))])
    assert hinted.anchors is not None
    row, column = hinted.anchors.places[0].pixel(*hinted.logits.shape[1:])
    wanted = rgb_to_lab(np.array([200, 60, 40], np.uint8))[1:]
    assert np.abs(hinted.ab()[row, column] - wanted).max() < 8
    assert np.abs(hinted.ab() - plain.ab()).mean() > 1
    assert hinted.render().shape == (*gray.shape, 3)


@torch.no_grad()
def test_its_distribution_becomes_a_model_with_a_centered_mask(
    file: Path, state: dict[str, Tensor], tmp_path: Path, pictures: list[Picture]
) -> None:
    target = tmp_path / "d.onnx"
    options = ImportOptions(head="distribution", mask_center=0.5)
    compared, info = import_published(file, target, options=options)
    assert compared.bits == 32 and compared.max_logit <= 1e-4
    assert info.about_probabilities == "trained without class weights"
    model = Model(target)
    assert (model.info.stride, model.info.hint_mask) == (4, (-0.5, 0.5))
    np.testing.assert_array_equal(model.info.bins, LATTICE)
    L, ab, mask = asked(32, 40, 1)
    _, expected = Published(state)(L, ab, mask - 0.5)
    found = model(torch.cat([(L - 50) / 100, ab / 110, mask - 0.5], dim=1)[0].numpy())
    np.testing.assert_allclose(found, expected[0].numpy(), rtol=0, atol=1e-4)
    prediction = Colorizer(target, working_size=64, threads=1).predict(pictures[1])
    assert prediction.palette(10, 10) and prediction.uncertainty().max() <= np.log2(529)


def test_options_that_it_has_no_use_for_are_refused(file: Path, tmp_path: Path) -> None:
    prior = tmp_path / "prior_probs.npy"
    np.save(prior, np.full(313, 1 / 313))
    for options, message in (
        (ImportOptions(prior=str(prior)), "trained without class weights; leave the prior out"),
        (ImportOptions(bits=8), "weights of 8 bits: must be 32 or 16"),
        (ImportOptions(mask_center=math.nan), "mask center nan"),
    ):
        with pytest.raises(ConfigError, match=message):
            import_published(file, tmp_path / "a.onnx", options=options)
    assert [p.name for p in tmp_path.iterdir()] == ["prior_probs.npy"]
