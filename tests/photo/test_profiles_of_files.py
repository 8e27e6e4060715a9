"""Color profiles of files: converted, and replaced by sRGB."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import pyvips

from photochrom.photo.formats.table import EXTENSIONS
from photochrom.photo.open import open_photo
from photochrom.photo.read import read_photo
from photochrom.photo.samples import to_uint8
from photochrom.photo.write import write_photo
from tests.photo.material import (
    apart_from_clipping,
    assert_srgb_profile,
    colored,
    noise,
    p3_profile,
    pil_to_srgb,
    smooth,
    to_pil,
    to_vips,
)


def gray_profile(gamma: float) -> bytes:
    """A minimal ICC v2 profile of gray with a power curve (ICC.1:2001-04, 6.3.1.1)."""
    white = struct.pack(">iii", round(0.9642 * 65536), 65536, round(0.8249 * 65536))
    text = b"gray\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    parts = [
        (b"desc", description + bytes(-len(description) % 4)),
        (b"wtpt", b"XYZ \0\0\0\0" + white),
        (b"kTRC", b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)),
        (b"cprt", b"text\0\0\0\0none\0\0\0\0"),
    ]
    offset = 128 + 4 + 12 * len(parts)
    table, body = struct.pack(">I", len(parts)), b""
    for name, data in parts:
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI", size, b"lcms", 0x02400000) + b"mntrGRAYXYZ "
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white
    return head + bytes(128 - len(head)) + table + body


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, equations 5 and 6."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_a_color_profile_is_converted_as_littlecms_does(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"p3{extension}"
    to_pil(smooth(), "RGB").save(path, quality=100, icc_profile=p3_profile())
    photo = read_photo(path)
    with PIL.Image.open(path) as image:
        image.load()
        unconverted = np.asarray(image.convert("RGB")).astype(int)
        expected = pil_to_srgb(image)
    assert np.abs(expected - unconverted).max() > 20  # the profile does matter here
    assert photo.profiled
    difference = np.abs(apart_from_clipping(photo.pixels, expected))
    assert difference.mean() < 2
    if extension in (".jpg", ".png", ".tif"):  # the decoders of WebP and AVIF differ in themselves
        assert difference.max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_gray_profile_is_converted_and_stays_gray(
    tmp_path: Path, dtype: Any, alpha: bool
) -> None:
    samples = np.linspace(0, 1, 256).reshape(16, 16, 1)
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    expected = srgb_encode(samples)
    samples = np.concatenate([samples, samples[::-1]], axis=2) if alpha else samples
    samples = (samples * top).round(6 if top == 1 else 0).astype(dtype)
    vips = to_vips(samples, "grey16" if dtype == np.uint16 else "b-w")
    vips.set_type(pyvips.GValue.blob_type, "icc-profile-data", gray_profile(1.0))
    path = tmp_path / "linear.tif"
    vips.tiffsave(str(path))

    photo = read_photo(path)
    fine = np.uint16 if dtype == np.uint8 else dtype
    assert (photo.samples, photo.pixels.dtype) == (dtype, fine)
    assert photo.pixels.shape == (16, 16, 1)
    scale = 1 if top == 1 else 65535
    rounded = srgb_encode(samples[..., :1] / top)  # as they are in the file
    np.testing.assert_allclose(
        photo.pixels / scale, rounded, atol=0.51 / scale if scale > 1 else 1e-6
    )
    np.testing.assert_allclose(rounded, expected, atol=13 / top if top > 1 else 1e-4)
    if alpha:
        np.testing.assert_array_equal(photo.alpha, samples[..., 1])


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_samples_stay_deep_through_a_color_profile(
    tmp_path: Path, dtype: Any, alpha: bool
) -> None:
    deep = smooth(16, 256, 3).astype(np.uint16) * 257
    deep += noise(16, 256, 3, np.uint16) // 1024  # below what 8 bits can hold
    samples = deep if dtype == np.uint16 else (deep / 65535).astype(np.float32)
    if alpha:
        samples = np.concatenate([samples, noise(16, 256, 1, dtype)], axis=2)
    vips = to_vips(samples, "rgb16" if dtype == np.uint16 else "srgb")
    path = tmp_path / "p3.tif"
    vips.tiffsave(str(path), profile="p3")
    photo = read_photo(path)
    assert photo.pixels.dtype == dtype
    image = to_pil(smooth(16, 256, 3), "RGB")
    image.info["icc_profile"] = p3_profile()
    assert np.abs(apart_from_clipping(photo.pixels, pil_to_srgb(image))).max() < 3
    assert len(np.unique(photo.pixels)) > 3 * 256
    if alpha:
        np.testing.assert_array_equal(photo.alpha, samples[..., 3])


def test_an_srgb_profile_changes_no_sample(tmp_path: Path) -> None:
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    for dtype in (np.uint8, np.uint16, np.float32):
        samples = noise(6, 7, 3, dtype)
        vips = to_vips(samples, "rgb16" if dtype == np.uint16 else "srgb")
        vips.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        path = tmp_path / "srgb.tif"
        vips.tiffsave(str(path))
        photo = read_photo(path)
        np.testing.assert_array_equal(photo.pixels, samples)
        assert photo.profiled


@pytest.mark.parametrize("case", ["junk", "other space", "empty header", "cut"])
def test_a_profile_that_does_not_fit_is_passed_over(tmp_path: Path, case: str) -> None:
    good = p3_profile()
    profile = {
        "junk": b"no profile at all" * 20,
        "other space": gray_profile(1.0),
        "empty header": bytes(128),
        "cut": good[:200],
    }[case]
    path = tmp_path / "photo.png"
    to_pil(smooth(), "RGB").save(path, icc_profile=profile)
    np.testing.assert_array_equal(read_photo(path).pixels, smooth())
    image = to_pil(smooth(), "RGB")
    image.info["icc_profile"] = profile
    np.testing.assert_array_equal(open_photo(image).pixels, smooth())


@pytest.mark.parametrize("extension", [".jpg", ".tif"])
def test_cmyk_is_converted(tmp_path: Path, extension: str) -> None:
    inks = np.zeros((16, 96, 4), np.uint8)  # white, cyan, magenta, yellow, black, all of them
    for patch, channels in enumerate([[], [0], [1], [2], [3], [0, 1, 2, 3]]):
        inks[:, patch * 16 : patch * 16 + 16, channels] = 255
    path = tmp_path / f"cmyk{extension}"
    to_pil(inks, "CMYK").save(path, quality=100)
    for photo in (read_photo(path), open_photo(to_pil(inks, "CMYK"))):
        assert photo.pixels.shape == (16, 96, 3)
        patches = to_uint8(photo.pixels[8, 8::16]).astype(int)
        assert np.all(patches[0] >= 254)
        for ink in range(3):
            assert patches[1 + ink, ink] < min(np.delete(patches[1 + ink], ink)) - 50
        assert np.ptp(patches[4]) < 32 and np.all(patches[4] < 70)
        assert np.all(patches[5] < 25)  # 33, 33, 44 without black point compensation


def test_an_embedded_cmyk_profile_that_is_broken_falls_back(tmp_path: Path) -> None:
    path = tmp_path / "cmyk.tif"
    to_pil(np.zeros((4, 4, 4), np.uint8), "CMYK").save(path, icc_profile=b"junk" * 50)
    assert np.all(to_uint8(read_photo(path).pixels) >= 254)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_profile_in_means_an_srgb_profile_out(tmp_path: Path, extension: str) -> None:
    path = tmp_path / "p3.png"
    to_pil(smooth(), "RGB").save(path, icc_profile=p3_profile())
    photo = read_photo(path)
    out = tmp_path / f"out{extension}"
    write_photo(out, photo.pixels, photo)
    with PIL.Image.open(out) as image:
        assert_srgb_profile(image.info["icc_profile"])
    again = read_photo(out)
    tolerance = 0 if extension in (".png", ".tif", ".tiff") else 16
    ours = to_uint8(photo.pixels).astype(int)
    assert np.abs(again.pixels.astype(int) - ours).max() <= tolerance


def test_a_gray_profile_does_not_end_up_on_color(tmp_path: Path) -> None:
    path = tmp_path / "gray.png"
    to_pil(smooth(8, 8, 1), "L").save(path, icc_profile=gray_profile(2.2))
    photo = read_photo(path)
    assert photo.pixels.shape == (8, 8, 1)
    write_photo(tmp_path / "out.png", colored(photo), photo)
    with PIL.Image.open(tmp_path / "out.png") as image:
        assert_srgb_profile(image.info["icc_profile"])
