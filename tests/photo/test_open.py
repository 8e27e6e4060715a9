"""Arrays and PIL images: taken as they are, and given back as what came in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from photochrom.photo.limits import ReadLimits
from photochrom.photo.open import open_photo
from photochrom.photo.samples import requantize
from photochrom.photo.write import write_photo
from tests.photo.material import (
    apart_from_clipping,
    assert_only,
    assert_srgb_profile,
    exif_with,
    many,
    noise,
    p3_profile,
    photo_of,
    pil_to_srgb,
    python,
    refusal,
    smooth,
    to_pil,
)

shapes = st.one_of(
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2, 3, 4])),
)


@st.composite
def photo_arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(["u1", "<u2", ">u2", "?", "<f2", "<f4", ">f4", "f8"])))
    elements = {"min_value": 0, "max_value": 1} if dtype.kind == "f" else {}
    array = draw(hnp.arrays(dtype, draw(shapes), elements=hnp.from_dtype(dtype, **elements)))
    layout = draw(st.sampled_from(["C", "F", "reversed"]))
    return array[::-1] if layout == "reversed" else np.asarray(array, order=layout)


@pytest.mark.slow
@many
@given(photo_arrays())
def test_an_array_comes_in_unharmed_and_goes_back_as_its_own_dtype(array: np.ndarray) -> None:
    before = array.copy()
    photo = open_photo(array)
    height, width = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1

    assert (photo.kind, photo.name) == ("array", "array")
    assert (photo.height, photo.width) == (height, width)
    assert photo.pixels.shape == (height, width, 1 if channels <= 2 else 3)
    assert photo.pixels.flags.c_contiguous
    assert photo.pixels.dtype.isnative
    assert photo.pixels.dtype in (np.uint8, np.uint16, np.float32)
    scale = 255 if array.dtype == bool else 1
    whole = array.reshape(height, width, channels).astype(np.float64) * scale
    color = 1 if channels <= 2 else 3
    np.testing.assert_allclose(photo.pixels, whole[..., :color], rtol=1e-7, atol=1e-37)
    if channels in (2, 4):
        assert photo.alpha is not None
        assert photo.alpha.dtype == photo.pixels.dtype
        assert photo.alpha.flags.c_contiguous
        np.testing.assert_allclose(photo.alpha, whole[..., -1], rtol=1e-7, atol=1e-37)
    else:
        assert photo.alpha is None

    rgb = np.broadcast_to(photo.pixels, (height, width, 3))
    restored = photo.restore(rgb)
    assert isinstance(restored, np.ndarray)
    expected = np.dtype(np.uint8) if array.dtype == bool else array.dtype.newbyteorder("=")
    assert restored.dtype == expected
    assert restored.shape == (height, width, 4 if channels in (2, 4) else 3)
    np.testing.assert_array_equal(restored[..., :3], rgb.astype(expected))
    if channels in (2, 4):
        np.testing.assert_array_equal(
            restored[..., 3], whole[..., -1].astype(photo.pixels.dtype).astype(expected)
        )
    np.testing.assert_array_equal(array, before)


def test_a_fitting_array_is_not_copied() -> None:
    array = noise(5, 6, 3)
    photo = open_photo(array)
    assert np.shares_memory(photo.pixels, array)
    rgb = noise(5, 6, 3)
    assert photo.restore(rgb) is rgb


@many
@given(
    hnp.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)),
    st.sampled_from([np.nan, np.inf, -np.inf, -1e-6, 1.0001, 255.0]),
    st.integers(0, 11),
)
@pytest.mark.slow
def test_one_bad_float_anywhere_is_refused(array: np.ndarray, bad: float, where: int) -> None:
    array = array.copy()
    array.flat[where] = bad
    message = refusal(open_photo, array)
    assert ("NaN" in message) == bool(np.isnan(bad))
    assert np.isnan(bad) or "from 0 to 1" in message


@pytest.mark.parametrize(
    "dtype",
    ["i1", "i2", "i4", "i8", "u4", "u8", "c8", "c16", "O", "S1", "U1", "M8[s]", "longdouble"],
)
def test_other_dtypes_are_refused(dtype: str) -> None:
    message = refusal(open_photo, np.zeros((2, 3), dtype))
    assert "not supported" in message
    assert ("astype" in message) == (np.dtype(dtype).kind in "iu")


@pytest.mark.parametrize("shape", [(), (4,), (4, 4, 5), (2, 2, 3, 3), (4, 4, 0), (0, 4), (4, 0, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    refusal(open_photo, np.zeros(shape, np.uint8))


def test_channels_first_gets_its_own_remedy() -> None:
    assert "transpose(1, 2, 0)" in refusal(open_photo, np.zeros((3, 20, 30), np.uint8))


@pytest.mark.parametrize("source", [None, 3, b"\xff\xd8\xff", [[0, 1], [1, 0]]])
def test_what_is_no_photo_at_all_is_refused(source: Any) -> None:
    assert type(source).__name__ in refusal(open_photo, source)


class Foreign:
    """An array of another library."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.error:
            raise self.error
        return np.full((2, 3), 7, np.uint8)


def test_arrays_of_other_libraries_are_taken() -> None:
    assert np.all(open_photo(Foreign()).pixels == 7)
    message = refusal(open_photo, Foreign(TypeError("lives\non the GPU")))
    assert "lives on the GPU" in message


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((4, 5, 3), np.uint16),
        np.zeros((5, 4, 3), np.uint8),
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
    ],
)
def test_colors_that_do_not_fit_the_photo_are_refused(rgb: np.ndarray, tmp_path: Path) -> None:
    photo = photo_of(np.zeros((4, 5), np.uint8))
    refusal(photo.restore, rgb)
    refusal(write_photo, tmp_path / "out.png", rgb, photo)
    assert_only(tmp_path)


def test_rounding_between_depths_is_to_nearest() -> None:
    every = np.arange(65536, dtype=np.uint16)
    exact = np.floor(every.astype(np.float64) * 255 / 65535 + 0.5)
    np.testing.assert_array_equal(requantize(every, np.uint8), exact)

    bytes_ = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(requantize(requantize(bytes_, np.float32), np.uint8), bytes_)
    np.testing.assert_array_equal(requantize(requantize(every, np.float32), np.uint16), every)
    overshoot = np.array([-0.1, 1.1], np.float32)
    np.testing.assert_array_equal(requantize(overshoot, np.uint8), [0, 255])
    np.testing.assert_array_equal(requantize(requantize(bytes_, np.uint16), np.uint8), bytes_)
    assert requantize(bytes_, np.uint16).max() == 65535


PIL_MODES = {
    "1": (np.uint8, 1, False),
    "L": (np.uint8, 1, False),
    "LA": (np.uint8, 1, True),
    "P": (np.uint8, 3, False),
    "RGB": (np.uint8, 3, False),
    "RGBA": (np.uint8, 3, True),
    "RGBX": (np.uint8, 3, False),
    "RGBa": (np.uint8, 3, True),
    "La": (np.uint8, 1, True),
    "PA": (np.uint8, 3, True),
    "YCbCr": (np.uint8, 3, False),
    "HSV": (np.uint8, 3, False),
    "CMYK": (np.uint8, 3, False),
    "I;16": (np.uint16, 1, False),
    "I;16B": (np.uint16, 1, False),
    "I": (np.uint16, 1, False),
    "F": (np.float32, 1, False),
}


def pil_image(mode: str) -> PIL.Image.Image:
    gray = to_pil(smooth(12, 16, 1), "L")
    if mode in ("I", "I;16", "I;16B"):
        dtype = {"I": "<i4", "I;16": "<u2", "I;16B": ">u2"}[mode]
        return to_pil((np.asarray(gray).astype(np.int64) * 257).astype(dtype), mode)
    if mode == "F":
        return to_pil((np.asarray(gray) / 255).astype(np.float32), "F")
    color = to_pil(smooth(12, 16, 3), "RGB")
    if mode in ("RGBa", "La"):
        color.putalpha(128)
        return (color if mode == "RGBa" else color.convert("LA")).convert(mode)
    if mode == "PA":
        return color.convert("P").convert("PA")
    return (gray if mode in ("1", "L", "LA") else color).convert(mode)


@pytest.mark.parametrize("mode", PIL_MODES)
def test_each_pil_mode_comes_in_and_goes_back_as_rgb(mode: str) -> None:
    image = pil_image(mode)
    assert image.mode == mode
    before = image.tobytes()
    photo = open_photo(image)
    dtype, channels, has_alpha = PIL_MODES[mode]
    assert (photo.kind, photo.name) == ("pil", "PIL image")
    # CMYK is converted, and not rounded to 8 bits before the colors are.
    assert (photo.samples, photo.pixels.dtype) == (dtype, np.uint16 if mode == "CMYK" else dtype)
    assert photo.pixels.shape == (12, 16, channels)
    assert photo.pixels.flags.c_contiguous
    assert (photo.alpha is not None) == has_alpha

    restored = photo.restore(np.ascontiguousarray(np.broadcast_to(photo.pixels, (12, 16, 3))))
    assert isinstance(restored, PIL.Image.Image)
    assert restored.mode == ("RGBA" if has_alpha else "RGB")
    assert restored.size == image.size
    assert image.tobytes() == before
    if mode != "CMYK":  # the press profile of libvips is not the plain arithmetic of PIL
        eight = image
        if mode in ("I", "I;16", "I;16B", "F"):
            eight = to_pil(smooth(12, 16, 1), "L")
        elif mode in ("RGBa", "La"):
            eight = image.convert({"RGBa": "RGBA", "La": "LA"}[mode])
        expected = np.asarray(eight.convert("RGB"))
        np.testing.assert_array_equal(np.asarray(restored.convert("RGB")), expected)


def test_pil_transparency_that_is_no_channel_becomes_alpha() -> None:
    gray = to_pil(np.array([[0, 100, 200]], np.uint8), "L")
    gray.info["transparency"] = 100
    photo = open_photo(gray)
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0, 255]]
    assert photo.pixels[..., 0].tolist() == [[0, 100, 200]]

    palette = to_pil(smooth(4, 4, 3), "RGB").quantize(4)
    index = palette.getpixel((0, 0))
    palette.info["transparency"] = index
    photo = open_photo(palette)
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha == 0, np.asarray(palette) == index)


def test_pil_images_out_of_range_or_of_other_modes_are_refused() -> None:
    assert "65535" in refusal(open_photo, to_pil(np.array([[70000]], "<i4"), "I"))
    assert "65535" in refusal(open_photo, to_pil(np.array([[-1]], "<i4"), "I"))
    assert "from 0 to 1" in refusal(open_photo, to_pil(np.array([[255]], np.float32), "F"))
    assert "convert('RGB')" in refusal(open_photo, PIL.Image.new("LAB", (2, 2)))
    assert "no pixels" in refusal(open_photo, PIL.Image.new("L", (0, 2)))


def test_a_pil_image_that_breaks_off_while_decoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    to_pil(noise(64, 64, 3), "RGB").save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with PIL.Image.open(path) as image:
        assert "PIL image" in refusal(open_photo, image)


def test_a_large_pil_image_is_refused() -> None:
    limits = ReadLimits(max_pixels=99)
    assert open_photo(PIL.Image.new("L", (9, 11)), limits).width == 9
    refusal(open_photo, PIL.Image.new("L", (10, 10)), limits)


def test_a_pil_image_keeps_its_pixels_and_exif_orientation(tmp_path: Path) -> None:
    path = tmp_path / "turned.png"
    to_pil(smooth(4, 6, 3), "RGB").save(path, exif=exif_with(Orientation=6), dpi=(300, 300))
    with PIL.Image.open(path) as image:
        photo = open_photo(image)
        expected = PIL.ImageOps.exif_transpose(image)
    np.testing.assert_array_equal(photo.pixels, smooth(4, 6, 3))
    restored = photo.restore(photo.pixels)
    assert restored.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    upright = PIL.ImageOps.exif_transpose(restored)
    np.testing.assert_array_equal(np.asarray(upright), np.asarray(expected))


def test_the_profile_of_a_pil_image_is_converted_and_replaced() -> None:
    image = to_pil(smooth(), "RGB")
    image.info["icc_profile"] = p3_profile()
    photo = open_photo(image)
    assert np.abs(apart_from_clipping(photo.pixels, pil_to_srgb(image))).max() <= 1
    restored = photo.restore(photo.pixels)
    np.testing.assert_array_equal(np.asarray(restored), requantize(photo.pixels, np.uint8))
    assert_srgb_profile(restored.info["icc_profile"])
    assert "icc_profile" not in open_photo(to_pil(smooth(), "RGB")).restore(smooth()).info


def test_deep_gray_is_rounded_to_nearest_for_pil() -> None:
    photo = open_photo(to_pil(np.array([[128, 129, 65535 - 128, 65535 - 129]], "<u2"), "I;16"))
    rgb = np.repeat(photo.pixels, 3, axis=2)
    assert np.asarray(photo.restore(rgb))[0, :, 0].tolist() == [0, 1, 255, 254]


def test_files_and_arrays_do_not_need_pil(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, photochrom.photo.open as i, photochrom.photo.write as w\n"
        "a = np.zeros((4, 5, 3), np.uint8); p = i.open_photo(a); p.restore(a)\n"
        "w.write_photo(sys.argv[1], a, p); i.open_photo(sys.argv[1])\n"
        "print([m for m in ('PIL', 'torch', 'onnxruntime') if m in sys.modules])"
    )
    result = python(code, tmp_path / "out.jpg")
    assert (result.stdout.strip(), result.stderr) == ("[]", "")
