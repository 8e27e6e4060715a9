"""The network of the paper."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from photochrom.color import bins
from photochrom.errors import ModelError
from photochrom.train.config import AB_SCALE

__all__ = ["ECCV16", "load_published"]


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
