"""The color space that a PNG file states in chunks other than an ICC profile, as such a profile.

Of several statements, the first of these counts: cICP, iCCP, sRGB, gAMA with cHRM. Chromium, with
which this was compared, ignores cHRM alone, takes a lone gAMA of 1/2.2 for sRGB, and shows the
curves of BT.709 and BT.601 as BT.1886 does.

Sources: PNG (W3C, third edition), 4.3 and 11.3.2; ITU-T H.273 (2021), 8.1 and 8.2; ICC.1:2022,
7.2, 10.18 and 10.31.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photochrom.color.icc import pcs_columns

__all__ = ["Stated", "stated_color"]

Primaries = tuple[tuple[float, float], ...]  # x, y of red, green, blue and white
_D65 = (0.3127, 0.329)
_SRGB: Primaries = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), _D65)
_PRIMARIES: dict[int, Primaries] = {  # H.273, table 2
    1: _SRGB,
    5: ((0.64, 0.33), (0.29, 0.6), (0.15, 0.06), _D65),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    7: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    9: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), _D65),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65),
}
# H.273, table 3, as parametric curves of ICC: one number is a power, five are g, a, b, c, d.
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_CURVES: dict[int, tuple[float, ...]] = {
    1: (2.4,),
    4: (2.2,),
    5: (2.8,),
    6: (2.4,),
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0912),
    8: (1.0,),
    13: _SRGB_CURVE,
    14: (2.4,),
    15: (2.4,),
}
_HDR = {16: "PQ", 18: "HLG"}
_WEB_GAMMA = range(45450, 45461)  # 1/2.2, with the rounding of different programs
_GAMMAS = (0.05, 20.0)  # powers; beyond, it is no photo


class Stated(NamedTuple):
    """What the chunks say."""

    profile: bytes | None = None  # in place of an ICC profile of the file
    srgb: bool = False  # it is sRGB, and no ICC profile counts
    hdr: str = ""  # the name of a curve for HDR
    note: str | None = None  # for the user


def stated_color(chunks: Mapping[bytes, bytes], gray: bool) -> Stated:
    """The color space of a file.

    Parameters
    ----------
    chunks : those before the pixels
    gray : whether the samples are gray
    """
    note = None
    if (cicp := chunks.get(b"cICP")) is not None:
        found = _of_code_points(cicp, gray)
        if found is not None:
            return found
        note = "the color space in its chunk cICP is unknown, and was ignored"
    if b"iCCP" in chunks:
        return Stated(note=note)
    if b"sRGB" in chunks:
        return Stated(srgb=True, note=note)
    gamma = int.from_bytes(chunks.get(b"gAMA", b"")[:4], "big")
    primaries = _chromaticities(chunks.get(b"cHRM", b""))
    if not gamma or (primaries is None and gamma in _WEB_GAMMA):
        return Stated(srgb=bool(gamma), note=note)
    power = 100_000 / gamma
    if not _GAMMAS[0] <= power <= _GAMMAS[1]:
        return Stated(note="the gamma in its chunk gAMA cannot be true, and was ignored")
    return Stated(_profile(gray, (power,), primaries or _SRGB), note=note)


def _of_code_points(data: bytes, gray: bool) -> Stated | None:
    if len(data) != 4 or data[2:] != b"\0\1":  # RGB, over the full range
        return None
    if data[1] in _HDR:
        return Stated(hdr=_HDR[data[1]])
    curve, primaries = _CURVES.get(data[1]), _PRIMARIES.get(data[0])
    if curve is None or primaries is None:
        return None
    if curve is _SRGB_CURVE and (gray or primaries is _SRGB):
        return Stated(srgb=True)
    return Stated(_profile(gray, curve, primaries))


def _chromaticities(data: bytes) -> Primaries | None:
    """Those of a chunk cHRM, if they span colors."""
    if len(data) != 32:
        return None
    values = [value / 100_000 for value in struct.unpack(">8I", data)]
    white, *rest = zip(values[::2], values[1::2], strict=True)
    return (*rest, white)


def _profile(gray: bool, curve: tuple[float, ...], primaries: Primaries) -> bytes | None:
    """An ICC profile with one curve and, unless it is of gray, a matrix."""
    shape = 0 if len(curve) == 1 else 3
    form = b"para\0\0\0\0" + struct.pack(">HH", shape, 0) + _fixed(curve)
    if gray:
        return _packed(b"GRAY", {b"kTRC": form})
    columns = pcs_columns(primaries)
    if columns is None:
        return None
    tags = {name: form for name in (b"rTRC", b"gTRC", b"bTRC")}
    for n, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ")):
        tags[name] = b"XYZ \0\0\0\0" + _fixed(columns[:, n])
    return _packed(b"RGB ", tags)


def _fixed(values: tuple[float, ...] | NDArray[np.float64]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))


def _packed(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    at = 132 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI", at + len(body), bytes(4), 0x04200000) + b"mntr" + space + b"XYZ "
    return head + bytes(12) + b"acsp" + bytes(88) + table + body
