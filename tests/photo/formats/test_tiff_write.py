"""TIFF files as they are written: how they are stored, and how large they may become."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile

from photochrom import Colorizer, PhotoError
from photochrom.photo.formats.tiff_write import Joiner
from photochrom.photo.read import read_photo
from photochrom.photo.write import Output, write_pages
from tests.photo.formats.scans import SIZES, gray, pages_file


@pytest.mark.slow
def test_the_way_of_storing_is_kept(colorizer: Colorizer, tmp_path: Path) -> None:
    for compression in ("none", "lzw", "deflate", "packbits"):
        source, target = tmp_path / f"{compression}.tif", tmp_path / f"{compression}.new.tif"
        pyvips.Image.new_from_array(gray(50, 70)).cast("uchar").tiffsave(
            str(source), compression=compression
        )
        colorizer.color_file(source, target)
        with tifffile.TiffFile(source) as before, tifffile.TiffFile(target) as after:
            assert before.pages[0].compression == after.pages[0].compression


def test_large_files_become_big_ones(tmp_path: Path) -> None:
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    pages_file(source)
    photos = [read_photo(source, page) for page in range(3)]
    parts = [(np.broadcast_to(p.pixels, (p.height, p.width, 3)), p) for p in photos]
    write_pages(target, parts, Output(bigtiff=1000))
    with tifffile.TiffFile(target) as file:
        assert file.is_bigtiff and [page.shape[:2] for page in file.pages] == SIZES


def test_the_width_of_offsets_is_chosen_by_the_sizes_of_all_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(20, 30), metadata=None)
        file.write(gray(90, 70, np.uint16), metadata=None)
    photo = read_photo(path)
    assert photo.facts.volume == 4 * 20 * 30 + 8 * 90 * 70
    for volume, big in ((photo.facts.volume, False), (5 << 30, True)):
        pages = [photo, photo.turned_to(1)]
        parts = [(np.broadcast_to(p.pixels, (p.height, p.width, 3)), p) for p in pages]
        parts[0] = parts[0][0], replace(photo, facts=replace(photo.facts, volume=volume))
        write_pages(tmp_path / "b.tif", parts, Output(force=True))
        with tifffile.TiffFile(tmp_path / "b.tif") as written:
            assert written.is_bigtiff == big


def test_more_than_a_classic_file_holds_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    pages_file(path)
    photo = read_photo(path)
    add = Joiner.add

    def far(self: Joiner, page: Any, subfile: int = 0) -> None:
        self.file.seek(4 << 30)  # a hole, which takes no space
        self.file.write(b"x")
        add(self, page, subfile)

    monkeypatch.setattr(Joiner, "add", far)
    part = np.broadcast_to(photo.pixels, (photo.height, photo.width, 3)), photo
    with pytest.raises(PhotoError, match=r"b\.tif: cannot be written: it would exceed the 4 GB"):
        write_pages(tmp_path / "b.tif", [part])
    assert list(tmp_path.iterdir()) == [path]
