"""Small pictures of photos."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image

from photochrom.photo.pictures import resized, to_jpeg
from photochrom.photo.samples import to_uint8
from tests.photo.material import smooth


def test_pictures_are_resized_without_aliasing() -> None:
    lines = np.zeros((64, 96, 3), np.uint8)
    lines[:, ::2] = 200
    small = resized(lines, 16, 24)
    assert small.shape == (16, 24, 3) and small.dtype == np.uint8
    assert np.abs(small.astype(int) - 100).max() < 12
    assert resized(lines, 64, 96) is lines
    flat = np.full((5, 7, 3), 77, np.uint8)
    assert (resized(flat, 31, 3) == 77).all()


def test_a_preview_is_a_plain_jpeg_of_the_pixels() -> None:
    rgb = smooth(40, 56, 3)
    with PIL.Image.open(io.BytesIO(to_jpeg(rgb, 95))) as image:
        assert image.format == "JPEG" and not image.getexif()
        assert image.layer[0][1:3] == (1, 1), "chroma is not subsampled"
        assert np.abs(np.asarray(image).astype(int) - rgb).max() < 12
    assert to_uint8(np.array([[0, 257, 65535]], np.uint16)).tolist() == [[0, 1, 255]]
