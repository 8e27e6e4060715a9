from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from photochrom import Prediction
from photochrom.color.resize import area_shrink
from photochrom.evaluate.figures import (
    CANDIDATES,
    COLUMNS,
    FIGURES,
    SATURATIONS,
    Sums,
    figures_of,
)
from photochrom.evaluate.question import Evaluation, Row
from photochrom.evaluate.result import Result
from photochrom.evaluate.scoring import judge_candidates
from photochrom.evaluate.similarity import ssim

BY_KEY = {f.key: f for f in FIGURES}


def result_of(photos: int, *, off: float = 0.0) -> Result:
    """Random sums of the originals, gray and one more row; its CF is `off` from the originals'."""
    rng = np.random.default_rng(0)
    sums = rng.uniform(1, 2, (photos, 3, len(COLUMNS)))
    for r in range(3):
        row = Sums(sums[:, r])
        for unit in ("photos", "distributions", "timed", "varied", "compared"):
            row[unit] = 1
        row["labeled"] = np.arange(photos) % 2
        row["colorfulness"] = 40 + rng.standard_normal(photos) + (off if r == 2 else 0)
    rows = (Row("original", "truth"), Row("gray", "gray"), Row("x", "folder", 0))
    empty = np.zeros(0)
    return Result(
        Evaluation(("photos",)), rows, sums, empty, empty, (), np.arange(photos), (), (), "", (),
        {}, None,  # type: ignore[arg-type]
    )  # fmt: skip


def known(photos: int) -> set[str]:
    limits = result_of(photos).intervals(resamples=50)[2]
    return {key for key, (low, _) in limits.items() if np.isfinite(low)}


@pytest.mark.slow
def test_a_figure_has_an_interval_from_as_many_photos_as_it_takes() -> None:
    assert BY_KEY["auc_raw"].fewest == 34
    assert BY_KEY["auc_rebalanced_0.5"].fewest == 87
    assert BY_KEY["auc_rebalanced_0"].fewest > 1900
    assert known(29) == set()
    assert "psnr" in known(30) and "auc_raw" not in known(30)
    assert "auc_raw" in known(34) and "auc_rebalanced_0.5" not in known(86)
    assert "auc_rebalanced_0.5" in known(87)
    assert "top_1" not in known(58) and "top_1" in known(60), "of the photos with a class"


@pytest.mark.slow
def test_the_interval_of_an_absolute_difference_reaches_0_where_its_sign_is_open() -> None:
    near = result_of(60, off=0.0).intervals(resamples=200)[2]["delta_colorfulness"]
    assert near[0] == 0 < near[1] < 1
    far = result_of(60, off=-9.0).intervals(resamples=200)[2]["delta_colorfulness"]
    assert 8 < far[0] < 9 < far[1] < 10


@pytest.mark.slow
def test_a_row_that_is_the_reference_does_not_differ_from_it() -> None:
    result = replace(result_of(60), asked=Evaluation(("photos",), compare="x"))
    for low, high in result.differences(resamples=50)[2].values():
        assert np.isnan(low) or low == high == 0


def lab_of(ab: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([np.full((*ab.shape[:2], 1), 50, np.float32), ab], axis=2)


@pytest.mark.slow
def test_the_best_of_several_is_0_for_a_truth_among_them(prediction: Prediction) -> None:
    plain = prediction.distribution.ab()
    s = Sums(np.zeros(len(COLUMNS)))
    judge_candidates(prediction, lab_of(plain), 0, s)
    figures = figures_of(s.values, s.values)
    assert figures["best_of_candidates"] == pytest.approx(0, abs=1e-5)
    assert figures["best_of_saturations"] == pytest.approx(0, abs=1e-5)
    assert figures["diversity"] > 1

    candidate = prediction.distribution.candidates(CANDIDATES - 1, 0)[1].ab()
    judge_candidates(prediction, lab_of(candidate), 0, s)
    figures = figures_of(s.values, s.values)
    assert figures["best_of_candidates"] == pytest.approx(0, abs=1e-5)
    expected = min(np.linalg.norm(x * plain - candidate, axis=-1).mean() for x in SATURATIONS)
    assert figures["best_of_saturations"] == pytest.approx(expected, rel=1e-4) != 0


@pytest.mark.slow
def test_candidates_are_judged_at_the_networks_resolution(prediction: Prediction) -> None:
    h, w = prediction.distribution.size
    large = np.random.default_rng(0).normal(0, 20, (4 * h, 4 * w, 3)).astype(np.float32)
    small = np.stack([area_shrink(large[..., c], (h, w)) for c in range(3)], axis=-1)
    found = []
    for lab in (large, small):
        s = Sums(np.zeros(len(COLUMNS)))
        judge_candidates(prediction, lab, 0, s)
        found.append(float(s["nearest"]))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_ssim_is_that_of_scikit_image_and_1_for_equal_photos() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    b = np.clip(a + rng.normal(0, 30, a.shape), 0, 255).astype(np.uint8)
    assert ssim(a, a) == pytest.approx(1)
    each = [
        structural_similarity(
            a[..., c], b[..., c], data_range=255, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
        for c in range(3)
    ]  # fmt: skip
    assert ssim(b, a) == pytest.approx(np.mean(each), abs=1e-6) and ssim(b, a) < 0.99


def test_the_two_rebalanced_columns_say_what_they_are() -> None:
    assert "at least 1e-05" in BY_KEY["auc_rebalanced_0"].about
    assert "half" in BY_KEY["auc_rebalanced_0.5"].title
    assert "1 / (p / 2 + 1 / 626)" in BY_KEY["auc_rebalanced_0.5"].about
