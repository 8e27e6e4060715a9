"""ICC profiles that are curves and a matrix, evaluated in double precision.

With such profiles, LittleCMS, as libvips calls it, is wrong by up to 0.4 L in the shadows and tints
neutral grays. Nearly all gray and RGB profiles are of this kind. libvips handles all others, and
everything odd.

Sources: ICC.1:2022, sections 7.2 (header), 7.3 (tag table), 10.6 (curveType), 10.18
(parametricCurveType), 10.31 (XYZType), annex E (chromatic adaptation, Bradford), F.2 and F.3
(gray, and three components by a matrix).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.color.lab import WHITE, XYZ_FROM_RGB, L_to_luminance

__all__ = ["CODES", "RGB_FROM_PCS_RATIOS", "Shaper", "pcs_columns", "read_shaper"]

CODES = 65536
"""The number of points where the curves are evaluated: the values of 16 bits."""

_D50 = np.array([0xF6D6, 0x10000, 0xD32D]) / 65536  # white of the PCS, ICC.1:2022, 7.2.16
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_TO_CONES = np.diag((_BRADFORD @ WHITE) / (_BRADFORD @ _D50)) @ _BRADFORD
_RGB_FROM_PCS = np.linalg.inv(XYZ_FROM_RGB) @ np.linalg.inv(_BRADFORD) @ _TO_CONES
RGB_FROM_PCS_RATIOS = _RGB_FROM_PCS * _D50
"""float64 (3, 3): X/Xn, Y/Yn, Z/Zn of D50 to linear sRGB; its rows sum to 1."""
_ROUNDING = 1e-4  # by which the three columns of a matrix may miss white, as numbers of 16 bits do
_MOST_TAGS = 100  # as LittleCMS has it
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")
# Tables go before the matrix, where a profile has both. Those of relative colorimetry, and of the
# perceptual intent, which stands in for it.
_TABLES = frozenset([b"A2B0", b"A2B1", b"D2B0", b"D2B1"])
_PARAMETERS = (1, 3, 4, 5, 7)  # how many, of each type of parametric curve


@dataclass(frozen=True, eq=False)
class Shaper:
    """How a profile converts samples.

    Attributes
    ----------
    curves : float64 (CODES,) each, one (gray) or three (red, green, blue); linear light of the
        samples k / 65535, with black brought to 0
    matrix : float64 (3, 3) from there to linear sRGB, any range; None for gray
    """

    curves: tuple[NDArray[np.float64], ...]
    matrix: NDArray[np.float64] | None


class _Odd(Exception):
    """This module cannot evaluate the profile."""


def read_shaper(profile: bytes, space: str) -> Shaper | None:
    """The curves and the matrix of a profile; None if it is damaged, or is more than that.

    Parameters
    ----------
    profile : bytes
    space : "GRAY" or "RGB ", of the samples
    """
    try:
        with np.errstate(all="ignore"):
            return _shaper(profile, space)
    except (_Odd, struct.error):
        return None


def pcs_columns(primaries: tuple[tuple[float, float], ...]) -> NDArray[np.float64] | None:
    """The matrix of a profile from its primaries: float64 (3, 3); None if they span no colors.

    Parameters
    ----------
    primaries : x and y of red, green, blue and white
    """
    if any(not (0 <= x <= 1 and 1e-3 < y <= 1) for x, y in primaries):
        return None
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    rgb, white = xyz[:, :3], xyz[:, 3]
    if abs(np.linalg.det(rgb)) < 1e-6:
        return None
    columns = rgb * np.linalg.solve(rgb, white)
    cones = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD
    found: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ cones @ columns
    return found if np.abs(found).max() < 1 << 14 else None


def _shaper(profile: bytes, space: str) -> Shaper:
    connection = profile[20:24]
    if profile[12:16] not in _CLASSES or profile[16:20] != space.encode():
        raise _Odd
    tags = _tags(profile)
    if tags.keys() & _TABLES:
        raise _Odd
    if space == "GRAY":
        curve = _curve(tags, b"kTRC")
        if connection == b"Lab ":
            curve = np.asarray(L_to_luminance(curve * 100), dtype=np.float64)
        elif connection != b"XYZ ":
            raise _Odd
        return Shaper(_from_black((curve,), float(curve[0])), None)
    if connection != b"XYZ ":
        raise _Odd
    columns = np.stack([_xyz(tags, tag) for tag in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
    white = columns.sum(axis=1)
    if np.all(np.abs(white - _D50) < _ROUNDING * _D50):
        columns *= (_D50 / white)[:, None]  # otherwise, neutral samples would not be quite neutral
    matrix = _RGB_FROM_PCS @ columns
    curves = tuple(_curve(tags, tag) for tag in (b"rTRC", b"gTRC", b"bTRC"))
    black = XYZ_FROM_RGB[1] @ matrix @ [curve[0] for curve in curves]
    return Shaper(_from_black(curves, float(black)), matrix)


def _from_black(
    curves: tuple[NDArray[np.float64], ...], black: float
) -> tuple[NDArray[np.float64], ...]:
    """Black point compensation: the darkest sample is black, white stays."""
    if black <= 0:
        return curves
    if black > 0.5:
        raise _Odd
    return tuple((curve - black) / (1 - black) for curve in curves)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    if count > _MOST_TAGS:
        raise _Odd
    found: dict[bytes, bytes] = {}
    for n in range(count):
        name, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * n)
        if name in found or start + size > len(profile):
            raise _Odd
        found[name] = profile[start : start + size]
    return found


def _fixed(data: bytes, at: int, count: int) -> NDArray[np.float64]:
    """s15Fixed16Number, ICC.1:2022, 4.6."""
    return np.array(struct.unpack_from(f">{count}i", data, at)) / 65536


def _xyz(tags: dict[bytes, bytes], name: bytes) -> NDArray[np.float64]:
    data = tags.get(name, b"")
    if data[:4] != b"XYZ ":
        raise _Odd
    return _fixed(data, 8, 3)


def _curve(tags: dict[bytes, bytes], name: bytes) -> NDArray[np.float64]:
    data = tags.get(name, b"")
    x = np.arange(CODES) / (CODES - 1)
    if data[:4] == b"curv":
        y = _listed(data, x)
    elif data[:4] == b"para":
        y = _parametric(data, x)
    else:
        raise _Odd
    if not np.isfinite(y).all():
        raise _Odd
    return np.clip(y, 0, 1)


def _listed(data: bytes, x: NDArray[np.float64]) -> NDArray[np.float64]:
    (count,) = struct.unpack_from(">I", data, 8)
    if count == 0:
        return x
    if count == 1:
        return _power(x, struct.unpack_from(">H", data, 12)[0] / 256)
    if 12 + 2 * count > len(data):
        raise _Odd
    table = np.frombuffer(data, ">u2", count, 12) / 65535
    return np.asarray(np.interp(x * (count - 1), np.arange(count), table), dtype=np.float64)


def _parametric(data: bytes, x: NDArray[np.float64]) -> NDArray[np.float64]:
    (kind,) = struct.unpack_from(">H", data, 8)
    if kind >= len(_PARAMETERS):
        raise _Odd
    # Those that a type does not have are such that the most general formula is that of the type.
    g, *rest = (float(v) for v in _fixed(data, 12, _PARAMETERS[kind]))
    if kind == 0:
        return _power(x, g)
    a, b, *rest = rest
    slope = above = below = 0.0
    if kind < 3:
        if a == 0:
            raise _Odd
        start = -b / a
        above = below = rest[0] if rest else 0.0
    else:
        slope, start = rest[:2]
        if kind == 4:
            above, below = rest[2:]
    return np.where(x >= start, _power(a * x + b, g) + above, slope * x + below)


def _power(x: NDArray[np.float64], gamma: float) -> NDArray[np.float64]:
    if gamma <= 0:
        raise _Odd
    powers: NDArray[Any] = np.maximum(x, 0) ** gamma
    return powers
