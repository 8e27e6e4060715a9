"""WebP: alpha."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import noise, p3_profile, to_pil


@pytest.mark.parametrize("lossless", [True, False])
def test_alpha_of_webp_counts_even_if_it_is_declared_once(tmp_path: Path, lossless: bool) -> None:
    rgba = noise(12, 16, 4)
    file = io.BytesIO()
    to_pil(rgba, "RGBA").save(file, "WEBP", lossless=lossless, exact=True, icc_profile=p3_profile())
    data = bytearray(file.getvalue())
    assert data[12:16] == b"VP8X" and data[20] & 0x10
    if lossless:
        data[20] &= ~0x10
    path = tmp_path / "a.webp"
    path.write_bytes(data)
    alpha = read_photo(path).alpha
    assert alpha is not None and np.array_equal(alpha, rgba[..., 3])
    write_photo(tmp_path / "b.webp", rgba[..., :3], read_photo(path))
    assert read_photo(tmp_path / "b.webp").alpha is not None


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_without_alpha_has_none(tmp_path: Path, lossless: bool) -> None:
    path = tmp_path / "a.webp"
    to_pil(noise(12, 16, 3), "RGB").save(path, lossless=lossless, icc_profile=p3_profile())
    assert read_photo(path).alpha is None
