"""Photos and their fakes: paired by name."""

from pathlib import Path

import pytest

from photochrom import ConfigError, StudyError
from photochrom.study.pairs import find_pairs
from tests.study.taking_part import pairs_of


def test_photos_pair_by_path_without_extension(study_folders: Path) -> None:
    pairs = pairs_of(study_folders, "ours", "calm")
    assert len(pairs.files) == 14 and "trip/03" in pairs.files and "01" in pairs.files
    real, ours, calm = pairs.files["trip/03"]
    assert (real.suffix, ours.suffix, calm.suffix) == (".jpg", ".png", ".webp")
    assert pairs.unpaired == {"real": (), "ours": (), "calm": ()}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_only_photos_of_every_method_are_used(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg", "real/b.jpg", "real/c.jpg", "real/notes.txt", "real/.d.jpg")
    touch(tmp_path, "one/a.png", "one/b.png", "one/.d.jpg", "two/b.tif", "two/sub/a.tif")
    pairs = pairs_of(tmp_path, "one", "two")
    assert list(pairs.files) == ["b"]
    assert pairs.unpaired == {"real": ("a", "c"), "one": ("a",), "two": ("sub/a",)}


def test_results_beside_their_photos_pair_too(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.color.jpg", "b/c.png", "b/c.color.png")
    pairs = find_pairs(tmp_path, [("ours", tmp_path)])
    assert {k: [p.name for p in v] for k, v in pairs.files.items()} == {
        "a": ["a.jpg", "a.color.jpg"],
        "b/c": ["c.png", "c.color.png"],
    }


def test_folders_that_make_no_sense_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg", "one/b.jpg", "two/a.jpg", "two/a.png", "same/a.jpg")
    (tmp_path / "same/a.jpg").unlink()
    (tmp_path / "same/a.jpg").hardlink_to(tmp_path / "real/a.jpg")
    real = tmp_path / "real"
    for fakes, error, text in (
        ([], ConfigError, "NAME=DIR"),
        ([("x", tmp_path / "none")], ConfigError, "no such folder"),
        ([("real", real)], ConfigError, "another name"),
        ([("x", real), ("x", real)], ConfigError, "twice"),
        ([("x", tmp_path / "one")], StudyError, "none of its 1 photos"),
        ([("x", tmp_path / "two")], StudyError, "a.png: stands for the same photo"),
        ([("x", tmp_path / "same")], StudyError, "is the original itself"),
    ):
        with pytest.raises(error, match=text):
            find_pairs(real, fakes)
