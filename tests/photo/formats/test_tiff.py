"""TIFF files of many pages, pyramids and EXIF, read by libraries other than the one that writes."""

from __future__ import annotations

import io
import random
import shutil
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.IptcImagePlugin
import pytest
import pyvips
import tifffile

from photochrom import Colorizer, PhotoError
from photochrom.cli.main import main
from photochrom.color.lab import gray_to_L, rgb_to_L
from photochrom.photo import read as read_module
from photochrom.photo.formats.tiff import largest_part, read_pages
from photochrom.photo.formats.tiff_write import Joiner
from photochrom.photo.limits import LIMITS
from photochrom.photo.losses import losses
from photochrom.photo.metadata.exif import exif_block
from photochrom.photo.metadata.iptc import photoshop_block
from photochrom.photo.read import decode_photo, read_photo
from photochrom.photo.strips import StripSource, strip_rows
from photochrom.photo.vips import _TILE, to_numpy
from photochrom.photo.write import Output, write_pages, write_photo
from tests.photo.material import (
    LARGE,
    colored,
    exif,
    iptc,
    noise,
    photo_of,
    refusal,
    smooth,
    to_pil,
)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_samples_are_read_exactly(
    tmp_path: Path, dtype: Any, color: bool, alpha: bool
) -> None:
    samples = noise(7, 9, (3 if color else 1) + alpha, dtype)
    path = tmp_path / "photo.tif"
    tifffile.imwrite(
        path,
        samples if samples.shape[2] > 1 else samples[..., 0],
        photometric="rgb" if color else "minisblack",
        planarconfig="contig" if samples.shape[2] > 1 else None,
        extrasamples=["unassalpha"] if alpha else None,
    )
    photo = read_photo(path)
    assert photo.pixels.dtype == dtype
    np.testing.assert_array_equal(photo.pixels, samples[..., : 3 if color else 1])
    if alpha:
        np.testing.assert_array_equal(photo.alpha, samples[..., -1])
    else:
        assert photo.alpha is None


def test_sixteen_bit_cmyk_stays_sixteen_bit(tmp_path: Path) -> None:
    path = tmp_path / "cmyk.tif"
    ramp = np.linspace(0, 65535, 2000).astype(np.uint16).reshape(4, 500, 1)
    tifffile.imwrite(path, np.repeat(ramp, 4, axis=2), photometric="separated")
    photo = read_photo(path)
    assert photo.pixels.dtype == np.uint16
    assert photo.pixels.shape == (4, 500, 3)
    assert len(np.unique(photo.pixels)) > 1000


def test_camera_raw_is_not_taken_for_its_preview(tmp_path: Path) -> None:
    path = tmp_path / "DSC_0001.NEF"
    tifffile.imwrite(path, smooth())
    assert "camera raw" in refusal(read_photo, path)


@pytest.mark.parametrize(
    ("compression", "damage"), [(None, "cut"), ("zlib", "cut"), ("zlib", "overwritten")]
)
def test_one_damaged_tile_is_enough(tmp_path: Path, compression: str | None, damage: str) -> None:
    path = tmp_path / "tiles.tif"
    noise = np.random.default_rng(0).integers(0, 256, (150, 200), np.uint8)
    tifffile.imwrite(path, noise, tile=(32, 48), compression=compression)
    assert np.array_equal(read_photo(path).pixels[..., 0], noise)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[-40:]
    else:
        data[len(data) // 2 : len(data) // 2 + 300] = b"\xff" * 300
    path.write_bytes(data)
    assert "tile" in refusal(read_photo, path) or "Decoding" in refusal(read_photo, path)


def test_without_compression_any_samples_are_as_good_as_others(tmp_path: Path) -> None:
    path = tmp_path / "tiles.tif"
    tifffile.imwrite(path, np.zeros((150, 200), np.uint8), tile=(32, 48))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 300] = b"\xff" * 300
    path.write_bytes(data)
    assert np.count_nonzero(read_photo(path).pixels) == 300


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.5, 255.0])
def test_float_files_out_of_range_are_refused(tmp_path: Path, bad: float) -> None:
    path = tmp_path / "photo.tif"
    samples = np.full((3, 4), 0.5, np.float32)
    samples[1, 2] = bad
    tifffile.imwrite(path, samples)
    message = refusal(read_photo, path)
    assert "photo.tif" in message
    assert ("NaN" in message) == bool(np.isnan(bad))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_is_read_by_another_library(tmp_path: Path, dtype: Any) -> None:
    rgba = noise(20, 30, 4, dtype)
    path = tmp_path / "out.tif"
    write_photo(path, rgba[..., :3], photo_of(rgba))
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        assert page.extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
        np.testing.assert_array_equal(page.asarray(), rgba)


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


SIZES = [(60, 80), (45, 30), (20, 90)]


def gray(height: int, width: int, dtype: Any = np.uint8) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    top = np.iinfo(dtype).max
    return ((x * 3 + y * 2) % 230 / 255 * top).astype(dtype)


def pages_file(path: Path, dtype: Any = np.uint8, **options: Any) -> list[np.ndarray]:
    pages = [gray(*size, dtype) for size in SIZES]
    with tifffile.TiffWriter(path, **options) as file:
        for page in pages:
            file.write(page, photometric="minisblack", metadata=None)
    return pages


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("streamed", [False, True])
def test_all_pages_are_colored_each_in_its_size_and_depth(
    colorizer: Colorizer,
    tmp_path: Path,
    options: dict[str, Any],
    dtype: Any,
    streamed: bool,
) -> None:
    limits = LARGE if streamed else LIMITS
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    pages = pages_file(source, dtype, **options)
    photo = read_photo(source, limits=limits)
    assert photo.pages == 3 and photo.streamed == photo.turned_to(1).streamed == streamed
    colorizer.color_file(photo, target)
    with tifffile.TiffFile(target) as file:
        assert [page.shape[:2] for page in file.pages] == SIZES
        for number, (page, result) in enumerate(zip(pages, file.pages, strict=True)):
            rgb = result.asarray()
            assert rgb.dtype == dtype
            wanted = colorizer.predict(read_photo(source, number, limits)).render()
            np.testing.assert_array_equal(rgb, wanted)
            wrong = np.abs(rgb_to_L(rgb) - gray_to_L(page)).max()
            assert wrong <= (0.30 if dtype == np.uint8 else 0.005)
    if dtype == np.uint8:  # Pillow has no deep RGB
        with PIL.Image.open(target) as image:
            assert image.n_frames == 3
            for number, size in enumerate(SIZES):
                image.seek(number)
                assert image.size == size[::-1]
                assert image.convert("RGB").getpixel((5, 5))
    assert [p.name for p in tmp_path.iterdir() if p not in (source, target)] == []


@pytest.mark.slow
def test_pages_of_an_archive_through_the_command(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    pages_file(scans / "a.tif")
    assert main(["colorize", str(scans), "-o", str(out), "--workers", "1"]) == 0
    assert read_photo(out / "a.tif").pages == 3
    assert main(["colorize", str(scans / "a.tif"), "-o", str(tmp_path / "b.tif")]) == 0
    assert read_photo(tmp_path / "b.tif", 2).pixels.shape == (20, 90, 3)


@pytest.mark.slow
def test_pages_do_not_fit_into_other_formats(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages_file(tmp_path / "a.tif")
    assert main(["colorize", str(tmp_path / "a.tif"), "-o", str(tmp_path / "b.jpg")]) == 1
    assert "a.tif has 3 pages, which only TIFF can hold" in capsys.readouterr().err
    assert not (tmp_path / "b.jpg").exists()


@pytest.mark.parametrize("page", [-1, 3, 100])
def test_a_page_that_is_not_there_is_refused(tmp_path: Path, page: int) -> None:
    pages_file(tmp_path / "a.tif")
    with pytest.raises(PhotoError, match=rf"a\.tif: has no page {page}; .* 0 to 2"):
        read_photo(tmp_path / "a.tif", page)
    with pytest.raises(PhotoError, match="has no page"):
        read_photo(tmp_path / "a.tif").turned_to(page)


def test_a_page_that_cannot_be_read_leaves_no_file(colorizer: Colorizer, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    pages_file(source)
    with tifffile.TiffFile(source) as file:
        offset = file.pages[2].dataoffsets[0]
    data = source.read_bytes()
    at = data.rindex(offset.to_bytes(4, "little"))
    source.write_bytes(data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :])
    with pytest.raises(PhotoError, match=r"a\.tif"):
        colorizer.color_file(source, tmp_path / "b.tif")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("nested", [False, True])
def test_a_pyramid_stays_a_pyramid(colorizer: Colorizer, tmp_path: Path, nested: bool) -> None:
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    pixels = gray(300, 420)
    pyvips.Image.new_from_array(pixels).cast("uchar").tiffsave(
        str(source), tile=True, tile_width=64, tile_height=64, pyramid=True, subifd=nested
    )
    photo = read_photo(source)
    assert photo.pages == 1 and photo.layout is not None and photo.layout.pyramid
    colorizer.color_file(source, target)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(target) as after:
        assert len(after.series[0].levels) == len(before.series[0].levels) > 2
        for old, new in zip(before.series[0].levels, after.series[0].levels, strict=True):
            assert new.shape == (*old.shape, 3)
            assert new.pages[0].tile[:2] == (64, 64)
            wrong = rgb_to_L(new.asarray()) - gray_to_L(old.asarray())
            assert np.abs(wrong).mean() < 3
        np.testing.assert_array_equal(after.series[0].asarray(), colorizer.predict(source).render())


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("copies", [1, 2, 6])
def test_a_pyramid_has_as_many_levels_as_before(
    tmp_path: Path, colorizer: Colorizer, copies: int, nested: bool
) -> None:
    source, target, plain = tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "c.tif"
    tiles: dict[str, Any] = {"tile": (64, 64), "photometric": "minisblack"}
    tiles |= {"compression": "deflate", "metadata": None}
    page = np.random.default_rng(0).integers(0, 256, (300, 420), dtype=np.uint8)
    with tifffile.TiffWriter(source) as file:
        file.write(page, subifds=copies if nested else 0, resolution=(300, 300), **tiles)
        for n in range(1, copies + 1):
            file.write(page[:: 2**n, :: 2**n], subfiletype=1, resolution=(300, 300), **tiles)
    photo = read_photo(source)
    assert photo.layout is not None and photo.layout.copies == copies
    colorizer.color_file(photo, target)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(target) as after:
        sizes = [(old.shape, new.shape) for old, new in zip(
            before.series[0].levels, after.series[0].levels, strict=True)]  # fmt: skip
        assert len(sizes) == 1 + copies and len(after.series) == 1
        assert all(np.abs(np.subtract(new[:2], old)).max() <= 1 for old, new in sizes)
        for level in after.series[0].levels:
            level.asarray()
        np.testing.assert_array_equal(after.series[0].asarray(), colorizer.predict(source).render())
    if copies == 1:  # what is too much is not only hidden
        image = pyvips.Image.new_from_file(str(target))
        image.tiffsave(
            str(plain), tile=True, tile_width=64, tile_height=64, pyramid=True, subifd=nested,
            compression="deflate", predictor="horizontal",
        )  # fmt: skip
        assert target.stat().st_size < 0.97 * plain.stat().st_size


def test_pages_with_pyramids_keep_them(colorizer: Colorizer, tmp_path: Path) -> None:
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    with tifffile.TiffWriter(source) as file:
        for height in (256, 200):
            page = gray(height, 320)
            tiles: dict[str, Any] = {"tile": (64, 64), "photometric": "minisblack"}
            file.write(page, subifds=2, metadata=None, **tiles)
            file.write(page[::2, ::2], subfiletype=1, metadata=None, **tiles)
            file.write(page[::4, ::4], subfiletype=1, metadata=None, **tiles)
    assert read_photo(source).pages == 2
    colorizer.color_file(source, target)
    with tifffile.TiffFile(target) as file:
        assert [page.shape[:2] for page in file.pages] == [(256, 320), (200, 320)]
        for page in file.pages:
            assert page.pages is not None and len(page.pages) == 2
            level = page.pages[0].asarray()
            assert np.abs(level - page.asarray()[::2, ::2].astype(int)).mean() < 40


@pytest.mark.slow
def test_the_way_of_storing_is_kept(colorizer: Colorizer, tmp_path: Path) -> None:
    for compression in ("none", "lzw", "deflate", "packbits"):
        source, target = tmp_path / f"{compression}.tif", tmp_path / f"{compression}.new.tif"
        pyvips.Image.new_from_array(gray(50, 70)).cast("uchar").tiffsave(
            str(source), compression=compression
        )
        colorizer.color_file(source, target)
        with tifffile.TiffFile(source) as before, tifffile.TiffFile(target) as after:
            assert before.pages[0].compression == after.pages[0].compression


def test_large_files_become_big_ones(tmp_path: Path) -> None:
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    pages_file(source)
    photos = [read_photo(source, page) for page in range(3)]
    parts = [(np.broadcast_to(p.pixels, (p.height, p.width, 3)), p) for p in photos]
    write_pages(target, parts, Output(bigtiff=1000))
    with tifffile.TiffFile(target) as file:
        assert file.is_bigtiff and [page.shape[:2] for page in file.pages] == SIZES


def test_the_width_of_offsets_is_chosen_by_the_sizes_of_all_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(20, 30), metadata=None)
        file.write(gray(90, 70, np.uint16), metadata=None)
    photo = read_photo(path)
    assert photo.facts.volume == 4 * 20 * 30 + 8 * 90 * 70
    for volume, big in ((photo.facts.volume, False), (5 << 30, True)):
        pages = [photo, photo.turned_to(1)]
        parts = [(np.broadcast_to(p.pixels, (p.height, p.width, 3)), p) for p in pages]
        parts[0] = parts[0][0], replace(photo, facts=replace(photo.facts, volume=volume))
        write_pages(tmp_path / "b.tif", parts, Output(force=True))
        with tifffile.TiffFile(tmp_path / "b.tif") as written:
            assert written.is_bigtiff == big


def test_more_than_a_classic_file_holds_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    pages_file(path)
    photo = read_photo(path)
    add = Joiner.add

    def far(self: Joiner, page: Any, subfile: int = 0) -> None:
        self.file.seek(4 << 30)  # a hole, which takes no space
        self.file.write(b"x")
        add(self, page, subfile)

    monkeypatch.setattr(Joiner, "add", far)
    part = np.broadcast_to(photo.pixels, (photo.height, photo.width, 3)), photo
    with pytest.raises(PhotoError, match=r"b\.tif: cannot be written: it would exceed the 4 GB"):
        write_pages(tmp_path / "b.tif", [part])
    assert list(tmp_path.iterdir()) == [path]


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


@pytest.mark.hostile
def test_mutants_of_many_pages_are_colored_or_refused(tmp_path: Path) -> None:
    rng = random.Random(1)
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    pages_file(source)
    whole = source.read_bytes()
    done = 0
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 2, 4))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        source.write_bytes(data)
        try:
            first = read_photo(source)
            photos = [first, *(first.turned_to(page) for page in range(1, first.pages))]
            parts = [(np.broadcast_to(p.pixels, (p.height, p.width, 3)), p) for p in photos]
            write_pages(target, parts, Output(force=True))
            assert read_photo(target).pages == len(parts)
            done += 1
        except PhotoError as error:
            assert str(error).startswith(str(source))
        assert source.read_bytes() == bytes(data)
    assert 10 < done < 80


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    total = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.total += len(data)
        return data


def page_with(entries: list[tuple[int, int, int, int]], size: int = 64) -> bytes:
    """A gray page as a classic TIFF file, with more entries: tag, type, number, value or place."""
    plain = [
        (256, 4, 1, size), (257, 4, 1, size), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8), (278, 4, 1, size), (279, 4, 1, size * size),
    ]  # fmt: skip
    pixels = gray(size, size).tobytes()
    every = sorted([*plain, *entries])
    directory = b"".join(struct.pack("<HHII", *entry) for entry in every)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(pixels))
    return head + pixels + struct.pack("<H", len(every)) + directory + bytes(4)


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


@pytest.mark.slow
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("place", [0xFFFF_FFF0, 50_000])
def test_a_stray_place_of_a_next_page_is_passed_over_and_said(
    tmp_path: Path, place: int, big: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    path, target = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(path, gray(40, 50), bigtiff=big, metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        at, tags = file.pages[0].offset, len(file.pages[0].tags)
    at += 8 + 20 * tags if big else 2 + 12 * tags
    assert not any(data[at : at + 4])
    data[at : at + 4] = struct.pack("<I", place)
    path.write_bytes(data)
    for photo in (decode_photo(bytes(data)), read_photo(path)):
        assert photo.pages == 1
        np.testing.assert_array_equal(photo.pixels[..., 0], gray(40, 50))
    (note,) = losses(photo, target)
    assert note.startswith(f"{path}: refers to a second page beyond the end of the file, ")
    assert main(["colorize", str(path), "-o", str(target)]) == 0
    assert capfd.readouterr().err == f"photochrom: {note}\n"
    with tifffile.TiffFile(target) as file:
        assert len(file.pages) == 1


@pytest.mark.parametrize("tag", ["page", "subfile"])
def test_a_first_page_of_several_without_the_others_is_refused(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "a.tif"
    extra = {"extratags": [(297, 3, 2, (0, 3), True)]} if tag == "page" else {"subfiletype": 2}
    with tifffile.TiffWriter(path) as file:
        for _ in range(3):
            file.write(gray(40, 50), metadata=None, **extra)
    with tifffile.TiffFile(path) as file:
        second = file.pages[1].offset
    data = path.read_bytes()
    at = data.index(struct.pack("<I", second))
    path.write_bytes(data[:at] + struct.pack("<I", 0xFFFF_FFF0) + data[at + 4 :])
    with pytest.raises(PhotoError, match=r"a\.tif: only its first page can be reached;"):
        read_photo(path)


@pytest.mark.parametrize("place", [0xFFFF_FFF0, 9])
def test_a_chain_of_pages_that_breaks_off_is_refused(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.tif"
    pages_file(path)
    with tifffile.TiffFile(path) as file:
        second = file.pages[2].offset
    data = path.read_bytes()
    at = data.index(struct.pack("<I", second))
    path.write_bytes(data[:at] + struct.pack("<I", place) + data[at + 4 :])
    with pytest.raises(PhotoError, match=r"a\.tif: only its first 2 pages can be reached;"):
        read_photo(path)


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


@pytest.mark.slow
def test_threads_do_not_bear_the_blame_of_each_other(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.tif", tmp_path / "bad.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (256, 256), dtype=np.uint8)
    tifffile.imwrite(good, pixels, tile=(64, 64), compression="zlib")
    data = bytearray(good.read_bytes())
    with tifffile.TiffFile(good) as file:
        at, size = file.pages[0].dataoffsets[5], file.pages[0].databytecounts[5]
    data[at + 10 : at + size - 4] = bytes(size - 14)
    bad.write_bytes(data)

    def read(path: Path) -> bool:
        try:
            read_photo(path)
        except PhotoError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(read, [good, bad] * 150))
    assert results == [True, False] * 150


@pytest.mark.parametrize("streamed", [False, True])
def test_errors_of_other_threads_hide_no_damaged_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    good, bad, path = tmp_path / "good.tif", tmp_path / "bad.tif", tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (256, 256), dtype=np.uint8)
    tifffile.imwrite(good, pixels, tile=(64, 64), compression="zlib")
    data = bytearray(good.read_bytes())
    with tifffile.TiffFile(good) as file:
        at, size = file.pages[0].dataoffsets[5], file.pages[0].databytecounts[5]
    data[at + 10 : at + size - 4] = bytes(size - 14)
    bad.write_bytes(data)
    limits = LARGE if streamed else LIMITS
    # An error in another thread, just when the tiles were decoded: the first time only.
    name = "Region" if streamed else "to_numpy"
    decode = pyvips.Region.fetch if streamed else to_numpy
    decoded: list[str] = []

    def disturbed(*arguments: Any) -> Any:
        found = decode(*arguments)
        decoded.append(name)
        if len(decoded) == 1:
            with ThreadPoolExecutor(1) as other, pytest.raises(pyvips.Error):
                other.submit(pyvips.Image.new_from_file, str(tmp_path / "missing.png")).result()
        return found

    if streamed:
        monkeypatch.setattr(pyvips.Region, "fetch", disturbed)
    else:
        monkeypatch.setattr(read_module, "to_numpy", disturbed)
    shutil.copy(bad, path)
    with pytest.raises(PhotoError, match=r"a\.tif: cannot be read: Decoding error"):
        _ = read_photo(path, limits=limits).pixels
    decoded.clear()
    shutil.copy(good, path)
    np.testing.assert_array_equal(read_photo(path, limits=limits).pixels[..., 0], pixels)
    assert len(decoded) == 2


def test_what_is_said_of_strips_that_end_early_is_not_taken_for_a_damaged_tile() -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.zeros((strip_rows(64), 64, 3), np.uint8)
        raise KeyError("strip")

    shape = (2 * strip_rows(64), 64, 3)
    with StripSource(broken(), shape, np.dtype(np.uint8)) as source:
        image = source.image()
        with pytest.raises(pyvips.Error) as error:
            image.pngsave_buffer()
    said = error.value.detail.encode()
    assert b"tiff2vips: " in said and not _TILE.search(said)
    assert _TILE.search(b"tiff2vips: Read error at row 0, col 0, tile 1; got 20\n")


@pytest.mark.slow
def test_the_layers_of_photoshop_are_no_obstacle(tmp_path: Path) -> None:
    path, size = tmp_path / "a.tif", 30 << 20
    page = page_with([(37724, 7, size, 0)])
    data = page_with([(37724, 7, size, len(page))])
    path.write_bytes(data + bytes(size))
    np.testing.assert_array_equal(read_photo(path).pixels[..., 0], gray(64, 64))
    path.write_bytes(page_with([(tag, 7, size, 0) for tag in range(50_000, 50_004)]) + bytes(size))
    with pytest.raises(PhotoError, match=r"a\.tif: its directories list more data than"):
        read_photo(path)


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


def test_a_thumbnail_below_a_page_makes_no_pyramid(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(gray(200, 300), subifds=1, metadata=None, photometric="minisblack")
        file.write(gray(20, 30), subfiletype=1, metadata=None, photometric="minisblack")
    photo = read_photo(path)
    assert photo.layout is not None and not photo.layout.pyramid
    write_photo(tmp_path / "b.tif", np.broadcast_to(photo.pixels, (200, 300, 3)), photo)
    with tifffile.TiffFile(tmp_path / "b.tif") as written:
        assert not written.pages[0].is_tiled and written.pages[0].subifds is None


def test_floats_of_64_bits_are_refused_by_their_type(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((20, 30), 0.5))
    with pytest.raises(PhotoError, match=r"a\.tif: 64-bit floats are not supported; convert"):
        read_photo(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deflate", "lzw", "planes"])
def test_one_large_strip_is_no_obstacle(tmp_path: Path, kind: str) -> None:
    """Over 50 MB as it is stored, which is what libtiff takes in all, unless it is told."""
    noise = np.random.default_rng(0).integers(0, 65536, (4000, 7000), dtype=np.uint16)
    path = tmp_path / "a.tif"
    if kind == "planes":
        planes = np.stack([noise, noise[::-1], noise[:, ::-1]])
        rows = {"rowsperstrip": len(noise), "planarconfig": "separate"}
        tifffile.imwrite(path, planes, photometric="rgb", **rows)
        expected = planes[:, ::500].transpose(1, 2, 0)
    else:
        image = pyvips.Image.new_from_memory(noise.data, 7000, 4000, 1, "ushort")
        image = image.copy(interpretation="grey16")
        image.tiffsave(str(path), compression=kind, level=1, tile_height=len(noise))
        expected = noise[::500, :, None]
    with tifffile.TiffFile(path) as file:
        assert max(file.pages[0].databytecounts) > 50 << 20
    photo = read_photo(path)
    assert photo.streamed
    np.testing.assert_array_equal(photo.pixels[::500], expected)


def test_a_strip_that_is_larger_than_the_file_opens_no_door(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", gray(64, 64), compression="zlib", rowsperstrip=64)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tag = file.pages[0].tags["StripByteCounts"]
    for size in (1 << 24, 3 << 30):
        data[tag.offset + 2 : tag.offset + 4] = struct.pack("<H", 4)
        data[tag.offset + 8 : tag.offset + 12] = struct.pack("<I", size)
        assert largest_part(io.BytesIO(data), read_pages(io.BytesIO(data)).layouts[0].place) == size
        try:
            assert decode_photo(bytes(data)).pixels.shape == (64, 64, 1)
        except PhotoError as error:
            assert "cannot be read" in str(error)


def test_what_libvips_does_not_read_is_told_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, gray(64, 64), compression="zlib")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        at = file.pages[0].tags["Compression"].offset
    data[at + 8 : at + 10] = struct.pack("<H", 50_000)  # ZSTD
    with pytest.raises(PhotoError, match=r"its compression is not supported; .* Deflate"):
        decode_photo(bytes(data))

    tifffile.imwrite(path, gray(64, 64), compression="zlib", tile=(32, 32))
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        places = [tags[name].offset for name in ("TileWidth", "TileLength")]
    for at in places:
        data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, 1 << 16)
    with pytest.raises(PhotoError, match=r"its tiles are too large .*; save it with 256-pixel"):
        decode_photo(bytes(data))


def with_mask(path: Path, order: str = "<", compression: str | None = None) -> list[np.ndarray]:
    """Two photos, the first with a mask (TIFF 6.0: NewSubfileType bit 2, photometric 4)."""
    mask = gray(60, 80) > 99
    with tifffile.TiffWriter(path, byteorder=order) as file:
        options: dict[str, Any] = {"metadata": None, "photometric": "minisblack"}
        file.write(gray(60, 80), **options, rowsperstrip=20)
        file.write(mask, **options, subfiletype=4, rowsperstrip=16, compression=compression)
        file.write(gray(30, 40, np.uint16), **options)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as whole:
        at = whole.pages[1].tags["PhotometricInterpretation"].offset
    data[at + 8 : at + 10] = struct.pack(order + "H", 4)
    path.write_bytes(data)
    return [gray(60, 80), mask, gray(30, 40, np.uint16)]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_transparency_mask_stays_as_it_was(
    colorizer: Colorizer, tmp_path: Path, order: str, compression: str | None
) -> None:
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    first, mask, second = with_mask(source, order, compression)
    assert read_photo(source).pages == 2
    assert losses(read_photo(source), target) == []
    colorizer.color_file(source, target)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(target) as after:
        assert [page.shape for page in after.pages] == [(60, 80, 3), (60, 80), (30, 40, 3)]
        for number, page in ((0, first), (2, second)):
            L = rgb_to_L(after.pages[number].asarray())
            assert np.abs(L - gray_to_L(page)).max() <= 0.30
        was, now = before.pages[1], after.pages[1]
        assert (now.photometric, now.bitspersample, int(now.subfiletype)) == (4, 1, 4)
        assert {tag.name for tag in now.tags.values()} == {tag.name for tag in was.tags.values()}
        np.testing.assert_array_equal(now.asarray(), mask)


def test_a_mask_of_a_single_photo_stays_or_is_told_of(colorizer: Colorizer, tmp_path: Path) -> None:
    with_mask(tmp_path / "all.tif")
    data = bytearray((tmp_path / "all.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "all.tif") as file:
        page = file.pages[1]
        end = page.offset + 2 + 12 * len(page.tags)
    data[end : end + 4] = bytes(4)  # the last one
    source = tmp_path / "a.tif"
    source.write_bytes(data)
    photo = read_photo(source)
    assert photo.pages == 1
    colorizer.predict(source).save(tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert [int(page.photometric) for page in file.pages] == [2, 4]
    assert "mask" in " ".join(losses(photo, tmp_path / "b.png"))
    colorizer.predict(source).save(tmp_path / "b.png")


@pytest.mark.slow
def test_a_damaged_mask_is_refused_and_leaves_no_file(colorizer: Colorizer, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    with_mask(source)
    whole = source.read_bytes()
    with tifffile.TiffFile(source) as file:
        tags = file.pages[1].tags
        places = [tags["StripOffsets"].valueoffset, tags["StripByteCounts"].valueoffset]
        sizes = [2 if int(tags[n].dtype) == 3 else 4 for n in ("StripOffsets", "StripByteCounts")]
    for at, size in zip(places, sizes, strict=True):
        data = bytearray(whole)
        data[at : at + size] = b"\xff" * size
        source.write_bytes(data)
        with pytest.raises(PhotoError, match="mask is damaged"):
            colorizer.color_file(source, tmp_path / "b.tif")
        assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
