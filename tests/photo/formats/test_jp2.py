"""JPEG 2000."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from photochrom.photo.formats.format import boxes
from photochrom.photo.losses import losses
from photochrom.photo.read import decode_photo, photo_size, read_photo
from photochrom.photo.samples import to_uint8
from photochrom.photo.write import write_photo
from tests.photo.material import (
    full_source,
    noise,
    p3_profile,
    refusal,
    smooth,
    taken,
    to_pil,
)


def encoded(samples: np.ndarray, mode: str, **options: object) -> bytes:
    file = io.BytesIO()
    to_pil(samples, mode).save(file, "JPEG2000", **options)
    return file.getvalue()


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_samples_are_read_as_they_were_written(mode: str, bare: bool) -> None:
    count = {"I;16": 1}.get(mode, len(mode))
    samples = noise(20, 30, count, np.uint16 if mode == "I;16" else np.uint8)
    data = encoded(samples, mode, no_jp2=bare)
    photo = decode_photo(data)
    assert photo_size(data) == (20, 30)
    found = photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])
    if bare and photo.alpha is None and found.shape != samples.shape:
        pytest.skip("a bare stream does not say what its channels are")
    np.testing.assert_array_equal(found, samples)
    assert photo.extension == ".jp2"


def test_a_result_is_stored_without_loss_and_keeps_what_is_said(tmp_path: Path) -> None:
    photo = read_photo(full_source(tmp_path))
    assert losses(photo, "a.jp2") == []
    rgb = noise(photo.height, photo.width, 3)
    write_photo(tmp_path / "a.jp2", rgb, photo)
    again = read_photo(tmp_path / "a.jp2")
    np.testing.assert_array_equal(again.pixels, rgb)
    assert taken(again.metadata.xmp or b"")["source"] == ["box 17"]
    assert b"Kodak" in (again.metadata.exif or b"")
    assert again.resolution == pytest.approx((300 / 25.4, 300 / 25.4), rel=1e-3)
    with PIL.Image.open(tmp_path / "a.jp2") as image:  # another program reads it to its end
        np.testing.assert_array_equal(np.asarray(image), rgb)
    kinds = [kind for kind, _ in boxes((tmp_path / "a.jp2").read_bytes())]
    assert kinds[-3:] == [b"jp2c", b"uuid", b"uuid"]


def test_the_orientation_in_its_exif_turns_the_photo_once(tmp_path: Path) -> None:
    samples = smooth(20, 30)
    exif = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    data = bytearray(encoded(samples, "RGB"))
    at = data.index(b"jp2c") - 4
    data[at : at + 4] = struct.pack(">I", len(data) - at)
    data += struct.pack(">I4s", 24 + len(exif), b"uuid") + b"JpgTiffExif->JP2" + exif
    photo = decode_photo(bytes(data))
    np.testing.assert_array_equal(photo.pixels, np.rot90(samples, -1))
    write_photo(tmp_path / "a.jp2", photo.pixels, photo)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.jp2").pixels, photo.pixels)


def test_a_profile_is_applied() -> None:
    samples, profile = smooth(), p3_profile()
    data = bytearray(encoded(samples, "RGB"))
    head, color = data.index(b"jp2h") - 4, data.index(b"colr") - 4
    (size,) = struct.unpack_from(">I", data, color)
    box = struct.pack(">I", 11 + len(profile)) + b"colr\2\0\0" + profile
    data[color : color + size] = box
    (whole,) = struct.unpack_from(">I", data, head)
    struct.pack_into(">I", data, head, whole + len(box) - size)
    photo = decode_photo(bytes(data))
    assert photo.profiled
    file = io.BytesIO()
    to_pil(samples, "RGB").save(file, "PNG", icc_profile=profile)
    np.testing.assert_array_equal(
        to_uint8(photo.pixels), to_uint8(decode_photo(file.getvalue()).pixels)
    )


def test_damaged_files_are_refused_in_words() -> None:
    data = encoded(smooth(), "RGB")
    for cut in (14, 40, 90, 130):
        refusal(decode_photo, data[:cut])
