"""Cb and Cr give the color asked for, with the luma given."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("av")

from photochrom.color import native
from photochrom.color.lab import gray_to_L, rgb_to_lab
from photochrom.video.chroma import Painter, sited
from photochrom.video.luma import MATRICES, Scale


def decoded(luma, cb, cr, scale, matrix):
    """The inverse, written down from BT.601 and BT.709 once more: rgb in 0..1."""
    red, blue = MATRICES[matrix]
    y = (luma.astype(float) - scale.black) / scale.span
    pb, pr = ((c.astype(float) - 2 ** (scale.bits - 1)) / scale.chroma_span for c in (cb, cr))
    r, b = y + 2 * (1 - red) * pr, y + 2 * (1 - blue) * pb
    return np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], axis=-1)


def planes_of(ab):
    return np.ascontiguousarray(ab[..., 0]), np.ascontiguousarray(ab[..., 1])


@pytest.mark.skipif(native.kernel is None, reason="the kernel is not built here")
@pytest.mark.parametrize("scale", [Scale(8, False), Scale(10, True)])
def test_the_kernel_and_numpy_agree(monkeypatch, scale):
    rng = np.random.default_rng(5)
    kind = np.uint8 if scale.bits == 8 else np.uint16
    luma = rng.integers(0, scale.top + 1, (37, 53)).astype(kind)
    ab = planes_of(rng.uniform(-90, 90, (37, 53, 2)).astype(np.float32))
    unit = scale.unit(luma)
    fast = Painter(scale, 1, 1, 1).planes(unit, gray_to_L(unit), ab)
    monkeypatch.setattr(native, "kernel", None)
    slow = Painter(scale, 1, 1, 1).planes(unit, gray_to_L(unit), ab)
    for one, other in zip(fast, slow, strict=True):
        assert one.dtype == other.dtype == kind
        apart = np.abs(one.astype(int) - other.astype(int))
        assert apart.max() <= 1 and (apart > 0).mean() < 0.01


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("scale", [Scale(8, False), Scale(8, True), Scale(10, False)])
def test_the_color_asked_for_comes_out_at_the_luma_given(matrix, scale):
    rng = np.random.default_rng(3)
    low, high = scale.black + scale.span // 4, scale.black + scale.span * 3 // 4
    luma = rng.integers(low, high, (40, 50)).astype(np.uint8 if scale.bits == 8 else np.uint16)
    ab = rng.uniform(-14, 14, (40, 50, 2)).astype(np.float32)
    unit = scale.unit(luma)
    cb, cr = Painter(scale, matrix, 1, 1).planes(unit, gray_to_L(unit), planes_of(ab))
    lab = rgb_to_lab(decoded(luma, cb, cr, scale, matrix).astype(np.float32))
    # Half a step of 8-bit chroma is about 0.6 of ab.
    assert np.abs(lab[..., 1:] - ab).max() < (1.6 if scale.bits == 8 else 0.5)


def test_no_color_leaves_the_cube_of_rgb():
    rng = np.random.default_rng(4)
    scale = Scale(8, False)
    luma = rng.integers(16, 236, (64, 64)).astype(np.uint8)
    ab = rng.uniform(-110, 110, (64, 64, 2)).astype(np.float32)
    unit = scale.unit(luma)
    cb, cr = Painter(scale, 1, 1, 1).planes(unit, gray_to_L(unit), planes_of(ab))
    rgb = decoded(luma, cb, cr, scale, 1)
    assert rgb.min() > -0.006 and rgb.max() < 1.006  # half a step


def test_gray_is_exactly_the_middle():
    scale = Scale(10, False)
    luma = np.arange(64, 940, dtype=np.uint16).reshape(4, -1)
    cb, cr = Painter(scale, 1, 2, 2)(luma, np.zeros((2, 8, 2), np.float32))
    assert (cb == 512).all() and (cr == 512).all()


def test_chroma_of_odd_sizes_is_rounded_up():
    luma = np.full((9, 13), 120, np.uint8)
    cb, cr = Painter(Scale(8, False), 6, 2, 2)(luma, np.full((4, 4, 2), 20, np.float32))
    assert cb.shape == cr.shape == (5, 7)


def test_chroma_lies_on_the_left_column_between_the_rows():
    ramp = np.tile(np.arange(0, 80, 10, dtype=np.uint8), (4, 1))
    np.testing.assert_array_equal(sited(ramp, 2, 2)[0, 1:] / 8, [20, 40, 60])
    down = np.tile(np.arange(0, 40, 10, dtype=np.uint8)[:, None], (1, 4))
    np.testing.assert_array_equal(sited(down, 2, 2)[:, 0] / 8, [5, 25])
    np.testing.assert_array_equal(sited(down, 1, 1) // 8, down)
