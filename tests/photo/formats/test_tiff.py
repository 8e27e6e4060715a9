"""TIFF files: samples of every type, what is damaged, and what libvips does not read."""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile

from photochrom import PhotoError
from photochrom.photo import read as read_module
from photochrom.photo.formats.tiff import largest_part, read_pages
from photochrom.photo.limits import LIMITS
from photochrom.photo.read import decode_photo, read_photo
from photochrom.photo.strips import StripSource, strip_rows
from photochrom.photo.vips import _TILE, to_numpy
from photochrom.photo.write import write_photo
from tests.photo.formats.scans import gray, page_with
from tests.photo.material import (
    LARGE,
    noise,
    photo_of,
    refusal,
    smooth,
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
    path = tmp_path / "scan.tif"
    noise = np.random.default_rng(0).integers(0, 256, (150, 200), np.uint8)
    tifffile.imwrite(path, noise, tile=(32, 48), compression=compression)
    assert np.array_equal(read_photo(path).pixels[..., 0], noise)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[-40:]
    else:
        data[len(data) // 2 : len(data) // 2 + 300] = b"\xff" * 300
    path.write_bytes(data)
    told = refusal(read_photo, path).replace(str(path), "")
    assert "tile" in told or "Decoding" in told


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


def test_floats_of_64_bits_are_refused_by_their_type(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((20, 30), 0.5))
    with pytest.raises(PhotoError, match=r"a\.tif: 64-bit floats are not supported; convert"):
        read_photo(path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deflate", "planes"])
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
