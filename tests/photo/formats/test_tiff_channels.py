"""TIFF: what the channels are is stated by the file, and their number says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import tifffile

from photochrom.color.lab import rgb_to_lab
from photochrom.photo.limits import LIMITS
from photochrom.photo.losses import losses
from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import LARGE, colored, noise, refusal, smooth

COLORS = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "separated": 4}


def channels(count: int, dtype: Any, height: int = 40, width: int = 48) -> np.ndarray:
    """Samples (height, width, count), no channel like another."""
    y, x = np.mgrid[:height, :width]
    levels = [(40 * n + 3 * x + 2 * y) % 256 / 255 for n in range(count)]
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return (np.stack(levels, axis=2) * top).astype(dtype)


def save(path: Path, samples: np.ndarray, planar: bool = False, **options: Any) -> Path:
    """A TIFF file by tifffile."""
    data = samples[..., 0] if samples.shape[2] == 1 else samples
    if samples.shape[2] > 1:
        options["planarconfig"] = "separate" if planar else "contig"
        data = np.moveaxis(samples, 2, 0) if planar else samples
    tifffile.imwrite(path, np.ascontiguousarray(data), metadata=None, **options)
    return path


def expected_gray(samples: np.ndarray, photometric: str) -> np.ndarray:
    gray = samples[..., :1]
    top = gray.dtype.type(1 if gray.dtype.kind == "f" else np.iinfo(gray.dtype).max)
    return top - gray if photometric == "miniswhite" else gray


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_gray_with_masks_is_gray_and_keeps_its_masks(
    tmp_path: Path, photometric: str, dtype: Any, planar: bool, tile: Any, streamed: bool
) -> None:
    extra = (0, 0) if dtype == np.uint8 else (0, 2)
    samples = channels(3, dtype)
    options: dict[str, Any] = {"photometric": photometric, "extrasamples": extra, "tile": tile}
    path = save(tmp_path / "a.tif", samples, planar, **options)
    photo = read_photo(path, limits=LARGE if streamed else LIMITS)
    gray = expected_gray(samples, photometric)
    np.testing.assert_array_equal(photo.pixels, gray)
    assert photo.content.has_alpha == (2 in extra)
    target = tmp_path / "b.tif"
    assert losses(photo, target) == []
    write_photo(target, colored(photo), photo)
    with tifffile.TiffFile(target) as file:
        page = file.pages[0]
        assert tuple(map(int, page.extrasamples)) == extra
        assert page.photometric == tifffile.PHOTOMETRIC.RGB
        written = page.asarray()
    np.testing.assert_array_equal(written[..., :3], np.repeat(gray, 3, axis=2))
    np.testing.assert_array_equal(written[..., 3:], samples[..., 1:])


@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "separated"])
def test_a_selection_comes_back_as_one(tmp_path: Path, photometric: str) -> None:
    colors = COLORS[photometric]
    samples = channels(colors + 1, np.uint8)
    path = save(tmp_path / "a.tif", samples, photometric=photometric, extrasamples=(0,))
    photo = read_photo(path)
    assert photo.alpha is None
    write_photo(tmp_path / "b.tif", colored_deep(photo), photo)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        page = file.pages[0]
        assert tuple(map(int, page.extrasamples)) == (0,)
        np.testing.assert_array_equal(page.asarray()[..., 3], samples[..., -1])
    write_photo(tmp_path / "b.png", colored_deep(photo), photo)
    with PIL.Image.open(tmp_path / "b.png") as image:
        assert image.mode == "RGB"  # no program cuts the photo out by it
    (note,) = losses(photo, tmp_path / "b.png")
    assert "PNG cannot hold its extra channel" in note


def colored_deep(photo: Any) -> np.ndarray:
    rgb = np.broadcast_to(photo.pixels, (photo.height, photo.width, 3))
    return np.ascontiguousarray(rgb)


@pytest.mark.parametrize("orientation", [2, 6, 7])
@pytest.mark.parametrize("streamed", [False, True])
def test_masks_turn_with_the_photo(tmp_path: Path, orientation: int, streamed: bool) -> None:
    samples = channels(3, np.uint8)
    tags = [(274, 3, 1, orientation, True)]
    more: dict[str, Any] = {"photometric": "minisblack", "extrasamples": (0, 0), "extratags": tags}
    path = save(tmp_path / "a.tif", samples, **more)
    photo = read_photo(path, limits=LARGE if streamed else LIMITS)
    write_photo(tmp_path / "b.tif", colored(photo), photo)
    turns = {2: PIL.Image.Transpose.FLIP_LEFT_RIGHT, 6: PIL.Image.Transpose.ROTATE_270,
             7: PIL.Image.Transpose.TRANSVERSE}  # fmt: skip
    mask = PIL.Image.fromarray(np.ascontiguousarray(samples[..., 2])).transpose(turns[orientation])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif")[..., 4], np.asarray(mask))


def test_the_levels_of_a_pyramid_name_the_masks_too(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    samples = channels(3, np.uint8, 128, 160)
    more: dict[str, Any] = {
        "photometric": "minisblack", "extrasamples": (0, 0), "tile": (32, 32),
        "planarconfig": "contig", "metadata": None,
    }  # fmt: skip
    with tifffile.TiffWriter(path) as writer:
        writer.write(samples, subifds=1, **more)
        writer.write(np.ascontiguousarray(samples[::2, ::2]), subfiletype=1, **more)
    photo = read_photo(path)
    write_photo(tmp_path / "b.tif", colored(photo), photo)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        (level,) = file.pages[0].pages
        assert [tuple(map(int, p.extrasamples)) for p in (file.pages[0], level)] == [(0, 0)] * 2


def test_channels_that_do_not_fit_what_the_file_says_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    save(path, channels(5, np.uint8), photometric="rgb", extrasamples=(0, 2))
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        photometric, extra = tags[262].valueoffset, tags[338].offset
    data[photometric] = 5  # CMYK, with one channel too few
    path.write_bytes(data)
    assert "has 5 channels, which is not CMYK with 2 more" in refusal(read_photo, path)
    data[photometric] = 1
    data[extra : extra + 2] = b"\xff\xff"  # gray, and nothing says what the other four are
    path.write_bytes(data)
    assert "has 5 channels, which is not gray" in refusal(read_photo, path)


def test_floats_of_which_0_is_white_are_inverted(tmp_path: Path) -> None:
    samples = channels(1, np.float32)
    path = save(tmp_path / "a.tif", samples, photometric="miniswhite")
    np.testing.assert_array_equal(read_photo(path).pixels, 1 - samples)


# --- L*a*b* ---------------------------------------------------------------------------------------


def lab_file(path: Path, lab: np.ndarray, photometric: int) -> Path:
    """L*a*b* of Pillow, where a and b are signed, as a file in which they are signed or not."""
    data = lab.copy()
    if photometric == 9:
        data[..., 1:] ^= 128
    tifffile.imwrite(path, data, photometric=photometric, metadata=None, planarconfig="contig")
    return path


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("photometric", [8, 9])
def test_cielab_is_read_as_littlecms_does(tmp_path: Path, photometric: int, streamed: bool) -> None:
    picture = PIL.Image.fromarray(smooth(64, 64) // 3 + 80)  # far from the edge of the gamut
    srgb, lab = PIL.ImageCms.createProfile("sRGB"), PIL.ImageCms.createProfile("LAB")
    there = PIL.ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    back = PIL.ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    values = np.array(PIL.ImageCms.applyTransform(picture, there))
    expected = PIL.ImageCms.applyTransform(
        PIL.Image.frombytes("LAB", (64, 64), values.tobytes()), back
    )
    path = lab_file(tmp_path / "a.tif", values, photometric)
    photo = read_photo(path, limits=LARGE if streamed else LIMITS)
    assert (photo.samples, photo.pixels.dtype, photo.profiled) == (np.uint8, np.uint16, True)
    assert np.abs(photo.pixels / 257 - np.asarray(expected)).max() < 2
    L = rgb_to_lab(photo.pixels)[..., 0]
    assert np.abs(L - values[..., 0] / 2.55).max() < 0.5  # of D65, the file has it of D50
    values[..., 1:] = 0
    L = rgb_to_lab(read_photo(lab_file(path, values, 8)).pixels)[..., 0]
    assert np.abs(L - values[..., 0] / 2.55).max() < 0.01  # in gray, the two are one


def test_cielab_of_16_bits_and_l_alone_keep_their_l(tmp_path: Path) -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    lab = np.stack([ramp, ramp * 0, ramp * 0], axis=2)
    for data in (lab, ramp[..., None]):
        path = save(tmp_path / "a.tif", data, photometric=8 if data is lab else "minisblack")
        with tifffile.TiffFile(path) as file:
            at = file.pages[0].tags[262].valueoffset
        whole = bytearray(path.read_bytes())
        whole[at] = 8
        path.write_bytes(whole)
        pixels = read_photo(path).pixels
        L = rgb_to_lab(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels)[..., 0]
        assert np.abs(L - ramp * (100 / 65535)).max() < 0.01
    icc = np.stack([ramp, ramp * 0 + 0x8000, ramp * 0 + 0x8000], axis=2)
    path = save(tmp_path / "a.tif", icc, photometric=9)
    L = rgb_to_lab(read_photo(path).pixels)[..., 0]
    assert np.abs(L - np.minimum(ramp / 652.8, 100)).max() < 0.01


def test_cielab_with_a_mask_keeps_it(tmp_path: Path) -> None:
    samples = noise(20, 30, 4)
    path = save(tmp_path / "a.tif", samples, photometric=8, extrasamples=(0,))
    photo = read_photo(path)
    write_photo(tmp_path / "b.tif", photo.pixels, photo)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif")[..., 3], samples[..., 3])


# --- samples without a gap ------------------------------------------------------------------------


def packed(values: np.ndarray, bits: int) -> bytes:
    """Rows of values (H, n), each with so many bits, each row from a whole byte on."""
    rows = []
    for row in values:
        text = "".join(f"{int(v):0{bits}b}" for v in row)
        rows.append(int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8)))
    return b"".join(rows)


def packed_file(
    path: Path, values: np.ndarray, bits: int, photometric: int = 1, order: str = "<", **more: Any
) -> Path:
    """A TIFF file of such samples: written as bytes, and then its tags changed."""
    height, width, count = values.shape
    data = np.frombuffer(packed(values.reshape(height, -1), bits), np.uint8).reshape(height, -1)
    tifffile.imwrite(path, data, byteorder=order, metadata=None, photometric="minisblack", **more)
    whole = bytearray(path.read_bytes())
    byteorder: Any = {"<": "little", ">": "big"}[order]
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        for tag, value in ((256, width), (258, bits), (262, photometric), (277, count)):
            size = {3: 2, 4: 4}[int(tags[tag].dtype)]
            at = tags[tag].valueoffset
            whole[at : at + size] = value.to_bytes(size, byteorder)
    path.write_bytes(whole)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(("bits", "count"), [(12, 1), (12, 3), (10, 1), (14, 1)])
@pytest.mark.parametrize("streamed", [False, True])
def test_samples_of_9_to_15_bits_are_read(
    tmp_path: Path, bits: int, count: int, compression: Any, order: str, streamed: bool
) -> None:
    top = (1 << bits) - 1
    values = np.random.default_rng(bits).integers(0, top + 1, (21, 33, count))
    values[0], values[1] = 0, top
    path = packed_file(
        tmp_path / "a.tif", values, bits, 1 if count == 1 else 2, order, compression=compression
    )
    photo = read_photo(path, limits=LARGE if streamed else LIMITS)
    assert photo.samples == np.uint16
    # White is white, and no value is off by more than half a step of theirs.
    assert (photo.pixels[0] == 0).all() and (photo.pixels[1] == 65535).all()
    np.testing.assert_allclose(photo.pixels / 65535, values / top, atol=0.5 / top)
    write_photo(tmp_path / "b.tif", colored(photo), photo)
    assert tifffile.imread(tmp_path / "b.tif").dtype == np.uint16


def test_samples_of_12_bits_of_which_0_is_white_are_inverted(tmp_path: Path) -> None:
    values = np.arange(4096).reshape(64, 64, 1)
    path = packed_file(tmp_path / "a.tif", values, 12, photometric=0)
    np.testing.assert_allclose(read_photo(path).pixels / 65535, 1 - values / 4095, atol=1e-4)


def test_a_cut_file_of_12_bits_is_refused(tmp_path: Path) -> None:
    path = packed_file(tmp_path / "a.tif", np.arange(4096).reshape(64, 64, 1), 12)
    path.write_bytes(path.read_bytes()[:-3000])
    refusal(read_photo, path)
