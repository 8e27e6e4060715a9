"""Parts of an evaluation: it goes on where it stopped, in one process or several."""

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
from PIL import Image

from photochrom import ConfigError, DataError, ModelError
from photochrom.evaluate.figures import COLUMNS
from photochrom.evaluate.part import Part
from photochrom.evaluate.question import Evaluation
from photochrom.evaluate.run import evaluate
from photochrom.evaluate.work import forget
from tests.evaluate.measured import Picture, figures, measured, row_of

pytestmark = pytest.mark.slow


@pytest.fixture
def many(tmp_path: Path, pictures: list[Picture]) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(40):
        Image.fromarray(np.roll(pictures[n % 12], n, axis=1)[:40, :40]).save(folder / f"{n:02}.png")
    return folder


@pytest.mark.process
def test_several_processes_give_what_one_gives(many: Path, prior: Path, tmp_path: Path) -> None:
    asked = Evaluation(
        (str(many),), models=(("m", "photochrom-1"),), prior=str(prior), sweep=5, limit=16
    )
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
    low, high = named.differences()[row_of(named, "gray")]["chroma_share"]
    share = figures(named, "random")["chroma_share"]
    assert low <= -share <= high
    with pytest.raises(ConfigError, match="the rows are original; gray; random"):
        measured(replace(asked, compare="rand"), work)


def test_starting_over_forgets_only_once_all_is_in_order(
    many: Path, prior: Path, tmp_path: Path
) -> None:
    asked = Evaluation((str(many),), prior=str(prior), limit=9)
    work = tmp_path / "report" / ".work"
    measured(asked, work)
    with pytest.raises(ModelError):
        evaluate(replace(asked, models=(("m", "no.onnx"),)), work, force=True, progress=False)
    with pytest.raises(ConfigError, match="no such row"):
        evaluate(replace(asked, compare="x"), work, force=True, progress=False)
    assert len(list(work.glob("part-*.npz"))) == 2
    assert len(evaluate(replace(asked, limit=3), work, force=True, progress=False).keys) == 3
    with pytest.raises(ConfigError, match="workers"):
        measured(asked, tmp_path / "other", workers=-1)


def test_stopped_or_killed_it_keeps_what_is_done_and_goes_on(
    many: Path, prior: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    command = [
        sys.executable, "-m", "photochrom", "evaluate", str(many), "-o", str(report),
        "--prior", str(prior), "--sweep", "20", "--workers", "2",
    ]  # fmt: skip

    def parts() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in report.glob(".work/part-*.npz")}

    def end_at_the_next_part(how: signal.Signals) -> tuple[int, str]:
        before = parts()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        while process.poll() is None and len(parts()) == len(before):
            time.sleep(0.01)
        if process.poll() is not None:
            pytest.fail(f"it was done before the signal came: {process.communicate()[1]}")
        os.killpg(process.pid, how)  # as a terminal does: all hear it
        _, errors = process.communicate()
        assert parts().items() >= before.items()
        assert not (report / "report.json").exists()
        return process.returncode, errors

    code, errors = end_at_the_next_part(signal.SIGINT)
    assert code == 130, errors
    assert "run the same command again" in errors and "Traceback" not in errors
    end_at_the_next_part(signal.SIGKILL)
    kept = parts()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert parts().items() >= kept.items()
    assert json.loads((report / "report.json").read_text())["photos"] == 40
    assert not [p for p in report.iterdir() if p.name.startswith(".") and p.name != ".work"]


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
