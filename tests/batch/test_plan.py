"""What a run has to do: all that is new or changed, and nothing of others."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from photochrom.batch.find import Asked, find
from photochrom.batch.job import Places, Settings
from photochrom.batch.plan import ALTERED, Rules, plan
from photochrom.photo.read import read_photo
from tests.batch.scans import draw, states, tree


@pytest.mark.slow
def test_a_second_run_skips_what_is_done(once: Any, scans: Path, out: Path) -> None:
    for n in range(3):
        draw(scans / f"{n}.png", n)
    assert set(once().values()) == {("done", "new")}
    before = states(out)
    assert set(once().values()) == {("skip", "done")}
    assert states(out) == before
    draw(scans / "3.png", 3)
    assert once()["3.png"] == ("done", "new")


@pytest.mark.slow
def test_other_settings_are_done_again_and_the_first_ones_too(
    once: Any, scans: Path, out: Path, settings: Settings
) -> None:
    draw(scans / "a.png", 1)
    once()
    first = tree(out)
    for change in (
        {"saturation": 0.5},
        {"temperature": 0.9},
        {"hints": ((1.0, 2.0, (255.0, 0.0, 0.0)),)},
        {"working_size": 192},
        {"model_sha256": "0" * 64},
    ):
        other = replace(settings, **change)
        assert once(settings=other) == {"a.png": ("done", "other settings")}
        assert once(settings=other) == {"a.png": ("skip", "done")}
    assert once(settings=replace(settings, model="renamed"))["a.png"][0] == "done"
    assert once() == {"a.png": ("skip", "done")}
    assert tree(out) == first


@pytest.mark.slow
def test_a_photo_that_changed_is_done_again(once: Any, scans: Path, out: Path) -> None:
    draw(scans / "a.png", 1)
    once()
    first = tree(out)
    draw(scans / "a.png", 2)
    assert once() == {"a.png": ("done", "may be another photo")}
    assert tree(out) != first
    assert once() == {"a.png": ("skip", "done")}


def test_a_photo_that_was_only_touched_or_moved_is_not(
    once: Any, scans: Path, out: Path, tmp_path: Path
) -> None:
    draw(scans / "a.png", 1)
    once()
    made = tree(out)
    os.utime(scans / "a.png", (1, 1))
    assert once() == {"a.png": ("skipped", "may be another photo")}
    assert once() == {"a.png": ("skip", "done")}  # the look into it was noted
    shutil.copytree(scans, tmp_path / "moved")
    assert once(tmp_path / "moved") == {"a.png": ("skipped", "may be another photo")}
    assert once(tmp_path / "moved") == {"a.png": ("skip", "done")}
    assert tree(out) == made


def test_equal_names_and_dates_of_two_archives_are_two_photos(
    once: Any, scans: Path, out: Path, tmp_path: Path
) -> None:
    for seed, folder in ((1, scans), (2, tmp_path / "other")):
        folder.mkdir()
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 20), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / "a.tif")  # not compressed: of equal size
        os.utime(folder / "a.tif", (0, 0))
    once()
    made = tree(out)
    kind, error = once(tmp_path / "other")["a.tif"]
    assert kind == "failed"
    assert str(scans / "a.tif") in error and "another output folder" in error
    assert tree(out) == made
    assert once(tmp_path / "other", force=True) == {"a.tif": ("done", "forced")}
    assert tree(out) != made


@pytest.mark.slow
def test_a_result_that_is_gone_or_empty_is_made_again(once: Any, scans: Path, out: Path) -> None:
    draw(scans / "a.png", 1)
    once()
    made = tree(out)
    (out / "a.png").unlink()
    assert once() == {"a.png": ("done", "its result is missing")}
    # What a kill leaves where there are no hard links.
    (out / "a.png").write_bytes(b"")
    assert once() == {"a.png": ("done", "its result is missing")}
    assert tree(out) == made


@pytest.mark.slow
def test_a_file_of_others_is_never_replaced_without_force(
    once: Any, scans: Path, out: Path
) -> None:
    draw(scans / "a.png", 1)
    draw(scans / "b.png", 1)
    out.mkdir()
    (out / "a.png").write_bytes(b"precious")
    (out / "b.png").write_bytes(b"")
    for result in ("a.png", "b.png"):
        kind, error = once()[result]
        assert kind == "fail"
        assert "--force" in error and str(out / result) in error
    assert (out / "a.png").read_bytes() == b"precious" and (out / "b.png").read_bytes() == b""
    assert set(once(force=True).values()) == {("done", "forced")}
    assert read_photo(out / "a.png").width == 64


@pytest.mark.slow
def test_a_result_that_others_changed_stays_theirs(
    once: Any, scans: Path, out: Path, settings: Settings
) -> None:
    draw(scans / "a.png", 1)
    once()
    with (out / "a.png").open("ab") as file:
        file.write(b"a caption")
    theirs = tree(out)
    assert once() == {"a.png": ("skip", ALTERED)}
    kind, error = once(settings=replace(settings, saturation=0.5))["a.png"]
    assert kind == "failed" and "has changed since" in error
    assert tree(out) == theirs
    # A copy of the output folder with other dates is still ours.
    once(force=True)
    os.utime(out / "a.png", (1, 1))
    assert once(settings=replace(settings, saturation=0.5))["a.png"][0] == "done"


@pytest.mark.parametrize("what", ["folder", "link to nowhere", "link to a photo"])
def test_what_stands_in_the_place_of_a_result_is_not_removed(
    once: Any, scans: Path, out: Path, tmp_path: Path, settings: Settings, what: str
) -> None:
    draw(scans / "a.png", 1)
    other = draw(tmp_path / "other.png", 2)
    content = other.read_bytes()
    once()
    (out / "a.png").unlink()
    if what == "folder":
        (out / "a.png").mkdir()
    else:
        (out / "a.png").symlink_to(other if what == "link to a photo" else tmp_path / "nowhere")
    kind, error = once(settings=replace(settings, saturation=0.5))["a.png"]
    assert kind in ("fail", "failed") and "a.png" in error and "Error" not in error
    assert other.read_bytes() == content
    assert (out / "a.png").is_dir() or (out / "a.png").is_symlink()


def test_with_force_an_original_is_still_safe(scans: Path, settings: Settings) -> None:
    a, b = draw(scans / "a.png", 1), draw(scans / "sub/a.png", 2)
    steps = list(
        plan([(str(a), str(b)), (str(b), str(a))], settings, str(scans), Rules(force=True))
    )
    assert [step.do for step in steps] == ["fail", "fail"]
    assert all("originals are never overwritten" in step.why for step in steps)


def test_two_photos_with_one_result_are_told_and_the_right_one_is_done(
    settings: Settings, scans: Path, out: Path
) -> None:
    draw(scans / "a.png", 1)
    shutil.copy(draw(scans / "b.jpg", 2), scans / "a.gif")
    shutil.copy(scans / "b.jpg", scans / "b.bmp")
    shutil.copy(scans / "b.jpg", scans / "b.gif")
    photos = find(Asked([str(scans)], str(out))).photos
    do = {os.path.basename(s.job.source): s for s in plan(photos, settings, str(out))}
    assert {name: step.do for name, step in do.items()} == {
        "a.gif": "fail", "a.png": "color", "b.bmp": "color", "b.gif": "fail", "b.jpg": "color",
    }  # fmt: skip
    assert f"{scans / 'a.png'} would have the same result" in do["a.gif"].why


def test_each_photo_is_in_one_shard_and_stays_there(settings: Settings, out: Path) -> None:
    photos = [(f"s/{n}.jpg", str(out / f"{n % 7}/{n}.jpg")) for n in range(400)]
    where = {}
    for i in (1, 2, 3):
        for step in plan(photos, settings, str(out), Rules(shard=(i, 3))):
            assert step.job.source not in where
            where[step.job.source] = i
    assert len(where) == 400
    assert min(list(where.values()).count(i) for i in (1, 2, 3)) > 100
    fewer = plan(photos[::2], settings, str(out), Rules(shard=(2, 3)))
    assert all(where[step.job.source] == 2 for step in fewer)


def test_absolute_paths_are_those_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = Places()
    for path in (
        "a",
        "./a",
        "b/../a",
        "b//a",
        "/a",
        "//a",
        "a/",
        "",
        ".",
        "b/..",
        "/",
        "b/c/é.jpg",
    ):
        assert places.of(path) == places.of(path) == os.path.abspath(path)
