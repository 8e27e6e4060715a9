"""sRGB and CIE L*a*b*, both ways, and color at constant luminance.

Each constant stands here once. The white point is not a constant: it is the row sum of the matrix
in use, so that a gray pixel has a = b = 0 *exactly* and comes back as the same gray.

Sources: IEC 61966-2-1 (sRGB); CIE 15:2004, section 8.2.1 (L*a*b*); ITU-R BT.709 (primaries).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photochrom.arrays import Float32
from photochrom.color import native
from photochrom.errors import PhotoError

__all__ = [
    "AB_MAX",
    "GRAY_AB",
    "L_to_luminance",
    "RGB_FROM_RATIOS",
    "WHITE",
    "XYZ_FROM_RGB",
    "compress_chroma",
    "fit_gamut",
    "fit_linear",
    "from_unit",
    "gray_to_L",
    "is_gray",
    "lab_to_ratios",
    "lab_to_rgb",
    "linear_to_srgb",
    "luminance_to_L",
    "rgb_to_L",
    "rgb_to_lab",
    "srgb_to_linear",
    "to_unit",
]

# IEC 61966-2-1:1999, equation 7: linear sRGB to XYZ, D65, 2 degree observer.
XYZ_FROM_RGB = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], dtype=np.float64
)
# The white of *this* matrix. A rounded D65 table would tint gray (white would get b = +0.0047).
WHITE = XYZ_FROM_RGB.sum(axis=1)
# Rows sum to 1, so X/Xn = G + m_R (R - G) + m_B (B - G): exactly G for gray, in any precision.
_XYZ_N = XYZ_FROM_RGB / WHITE[:, None]
RGB_FROM_RATIOS: Float32 = np.linalg.inv(_XYZ_N).astype(np.float32)
"""float32 (3, 3): X/Xn, Y/Yn, Z/Zn to linear rgb; its rows sum to 1 as well."""
RGB_FROM_RATIOS.setflags(write=False)

# CIE 15:2004: f(t) = t^(1/3) above (6/29)^3, a straight line below.
_DELTA = 6.0 / 29.0
_OFFSET = 4.0 / 29.0

AB_MAX = 110.0
"""No sRGB color has an |a| or |b| above this (the extremes are b = -107.9 and a = +98.3)."""


# --- number formats ---------------------------------------------------------------------------


def to_unit(values: ArrayLike) -> Float32:
    """Pixel values as float32 in [0, 1].

    Parameters
    ----------
    values : uint8 (0..255), uint16 (0..65535) or floating (0..1) array of any shape

    Raises
    ------
    PhotoError
        For any other dtype.
    """
    array = np.asarray(values)
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    if array.dtype == np.uint16:
        return array.astype(np.float32) / np.float32(65535)
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32, copy=False)
    raise PhotoError(
        f"pixels of type {array.dtype} are not supported", "use uint8, uint16 or float in [0, 1]"
    )


def from_unit(values: Float32, dtype: Any) -> NDArray[Any]:
    """The inverse of `to_unit`: rounded for integer types, clipped to [0, 1] for all."""
    kind = np.dtype(dtype)
    clipped = np.clip(values, 0.0, 1.0)
    if kind == np.uint8:
        return (clipped * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    if kind == np.uint16:
        return (clipped * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
    if np.issubdtype(kind, np.floating):
        return clipped.astype(kind, copy=False)
    raise PhotoError(
        f"pixels of type {kind} are not supported", "use uint8, uint16 or float in [0, 1]"
    )


# --- sRGB transfer curve (IEC 61966-2-1, equations 5 and 6) -----------------------------------


def srgb_to_linear(values: ArrayLike) -> Float32:
    """Encoded sRGB to linear light.

    Parameters
    ----------
    values : uint8, uint16 or float in [0, 1], any shape

    Returns
    -------
    float32, same shape, 0..1

    Notes
    -----
    Integer input goes through a table computed in double precision.
    """
    array = np.asarray(values)
    if array.dtype in (np.uint8, np.uint16):
        table: Float32 = _linear_table(array.dtype.itemsize)[array]
        return table
    return np.asarray(_decode(to_unit(array)), dtype=np.float32)


def _decode(v: Any) -> Any:
    return np.where(v <= 0.04045, v / 12.92, ((np.maximum(v, 0.04045) + 0.055) / 1.055) ** 2.4)


@cache
def _linear_table(itemsize: int) -> Float32:
    top = 256**itemsize - 1
    table: Float32 = _decode(np.arange(top + 1, dtype=np.float64) / top).astype(np.float32)
    table.setflags(write=False)
    return table


def linear_to_srgb(values: ArrayLike) -> Float32:
    """Linear light to encoded sRGB, float32; not clipped above 1, a straight line below 0."""
    v = np.asarray(values, dtype=np.float32)
    power = np.maximum(v, np.float32(0.0031308)) ** np.float32(1 / 2.4)
    return np.where(
        v <= np.float32(0.0031308),
        v * np.float32(12.92),
        np.float32(1.055) * power - np.float32(0.055),
    )


# --- L*a*b* -----------------------------------------------------------------------------------


def _f(t: Any) -> Any:
    return np.where(t > _DELTA**3, np.cbrt(t), t / (3 * _DELTA**2) + _OFFSET)


def _f_inverse(f: Float32) -> Float32:
    dark = f <= np.float32(_DELTA)
    t: Float32 = np.asarray(f * f)
    t *= f
    if dark.any():  # most strips of a photo have nothing dark
        np.copyto(t, np.float32(3 * _DELTA**2) * (f - np.float32(_OFFSET)), where=dark)
    return t


def luminance_to_L(luminance: ArrayLike) -> Float32:
    """Relative luminance Y/Yn (0..1) to lightness L (0..100), float32, same shape (CIE 15:2004)."""
    y = np.asarray(luminance, dtype=np.float32)
    return np.asarray(np.float32(116) * _f(y) - np.float32(16), dtype=np.float32)


def L_to_luminance(L: ArrayLike) -> Float32:
    """Lightness L (0..100) to relative luminance Y/Yn (0..1), float32, same shape (CIE 15:2004)."""
    f = (np.asarray(L, dtype=np.float32) + np.float32(16)) / np.float32(116)
    return _f_inverse(f)


def lab_to_ratios(lab: ArrayLike) -> Float32:
    """CIE L*a*b* of any white to X/Xn, Y/Yn, Z/Zn, float32 (..., 3) (CIE 15:2004, annex D)."""
    lab = np.asarray(lab, dtype=np.float32)
    f = (lab[..., 0] + 16) / 116
    return _f_inverse(np.stack([f + lab[..., 1] / 500, f, f - lab[..., 2] / 200], axis=-1))


def gray_to_L(gray: ArrayLike) -> Float32:
    """Gray levels (sRGB-encoded; uint8, uint16 or float in [0, 1]) to L, float32, 0..100."""
    array = np.asarray(gray)
    if array.dtype not in (np.uint8, np.uint16):
        return luminance_to_L(srgb_to_linear(array))
    table = _L_table(array.dtype.itemsize)
    if native.kernel is None:
        return np.take(table, array)
    L = np.empty(array.shape, dtype=np.float32)
    native.kernel.gray_to_L(np.ascontiguousarray(array), table, L)
    return L


@cache
def _L_table(itemsize: int) -> Float32:
    top = 256**itemsize - 1
    linear = _decode(np.arange(top + 1, dtype=np.float64) / top)
    table: Float32 = np.asarray(116 * _f(linear) - 16, dtype=np.float32)
    table.setflags(write=False)
    return table


def _weighted(rgb: Float32, row: int) -> Float32:
    """X/Xn, Y/Yn or Z/Zn of linear rgb, exact for gray."""
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    m = _XYZ_N[row].astype(np.float32)
    return np.asarray(g + m[0] * (r - g) + m[2] * (b - g), dtype=np.float32)


def rgb_to_L(rgb: ArrayLike) -> Float32:
    """Lightness of an image.

    Parameters
    ----------
    rgb : (..., 3) sRGB-encoded; uint8, uint16 or float in [0, 1]

    Returns
    -------
    L : float32 (...), 0..100
    """
    array = np.asarray(rgb)
    if (
        native.kernel is None
        or array.dtype not in (np.uint8, np.uint16)
        or array.shape[-1:] != (3,)
    ):
        return luminance_to_L(_weighted(srgb_to_linear(array), 1))
    L = np.empty(array.shape[:-1], dtype=np.float32)
    table, (red, _, blue) = _linear_table(array.dtype.itemsize), _XYZ_N[1]
    native.kernel.rgb_to_L(np.ascontiguousarray(array), table, red, blue, L)
    return L


def rgb_to_lab(rgb: ArrayLike) -> Float32:
    """sRGB to CIE L*a*b* (D65, 2 degree observer).

    Parameters
    ----------
    rgb : (..., 3) sRGB-encoded; uint8, uint16 or float in [0, 1]

    Returns
    -------
    lab : float32 (..., 3); L in 0..100, a and b in about -110..110, exactly 0 for gray

    Source: CIE 15:2004, section 8.2.1; IEC 61966-2-1.
    """
    linear = srgb_to_linear(rgb)
    fx, fy, fz = (_f(_weighted(linear, row)) for row in range(3))
    lab = np.empty(linear.shape, dtype=np.float32)
    lab[..., 0] = np.float32(116) * fy - np.float32(16)
    lab[..., 1] = np.float32(500) * (fx - fy)
    lab[..., 2] = np.float32(200) * (fy - fz)
    return lab


def _lab_to_linear(L: Float32, a: Float32, b: Float32) -> tuple[Float32, tuple[Float32, ...]]:
    """Luminance Y/Yn, and linear r, g, b; each (...)."""
    fy = (L + np.float32(16)) * np.float32(1 / 116)
    y = _f_inverse(fy)
    dx = _f_inverse(fy + a * np.float32(1 / 500))
    dx -= y
    dz = _f_inverse(fy - b * np.float32(1 / 200))
    dz -= y
    rgb = []
    for row in RGB_FROM_RATIOS:
        channel = np.asarray(row[0] * dx)
        channel += y
        channel += row[2] * dz
        rgb.append(channel)
    return y, tuple(rgb)


def compress_chroma(rgb: tuple[Float32, ...], luminance: Float32) -> tuple[Float32, ...]:
    """Bring linear rgb into the cube by going toward the gray of the same luminance.

    Clipping, the usual way, changes the luminance. Y is linear in rgb, and the gray (Y, Y, Y) has
    the same Y. So has every point of the straight line from the color to that gray, and there is a
    closed form for the point where the line enters the cube.

    Parameters
    ----------
    rgb : three float32 arrays (...), linear light, any range
    luminance : float32 (...), Y/Yn in 0..1

    Returns
    -------
    three float32 arrays (...), each in [0, 1] up to rounding
    """
    # In place from here on: new memory for every step would take longer than the step.
    r, g, b = (np.asarray(channel - luminance) for channel in rgb)
    tiny = np.float32(1e-12)
    up, down = np.asarray(np.maximum(r, g)), np.asarray(np.minimum(r, g))
    np.maximum(np.maximum(up, b, out=up), tiny, out=up)
    np.minimum(np.minimum(down, b, out=down), -tiny, out=down)
    scale = np.divide(1 - luminance, up, out=up)
    np.minimum(scale, np.divide(luminance, np.negative(down, out=down), out=down), out=scale)
    np.minimum(scale, np.float32(1), out=scale)
    for channel in (r, g, b):
        channel *= scale
        channel += luminance
    return r, g, b


def fit_gamut(L: ArrayLike, ab: ArrayLike, dtype: Any = np.float32) -> NDArray[Any]:
    """Encoded sRGB of (L, ab) with the same L. Colors outside sRGB lose chroma.

    Parameters
    ----------
    L : (...), 0..100
    ab : (..., 2)
    dtype : of the result; uint8 (0..255), uint16 (0..65535) or floating (0..1)

    Returns
    -------
    rgb : dtype (..., 3)
    """
    lightness = np.asarray(L, dtype=np.float32)
    chroma = np.asarray(ab, dtype=np.float32)
    kind = np.dtype(dtype)
    if native.kernel is not None and chroma.shape == (*lightness.shape, 2):
        fine = kind if kind in (np.uint8, np.uint16) else np.dtype(np.float32)
        pixels = np.empty((*lightness.shape, 3), dtype=fine)
        native.kernel.fit_gamut(
            np.ascontiguousarray(lightness), np.ascontiguousarray(chroma), RGB_FROM_RATIOS, pixels
        )
        return pixels if kind == fine else from_unit(pixels, kind)
    y, rgb = _lab_to_linear(lightness, chroma[..., 0], chroma[..., 1])
    linear = compress_chroma(rgb, np.clip(y, 0, 1))
    out = np.empty((*lightness.shape, 3), dtype=dtype)
    for c, channel in enumerate(linear):
        out[..., c] = _encode(channel, out.dtype)
    return out


def fit_linear(linear: Float32, matrix: NDArray[np.float64], dtype: Any) -> NDArray[Any]:
    """Encoded sRGB of linear light in other primaries, with the same Y, as by `fit_gamut`.

    Parameters
    ----------
    linear : float32 (..., 3), of the other primaries
    matrix : float64 (3, 3), from them to linear sRGB; neutral stays neutral if its rows sum to 1
    dtype : of the result; uint8 (0..255), uint16 (0..65535) or float32 (0..1)

    Returns
    -------
    rgb : dtype (..., 3)
    """
    # Green and the differences from it: exact if there are none.
    steps = np.stack([matrix.sum(axis=1), matrix[:, 0], matrix[:, 2]], axis=1).astype(np.float32)
    out = np.empty(linear.shape, dtype=dtype)
    if native.kernel is not None:
        red, _, blue = _XYZ_N[1]
        native.kernel.fit_linear(np.ascontiguousarray(linear), steps, red, blue, out)
        return out
    green = linear[..., 1]
    dr, db = linear[..., 0] - green, linear[..., 2] - green
    rgb = np.stack([m[0] * green + m[1] * dr + m[2] * db for m in steps], axis=-1)
    luminance = np.clip(_weighted(rgb, 1), 0, 1)
    fitted = compress_chroma((rgb[..., 0], rgb[..., 1], rgb[..., 2]), luminance)
    for c, channel in enumerate(fitted):
        out[..., c] = _encode(channel, out.dtype)
    return out


_FINE = 65535


def _encode(linear: Float32, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype == np.uint8:
        # A step of 8 bits spans at least 19 of these 65536 steps: the table is exact enough.
        index = np.asarray(np.clip(linear, 0, 1))
        index *= np.float32(_FINE)
        index += np.float32(0.5)
        return np.take(_uint8_table(), index.astype(np.uint16))
    return from_unit(linear_to_srgb(linear), dtype)


@cache
def _uint8_table() -> NDArray[np.uint8]:
    table = from_unit(linear_to_srgb(np.arange(_FINE + 1) / _FINE), np.uint8).astype(np.uint8)
    table.setflags(write=False)
    return table


def lab_to_rgb(lab: ArrayLike) -> Float32:
    """CIE L*a*b* to encoded sRGB, not clipped: colors outside the gamut lie outside [0, 1].

    Parameters
    ----------
    lab : (..., 3)

    Returns
    -------
    rgb : float32 (..., 3)
    """
    array = np.asarray(lab, dtype=np.float32)
    _, linear = _lab_to_linear(array[..., 0], array[..., 1], array[..., 2])
    return linear_to_srgb(np.stack(linear, axis=-1))


GRAY_AB = 5.0
"""A photo is gray if all its a and b are at most this far from 0."""


def is_gray(lab: NDArray[np.float32]) -> bool:
    """Whether a photo, Lab float32 (H, W, 3), has no color: no a or b exceeds `GRAY_AB`.

    Source: the released training code of Zhang et al. 2016.
    """
    return bool(np.abs(lab[..., 1:]).max() <= GRAY_AB)
