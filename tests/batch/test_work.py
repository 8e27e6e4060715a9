"""Each photo once, nothing half, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from photochrom import Colorizer
from photochrom.batch.history import read_manifests
from photochrom.batch.job import Job, Settings
from photochrom.batch.manifest import MANIFEST, Manifest
from photochrom.batch.plan import plan
from photochrom.batch.run import Pace, color
from photochrom.batch.work import Coloring, Outcome
from photochrom.cli.main import main
from tests.batch.scans import draw, lines, tree

# --- what is to do --------------------------------------------------------------------------------


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
        kind, message = once(retry=True)["a.png"]
        assert kind == "failed" and words in message


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
        outcomes = {j.result: o for j, o in color(jobs, Deadly(settings, manifest), Pace(2))}
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
        vars(work.engine)["colorizer"] = colorizer
        shutil.rmtree(out)
        outcome = work(Job(source, str(out / "a.png"), "a.png"))
    assert outcome.kind == "failed" and "was deleted or moved during the run" in outcome.error
    assert tree(out) == {}
