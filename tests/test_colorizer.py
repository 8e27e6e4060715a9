import threading
from dataclasses import replace
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
from photochrom.frame import Frame, network_input
from photochrom.look import Look
from photochrom.photo.open import open_photo
from photochrom.photo.read import read_photo

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def gray() -> np.ndarray:
    """A real photo in gray: uint8 (H, W)."""
    with PIL.Image.open(EXAMPLES / "castle.jpg") as image:
        return np.asarray(image.convert("L"))


@pytest.fixture(scope="module")
def prediction(colorizer: Colorizer, gray: np.ndarray) -> Prediction:
    return colorizer.predict(gray)


def chroma(rgb: Any) -> np.ndarray:
    return np.linalg.norm(rgb_to_lab(np.asarray(rgb))[..., 1:], axis=-1)


# --- the main path ---


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


def test_saves_a_file_and_never_over_another(prediction: Prediction, tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    prediction.save(target)
    np.testing.assert_array_equal(read_photo(target).pixels, prediction.render())
    before = target.read_bytes()
    with pytest.raises(PhotoError, match=r"out\.png"):
        prediction.save(target, saturation=0.5)
    assert target.read_bytes() == before
    prediction.save(target, saturation=0.5, force=True)
    assert target.read_bytes() != before


def test_equal_calls_give_equal_pixels(colorizer: Colorizer, gray: np.ndarray) -> None:
    first, second = (colorizer.predict(gray[:200, :300]).render() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_result_does_not_depend_on_the_parts(prediction: Prediction) -> None:
    whole = prediction.render()
    for pixels in (1, 5000, 10**9):
        np.testing.assert_array_equal(prediction._rgb(Look(), part=pixels), whole)


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


# --- settings ---


def test_temperature_and_saturation(prediction: Prediction) -> None:
    mean = [np.linalg.norm(prediction.ab(t), axis=-1).mean() for t in (0.0, 0.38, 1.0, 3.0)]
    assert mean[1] > mean[3] and mean[0] > 0
    np.testing.assert_allclose(prediction.ab(saturation=2.0), 2 * prediction.ab(), rtol=1e-5)
    gray = prediction.render(saturation=0.0)
    assert (gray == gray[..., :1]).all()


def test_no_saturation_gives_the_gray_photo_back(prediction: Prediction, gray: np.ndarray) -> None:
    np.testing.assert_array_equal(prediction.render(saturation=0.0)[..., 0], gray)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_senseless_settings(prediction: Prediction, value: float) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        prediction.render(temperature=value)
    with pytest.raises(ConfigError, match="saturation"):
        prediction.render(saturation=value)


# --- answers from the distribution ---


def test_answers_never_run_the_network(colorizer: Colorizer, gray: np.ndarray) -> None:
    calls = 0
    model = colorizer.model

    class Counting:
        info = model.info

        def __call__(self, x: np.ndarray) -> np.ndarray:
            nonlocal calls
            calls += 1
            return model(x)

    counted = Colorizer(threads=2)
    counted.model = Counting()  # type: ignore[assignment]
    result = counted.predict(gray[:256, :256])
    assert calls == 1
    result.render()
    result.render(temperature=0.1, saturation=1.5)
    result.candidates(2)
    result.uncertainty()
    result.palette(10, 10)
    assert calls == 1


def test_candidates_differ_visibly_and_repeat_by_seed(
    prediction: Prediction, gray: np.ndarray
) -> None:
    base = rgb_to_lab(prediction.render())[..., 1:]
    images = prediction.candidates(4, seed=0)
    assert len(images) == 4
    labs = [rgb_to_lab(image)[..., 1:] for image in images]
    for i, lab in enumerate(labs):
        # 2.3 is a just noticeable difference; these must be plain to see over the whole photo.
        for other in (base, *labs[:i]):
            assert np.linalg.norm(lab - other, axis=-1).mean() > 4
    for image in images:
        assert np.abs(rgb_to_L(image) - gray_to_L(gray)).max() <= 0.30
    again = prediction.candidates(4, seed=0)
    for first, second in zip(images, again, strict=True):
        np.testing.assert_array_equal(first, second)
    others = prediction.candidates(4, seed=1)
    assert any((a != b).any() for a, b in zip(images, others, strict=True))


def test_candidates_are_smooth_where_the_prediction_is(prediction: Prediction) -> None:
    def roughness(p: Prediction) -> float:
        ab = p.ab()
        return float(
            np.abs(np.diff(ab, axis=0)).mean() + np.abs(np.diff(ab, axis=1)).mean()
        ) / float(np.linalg.norm(ab, axis=-1).mean())

    # Independent draws per pixel would be rougher by an order of magnitude.
    for variant in prediction.variants(4):
        assert roughness(variant) < 3 * roughness(prediction)


def test_candidate_of_a_sure_pixel_is_its_color(prediction: Prediction) -> None:
    logits = np.full((313, 8, 8), -20.0, dtype=np.float32)
    logits[120] = 20
    sure = replace(prediction.distribution, logits=logits)
    for variant in sure.variants(3):
        np.testing.assert_allclose(variant.ab(), sure.ab(), atol=1e-3)


def test_uncertainty_is_entropy_in_bits(prediction: Prediction) -> None:
    u = prediction.uncertainty()
    assert u.shape == prediction.logits.shape[1:] and u.dtype == np.float32
    assert (u >= 0).all() and (u <= np.log2(313) + 1e-3).all()
    flat = replace(
        prediction.distribution,
        logits=np.broadcast_to(prediction.info.log_weights[:, None, None], (313, 4, 4)).copy(),
    )
    np.testing.assert_allclose(flat.uncertainty(), np.log2(313), rtol=1e-4)


def test_palette(prediction: Prediction, gray: np.ndarray) -> None:
    height, width = gray.shape
    for x, y in ((0, 0), (width - 1, height - 1), (width / 2, 30)):
        colors = prediction.palette(x, y)
        assert 1 <= len(colors) <= 6
        shares = [p for _, p in colors]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1 + 1e-6
        L = gray_to_L(gray[int(y), int(x)])
        for rgb, _ in colors:
            assert all(isinstance(v, int) and 0 <= v <= 255 for v in rgb)
            assert abs(rgb_to_L(np.array(rgb, np.uint8)) - L) < 0.5
    for x, y in ((-1, 0), (width, 0), (0, height), (float("nan"), 0)):
        with pytest.raises(HintError, match="outside"):
            prediction.palette(x, y)


# --- hints ---


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


# --- shapes ---


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300))
def test_any_size_works(colorizer: Colorizer, height: int, width: int) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    result = colorizer.predict(photo)
    assert result.render().shape == (height, width, 3)
    assert len(result.palette(width - 1, height - 1)) >= 1


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 2), (5000, 40)])
def test_extreme_proportions_stay_bounded(colorizer: Colorizer, shape: tuple[int, int]) -> None:
    result = colorizer.predict(np.full(shape, 90, np.uint8))
    assert result.render().shape == (*shape, 3)
    assert result.logits[0].size <= 6 * (colorizer.working_size // 4) ** 2 * 1.1


@given(
    height=st.integers(1, 20000),
    width=st.integers(1, 20000),
    size=st.sampled_from([128, 192, 256]),
)
def test_frame_keeps_the_proportions(height: int, width: int, size: int) -> None:
    frame = Frame.of(height, width, size, 32)
    assert frame.rows % 32 == 0 and frame.columns % 32 == 0
    assert 0 <= frame.rows - frame.height < 32 and 0 <= frame.columns - frame.width < 32
    assert min(frame.height, frame.width) == size
    if max(height, width) <= 6 * min(height, width):
        long = max(height, width) / min(height, width) * size
        assert abs(max(frame.height, frame.width) - long) <= 2


def test_network_input_normalizes_and_mirrors(colorizer: Colorizer) -> None:
    L = np.linspace(0, 100, 128 * 140, dtype=np.float32).reshape(128, 140)
    frame = Frame.of(128, 140, 128, 32)
    ab = np.array([55.0, -11.0], dtype=np.float32)
    x = network_input(L, frame, colorizer.info, [(0.5, 0.5, ab)])
    assert x.shape == (4, 128, 160)
    info = colorizer.info
    np.testing.assert_allclose(x[0, :, :140], (L - info.L_center) / info.L_scale, atol=1e-4)
    np.testing.assert_allclose(x[0, :, 140:], x[0, :, 139:119:-1])
    assert x[3].sum() == 9 and x[3, 64, 70] == 1
    np.testing.assert_allclose(x[1:3, 64, 70], ab / info.ab_scale)


def test_the_working_size_can_be_set_and_is_checked(gray: np.ndarray) -> None:
    small = Colorizer(working_size=96).predict(gray)
    assert min(small.logits.shape[1:]) == 24
    for size in (0, 100, 2048):
        with pytest.raises(ConfigError, match="multiple of 32"):
            Colorizer(working_size=size)


# --- errors ---


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


def test_log_probabilities_are_honest_and_sum_to_one(prediction: Prediction) -> None:
    log_p = prediction.log_probabilities()
    assert log_p.shape == prediction.logits.shape and log_p.dtype == np.float32
    np.testing.assert_allclose(np.exp(log_p).sum(axis=0), 1, rtol=1e-4)
    # Entropy by another road.
    p = np.exp(log_p.astype(np.float64))
    np.testing.assert_allclose(
        -(p * log_p).sum(axis=0) / np.log(2), prediction.uncertainty(), atol=1e-3
    )
    # Rebalancing raised rare colors; it is taken off, up to a constant for each pixel.
    raised = prediction.logits - log_p - prediction.info.log_weights[:, None, None]
    np.testing.assert_allclose(raised - raised[:1], 0, atol=1e-3)


def test_the_photos_own_color_is_mixed_in_as_asked(colorizer: Colorizer) -> None:
    rgb = read_photo(EXAMPLES / "castle.jpg").pixels[::3, ::3]
    prediction = colorizer.predict(rgb)
    kept = prediction.render(keep_color=1)
    assert np.abs(kept.astype(int) - rgb).max() <= 1
    none, half = prediction.render(keep_color=0), prediction.render(keep_color=0.5)
    np.testing.assert_array_equal(none, prediction.render())
    ab = [rgb_to_lab(v)[..., 1:] for v in (none, half, kept)]
    assert np.abs(ab[1] - (ab[0] + ab[2]) / 2).mean() < 0.5
    for picture in (half, kept):
        assert np.abs(rgb_to_L(picture) - rgb_to_L(rgb)).max() <= 0.30


def test_a_gray_photo_has_no_color_to_keep(colorizer: Colorizer, gray: np.ndarray) -> None:
    rendered = colorizer.predict(gray[::4, ::4]).render(keep_color=1)
    np.testing.assert_array_equal(rendered, np.repeat(gray[::4, ::4, None], 3, axis=2))


@pytest.mark.parametrize("keep", [-0.1, 1.1, float("nan")])
def test_a_share_of_color_beyond_none_and_all_is_refused(
    prediction: Prediction, keep: float
) -> None:
    with pytest.raises(ConfigError, match="keep_color"):
        prediction.render(keep_color=keep)
