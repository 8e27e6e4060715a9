"""PNG: samples, texts, and the metadata in them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.IptcImagePlugin
import pytest
import pyvips

from photochrom.photo.losses import losses
from photochrom.photo.metadata.iptc import photoshop_block
from photochrom.photo.metadata.xmp import result_packet
from photochrom.photo.open import open_photo
from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import (
    colored,
    exif_with,
    iptc,
    noise,
    photo_of,
    png_bytes,
    refusal,
    smooth,
    taken,
    to_pil,
)


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("depth", [8, 16])
def test_png_samples_are_read_exactly(tmp_path: Path, kind: int, channels: int, depth: int) -> None:
    samples = noise(5, 6, channels, np.uint8 if depth == 8 else np.uint16)
    rows = b"".join(
        b"\0" + row.astype(samples.dtype.newbyteorder(">")).tobytes() for row in samples
    )
    path = tmp_path / "photo.png"
    path.write_bytes(png_bytes(6, 5, depth, kind, rows))
    photo = open_photo(path)
    assert photo.pixels.dtype == samples.dtype
    np.testing.assert_array_equal(photo.pixels, samples[..., : 1 if channels <= 2 else 3])
    if channels in (2, 4):
        np.testing.assert_array_equal(photo.alpha, samples[..., -1])


def test_a_transparent_color_becomes_alpha(tmp_path: Path) -> None:
    path = tmp_path / "transparent.png"
    to_pil(np.array([[0, 100, 200]], np.uint8), "L").save(path, transparency=100)
    photo = read_photo(path)
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0, 255]]
    assert photo.pixels.shape == (1, 3, 1)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    png = tmp_path / "bomb.png"
    png.write_bytes(png_bytes(100_000, 100_000, 8, 0, bytes(1000)))
    assert png.stat().st_size < 200
    message = refusal(read_photo, png)
    assert "100000 x 100000" in message
    assert "500 megapixels" in message

    entries = [(256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 1, 8), (259, 3, 1, 1)]
    entries += [(262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 60_000)]
    entries += [(279, 4, 1, 100)]
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    tiff = tmp_path / "bomb.tif"
    tiff.write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + bytes(104))
    assert "60000 x 60000" in refusal(read_photo, tiff)


def test_a_strip_of_absurd_length_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "strip.png"
    path.write_bytes(png_bytes(8, 2_000_000, 8, 0, bytes(1000)))
    assert "has 8 x 2000000 pixels, over the limit of 100000 per side" in refusal(read_photo, path)


def test_float_becomes_sixteen_bit_png_rounded_to_nearest(tmp_path: Path) -> None:
    rgb = noise(8, 9, 3, np.float32)
    write_photo(tmp_path / "out.png", rgb, photo_of(rgb))
    written = read_photo(tmp_path / "out.png").pixels
    assert written.dtype == np.uint16
    assert np.abs(written - rgb.astype(np.float64) * 65535).max() < 0.51


def png_with(path: Path, *chunks: tuple[bytes, bytes]) -> Path:
    """A PNG with these chunks before its pixels."""
    to_pil(smooth(8, 8, 1), "L").save(path)
    made = b""
    for kind, data in chunks:
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        made += struct.pack(">I", len(data)) + kind + data + sum_
    content = path.read_bytes()
    path.write_bytes(content[:33] + made + content[33:])
    return path


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("bare", [False, True])
def test_iptc_in_a_text_of_png_is_read(tmp_path: Path, kind: bytes, bare: bool) -> None:
    records = iptc((2, 120, "caption"), (2, 90, "Prague"))
    block = records if bare else photoshop_block(records).removeprefix(b"Photoshop 3.0\0")
    text = f"\niptc\n{len(block):8}\n{block.hex()}\n".encode()
    between = {b"tEXt": b"\0", b"zTXt": b"\0\0", b"iTXt": b"\0\1\0\0\0"}[kind]
    data = b"Raw profile type iptc" + between + (text if kind == b"tEXt" else zlib.compress(text))
    photo = read_photo(png_with(tmp_path / "a.png", (kind, data)))
    write_photo(tmp_path / "b.jpg", colored(photo), photo)
    with PIL.Image.open(tmp_path / "b.jpg") as image:
        assert PIL.IptcImagePlugin.getiptcinfo(image) == {(2, 120): b"caption", (2, 90): b"Prague"}
    write_photo(tmp_path / "b.png", colored(photo), photo)
    said = taken(pyvips.Image.new_from_file(str(tmp_path / "b.png")).get("xmp-data"))
    assert (said["description"], said["City"]) == (["caption"], ["Prague"])
    with PIL.Image.open(tmp_path / "b.png") as image:
        assert "Raw profile type iptc" not in image.info


# What ExifTool 12.57 and ImageMagick 6.9.11 wrote for these two records.
EXIFTOOL_IPTC = bytes.fromhex(
    "5261772070726f66696c65207479706520697074630000789ce3f20c0871562828ca4fcbcc49e55200031323"
    "2e630b1323134b93140313208403c354c3640323d34420d3ccd4c0dcc8ccd0ccdcdcd4cc14246a6e01143537"
    "3336333437303731b3344b3303aae6323002eb0491265c004c7317c9"
)


IMAGEMAGICK_IPTC = (
    b"Raw profile type iptc\0\niptc\n      30\n"
    b"1c025a00065072616775651c0278000763617074696f6e1c020000020004\n"
)


@pytest.mark.parametrize("chunk", [(b"zTXt", EXIFTOOL_IPTC), (b"tEXt", IMAGEMAGICK_IPTC)])
def test_iptc_as_programs_put_it_into_png_is_read(
    tmp_path: Path, chunk: tuple[bytes, bytes]
) -> None:
    photo = read_photo(png_with(tmp_path / "a.png", chunk))
    assert photo.notes == ()
    write_photo(tmp_path / "b.jpg", colored(photo), photo)
    with PIL.Image.open(tmp_path / "b.jpg") as image:
        kept = PIL.IptcImagePlugin.getiptcinfo(image)
    assert kept == {(2, 120): b"caption", (2, 90): b"Prague", (2, 0): b"\0\4"}


def raw_profile(keyword: str, data: bytes, name: str = "") -> tuple[bytes, bytes]:
    """A text as ImageMagick writes it."""
    digits = data.hex()
    lines = "".join(digits[at : at + 72] + "\n" for at in range(0, len(digits), 72))
    text = f"\n{name or keyword}\n{len(data):8}\n{lines}".encode()
    return b"zTXt", f"Raw profile type {keyword}".encode() + b"\0\0" + zlib.compress(text)


def artist_block() -> bytes:
    exif = exif_with(Artist="A. Painter", ResolutionUnit=2)
    exif[PIL.ExifTags.Base.XResolution] = exif[PIL.ExifTags.Base.YResolution] = 300
    return b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")


ARTIST_BLOCK = artist_block()


@pytest.mark.parametrize("keyword", ["exif", "APP1"])
def test_exif_in_a_text_of_png_is_read(tmp_path: Path, keyword: str) -> None:
    photo = read_photo(png_with(tmp_path / "a.png", raw_profile(keyword, ARTIST_BLOCK)))
    assert photo.resolution == pytest.approx((300 / 25.4, 300 / 25.4))
    for suffix in (".png", ".jpg"):
        write_photo(tmp_path / f"b{suffix}", colored(photo), photo)
        with PIL.Image.open(tmp_path / f"b{suffix}") as image:
            assert image.getexif()[PIL.ExifTags.Base.Artist] == "A. Painter"
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("keyword", ["xmp", "APP1"])
def test_xmp_in_a_text_of_png_is_read(tmp_path: Path, keyword: str) -> None:
    packet = result_packet(None, iptc((2, 120, "caption")), "")[0]
    head = b"http://ns.adobe.com/xap/1.0/\0" if keyword == "APP1" else b""
    photo = read_photo(png_with(tmp_path / "a.png", raw_profile(keyword, head + packet)))
    write_photo(tmp_path / "b.png", colored(photo), photo)
    said = taken(pyvips.Image.new_from_file(str(tmp_path / "b.png")).get("xmp-data"))
    assert said["description"] == ["caption"]


def test_what_png_has_in_its_own_place_counts(tmp_path: Path) -> None:
    other = PIL.Image.Exif()
    other[PIL.ExifTags.Base.Artist] = "Nobody"
    own = ARTIST_BLOCK.removeprefix(b"Exif\0\0")
    text = raw_profile("exif", b"Exif\0\0" + other.tobytes().removeprefix(b"Exif\0\0"))
    photo = read_photo(png_with(tmp_path / "a.png", text, (b"eXIf", own)))
    assert photo.metadata.exif is not None and b"A. Painter" in photo.metadata.exif


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\nexif\n",
        b"\nexif\n     many\n4578",
        b"\nexif\n       4\nxyz!",
        b"\nexif\n       4\n41424344",
        b"\n" * 100_000,
        b"\nexif\n" + b"9" * 100_000,
    ],
)
def test_a_damaged_profile_in_a_text_is_said(tmp_path: Path, content: bytes) -> None:
    data = b"Raw profile type exif\0\0" + zlib.compress(content)
    photo = read_photo(png_with(tmp_path / "a.png", (b"zTXt", data)))
    assert photo.notes == ('its text "Raw profile type exif" is damaged and was dropped',)
    assert photo.metadata.exif is None


def test_texts_of_png_are_kept_in_png_and_told_of_elsewhere(tmp_path: Path) -> None:
    latin = (b"tEXt", b"Author\0Ren\xe9")
    packed = (b"zTXt", b"Comment\0\0" + zlib.compress(b"from the album"))
    wide = (b"iTXt", "Title\0\0\0cs\0N\u00e1zev\0\u0160koda".encode())
    itself = (b"tEXt", b"date:modify\x002001-02-03")
    photo = read_photo(png_with(tmp_path / "a.png", latin, packed, itself, wide))
    assert losses(photo, tmp_path / "b.png") == []
    write_photo(tmp_path / "b.png", colored(photo), photo)
    with PIL.Image.open(tmp_path / "b.png") as image:
        image.load()
        texts = {key: image.text[key] for key in ("Author", "Comment", "Title")}
        assert texts == {"Author": "René", "Comment": "from the album", "Title": "Škoda"}
        assert "date:modify" not in image.text
    assert read_photo(tmp_path / "b.png").metadata.texts
    (told,) = losses(photo, tmp_path / "b.jpg")
    assert told.endswith("JPG cannot hold its texts (Author, Comment, Title); PNG can")


def test_texts_of_png_without_end_are_bounded(tmp_path: Path) -> None:
    chunks = [(b"tEXt", b"Comment\0" + b"a" * 400_000)] * 4
    photo = read_photo(png_with(tmp_path / "a.png", *chunks))
    (told,) = losses(photo, tmp_path / "b.png")
    assert "more than 1 MB of texts" in told
    write_photo(tmp_path / "b.png", colored(photo), photo)
    assert 800_000 < (tmp_path / "b.png").stat().st_size < 1_100_000
