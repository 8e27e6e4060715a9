"""AVIF of 10 and 12 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvips

from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import to_vips


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_ten_and_twelve_bits_fills_the_range(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "deep.avif"
    ramp = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16).reshape(1, 64, 1), 64, axis=0)
    to_vips(np.repeat(ramp, 3, axis=2), "rgb16").heifsave(
        str(path), compression="av1", bitdepth=bits, lossless=True
    )
    photo = read_photo(path)
    assert photo.pixels.dtype == np.uint16
    assert photo.pixels.max() == 65535
    assert photo.pixels.min() == 0
    np.testing.assert_allclose(photo.pixels, np.repeat(ramp, 3, axis=2), atol=65536 / 2**bits)


@pytest.mark.parametrize("bits", [10, 12])
def test_a_deep_avif_stays_as_deep(tmp_path: Path, bits: int) -> None:
    y, x = np.mgrid[:64, :96]
    deep = ((x * 400 + y * 300) % 65536).astype(np.uint16)
    source = pyvips.Image.new_from_array(np.stack([deep] * 3, axis=-1), interpretation="rgb16")
    source.heifsave(str(tmp_path / "a.avif"), compression="av1", bitdepth=bits, lossless=True)
    photo = read_photo(tmp_path / "a.avif")
    assert photo.facts.bits == bits
    write_photo(tmp_path / "b.avif", photo.pixels, photo)
    assert pyvips.Image.new_from_file(str(tmp_path / "b.avif")).get("bits-per-sample") == bits
    wrong = read_photo(tmp_path / "b.avif").pixels.astype(int) - photo.pixels
    assert np.abs(wrong).mean() < 400
