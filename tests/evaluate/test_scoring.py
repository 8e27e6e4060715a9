"""How a distribution is judged."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from photochrom import Prediction
from photochrom.color import bins
from photochrom.color.lab import fit_gamut
from photochrom.colorizer import Colorizer
from photochrom.distribution import Distribution
from photochrom.evaluate.figures import COLUMNS, FIGURES, Sums
from photochrom.evaluate.question import Evaluation, Row
from photochrom.evaluate.scoring import _rendered, judge_distribution
from photochrom.models import load_model
from photochrom.photo.open import open_photo
from tests.evaluate.measured import figures, measured

pytestmark = pytest.mark.slow


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
