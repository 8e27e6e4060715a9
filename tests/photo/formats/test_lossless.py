"""WebP and AVIF that are stored without loss stay so."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from photochrom.photo.formats.av1 import is_lossless
from photochrom.photo.losses import losses
from photochrom.photo.output import Output
from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import noise, to_pil, to_vips


def save(path: Path, pixels: np.ndarray, lossless: bool, **options: Any) -> None:
    image = to_vips(pixels, "rgb16" if pixels.dtype == np.uint16 else "srgb")
    if path.suffix == ".webp":
        image.webpsave(str(path), lossless=lossless, exact=True, **options)
    else:
        image.heifsave(str(path), compression="av1", lossless=lossless, effort=1, **options)


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_lossless_stays_lossless(tmp_path: Path, suffix: str, count: int) -> None:
    path, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    pixels = noise(24, 32, count)
    save(path, pixels, True)
    photo = read_photo(path)
    assert photo.facts.lossless and losses(photo, target) == []
    rgb = noise(24, 32, 3)
    write_photo(target, rgb, photo)
    again = read_photo(target)
    assert again.facts.lossless
    np.testing.assert_array_equal(again.pixels, rgb)
    if count == 4:
        np.testing.assert_array_equal(again.alpha, pixels[..., 3])


@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_lossy_stays_lossy_and_a_quality_counts(tmp_path: Path, suffix: str) -> None:
    path, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    save(path, noise(24, 32, 3), False)
    photo = read_photo(path)
    assert not photo.facts.lossless
    write_photo(target, noise(24, 32, 3), photo)
    assert not read_photo(target).facts.lossless
    save(path, noise(24, 32, 3), True)
    write_photo(target, noise(24, 32, 3), read_photo(path), Output(quality=80, force=True))
    assert not read_photo(target).facts.lossless


def test_what_becomes_lossy_is_said(tmp_path: Path) -> None:
    save(tmp_path / "a.webp", noise(24, 32, 3), True)
    photo = read_photo(tmp_path / "a.webp")
    for name in ("b.jpg", "b.avif"):
        (note,) = losses(photo, name)
        assert "stored without loss" in note
    for name in ("b.png", "b.tif", "b.webp"):
        assert losses(photo, name) == []


def test_12_bits_without_loss_stay_so(tmp_path: Path) -> None:
    path, target = tmp_path / "a.avif", tmp_path / "b.avif"
    pixels = noise(24, 32, 3, np.uint16) & 0xFFF0
    save(path, pixels | pixels >> 12, True, bitdepth=12)
    photo = read_photo(path)
    write_photo(target, photo.pixels, photo)
    np.testing.assert_array_equal(read_photo(target).pixels, photo.pixels)


@pytest.mark.parametrize("size", [(1, 1), (70, 40), (2000, 90)])
@pytest.mark.parametrize(("quality", "lossless"), [(100, True), (99, False)])
@pytest.mark.parametrize("chroma", ["4:2:0", "4:4:4"])
@pytest.mark.slow
def test_the_quantizers_are_found_in_files_of_another_encoder(
    size: tuple[int, int], quality: int, lossless: bool, chroma: str
) -> None:
    file = io.BytesIO()
    picture = to_pil(noise(size[1], size[0], 3), "RGB")
    picture.save(file, "AVIF", quality=quality, subsampling=chroma, speed=10)
    assert is_lossless(file) == lossless
    headers = range(min(700, len(file.getvalue())))  # pixels follow, of which it reads nothing
    for cut in headers:  # nothing is raised
        is_lossless(io.BytesIO(file.getvalue()[:cut]))


def test_an_animation_without_loss_is_known(tmp_path: Path) -> None:
    first, second = (to_pil(noise(24, 32, 3), "RGB") for _ in range(2))
    path = tmp_path / "a.webp"
    first.save(path, save_all=True, append_images=[second.rotate(180)], lossless=True)
    photo = read_photo(path)
    assert (photo.frames, photo.facts.lossless) == (2, True)
    assert pyvips.Image.new_from_file(str(path)).get("n-pages") == 2
