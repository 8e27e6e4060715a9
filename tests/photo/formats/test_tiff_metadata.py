"""What TIFF files say about themselves: EXIF, IPTC, resolution, names of pages."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.IptcImagePlugin
import pytest
import tifffile

from photochrom import Colorizer
from photochrom.photo.formats.tiff import read_pages
from photochrom.photo.losses import losses
from photochrom.photo.metadata.exif import exif_block
from photochrom.photo.metadata.iptc import photoshop_block
from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.formats.scans import gray, page_with, pages_file
from tests.photo.material import (
    colored,
    exif,
    iptc,
    smooth,
    to_pil,
)


def test_iptc_in_the_photoshop_block_of_tiff_is_read(tmp_path: Path) -> None:
    block = photoshop_block(iptc((2, 120, "caption"))).removeprefix(b"Photoshop 3.0\0")
    gray = smooth(8, 8, 1)[..., 0]
    tags = [(34377, 1, len(block), block, True)]
    tifffile.imwrite(tmp_path / "a.tif", gray, photometric="minisblack", extratags=tags)
    photo = read_photo(tmp_path / "a.tif")
    write_photo(tmp_path / "b.jpg", colored(photo), photo)
    with PIL.Image.open(tmp_path / "b.jpg") as image:
        assert PIL.IptcImagePlugin.getiptcinfo(image) == {(2, 120): b"caption"}


def test_the_description_of_a_tiff_travels(tmp_path: Path) -> None:
    path = tmp_path / "source.tif"
    to_pil(smooth(8, 8, 1), "L").save(path, description="Main street, 1911", dpi=(600, 600))
    photo = read_photo(path)
    write_photo(tmp_path / "out.tif", colored(photo), photo)
    with PIL.Image.open(tmp_path / "out.tif") as image:
        assert image.tag_v2[270] == "Main street, 1911"  # type: ignore[attr-defined]
        assert image.info["dpi"] == pytest.approx((600, 600), abs=0.1)


def check_exif(path: Path, size: tuple[int, int]) -> None:
    with PIL.Image.open(path) as image:
        assert image.size == size
        block = image.getexif()
        assert (block[0x010F], block[0x0110]) == ("Leica", "M3")
        assert block.get(0x0112, 1) == 1
        inner, place = block.get_ifd(0x8769), block.get_ifd(0x8825)
        assert (float(inner[0x829A]), inner[0x8827]) == (0.008, 400)
        assert inner[0xA001] == 1
        assert (inner[0xA002], inner[0xA003]) == size
        assert place[1] == "N" and [float(v) for v in place[2]] == [48.0, 51.0, 30.5]


@pytest.mark.parametrize("origin", [".tif", ".jpg", ".png", ".webp"])
@pytest.mark.parametrize("result", [".tif", ".jpg", ".png", ".webp"])
def test_exif_travels_into_and_out_of_tiff(tmp_path: Path, origin: str, result: str) -> None:
    source, target = tmp_path / f"a{origin}", tmp_path / f"b{result}"
    PIL.Image.fromarray(gray(60, 80)).convert("RGB").save(source, exif=exif())
    photo = read_photo(source)
    write_photo(target, np.broadcast_to(photo.pixels, (80, 60, 3)), photo)
    check_exif(target, (60, 80))
    read_photo(target)


@pytest.mark.slow
def test_exif_of_each_page_stays_with_it(colorizer: Colorizer, tmp_path: Path) -> None:
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    first, second = exif(), exif()
    second[0x0110] = "M4"
    images = [PIL.Image.fromarray(gray(60, 80)) for _ in range(2)]
    for image, block in zip(images, (first, second), strict=True):
        image.encoderinfo = {"exif": block}
    images[0].save(source, save_all=True, append_images=images[1:], exif=first)
    colorizer.color_file(source, target)
    with PIL.Image.open(target) as image:
        assert image.n_frames == 2
        assert image.getexif()[0x0110] == "M3"
        image.seek(1)
        assert image.getexif()[0x0110] in ("M3", "M4")
        assert image.getexif().get_ifd(0x8769)[0x8827] == 400


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_of_either_byte_order_is_read(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        gray(20, 30),
        byteorder=order,
        extratags=[(271, 2, 0, "Zeiss", True), (33432, 2, 0, "by us", True)],
        software="scanner",
    )
    with path.open("rb") as file:
        block = exif_block(file)
    assert block is not None
    read = PIL.Image.Exif()
    read.load(block)
    assert (read[271], read[305]) == ("Zeiss", "scanner")


@pytest.mark.hostile
def test_directories_of_mutants_are_followed_without_harm(tmp_path: Path) -> None:
    rng = random.Random(0)
    source = tmp_path / "a.tif"
    PIL.Image.fromarray(gray(60, 80)).save(source, exif=exif())
    exif_data = source.read_bytes()
    pages_file(source)
    pages = source.read_bytes()
    for number in range(1500):
        data = bytearray(pages if number % 2 else exif_data)
        for _ in range(rng.choice((1, 2, 8))):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 8, 127, 255, rng.randrange(256)))
        if number % 5 == 0:
            del data[rng.randrange(len(data)) :]
        file = io.BytesIO(bytes(data))
        assert len(read_pages(file).layouts) < 100
        block = exif_block(file)
        assert block is None or len(block) < 1 << 20


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    total = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.total += len(data)
        return data


def test_values_that_overlap_are_not_read_again_and_again() -> None:
    size = 1 << 20
    names = [(tag, 7, size, 0) for tag in (270, 271, 272, 305, 306, 315, 33432)]
    file = Counted(page_with([*names, *((tag, 7, size, 0) for tag in range(50_000, 54_000))], 1024))
    assert len(read_pages(file).layouts) == 1
    assert file.total < size
    exif_block(file)
    assert file.total <= 17 * size


def test_a_value_that_cannot_be_read_takes_no_page_along(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for number in range(4):
            more = [(271, 2, 0, "of Jena", True), (50_000, 7, 16, b"x" * 16, True)]
            file.write(gray(40, 50) + number, extratags=more, metadata=None)
    data = path.read_bytes()
    for tag in (271, 50_000):
        at = data.index(struct.pack("<HH", tag, 2 if tag == 271 else 7))
        path.write_bytes(data[: at + 8] + b"\xf0\xff\xff\xff" + data[at + 12 :])
        assert read_photo(path).pages == 4
    np.testing.assert_array_equal(read_photo(path, 3).pixels[..., 0], gray(40, 50) + 3)


def test_numbers_too_large_for_exif_are_left_out(tmp_path: Path) -> None:
    def directory(*entries: tuple[int, int, int]) -> bytes:
        packed = b"".join(struct.pack("<HHQq", tag, kind, 1, n) for tag, kind, n in entries)
        return struct.pack("<Q", len(entries)) + packed + bytes(8)

    size, start = 64, 16
    numbers = [
        (256, 3, size), (257, 3, size), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 16, start),
        (278, 3, size), (279, 4, size * size),
    ]  # fmt: skip
    pixels = gray(size, size).tobytes()
    place = start + len(pixels)
    below = place + len(directory(*numbers, (34665, 16, 0)))
    camera = directory((37385, 16, 5), (40962, 16, 1 << 33), (40963, 17, -7), (41486, 17, -1 << 40))
    path = tmp_path / "a.tif"
    path.write_bytes(
        struct.pack("<2sHHHQ", b"II", 43, 8, 0, place)
        + pixels
        + directory(*numbers, (34665, 16, below))
        + camera
    )
    photo = read_photo(path)
    read = PIL.Image.Exif()
    read.load(photo.metadata.exif)
    assert dict(read.get_ifd(34665)) == {37385: 5, 40963: -7}
    for name in ("b.tif", "b.jpg"):
        write_photo(tmp_path / name, np.broadcast_to(photo.pixels, (size, size, 3)), photo)


def test_no_resolution_is_made_up(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(page_with([]))
    photo = read_photo(path)
    assert photo.resolution is None
    rgb = np.broadcast_to(photo.pixels, (64, 64, 3))
    for name in ("b.tif", "b.png"):
        write_photo(tmp_path / name, rgb, photo)
        np.testing.assert_array_equal(read_photo(tmp_path / name).pixels, rgb)
    assert read_photo(tmp_path / "b.tif").resolution is None
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        tags = file.pages[0].tags
        assert (tags[282].value, tags[283].value, tags[296].value) == ((1, 1), (1, 1), 1)
    with PIL.Image.open(tmp_path / "b.png") as image:
        image.load()
        assert "dpi" not in image.info


def test_names_of_scans_and_ratings_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    words = "Köln".encode("utf-16-le")
    more: list[tuple[Any, ...]] = [
        (269, 2, 0, "album 7", True), (285, 2, 0, "leaf 3", True), (297, 3, 2, (2, 9), True),
        (316, 2, 0, "desk", True), (18246, 3, 1, 4, True), (40091, 1, len(words), words, True),
        (337, 2, 0, "the printer", True), (18249, 3, 1, 75, True),
    ]  # fmt: skip
    tifffile.imwrite(path, gray(20, 30), extratags=more, metadata=None)
    photo = read_photo(path)
    write_photo(tmp_path / "b.tif", np.broadcast_to(photo.pixels, (20, 30, 3)), photo)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        tags = file.pages[0].tags
        assert [tags[tag].value for tag in (269, 285, 297, 316, 18246, 337, 18249)] == [
            "album 7", "leaf 3", (2, 9), "desk", 4, "the printer", 75,
        ]  # fmt: skip
        assert bytes(tags[40091].value) == words


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".avif"])
def test_other_formats_keep_them_as_well(tmp_path: Path, extension: str) -> None:
    path, target = tmp_path / "a.tif", tmp_path / f"b{extension}"
    more: list[tuple[Any, ...]] = [
        (271, 2, 0, "Kodak", True), (316, 2, 0, "desk", True), (18246, 3, 1, 4, True),
    ]  # fmt: skip
    tifffile.imwrite(path, gray(20, 30), extratags=more, metadata=None, software=False)
    photo = read_photo(path)
    assert losses(photo, tmp_path / "b.tif") == losses(photo, target) == []
    write_photo(target, np.broadcast_to(photo.pixels, (20, 30, 3)), photo)
    with PIL.Image.open(target) as image:
        found = image.getexif()
        assert (found[271], found[316], found[18246]) == ("Kodak", "desk", 4)
