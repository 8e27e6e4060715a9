"""TIFF files of many pages, with pyramids and masks."""

from __future__ import annotations

import random
import struct
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
from photochrom.photo.limits import LIMITS
from photochrom.photo.losses import losses
from photochrom.photo.read import decode_photo, read_photo
from photochrom.photo.write import Output, write_pages, write_photo
from tests.photo.formats.scans import SIZES, gray, pages_file
from tests.photo.material import (
    LARGE,
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "dtype", "streamed"),
    [
        ({}, np.uint8, False),
        ({"bigtiff": True}, np.uint8, True),
        ({"byteorder": ">"}, np.uint16, False),
        ({"bigtiff": True, "byteorder": ">"}, np.uint16, True),
    ],
)
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
@pytest.mark.slow
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


@pytest.mark.slow
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
@pytest.mark.slow
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
