"""ICC profiles: converted exactly, against arithmetic in double precision; and hostile ones."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile

from photochrom import Colorizer
from photochrom.color.icc import read_shaper
from photochrom.color.lab import rgb_to_lab
from photochrom.photo.profiles import srgb_dtype, to_srgb
from photochrom.photo.read import read_photo

pytestmark = pytest.mark.usefixtures("each_way")


D50 = np.array([0.9642, 1.0, 0.8249])  # ICC.1:2022, 7.2.16


D65 = (0.3127, 0.3290)


Y = np.array([0.2126, 0.7152, 0.0722])


def adapted(columns: np.ndarray) -> np.ndarray:
    """XYZ of three primaries with the white that is their sum, adapted to D50 (ICC.1, annex E)."""
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    gains = (bradford @ D50) / (bradford @ columns.sum(axis=1))
    made: np.ndarray = np.linalg.solve(bradford, gains[:, None] * (bradford @ columns))
    return made


def columns_of(white: tuple[float, float], *primaries: tuple[float, float]) -> np.ndarray:
    """The same of primaries by their chromaticities."""

    def lifted(x: float, y: float) -> np.ndarray:
        return np.array([x / y, 1, (1 - x - y) / y])

    three = np.stack([lifted(*xy) for xy in primaries], axis=1)
    return adapted(three * np.linalg.solve(three, lifted(*white)))


# IEC 61966-2-1:1999, equation 7, as it stands there.
SRGB = adapted(
    np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
)


ADOBE = columns_of(D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))


PROPHOTO = columns_of((0.3457, 0.3585), (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def xyz(values: Any) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*values)


def gamma(g: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(g * 256)) + bytes(2)


def listed(values: np.ndarray) -> bytes:
    data = b"curv\0\0\0\0" + struct.pack(">I", len(values)) + values.astype(">u2").tobytes()
    return data + bytes(-len(data) % 4)


def para(kind: int, *values: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed(*values)


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    """A profile of version 4.3 for a display (ICC.1:2022, 7)."""
    text = b"mluc\0\0\0\0" + struct.pack(">IIHHII", 1, 12, 0x656E, 0x5553, 2, 28) + b"\0x\0\0"
    tags = {b"desc": text, b"cprt": text, b"wtpt": xyz(D50), **tags}
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI", size, b"lcms", 0x04300000) + b"mntr" + space + pcs
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(*D50)
    return head.ljust(128, b"\0") + table + body


def gray(curve: bytes, pcs: bytes = b"XYZ ") -> bytes:
    return profile(b"GRAY", {b"kTRC": curve}, pcs)


def rgb(columns: np.ndarray, *curves: bytes) -> bytes:
    tags = {name + b"XYZ": xyz(columns[:, n]) for n, name in enumerate((b"r", b"g", b"b"))}
    tags |= {name + b"TRC": curves[n % len(curves)] for n, name in enumerate((b"r", b"g", b"b"))}
    return profile(b"RGB ", tags)


def encode(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, equations 5 and 6."""
    v = np.maximum(linear, 0.0031308)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * v ** (1 / 2.4) - 0.055)


def decode(v: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, the way back."""
    return np.where(v <= 0.04045, v / 12.92, ((np.maximum(v, 0.04045) + 0.055) / 1.055) ** 2.4)


def L_of(luminance: np.ndarray) -> np.ndarray:
    """CIE 15:2004, 8.2.1."""
    y = np.clip(luminance, 0, 1)
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)


def ecis(v: np.ndarray) -> np.ndarray:
    """The inverse of L: the curve of ECI RGB and of gray by lightness."""
    return np.where(v > 0.08, ((v + 0.16) / 1.16) ** 3, v / (29 / 3) ** 3 * 100)


ECI = (3, 3, 1 / 1.16, 0.16 / 1.16, 100 / (29 / 3) ** 3, 0.08)


ADOBE_GAMMA, PRO_GAMMA = 563 / 256, 461 / 256


LISTED = np.round(65535 * np.linspace(0, 1, 1024) ** 2.4)


Curve = Callable[[np.ndarray], np.ndarray]


GRAYS: dict[str, tuple[bytes, Curve]] = {
    "2.2": (gray(gamma(2.2)), lambda v: v ** (563 / 256)),
    "1.8": (gray(gamma(1.8)), lambda v: v ** (461 / 256)),
    "linear": (gray(b"curv" + bytes(8)), lambda v: v),
    "lightness": (gray(b"curv" + bytes(8), b"Lab "), ecis),
    "listed": (
        gray(listed(LISTED)),
        lambda v: np.interp(v * 1023, np.arange(1024), LISTED / 65535),
    ),
}


COLORS: dict[str, tuple[bytes, np.ndarray, Curve]] = {
    "adobe": (rgb(ADOBE, gamma(2.2)), ADOBE, lambda v: v**ADOBE_GAMMA),
    "prophoto": (rgb(PROPHOTO, gamma(1.8)), PROPHOTO, lambda v: v**PRO_GAMMA),
    "eci": (rgb(ADOBE, para(*ECI)), ADOBE, ecis),
    "parametric": (rgb(PROPHOTO, para(0, 1.8)), PROPHOTO, lambda v: v**1.8),
}


DARK = np.array([0, 1, 2, 40, 300, 1000, 3000, 5000, 10_000])


def samples(channels: int, dtype: Any) -> np.ndarray:
    """Of all sorts, the dark and neutral ones included."""
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    rng = np.random.default_rng(11)
    values = rng.random((48, 64, channels)) ** rng.choice([1, 2, 4], (48, 64, 1))
    values[:16] = values[:16, :, :1]  # neutral
    values[:2] *= 0.02
    values[2, : len(DARK)] = DARK[:, None] / 65535
    scaled = values * top
    return scaled.astype(np.float32) if top == 1 else scaled.round().astype(dtype)


def L_in_and_out(
    colorizer: Colorizer, folder: Path, values: np.ndarray, data: bytes, light: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """L of a file, by its linear light in the primaries of sRGB, and L of its result."""
    photometric = "rgb" if values.shape[2] == 3 else "minisblack"
    tifffile.imwrite(folder / "a.tif", values, photometric=photometric, iccprofile=data)
    colorizer.predict(folder / "a.tif").save(folder / "b.tif", saturation=2.5, force=True)
    out = tifffile.imread(folder / "b.tif")
    assert out.dtype == values.dtype
    top = 1 if out.dtype == np.float32 else np.iinfo(out.dtype).max
    luminance = light[..., 0] if light.shape[2] == 1 else light @ Y
    return L_of(luminance), L_of(decode(out.astype(np.float64) / top) @ Y)


def check(before: np.ndarray, after: np.ndarray, dtype: Any) -> None:
    error = np.abs(before - after)
    if dtype == np.uint8:
        assert error.max() <= 0.30 and error.mean() <= 0.09
    else:
        assert error.max() <= 0.005


DTYPES = [
    np.uint8,
    *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in (np.uint16, np.float32)),
]


def unit(values: np.ndarray) -> np.ndarray:
    top = 1 if values.dtype == np.float32 else np.iinfo(values.dtype).max
    return values.astype(np.float64) / top


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GRAYS)
def test_gray_with_a_profile_keeps_its_lightness(
    colorizer: Colorizer, tmp_path: Path, name: str, dtype: Any
) -> None:
    data, curve = GRAYS[name]
    values = samples(1, dtype)
    check(*L_in_and_out(colorizer, tmp_path, values, data, curve(unit(values))), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", COLORS)
def test_color_with_a_profile_keeps_its_lightness(
    colorizer: Colorizer, tmp_path: Path, name: str, dtype: Any
) -> None:
    data, columns, curve = COLORS[name]
    values = samples(3, dtype)
    light = curve(unit(values)) @ (np.linalg.inv(SRGB) @ columns).T
    assert (light.min(axis=2) < -0.01).mean() > 0.05  # beyond sRGB, too
    check(*L_in_and_out(colorizer, tmp_path, values, data, light), dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("name", COLORS)
def test_neutral_colors_stay_neutral(name: str, dtype: Any) -> None:
    steps = np.arange(65536) / 65535
    if dtype != np.float32:
        steps = (steps * np.iinfo(dtype).max).round()
    ramp = np.repeat(steps.astype(dtype)[None, :, None], 3, axis=2)
    data, _, curve = COLORS[name]
    made = to_srgb(ramp, "RGB ", data)
    assert (made[..., 0] == made[..., 1]).all() and (made[..., 1] == made[..., 2]).all()
    assert (np.diff(made[0, :, 0].astype(np.float64)) >= 0).all()
    top = 1 if made.dtype == np.float32 else 65535
    error = L_of(decode(made[0, :, 0] / top)) - L_of(curve(unit(ramp[0, :, 0])))
    assert np.abs(error).max() <= 0.002


def test_colors_that_srgb_can_show_are_those_of_the_profile() -> None:
    data, columns, curve = COLORS["adobe"]
    values = samples(3, np.uint16)
    light = curve(unit(values)) @ (np.linalg.inv(SRGB) @ columns).T
    shown = (light.min(axis=2) > 0) & (light.max(axis=2) < 1)
    assert shown.mean() > 0.3
    error = to_srgb(values, "RGB ", data) / 65535 - encode(light)
    assert np.abs(error[shown]).max() < 1e-3  # where a channel is next to nothing
    assert np.abs(error[shown & (light.min(axis=2) > 0.01)]).max() < 1e-4


def test_curves_of_their_own_for_each_channel() -> None:
    curves = gamma(1.8), para(*ECI), listed(LISTED)
    data = rgb(ADOBE, *curves)
    shaper = read_shaper(data, "RGB ")
    assert shaper is not None
    steps = np.linspace(0, 1, 65536)
    expected = [
        steps**PRO_GAMMA,
        ecis(steps),
        np.interp(steps * 1023, np.arange(1024), LISTED / 65535),
    ]
    for ours, theirs in zip(shaper.curves, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=3e-5)
    values = samples(3, np.uint16)
    light = np.stack([c[values[..., n]] for n, c in enumerate(expected)], axis=2)
    luminance = light @ (np.linalg.inv(SRGB) @ ADOBE).T @ Y
    ours = decode(to_srgb(values, "RGB ", data) / 65535) @ Y
    assert np.abs(L_of(ours) - L_of(luminance)).max() < 0.01  # the numbers of ECI are rounded
    alone = to_srgb(values.astype(np.float32) / 65535, "RGB ", data)
    assert np.abs(L_of(decode(alone) @ Y) - L_of(luminance)).max() < 0.01


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (para(1, 2.0, 0.5, 0.25), lambda v: (0.5 * v + 0.25) ** 2),
        (para(1, 2.0, 2.0, -1.0), lambda v: np.where(v >= 0.5, (2 * v - 1) ** 2, 0)),
        (
            para(2, 2.0, 0.5, -0.25, 0.125),
            lambda v: np.where(v >= 0.5, (0.5 * v - 0.25) ** 2, 0) + 0.125,
        ),
        (
            para(3, 3.0, 0.75, 0.25, 0.5, 0.25),
            lambda v: np.where(v >= 0.25, (0.75 * v + 0.25) ** 3, 0.5 * v),
        ),
        (
            para(4, 2.0, 0.5, 0.25, 0.5, 0.5, 0.25, 0.0625),
            lambda v: np.where(v >= 0.5, (0.5 * v + 0.25) ** 2 + 0.25, 0.5 * v + 0.0625),
        ),
        (para(0, 2.0), lambda v: v**2),
        (listed(np.array([0, 65535, 0])), lambda v: 1 - np.abs(2 * v - 1)),
    ],
)
def test_curves_of_each_type(curve: bytes, expected: Curve) -> None:
    """ICC.1:2022, tables 68 and 69; black is brought to 0, as black point compensation does."""
    shaper = read_shaper(gray(curve), "GRAY")
    assert shaper is not None
    steps = np.linspace(0, 1, 65536)
    values = np.clip(expected(steps), 0, 1)
    values = (values - values[0]) / (1 - values[0])
    np.testing.assert_allclose(shaper.curves[0], values, atol=1e-6)


def test_a_table_goes_before_the_matrix() -> None:
    tags = {name + b"XYZ": xyz(ADOBE[:, n]) for n, name in enumerate((b"r", b"g", b"b"))}
    tags |= {name + b"TRC": gamma(2.2) for name in (b"r", b"g", b"b")}
    assert read_shaper(profile(b"RGB ", tags), "RGB ") is not None
    for table in (b"A2B0", b"A2B1"):
        assert read_shaper(profile(b"RGB ", {**tags, table: b"mAB " + bytes(60)}), "RGB ") is None


TAIL = 128 + 4 + 12 * 3  # where the tag table has the entry of the first curve of a gray profile


HOSTILE = {
    "cut": gray(gamma(2.2))[:-6],
    "cut in the table": gray(gamma(2.2))[:150],
    "many points": gray(b"curv\0\0\0\0" + struct.pack(">I", 1 << 31) + bytes(64)),
    "more points than there are": gray(b"curv\0\0\0\0" + struct.pack(">I", 1000) + bytes(64)),
    "no power": gray(gamma(0)),
    "a negative power": gray(para(0, -1.0)),
    "infinite": gray(para(1, 32767.0, 32767.0, 1.0)),
    "no slope": gray(para(1, 2.0, 0.0, 1.0)),
    "unknown type": gray(para(9, 2.0)),
    "parameters missing": gray(para(4, 2.0)),
    "all white": gray(listed(np.full(5, 65535))),
    "falling": gray(listed(np.array([65535, 30000, 0]))),
    "another tag": gray(b"XYZ \0\0\0\0" + fixed(*D50)),
    "no curve": profile(b"GRAY", {}),
    "beyond the end": gray(gamma(2.2))[:TAIL] + b"kTRC\xff\xff\xff\xf0\0\0\0\x20" + bytes(99),
    "tags by the million": gray(gamma(2.2))[:128] + b"\x7f\xff\xff\xff" + bytes(500),
    "matrix of zeros": rgb(np.zeros((3, 3)), gamma(2.2)),
    "matrix of the largest": rgb(np.full((3, 3), -32768.0), gamma(2.2)),
    "one column": rgb(np.array([[0, 0, 30000.0]] * 3), gamma(1.0)),
    "color falling": rgb(ADOBE, listed(np.array([65535, 7, 0]))),
    "color in Lab": rgb(ADOBE, gamma(2.2)).replace(b"RGB XYZ ", b"RGB Lab "),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.slow
def test_a_hostile_profile_does_no_harm(tmp_path: Path, name: str) -> None:
    data = HOSTILE[name]
    for dtype in (np.uint8, np.uint16, np.float32):
        values = samples(3 if data[16:20] == b"RGB " else 1, dtype)
        photometric = "rgb" if values.shape[2] == 3 else "minisblack"
        tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, iccprofile=data)
        photo = read_photo(tmp_path / "a.tif")
        assert photo.pixels.shape == values.shape
        assert photo.samples == dtype
        if dtype == np.float32:
            assert photo.pixels.min() >= 0 and photo.pixels.max() <= 1


@pytest.mark.slow
def test_bytes_flipped_anywhere_in_a_profile_do_no_harm() -> None:
    rng = np.random.default_rng(2)
    for whole, channels in ((GRAYS["listed"][0][:1200], 1), (COLORS["eci"][0], 3)):
        values = samples(channels, np.uint16)[:4]
        space = "GRAY" if channels == 1 else "RGB "
        for _ in range(40):
            data = bytearray(whole)
            for at in rng.integers(128, len(data), rng.integers(1, 6)):
                data[at] = rng.integers(256)
            made = to_srgb(values, space, bytes(data))
            assert (made.shape, made.dtype) == (values.shape, np.uint16)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_type_is_known_before_the_pixels(dtype: Any) -> None:
    grays = [profile for profile, _ in GRAYS.values()]
    profiles = [None, b"junk" * 50, *HOSTILE.values(), *grays]
    profiles += [bytes(pyvips.Image.profile_load(name)) for name in ("srgb", "p3", "cmyk")]
    for data in profiles:
        for space, channels in (("GRAY", 1), ("RGB ", 3), ("CMYK", 4)):
            if space == "CMYK" and data in [*HOSTILE.values(), *grays[1:]]:
                continue  # one that does not fit is as good as another
            made = to_srgb(np.ones((2, 3, channels), dtype), space, data)
            assert made.dtype == srgb_dtype(np.dtype(dtype), space, data)
            if dtype == np.float32 and space == "RGB ":
                break  # libvips has no CMYK of floats


def test_a_color_beyond_srgb_keeps_its_lightness_and_hue() -> None:
    green = np.array([[[0, 1, 0]]], np.float32)
    ours = to_srgb(green, "RGB ", COLORS["adobe"][0])
    light = green[0, 0] @ (np.linalg.inv(SRGB) @ ADOBE).T
    lab = rgb_to_lab(ours)[0, 0]
    assert lab[0] == pytest.approx(L_of(light @ Y), abs=0.002)
    assert lab[1] < -50 and lab[2] > 30
