"""JPEG: its quality, and XMP in two parts."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import pyvips

from photochrom.photo.formats.jpeg import jpeg_quality
from photochrom.photo.losses import losses
from photochrom.photo.read import read_photo
from photochrom.photo.write import Output, write_photo
from tests.photo.material import (
    NEW_SOURCE_TYPE,
    colored,
    iptc,
    photo_of,
    refusal,
    smooth,
    statements,
    taken,
    to_pil,
    to_vips,
    xmp_of,
    xmp_packet,
)


def test_jpeg_keeps_the_full_resolution_of_color(tmp_path: Path) -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = [200, 60, 60]
    stripes[:, 1::2] = [60, 60, 200]
    path = tmp_path / "out.jpg"
    write_photo(path, stripes, photo_of(stripes))
    with PIL.Image.open(path) as image:
        decoded = np.asarray(image).astype(int)
    assert np.abs(decoded - stripes).max() < 25
    assert pyvips.Image.new_from_file(str(path)).get("jpeg-chroma-subsample") == "4:4:4"


@pytest.mark.parametrize(
    ("quality", "mode", "progressive"),
    [
        *((quality, "RGB", False) for quality in (1, 10, 49, 50, 75, 88, 95, 100)),
        *((quality, mode, False) for quality in (1, 49, 95) for mode in ("L", "CMYK")),
        *((88, mode, True) for mode in ("L", "RGB", "CMYK")),
    ],
)
def test_a_jpeg_keeps_its_quality_but_for_the_lowest(
    tmp_path: Path, quality: int, mode: str, progressive: bool
) -> None:
    path, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (140, 160, 3), np.uint8)
    image = PIL.Image.fromarray(noise).convert(mode)
    image.save(path, quality=quality, progressive=progressive, icc_profile=bytes(150_000))
    photo = read_photo(path)
    # Two neighbors among the lowest and highest can have one and the same table.
    assert photo.quality is not None and abs(photo.quality - quality) <= (quality < 5)
    write_photo(target, np.broadcast_to(photo.pixels, (140, 160, 3)), photo)
    assert read_photo(target).quality == max(photo.quality, 75)
    with PIL.Image.open(target) as result:
        assert {part[1:3] for part in result.layer} == {(1, 1)}
    write_photo(
        target, np.broadcast_to(photo.pixels, (140, 160, 3)), photo, Output(quality=60, force=True)
    )
    assert read_photo(target).quality == 60


def test_a_huge_packet_is_replaced_in_jpeg_only(tmp_path: Path) -> None:
    path = tmp_path / "source.png"
    text = "x" * 70_000
    inside = f'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="{text}"/>'
    vips = to_vips(smooth())
    vips.set_type(pyvips.GValue.blob_type, "xmp-data", xmp_packet(inside))
    vips.pngsave(str(path))
    photo = read_photo(path)
    for extension in (".jpg", ".png"):
        out = tmp_path / f"out{extension}"
        write_photo(out, colored(photo), photo)
        packet = xmp_of(out)
        assert statements(packet, "DigitalSourceType") == [NEW_SOURCE_TYPE]
        assert (text.encode() in packet) == (extension == ".png")


def extended_jpeg(path: Path, text: str, parts: int = 2, missing: int = -1) -> Path:
    """A JPEG with XMP in two parts, the second in several segments."""
    space = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'
    second = xmp_packet(f'<rdf:Description rdf:about="" {space} dc:relation="{text}"/>')
    digest = hashlib.md5(second).hexdigest().upper().encode()
    note = f'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{digest.decode()}"'
    image = to_vips(smooth()).copy()
    packet = xmp_packet(f'<rdf:Description rdf:about="" {space} dc:source="box" {note}/>')
    image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    image.jpegsave(str(path))
    size = -(-len(second) // parts)
    made = b""
    for at in range(0, len(second), size):
        if at // size == missing:
            continue
        body = b"http://ns.adobe.com/xmp/extension/\0" + digest
        body += struct.pack(">II", len(second), at) + second[at : at + size]
        made = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + made  # in any order
    content = path.read_bytes()
    end = 4 + int.from_bytes(content[4:6], "big")  # of JFIF
    path.write_bytes(content[:end] + made + content[end:])
    return path


@pytest.mark.parametrize(("length", "names"), [(100, ("a.jpg", "a.png")), (150_000, ("a.png",))])
def test_xmp_in_two_parts_becomes_one(tmp_path: Path, length: int, names: tuple[str, ...]) -> None:
    photo = read_photo(extended_jpeg(tmp_path / "x.jpg", "r" * length, parts=3))
    for name in names:
        assert losses(photo, tmp_path / name) == []
        write_photo(tmp_path / name, colored(photo), photo)
        said = taken(xmp_of(tmp_path / name))
        assert (said["source"], said["relation"]) == (["box"], ["r" * length])
        assert said["DigitalSourceType"] == [NEW_SOURCE_TYPE] and "HasExtendedXMP" not in said


def test_a_second_part_that_has_no_place_or_is_missing_is_said(tmp_path: Path) -> None:
    large = read_photo(extended_jpeg(tmp_path / "x.jpg", "r" * 150_000, parts=3))
    (told,) = losses(large, tmp_path / "a.jpg")
    assert "x.jpg: the second part of its XMP" in told
    torn = read_photo(extended_jpeg(tmp_path / "y.jpg", "r" * 150_000, parts=3, missing=1))
    (told,) = losses(torn, tmp_path / "b.jpg")
    assert "y.jpg: the second part of its XMP is missing" in told
    for photo, name in ((large, "a.jpg"), (torn, "b.jpg")):
        write_photo(tmp_path / name, colored(photo), photo)
        said = taken(xmp_of(tmp_path / name))
        assert said["source"] == ["box"] and said["DigitalSourceType"] == [NEW_SOURCE_TYPE]
        assert "HasExtendedXMP" not in said


@pytest.mark.parametrize(("size", "fits"), [(65_480, True), (65_530, False)])
def test_iptc_that_jpeg_cannot_hold_is_said(tmp_path: Path, size: int, fits: bool) -> None:
    records = b"".join(iptc((2, 25, "k" * 1000)) for _ in range(size // 1005))
    records += iptc((2, 25, "k" * (size % 1005 - 5)))
    assert len(records) == size
    image = to_vips(smooth()).copy()
    image.set_type(pyvips.GValue.blob_type, "iptc-data", records * 4)  # see writing.py
    image.tiffsave(str(tmp_path / "a.tif"))
    photo = read_photo(tmp_path / "a.tif")
    told = losses(photo, tmp_path / "b.jpg")
    assert (told == []) == fits and all("its IPTC is too large for JPEG" in text for text in told)
    write_photo(tmp_path / "b.jpg", colored(photo), photo)
    assert (b"k" * 1000 in (tmp_path / "b.jpg").read_bytes()) == fits


@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif"])
def test_a_jpeg_states_the_resolution_of_a_source_without_exif(
    tmp_path: Path, extension: str
) -> None:
    path = tmp_path / f"source{extension}"
    to_pil(smooth(8, 8, 1), "L").save(path, dpi=(600, 300))
    photo = read_photo(path)
    assert photo.metadata.exif is None
    write_photo(tmp_path / "out.jpg", colored(photo), photo)
    with PIL.Image.open(tmp_path / "out.jpg") as image:
        found = image.getexif()
        assert (found[282], found[283]) == pytest.approx((600, 300), rel=1e-4)
        assert found[296] == 2 and image.info["dpi"][0] == pytest.approx(600, rel=1e-4)
    assert read_photo(tmp_path / "out.jpg").resolution == pytest.approx(photo.resolution, rel=1e-4)


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


# --- damage ---------------------------------------------------------------------------------------


def jpeg_bytes(**options: Any) -> bytes:
    file = io.BytesIO()
    to_pil(smooth(160, 200, 1), "L").save(file, "JPEG", quality=90, **options)
    return file.getvalue()


class Counting(io.BytesIO):
    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        return super().read(size)


def test_padding_is_read_in_blocks(tmp_path: Path) -> None:
    data = jpeg_bytes()
    padded = data[:2] + b"\xff" * 2_000_000 + data[2:]
    file = Counting(padded)
    assert jpeg_quality(file) == jpeg_quality(io.BytesIO(data)) == 90
    assert file.reads < 100
    many = Counting(data[:2] + b"\xff\xe5\0\2" * 100_000 + data[2:])
    jpeg_quality(many)
    assert many.reads < 50_000
    path = tmp_path / "a.jpg"
    path.write_bytes(padded)
    with PIL.Image.open(io.BytesIO(data)) as image:
        np.testing.assert_allclose(read_photo(path).pixels[..., 0], np.asarray(image), atol=1)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_photo_without_its_last_bytes_is_read_with_a_note(
    tmp_path: Path, progressive: bool, missing: int
) -> None:
    data = jpeg_bytes(progressive=progressive)
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:-missing])
    photo = read_photo(path)
    (note,) = photo.notes
    assert "last bytes are missing" in note
    path.write_bytes(data)
    whole = read_photo(path)
    assert whole.notes == ()
    np.testing.assert_array_equal(photo.pixels, whole.pixels)
    path.write_bytes(data + bytes(1000))  # something after the end is no matter
    assert read_photo(path).notes == ()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_photo_that_is_cut_off_is_refused(tmp_path: Path, progressive: bool) -> None:
    data = jpeg_bytes(progressive=progressive)
    path = tmp_path / "a.jpg"
    path.write_bytes(data[: len(data) * 3 // 4])
    assert "a.jpg: cannot be read" in refusal(read_photo, path)


def test_damage_that_the_decoder_fills_is_said_once(tmp_path: Path) -> None:
    data = jpeg_bytes(restart_marker_rows=4)
    middle = len(data) // 2
    damaged, broken = tmp_path / "damaged.jpg", tmp_path / "broken.jpg"
    damaged.write_bytes(data[:middle] + b"\xff\xd9")
    broken.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(60))
    photo = read_photo(damaged)
    (note,) = losses(photo, tmp_path / "out.jpg")
    assert "damaged.jpg: is damaged (Corrupt JPEG data" in note
    assert "Corrupt" not in refusal(read_photo, broken)  # which is another photo's damage
    path = tmp_path / "good.jpg"
    path.write_bytes(data)
    assert read_photo(path).notes == ()
