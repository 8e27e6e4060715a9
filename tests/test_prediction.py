from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from photochrom import Colorizer, ConfigError, HintError, PhotoError, Prediction
from photochrom.color.lab import gray_to_L, rgb_to_L, rgb_to_lab
from photochrom.look import Look
from photochrom.photo.read import read_photo

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.slow
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


def test_the_result_does_not_depend_on_the_parts(prediction: Prediction) -> None:
    whole = prediction.render()
    for pixels in (1, 5000, 10**9):
        np.testing.assert_array_equal(prediction._rgb(Look(), part=pixels), whole)


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_notebook_shows_the_photo_in_color(prediction: Prediction) -> None:
    picture = PIL.Image.open(io.BytesIO(prediction._repr_png_()))
    height, width = prediction.L.shape
    assert picture.format == "PNG" and max(picture.size) == min(800, max(height, width))
    assert np.ptp(np.asarray(picture).astype(int), axis=-1).max() > 10
