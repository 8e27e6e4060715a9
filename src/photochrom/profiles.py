"""ICC profiles: samples brought to sRGB, at their own depth."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.samples import requantize, to_numpy, to_vips

__all__ = ["srgb_profile", "to_srgb"]

_INTERPRETATIONS = {  # (color space as ICC spells it, 16 bit?) -> as libvips spells it
    ("GRAY", False): "b-w",
    ("GRAY", True): "grey16",
    ("RGB ", False): "srgb",
    ("RGB ", True): "rgb16",
    ("CMYK", False): "cmyk",
    ("CMYK", True): "cmyk",
}


def to_srgb(color: NDArray[Any], space: str, profile: bytes | None) -> NDArray[Any]:
    """(H, W, C) without alpha, in sRGB: gray stays one channel, CMYK becomes three.

    A damaged profile, or one of another color space than the pixels, is passed over, as viewers
    do: the values then count as sRGB (CMYK: as the press profile that libvips brings).
    """
    usable = profile is not None and profile[36:40] == b"acsp" and profile[16:20] == space.encode()
    if space == "CMYK":
        if usable:
            with contextlib.suppress(pyvips.Error):
                return _transform(color, space, profile)
        return _transform(color, space, None)
    if not usable or profile is None or (space == "RGB " and _is_srgb(profile)):
        return color
    if color.dtype == np.float32:  # LittleCMS in libvips takes integers only
        deep = requantize(color, np.uint16)
        converted = to_srgb(deep, space, profile)
        return color if converted is deep else requantize(converted, np.float32)
    if space == "RGB ":
        return _transform(color, space, profile)
    table = _gray_table(profile, color.dtype == np.uint16)
    return color if table is None else np.take(table, color)


def _transform(color: NDArray[Any], space: str, profile: bytes | None) -> NDArray[Any]:
    deep = color.dtype == np.uint16
    image = to_vips(color).copy(interpretation=_INTERPRETATIONS[space, deep])
    # Black point compensation: without it the darkest ink becomes a washed-out dark gray.
    options = {"intent": "relative", "black_point_compensation": True}
    depth = 16 if deep else 8
    if profile is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    if profile is not None and space != "CMYK" and (deep or space == "GRAY"):
        # The direct way looks values up in a coarse grid unless they are 8-bit RGB, and errs by
        # ten levels of 255 in saturated or dark colors. This one computes, at a fifth of its speed.
        light = image.icc_import(embedded=True, pcs="xyz", **options)
        return to_numpy(light.icc_export(output_profile="srgb", pcs="xyz", depth=depth, **options))
    if space == "CMYK":
        options["input_profile"] = "cmyk"  # where none is embedded
    return to_numpy(
        image.icc_transform("srgb", embedded=profile is not None, depth=depth, **options)
    )


@functools.lru_cache(maxsize=16)  # the photos of one folder mostly share one profile
def _is_srgb(profile: bytes) -> bool:
    """Whether a profile is one of sRGB or of no use: to convert would only cost time.

    The sRGB profiles of different makers differ by up to one 8-bit step, other spaces by more.
    """
    steps = np.linspace(0, 65535, 33).astype(np.uint16)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(33, -1, 3)
    try:
        moved = _transform(grid, "RGB ", profile).astype(np.int32) - grid
    except pyvips.Error:
        return True
    return bool(np.abs(moved).max() < 2 * 257)


@functools.lru_cache(maxsize=16)
def _gray_table(profile: bytes, deep: bool) -> NDArray[Any] | None:
    """The sRGB value of each gray value; None if it is the same or the profile is of no use."""
    steps = np.arange(65536 if deep else 256).astype(np.uint16 if deep else np.uint8)
    try:
        # R = G = B, for both white points are neutral.
        table = _transform(steps.reshape(1, -1, 1), "GRAY", profile)[0, :, 1]
    except pyvips.Error:
        return None
    moved = int(np.abs(table.astype(np.int32) - steps.astype(np.int32)).max())
    return table if moved >= (128 if deep else 1) else None


@functools.lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """The ICC profile of sRGB that results carry."""
    return bytes(pyvips.Image.profile_load("srgb"))
