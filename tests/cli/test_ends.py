"""What ends a run early, or takes long: a full disk, and a file with many pages."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from photochrom import Colorizer
from photochrom.batch.job import Job, Settings
from photochrom.batch.manifest import Manifest
from photochrom.batch.work import Coloring
from photochrom.cli.one import Watching
from photochrom.cli.signals import Limit, Signals
from photochrom.look import Look
from photochrom.photo.losses import losses, losses_of_page
from photochrom.photo.read import read_photo


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("only root can make a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(
    small_disk: Path, photo: Path, colorizer: Colorizer
) -> None:
    target = small_disk / "new.png"
    with Manifest(small_disk) as manifest:
        work = Coloring(Settings.of(colorizer, Look()), manifest)
        vars(work.engine)["colorizer"] = colorizer
        outcome = work(Job(str(photo), str(target), "new.png"))
    assert outcome.kind == "failed", outcome
    assert outcome.stop == f"the disk of {small_disk} is full; make room there"
    assert {path.name for path in small_disk.iterdir()} == {"photochrom.jsonl"}


def test_many_pages_are_told_with_the_time_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    for pages, told in ((1, False), (9, False), (150, True)):
        with Signals() as signals, Limit("a.tif", None) as limit:
            watch = Watching("a.tif", signals, limit)
            for number in range(1, pages + 1):
                watch.page(number, pages)
            assert (watch._bar is not None) == (pages > 1)  # a progress bar
        text = capsys.readouterr().err
        assert ("a.tif: has 150 pages, which" in text) == told


def test_what_a_later_page_loses_is_told_with_its_number(tmp_path: Path) -> None:
    scan = tmp_path / "scan.tif"
    gray = np.tile(np.arange(0, 240, 3, dtype=np.uint8), (48, 1))
    with tifffile.TiffWriter(scan) as writer:
        writer.write(gray, photometric="minisblack", metadata=None)
        geo = [(42112, "s", 0, "<GDALMetadata/>", False)]
        writer.write(gray, photometric="minisblack", metadata=None, extratags=geo)
    first, second = read_photo(scan), read_photo(scan, 1)
    told = losses(first, tmp_path / "a.png")
    (note,) = losses_of_page(second, tmp_path / "a.png", "", told)
    assert note == f"{scan}: page 2: PNG cannot hold its GDAL metadata; TIFF can"
    assert losses_of_page(second, tmp_path / "a.png", "", losses(second, tmp_path / "a.png")) == []
