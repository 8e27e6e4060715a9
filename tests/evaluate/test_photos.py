"""Photos and the results of others: found, paired, reduced or refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photochrom import DataError, PhotoError
from photochrom.cli.main import main
from photochrom.color import bins
from photochrom.color.lab import rgb_to_lab
from photochrom.evaluate.figures import EXACT, Sums
from photochrom.evaluate.photos import open_store, read_reduced
from photochrom.evaluate.question import Evaluation
from photochrom.naming import label_of
from tests.evaluate.measured import figures, measured, row_of

pytestmark = pytest.mark.slow


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
    result = measured(Evaluation((str(folder),)), tmp_path / "work")
    weights = result.scorer.weights[0]
    share = np.zeros(313)
    for i in range(4):
        nearest = bins.nearest_bin(rgb_to_lab(result.scorer.original(i))[..., 1:]).ravel()
        share += np.bincount(nearest, weights=weights[nearest], minlength=313)
    share /= share.sum()
    # Smoothed, a bin's prior may be half its share; what is excluded is one that rules all.
    assert share.max() < 4 / (share > 0).sum()


# --- parts: resume, several processes ---


def test_random_takes_no_colors_from_results(tmp_path: Path, prior: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    Image.fromarray(noise[::-1].copy()).save(folder / "a.color.png")
    with pytest.raises(DataError, match="second photo"):
        measured(Evaluation((str(folder),), prior=str(prior)), tmp_path / "work")


# --- what is refused ---


def test_a_photo_too_large_to_be_measured_unreduced_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (50, 40), (200, 90, 40)).save(tmp_path / "a.png")
    store = open_store([str(tmp_path)])
    text = r"a\.png: has 50 x 40 pixels, over the limit .*--short-side"
    with pytest.raises(PhotoError, match=text):
        read_reduced(store, 0, 0, most_pixels=40 * 50 - 1)
    assert read_reduced(store, 0, 32, most_pixels=40 * 50 - 1).shape == (32, 40, 3)
    assert read_reduced(store, 0, 0, most_pixels=40 * 50).shape == (40, 50, 3)
