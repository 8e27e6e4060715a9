"""PNG: what a file says in its chunks, wherever they are, counts."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from photochrom.photo.losses import losses
from photochrom.photo.read import decode_photo, read_photo
from photochrom.photo.samples import to_uint8
from photochrom.photo.write import write_photo
from tests.photo.material import (
    assert_srgb_profile,
    colored,
    iptc,
    p3_profile,
    refusal,
    smooth,
    statements,
    taken,
    xmp_of,
    xmp_packet,
)

LEVELS = np.arange(0, 256, 5, dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray, *before: bytes, after: tuple[bytes, ...] = ()) -> bytes:
    """A file of 8 bits with chunks before and after the pixels."""
    height, width, count = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if count == 1 else 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = [chunk(b"IHDR", head), *before, chunk(b"IDAT", zlib.compress(rows)), *after]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def primaries(*points: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(v * 100_000) for v in points)))


def code_points(*numbers: int) -> bytes:
    return chunk(b"cICP", bytes(numbers))


SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
P3 = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
AS_IT_IS = LEVELS[:16].tolist()
POWER_22 = [0, 1, 3, 6, 12, 18, 24, 30, 35, 41, 46, 52, 57, 63, 68, 74]
POWER_24 = [0, 0, 1, 4, 7, 12, 18, 23, 28, 33, 39, 44, 49, 55, 60, 65]
LINEAR = [0, 38, 56, 69, 79, 88, 96, 104, 110, 117, 122, 128, 133, 138, 143, 148]
SMPTE_240 = [0, 15, 25, 32, 38, 43, 48, 53, 58, 63, 68, 73, 77, 82, 87, 92]
# What Chromium shows of the levels 0, 5, 10, ...: read back from a canvas.
SHOWN = {
    "nothing": ((), AS_IT_IS),
    "gamma of 1/2.2": ((gamma(0.45455),), AS_IT_IS),
    "gamma of 1/2.2 with primaries": ((gamma(0.45455), primaries(*SRGB)), POWER_22),
    "gamma of 1": ((gamma(1),), LINEAR),
    "gamma of 1 with primaries": ((gamma(1), primaries(*SRGB)), LINEAR),
    "primaries alone": ((primaries(*P3),), AS_IT_IS),
    "sRGB before gamma": ((gamma(1), chunk(b"sRGB", b"\0")), AS_IT_IS),
    "BT.709": ((code_points(1, 1, 0, 1),), POWER_24),
    "gamma of 2.2": ((code_points(1, 4, 0, 1),), POWER_22),
    "SMPTE 240M": ((code_points(1, 7, 0, 1),), SMPTE_240),
    "linear": ((code_points(1, 8, 0, 1),), LINEAR),
    "code points before sRGB": ((code_points(1, 8, 0, 1), chunk(b"sRGB", b"\0")), LINEAR),
    "sRGB by code points": ((code_points(1, 13, 0, 1), gamma(1)), AS_IT_IS),
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", SHOWN)
def test_color_chunks_are_profiles(tmp_path: Path, kind: str, count: int) -> None:
    chunks, shown = SHOWN[kind]
    pixels = np.repeat(LEVELS.reshape(1, -1, 1), count, axis=2)
    photo = decode_photo(png(pixels, *chunks))
    found = to_uint8(photo.pixels)[0, :16]
    np.testing.assert_allclose(found, np.repeat([[v] for v in shown], count, axis=1), atol=1)
    assert photo.profiled == (kind not in ("nothing", "primaries alone"))
    write_photo(tmp_path / "a.png", colored(photo), photo)
    with PIL.Image.open(tmp_path / "a.png") as image:
        assert "gamma" not in image.info
        if photo.profiled:
            assert_srgb_profile(image.info["icc_profile"])


def test_primaries_are_those_of_the_icc_profile(tmp_path: Path) -> None:
    pixels = smooth() // 2 + 64  # within the gamut of sRGB
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG", icc_profile=p3_profile())
    expected = decode_photo(file.getvalue()).pixels
    by_points = decode_photo(png(pixels, code_points(12, 13, 0, 1))).pixels
    assert np.abs(by_points / 257 - expected / 257).max() < 0.5
    assert np.abs(pixels - expected / 257).max() > 3
    by_chromaticities = decode_photo(png(pixels, gamma(0.45455), primaries(*P3))).pixels
    expected = decode_photo(png(pixels, code_points(12, 4, 0, 1))).pixels
    assert np.abs(by_chromaticities / 257 - expected / 257).max() < 0.1


def test_what_cannot_be_true_is_ignored_and_said() -> None:
    pixels = smooth()
    for chunks, word in (
        ([gamma(0.00001)], "gAMA"),
        ([code_points(99, 13, 0, 1)], "cICP"),
        ([code_points(1, 13, 0, 0)], "cICP"),
    ):
        photo = decode_photo(png(pixels, *chunks))
        np.testing.assert_array_equal(photo.pixels, pixels)
        assert any(word in note for note in photo.notes)
    flat = primaries(0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3)
    np.testing.assert_array_equal(decode_photo(png(pixels, gamma(0.5), flat)).pixels, pixels)


@pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused_by_name(curve: int, name: str) -> None:
    assert name in refusal(decode_photo, png(smooth(), code_points(9, curve, 0, 1)))


# --- after the pixels -----------------------------------------------------------------------------

EXIF = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # orientation 6
XMP = xmp_packet(
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="box 9"/>'
)


def raw(kind: bytes, data: bytes, packed: bool = True) -> bytes:
    """A profile as ImageMagick 6 and GraphicsMagick write it."""
    text = b"\n%s\n%8d\n%s\n" % (kind, len(data), data.hex().encode())
    keyword = b"Raw profile type " + kind + b"\0"
    if packed:
        return chunk(b"zTXt", keyword + b"\0" + zlib.compress(text))
    return chunk(b"tEXt", keyword + text)


def test_exif_xmp_and_texts_after_the_pixels_are_kept(tmp_path: Path) -> None:
    packet = b"XML:com.adobe.xmp\0\0\0\0\0" + XMP
    after = (chunk(b"eXIf", EXIF), chunk(b"iTXt", packet), chunk(b"tEXt", b"Author\0Opa"))
    photo = decode_photo(png(smooth(20, 30), after=after))
    assert (photo.height, photo.width) == (30, 20)  # turned
    write_photo(tmp_path / "a.png", colored(photo), photo)
    with PIL.Image.open(tmp_path / "a.png") as image:
        assert image.getexif()[274] == 1
        image.load()
        assert image.info["Author"] == "Opa"
    assert taken(xmp_of(tmp_path / "a.png"))["source"] == ["box 9"]


@pytest.mark.parametrize("head", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [b"exif", b"APP1"])
def test_exif_in_a_raw_profile_turns_the_photo_once(
    tmp_path: Path, kind: bytes, packed: bool, head: bytes
) -> None:
    if kind == b"APP1" and not head:
        pytest.skip("a segment of JPEG says what it is")
    pixels = smooth(20, 30)
    photo = decode_photo(png(pixels, raw(kind, head + EXIF, packed)))
    np.testing.assert_array_equal(photo.pixels, np.rot90(pixels, -1))
    write_photo(tmp_path / "a.png", colored(photo), photo)
    again = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(again.pixels, photo.pixels)


def test_the_iptc_with_the_most_records_counts(tmp_path: Path) -> None:
    stub, whole = iptc((2, 5, "Oma")), iptc((2, 5, "Oma"), (2, 25, "Hochzeit"), (2, 80, "Opa"))
    resources = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(whole)) + whole
    photo = decode_photo(png(smooth(), raw(b"iptc", stub), raw(b"8bim", resources)))
    write_photo(tmp_path / "a.png", colored(photo), photo)
    assert taken(xmp_of(tmp_path / "a.png"))["subject"] == ["Hochzeit"]
    assert statements(xmp_of(tmp_path / "a.png"), "DigitalSourceType")


def test_frames_and_unknown_chunks_are_said(tmp_path: Path) -> None:
    frames = chunk(b"acTL", struct.pack(">II", 3, 0))
    photo = decode_photo(png(smooth(), frames, chunk(b"caBX", b"x"), chunk(b"prVt", b"y")))
    first, second = losses(photo, tmp_path / "a.png")
    assert "its chunks caBX (content credentials), prVt were dropped" in first
    assert "holds 3 frames; only the first is colored" in second
