"""Many photos: each once, nothing half, nothing of others touched, whatever happens meanwhile."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from photochrom import Colorizer
from photochrom.batch.find import find_photos, target_of
from photochrom.batch.job import Attempt, FileState, Job, Settings
from photochrom.batch.manifest import MANIFEST, Manifest, read_manifests
from photochrom.batch.plan import ALTERED, plan
from photochrom.batch.work import Coloring, Outcome, color
from photochrom.cli.folders import Progress
from photochrom.cli.main import main
from photochrom.errors import ConfigError, PhotoError
from photochrom.photo.read import read_photo

DRAFT = re.compile(r"\.photochrom-")


def draw(path: Path, seed: int, size: tuple[int, int] = (48, 64)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6), dtype=np.uint8)
    image = PIL.Image.fromarray(coarse).resize(size[::-1], PIL.Image.Resampling.BICUBIC)
    image.save(path)
    return path


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of all files by name, but for manifests."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".jsonl"
    }


def states(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {path.name: path.stat() for path in folder.iterdir()}
    return {name: (s.st_ino, s.st_size, s.st_mtime_ns) for name, s in found.items()}


def lines(out: Path, name: str = MANIFEST) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / name).read_bytes().splitlines()]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "photochrom", "colorize", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def settings(colorizer: Colorizer) -> Settings:
    return Settings.of(colorizer, 0.38, 1.0, [])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return tmp_path / "scans"


@pytest.fixture
def once(
    colorizer: Colorizer, settings: Settings, scans: Path, out: Path
) -> Callable[..., dict[str, tuple[str, str]]]:
    """Runs a batch in this process: (what was done, why or the error) by result."""

    def do(
        source: Path = scans, settings: Settings = settings, **options: Any
    ) -> dict[str, tuple[str, str]]:
        photos = []
        for path in find_photos(str(source), str(out)):
            folder = os.path.join(out, os.path.relpath(os.path.dirname(path), source))
            photos.append((path, os.path.normpath(target_of(path, folder, False))))
        told = {}
        with Manifest(out) as manifest:
            work = Coloring(settings, manifest)
            vars(work)["_colorizer"] = colorizer
            for step in list(plan(photos, settings, str(out), **options)):
                told[step.job.result] = (step.do, step.why)
                if step.do == "color":
                    outcome = work(step.job)
                    told[step.job.result] = (outcome.kind, outcome.error or step.why)
        assert not [p for p in out.rglob("*") if DRAFT.match(p.name)]
        return told

    return do


# --- which photos, and where to -------------------------------------------------------------------


def test_photos_are_found_in_order_without_hidden_files_and_the_output(
    tmp_path: Path,
) -> None:
    names = ["b/2.JPG", "b/10.tif", "a.png", "a.heic", "notes.txt", ".hidden.jpg", "a.color.png"]
    for name in [*names, "out/a.png", "b/out/a.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_photos(str(tmp_path), str(tmp_path / "out"))
    assert [os.path.relpath(path, tmp_path) for path in found] == [
        "a.color.png", "a.heic", "a.png", "b/10.tif", "b/2.JPG", "b/out/a.png",
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

    def found(skip: str | None) -> list[str]:
        return [os.path.basename(path) for path in find_photos(str(tmp_path), skip)]

    assert found(None) == ["a.png", "autochrome.color.png", "b.bmp"]
    assert found(str(tmp_path / "out")) == sorted(os.listdir(tmp_path))
    for name in ("a.color.png", "b.bmp", "b.color.png"):
        (tmp_path / name).unlink()
    assert main(["colorize", str(tmp_path), "--workers", "1"]) == 0
    (tmp_path / "a.png").unlink()  # the manifest still knows whose result its own is
    assert found(None) == found(str(tmp_path / "out")) == ["autochrome.color.png"]


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
    for folder in ("color", "1931"):
        assert said.count(f"{scans / folder}: skipped the results of an earlier run") == 1

    # The folder itself as an input: they are asked for.
    assert main(["colorize", str(scans / "color"), "-o", str(out / "2"), "--workers", "1"]) == 0
    assert len(list((out / "2").rglob("*.png"))) == 3


def test_links_to_files_are_followed_and_links_to_folders_are_told(tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere/a.png", 1)
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "file.png").symlink_to(tmp_path / "elsewhere/a.png")
    (scans / "loop").symlink_to(scans)
    (scans / "folder").symlink_to(tmp_path / "elsewhere")
    told: list[str] = []
    found = list(find_photos(str(scans), None, pytest.fail, told.append))
    assert found == [str(scans / "file.png")]
    assert [text.split(":")[0] for text in told] == [str(scans / "folder"), str(scans / "loop")]


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    assert list(find_photos(str(tmp_path / "gone"), None, told.append)) == []
    assert "gone: the folder cannot be read: No such file" in told[0]


@pytest.mark.parametrize(
    ("source", "beside", "target"),
    [
        ("s/a.jpg", False, "o/a.jpg"),
        ("s/a.TIF", False, "o/a.TIF"),
        ("s/a.jfif", False, "o/a.png"),
        ("s/a.b.webp", True, "o/a.b.color.webp"),
        ("s/a\nb", True, "o/a\nb.color.png"),
    ],
)
def test_targets(source: str, beside: bool, target: str) -> None:
    assert target_of(source, "o", beside) == target


# --- the manifest ---------------------------------------------------------------------------------


def test_a_line_says_it_all(once: Any, scans: Path, out: Path, settings: Settings) -> None:
    draw(scans / "1923/été\n写真.png", 1)
    once()
    (line,) = lines(out)
    result = out / "1923/été\n写真.png"
    assert line["source"] == str(scans / "1923/été\n写真.png")
    assert line["result"] == "1923/été\n写真.png"
    assert line["error"] is None
    assert line["settings"] == {
        "temperature": 0.38,
        "saturation": 1.0,
        "hints": [],
        "size": 160,
        "keep_color": 0.0,
        "quality": None,
    }
    assert line["model"] == {"name": settings.model, "sha256": settings.model_sha256}
    assert line["time"].endswith("+00:00") and line["seconds"] > 0
    for path, said in ((scans / line["result"], "source_file"), (result, "result_file")):
        status = path.stat()
        assert line[said] == {
            "size": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }


def test_a_torn_line_is_passed_over_and_the_next_begins_anew(
    once: Any, scans: Path, out: Path
) -> None:
    draw(scans / "a.png", 1)
    draw(scans / "b.png", 2)
    once()
    whole = (out / MANIFEST).read_bytes()
    first = whole.splitlines(keepends=True)[0]
    for torn in (b'{"sou', first[:-1], first[: len(first) // 2], b"\0" * 50, b"[" * 100_000):
        (out / MANIFEST).write_bytes(whole + torn)
        known = read_manifests(out)
        assert sorted(known) == ["a.png", "b.png"]
        assert set(once().values()) == {("skip", "done")}
        assert (out / MANIFEST).read_bytes() == whole + torn + b"\n"
    # As a full disk does it: the next line follows on the torn one.
    (out / MANIFEST).write_bytes(first[:70] + whole)
    assert sorted(read_manifests(out)) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    "line",
    [
        b"1", b"[]", b"{}", b"null", b'{"source": 1}',
        b'{"source": "a", "result": [], "error": null, "time": "", "settings": {}, '
        b'"model": {"sha256": ""}, "source_file": null, "result_file": null}',
        b'{"source": "a", "result": "a", "error": null, "time": 3, "settings": {}, '
        b'"model": {"sha256": ""}, "source_file": null, "result_file": null}',
        b'{"source": "a", "result": "a", "error": null, "time": "", "settings": 5, '
        b'"model": [], "source_file": {"size": 1}, "result_file": {}}',
    ],
)  # fmt: skip
def test_lines_that_are_not_ours_say_nothing(out: Path, line: bytes) -> None:
    out.mkdir()
    (out / MANIFEST).write_bytes(line + b"\n")
    assert read_manifests(out) == {}


def test_an_error_hides_no_earlier_result_but_can_take_its_own_back(
    out: Path, settings: Settings
) -> None:
    good, other = FileState(1, 2, "3"), FileState(4, 5, "6")
    job = Job("a.png", "out/a.png", "a.png")
    with Manifest(out) as manifest:
        manifest.append(job, settings, Attempt(0.1, good, good))
        manifest.append(job, settings, Attempt(0.1, error="cannot be read"))
        assert read_manifests(out)["a.png"].result_file == good
        manifest.append(job, settings, Attempt(0.1, good, other))
        assert read_manifests(out)["a.png"].result_file == other
        attempt = Attempt(0.1, error="no name was free", result=other)
        manifest.append(job, settings, attempt)
        assert read_manifests(out) == {}


def test_of_two_manifests_the_later_line_counts_and_within_one_the_last(
    out: Path, settings: Settings
) -> None:
    states = [FileState(n, n, str(n)) for n in range(4)]
    job = Job("a.png", "out/a.png", "a.png")
    for shard, first in (((2, 3), 0), ((1, 1), 2)):
        with Manifest(out, shard) as manifest:
            for state in states[first : first + 2]:
                manifest.append(job, settings, Attempt(0.1, state, state))
                time.sleep(0.002)  # their times have milliseconds
    assert sorted(path.name for path in out.iterdir()) == ["photochrom-2-of-3.jsonl", MANIFEST]
    assert read_manifests(out)["a.png"].result_file == states[3]
    # A clock that was set back does not turn the order of a manifest around.
    found = lines(out)
    found[1]["time"] = found[0]["time"].replace("20", "19", 1)
    (out / "photochrom-2-of-3.jsonl").unlink()
    (out / MANIFEST).write_text("".join(json.dumps(line) + "\n" for line in found))
    assert read_manifests(out)["a.png"].result_file == states[3]


@pytest.mark.slow
def test_a_shard_runs_once_at_a_time(out: Path) -> None:
    with Manifest(out, (1, 2)), Manifest(out, (2, 2)), Manifest(out):
        for shard in ((1, 2), (2, 2), (1, 1)):
            with pytest.raises(ConfigError, match="is in use by another run"):
                Manifest(out, shard, patience=0.15)
    Manifest(out).close()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_who_sweeps_stands_in_no_ones_way(out: Path) -> None:
    for number in (1, 2, 3):
        Manifest(out, (number, 3)).close()
    began: list[int] = []

    def folders() -> Iterator[str]:
        for number in (2, 3):
            yield str(out)
            Manifest(out, (number, 3), patience=0).close()
            began.append(number)

    with Manifest(out, (1, 3)) as manifest:
        manifest.sweep(folders())
    assert began == [2, 3]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PhotoError, match=r"file.*cannot be written"):
        Manifest(tmp_path / "file/out")
    (tmp_path / "out" / MANIFEST).mkdir(parents=True)
    with pytest.raises(PhotoError, match=r"photochrom.jsonl: cannot be written"):
        Manifest(tmp_path / "out")


def test_only_the_drafts_of_runs_that_have_ended_are_swept(out: Path) -> None:
    (out / "sub").mkdir(parents=True)
    Manifest(out, (1, 3)).close()
    with Manifest(out, (2, 3)), Manifest(out) as manifest:
        kept = [
            out / ".photochrom-draft-2-of-3-0123456789abcdef.jpg",  # at work
            out / ".photochrom-draft-3-of-3-0123456789abcdef.jpg",  # of no manifest that is here
            out / ".photochrom-0123456789abcdef.jpg",  # of a single photo
            out / ".photochrom-draft-x.jpg",
            out / "photochrom-draft-0123456789abcdef.jpg",
        ]
        gone = [
            out / ".photochrom-draft-0123456789abcdef.jpg",
            out / "sub/.photochrom-draft-1-of-3-0123456789abcdef.png",
            Path(manifest.draft(str(out / "sub/x.tiff"))),
        ]
        for path in kept + gone:
            path.touch()
        manifest.sweep([str(out), str(out / "sub"), str(out / "not there")])
        assert all(path.exists() for path in kept)
        assert not any(path.exists() for path in gone)


# --- what is to do --------------------------------------------------------------------------------


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


def test_a_result_gets_its_name_when_it_and_its_line_are_on_the_disk(
    once: Any, scans: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(scans / "a.png", 1)
    sync, link = os.fsync, os.link
    synced: list[str] = []

    def slow(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        if "draft" in name:
            event.wait(60)  # until the line is on the disk
        sync(descriptor)
        synced.append("draft" if "draft" in name else name)
        if name == MANIFEST:
            event.set()

    def named(*names: str) -> None:
        assert synced == [MANIFEST, "draft"]
        assert len((out / MANIFEST).read_bytes().splitlines()) == 1
        link(*names)

    event = threading.Event()
    monkeypatch.setattr(os, "fsync", slow)
    monkeypatch.setattr(os, "link", named)
    assert once() == {"a.png": ("done", "new")}
    assert (out / "a.png").exists()


@pytest.mark.slow
def test_a_result_that_the_disk_does_not_take_has_no_name_and_its_line_does_not_count(
    once: Any, scans: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(scans / "a.png", 1)
    sync = os.fsync

    def full(descriptor: int) -> None:
        if "draft" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    kind, error = once()["a.png"]
    assert kind == "failed" and "cannot be written: No space left on device" in error
    assert tree(out) == {} and read_manifests(out) == {}
    monkeypatch.setattr(os, "fsync", sync)
    assert once() == {"a.png": ("done", "new")}


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
    steps = list(plan([(str(a), str(b)), (str(b), str(a))], settings, str(scans), force=True))
    assert [step.do for step in steps] == ["fail", "fail"]
    assert all("originals are never overwritten" in step.why for step in steps)


def test_two_photos_with_one_result_are_told_and_the_right_one_is_done(
    settings: Settings, scans: Path, out: Path
) -> None:
    draw(scans / "a.png", 1)
    shutil.copy(draw(scans / "b.jpg", 2), scans / "a.jfif")
    shutil.copy(scans / "b.jpg", scans / "b.jfif")
    shutil.copy(scans / "b.jpg", scans / "b.jpe")
    photos = [(path, target_of(path, str(out), False)) for path in find_photos(str(scans))]
    do = {os.path.basename(s.job.source): s for s in plan(photos, settings, str(out))}
    assert {name: step.do for name, step in do.items()} == {
        "a.jfif": "fail", "a.png": "color", "b.jfif": "color", "b.jpe": "fail", "b.jpg": "color",
    }  # fmt: skip
    assert f"{scans / 'a.png'} would have the same result" in do["a.jfif"].why


def test_each_photo_is_in_one_shard_and_stays_there(settings: Settings, out: Path) -> None:
    photos = [(f"s/{n}.jpg", str(out / f"{n % 7}/{n}.jpg")) for n in range(400)]
    where = {}
    for i in (1, 2, 3):
        for step in plan(photos, settings, str(out), shard=(i, 3)):
            assert step.job.source not in where
            where[step.job.source] = i
    assert len(where) == 400
    assert min(list(where.values()).count(i) for i in (1, 2, 3)) > 100
    fewer = plan(photos[::2], settings, str(out), shard=(2, 3))
    assert all(where[step.job.source] == 2 for step in fewer)


def test_a_photo_that_changes_while_it_is_read_is_not_published(
    once: Any, scans: Path, out: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = draw(scans / "a.png", 1)
    predict = colorizer.predict

    def slow(*arguments: Any) -> Any:
        prediction = predict(*arguments)
        draw(path, 2)
        return prediction

    monkeypatch.setattr(colorizer, "predict", slow)
    kind, error = once()["a.png"]
    assert kind == "failed" and "changed while it was being read" in error
    assert tree(out) == {}
    monkeypatch.undo()
    assert once()["a.png"] == ("done", "new")


def test_a_name_that_is_taken_at_the_last_moment_is_not_ours_afterwards(
    once: Any, scans: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(scans / "a.png", 1)
    append = Manifest.append

    def rival(manifest: Manifest, *arguments: Any, **options: Any) -> None:
        append(manifest, *arguments, **options)
        (out / "a.png").write_bytes(b"precious")

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "append", rival)
        assert once()["a.png"][0] == "failed"
    kind, error = once()["a.png"]
    assert kind == "fail" and "not a known result" in error
    assert (out / "a.png").read_bytes() == b"precious"


def test_any_exception_is_the_failure_of_one_photo(
    once: Any, scans: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(scans / "a.png", 1)
    for error, words in (
        (ZeroDivisionError("a\nb"), "a.png: failed unexpectedly: ZeroDivisionError: a b"),
        (MemoryError(), "a.png: not enough memory"),
    ):

        def broken(*arguments: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(colorizer, "predict", broken)
        kind, message = once()["a.png"]
        assert kind == "failed" and words in message


# --- the real command -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 40 photos of all formats in folders, with two that cannot be read."""
    scans = tmp_path_factory.mktemp("archive") / "scans"
    for n in range(40):
        suffix = ("jpg", "png", "tif", "webp", "jpg", "png")[n % 6]
        draw(scans / f"box {n % 3}/{n:02}.{suffix}", n, (90 + n, 120))
    (scans / "box 1/bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    (scans / "empty.png").touch()
    return scans


@pytest.fixture(scope="module")
def undisturbed(archive: Path) -> dict[str, str]:
    """The results of a run that nothing disturbed."""
    out = archive.parent / "undisturbed"
    before = tree(archive)
    done = run(archive, "-o", out, "--workers", 2)
    assert done.returncode == 1
    assert "40 done, 2 failed" in done.stderr
    assert "bad.jpg" in done.stderr and "empty.png" in done.stderr
    assert done.stdout == "" and "\r" not in done.stderr  # no bar where there is no terminal
    assert tree(archive) == before
    made = tree(out)
    assert len(made) == 40
    return made


def test_the_number_of_workers_and_shards_changes_no_byte(
    archive: Path, undisturbed: dict[str, str], out: Path
) -> None:
    assert run(archive, "-o", out, "--workers", 1, "--shard", "1/2").returncode in (0, 1)
    part = tree(out)
    assert 0 < len(part) < 40
    assert part.items() <= undisturbed.items()
    rest = run(archive, "-o", out, "--workers", 3, "--shard", "2/2")
    assert f"{40 - len(part)} done" in rest.stderr
    assert tree(out) == undisturbed
    both = [line["result"] for n in (1, 2) for line in lines(out, f"photochrom-{n}-of-2.jsonl")]
    assert len(both) == len(set(both)) == 42
    again = run(archive, "-o", out)
    assert "0 done, 2 failed, 40 already done" in again.stderr


class Archiving:
    """The command at work on an archive, to be stopped at a moment that its own progress names."""

    def __init__(self, archive: Path, out: Path, *arguments: str) -> None:
        self.out = out
        self.process = subprocess.Popen(
            [sys.executable, "-m", "photochrom", "colorize", archive, "-o", out, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.first = self.lines()

    def lines(self) -> int:
        manifest = self.out / MANIFEST
        return manifest.read_bytes().count(b"\n") if manifest.exists() else 0

    def wait(self, count: int, draft: bool) -> None:
        """Until so many more photos are in the manifest, and maybe until a draft is seen."""
        while self.process.poll() is None:
            if self.lines() - self.first >= count and (
                not draft or any(DRAFT.match(p.name) for p in self.out.rglob(".photochrom-*"))
            ):
                return
            time.sleep(0.001)

    def end(self, how: signal.Signals, group: bool = False) -> str:
        if group:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        return self.process.communicate()[1]


@pytest.fixture
def archiving(archive: Path, out: Path) -> Iterator[Callable[..., Archiving]]:
    started: list[Archiving] = []

    def start(*arguments: str) -> Archiving:
        started.append(Archiving(archive, out, *arguments))
        return started[-1]

    yield start
    for at_work in started:
        if at_work.process.poll() is None:
            at_work.end(signal.SIGKILL, group=True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment_it_leaves_nothing_broken_and_the_next_run_finishes(
    archive: Path, undisturbed: dict[str, str], out: Path, archiving: Any, seed: int
) -> None:
    before = tree(archive)
    rng = random.Random(seed)
    for _ in range(4):
        at_work = archiving("--workers", "2")
        at_work.wait(rng.randrange(0, 9), draft=rng.random() < 0.7)
        at_work.end(signal.SIGKILL, group=rng.random() < 0.5)
        whole = {name: h for name, h in tree(out).items() if not DRAFT.match(Path(name).name)}
        assert whole.items() <= undisturbed.items()  # each that has its name is whole
    done = run(archive, "-o", out, "--workers", 2)
    assert done.returncode == 1 and " 2 failed" in done.stderr, done.stderr
    assert tree(out) == undisturbed  # and so no draft is left either
    assert tree(archive) == before
    assert "0 done, 2 failed, 40 already done" in run(archive, "-o", out).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_finishes_what_is_in_hand_and_says_how_to_go_on(
    archive: Path, undisturbed: dict[str, str], out: Path, archiving: Any, how: signal.Signals
) -> None:
    at_work = archiving("--workers", "2")
    at_work.wait(3, draft=False)
    error = at_work.end(how, group=True)  # as a terminal and a job scheduler do: all hear it
    assert at_work.process.returncode == 128 + how
    assert "finishing the photos in progress" in error and "run the same command again" in error
    assert "Traceback" not in error and "died" not in error
    made = tree(out)
    assert 0 < len(made) < 40 and made.items() <= undisturbed.items()
    named = [line["result"] for line in lines(out) if not line["error"]]
    assert sorted(named) == sorted(made)  # all that was begun is in the manifest
    assert run(archive, "-o", out).returncode == 1
    assert tree(out) == undisturbed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_the_model_is_loaded_is_one_and_begins_nothing(
    undisturbed: dict[str, str], out: Path, archiving: Any, how: signal.Signals
) -> None:
    at_work = archiving("--workers", "2")
    children = Path(f"/proc/{at_work.process.pid}/task/{at_work.process.pid}/children")
    end = time.monotonic() + 60
    while len(workers := children.read_text().split()) < 3:  # one is multiprocessing's own
        assert time.monotonic() < end
        time.sleep(0.005)
    error = at_work.end(how)
    assert at_work.process.returncode == 128 + how
    assert "photochrom: interrupted" in error and "Traceback" not in error
    assert not tree(out)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers[1:])


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_second_interrupt_drops_what_is_in_hand(
    undisturbed: dict[str, str], out: Path, archiving: Any
) -> None:
    at_work = archiving("--workers", "2")
    at_work.wait(2, draft=True)
    for _ in range(2):
        at_work.process.send_signal(signal.SIGINT)
        time.sleep(0.01)  # two signals of a kind at once are one
    error = at_work.process.communicate()[1]
    assert at_work.process.returncode == 130, error
    assert "Traceback" not in error
    assert tree(out).items() <= undisturbed.items()  # and no draft


def test_a_dry_run_says_what_would_be_done_and_does_nothing(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    would = run(archive, "-o", out, "--dry-run")
    assert would.returncode == 0 and not out.exists()
    assert "42 to color, 0 that will fail, 0 already done" in would.stderr
    assert f"color  {archive}/box 0/00.jpg -> {out}/box 0/00.jpg  (new)" in would.stdout
    run(archive / "box 0", "-o", out)
    before = states(out)
    (out / "03.webp").write_bytes(b"mine")
    (out / "00.jpg").unlink()
    would = run(archive / "box 0", "-o", out, "--dry-run")
    changed = states(out).items() ^ before.items()
    assert {name for name, _ in changed} == {"00.jpg", "03.webp"}
    assert "its result is missing" in would.stdout and ALTERED in would.stdout
    assert would.returncode == 0


def test_wrong_usage(archive: Path, out: Path) -> None:
    for arguments in (["--shard", "3/2"], ["--shard", "0/2"], ["--shard", "x"], ["--workers", "0"]):
        done = run(archive, "-o", out, *arguments)
        assert done.returncode == 2 and "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.process
def test_a_folder_without_output_goes_on_as_well(tmp_path: Path, capfd: Any) -> None:
    scans = tmp_path / "scans"
    draw(scans / "a.png", 1)
    draw(scans / "sub/b.jpg", 2)
    assert main(["colorize", str(scans)]) == 0
    assert set(tree(scans)) == {"a.png", "a.color.png", "sub/b.jpg", "sub/b.color.jpg"}
    draw(scans / "c.png", 3)
    assert main(["colorize", str(scans)]) == 0
    assert "1 done, 0 failed, 2 already done" in capfd.readouterr().err
    # The input as output: nothing but originals stands there.
    before = tree(scans)
    for arguments in ([], ["--force"]):
        assert main(["colorize", str(scans), "-o", str(scans), *arguments]) == 1
        assert tree(scans) == before


def test_without_a_terminal_there_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress(3, every=0.0) as progress:
        for kind, error in (("done", ""), ("failed", "a\nb.jpg: broken"), ("done", "")):
            progress.count(Outcome(kind, error))  # type: ignore[arg-type]
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("photochrom: 1 done, 0 failed, 2 left, about ")
    assert told[1] == "photochrom: a\\nb.jpg: broken"
    assert told[2].startswith("photochrom: 1 done, 1 failed, 1 left")
    assert len(told) == 3


# --- workers that die -----------------------------------------------------------------------------


class Deadly(Coloring):
    """Dies at photos by their names, as of too little memory or of a bug in a decoder."""

    def __call__(self, job: Job) -> Outcome:
        name = os.path.basename(job.source)
        if name == "crash.png":
            os.kill(os.getpid(), signal.SIGSEGV)
        if name == "always.png" or (name == "once.png" and not Path(job.source + ".died").exists()):
            Path(job.source + ".died").touch()
            assert self.manifest is not None
            Path(self.manifest.draft(job.target)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(job)


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.process
def test_a_dead_worker_costs_one_photo_and_one_out_of_memory_gets_a_second_chance(
    scans: Path, out: Path, settings: Settings, capfd: Any
) -> None:
    names = ["a.png", "always.png", "b.png", "crash.png", "c.png", "once.png", "d.png", "e.png"]
    photos = [(str(draw(scans / name, n)), str(out / name)) for n, name in enumerate(names)]
    with Manifest(out) as manifest:
        jobs = [step.job for step in plan(photos, settings, str(out))]
        outcomes = {j.result: o for j, o in color(jobs, Deadly(settings, manifest), 2)}
    assert {name for name, o in outcomes.items() if o.kind == "failed"} == {
        "always.png",
        "crash.png",
    }
    assert "a worker died on this photo (exit code -9)" in outcomes["always.png"].error
    assert "(exit code -11)" in outcomes["crash.png"].error
    assert set(tree(out)) == {"a.png", "b.png", "c.png", "d.png", "e.png", "once.png"}
    failed = {line["result"] for line in lines(out) if line["error"]}
    assert failed == {"always.png", "crash.png"}


# --- what a result does not have ------------------------------------------------------------------


def animated(path: Path) -> Path:
    frames = [PIL.Image.fromarray(np.full((48, 64), v, np.uint8)) for v in (40, 120, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    return path


@pytest.mark.process
def test_frames_that_are_left_out_are_said_and_noted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    draw(source / "still.jpg", 1)
    moving = animated(source / "moving.webp")
    note = f"{moving}: holds 3 frames; only the first is colored"
    assert main(["colorize", str(moving), "-o", str(tmp_path / "one.webp")]) == 0
    assert capfd.readouterr().err == f"photochrom: {note}\n"
    assert main(["colorize", str(source), "-o", str(out), "--workers", "1"]) == 0
    assert f"photochrom: {note}\n" in capfd.readouterr().err
    assert {line["result"]: line.get("notes") for line in lines(out)} == {
        "moving.webp": [note],
        "still.jpg": None,
    }
    assert main(["colorize", str(source), "-o", str(out), "--workers", "1"]) == 0
    assert "0 done, 0 failed, 2 already done" in capfd.readouterr().err  # such lines are read too


@pytest.mark.process
def test_a_quality_is_said_to_have_no_effect_without_loss(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.tif", "c.jpg"):
        source = draw(tmp_path / "in" / name, 1)
        target = tmp_path / f"one{name}"
        assert main(["colorize", str(source), "-o", str(target), "--quality", "80"]) == 0
        said = capfd.readouterr().err
        assert ("--quality has no effect" in said) == (name != "c.jpg")
    arguments = ["colorize", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--workers", "1"]
    assert main([*arguments, "--quality", "80"]) == 0
    assert "--quality has no effect on 2 results" in capfd.readouterr().err


def test_only_an_ordinary_file_is_a_manifest(tmp_path: Path, scans: Path) -> None:
    draw(scans / "below" / "a.png", 0)
    os.mkfifo(scans / "below" / MANIFEST)
    (scans / "photochrom-1-of-2.jsonl").symlink_to("/dev/zero")
    assert read_manifests(scans) == read_manifests(scans / "below") == {}
    assert list(find_photos(str(scans))) == [str(scans / "below" / "a.png")]
    with pytest.raises(PhotoError, match="is not a file"):
        Manifest(scans / "below")


def test_a_line_without_end_takes_no_memory_and_hides_no_other(
    once: Any, scans: Path, out: Path
) -> None:
    draw(scans / "a.png", 0)
    once()
    manifest = out / MANIFEST
    manifest.write_bytes(b"x" * (3 << 20) + b"\n" + manifest.read_bytes())
    assert once() == {"a.png": ("skip", "done")}


def test_a_source_that_vanishes_while_it_is_colored_is_named(
    once: Any, scans: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = draw(scans / "a.png", 0)
    color_file = Colorizer.color_file

    def vanish(self: Colorizer, photo: Any, *arguments: Any, **options: Any) -> None:
        path.unlink()
        color_file(self, photo, *arguments, **options)

    monkeypatch.setattr(Colorizer, "color_file", vanish)
    ((kind, error),) = once().values()
    assert kind == "failed" and f"{path}: has gone" in error
    assert tree(out) == {}


def test_an_output_folder_that_is_deleted_during_a_run_is_named(
    colorizer: Colorizer, settings: Settings, scans: Path, out: Path
) -> None:
    source = str(draw(scans / "a.png", 0))
    with Manifest(out) as manifest:
        work = Coloring(settings, manifest)
        vars(work)["_colorizer"] = colorizer
        shutil.rmtree(out)
        outcome = work(Job(source, str(out / "a.png"), "a.png"))
    assert outcome.kind == "failed" and "was deleted or moved during the run" in outcome.error
    assert tree(out) == {}


def test_folders_that_are_hidden_or_of_the_system_are_not_entered(scans: Path) -> None:
    kept = draw(scans / "box 1" / "a.png", 0)
    for name in (".Trash-1000", ".picasaoriginals", "@eaDir", "#recycle", "$RECYCLE.BIN"):
        draw(scans / name / "a.png", 1)
        draw(scans / "box 1" / name / "below" / "a.png", 1)
    draw(scans / "lost+found" / "a.png", 1)
    assert list(find_photos(str(scans))) == [str(kept)]
    named = scans / ".picasaoriginals"  # named by the user, it is entered
    assert list(find_photos(str(named))) == [str(named / "a.png")]
