from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.color import rgb2lab

from photochrom.color.lab import (
    AB_MAX,
    WHITE,
    XYZ_FROM_RGB,
    L_to_luminance,
    compress_chroma,
    fit_gamut,
    from_unit,
    gray_to_L,
    lab_to_rgb,
    linear_to_srgb,
    luminance_to_L,
    rgb_to_L,
    rgb_to_lab,
    srgb_to_linear,
    to_unit,
)
from photochrom.errors import PhotoError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that its plots need Matplotlib; none are drawn here
    import colour

pytestmark = pytest.mark.usefixtures("each_way")

# Busy machines are slow, not wrong: no example has a deadline.
relaxed = settings(deadline=None, max_examples=100)

D65 = colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["D65"]


def cube_of(step: int, finest: int = 12) -> np.ndarray:
    """A grid over the 8-bit cube: every `step`th level, the darkest ones (two branches) all."""
    levels = np.unique(np.r_[0:finest, 0:256:step, 255]).astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)


CUBE = cube_of(5)

FACE = 1.5e-4
"""What `fit_gamut` may change of a color that fits: where a channel is full, float32 may put it a
millionth outside, and the way back costs a dark channel beside it a fortieth of an 8-bit step.
Within the cube, and in 8 bits everywhere, nothing changes."""


def lab_in_double(rgb: np.ndarray) -> np.ndarray:
    """The standards once more, plainly and in double precision, with CIE's rational constants."""
    v = np.asarray(rgb, dtype=np.float64)
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    matrix = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    t = linear @ (matrix / matrix.sum(1, keepdims=True)).T
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def linear_in_double(lab: np.ndarray) -> np.ndarray:
    """Linear rgb of L*a*b*, unclipped, in double precision."""
    lab = np.asarray(lab, dtype=np.float64)
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, (116 * f - 16) * 27 / 24389)
    matrix = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    return xyz @ np.linalg.inv(matrix / matrix.sum(1, keepdims=True)).T


def decode_in_double(values: np.ndarray) -> np.ndarray:
    v = np.asarray(values, dtype=np.float64)
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


# --- against outsiders ----------------------------------------------------------------------------


def test_lab_agrees_with_colour_science_over_the_cube() -> None:
    reference = colour.XYZ_to_Lab(colour.sRGB_to_XYZ(CUBE / 255), D65)
    # What remains is their white, (0.3127, 0.3290) taken as exact, against ours, the matrix's own.
    assert np.abs(rgb_to_lab(CUBE) - reference).max() < 0.01


def test_lab_agrees_with_scikit_image_over_the_cube() -> None:
    # Its matrix has six decimals where IEC 61966-2-1 prints four, and its white is a rounded table:
    # together they move b by up to 0.020 at saturated colors, more than any rounding of ours.
    assert np.abs(rgb_to_lab(CUBE) - rgb2lab(CUBE)).max() < 0.025


def test_lab_equals_the_formula_in_double_precision() -> None:
    assert np.abs(rgb_to_lab(CUBE) - lab_in_double(CUBE / 255)).max() < 2e-4
    assert np.abs(rgb_to_L(CUBE) - lab_in_double(CUBE / 255)[:, 0]).max() < 5e-5


def test_way_back_agrees_with_colour_science_also_outside_the_gamut() -> None:
    rng = np.random.default_rng(1)
    lab = rng.uniform([0, -110, -110], [100, 110, 110], (20_000, 3))
    linear = srgb_to_linear(np.clip(lab_to_rgb(lab), 0, 1))
    theirs = colour.XYZ_to_sRGB(colour.Lab_to_XYZ(lab, D65), apply_cctf_encoding=False)
    # Their inverse matrix is the standard's rounded one, and their white differs: 5e-4 of 1.
    assert np.abs(linear - np.clip(theirs, 0, 1)).max() < 5e-4
    assert np.abs(linear - np.clip(linear_in_double(lab), 0, 1)).max() < 2e-6


def test_transfer_curve_agrees_with_colour_science_at_all_levels() -> None:
    for dtype in (np.uint8, np.uint16):
        levels = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
        decoded = colour.models.eotf_sRGB(levels / np.iinfo(dtype).max)
        np.testing.assert_allclose(srgb_to_linear(levels), decoded, atol=6e-8)
        np.testing.assert_allclose(srgb_to_linear(to_unit(levels)), decoded, atol=3e-7)
    linear = np.linspace(0, 1, 65536)
    encoded = colour.models.eotf_inverse_sRGB(linear)
    np.testing.assert_allclose(linear_to_srgb(linear), encoded, atol=3e-7)


def test_lightness_by_hand() -> None:
    # CIE 15: Y = (6/29)^3 is where the branches meet, L = 8; a quarter of the light is L = 57.08.
    np.testing.assert_allclose(luminance_to_L([0, 216 / 24389, 1]), [0, 8, 100], atol=1e-5)
    np.testing.assert_allclose(luminance_to_L(0.25), 116 * 0.25 ** (1 / 3) - 16, atol=1e-5)
    np.testing.assert_allclose(luminance_to_L(0.001), 0.001 * 24389 / 27, atol=1e-6)
    np.testing.assert_allclose(L_to_luminance([0, 8, 100]), [0, 216 / 24389, 1], atol=1e-7)


def test_lightness_and_luminance_are_inverse() -> None:
    L = np.linspace(0, 100, 10_001, dtype=np.float32)
    np.testing.assert_allclose(luminance_to_L(L_to_luminance(L)), L, atol=5e-5)


def test_white_is_the_sum_of_the_matrix_rows() -> None:
    np.testing.assert_array_equal(WHITE, XYZ_FROM_RGB.sum(axis=1))
    np.testing.assert_allclose(WHITE, [0.9505, 1.0, 1.0890], atol=1e-12)


# --- gray -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_gray_level_has_no_color_and_comes_back(dtype: Any) -> None:
    levels = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    gray = np.repeat(levels[:, None], 3, axis=1)
    lab = rgb_to_lab(gray)
    assert not lab[:, 1:].any()
    assert np.all(np.diff(lab[:, 0]) > 0)
    np.testing.assert_array_equal(from_unit(to_unit(levels), dtype), levels)
    np.testing.assert_array_equal(from_unit(lab_to_rgb(lab), dtype), gray)
    np.testing.assert_array_equal(fit_gamut(lab[:, 0], lab[:, 1:], dtype), gray)
    L = gray_to_L(levels)
    np.testing.assert_array_equal(fit_gamut(L, np.zeros((len(L), 2)), dtype), gray)
    np.testing.assert_allclose(L, lab[:, 0], atol=4e-5)
    np.testing.assert_allclose(L, lab_in_double(gray / np.iinfo(dtype).max)[:, 0], atol=4e-6)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 15, 17, 33, 1001])
def test_float_gray_is_exact_at_any_length(length: int) -> None:
    # Vectorized powers treat the last few elements apart; that must not tint them.
    levels = np.random.default_rng(length).random((length, 1), dtype=np.float32)
    lab = rgb_to_lab(np.repeat(levels, 3, axis=1))
    assert not lab[:, 1:].any()
    for rgb in (fit_gamut(lab[:, 0], lab[:, 1:]), lab_to_rgb(lab)):
        assert not np.ptp(rgb, axis=1).any()
        np.testing.assert_allclose(rgb[:, :1], levels, atol=1e-6)
    np.testing.assert_allclose(gray_to_L(levels[:, 0]), lab[:, 0], atol=1e-6)


@relaxed
@given(st.floats(0, 1, width=32))
@pytest.mark.slow
def test_any_float_gray_is_exact(level: float) -> None:
    lab = rgb_to_lab(np.full((1, 3), level, dtype=np.float32))
    assert not lab[0, 1:].any()
    assert not np.ptp(fit_gamut(lab[:, 0], lab[:, 1:]))


def test_black_and_white_are_exact() -> None:
    np.testing.assert_array_equal(
        rgb_to_lab(np.array([[0, 0, 0], [255, 255, 255]], np.uint8)),
        [[0, 0, 0], [100, 0, 0]],
    )


# --- round trips ----------------------------------------------------------------------------------


def pixels(elements: Any, dtype: Any) -> Any:
    shapes = hnp.array_shapes(min_dims=1, max_dims=3, max_side=6).map(lambda s: (*s, 3))
    return hnp.arrays(dtype, shapes, elements=elements)


def test_8_bit_colors_come_back_exactly() -> None:
    cube = cube_of(7, finest=30)
    lab = rgb_to_lab(cube)
    np.testing.assert_array_equal(from_unit(lab_to_rgb(lab), np.uint8), cube)
    np.testing.assert_array_equal(fit_gamut(lab[:, 0], lab[:, 1:], np.uint8), cube)


@pytest.mark.slow
@relaxed
@given(pixels(st.integers(0, 255), np.uint8))
def test_round_trip_uint8(rgb: np.ndarray) -> None:
    lab = rgb_to_lab(rgb)
    np.testing.assert_array_equal(from_unit(lab_to_rgb(lab), np.uint8), rgb)
    np.testing.assert_array_equal(fit_gamut(lab[..., 0], lab[..., 1:], np.uint8), rgb)


@pytest.mark.slow
@relaxed
@given(pixels(st.integers(0, 65535), np.uint16))
def test_round_trip_uint16(rgb: np.ndarray) -> None:
    # Float32 L*a*b* resolves a sixteenth bit but for a dark channel beside bright ones: one code.
    lab = rgb_to_lab(rgb)
    back = from_unit(lab_to_rgb(lab), np.uint16)
    assert np.abs(back.astype(int) - rgb).max() <= 1
    back = fit_gamut(lab[..., 0], lab[..., 1:], np.uint16)
    assert np.abs(back.astype(int) - rgb).max() <= 65535 * FACE


@pytest.mark.slow
@relaxed
@given(pixels(st.floats(0, 1, width=32), np.float32))
def test_round_trip_float(rgb: np.ndarray) -> None:
    lab = rgb_to_lab(rgb)
    np.testing.assert_allclose(lab_to_rgb(lab), rgb, atol=2e-5)
    np.testing.assert_allclose(fit_gamut(lab[..., 0], lab[..., 1:]), rgb, atol=FACE)


@pytest.mark.slow
@relaxed
@given(hnp.arrays(np.float32, 7, elements=st.floats(0, 1, width=32)))
def test_round_trip_of_the_transfer_curve(values: np.ndarray) -> None:
    back = linear_to_srgb(srgb_to_linear(values))
    np.testing.assert_allclose(back, values, atol=5e-7)


# --- number formats -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_everything_is_float32_and_keeps_its_shape(dtype: Any) -> None:
    rgb = from_unit(np.random.default_rng(2).random((4, 5, 3), dtype=np.float32), dtype)
    assert rgb.dtype == dtype
    for out, shape in (
        (to_unit(rgb), (4, 5, 3)),
        (srgb_to_linear(rgb), (4, 5, 3)),
        (rgb_to_lab(rgb), (4, 5, 3)),
        (rgb_to_L(rgb), (4, 5)),
        (gray_to_L(rgb[..., 0]), (4, 5)),
    ):
        assert out.dtype == np.float32
        assert out.shape == shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_way_back_is_float32(dtype: Any) -> None:
    lab = np.array([[[50, 10, -10], [70, -20, 30]]], dtype=dtype)
    for out in (
        lab_to_rgb(lab),
        linear_to_srgb(lab / 100),
        L_to_luminance(lab),
        luminance_to_L(lab / 100),
        fit_gamut(lab[..., 0], lab[..., 1:]),
    ):
        assert out.dtype == np.float32
    for kind in (np.uint8, np.uint16, np.float64):
        assert fit_gamut(lab[..., 0], lab[..., 1:], kind).dtype == kind


def test_one_pixel_needs_no_further_axes() -> None:
    lab = rgb_to_lab(np.array([255, 0, 0], np.uint8))
    # The textbooks' red; the rounded white that they take moves b by 0.02.
    np.testing.assert_allclose(lab, [53.24, 80.09, 67.20], atol=0.025)
    assert fit_gamut(lab[0], lab[1:], np.uint8).tolist() == [255, 0, 0]


def test_integers_are_rounded_and_clipped() -> None:
    values = np.array([-0.5, 0.499 / 255, 0.501 / 255, 1.0, 1.5], np.float32)
    assert from_unit(values, np.uint8).tolist() == [0, 0, 1, 255, 255]
    assert from_unit(values, np.float32).tolist() == [0, values[1], values[2], 1, 1]


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.uint32, bool, complex])
def test_other_number_types_are_refused(dtype: Any) -> None:
    with pytest.raises(PhotoError, match="use uint8, uint16 or float"):
        rgb_to_lab(np.zeros((2, 3), dtype))
    with pytest.raises(PhotoError, match="use uint8, uint16 or float"):
        from_unit(np.zeros(3, np.float32), dtype)


def test_inputs_are_left_alone() -> None:
    lab = np.array([[50, 90, -90], [20, -90, 90]], np.float32)
    before = lab.copy()
    lab_to_rgb(lab)
    fit_gamut(lab[:, 0], lab[:, 1:], np.uint8)
    np.testing.assert_array_equal(lab, before)
    table = gray_to_L(np.arange(256, dtype=np.uint8))
    table += 1  # a result, not the table that later calls look things up in
    assert gray_to_L(np.uint8(0)) == 0


# --- color at constant lightness ------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile() -> tuple[np.ndarray, np.ndarray]:
    """Any L with any ab, most of them far outside sRGB."""
    rng = np.random.default_rng(3)
    L = rng.uniform(0, 100, 200_000).astype(np.float32)
    return L, rng.uniform(-90, 90, (len(L), 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("dtype", "largest", "mean"),
    # 8 bits: half a step of each channel; one step in a dark green is 0.6 L.
    [(np.uint8, 0.30, 0.09), (np.uint16, 0.005, 0.001), (np.float32, 1e-4, 1e-5)],
)
def test_lightness_is_kept_for_any_color(
    hostile: tuple[np.ndarray, np.ndarray], dtype: Any, largest: float, mean: float
) -> None:
    L, ab = hostile
    rgb = fit_gamut(L, ab, dtype)
    unit = rgb / np.iinfo(dtype).max if dtype != np.float32 else rgb
    error = np.abs(lab_in_double(unit)[:, 0] - L)
    assert error.max() <= largest
    assert error.mean() <= mean


def test_clipping_would_not_keep_lightness(hostile: tuple[np.ndarray, np.ndarray]) -> None:
    # The control of the test above: on the same colors the usual way is off by a lot.
    L, ab = hostile
    clipped = np.clip(lab_to_rgb(np.column_stack([L, ab])), 0, 1)
    assert np.abs(rgb_to_L(clipped) - L).mean() > 1


def test_fit_goes_straight_towards_gray_and_no_further_than_it_must(
    hostile: tuple[np.ndarray, np.ndarray],
) -> None:
    L, ab = hostile
    wanted = linear_in_double(np.column_stack([L, ab]))
    got = decode_in_double(fit_gamut(L, ab))
    assert got.min() >= 0
    assert got.max() <= 1
    gray = linear_in_double(np.column_stack([L, np.zeros_like(ab)]))
    direction, kept = wanted - gray, got - gray
    share = (kept * direction).sum(1) / (direction**2).sum(1)
    # The same direction in linear light, that is the same hue: nothing is left across it.
    assert np.abs(kept - share[:, None] * direction).max() < 2e-6
    assert share.min() >= 0
    assert share.max() <= 1 + 1e-3
    inside = np.all((wanted >= 0) & (wanted <= 1), axis=1)
    assert 0.1 < inside.mean() < 0.9
    np.testing.assert_allclose(got[inside], wanted[inside], atol=2e-6)
    # Outside, the result lies on the cube's surface: more color would not fit.
    room = np.minimum(got, 1 - got).min(axis=1)
    assert room[~inside].max() < 2e-6


def test_colors_within_the_gamut_are_not_touched() -> None:
    lab = rgb_to_lab(CUBE)
    plain = lab_to_rgb(lab)
    fitted = fit_gamut(lab[:, 0], lab[:, 1:])
    np.testing.assert_allclose(fitted, plain, atol=FACE)
    np.testing.assert_array_equal(fit_gamut(lab[:, 0], lab[:, 1:], np.uint8), CUBE)
    inner = np.all((CUBE > 0) & (CUBE < 255), axis=1)
    np.testing.assert_allclose(fitted[inner], plain[inner], atol=1e-6)


def test_black_and_white_have_no_color() -> None:
    ab = np.random.default_rng(4).uniform(-110, 110, (100, 2))
    assert not fit_gamut(np.zeros(100), ab).any()
    assert not fit_gamut(np.full(100, -5.0), ab).any()
    # L = 100 is a luminance of 1 within float32: white to its last bits.
    assert fit_gamut(np.full(100, 100.0), ab).min() > 1 - 1e-5
    assert (fit_gamut(np.full(100, 100.0), ab, np.uint16) == 65535).all()
    assert (fit_gamut(np.full(100, 105.0), ab, np.uint8) == 255).all()


@pytest.mark.slow
@relaxed
@given(st.floats(0, 100, width=32), st.floats(-250, 250, width=32), st.floats(-250, 250, width=32))
def test_fit_gamut_for_any_color(L: float, a: float, b: float) -> None:
    rgb = fit_gamut(np.float32(L), np.array([a, b], np.float32))
    assert rgb.shape == (3,)
    assert ((rgb >= 0) & (rgb <= 1)).all()
    assert abs(float(rgb_to_L(rgb)) - L) < 2e-4


def test_8_bit_table_is_rounding(hostile: tuple[np.ndarray, np.ndarray]) -> None:
    L, ab = hostile
    exact = 255 * fit_gamut(L, ab).astype(np.float64)
    # The table has 65536 entries: it may round up to a fortieth of a step early or late.
    assert np.abs(fit_gamut(L, ab, np.uint8) - exact).max() < 0.5 + 1 / 39


def test_compress_chroma_by_hand() -> None:
    # Around the gray 0.5 a color of (1.5, 0.5, 0) may keep half of its way: red stops at 1.
    Y = np.float32(0.5)
    rgb = tuple(np.float32(c) for c in (1.5, 0.5, 0.0))
    np.testing.assert_allclose(compress_chroma(rgb, Y), (1.0, 0.5, 0.25), atol=1e-6)
    # Here blue, at -1, is what stops it: a third.
    rgb = tuple(np.float32(c) for c in (0.8, 0.5, -1.0))
    np.testing.assert_allclose(compress_chroma(rgb, Y), (0.6, 0.5, 0.0), atol=1e-6)
    inside = tuple(np.float32(c) for c in (0.9, 0.4, 0.1))
    np.testing.assert_allclose(compress_chroma(inside, Y), inside, atol=1e-6)


def test_ab_max_holds_all_of_srgb() -> None:
    # The extremes of ab lie at the cube's corners and edges: the surface is enough.
    side = np.arange(0, 256, 3)
    u, v = (x.ravel() for x in np.meshgrid(side, side))
    faces = [
        np.insert(np.column_stack([u, v]), axis, end, 1) for axis in range(3) for end in (0, 255)
    ]
    ab = rgb_to_lab(np.concatenate(faces).astype(np.uint8))[:, 1:]
    assert np.abs(ab).max() < AB_MAX
    np.testing.assert_allclose(ab.min(axis=0), [-86.2, -107.9], atol=0.05)
    np.testing.assert_allclose(ab.max(axis=0), [98.2, 94.5], atol=0.05)
