"""The network of the paper."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from photochrom.color import bins

__all__ = ["ECCV16", "conv_block"]


def conv_block(channels: list[int], *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3 x 3 convolutions with ReLU, the last with the stride, and a BatchNorm at the end."""
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        last = i == len(channels) - 2
        layers += [
            nn.Conv2d(before, after, 3, stride if last else 1, padding=dilation, dilation=dilation),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.BatchNorm2d(channels[-1]))


class ECCV16(nn.Module):
    """The network of "Colorful Image Colorization", released model v2.

    Input (B, 1, H, W): (L - 50) / 100, sides a multiple of 8. Output logits (B, outputs, H/4, W/4).
    Parameter names are those of the released PyTorch checkpoint.
    """

    in_channels = 1
    multiple = 8
    L_center, L_scale = 50.0, 100.0
    stride = 4

    def __init__(self, outputs: int = bins.Q) -> None:
        super().__init__()
        self.outputs = outputs
        self.model1 = conv_block([1, 64, 64], stride=2)
        self.model2 = conv_block([64, 128, 128], stride=2)
        self.model3 = conv_block([128, 256, 256, 256], stride=2)
        self.model4 = conv_block([256, 512, 512, 512])
        self.model5 = conv_block([512, 512, 512, 512], dilation=2)
        self.model6 = conv_block([512, 512, 512, 512], dilation=2)
        self.model7 = conv_block([512, 512, 512, 512])
        self.model8 = nn.Sequential(
            nn.ConvTranspose2d(512, 256, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, outputs, 1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        for i in range(1, 9):
            x = getattr(self, f"model{i}")(x)
        return x
