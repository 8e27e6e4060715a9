"""TIFF: tags are kept, or said to be gone."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
import tifffile

from photochrom.photo.losses import losses
from photochrom.photo.metadata.iptc import read_iptc
from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import colored, full_source, iptc, smooth

GEO: dict[int, Any] = {
    33550: (0.5, 0.5, 0.0), 33922: (0.0, 0.0, 0.0, 4e5, 5e6, 0.0), 34736: (6378137.0, 298.25),
}  # fmt: skip
KEYS = (1, 1, 0, 1, 1024, 0, 1, 1)
GDAL = "<GDALMetadata><Item>box 7</Item></GDALMetadata>"


def geo_file(path: Path, *more: tuple[int, int, int, Any, bool]) -> Path:
    tags = [(tag, 12, len(values), values, True) for tag, values in GEO.items()]
    tags += [(34735, 3, len(KEYS), KEYS, True), (34737, 2, 0, "WGS 84|", True)]
    tags += [(42112, 2, 0, GDAL, True), *more]
    tifffile.imwrite(path, smooth(20, 30, 1)[..., 0], metadata=None, extratags=tags, software=False)
    return path


@pytest.mark.parametrize("big", [False, True])
def test_the_place_on_the_map_is_kept(tmp_path: Path, big: bool) -> None:
    photo = read_photo(geo_file(tmp_path / "a.tif"))
    assert losses(photo, "b.tif") == []
    target = tmp_path / "b.tif"
    write_photo(target, colored(photo), photo)
    with tifffile.TiffFile(target) as file:
        tags = file.pages[0].tags
        for tag, values in GEO.items():
            assert tags[tag].value == pytest.approx(values)
        assert (tags[34735].value, tags[34737].value) == (KEYS, "WGS 84|")
        assert tags[42112].value == GDAL
    (note,) = losses(photo, "b.png")
    assert "PNG cannot hold its place on the map" in note


def test_the_place_of_a_turned_photo_is_left_out_and_said(tmp_path: Path) -> None:
    photo = read_photo(geo_file(tmp_path / "a.tif", (274, 3, 1, 6, True)))
    (note,) = losses(photo, "b.tif")
    assert "place on the map (GeoTIFF), because the photo is turned, cannot be kept" in note
    write_photo(tmp_path / "b.tif", colored(photo), photo)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert 33550 not in file.pages[0].tags and 42112 in file.pages[0].tags


def test_tags_that_no_result_has_are_named(tmp_path: Path) -> None:
    data = b"8BIM" + struct.pack(">H", 2000) + b"\0\0" + struct.pack(">I", 2) + b"ab"
    more = [(42113, 2, 0, "0", True), (65000, 4, 1, 7, True), (34377, 7, len(data), data, True)]
    photo = read_photo(geo_file(tmp_path / "a.tif", *more))
    notes = "\n".join(losses(photo, "b.tif"))
    for what in ("GDAL_NODATA", "tag 65000", "paths of Photoshop"):
        assert f"its {what} cannot be kept" in notes
    assert len(notes.splitlines()) == 3


def test_exif_that_a_tiff_has_no_place_for_is_named(tmp_path: Path) -> None:
    photo = read_photo(full_source(tmp_path))
    assert losses(photo, "b.tif") == []
    block = bytearray(photo.metadata.exif or b"")
    order = "<" if block[6:8] == b"II" else ">"
    slot = block.index(struct.pack(order + "HH", 315, 2))  # the artist becomes print settings
    block[slot : slot + 2] = struct.pack(order + "H", 50341)
    source = (tmp_path / "source.jpg").read_bytes()
    (tmp_path / "c.jpg").write_bytes(source.replace(photo.metadata.exif or b"?", bytes(block)))
    (note,) = losses(read_photo(tmp_path / "c.jpg"), "b.tif")
    assert "TIF has no place for some of its EXIF (tag 50341)" in note


def test_the_fullest_iptc_counts(tmp_path: Path) -> None:
    whole = iptc((2, 25, "Familie"), (2, 25, "Hochzeit"), (2, 80, "Opa"))
    resources = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(whole)) + whole
    for first, second in ((whole[:13], whole), (whole, whole[:12])):
        data = resources.replace(whole, second).replace(
            struct.pack(">I", len(whole)), struct.pack(">I", len(second))
        )
        tags = [(33723, 7, len(first), first, True), (34377, 7, len(data), data, True)]
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, smooth(20, 30, 1)[..., 0], metadata=None, extratags=tags)
        assert read_iptc(read_photo(path).metadata.iptc or b"") == whole
