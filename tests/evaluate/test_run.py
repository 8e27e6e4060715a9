"""A whole evaluation: its rows, with hints, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from photochrom import ConfigError, DataError, ModelError
from photochrom.cli.main import main
from photochrom.evaluate.figures import Sums, figures_of
from photochrom.evaluate.photos import true_hints
from photochrom.evaluate.question import Evaluation
from photochrom.models import load_model
from tests.evaluate.measured import Picture, figures, measured, row_of

pytestmark = pytest.mark.slow


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
    several = replace(result, sums=np.repeat(result.sums, 60, axis=0))
    differences = several.differences(resamples=50)
    for key, (low, high) in differences[row_of(several, "b")].items():
        if key not in ("ms", "top_1", "ssim", "lpips", "auc_rebalanced_0", "inventions_worst"):
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
    for x, y, rgb in ((hint.x, hint.y, hint.color) for hint in many):
        assert 0 <= x < picture.shape[1] and 0 <= y < picture.shape[0]
        rows = slice(max(0, int(y) - reach), int(y) + reach + 1)
        columns = slice(max(0, int(x) - reach), int(x) + reach + 1)
        np.testing.assert_allclose(rgb, picture[rows, columns].mean(axis=(0, 1)))
    assert len({(hint.x, hint.y) for hint in many}) > 45, "they are spread"


def test_rows_with_hints_are_nearer_the_truth(photos: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation(
        (str(photos),),
        models=(("m", "photochrom-1"),),
        prior=str(prior),
        hints=(0, 1, 20),
        baselines=False,
        limit=4,
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
    command += ["--limit", "4"]
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
