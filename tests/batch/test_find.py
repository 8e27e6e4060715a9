"""Which photos of a folder are colored, and where to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from photochrom.batch.find import Asked, Found, Teller, _below, find, target_of
from photochrom.cli.main import main
from tests.batch.scans import draw


def photos(*inputs: Path, output: Path | None = None, tell: Teller | None = None) -> list[str]:
    """The photos that are found, in order."""
    asked = Asked([str(path) for path in inputs], None if output is None else str(output))
    return [source for source, _ in find(asked, tell).photos]


# --- which photos, and where to -------------------------------------------------------------------


def test_photos_are_found_in_order_without_hidden_files_and_the_output(
    tmp_path: Path,
) -> None:
    names = ["b/2.JPG", "b/10.tif", "a.png", "a.heic", "notes.txt", ".hidden.jpg", "a.color.png"]
    for name in [*names, "out/a.png", "b/out/a.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = photos(tmp_path, output=tmp_path / "out")
    assert [os.path.relpath(path, tmp_path) for path in found] == [
        "a.heic", "a.png", "b/10.tif", "b/2.JPG", "b/out/a.png",
    ]  # fmt: skip


@pytest.mark.process
def test_a_photo_that_is_named_like_a_result_is_one_unless_it_is_beside_its_photo(
    tmp_path: Path, capfd: Any
) -> None:
    draw(tmp_path / "autochrome.color.png", 1)
    draw(tmp_path / "a.png", 2)
    (tmp_path / "a.color.png").touch()
    (tmp_path / "b.bmp").touch()
    (tmp_path / "b.color.png").touch()

    def found(output: Path | None) -> list[str]:
        return [os.path.basename(path) for path in photos(tmp_path, output=output)]

    assert found(None) == found(tmp_path / "out") == ["a.png", "autochrome.color.png", "b.bmp"]
    for name in ("a.color.png", "b.bmp", "b.color.png"):
        (tmp_path / name).unlink()
    assert main(["colorize", str(tmp_path), "--workers", "1"]) == 0
    (tmp_path / "a.png").unlink()  # the manifest still knows whose result its own is
    assert found(None) == found(tmp_path / "out") == ["autochrome.color.png"]


@pytest.mark.process
def test_results_of_an_earlier_run_among_the_photos_are_left_out(
    tmp_path: Path, capfd: Any
) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    draw(scans / "1931" / "a.png", 1)
    draw(scans / "b.png", 2)
    assert main(["colorize", str(scans), "-o", str(scans / "color"), "--workers", "1"]) == 0
    # Results beside the photos have their manifest there as well, and photos are photos.
    assert main(["colorize", str(scans / "1931"), "--workers", "1"]) == 0
    draw(scans / "color" / "other.png", 3)  # no result
    capfd.readouterr()
    assert main(["colorize", str(scans), "-o", str(out), "--workers", "1"]) == 0
    said = capfd.readouterr().err
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*.png"))
    assert made == ["1931/a.png", "b.png", "color/other.png"]
    assert said.count("skipped the results of an earlier run") == 1
    assert f"{scans / 'color'}: skipped the results of an earlier run" in said

    # The same rule if their folder is named.
    assert main(["colorize", str(scans / "color"), "-o", str(out / "2"), "--workers", "1"]) == 0
    assert [path.name for path in (out / "2").rglob("*.png")] == ["other.png"]


def test_links_to_files_are_followed_and_links_to_folders_are_told(tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere/a.png", 1)
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "file.png").symlink_to(tmp_path / "elsewhere/a.png")
    (scans / "loop").symlink_to(scans)
    (scans / "folder").symlink_to(tmp_path / "elsewhere")
    told: list[str] = []
    found = photos(scans, tell=Teller(pytest.fail, told.append))
    assert found == [str(scans / "file.png")]
    assert [text.split(":")[0] for text in told] == [str(scans / "folder"), str(scans / "loop")]


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    gone = str(tmp_path / "gone")
    assert list(_below(gone, Asked([gone]), Teller(told.append), Found())) == []
    assert "gone: the folder cannot be read: No such file" in told[0]


@pytest.mark.parametrize(
    ("source", "beside", "target"),
    [
        ("s/a.jpg", False, "o/a.jpg"),
        ("s/a.TIF", False, "o/a.TIF"),
        ("s/a.gif", False, "o/a.png"),
        ("s/a.b.webp", True, "o/a.b.color.webp"),
        ("s/a\nb", True, "o/a\nb.color.png"),
    ],
)
def test_targets(source: str, beside: bool, target: str) -> None:
    assert target_of(source, "o", beside) == target


# --- what a result does not have ------------------------------------------------------------------


def test_folders_that_are_hidden_or_of_the_system_are_not_entered(scans: Path) -> None:
    kept = draw(scans / "box 1" / "a.png", 0)
    for name in (".Trash-1000", ".picasaoriginals", "@eaDir", "#recycle", "$RECYCLE.BIN"):
        draw(scans / name / "a.png", 1)
        draw(scans / "box 1" / name / "below" / "a.png", 1)
    draw(scans / "lost+found" / "a.png", 1)
    assert photos(scans) == [str(kept)]
    named = scans / ".picasaoriginals"  # named by the user, it is entered
    assert photos(named) == [str(named / "a.png")]
