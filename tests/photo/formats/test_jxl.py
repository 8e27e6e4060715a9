"""JPEG XL."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photochrom.color.lab import srgb_to_linear
from photochrom.photo.formats.format import boxes
from photochrom.photo.losses import losses
from photochrom.photo.output import Output
from photochrom.photo.read import decode_photo, photo_size, read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import (
    colored,
    noise,
    p3_profile,
    refusal,
    smooth,
    taken,
    to_pil,
    xmp_packet,
)

XMP = xmp_packet(
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="box 9"/>'
)


def encoded(samples: np.ndarray, mode: str, jpeg: bytes | None = None, **metadata: bytes) -> bytes:
    pillow_jxl = pytest.importorskip("pillow_jxl")
    encoder = pillow_jxl.Encoder(
        mode=mode, lossless=True, quality=100, decoding_speed=0, effort=3,
        use_container=bool(metadata), use_original_profile=True, num_threads=1,
    )  # fmt: skip
    height, width = samples.shape[:2]
    if jpeg is not None:
        return bytes(encoder(jpeg, width, height, jpeg_encode=True))
    more: dict[str, Any] = {"exif": None, "jumb": None, "xmp": None, "compress": False, **metadata}
    return bytes(encoder(samples.tobytes(), width, height, jpeg_encode=False, **more))


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    message = "JPEG XL needs an extra; run pip install 'photochrom[jxl]'"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert message in refusal(decode_photo, b"\xff\x0a" + bytes(80))
    assert message in refusal(write_photo, "a.jxl", smooth(), decode_photo(png()))


def png() -> bytes:
    file = io.BytesIO()
    to_pil(smooth(), "RGB").save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("size", [(20, 30), (64, 64), (1, 1), (300, 16)])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_samples_are_read_as_they_were_written(mode: str, size: tuple[int, int]) -> None:
    count = {"I;16": 1}.get(mode, len(mode))
    samples = noise(*size, count, np.uint16 if mode == "I;16" else np.uint8)
    data = encoded(samples, mode)
    photo = decode_photo(data)
    assert photo_size(data) == size
    found = photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])
    if mode == "I;16":  # its encoder says that these samples are linear light
        found = np.round(65535 * srgb_to_linear(found)).astype(np.uint16)
        np.testing.assert_allclose(found, samples, atol=2)
    else:
        np.testing.assert_array_equal(found, samples)
    assert (photo.extension, photo.notes) == (".jxl", ())


def test_a_result_is_stored_without_loss_and_keeps_what_is_said(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl")
    exif = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    photo = decode_photo(encoded(smooth(20, 30, 1), "L", exif=exif, xmp=XMP))
    assert (photo.height, photo.width) == (20, 30)  # the decoder has turned what has to be
    assert losses(photo, "a.jxl") == []
    rgb = noise(20, 30, 3)
    write_photo(tmp_path / "a.jxl", rgb, photo)
    again = read_photo(tmp_path / "a.jxl")
    np.testing.assert_array_equal(again.pixels, rgb)
    assert taken(again.metadata.xmp or b"")["source"] == ["box 9"]
    assert b"\x01\x12\0\3\0\0\0\1\0\1" in (again.metadata.exif or b"")  # upright
    write_photo(tmp_path / "b.jxl", rgb, photo, Output(quality=70))
    sizes = [(tmp_path / name).stat().st_size for name in ("a.jxl", "b.jxl")]
    assert sizes[1] < 0.7 * sizes[0]


def test_a_profile_is_applied(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl")
    # Its encoder takes none; its decoder states that of sRGB, which moves nothing.
    photo = decode_photo(encoded(smooth(), "RGB"))
    assert photo.profiled
    np.testing.assert_array_equal(photo.pixels, smooth())
    file = io.BytesIO()
    to_pil(smooth(), "RGB").save(file, "JPEG", quality=95, icc_profile=p3_profile())
    of_jpeg = decode_photo(file.getvalue())
    from_jxl = decode_photo(encoded(smooth(), "RGB", jpeg=file.getvalue()))
    assert from_jxl.profiled
    assert np.abs(from_jxl.pixels.astype(int) - of_jpeg.pixels).max() <= 2 * 257


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_inside_is_read_as_that_jpeg(orientation: int) -> None:
    from PIL import Image

    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = orientation
    to_pil(smooth(24, 32, 1), "L").save(file, "JPEG", exif=exif, xmp=XMP)
    expected = decode_photo(file.getvalue())
    photo = decode_photo(encoded(smooth(24, 32, 1), "L", jpeg=file.getvalue()))
    assert photo.pixels.shape == expected.pixels.shape
    assert np.abs(photo.pixels.astype(int) - expected.pixels).max() <= 1
    assert photo.metadata.xmp == expected.metadata.xmp


def test_damaged_files_are_refused_in_words() -> None:
    data = encoded(smooth(), "RGB", xmp=XMP)
    for cut in (4, 12, 20, 60, len(data) // 2, len(data) - 5):
        refusal(decode_photo, data[:cut])
    kinds = [kind for kind, _ in boxes(data)]
    assert b"xml " in kinds


def test_a_result_of_16_bits_says_that_it_has_8(tmp_path: Path) -> None:
    photo = decode_photo(encoded(noise(20, 30, 1, np.uint16), "I;16"))
    (note,) = losses(photo, "a.jxl")
    assert "its 16 bits per channel become 8 bits" in note
    write_photo(tmp_path / "a.jxl", colored(photo), photo)
