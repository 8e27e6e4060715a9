"""Figures, against other libraries and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio

from photochrom.color import bins, metrics
from photochrom.color.lab import gray_to_L, rgb_to_L, rgb_to_lab
from photochrom.evaluate.figures import COLUMNS, EXACT, Sums, figures_of
from photochrom.evaluate.photos import grayed
from photochrom.evaluate.question import Evaluation
from photochrom.evaluate.scoring import _mean_delta_e
from tests.evaluate.measured import Picture, figures, measured

pytestmark = pytest.mark.slow


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


# --- parts: resume, several processes ---


def test_the_mean_difference_is_that_of_all_pixels() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform([0, -80, -80], [100, 80, 80], (2, 500, 300, 3)).astype(np.float32)
    whole = float(metrics.delta_e_2000(a, b).mean())
    assert _mean_delta_e(a, b) == pytest.approx(whole, rel=1e-9)
    wide = _mean_delta_e(a.reshape(1, -1, 3), b.reshape(1, -1, 3))
    assert wide == pytest.approx(whole, rel=1e-9)


def test_few_photos_have_no_interval(photos: Path, prior: Path, tmp_path: Path) -> None:
    few = measured(Evaluation((str(photos),), prior=str(prior), limit=3), tmp_path / "few")
    assert all(np.isnan(limits).all() for limits in few.intervals()[1].values())
    low, high = measured(
        Evaluation((str(photos),), prior=str(prior)), tmp_path / "all"
    ).intervals()[1]["auc_raw"]
    assert low < high
