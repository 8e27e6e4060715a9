from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photochrom import Colorizer, ConfigError, HintError, ModelError, PhotoError, Prediction
from photochrom.color import native
from photochrom.color.lab import from_unit, gray_to_L, rgb_to_L, rgb_to_lab, to_unit
from photochrom.photo.open import open_photo
from photochrom.photo.read import read_photo

EXAMPLES = Path(__file__).parent.parent / "examples"


def chroma(rgb: Any) -> np.ndarray:
    return np.linalg.norm(rgb_to_lab(np.asarray(rgb))[..., 1:], axis=-1)


def test_colors_the_photo_and_keeps_its_lightness(prediction: Prediction, gray: np.ndarray) -> None:
    rgb = prediction.render()
    assert rgb.shape == (*gray.shape, 3) and rgb.dtype == np.uint8
    assert chroma(rgb).mean() > 5
    wrong = np.abs(rgb_to_L(rgb) - gray_to_L(gray))
    assert wrong.max() <= 0.30 and wrong.mean() <= 0.09


def test_sky_is_blue_and_trees_are_green(prediction: Prediction) -> None:
    lab = rgb_to_lab(prediction.render())
    height, width = lab.shape[:2]
    sky = lab[: height // 5, width // 2 :, 2].mean()
    trees = lab[int(0.88 * height) :, :, 1].mean()
    assert sky < -5, "b of the sky: blue is negative"
    assert trees < -2, "a of the trees: green is negative"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_the_type_that_went_in_comes_out(
    colorizer: Colorizer, gray: np.ndarray, dtype: Any
) -> None:
    small = from_unit(to_unit(gray[::4, ::4]), np.uint16)
    photo = small.astype(dtype) / 65535 if np.dtype(dtype).kind == "f" else small
    photo = (small // 257).astype(dtype) if dtype == np.uint8 else photo.astype(dtype)
    rgb = colorizer.predict(photo).render()
    assert rgb.dtype == dtype and rgb.shape == (*photo.shape, 3)
    if dtype == np.uint16:
        assert np.abs(rgb_to_L(rgb) - gray_to_L(photo)).max() <= 0.005


def test_alpha_is_kept(colorizer: Colorizer) -> None:
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (40, 60, 4), dtype=np.uint8)
    out = colorizer.predict(rgba).render()
    assert out.shape == rgba.shape
    np.testing.assert_array_equal(out[..., 3], rgba[..., 3])


def test_pil_in_pil_out(colorizer: Colorizer, gray: np.ndarray) -> None:
    image = PIL.Image.fromarray(gray[::4, ::4])
    out = colorizer.predict(image).render()
    assert isinstance(out, PIL.Image.Image)
    assert out.mode == "RGB" and out.size == image.size


def test_path_in_array_out_and_color_input_counts_by_its_lightness(colorizer: Colorizer) -> None:
    photo = read_photo(EXAMPLES / "castle.jpg")
    out = colorizer.predict(EXAMPLES / "castle.jpg").render()
    assert out.shape == photo.pixels.shape
    wrong = np.abs(rgb_to_L(out) - rgb_to_L(photo.pixels))
    assert wrong.max() <= 0.30


@pytest.mark.slow
def test_equal_calls_give_equal_pixels(colorizer: Colorizer, gray: np.ndarray) -> None:
    first, second = (colorizer.predict(gray[:200, :300]).render() for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_kernel(
    colorizer: Colorizer,
    prediction: Prediction,
    gray: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kernel in {native.kernel, None}:
        monkeypatch.setattr(native, "kernel", kernel)
        plain = colorizer.predict(gray).render().astype(int)
        assert np.abs(plain - prediction.render()).max() <= 1


@pytest.mark.slow
def test_a_hint_is_followed_and_spread(colorizer: Colorizer, gray: np.ndarray) -> None:
    height, width = gray.shape
    x, y = width * 0.7, height * 0.1  # the sky
    plain = colorizer.predict(gray)
    hinted = colorizer.predict(gray, hints=[(x, y, (190, 110, 120))])  # a red evening
    wanted = rgb_to_lab(np.array([190, 110, 120], np.uint8))[1:]

    def ab(p: Prediction, px: float, py: float) -> np.ndarray:
        h, w = p.logits.shape[1:]
        return p.ab()[int(py / height * h), int(px / width * w)]

    before = np.linalg.norm(ab(plain, x, y) - wanted)
    at_spot = np.linalg.norm(ab(hinted, x, y) - wanted)
    assert at_spot < 0.5 * before
    near = np.linalg.norm(ab(hinted, x + width * 0.06, y) - wanted)
    assert near < np.linalg.norm(ab(plain, x + width * 0.06, y) - wanted)


def test_no_hints_is_the_automatic_result(colorizer: Colorizer, gray: np.ndarray) -> None:
    a, b = colorizer.predict(gray[:128, :128]), colorizer.predict(gray[:128, :128], hints=[])
    np.testing.assert_array_equal(a.logits, b.logits)


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        ((100, 5, (1, 2, 3)), "outside"),
        ((-1, 5, (1, 2, 3)), "outside"),
        ((float("nan"), 5, (1, 2, 3)), "outside"),
        ((5, 5, (1, 2)), "not a color"),
        ((5, 5, (1, 2, 300)), "not a color"),
        ((5, 5, (1, 2, float("nan"))), "not a color"),
        ((5, 5), "is not"),
        ((5, "b", (1, 2, 3)), "is not"),
        (7, "is not"),
    ],
)
def test_bad_hints(colorizer: Colorizer, hint: Any, message: str) -> None:
    with pytest.raises(HintError, match=message):
        colorizer.predict(np.zeros((50, 100), np.uint8), hints=[(1, 1, (0, 0, 0)), hint])


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300))
def test_any_size_works(colorizer: Colorizer, height: int, width: int) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    result = colorizer.predict(photo)
    assert result.render().shape == (height, width, 3)
    assert len(result.palette(width - 1, height - 1)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 3000), (3000, 2), (5000, 40)])
def test_extreme_proportions_stay_bounded(colorizer: Colorizer, shape: tuple[int, int]) -> None:
    result = colorizer.predict(np.full(shape, 90, np.uint8))
    assert result.render().shape == (*shape, 3)
    assert result.logits[0].size <= 6 * (colorizer.working_size // 4) ** 2 * 1.1


@pytest.mark.slow
def test_the_working_size_can_be_set_and_is_checked(gray: np.ndarray) -> None:
    small = Colorizer(working_size=96).predict(gray)
    assert min(small.logits.shape[1:]) == 24
    for size in (0, 100, 2048):
        with pytest.raises(ConfigError, match="multiple of 32"):
            Colorizer(working_size=size)


@pytest.mark.slow
def test_one_thread_means_one_thread(
    prediction: Prediction, gray: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = Colorizer(threads=1)

    def start(thread: threading.Thread) -> None:
        pytest.fail("a thread was started")

    monkeypatch.setattr(threading.Thread, "start", start)
    alone = single.predict(np.stack([gray] * 3, axis=-1)).render()
    monkeypatch.undo()
    # ONNX Runtime sums in another order then, which may tip a rounding.
    assert np.abs(alone.astype(int) - prediction.render()).max() <= 2


def test_bad_photos(colorizer: Colorizer, tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"none\.jpg"):
        colorizer.predict(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("no photo")
    with pytest.raises(PhotoError, match=r"text\.jpg"):
        colorizer.predict(tmp_path / "text.jpg")
    for bad in (
        np.zeros((0, 5), np.uint8),
        np.zeros((5, 5, 7), np.uint8),
        np.zeros(5, np.uint8),
        np.full((5, 5), np.nan),
        np.full((5, 5), 2.0),
        np.zeros((5, 5), np.int32),
        object(),
    ):
        with pytest.raises(PhotoError):
            colorizer.predict(bad)


def test_bad_model() -> None:
    with pytest.raises(ModelError):
        Colorizer("no-such-model")


def test_photo_objects_are_taken_as_they_are(colorizer: Colorizer, gray: np.ndarray) -> None:
    photo = open_photo(gray[:64, :64])
    assert colorizer.predict(photo).photo is photo
