"""Torch twins of `photochrom.color.lab` and `photochrom.color.bins`, for work on the GPU.

Each function equals its NumPy original (tested); formulas and sources stand there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from photochrom.color import bins
from photochrom.color.lab import AB_MAX, GRAY_AB, WHITE, XYZ_FROM_RGB
from photochrom.errors import ConfigError

__all__ = ["L_to_gray", "annealed_mean", "has_color", "rgb_to_lab", "soft_encode"]

_RGB_TO_XYZ = torch.tensor(XYZ_FROM_RGB / WHITE[:, None], dtype=torch.float32)
_DELTA = 6.0 / 29.0


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """sRGB, uint8 or float in [0, 1], (B, 3, H, W), to float32 L*a*b* (B, 3, H, W)."""
    v = rgb.float() / 255 if rgb.dtype == torch.uint8 else rgb.float()
    # Gray stays exactly gray: by differences from G, as in NumPy, and one channel at a time. Torch
    # rounds a power differently in the last, incomplete vector of a tensor, so the same level may
    # differ by a bit between two places of one tensor, but not between one place of three alike.
    r, g, b = (_decode(v[:, c]) for c in range(3))
    m = _RGB_TO_XYZ.to(v.device)
    fx, fy, fz = (_f(g + m[row, 0] * (r - g) + m[row, 2] * (b - g)) for row in range(3))
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=1)


def _decode(v: Tensor) -> Tensor:
    return torch.where(v <= 0.04045, v / 12.92, ((v.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def _f(t: Tensor) -> Tensor:
    return torch.where(
        t > _DELTA**3, t.clamp_min(_DELTA**3) ** (1 / 3), t / (3 * _DELTA**2) + 4 / 29
    )


def L_to_gray(L: Tensor) -> Tensor:
    """L in 0..100 to the sRGB-encoded gray level in [0, 1], same shape."""
    f = (L + 16) / 116
    y = torch.where(f > _DELTA, f**3, 3 * _DELTA**2 * (f - 4 / 29)).clamp(0, 1)
    return torch.where(
        y <= 0.0031308, 12.92 * y, 1.055 * y.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    )


def soft_encode(
    ab: Tensor, k: int = bins.NEIGHBORS, sigma: float = bins.SIGMA
) -> tuple[Tensor, Tensor]:
    """Sparse soft-encoded targets of ab (B, 2, H, W), from the table over cells of side 1.

    Returns
    -------
    indices : int64 (B, H, W, k), nearest first
    weights : float32 (B, H, W, k)
    """
    indices, weights = _tables(k, sigma, ab.device)
    top = int(AB_MAX)
    whole = ab.floor().clamp(-top, top).long() + top
    row = whole[:, 0] * (2 * top + 1) + whole[:, 1]
    return indices[row], weights[row]


def has_color(ab: Tensor) -> Tensor:
    """Which photos of ab (B, 2, H, W) have color of their own, an |a| or |b| above 5: bool (B,)."""
    colored: Tensor = ab.abs().amax(dim=(1, 2, 3)) > GRAY_AB
    return colored


_cache: dict[tuple[int, float, torch.device], tuple[Tensor, Tensor]] = {}


def _tables(k: int, sigma: float, device: torch.device) -> tuple[Tensor, Tensor]:
    key = (k, sigma, device)
    if key not in _cache:
        indices, weights = bins.soft_table(k, sigma)
        _cache[key] = (
            torch.tensor(indices, dtype=torch.int64, device=device),
            torch.tensor(weights, device=device),
        )
    return _cache[key]


def annealed_mean(logits: Tensor, temperature: float = bins.TEMPERATURE) -> Tensor:
    """ab (B, 2, H, W) of logits (B, 313, H, W)."""
    if not temperature >= 0:
        raise ConfigError(f"temperature = {temperature}: must not be negative")
    centers = torch.tensor(bins.BINS, device=logits.device)
    if temperature < 1e-4:
        # Equal tops share, as in NumPy: logits of 16 bits tie often.
        hit = (logits == logits.amax(dim=1, keepdim=True)).float()
        p = hit / hit.sum(dim=1, keepdim=True)
    else:
        p = torch.softmax(logits.float() / temperature, dim=1)
    return torch.einsum("bqhw,qc->bchw", p, centers)
