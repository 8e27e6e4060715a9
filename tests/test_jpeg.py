"""The quality of JPEG files, told from the table that they were written with."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from photochrom.photo.formats.jpeg import jpeg_quality


def jpeg(quality: int) -> bytes:
    file = io.BytesIO()
    pixels = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.mark.parametrize("quality", [10, 50, 75, 90, 100])
def test_the_quality_of_pillow_is_found(quality: int) -> None:
    assert jpeg_quality(io.BytesIO(jpeg(quality))) == quality


@pytest.mark.parametrize("marker", [b"\xff\x01", b"\xff\xd0", b"\xff\xff\xd7"])
def test_markers_without_a_length_are_passed_over(marker: bytes) -> None:
    data = jpeg(60)
    assert jpeg_quality(io.BytesIO(data[:2] + marker + data[2:])) == 60


@pytest.mark.parametrize("size", [0, 1, 7, 62, 63])
@pytest.mark.parametrize("deep", [0x00, 0x01, 0x10, 0x11])
def test_a_table_cut_short_tells_nothing(size: int, deep: int) -> None:
    body = bytes([deep]) + bytes(size)
    data = b"\xff\xd8\xff\xdb" + (len(body) + 2).to_bytes(2, "big") + body
    for end in range(len(data) - 1, len(data) + 1):
        assert jpeg_quality(io.BytesIO(data[:end])) is None
