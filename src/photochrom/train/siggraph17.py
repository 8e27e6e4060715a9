"""The user-guided network of the authors' next paper."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photochrom.arrays import Float32
from photochrom.color import bins
from photochrom.errors import ConfigError
from photochrom.train.eccv16 import conv_block

__all__ = ["Head", "LATTICE", "SIGGRAPH17"]

Head = Literal["regression", "distribution"]

_REACH = 110
LATTICE: Float32 = np.mgrid[
    -_REACH : _REACH + 1 : bins.GRID, -_REACH : _REACH + 1 : bins.GRID
].reshape(2, -1).T.astype(np.float32)  # fmt: skip
"""float32 (529, 2): the ab of each class, all 23 x 23 points of the grid, those included that no
color reaches; a ascending, then b ascending. Source: the released training code's numbering,
23 (a + 110) / 10 + (b + 110) / 10, which is also that of the Caffe release."""
LATTICE.setflags(write=False)


class SIGGRAPH17(nn.Module):
    """The local hints network of "Real-Time User-Guided Image Colorization".

    Input (B, 4, H, W), sides a multiple of 8: (L - 50) / 100; a / 110 and b / 110 of the hints, 0
    where there is none; the mask. Parameter names are those of the released PyTorch checkpoint,
    which holds both heads.

    Parameters
    ----------
    head : "regression" for ab / 110, (B, 2, H, W), in -1..1, the colors that the authors show; or
        "distribution" for logits (B, 529, H/4, W/4) over LATTICE, from which they suggest colors

    Raises
    ------
    ConfigError
        Another head.

    Notes
    -----
    The distribution was trained with an unweighted cross entropy, so its softmax is honest as it
    is. (The authors' program multiplies the logits by 0.2 before it suggests colors, to have more
    different ones.)

    Source: R. Zhang, J.-Y. Zhu, P. Isola, X. Geng, A. S. Lin, T. Yu, A. A. Efros, "Real-Time
    User-Guided Image Colorization with Learned Deep Priors", SIGGRAPH 2017, section 3.
    """

    in_channels = 4
    multiple = 8
    L_center, L_scale = 50.0, 100.0

    def __init__(self, head: Head = "regression") -> None:
        super().__init__()
        if head not in get_args(Head):
            raise ConfigError(f"head {head!r}: must be one of {', '.join(get_args(Head))}")
        self.head = head
        self.model1 = conv_block([4, 64, 64])
        self.model2 = conv_block([64, 128, 128])
        self.model3 = conv_block([128, 256, 256, 256])
        self.model4 = conv_block([256, 512, 512, 512])
        self.model5 = conv_block([512, 512, 512, 512], dilation=2)
        self.model6 = conv_block([512, 512, 512, 512], dilation=2)
        self.model7 = conv_block([512, 512, 512, 512])
        self.model8up = _twice(512, 256)
        self.model3short8 = _shortcut(256, 256)
        self.model8 = nn.Sequential(nn.ReLU(), *conv_block([256, 256, 256]))
        self.model9up = _twice(256, 128)
        self.model2short9 = _shortcut(128, 128)
        self.model9 = nn.Sequential(nn.ReLU(), *conv_block([128, 128]))
        self.model10up = _twice(128, 128)
        self.model1short10 = _shortcut(64, 128)
        self.model10 = nn.Sequential(nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1))
        self.model_class = nn.Sequential(nn.Conv2d(256, len(LATTICE), 1))
        self.model_out = nn.Sequential(nn.Conv2d(128, 2, 1))

    @property
    def stride(self) -> int:
        """Pixels of the input along the side of an output."""
        return 1 if self.head == "regression" else 4

    def forward(self, x: Tensor) -> Tensor:
        whole = self.model1(x)
        half = self.model2(_every_other(whole))
        quarter = self.model3(_every_other(half))
        deep = self.model4(_every_other(quarter))
        for block in (self.model5, self.model6, self.model7):
            deep = block(deep)
        deep = self.model8(self.model8up(deep) + self.model3short8(quarter))
        if self.head == "distribution":
            logits: Tensor = self.model_class(deep)
            return logits
        deep = self.model9(self.model9up(deep) + self.model2short9(half))
        deep = self.model10(self.model10up(deep) + self.model1short10(whole))
        return torch.tanh(self.model_out(F.leaky_relu(deep, 0.2)))


def _twice(before: int, after: int) -> nn.Sequential:
    """To twice the resolution."""
    return nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))


def _shortcut(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1))


def _every_other(x: Tensor) -> Tensor:
    """Every other row and column: the published network drops the rest as well."""
    return x[:, :, ::2, ::2]
