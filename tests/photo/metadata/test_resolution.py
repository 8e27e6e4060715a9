"""The resolution that a file states."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import tifffile

from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import exif_with, photo_of, smooth, to_pil


@pytest.mark.parametrize(
    ("extension", "own", "exif", "wanted"),
    [
        (".jpg", 300, 72, 300),  # an editor that forgot the EXIF
        (".png", 300, 72, 300),
        (".jpg", 72, 600, 600),
        (".jpg", 200, 600, 200),
        (".jpg", 300, None, 300),
        (".jpg", None, 600, 600),
        (".png", None, 600, 600),
        (".png", 600, 600, 600),
        (".webp", None, 600, 600),
        (".avif", None, 600, 600),
        (".jpg", None, None, None),
        (".webp", None, None, None),
    ],
)
@pytest.mark.slow
def test_a_file_and_its_exif_state_one_resolution(
    tmp_path: Path, extension: str, own: int | None, exif: int | None, wanted: int | None
) -> None:
    block = exif_with(Make="Leica")
    if exif:
        block[282] = block[283] = exif
        block[296] = 2
    path = tmp_path / f"photo{extension}"
    options: dict[str, Any] = {"dpi": (own, own)} if own else {}
    to_pil(smooth(), "RGB").save(path, exif=block, **options)
    photo = read_photo(path)
    if wanted is None:
        assert photo.resolution is None
    else:
        assert photo.resolution == pytest.approx((wanted / 25.4,) * 2, rel=1e-4)
    for target in (".jpg", ".png", ".tif", ".webp", ".avif"):
        write_photo(tmp_path / f"out{target}", photo.pixels, photo)
        with PIL.Image.open(tmp_path / f"out{target}") as image:
            found = image.getexif()
            assert found[271] == "Leica"
            if wanted is not None or target != ".tif":  # 72: the EXIF for unknown
                assert found[282] == found[283] == pytest.approx(wanted or 72, rel=1e-4)
                assert found[296] == 2
            if wanted is not None and target in (".jpg", ".png", ".tif"):
                assert image.info["dpi"] == pytest.approx((wanted, wanted), rel=1e-4)


@pytest.mark.parametrize("dpi", [(1e9, 300), (300, 3e10), (0, 0)])
def test_a_senseless_resolution_counts_as_unknown(
    tmp_path: Path, dpi: tuple[float, float], capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, smooth())
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        places = [tags["XResolution"].offset, tags["YResolution"].offset]
    for place, value in zip(places, dpi, strict=True):
        content[place + 2 : place + 4] = struct.pack("<H", 11)  # FLOAT, in the entry itself
        content[place + 8 : place + 12] = struct.pack("<f", value)
    path.write_bytes(bytes(content))
    photo = read_photo(path)
    assert photo.resolution is None
    write_photo(tmp_path / "out.tif", photo.pixels, photo)
    assert capfd.readouterr().err == ""  # libvips complains there of what it does not take


def test_an_unknown_resolution_is_written_as_72_dpi_where_exif_wants_one(tmp_path: Path) -> None:
    write_photo(tmp_path / "out.jpg", smooth(), photo_of(smooth()))
    with PIL.Image.open(tmp_path / "out.jpg") as image:
        assert image.info["dpi"] == pytest.approx((72, 72), abs=0.1)
