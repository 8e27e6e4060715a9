from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio

from photochrom import ConfigError, DataError, ModelError, PhotoError, Prediction
from photochrom.cli.main import main
from photochrom.color import bins, metrics
from photochrom.color.lab import fit_gamut, gray_to_L, rgb_to_L, rgb_to_lab
from photochrom.colorizer import Colorizer
from photochrom.distribution import Distribution
from photochrom.evaluate.figures import COLUMNS, EXACT, FIGURES, Sums, figures_of
from photochrom.evaluate.part import Part
from photochrom.evaluate.photos import grayed, open_store, read_reduced, true_hints
from photochrom.evaluate.question import Evaluation, Row
from photochrom.evaluate.result import Result
from photochrom.evaluate.run import evaluate
from photochrom.evaluate.scoring import _mean_delta_e, _rendered, judge_distribution
from photochrom.evaluate.work import forget
from photochrom.models import load_model
from photochrom.naming import label_of
from photochrom.photo.open import open_photo

pytestmark = pytest.mark.slow

Picture = NDArray[np.uint8]


@pytest.fixture
def photos(tmp_path: Path, pictures: list[Picture]) -> Path:
    """A folder of seven pictures in two folders, without loss."""
    folder = tmp_path / "photos"
    for n, picture in enumerate(pictures[:7]):
        path = folder / ("cats" if n % 2 else "dogs") / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return folder


@pytest.fixture
def prior(tmp_path: Path) -> Path:
    p = np.exp(-np.linalg.norm(bins.BINS, axis=1) / 25).astype(np.float32)
    path = tmp_path / "p.npy"
    np.save(path, p / p.sum())
    return path


def measured(asked: Evaluation, work: Path, workers: int = 1) -> Result:
    return evaluate(asked, work, workers=workers, progress=False)


def row_of(result: Result, name: str) -> int:
    return [row.name for row in result.rows].index(name)


def figures(result: Result, name: str) -> dict[str, float]:
    totals = result.totals()
    return figures_of(totals[row_of(result, name)], totals[0])


# --- figures against outsiders and by hand ---


def test_figures_of_a_folder_equal_other_libraries(
    photos: Path, prior: Path, tmp_path: Path, pictures: list[Picture]
) -> None:
    rng = np.random.default_rng(1)
    results = {}
    for n, picture in enumerate(pictures[:7]):
        result = np.clip(picture + rng.integers(-25, 26, (1, 1, 3)), 0, 255).astype(np.uint8)
        results[n] = result
        path = tmp_path / "theirs" / ("cats" if n % 2 else "dogs") / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(result).save(path)
    asked = Evaluation(
        (str(photos),), against=(("theirs", str(tmp_path / "theirs")),), prior=str(prior)
    )
    got = figures(measured(asked, tmp_path / "work"), "theirs")

    p = np.load(prior).astype(np.float64)
    above, below, psnr, delta_e = np.zeros(3), np.zeros(3), [], []
    invented = []
    chroma = np.zeros(2)
    for n, result in results.items():
        ours, truth = rgb2lab(result), rgb2lab(pictures[n])
        error = np.linalg.norm(ours[..., 1:] - truth[..., 1:], axis=-1)
        distance = np.linalg.norm(truth[..., None, 1:] - bins.BINS, axis=-1)
        share = p[distance.argmin(axis=-1)]
        for k, w in enumerate((np.ones_like(share), 1 / share, 1 / (share / 2 + 0.5 / 313))):
            above[k] += (w * error).sum()
            below[k] += w.sum()
        vivid = np.hypot(ours[..., 1], ours[..., 2]) > 30
        invented.append((vivid & (np.hypot(truth[..., 1], truth[..., 2]) < 8)).mean())
        psnr.append(peak_signal_noise_ratio(pictures[n], result))
        delta_e.append(deltaE_ciede2000(ours, truth).mean())
        chroma += [np.hypot(x[..., 1], x[..., 2]).sum() for x in (ours, truth)]
    assert got["auc_raw"] == pytest.approx(100 - above[0] / below[0] / 1.5, abs=0.01)
    # A pixel between two bins may fall to the other one in another library's last digit.
    assert got["auc_rebalanced_0"] == pytest.approx(100 - above[1] / below[1] / 1.5, abs=0.05)
    assert got["auc_rebalanced_0.5"] == pytest.approx(100 - above[2] / below[2] / 1.5, abs=0.02)
    assert got["psnr"] == pytest.approx(np.mean(psnr), abs=1e-6)
    assert got["delta_e_2000"] == pytest.approx(np.mean(delta_e), abs=0.01)
    assert got["chroma_share"] == pytest.approx(chroma[0] / chroma[1], abs=1e-3)
    assert got["inventions"] == pytest.approx(100 * np.mean(invented), abs=0.02)
    assert got["inventions_worst"] == pytest.approx(100 * max(invented), abs=0.05)
    assert max(invented) > 0.01
    cf = [np.mean([metrics.colorfulness(x) for x in xs]) for xs in (results.values(), pictures[:7])]
    assert got["colorfulness"] == pytest.approx(cf[0])
    assert got["delta_colorfulness"] == pytest.approx(abs(cf[0] - cf[1]))


def test_auc_from_sums_is_the_area_under_the_error_curve() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(0, 30, (40, 50, 2))
    ab = truth + rng.normal(0, 25, truth.shape)
    weights = rng.uniform(0.1, 5, truth.shape[:2])
    error = np.minimum(np.linalg.norm(ab - truth, axis=-1), 150) / 150
    sums = np.zeros(len(COLUMNS))
    for name, value in (
        ("error", error.sum()),
        ("pixels", error.size),
        ("error_0", (weights * error).sum()),
        ("weight_0", weights.sum()),
    ):
        Sums(sums)[name] = value
    got = figures_of(sums, sums)
    half_cell = 100 / 1500 / 2
    for key, w in (("auc_raw", None), ("auc_rebalanced_0", weights)):
        curve = metrics.auc(metrics.error_histogram(ab, truth, w))
        assert got[key] == pytest.approx(curve, abs=half_cell)


def test_the_worst_tenth_of_inventions_is_that_of_the_photos() -> None:
    rng = np.random.default_rng(6)
    for n in (40, 57, 200):
        shares = rng.beta(0.2, 4, n)
        sums = np.zeros((n, len(COLUMNS)))
        for row, share in zip(sums, shares, strict=True):
            Sums(row)["photos"] = 1
            Sums(row).invent(share)
        total = sums.sum(axis=0)
        got = figures_of(total, total)
        assert got["inventions"] == pytest.approx(100 * shares.mean())
        # A tenth of 57 is 5 and 0.7 of another one.
        ordered = np.sort(shares)[::-1]
        whole, part = divmod(n / 10, 1)
        worst = (ordered[: int(whole)].sum() + part * ordered[int(whole)]) / (n / 10)
        assert got["inventions_worst"] == pytest.approx(100 * worst, abs=1)
    # All of a photo, and nothing of any.
    for share in (1.0, 0.0):
        one = np.zeros(len(COLUMNS))
        Sums(one)["photos"] = 1
        Sums(one).invent(share)
        assert figures_of(one, one)["inventions_worst"] == pytest.approx(100 * share)


def test_the_baselines(photos: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation((str(photos),), prior=str(prior))
    result = measured(asked, tmp_path / "work")
    assert [row.name for row in result.rows] == ["original", "gray", "random"]
    original, gray, random = (figures(result, row.name) for row in result.rows)
    for key in ("auc_raw", "auc_rebalanced_0", "auc_rebalanced_0.5"):
        assert original[key] == 100
        assert gray[key] < 95
    assert original["delta_e_2000"] == original["delta_colorfulness"] == 0
    assert original["psnr"] == pytest.approx(EXACT) and gray["psnr"] < 40
    assert gray["chroma_share"] == gray["colorfulness"] == 0
    assert gray["delta_colorfulness"] == pytest.approx(original["colorfulness"])
    assert 0.3 < random["chroma_share"] < 2
    assert random["auc_raw"] < 100
    assert "nll" in gray and np.isnan(gray["nll"])


def test_random_has_the_colors_of_another_photo_and_the_lightness_of_this(
    photos: Path, prior: Path, tmp_path: Path
) -> None:
    scorer = measured(Evaluation((str(photos),), prior=str(prior)), tmp_path / "work").scorer
    for i in range(3):
        truth = scorer.original(i)
        rgb = scorer._recolored(i, truth)
        wrong = np.abs(rgb_to_L(rgb) - rgb_to_L(truth))
        assert wrong.max() <= 0.3
        assert np.linalg.norm((rgb_to_lab(rgb) - rgb_to_lab(truth))[..., 1:]) > 100
        np.testing.assert_array_equal(rgb, scorer._recolored(i, truth))


def test_gray_keeps_the_lightness() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    assert np.abs(gray_to_L(grayed(rgb)) - rgb_to_L(rgb)).max() < 0.3


# --- the distribution ---


def drawn(sharpness: float, told: float, seed: int = 1, raised: float = 0.0) -> Sums:
    """Truth drawn from a distribution; the model states its logits times `told`.

    `raised` is how strongly its training rebalanced the colors, which is to be taken off again.
    """
    rng = np.random.default_rng(seed)
    h, w = 48, 64
    peaks = rng.uniform(-30, 30, (h * w, 1, 2))
    distance = np.linalg.norm(bins.BINS - peaks, axis=-1)
    z = -sharpness * distance
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    true = (p.cumsum(axis=1) < rng.uniform(size=(h * w, 1))).sum(axis=1).clip(0, 312)
    lab = np.concatenate([np.full((h * w, 1), 50.0), bins.BINS[true]], axis=1)
    weights = (raised * np.linalg.norm(bins.BINS, axis=1) / 20).astype(np.float32)
    logits = (told * z).T.reshape(313, h, w).astype(np.float32) + weights[:, None, None]
    info = replace(load_model(threads=1).info, log_weights=weights)
    photo = open_photo(np.zeros((h, w), np.uint8))
    s = Sums(np.zeros(len(COLUMNS)))
    judge_distribution(
        Prediction(photo, np.full((h, w), 50, np.float32), Distribution(logits, info)),
        lab.reshape(h, w, 3).astype(np.float32),
        s,
    )
    return s


def calibration(s: Sums) -> float:
    figure = next(f for f in FIGURES if f.key == "calibration")
    return float(figure.of(s, s))


def test_a_model_calibrated_by_construction_is_found_calibrated() -> None:
    assert calibration(drawn(0.15, told=1)) < 0.4
    assert calibration(drawn(0.15, told=2)) > 4, "too sure"
    assert calibration(drawn(0.15, told=0.4)) > 1.5, "too modest"


def test_the_likelihood_of_an_honest_model_is_its_entropy() -> None:
    honest = drawn(0.15, told=1)
    assert honest["nll"] == pytest.approx(float(honest["entropy"]), abs=0.06)
    for told in (0.4, 2.0):
        assert drawn(0.15, told)["nll"] > honest["nll"] + 0.2
    # 313 bins alike: log2(313) bits whatever the truth is.
    assert drawn(0.15, told=0)["nll"] == pytest.approx(np.log2(313), abs=1e-3)


def test_rebalancing_is_taken_off_before_a_distribution_is_judged() -> None:
    plain, raised = drawn(0.15, told=1), drawn(0.15, told=1, raised=1.5)
    for name in ("nll", "entropy"):
        assert raised[name] == pytest.approx(float(plain[name]), abs=1e-3)
    assert calibration(raised) == pytest.approx(calibration(plain), abs=1e-2)


def test_rows_with_less_rebalancing_lean_less_towards_rare_colors() -> None:
    h, w = 8, 8
    weights = (np.linalg.norm(bins.BINS, axis=1) / 10).astype(np.float32)
    distance = np.linalg.norm(bins.BINS - [10.0, 10.0], axis=1)
    logits = (-0.1 * distance + weights).astype(np.float32)
    prediction = Prediction(
        open_photo(np.full((h, w), 128, np.uint8)),
        np.full((h, w), 50, np.float32),
        Distribution(
            np.broadcast_to(logits[:, None, None], (313, h, w)).copy(),
            replace(load_model(threads=1).info, log_weights=weights),
        ),
    )
    pictures = [_rendered(prediction, Row("m", "model", 0, 1.0, r)) for r in (1.0, 0.5, 0.0)]
    # By the definition: the mean of the bins under p w^r.
    for rgb, r in zip(pictures, (1.0, 0.5, 0.0), strict=True):
        p = np.exp(-0.1 * distance + r * weights)
        expected = (p[:, None] * bins.BINS).sum(axis=0) / p.sum()
        fitted = fit_gamut(np.float32(50), expected.astype(np.float32), np.uint8)
        assert np.abs(rgb[4, 4].astype(int) - fitted).max() <= 2


def test_time_is_that_of_network_and_rendering(
    photos: Path, prior: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Colorizer.predict

    def predict(self: Colorizer, *values: object) -> Prediction:
        time.sleep(0.2)
        return slow(self, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(Colorizer, "predict", predict)
    asked = Evaluation((str(photos),), (("m", "photochrom-1"),), prior=str(prior), limit=2, sweep=0)
    assert figures(measured(asked, tmp_path / "work"), "m")["ms"] > 200


def test_cells_count_every_bin_of_every_pixel_once() -> None:
    s = drawn(0.3, told=1)
    assert s.cells("count").sum() == pytest.approx(313)
    assert s.cells("stated").sum() == pytest.approx(1, abs=1e-4)
    assert s.cells("hit").sum() == pytest.approx(1)


# --- models ---


def test_a_model_has_its_columns_and_rows(photos: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation(
        (str(photos),),
        models=(("ours", "photochrom-1"),),
        temperatures=(0.0, 0.38),
        rebalance=(0.5, 1.0),
        prior=str(prior),
        sweep=3,
    )
    result = measured(asked, tmp_path / "work")
    names = [row.name for row in result.rows[3:]]
    assert names == [
        f"ours, T {t:g}, rebalance {r:g}" for r in (0.5, 1.0) for t in (0.0, 0.38)
    ]  # fmt: skip
    vivid, calm = (figures(result, names[k]) for k in (2, 1))
    assert vivid["colorfulness"] > calm["colorfulness"]
    assert 0 < vivid["nll"] < 20
    assert vivid["nll"] == calm["nll"], "one distribution behind all of them"
    assert 0 < vivid["ms"] < 60_000
    assert result.sweep.shape[:2] == (2, 9)
    cf = [figures_of(s, s)["colorfulness"] for s in result.sweep[0]]
    assert cf[0] > cf[-1], "colder is more vivid"
    assert Sums(result.sweep[0, 0])["photos"] == 3
    # The sweep's T = 0.38 and the row at T = 0.38 are one thing, on the same photos.
    first = result.sums[:3, row_of(result, "ours, T 0.38, rebalance 1")].sum(axis=0)
    assert cf[4] == pytest.approx(Sums(first)["colorfulness"] / 3, rel=1e-6)


def test_the_same_model_twice_does_not_differ(photos: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation(
        (str(photos),),
        models=(("a", "photochrom-1"), ("b", "photochrom-1")),
        prior=str(prior),
        sweep=0,
    )
    result = measured(asked, tmp_path / "work")
    differences = result.differences()
    for key, (low, high) in differences[row_of(result, "b")].items():
        assert np.isnan([low, high]).all(), f"{key}: of seven photos"
    several = replace(result, sums=np.repeat(result.sums, 50, axis=0))
    differences = several.differences(resamples=50)
    for key, (low, high) in differences[row_of(several, "b")].items():
        if key not in ("ms", "top_1", "ssim", "auc_rebalanced_0", "inventions_worst"):
            assert low == high == 0, key
    low, high = differences[row_of(several, "gray")]["chroma_share"]
    assert low <= high < 0


def test_one_row_for_a_regression() -> None:
    asked = Evaluation(("x",), models=(("r", "r.onnx"), ("c", "c.onnx")), temperatures=(0.38, 1))
    info = load_model().info
    regression = replace(info, bins=info.bins[:0], log_weights=info.log_weights[:0])
    names = [row.name for row in asked.rows([regression, info])]
    assert names == ["original", "gray", "random", "r", "c, T 0.38", "c, T 1"]


# --- with hints ---


def test_hints_are_true_colors_and_few_begin_like_many(pictures: list[Picture]) -> None:
    picture = np.repeat(np.repeat(pictures[0], 4, axis=0), 4, axis=1)
    many = true_hints(picture, 50, (0, 3))
    assert true_hints(picture, 7, (0, 3)) == many[:7] != true_hints(picture, 7, (0, 4))
    reach = min(picture.shape[:2]) // 80
    assert reach >= 1
    for x, y, rgb in many:
        assert 0 <= x < picture.shape[1] and 0 <= y < picture.shape[0]
        rows = slice(max(0, int(y) - reach), int(y) + reach + 1)
        columns = slice(max(0, int(x) - reach), int(x) + reach + 1)
        np.testing.assert_allclose(rgb, picture[rows, columns].mean(axis=(0, 1)))
    assert len({(x, y) for x, y, _ in many}) > 45, "they are spread"


def test_rows_with_hints_are_nearer_the_truth(photos: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation(
        (str(photos),),
        models=(("m", "photochrom-1"),),
        prior=str(prior),
        hints=(0, 1, 20),
        baselines=False,
    )
    result = measured(asked, tmp_path / "work")
    names = [row.name for row in result.rows]
    assert names == ["original", "gray", "m, 0 hints", "m, 1 hint", "m, 20 hints"]
    none, one, twenty = (figures(result, name) for name in names[2:])
    assert twenty["psnr"] > none["psnr"] + 1
    assert twenty["auc_raw"] > max(none["auc_raw"], one["auc_raw"])
    assert twenty["nll"] < none["nll"], "each number of hints has a distribution of its own"
    alone = replace(asked, hints=(20,))
    again = measured(alone, tmp_path / "alone")
    assert [row.name for row in again.rows] == ["original", "gray", "m"]
    assert figures(again, "m")["psnr"] == twenty["psnr"]


def test_hints_for_a_model_without_them_are_refused(photos: Path, tmp_path: Path) -> None:
    info = replace(load_model().info, channels=1)
    asked = Evaluation(("x",), models=(("m", "m.onnx"),), hints=(0, 5))
    with pytest.raises(ConfigError, match="m: this model doesn't take hints"):
        asked.rows([info])
    for hints in ((-1,), (5, 5), (), (100000,)):
        with pytest.raises(ConfigError):
            Evaluation(("x",), models=(("m", "m.onnx"),), hints=hints)
    command = ["evaluate", str(photos), "-o", str(tmp_path / "r"), "--hints", "few"]
    with pytest.raises(SystemExit):
        main(command)


# --- folders of others ---


def test_perfect_results_score_as_the_originals(photos: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation((str(photos),), against=(("copy", str(photos)),), prior=str(prior))
    result = measured(asked, tmp_path / "work")
    assert figures(result, "copy")["auc_raw"] == pytest.approx(100, abs=1e-4)
    assert figures(result, "copy")["chroma_share"] == pytest.approx(1)
    assert figures(result, "copy")["psnr"] == pytest.approx(EXACT), "not left out of the mean"


def test_photos_without_a_result_are_left_out_of_all_rows(
    photos: Path, prior: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    for path in photos.rglob("*.png"):
        target = theirs / path.relative_to(photos).with_suffix(".jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            if path.stem == "3":
                image = image.resize((20, 20))
            if path.stem != "5":
                image.save(target, quality=95)
    asked = Evaluation((str(photos),), against=(("theirs", str(theirs)),), prior=str(prior))
    result = measured(asked, tmp_path / "work")
    assert len(result.keys) == 5
    reasons = dict(result.skipped)
    assert set(reasons) == {"cats/3", "cats/5"}
    assert "size" in reasons["cats/3"] and "theirs has no result" in reasons["cats/5"]


def test_an_unreadable_photo_is_named_and_left_out(
    photos: Path, prior: Path, tmp_path: Path
) -> None:
    (photos / "dogs" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0nothing")
    result = measured(Evaluation((str(photos),), prior=str(prior)), tmp_path / "work")
    assert len(result.keys) == 7
    assert [name for name, _ in result.skipped] == ["dogs/broken"]


def test_larger_photos_are_reduced(tmp_path: Path, prior: Path) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    for n in range(2):
        pixels = np.random.default_rng(n).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{n}.png")
    asked = Evaluation((str(folder),), prior=str(prior), short_side=45)
    assert Sums(measured(asked, tmp_path / "a").sums)["pixels"][0, 0] == 45 * 60
    asked = replace(asked, short_side=0)
    assert Sums(measured(asked, tmp_path / "b").sums)["pixels"][0, 0] == 90 * 120


def test_subjects_and_classes_come_from_names(shard: Path, photos: Path, prior: Path) -> None:
    assert label_of("000123-objects-n01440764", True) == "n01440764"
    assert label_of("val/n01440764/x", False) == "n01440764"
    assert label_of("cats/1", False) == "cats"
    result = measured(Evaluation((str(photos),), prior=str(prior)), photos.parent / "work")
    assert sorted(set(result.subjects)) == ["cats", "dogs"]


def test_gray_photos_are_no_truth(photos: Path, prior: Path, tmp_path: Path) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (40, 40, 1), dtype=np.uint8).repeat(3, axis=2)
    for n in range(3):
        Image.fromarray(gray).save(photos / f"gray{n}.png")
    result = measured(Evaluation((str(photos),), prior=str(prior)), tmp_path / "work")
    assert len(result.keys) == 7 and {name for name, _ in result.skipped} == {
        "gray0", "gray1", "gray2",
    }  # fmt: skip
    assert "no color" in result.skipped[0][1]
    random = result.sums[:, row_of(result, "random")]
    assert (Sums(random)["chroma"] > 0).all(), "no photo got the colors of a gray one"


def test_results_beside_the_photos_are_results(photos: Path, prior: Path, tmp_path: Path) -> None:
    for path in list(photos.rglob("*.png"))[:3]:
        Image.open(path).save(path.with_name(f"{path.stem}.color.jpg"))
    Image.fromarray(np.full((40, 40, 3), [200, 9, 9], np.uint8)).save(photos / "my.color.png")
    asked = Evaluation((str(photos),), prior=str(prior))
    assert len(measured(asked, tmp_path / "a").keys) == 8, "my.color.png has no my.png: a photo"
    # The results of another colorizer may carry that name, too.
    against = replace(asked, against=(("ours", str(photos)),), limit=0)
    result = measured(against, tmp_path / "b")
    assert len(result.keys) == 8
    assert figures(result, "ours")["psnr"] < EXACT, "the .color files were compared"


def test_two_files_of_one_name_are_refused(photos: Path, prior: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for extension in ("png", "webp"):
        Image.fromarray(np.full((40, 40, 3), [200, 9, 9], np.uint8)).save(other / f"a.{extension}")
    with pytest.raises(DataError, match=r"a\.webp: has the same name as .*a\.png"):
        measured(Evaluation((str(other),), prior=str(prior)), tmp_path / "work")
    with pytest.raises(DataError, match="same name"):
        asked = Evaluation((str(photos),), against=(("x", str(other)),), prior=str(prior))
        measured(asked, tmp_path / "work")
    with pytest.raises(DataError, match="single photo"):
        measured(Evaluation((str(other / "a.png"),)), tmp_path / "work")


def test_names_that_are_no_text(photos: Path, prior: Path, tmp_path: Path) -> None:
    name = b"caf\xe9.png"
    target = os.path.join(os.fsencode(photos), name)
    with open(photos / "dogs" / "0.png", "rb") as source, open(target, "wb") as file:
        file.write(source.read())
    report = tmp_path / "report"
    command = ["evaluate", str(photos), "-o", str(report), "--sweep", "0", "--prior", str(prior)]
    assert main([*command, "--workers", "1", "-m", "photochrom-1"]) == 0
    assert "caf\ufffd" in (report / "photos.csv").read_text(encoding="utf-8")


def test_no_bin_rules_when_the_prior_is_that_of_the_photos(tmp_path: Path) -> None:
    # Mostly dull photos with a few pixels of the most saturated colors.
    folder = tmp_path / "dull"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(4):
        pixels = rng.integers(100, 156, (64, 64, 3)).astype(np.uint8)
        pixels[n, :3] = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
        Image.fromarray(pixels).save(folder / f"{n}.png")
    result = measured(Evaluation((str(folder),), prior="measured"), tmp_path / "work")
    weights = result.scorer.weights[0]
    share = np.zeros(313)
    for i in range(4):
        nearest = bins.nearest_bin(rgb_to_lab(result.scorer.original(i))[..., 1:]).ravel()
        share += np.bincount(nearest, weights=weights[nearest], minlength=313)
    share /= share.sum()
    # Smoothed, a bin's prior may be half its share; what is excluded is one that rules all.
    assert share.max() < 4 / (share > 0).sum()


# --- parts: resume, several processes ---


@pytest.fixture
def many(tmp_path: Path, pictures: list[Picture]) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(40):
        Image.fromarray(np.roll(pictures[n % 12], n, axis=1)[:40, :40]).save(folder / f"{n:02}.png")
    return folder


@pytest.mark.process
def test_several_processes_give_what_one_gives(many: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation((str(many),), models=(("m", "photochrom-1"),), prior=str(prior), sweep=20)
    one = measured(asked, tmp_path / "one")
    two = measured(asked, tmp_path / "two", workers=2)
    timeless = [i for i, name in enumerate(COLUMNS) if name != "ms"]
    np.testing.assert_allclose(
        one.sums[..., timeless], two.sums[..., timeless], rtol=1e-4, atol=1e-4
    )
    assert one.keys == two.keys
    assert not (tmp_path / "two" / "prior.npy").exists()


def test_goes_on_where_it_stopped(many: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation((str(many),), prior=str(prior))
    work = tmp_path / "work"
    first = measured(asked, work)
    parts = sorted(work.glob("part-*.npz"))
    assert len(parts) == 5
    parts[1].unlink()
    parts[2].write_bytes(parts[2].read_bytes()[:100])
    untouched = parts[0].stat().st_mtime_ns
    again = measured(asked, work)
    np.testing.assert_array_equal(first.sums, again.sums)
    np.testing.assert_array_equal(first.errors, again.errors)
    assert parts[0].stat().st_mtime_ns == untouched


def test_parts_of_another_evaluation_are_refused(many: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation((str(many),), prior=str(prior), limit=4)
    work = tmp_path / "report" / ".work"
    measured(asked, work)
    for other in (replace(asked, limit=5), replace(asked, short_side=32)):
        with pytest.raises(ConfigError, match="other settings"):
            measured(other, work)
    (many / "00.png").unlink()
    with pytest.raises(ConfigError, match="other settings"):
        measured(asked, work)
    forget(work)
    assert measured(asked, work).keys[0] == "01"
    stranger = tmp_path / "precious"
    stranger.mkdir()
    forget(stranger)
    assert stranger.exists()


def test_another_prior_is_another_evaluation(many: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation((str(many),), prior=str(prior), limit=9)
    work = tmp_path / "report" / ".work"
    measured(asked, work)
    np.save(prior, np.full(313, 1 / 313, np.float32))
    with pytest.raises(ConfigError, match="other settings"):
        measured(asked, work)
    with pytest.raises(ConfigError, match="other settings"):
        measured(replace(asked, prior=None), work)


def test_replaced_results_are_noticed(many: Path, prior: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for path in many.iterdir():
        (theirs / path.name).write_bytes(path.read_bytes())
    asked = Evaluation((str(many),), against=(("x", str(theirs)),), prior=str(prior), limit=4)
    work = tmp_path / "report" / ".work"
    measured(asked, work)
    data = (theirs / "00.png").read_bytes()
    (theirs / "00.png").write_bytes(data)
    os.utime(theirs / "00.png", ns=(1, 1))
    with pytest.raises(ConfigError, match="other settings"):
        measured(asked, work)


def test_settings_may_change_before_anything_is_scored(tmp_path: Path, prior: Path) -> None:
    folder, work = tmp_path / "photos", tmp_path / "report" / ".work"
    folder.mkdir()
    Image.fromarray(np.full((40, 40, 3), 99, np.uint8)).save(folder / "a.bmp")
    with pytest.raises(DataError, match=r"a\.bmp: not a"):
        measured(Evaluation((str(folder),)), work)
    (folder / "a.bmp").unlink()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    for n in range(2):
        Image.fromarray(np.roll(pixels, n)).save(folder / f"{n}.png")
    assert len(measured(Evaluation((str(folder),)), work).keys) == 2


def test_the_row_to_compare_with_can_be_named(many: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation((str(many),), prior=str(prior), limit=9)
    work = tmp_path / "report" / ".work"
    assert measured(asked, work).reference == 1
    named = measured(replace(asked, compare="random"), work)
    assert named.reference == 2
    with pytest.raises(ConfigError, match="the rows are original; gray; random"):
        measured(replace(asked, compare="rand"), work)


def test_starting_anew_forgets_only_once_all_is_in_order(
    many: Path, prior: Path, tmp_path: Path
) -> None:
    asked = Evaluation((str(many),), prior=str(prior), limit=9)
    work = tmp_path / "report" / ".work"
    measured(asked, work)
    with pytest.raises(ModelError):
        evaluate(replace(asked, models=(("m", "no.onnx"),)), work, anew=True, progress=False)
    with pytest.raises(ConfigError, match="no such row"):
        evaluate(replace(asked, compare="x"), work, anew=True, progress=False)
    assert len(list(work.glob("part-*.npz"))) == 2
    assert len(evaluate(replace(asked, limit=3), work, anew=True, progress=False).keys) == 3
    with pytest.raises(ConfigError, match="workers"):
        measured(asked, tmp_path / "other", workers=-1)


def test_random_takes_no_colors_from_results(tmp_path: Path, prior: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    Image.fromarray(noise[::-1].copy()).save(folder / "a.color.png")
    with pytest.raises(DataError, match="second photo"):
        measured(Evaluation((str(folder),), prior=str(prior)), tmp_path / "work")


def test_the_mean_difference_is_that_of_all_pixels() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform([0, -80, -80], [100, 80, 80], (2, 500, 300, 3)).astype(np.float32)
    whole = float(metrics.delta_e_2000(a, b).mean())
    assert _mean_delta_e(a, b) == pytest.approx(whole, rel=1e-9)
    wide = _mean_delta_e(a.reshape(1, -1, 3), b.reshape(1, -1, 3))
    assert wide == pytest.approx(whole, rel=1e-9)


def test_few_photos_have_no_interval(photos: Path, prior: Path, tmp_path: Path) -> None:
    few = measured(Evaluation((str(photos),), prior=str(prior)), tmp_path / "few")
    assert all(np.isnan(limits).all() for limits in few.intervals()[1].values())


def test_ctrl_c_stops_at_once_and_keeps_what_is_done(
    many: Path, prior: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    command = [
        sys.executable, "-m", "photochrom", "evaluate", str(many), "-o", str(report),
        "--prior", str(prior), "--sweep", "40", "--workers", "2",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and not list(report.glob(".work/part-*.npz")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate()
    if process.returncode == 0:
        pytest.fail("it was done before the signal came")
    assert process.returncode == 130, errors
    assert "run the same command again" in errors and "Traceback" not in errors
    kept = list(report.glob(".work/part-*.npz"))
    times = {path: path.stat().st_mtime_ns for path in kept}
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == times


def test_a_part_survives_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    part = Part(
        rng.random((2, 3, 4)),
        rng.random((3, 3, 5)),
        rng.random((2, 3, 4)),
        np.array([4, 7]),
        (("a\nb", "größer"),),
        rng.random((2, 3, 0)).astype(np.float32),
    )
    part.save(tmp_path / "p.npz")
    again = Part.load(tmp_path / "p.npz")
    assert again is not None and again.skipped == part.skipped
    np.testing.assert_array_equal(again.sums, part.sums)
    assert [p.name for p in tmp_path.iterdir()] == ["p.npz"]
    assert Part.load(tmp_path / "none.npz") is None


def test_a_killed_process_goes_on(many: Path, prior: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    command = [
        sys.executable, "-m", "photochrom", "evaluate", str(many), "-o", str(report),
        "--prior", str(prior), "--sweep", "40", "--workers", "2",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(report.glob(".work/part-*.npz")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (report / "report.json").exists()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((report / "report.json").read_text())["photos"] == 40
    assert not [p for p in report.iterdir() if p.name.startswith(".") and p.name != ".work"]


# --- what is refused ---


def test_senseless_settings_are_refused() -> None:
    for values in (
        {"models": (("a", "x"), ("a", "y"))},
        {"models": (("gray", "x"),)},
        {"models": (("a", "x"),), "against": (("a", "y"),)},
        {"baselines": False},
        {"temperatures": (-1.0,)},
        {"temperatures": ()},
        {"temperatures": (0.38, 0.38)},
        {"models": (("a\nb", "x"),)},
        {"rebalance": (1.5,)},
        {"short_side": 8},
        {"limit": -1},
    ):
        with pytest.raises(ConfigError):
            Evaluation(("photos",), **values)  # type: ignore[arg-type]


def test_missing_things_are_named(photos: Path, prior: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    with pytest.raises(DataError, match="nowhere"):
        measured(Evaluation((str(tmp_path / "nowhere"),)), work)
    with pytest.raises(ModelError, match=r"no\.onnx"):
        measured(Evaluation((str(photos),), models=(("m", "no.onnx"),)), work)
    with pytest.raises(DataError, match="prepare"):
        bad = tmp_path / "bad.npy"
        np.save(bad, np.ones(5))
        measured(Evaluation((str(photos),), prior=str(bad)), work)
    with pytest.raises(ConfigError, match="skip"):
        measured(Evaluation((str(photos),), skip=99), work)
    assert not work.exists()


def test_the_prior_is_published_given_or_measured_and_named(photos: Path, tmp_path: Path) -> None:
    p = np.full(313, 1 / 313, np.float32)
    np.save(photos / "prior.npy", p)
    given = Evaluation((str(photos),), prior=str(photos / "prior.npy"))
    result = measured(given, tmp_path / "a")
    assert "prior.npy" in result.prior
    gray = figures(result, "gray")
    assert gray["auc_rebalanced_0"] == pytest.approx(gray["auc_raw"], abs=1e-6)
    plain = measured(replace(given, prior=None), tmp_path / "b")
    assert "photochrom-1's training photos" in plain.prior
    assert not np.allclose(plain.scorer.weights[1], 1)
    assert (
        "measured on these photos"
        in measured(replace(given, prior="measured"), tmp_path / "c").prior
    )


def test_the_command(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report"
    command = ["evaluate", str(photos), "-o", str(report), "--sweep", "2", "--workers", "1"]
    assert main(command) == 0
    out = capsys.readouterr().out
    for word in ("original", "gray", "random", "photochrom-1", "AuC raw", "ΔE00", "report.html"):
        assert word in out
    assert {p.name for p in report.iterdir()} == {
        "report.html", "report.json", "photos.csv", ".work",
    }  # fmt: skip
    assert main(command) == 0, "once more: nothing left to do"
    assert main([*command, "--limit", "3"]) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*command, "--limit", "3", "--force"]) == 0
    assert json.loads((report / "report.json").read_text())["photos"] == 3
    assert main(["evaluate", str(photos), "-o", str(photos / "dogs" / "0.png")]) == 2
    assert main(["evaluate", str(photos), "-o", "/proc/none/report"]) == 1
    assert "/proc/none" in capsys.readouterr().err
    assert main(["evaluate", str(photos), "-o", str(report), "-m", "=x"]) == 2


def test_a_strangers_file_is_not_overwritten(photos: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.html").write_text("precious")
    assert main(["evaluate", str(photos), "-o", str(report)]) == 2
    assert (report / "report.html").read_text() == "precious"


def test_a_photo_too_large_to_be_measured_unreduced_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (50, 40), (200, 90, 40)).save(tmp_path / "a.png")
    store = open_store([str(tmp_path)])
    text = r"a\.png: has 50 x 40 pixels, over the limit .*--short-side"
    with pytest.raises(PhotoError, match=text):
        read_reduced(store, 0, 0, most_pixels=40 * 50 - 1)
    assert read_reduced(store, 0, 32, most_pixels=40 * 50 - 1).shape == (32, 40, 3)
    assert read_reduced(store, 0, 0, most_pixels=40 * 50).shape == (40, 50, 3)
