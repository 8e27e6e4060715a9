"""ICC profiles: samples converted to sRGB, without a loss by rounding.

Curves and a matrix are evaluated here: see `icc`. All other profiles, and CMYK, go through
LittleCMS in libvips. Samples of 8 bits become 16 bits if they are converted. If they were rounded
to 8 bits, and their colors once more, L would change by more than the half step that one rounding
costs.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.color.icc import CODES, RGB_FROM_PCS_RATIOS, Shaper, read_shaper
from photochrom.color.lab import (
    L_to_luminance,
    fit_linear,
    from_unit,
    lab_to_ratios,
    linear_to_srgb,
)
from photochrom.photo.samples import requantize
from photochrom.photo.vips import to_numpy, to_vips

__all__ = ["srgb_dtype", "srgb_profile", "to_srgb"]

Convert = Callable[[NDArray[Any]], NDArray[Any]]
"""Samples (H, W, C) to sRGB: float32 of float32, else uint16."""

_INTERPRETATIONS = {  # (ICC color space, 16 bit?) -> name in libvips
    ("GRAY", False): "b-w",
    ("GRAY", True): "grey16",
    ("RGB ", False): "srgb",
    ("RGB ", True): "rgb16",
    ("CMYK", False): "cmyk",
    ("CMYK", True): "cmyk",
}
_LAB = ("Lab ", "ICC ", "L   ")
_PART = 1 << 15  # pixels at a time: their linear light stays in the cache


def to_srgb(color: NDArray[Any], space: str, profile: bytes | None) -> NDArray[Any]:
    """(H, W, C) without alpha, in sRGB: gray stays one channel, CMYK becomes three.

    L*a*b* needs no profile: it is that of D50, as in ICC profiles.

    Colors outside sRGB lose chroma and keep their lightness. As in viewers, a profile is ignored if
    it is damaged or its color space is not that of the pixels. The values then count as sRGB, and
    those of CMYK as in the press profile that comes with libvips.

    Returns
    -------
    ndarray of `srgb_dtype`; `color` itself if there is nothing to convert
    """
    if space in _LAB:
        return _of_lab(color, space)
    if space == "CMYK":
        if profile is not None and _fits(profile, space):
            with contextlib.suppress(pyvips.Error):
                return _transform(color, space, profile)
        return _transform(color, space, None)
    convert = None if profile is None else _conversion(profile, space)
    return color if convert is None else convert(color)


def srgb_dtype(dtype: np.dtype[Any], space: str, profile: bytes | None) -> np.dtype[Any]:
    """The dtype to which `to_srgb` converts samples of a dtype."""
    same = space not in ("CMYK", *_LAB) and (profile is None or _conversion(profile, space) is None)
    return np.dtype(np.uint16) if dtype == np.uint8 and not same else dtype


def _fits(profile: bytes, space: str) -> bool:
    return profile[36:40] == b"acsp" and profile[16:20] == space.encode()


@functools.lru_cache(maxsize=16)  # most photos of a folder share one profile
def _conversion(profile: bytes, space: str) -> Convert | None:
    """Converts samples to sRGB; None if they are sRGB, or the profile is of no use."""
    if not _fits(profile, space):
        return None
    shaper = read_shaper(profile, space)
    if space == "GRAY":
        encoded = _gray_curve(profile, shaper)
        return None if encoded is None else functools.partial(_gray, encoded)
    if shaper is not None:
        if _has_srgb_shape(shaper):
            return None
        convert = functools.partial(_shaped, _Tables(shaper))
    else:
        convert = functools.partial(_transformed, profile)
    return None if _is_srgb(convert) else convert


def _has_srgb_shape(shaper: Shaper) -> bool:
    """Whether curves and matrix are those of sRGB, but for the rounding of their maker.

    In dark parts of saturated colors, that rounding alone can move a sample by some steps.
    """
    steps = np.arange(CODES) / (CODES - 1)
    return (
        shaper.matrix is not None
        and bool(np.abs(shaper.matrix - np.eye(3)).max() < _MATRIX_STEPS)
        and all(
            bool(np.abs(linear_to_srgb(np.clip(curve, 0, 1)) - steps).max() < _TABLE_STEPS)
            for curve in shaper.curves
        )
    )


def _is_srgb(convert: Convert) -> bool:
    """Whether a conversion starts from sRGB, or fails: then it would only cost time.

    The sRGB profiles of different makers differ by up to one 8-bit step, other spaces by more.
    """
    steps = np.linspace(0, 65535, 33).astype(np.uint16)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(33, -1, 3)
    try:
        moved = convert(grid).astype(np.int32) - grid
    except pyvips.Error:
        return True
    return bool(np.abs(moved).max() < 2 * 257)


_MATRIX_STEPS = 1e-3
"""By which the matrices of sRGB profiles differ from one another."""

# --- gray -----------------------------------------------------------------------------------------

_TABLE_STEPS = 8 / 65535
"""Error of the sRGB curve if a profile stores it as a table of 16 bits: in its steepest part,
rounding by half a step becomes six and a half steps."""


def _gray_curve(profile: bytes, shaper: Shaper | None) -> NDArray[np.float64] | None:
    """The sRGB value of each gray value k / 65535; None if they are equal, or it is of no use."""
    steps = np.arange(CODES)
    if shaper is not None:
        encoded = linear_to_srgb(np.clip(shaper.curves[0], 0, 1)).astype(np.float64)
    else:
        try:
            table = _transform(steps.astype(np.uint16).reshape(1, -1, 1), "GRAY", profile)
        except pyvips.Error:
            return None
        encoded = table[0, :, 1] / 65535  # R = G = B, for both white points are neutral
    return None if np.abs(encoded - steps / 65535).max() < _TABLE_STEPS else encoded


def _gray(encoded: NDArray[np.float64], gray: NDArray[Any]) -> NDArray[Any]:
    if gray.dtype == np.float32:
        return _between(encoded.astype(np.float32), gray)
    table = from_unit(encoded.astype(np.float32), np.uint16)
    return np.take(table if gray.dtype == np.uint16 else table[::257], gray)


def _between(table: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values in 0..1, looked up in a table of `CODES` entries and interpolated between these."""
    place = values * np.float32(CODES - 1)
    below = np.minimum(place.astype(np.int32), CODES - 2)
    place -= below.astype(np.float32)
    low, high = np.take(table, below), np.take(table, below + 1)
    found: NDArray[np.float32] = low + place * (high - low)
    return found


# --- curves and a matrix --------------------------------------------------------------------------


class _Tables:
    """A `Shaper` of RGB, prepared for pixels."""

    def __init__(self, shaper: Shaper) -> None:
        assert shaper.matrix is not None
        red, green, blue = (curve.astype(np.float32) for curve in shaper.curves)
        one = np.array_equal(red, green) and np.array_equal(green, blue)
        self.curves = (red,) if one else (red, green, blue)
        self.matrix = shaper.matrix

    def linear(self, rgb: NDArray[Any]) -> NDArray[np.float32]:
        """Linear light of pixels (n, 3)."""
        if len(self.curves) == 1:
            return self._light(self.curves[0], rgb)
        return np.stack(
            [self._light(curve, rgb[:, c]) for c, curve in enumerate(self.curves)], axis=1
        )

    def _light(self, curve: NDArray[np.float32], values: NDArray[Any]) -> NDArray[np.float32]:
        if values.dtype == np.float32:
            return _between(curve, values)
        return np.take(curve if values.dtype == np.uint16 else curve[::257], values)


def _shaped(tables: _Tables, rgb: NDArray[Any]) -> NDArray[Any]:
    out = np.empty(rgb.shape, np.float32 if rgb.dtype == np.float32 else np.uint16)
    pixels, made = rgb.reshape(-1, 3), out.reshape(-1, 3)
    for top in range(0, len(pixels), _PART):
        part = slice(top, top + _PART)
        made[part] = fit_linear(tables.linear(pixels[part]), tables.matrix, out.dtype)
    return out


# --- L*a*b* ---------------------------------------------------------------------------------------


def _of_lab(color: NDArray[Any], space: str) -> NDArray[np.uint16]:
    """L*a*b* as TIFF 6.0, section 23, encodes it, or as ICC.1:2001-04, 6.3.4.2, does."""
    signed = np.dtype(f"i{color.itemsize}")
    unit = 256 if color.itemsize == 2 else 1  # steps of a and b
    white = 0xFF00 if space == "ICC " and unit > 1 else np.iinfo(color.dtype).max
    if space == "L   ":
        luminance = L_to_luminance(color.astype(np.float32) * np.float32(100 / white))
        return from_unit(linear_to_srgb(luminance), np.uint16)
    out = np.empty(color.shape, np.uint16)
    pixels, made = color.reshape(-1, 3), out.reshape(-1, 3)
    for top in range(0, len(pixels), _PART):
        part = pixels[top : top + _PART]
        lab = part.astype(np.float32) * np.float32(100 / white)
        if space == "ICC ":
            lab[:, 1:] = part[:, 1:] / np.float32(unit) - 128
        else:
            lab[:, 1:] = part[:, 1:].view(signed) / np.float32(unit)
        made[top : top + _PART] = fit_linear(lab_to_ratios(lab), RGB_FROM_PCS_RATIOS, out.dtype)
    return out


# --- all others -----------------------------------------------------------------------------------


def _transformed(profile: bytes, rgb: NDArray[Any]) -> NDArray[Any]:
    if rgb.dtype == np.float32:  # LittleCMS in libvips takes integers only
        return requantize(_transform(requantize(rgb, np.uint16), "RGB ", profile), np.float32)
    return _transform(rgb, "RGB ", profile)


def _transform(color: NDArray[Any], space: str, profile: bytes | None) -> NDArray[np.uint16]:
    deep = color.dtype == np.uint16
    image = to_vips(color).copy(interpretation=_INTERPRETATIONS[space, deep])
    # Black point compensation: without it the darkest ink becomes a washed-out dark gray.
    options = {"intent": "relative", "black_point_compensation": True}
    if profile is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    if profile is not None and space != "CMYK" and (deep or space == "GRAY"):
        # The direct way looks up values in a coarse grid unless they are 8-bit RGB, with errors of
        # ten levels of 255 in saturated or dark colors. This way computes, at a fifth of the speed.
        light = image.icc_import(embedded=True, pcs="xyz", **options)
        return to_numpy(light.icc_export(output_profile="srgb", pcs="xyz", depth=16, **options))
    if space == "CMYK":
        options["input_profile"] = "cmyk"  # where none is embedded
    return to_numpy(image.icc_transform("srgb", embedded=profile is not None, depth=16, **options))


@functools.lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """The ICC profile of sRGB, for results."""
    return bytes(pyvips.Image.profile_load("srgb"))
