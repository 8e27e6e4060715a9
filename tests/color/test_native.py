from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from photochrom import ConfigError
from photochrom.color import bins, native
from photochrom.color.lab import (
    RGB_FROM_RATIOS,
    fit_gamut,
    fit_linear,
    gray_to_L,
    rgb_to_L,
    rgb_to_lab,
)
from photochrom.color.resize import area_shrink
from photochrom.color.upsample import Upsampler
from photochrom.photo.read import read_photo

EXAMPLES = Path(__file__).parents[2] / "examples"
KERNEL = native.load(None)

relaxed = settings(deadline=None, max_examples=60)
compiled = pytest.mark.skipif(KERNEL is None, reason="the kernel is not built here")


@pytest.fixture(autouse=True, scope="module")
def as_it_was() -> Iterator[None]:
    before = native.kernel
    yield
    native.kernel = before


def both(work: Callable[[], Any]) -> tuple[Any, Any]:
    """With the kernel, and without."""
    results = []
    for kernel in (KERNEL, None):
        native.kernel = kernel
        results.append(work())
    native.kernel = KERNEL
    return results[0], results[1]


def steps_apart(one: np.ndarray, other: np.ndarray) -> float:
    assert one.dtype == other.dtype and one.shape == other.shape
    return float(np.abs(one.astype(np.float64) - other).max(initial=0))


MOST = {np.uint8: 1, np.uint16: 2, np.float32: 1e-4, np.float64: 1e-4}
"""By how much the two ways may differ: code values, or of 1."""


# --- colors ---------------------------------------------------------------------------------------


def any_colors(n: int, low: float = 0, high: float = 100) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    L = rng.uniform(low, high, n).astype(np.float32)
    return L, rng.uniform(-110, 110, (n, 2)).astype(np.float32)


@compiled
@pytest.mark.parametrize("dtype", MOST)
@pytest.mark.parametrize("span", [(0, 100), (0, 9), (-20, 130), (-1e6, 1e6)])
def test_colors_are_the_same(dtype: Any, span: tuple[float, float]) -> None:
    L, ab = any_colors(200_003, *span)
    # Ends, gray, and where the branches of the curves meet.
    L[:6] = 0, 100, 8, np.nextafter(np.float32(8), np.float32(0)), 50, 100
    ab[3:6] = 0
    ours, plain = both(lambda: fit_gamut(L, ab, dtype))
    assert steps_apart(ours, plain) <= MOST[dtype]
    if dtype == np.uint8:
        assert (ours != plain).mean() < 0.01


@compiled
@relaxed
@given(st.integers(0, 1030), st.sampled_from(list(MOST)), st.integers(0, 2**31))
def test_colors_of_any_number_of_pixels(n: int, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    L, ab = rng.uniform(0, 100, n).astype(np.float32), rng.normal(0, 60, (n, 2)).astype(np.float32)
    ours, plain = both(lambda: fit_gamut(L, ab, dtype))
    assert steps_apart(ours, plain) <= MOST[dtype]


@compiled
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("top", [1, 0.01, 1e6])
@pytest.mark.parametrize("n", [1, 257, 100_003])
def test_colors_of_other_primaries_are_the_same(dtype: Any, top: float, n: int) -> None:
    rng = np.random.default_rng(3)
    linear = (top * rng.uniform(-0.1, 1.1, (n, 3))).astype(np.float32)
    matrix = np.array([[2.0, -0.7, -0.3], [-0.3, 1.3, 0.0], [0.1, -0.2, 1.2]])
    ours, plain = both(lambda: fit_linear(linear, matrix, dtype))
    assert steps_apart(ours, plain) <= MOST[dtype]


@compiled
def test_views_of_any_strides_are_taken() -> None:
    L, ab = any_colors(60 * 70)
    L, ab = L.reshape(60, 70), ab.reshape(60, 70, 2)
    views: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda x: x[::2, ::3],
        lambda x: x[::-1, 5:],
        lambda x: x.swapaxes(0, 1),
        lambda x: x[:, :0],
        lambda x: x[:0],
        lambda x: x[3, 4],
        lambda x: np.asfortranarray(x),
        lambda x: x.astype(np.float64),
        lambda x: x.astype(">f4"),
    ]
    codes = (ab[..., :1] + 128).astype(np.uint8)
    rgb = np.concatenate([codes, codes[::-1], codes[:, ::-1]], axis=-1)
    for view in views:
        ours, plain = both(lambda v=view: fit_gamut(v(L), v(ab), np.uint8))
        assert steps_apart(ours, plain) <= 1
        ours, plain = both(lambda v=view: rgb_to_L(v(rgb.astype(np.uint16))))
        np.testing.assert_allclose(ours, plain, atol=5e-5)
    for view in views[:7]:
        ours, plain = both(lambda v=view: gray_to_L(v(rgb[..., 0])))
        np.testing.assert_array_equal(ours, plain)


@compiled
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lightness_is_the_same(dtype: Any) -> None:
    rgb = np.random.default_rng(6).integers(0, np.iinfo(dtype).max + 1, (40_001, 3)).astype(dtype)
    ours, plain = both(lambda: rgb_to_L(rgb))
    np.testing.assert_allclose(ours, plain, atol=5e-5)
    levels = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    ours, plain = both(lambda: rgb_to_L(np.stack([levels] * 3, axis=-1)))
    np.testing.assert_allclose(ours, plain, atol=5e-5)
    ours, plain = both(lambda: gray_to_L(levels))
    np.testing.assert_array_equal(ours, plain)


@compiled
@pytest.mark.parametrize("temperature", [1e-4, 0.05, 0.38, 1, 40])
@pytest.mark.parametrize("spread", [0.1, 5, 1e5])
def test_the_annealed_mean_is_the_same(temperature: float, spread: float) -> None:
    logits = np.random.default_rng(7).normal(0, spread, (313, 23, 31)).astype(np.float32)
    ours, plain = both(lambda: bins.annealed_mean(logits, temperature))
    assert ours.shape == plain.shape
    np.testing.assert_allclose(ours, plain, atol=3e-4)


@pytest.mark.parametrize("sharpness", [-1.0, -0.001, np.nan, np.inf])
def test_a_sharpness_that_is_none_is_refused(sharpness: float) -> None:
    kernel = native.kernel
    assert kernel is not None
    out = np.empty((1, 2), np.float32)
    with pytest.raises(ValueError, match="sharpness must be finite"):
        kernel.annealed_mean(
            np.zeros((2, 1), np.float32), np.eye(2, dtype=np.float32), sharpness, out
        )


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38, -3e38])
def test_odd_logits_give_a_color_or_none_and_nothing_else(odd: float) -> None:
    logits = np.zeros((313, 300), np.float32)
    logits[7, 5] = odd
    ab = bins.annealed_mean(logits, 0.38)
    other = np.arange(300) != 5
    np.testing.assert_array_equal(ab[other], np.broadcast_to(ab[0], (299, 2)))
    assert (~np.isfinite(ab[5]) | (np.abs(ab[5]) <= 111)).all()


# --- sizes ----------------------------------------------------------------------------------------


@compiled
@relaxed
@given(st.integers(1, 50), st.integers(1, 50), st.data())
def test_areas_and_lines_are_the_same(height: int, width: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    image = np.random.default_rng(height * 50 + width).uniform(0, 100, (height, width))
    ours, plain = both(lambda: area_shrink(image, size))
    assert ours.dtype == plain.dtype
    np.testing.assert_allclose(ours, plain, atol=2e-4)


@pytest.mark.slow
@compiled
@relaxed
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 20), st.integers(1, 20))
@example(30, 4, 1, 15)  # four pixels: the fit ends long before its ten steps
def test_curves_are_the_same(height: int, width: int, h: int, w: int) -> None:
    rng = np.random.default_rng(height * 90 + width)
    L = area_shrink(rng.uniform(0, 100, (6, 7)), (height, width))
    ab = rng.uniform(-90, 90, (h, w, 2)).astype(np.float32)

    def enlarged() -> np.ndarray:
        return Upsampler(L, (h, w))(ab, L)

    ours, plain = both(enlarged)
    # Ten steps of conjugate gradients enlarge what rounding does; noise is the worst there is.
    np.testing.assert_allclose(ours, plain, atol=0.05)


@pytest.mark.slow
@compiled
def test_a_photo_is_the_same() -> None:
    rgb = read_photo(EXAMPLES / "castle.jpg").pixels
    lab = rgb_to_lab(rgb)
    small = np.stack([area_shrink(lab[..., c], (40, 60)) for c in (1, 2)], axis=-1)
    for dtype in (np.uint8, np.uint16, np.float32):

        def painted(dtype: Any = dtype) -> np.ndarray:
            L = rgb_to_L(rgb)
            upsampler = Upsampler(L, (40, 60))
            fitted = upsampler.fit(small)
            out = np.empty((*L.shape, 3), dtype)
            for top in range(0, len(L), 37):  # not a whole number of strips
                rows = slice(top, top + 37)
                upsampler.paint(fitted, L[rows], out[rows], top)
            return out

        ours, plain = both(painted)
        assert steps_apart(ours, plain) <= {np.uint8: 1, np.uint16: 9}.get(dtype, 1.5e-4)


@compiled
def test_curves_at_L_are_the_same_to_the_bit() -> None:
    rng = np.random.default_rng(8)
    L = rng.uniform(0, 100, (75, 301)).astype(np.float32)
    native.kernel = KERNEL
    upsampler = Upsampler(L, (9, 13))
    fitted = upsampler.fit(rng.uniform(-90, 90, (9, 13, 2)))
    ours, plain = both(lambda: np.stack(upsampler.rows(fitted, L[10:60], 10)))
    np.testing.assert_array_equal(ours, plain)


@compiled
def test_a_strip_without_rows_writes_nothing() -> None:
    L = np.full((8, 9), 50, np.float32)
    upsampler = Upsampler(L, (2, 2))
    fitted = upsampler.fit(np.zeros((2, 2, 2)))

    def around() -> np.ndarray:
        rows = np.full((2, 9, 3), 7, np.uint8)
        upsampler.paint(fitted, L[:0], rows[1:1], 8)
        return rows

    for rows in both(around):
        np.testing.assert_array_equal(rows, 7)


# --- the border: nothing that Python passes may lead outside an array ----------------------------


def zeros(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def good_calls() -> dict[str, tuple[Any, ...]]:
    """Arguments that each function takes; the last one is written to."""
    matrix, out = RGB_FROM_RATIOS, zeros
    strip = (zeros(2, 3, 8), zeros(2, 3, 3, 8), zeros(5, 8), 4, 9)
    fit = (zeros(2, 3, 4), zeros(9, 3, 3, 4), zeros(2), 0.1, 0.1, 0.1, 0.1, 0.1, 2, 2)
    place = zeros(2, 3, 8)
    return {
        "annealed_mean": (zeros(5, 7), zeros(5, 2), 1.0, out(7, 2)),
        "area_shrink": (zeros(9, 8), out(3, 2)),
        "chroma": (
            *(zeros(3, 4) for _ in range(4)),
            matrix,
            zeros(256),
            0.2,
            0.07,
            224.0,
            128.5,
            255.0,
            out(3, 4, dtype=np.uint8),
            out(3, 4, dtype=np.uint8),
        ),
        "fit": (*fit, out(2, 3, 3, 4)),
        "fit_gamut": (zeros(6), zeros(6, 2), matrix, out(6, 3, dtype=np.uint8)),
        "fit_linear": (zeros(6, 3), matrix, 0.2, 0.07, out(6, 3, dtype=np.uint16)),
        "geodesic": (zeros(4, 5, 6), 4, out(5, 6)),
        "gray_to_L": (zeros(6, dtype=np.uint8), zeros(256), out(6)),
        "grow": (zeros(4, 5), out(4, 11)),
        "moments": (zeros(6, 8), place, zeros(3, 2), zeros(3, 2), out(3, 3, 3, 3, 4)),
        "paint": (*strip, matrix, out(5, 8, 3, dtype=np.uint16)),
        "rgb_to_L": (zeros(6, 3, dtype=np.uint16), zeros(65536), 0.2, 0.07, out(6)),
        "rows": (*strip, out(2, 5, 8)),
    }


def kernel() -> ModuleType:
    assert KERNEL is not None
    return KERNEL


@compiled
def test_every_function_of_the_kernel_is_tried_here() -> None:
    public = {name for name in vars(kernel()) if not name.startswith("_")}
    assert public == set(good_calls())
    for name, arguments in good_calls().items():
        assert getattr(kernel(), name)(*arguments) is None


def spoiled(array: np.ndarray) -> Iterator[np.ndarray]:
    """Arrays that are almost like this one: another type, shape, layout or place."""
    for kind in (np.float64, np.int32, np.int8, np.complex64, ">f4", ">u2", bool, object):
        yield array.astype(kind)
    yield np.zeros((*array.shape, 1), array.dtype)
    yield np.zeros(array.shape[1:], array.dtype)
    for axis, side in enumerate(array.shape):
        for other in {0, 1, side - 1, side + 1} - {side}:
            shape = *array.shape[:axis], other, *array.shape[axis + 1 :]
            yield np.zeros(shape, array.dtype)
    doubled = np.repeat(array, 2, axis=-1)
    yield doubled[..., ::2]
    if array.ndim > 1:
        yield np.asfortranarray(np.zeros(array.shape, array.dtype))
    raw = bytearray(array.nbytes + 1)
    if array.itemsize > 1:
        view = np.frombuffer(raw, array.dtype, offset=1, count=array.size).reshape(array.shape)
        yield view


# These mean the same to the kernel: how axes are grouped does not matter to single pixels, and
# sizes that the others follow from are free.
FREE = {
    "area_shrink": {0, 1},
    "chroma": {5},
    "fit_gamut": {0, 1, 3},
    "fit_linear": {0, 4},
    "gray_to_L": {0, 2},
    "grow": {0, 1},
    "rgb_to_L": {0, 4},
}


@compiled
@pytest.mark.parametrize("name", good_calls())
def test_arrays_that_do_not_fit_are_refused(name: str) -> None:
    function, refused = getattr(kernel(), name), 0
    for place, argument in enumerate(good_calls()[name]):
        if not isinstance(argument, np.ndarray):
            continue
        for other in spoiled(argument):
            arguments = list(good_calls()[name])
            arguments[place] = other
            same = other.dtype == argument.dtype and other.flags.c_contiguous
            if place in FREE.get(name, set()) and same and other.flags.aligned:
                # May fit all the same; the sanitizers watch.
                try:
                    function(*arguments)
                except (ValueError, TypeError):
                    refused += 1
                continue
            with pytest.raises((ValueError, TypeError, BufferError)):
                function(*arguments)
            refused += 1
        for nothing in (None, 3.5, "text", [1.0]):
            arguments = list(good_calls()[name])
            arguments[place] = nothing
            with pytest.raises(TypeError):
                function(*arguments)
    assert refused > 10
    *arguments, out = good_calls()[name]
    out.setflags(write=False)
    with pytest.raises((ValueError, BufferError)):
        function(*arguments, out)
    with pytest.raises(TypeError):
        function(*arguments)


@compiled
@pytest.mark.parametrize("first", [-1, 5, 9, 10, 2**62, -(2**62)])
@pytest.mark.parametrize("height", [9, 0, -9, 4, -(2**62)])
def test_rows_outside_of_the_photo_are_refused(first: int, height: int) -> None:
    place, fitted, L, *_, out = good_calls()["rows"]
    with pytest.raises(ValueError, match="do not fit"):
        kernel().rows(place, fitted, L, first, height, out)
    matrix, pixels = good_calls()["paint"][-2:]
    with pytest.raises(ValueError, match="do not fit"):
        kernel().paint(place, fitted, L, first, height, matrix, pixels)


@compiled
def test_no_number_leads_outside_of_an_array() -> None:
    # What they give means nothing; that they end, and what the sanitizers say, is the test.
    rng = np.random.default_rng(9)
    strange = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0, 50], np.float32)
    for name, good in good_calls().items():
        for _ in range(20):
            arguments = [
                rng.choice(strange, a.shape)
                if isinstance(a, np.ndarray) and a.dtype == np.float32
                else a
                for a in good
            ]
            getattr(kernel(), name)(*arguments)
            if name in ("fit_gamut", "paint"):
                assert arguments[-1].dtype == good[-1].dtype


# --- the switch -----------------------------------------------------------------------------------


def loaded(value: str | None) -> subprocess.CompletedProcess[str]:
    code = "from photochrom.color import native; print(native.kernel is not None)"
    environment = {k: v for k, v in os.environ.items() if k != native.SWITCH}
    if value is not None:
        environment[native.SWITCH] = value
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )


def test_the_environment_switches_it_off_and_insists_on_it() -> None:
    assert loaded("0").stdout.strip() == "False"
    assert loaded(None).stdout.strip() == str(KERNEL is not None)
    if KERNEL is not None:
        assert loaded("1").stdout.strip() == "True"


def test_a_kernel_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "photochrom.color._kernel", None)  # importing it raises
    assert native.load(None) is None
    assert native.load("") is None
    with pytest.raises(ConfigError, match=r"PHOTOCHROM_NATIVE=1.*C compiler"):
        native.load("1")
    with pytest.raises(ConfigError, match="PHOTOCHROM_NATIVE=yes"):
        native.load("yes")


@pytest.mark.skipif(native.kernel is None, reason="the kernel is not built")
@pytest.mark.parametrize(
    "place",
    [(0, 90, 1, 30), (1, 9, 0, 3), (0, 9, 2, 3), (0, 9, -1, 3), (5, 90, 0, 30), (0, 2, 0, 3)],
)
def test_rows_of_a_strip_that_are_not_there_are_refused(place: tuple[int, ...]) -> None:
    assert native.kernel is not None
    with pytest.raises((ValueError, TypeError)):
        native.kernel.area_shrink(
            np.zeros((9, 8), np.float32), np.empty((3, 2), np.float32), *place
        )
