"""What a result cannot hold is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvips

from photochrom.photo.losses import losses
from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import colored, smooth, to_pil, to_vips, xmp_packet


def test_what_a_format_cannot_hold_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    deep = np.full((9, 9, 4), 40000, np.uint16)
    to_vips(deep).copy(interpretation="rgb16").pngsave(str(path))
    photo = read_photo(path)
    assert losses(photo, tmp_path / "b.png") == losses(photo, tmp_path / "b.tif") == []
    transparency, depth = losses(photo, tmp_path / "b.jpg")
    assert "JPG has no transparency" in transparency and "16 bits per channel become 8" in depth
    big = xmp_packet(f'<rdf:Description rdf:about="" xmlns:a="a" a:b="{"x" * 70_000}"/>')
    image = to_vips(smooth()).copy()
    image.set_type(pyvips.GValue.blob_type, "xmp-data", big)
    image.pngsave(str(path))
    (note,) = losses(read_photo(path), tmp_path / "b.jpg")
    assert "XMP is too large for JPEG" in note
    assert losses(read_photo(path), tmp_path / "b.webp") == []


@pytest.mark.parametrize("size", [1, 3, (1 << 23) + 7])
def test_exif_of_a_size_that_nothing_can_write_is_left_out_and_said(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "a.webp"
    block = (b"Exif\0\0II*\0\x08\0\0\0" + bytes(size))[:size]
    to_pil(smooth(), "RGB").save(path, exif=block)
    photo = read_photo(path)
    for name in ("a.jpg", "a.png", "a.tif", "b.webp"):
        (note,) = losses(photo, tmp_path / name)
        assert "its EXIF is" in note and "was dropped" in note
        write_photo(tmp_path / name, colored(photo), photo)
        assert read_photo(tmp_path / name).width == photo.width
