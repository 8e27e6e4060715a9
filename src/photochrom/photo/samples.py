"""Samples: number formats and alpha."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.vips import as_text, strict_value

__all__ = [
    "CHANNELS_OF",
    "GRAY_SPACES",
    "check_unit_range",
    "color_space",
    "requantize",
    "split_alpha",
    "to_uint8",
    "turned",
    "with_alpha",
]

CHANNELS_OF = {"GRAY": 1, "RGB ": 3, "CMYK": 4, "Lab ": 3, "ICC ": 3, "L   ": 1}
"""Channels of a color space besides alpha. The spaces have their ICC names, but L*a*b* has three:
as in TIFF ("Lab "), as in ICC profiles ("ICC "), and L* alone ("L   ")."""
GRAY_SPACES = ("GRAY", "L   ")
# libvips caches the results of recent operations. Here, none is ever needed again: the cache would
# only take memory, and what it has under the name of a file goes stale.
pyvips.cache_set_max(0)
if strict_value is not None:
    for _name, _module in list(sys.modules.items()):  # most have it under a name of their own
        if _name.partition(".")[0] == "pyvips" and vars(_module).get("_to_string") is strict_value:
            vars(_module)["_to_string"] = as_text


def check_unit_range(array: NDArray[Any], name: str) -> None:
    """Raise PhotoError if floats lie beyond 0..1."""
    low, high = float(array.min()), float(array.max())  # NaN anywhere makes both NaN
    if low >= 0 and high <= 1:
        return
    if np.isnan(low):
        problem, remedy = "holds NaN", "replace them, for example with numpy.nan_to_num"
    else:
        problem = f"holds floating-point values from {low:g} to {high:g}, which must be from 0 to 1"
        remedy = "scale or clip them"
    raise PhotoError(problem, remedy, name=name)


def color_space(samples: NDArray[Any]) -> str:
    """The color space of samples other than CMYK, by its ICC name."""
    return "GRAY" if samples.shape[2] <= 2 else "RGB "


def split_alpha(samples: NDArray[Any], space: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """(H, W, C) into color (H, W, 1, 3 or 4) and, if there is one more channel, alpha (H, W)."""
    colors = CHANNELS_OF[space]
    alpha = np.ascontiguousarray(samples[..., colors]) if samples.shape[2] > colors else None
    return np.ascontiguousarray(samples[..., :colors]), alpha


def turned(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Samples (H, W, C) turned by an orientation, 1..8 as in EXIF."""
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1] if orientation < 6 else samples[::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1] if orientation < 7 else samples[:, ::-1]
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    return np.ascontiguousarray(samples)


def with_alpha(rgb: NDArray[Any], alpha: NDArray[Any] | None) -> NDArray[Any]:
    """(H, W, 3), or (H, W, 4) with alpha (H, W)."""
    return rgb if alpha is None else np.concatenate([rgb, alpha[..., np.newaxis]], axis=2)


def requantize(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """The same values in another dtype of the three, rounded to nearest."""
    if values.dtype == dtype:
        return values
    result: NDArray[Any]
    if values.dtype == np.uint16 and dtype == np.uint8:
        # v / 257, rounded. Dropping the low byte, as libvips does, darkens by half a step.
        table = ((np.arange(65536) + 128) // 257).astype(np.uint8)
        result = np.take(table, values)
    elif values.dtype == np.uint8 and dtype == np.uint16:
        result = values.astype(np.uint16) * np.uint16(257)
    elif values.dtype == np.float32:
        scaled = np.clip(values, 0, 1) * np.float32(np.iinfo(dtype).max)
        result = np.rint(scaled, out=scaled).astype(dtype)
    else:
        result = values / np.float32(np.iinfo(values.dtype).max)
    return result


def to_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels of a :class:`Photo` in 8 bits, rounded to nearest."""
    return requantize(pixels, np.uint8)
