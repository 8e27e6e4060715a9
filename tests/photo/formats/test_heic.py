"""HEIC photos: read as another library reads them, written with all that the source had."""

from __future__ import annotations

import importlib.util
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pillow_heif
import pytest
import pyvips

from photochrom import Colorizer, PhotoError
from photochrom.cli.main import main
from photochrom.color.lab import rgb_to_L, rgb_to_lab
from photochrom.photo.formats.hevc import is_lossless
from photochrom.photo.limits import ReadLimits
from photochrom.photo.losses import losses
from photochrom.photo.profiles import srgb_profile
from photochrom.photo.read import read_photo
from photochrom.photo.write import Output, write_photo
from tests.photo.material import noise

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    with PIL.Image.open(EXAMPLES / "castle.jpg") as image:
        return np.asarray(image.resize((160, 120)))


def save(path: Path, pixels: np.ndarray, mode: str = "RGB", **options: Any) -> None:
    size = (pixels.shape[1], pixels.shape[0])
    image = pillow_heif.from_bytes(mode, size, pixels.tobytes())
    image.save(path, quality=95, chroma=444, **options)


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "alpha"), [(".heic", False), (".heif", True)])
def test_heic_goes_in_and_comes_out_in_color(
    tmp_path: Path, rgb: np.ndarray, suffix: str, alpha: bool
) -> None:
    source = tmp_path / f"a{suffix}"
    pixels = np.concatenate([rgb, rgb[..., :1]], axis=2) if alpha else rgb
    save(source, pixels, "RGBA" if alpha else "RGB")
    photo = read_photo(source)
    assert photo.extension == ".heic" and photo.samples == np.uint8
    assert np.abs(photo.pixels.astype(int) - rgb).mean() < 2
    assert main(["colorize", str(source)]) == 0
    result = pillow_heif.open_heif(tmp_path / f"a.color{suffix}")[0]
    assert result.size == (160, 120) and result.has_alpha == alpha
    again = read_photo(tmp_path / f"a.color{suffix}")
    assert np.abs(rgb_to_L(again.pixels) - rgb_to_L(photo.pixels)).mean() < 1
    if alpha:
        assert photo.alpha is not None and again.alpha is not None
        assert np.abs(photo.alpha.astype(int) - again.alpha).mean() < 2


@pytest.mark.parametrize("target", [".heic", ".png", ".tif"])
def test_ten_bits_stay_deep(tmp_path: Path, target: str) -> None:
    ramp = np.linspace(0, 65535, 160 * 120).reshape(120, 160, 1).astype(np.uint16)
    save(tmp_path / "a.heic", np.repeat(ramp, 3, axis=2), "RGB;16")
    photo = read_photo(tmp_path / "a.heic")
    assert photo.samples == np.uint16 and photo.pixels.max() > 65000
    assert len(np.unique(photo.pixels)) > 500
    write_photo(tmp_path / f"b{target}", photo.pixels, photo)
    again = read_photo(tmp_path / f"b{target}")
    assert again.samples == np.uint16
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 300


@pytest.mark.slow
@pytest.mark.parametrize("orientation", [1, 4, 6, 7])  # each kind of turn
def test_the_result_is_upright(tmp_path: Path, rgb: np.ndarray, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Leica"
    exif.get_ifd(0x8769)[0x8827] = 400
    source = tmp_path / "a.heic"
    save(source, rgb, exif=exif.tobytes(), xmp=b'<x tiff:Orientation="6"/>')
    heif = pillow_heif.open_heif(source)
    pillow_heif.set_orientation(heif[0].info)
    upright = np.asarray(heif[0].to_pillow())
    photo = read_photo(source)
    assert photo.pixels.shape == upright.shape
    assert np.abs(photo.pixels.astype(int) - upright).mean() < 2
    for suffix in (".heic", ".jpg", ".tif"):
        target = tmp_path / f"b{suffix}"
        write_photo(target, photo.pixels, photo)
        again = read_photo(target)
        assert again.pixels.shape == photo.pixels.shape
        assert np.abs(again.pixels.astype(int) - upright).mean() < 4
        if suffix == ".heic":
            read = PIL.Image.Exif()
            read.load(pillow_heif.open_heif(target)[0].info["exif"])
        else:
            with PIL.Image.open(target) as image:
                read = image.getexif()
                assert read.get_ifd(0x8769)[0x8827] == 400
        assert read[0x010F] == "Leica" and read.get(0x0112, 1) == 1


@pytest.mark.slow
def test_the_resolution_stays(tmp_path: Path, rgb: np.ndarray) -> None:
    exif = PIL.Image.Exif()
    exif[282], exif[283], exif[296] = 600, 300, 2
    save(tmp_path / "a.heic", rgb, exif=exif.tobytes())
    photo = read_photo(tmp_path / "a.heic")
    assert photo.resolution == pytest.approx((600 / 25.4, 300 / 25.4))
    write_photo(tmp_path / "b.heic", photo.pixels, photo)
    read = PIL.Image.Exif()
    read.load(pillow_heif.open_heif(tmp_path / "b.heic")[0].info["exif"])
    assert (read[282], read[283], read[296]) == (600, 300, 2)
    write_photo(tmp_path / "b.jpg", photo.pixels, photo)
    assert read_photo(tmp_path / "b.jpg").resolution == pytest.approx(photo.resolution)

    PIL.Image.fromarray(rgb).save(tmp_path / "c.jpg", dpi=(600, 300))  # and without any EXIF
    photo = read_photo(tmp_path / "c.jpg")
    write_photo(tmp_path / "c.heic", photo.pixels, photo)
    again = read_photo(tmp_path / "c.heic")
    assert again.resolution == pytest.approx((600 / 25.4, 300 / 25.4))


@pytest.mark.slow
def test_profile_and_statement_are_written(tmp_path: Path, rgb: np.ndarray) -> None:
    image = pillow_heif.from_bytes("RGB", (160, 120), rgb.tobytes())
    profile = bytes(pyvips.Image.profile_load("p3"))
    image[0].info["icc_profile"], image[0].info["icc_profile_type"] = profile, "prof"
    image.save(tmp_path / "a.heic", quality=95)
    photo = read_photo(tmp_path / "a.heic")
    assert photo.profiled
    plain = pillow_heif.open_heif(tmp_path / "a.heic")[0].to_pillow()
    assert np.abs(photo.pixels.astype(int) - np.asarray(plain)).max() > 3  # it was converted
    write_photo(tmp_path / "b.heic", photo.pixels, photo, Output(model="m"))
    info = pillow_heif.open_heif(tmp_path / "b.heic")[0].info
    assert b"compositeWithTrainedAlgorithmicMedia" in info["xmp"]
    assert info["icc_profile"] == srgb_profile()


def test_without_the_extra_it_is_said_what_to_install(
    tmp_path: Path, rgb: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a.heic", rgb)
    photo = read_photo(tmp_path / "a.heic")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = r"\.heic: HEIC needs an extra; run pip install 'photochrom\[heif\]'"
    with pytest.raises(PhotoError, match="a" + message):
        read_photo(tmp_path / "a.heic")
    with pytest.raises(PhotoError, match="b" + message):
        write_photo(tmp_path / "b.heic", photo.pixels, photo)
    assert [p.name for p in tmp_path.iterdir()] == ["a.heic"]


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_what_only_begins_like_heic_is_refused(tmp_path: Path, brand: bytes) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(PhotoError, match=r"photo\.heic: cannot be read: .*; "):
        read_photo(path)


def test_too_many_pixels_are_refused(tmp_path: Path, rgb: np.ndarray) -> None:
    save(tmp_path / "a.heic", rgb)
    with pytest.raises(PhotoError, match="has 160 x 120 pixels, over the limit"):
        read_photo(tmp_path / "a.heic", limits=ReadLimits(max_pixels=1000))


@pytest.mark.hostile
def test_mutants_are_read_or_refused_by_name(tmp_path: Path, rgb: np.ndarray) -> None:
    rng = random.Random(0)
    path = tmp_path / "a.heic"
    save(path, rgb[:64, :64].copy())
    whole = path.read_bytes()
    counts = {"read": 0, "refused": 0}
    for number in range(250):
        data = bytearray(whole)
        if number % 3 == 0:
            del data[rng.randrange(len(data)) :]
        else:
            for _ in range(rng.choice((1, 3, 20))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            assert read_photo(path).pixels.size
            counts["read"] += 1
        except PhotoError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            counts["refused"] += 1
    assert min(counts.values()) > 20


def test_gray_in_is_colored_by_the_model(
    colorizer: Colorizer, tmp_path: Path, rgb: np.ndarray
) -> None:
    gray = np.asarray(PIL.Image.fromarray(rgb).convert("L"))
    file = io.BytesIO()
    pillow_heif.from_bytes("L", (160, 120), gray.tobytes()).save(file, quality=95)
    (tmp_path / "a.heic").write_bytes(file.getvalue())
    out = colorizer.predict(tmp_path / "a.heic").render()
    assert out.shape == (120, 160, 3)
    assert np.linalg.norm(rgb_to_lab(out)[..., 1:], axis=-1).mean() > 3


# --- without loss ---------------------------------------------------------------------------------


def heic(pixels: np.ndarray, quality: int) -> bytes:
    """A HEIC file; without loss at quality -1."""
    file = io.BytesIO()
    mode = "RGBA" if pixels.shape[2] == 4 else "RGB"
    image = pillow_heif.from_bytes(mode, pixels.shape[1::-1], pixels.tobytes())
    image.save(file, quality=quality, chroma=444, matrix_coefficients=0)
    return file.getvalue()


@pytest.mark.parametrize("channels", [3, 4])
def test_without_loss_stays_without_loss(tmp_path: Path, channels: int) -> None:
    path, target = tmp_path / "a.heic", tmp_path / "b.heic"
    path.write_bytes(heic(noise(24, 32, channels), -1))
    photo = read_photo(path)
    assert photo.facts.lossless and losses(photo, target) == []
    assert "stored without loss" in "".join(losses(photo, "b.jpg"))
    rgb = noise(24, 32, 3)
    write_photo(target, rgb, photo)
    again = read_photo(target)
    assert again.facts.lossless
    np.testing.assert_array_equal(again.pixels, rgb)
    write_photo(target, rgb, photo, Output(quality=80, force=True))
    assert not read_photo(target).facts.lossless


def test_a_good_quality_is_not_without_loss_and_a_damaged_file_says_nothing() -> None:
    assert not is_lossless(io.BytesIO(heic(noise(24, 32, 3), 100)))
    data = heic(noise(24, 32, 3), -1)
    assert is_lossless(io.BytesIO(data))
    for cut in range(700):
        is_lossless(io.BytesIO(data[:cut]))
