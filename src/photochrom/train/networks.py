"""The networks, pure: tensors in, logits out. Of colors they know only the number of bins.

`ECCV16`      the published network, tensor for tensor
`Photochrom`  ours: an EfficientNet-Lite encoder, attention where resolution is low, a light decoder
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photochrom.color import bins
from photochrom.train.config import TrainConfig
from photochrom.train.eccv16 import ECCV16
from photochrom.train.encoder import EfficientNetLite
from photochrom.train.lab import L_to_gray

__all__ = ["Photochrom", "build", "flops", "output_layer"]


class _Norm(nn.Module):
    """LayerNorm over the channels of (B, C, H, W), each pixel alone: no size enters the result."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-5)
        return x.permute(0, 3, 1, 2)


class _Attention(nn.Module):
    """Transformer block over all positions; where they are is told by a depthwise convolution."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )
        nn.init.zeros_(self.position.weight)
        for last in (self.out, self.mlp[2]):
            assert isinstance(last, nn.Linear)
            nn.init.normal_(last.weight, std=0.02)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        b, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = (
            part.reshape(b, h * w, self.heads, c // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(tokens)).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v)
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(b, h * w, c))
        result: Tensor = tokens + self.mlp(self.norm2(tokens))
        return result.transpose(1, 2).reshape(b, c, h, w)


class _Residual(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _Norm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.normal_(self.conv2.weight, std=0.01)
        assert self.conv2.bias is not None
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(F.gelu(self.conv1(self.norm(x))))
        return x + y


class Photochrom(nn.Module):
    """Our network, made for two CPU cores.

    Input (B, 4, H, W), sides a multiple of 32: (L - 50) / 50; a / 110 and b / 110 of the hints, 0
    where there is none; 1 where there is a hint, else 0. Output logits (B, outputs, H/4, W/4).

    The hints never enter the encoder. At each resolution of the decoder they are pooled (mean
    color, presence) and added through a convolution that starts at zero, so that without hints the
    result is exactly that of the automatic network.
    """

    in_channels = 4
    multiple = 32
    L_center, L_scale = 50.0, 50.0
    stride = 4

    widths = (80, 96, 160, 256)
    """Decoder channels at 1/4, 1/8, 1/16, 1/32."""

    def __init__(self, encoder: str = "lite0", outputs: int = bins.Q) -> None:
        super().__init__()
        self.outputs = outputs
        self.encoder = EfficientNetLite(encoder)
        widths = self.widths
        self.skips = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, w, 1), _Norm(w))
            for c, w in zip(self.encoder.channels, widths, strict=True)
        )
        self.hints = nn.ModuleList(nn.Conv2d(3, w, 3, padding=1) for w in widths)
        self.down = nn.ModuleList(nn.Conv2d(deep, w, 1) for w, deep in itertools.pairwise(widths))
        self.stages = nn.ModuleList(
            [
                nn.Sequential(_Residual(widths[0])),
                nn.Sequential(_Residual(widths[1])),
                nn.Sequential(_Attention(widths[2], 5), _Residual(widths[2])),
                nn.Sequential(_Attention(widths[3], 8), _Attention(widths[3], 8)),
            ]
        )
        self.head = nn.Sequential(_Norm(widths[0]), nn.Conv2d(widths[0], outputs, 1))
        for conv in self.hints:
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            nn.init.zeros_(conv.weight)
            nn.init.zeros_(conv.bias)
        last = self.head[1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)

    @staticmethod
    def gray(x: Tensor) -> Tensor:
        """The encoder's input of the network's input."""
        return (255 * L_to_gray(50 + 50 * x[:, :1]) - 127) / 128

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(self.gray(x))
        # Sums of hint color and hint count, halved in resolution from level to level.
        sums = F.avg_pool2d(torch.cat([x[:, 1:3] * x[:, 3:4], x[:, 3:4]], dim=1), 4)
        hints = []
        for level in range(len(features)):
            if level:
                sums = F.avg_pool2d(sums, 2)
            count = sums[:, 2:3]
            mean = sums[:, :2] / count.clamp_min(1e-6)
            hints.append(torch.cat([mean, (count > 0).to(mean.dtype)], dim=1))
        deep: Tensor | None = None
        for level in reversed(range(len(features))):
            y = self.skips[level](features[level]) + self.hints[level](hints[level])
            if deep is not None:
                y = y + F.interpolate(
                    self.down[level](deep), scale_factor=2.0, mode="bilinear", align_corners=False
                )
            deep = self.stages[level](y)
        logits: Tensor = self.head(deep)
        return logits


def build(config: TrainConfig) -> ECCV16 | Photochrom:
    """The network of a run, freshly initialized; the loop loads pretrained encoder weights."""
    outputs = 2 if config.objective == "regression" else bins.Q
    if config.arch == "eccv16":
        return ECCV16(outputs)
    return Photochrom(config.encoder, outputs)


def output_layer(network: ECCV16 | Photochrom) -> nn.Conv2d:
    """The last convolution, whose channels are the logits."""
    last = (network.model8 if isinstance(network, ECCV16) else network.head)[-1]
    assert isinstance(last, nn.Conv2d)
    return last


def flops(network: nn.Module, height: int = 256, width: int = 256) -> int:
    """Operations (2 x multiply-adds) of one forward pass of one image, as PyTorch counts them."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    channels: Any = network.in_channels
    counter = FlopCounterMode(display=False)
    shapes = copy.deepcopy(network).to("meta").eval()  # no numbers: nothing is computed
    # The counter does not know the CPU's fused attention; the plain one is matrix products.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        shapes(torch.zeros(1, channels, height, width, device="meta"))
    return int(counter.get_total_flops())
