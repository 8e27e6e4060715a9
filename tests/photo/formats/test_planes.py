"""TIFF tiles with a plane for each channel."""

from __future__ import annotations

import io
import itertools
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import pyvips
import tifffile

from photochrom import Colorizer, PhotoError
from photochrom.photo.limits import LIMITS
from photochrom.photo.read import decode_photo, read_photo
from tests.photo.material import LARGE

KINDS = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "separated": 4}


TOPS = {"uint8": 255, "uint16": 65535, "float32": 1}


def channels(count: int, dtype: str, height: int = 83, width: int = 101) -> np.ndarray:
    """A photo (height, width, count) of channels that all differ."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 9, (count, height, width))
    planes = [((n + 1) * x + 2 * y + noise[n]) % 256 for n in range(count)]
    return (np.stack(planes, axis=2) / 255 * TOPS[dtype]).astype(dtype)


def tiled(pages: list[np.ndarray], separate: bool, order: str, big: bool, **options: Any) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=order, bigtiff=big) as writer:
        for page in pages:
            data = np.ascontiguousarray(page.transpose(2, 0, 1)) if separate else page
            config = "separate" if separate else "contig"
            writer.write(data, tile=(32, 48), planarconfig=config, metadata=None, **options)
    return file.getvalue()


def assert_same(one: Any, other: Any) -> None:
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert (one.alpha is None) == (other.alpha is None)
    if one.alpha is not None:
        np.testing.assert_array_equal(one.alpha, other.alpha)
    assert (one.resolution, one.metadata) == (other.resolution, other.metadata)


def kinds_of_planes() -> Iterator[tuple[str, str, str, bool]]:
    """Kinds of samples; every second one is read as a huge photo is, strip by strip."""
    streamed = False
    for kind, alpha, dtype in itertools.product(KINDS, ["", "unassalpha", "assocalpha"], TOPS):
        one = KINDS[kind] == 1 and not alpha
        # Floats of these may lie beyond 0..1, and of tiles that are not in planes libvips divides
        # CMYK of 16 bits by the alpha of 8.
        beyond = dtype == "float32" and (kind == "separated" or alpha == "assocalpha")
        if not one and not beyond and (kind, alpha, dtype) != ("separated", "assocalpha", "uint16"):
            yield kind, alpha, dtype, streamed
            streamed = not streamed


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "alpha", "dtype", "streamed"), list(kinds_of_planes()))
def test_tiles_of_separate_planes_are_read_as_those_of_one(
    kind: str, alpha: str, dtype: str, streamed: bool
) -> None:
    limits = LARGE if streamed else LIMITS
    count = KINDS[kind] + bool(alpha)
    photo = channels(count, dtype)
    options: dict[str, Any] = {"photometric": kind, "extrasamples": [alpha] if alpha else None}
    packed = {"compression": "zlib", "predictor": dtype != "float32" or None}
    for order, big, more in [("<", False, {}), (">", False, packed), (">", True, {})]:
        one, other = (
            decode_photo(
                tiled([photo, photo[9:]], separate, order, big, **options, **more), limits=limits
            )
            for separate in (False, True)
        )
        assert other.streamed == streamed and other.layout is not None and one.layout is not None
        assert (other.layout.planes, one.layout.planes) == (count, 0)
        assert_same(one, other)
        assert_same(one.turned_to(1), other.turned_to(1))


def multiplied(kind: str, dtype: str, tile: Any) -> bytes:
    """A file of colors of half their range, multiplied by alpha, which is 0.4."""
    count, top = KINDS[kind], TOPS[dtype]
    photo = np.empty((83, 101, count + 1), dtype)
    photo[..., :-1], photo[..., -1] = np.array(0.2 * top, dtype), np.array(0.4 * top, dtype)
    file = io.BytesIO()
    tifffile.imwrite(
        file, photo, photometric=kind, tile=tile, extrasamples=["assocalpha"], metadata=None
    )
    return file.getvalue()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("tile", [None, (32, 48)])
@pytest.mark.parametrize(("kind", "dtype"), [("minisblack", "float32"), ("separated", "uint16")])
def test_colors_multiplied_by_alpha_are_refused_where_libvips_would_err(
    kind: str, dtype: str, tile: Any, streamed: bool
) -> None:
    limits = LARGE if streamed else LIMITS
    with pytest.raises(PhotoError, match="save it with unassociated alpha"):
        decode_photo(multiplied(kind, dtype, tile), limits=limits)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("tile", [None, (32, 48)])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("minisblack", "uint8"), ("minisblack", "uint16"), ("rgb", "uint8"), ("rgb", "uint16"),
        ("rgb", "float32"), ("separated", "uint8"),
    ],
)  # fmt: skip
def test_colors_multiplied_by_alpha_are_divided_by_it(
    kind: str, dtype: str, tile: Any, streamed: bool
) -> None:
    limits = LARGE if streamed else LIMITS
    found = decode_photo(multiplied(kind, dtype, tile), limits=limits)
    assert found.streamed == streamed and found.alpha is not None
    share = 1 / TOPS[found.alpha.dtype.name]
    np.testing.assert_allclose(found.alpha * share, 0.4, atol=0.004)
    if kind != "separated":  # that of CMYK is by the profile of libvips
        np.testing.assert_allclose(found.pixels * share, 0.5, atol=0.005)


@pytest.mark.parametrize("predictor", ["none", "horizontal"])
def test_planes_of_lzw_are_read(predictor: str) -> None:
    photo, tiles = channels(3, "uint16"), []
    for n in range(3):
        plane = np.ascontiguousarray(photo[..., n])
        image = pyvips.Image.new_from_memory(plane.data, 101, 83, 1, "ushort")
        options = {"tile": True, "tile_width": 48, "tile_height": 32, "predictor": predictor}
        data = bytes(image.tiffsave_buffer(compression="lzw", **options))
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            for at, size in zip(page.dataoffsets, page.databytecounts, strict=True):
                tiles.append(data[at : at + size])
    file = io.BytesIO()
    tifffile.imwrite(
        file, iter(tiles), shape=(3, 83, 101), dtype="uint16", photometric="rgb", tile=(32, 48),
        planarconfig="separate", compression="zlib", predictor=predictor == "horizontal",
    )  # fmt: skip
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as made:
        at = made.pages[0].tags["Compression"].valueoffset
    data[at : at + 2] = struct.pack("<H", 5)  # tifffile cannot pack it, but has not to
    np.testing.assert_array_equal(decode_photo(bytes(data)).pixels, photo)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_tiles_are_turned(streamed: bool, separate: bool, orientation: int) -> None:
    limits = LARGE if streamed else LIMITS
    photo = channels(3, "uint8")
    exif = PIL.Image.Exif()
    exif[274] = orientation
    upright = PIL.Image.fromarray(photo)
    upright.info["exif"] = exif.tobytes()
    upright.getexif()[274] = orientation
    expected = np.asarray(PIL.ImageOps.exif_transpose(upright))
    more = {"photometric": "rgb", "extratags": [(274, 3, 1, orientation, True)]}
    read = decode_photo(tiled([photo], separate, "<", False, **more), limits=limits)
    assert read.streamed == streamed
    np.testing.assert_array_equal(read.pixels, expected)


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True])
def test_results_of_both_kinds_of_tiles_are_one(
    colorizer: Colorizer, tmp_path: Path, streamed: bool
) -> None:
    limits = LARGE if streamed else LIMITS
    pixels = channels(4, "uint16")
    more = {"photometric": "rgb", "extrasamples": ["unassalpha"], "resolution": (300, 200)}
    results = []
    for separate in (False, True):
        (tmp_path / "a.tif").write_bytes(tiled([pixels, pixels[20:]], separate, ">", False, **more))
        photo = read_photo(tmp_path / "a.tif", limits=limits)
        assert photo.streamed == streamed
        colorizer.color_file(photo, tmp_path / "b.tif", force=True)
        results.append((tmp_path / "b.tif").read_bytes())
    assert results[0] == results[1]


def test_damaged_planes_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    whole = tiled([channels(3, "uint8")], True, "<", False, photometric="rgb", compression="zlib")
    with tifffile.TiffFile(io.BytesIO(whole)) as file:
        tags = file.pages[0].tags
        places = {tag: (tags[tag].offset, tags[tag].valueoffset) for tag in (258, 277, 324, 325)}
    damaged = []
    for tag in (324, 325):  # of the last tile, and how many they are
        for value in (0, 1 << 20, (1 << 32) - 1):
            data = bytearray(whole)
            entry, at = places[tag]
            kind = struct.unpack_from("<H", data, entry + 2)[0]
            size = {3: 2, 4: 4}[kind]
            at += 26 * size  # of 3 x 9 tiles
            data[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
            damaged.append(data)
        data = bytearray(whole)
        data[places[tag][0] + 4] -= 1
        damaged.append(data)
    data = bytearray(whole)
    data[places[258][1] + 2] = 16  # bits of the second channel
    damaged.append(data)
    damaged.append(bytearray(whole[: len(whole) // 2]))
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(PhotoError, match=r"a\.tif: .*; "):
            read_photo(path)


def test_planes_that_mean_nothing_by_themselves_are_refused_by_their_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    data = bytearray(tiled([channels(3, "uint8")], True, "<", False, photometric="rgb"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages[0].tags
    data[tags[262].valueoffset] = 6  # YCbCr
    data[tags[259].valueoffset] = 7  # of JPEG
    path.write_bytes(data)
    with pytest.raises(PhotoError, match=r"a\.tif: TIFF tiles with separate planes"):
        read_photo(path)


@pytest.mark.hostile
def test_mutants_of_planes_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    rng = random.Random(3)
    seeds = [
        tiled([channels(n, "uint8", 40, 56)], True, order, big, photometric=kind, **more)
        for n, order, big, kind, more in [
            (3, "<", False, "rgb", {"compression": "zlib"}), (4, ">", True, "separated", {}),
            (2, ">", False, "minisblack", {"extrasamples": ["unassalpha"]}),
        ]
    ]  # fmt: skip
    read = 0
    for n in range(300):
        data = bytearray(seeds[n % 3])
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            end = max(tag.offset for tag in file.pages[0].tags) + 250
        if n % 5 == 0:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice((1, 3))):
            if data:
                data[rng.randrange(min(len(data), end))] = rng.choice((0, 1, 127, 255))
        path.write_bytes(data)
        try:
            assert read_photo(path).pixels.size
            read += 1
        except PhotoError as error:
            assert str(error).startswith(str(path)) and ";" in str(error)
    assert 30 < read < 270
