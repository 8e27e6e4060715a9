"""Our network: its budget, its hints, its sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from photochrom.train.config import ENCODERS, TrainConfig
from photochrom.train.eccv16 import ECCV16
from photochrom.train.lab import rgb_to_lab
from photochrom.train.networks import Photochrom, build, flops, output_layer


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
