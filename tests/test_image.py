"""Photo files, arrays and PIL images in and out, against Pillow, tifffile and the standards."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import struct
import subprocess
import sys
import threading
import warnings
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import PIL.IptcImagePlugin
import pillow_heif
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from photochrom.errors import PhotoError
from photochrom.photo import photo as photo_module
from photochrom.photo.formats.table import EXTENSIONS
from photochrom.photo.losses import losses
from photochrom.photo.metadata.exif import exif_resolution
from photochrom.photo.metadata.iptc import photoshop_block, read_iptc
from photochrom.photo.metadata.xmp import result_packet, say_synthetic, with_iptc
from photochrom.photo.open import open_photo
from photochrom.photo.photo import MAX_PIXELS, Photo
from photochrom.photo.pictures import resized, to_jpeg
from photochrom.photo.read import decode_photo, read_photo, read_stream
from photochrom.photo.samples import requantize, to_uint8
from photochrom.photo.write import write_photo

LOSSLESS = [".png", ".tif"]
LOSSY = [".jpg", ".webp", ".avif"]
# No deadline: a busy machine is no failure.
many = settings(deadline=None, max_examples=60)
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
IPTC_EXTENSION = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
NEW_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)


# --- what the tests are made of -------------------------------------------------------------------


def noise(height: int, width: int, channels: int, dtype: Any = np.uint8) -> np.ndarray:
    generator = np.random.default_rng(height * 1000 + width * 10 + channels)
    if np.issubdtype(dtype, np.floating):
        return generator.random((height, width, channels)).astype(dtype)
    return generator.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype)


def smooth(height: int = 48, width: int = 64, channels: int = 3) -> np.ndarray:
    """A gradient without extremes, which lossy formats keep to within a few levels."""
    y, x = np.mgrid[0:height, 0:width]
    across, down = x / (width - 1), y / (height - 1)
    ramps = np.stack([across, down, 1 - across][:channels], axis=-1)
    return (40 + 175 * ramps).round().astype(np.uint8)


def to_pil(array: np.ndarray, mode: str) -> PIL.Image.Image:
    return PIL.Image.frombytes(mode, array.shape[1::-1], np.ascontiguousarray(array).tobytes())


def to_vips(array: np.ndarray, interpretation: str = "srgb") -> Any:
    kinds = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
    height, width, bands = array.shape
    data = np.ascontiguousarray(array).tobytes()
    vips = pyvips.Image.new_from_memory(data, width, height, bands, kinds[str(array.dtype)])
    return vips.copy(interpretation=interpretation)


def photo_of(array: np.ndarray) -> Photo:
    return open_photo(array)


def png_bytes(width: int, height: int, depth: int, kind: int, rows: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def gray_profile(gamma: float) -> bytes:
    """A minimal ICC v2 profile of gray with a power curve (ICC.1:2001-04, 6.3.1.1)."""
    white = struct.pack(">iii", round(0.9642 * 65536), 65536, round(0.8249 * 65536))
    text = b"gray\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    parts = [
        (b"desc", description + bytes(-len(description) % 4)),
        (b"wtpt", b"XYZ \0\0\0\0" + white),
        (b"kTRC", b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)),
        (b"cprt", b"text\0\0\0\0none\0\0\0\0"),
    ]
    offset = 128 + 4 + 12 * len(parts)
    table, body = struct.pack(">I", len(parts)), b""
    for name, data in parts:
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = 128 + len(table) + len(body)
    head = struct.pack(">I4sI", size, b"lcms", 0x02400000) + b"mntrGRAYXYZ "
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white
    return head + bytes(128 - len(head)) + table + body


def p3_profile() -> bytes:
    return bytes(pyvips.Image.profile_load("p3"))


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, equations 5 and 6."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def exif_with(**tags: Any) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    for name, value in tags.items():
        exif[PIL.ExifTags.Base[name]] = value
    return exif


def exif_with_thumbnail(orientation: int) -> bytes:
    """An EXIF block of two directories, the second with a JPEG thumbnail (EXIF 2.32, 4.5.5)."""
    buffer = io.BytesIO()
    to_pil(smooth(8, 8, 1), "L").save(buffer, "JPEG")
    thumbnail = buffer.getvalue()

    def directory(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
        packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
        return struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)

    start = 8 + 2 + 12 + 4
    first = directory([(0x0112, 3, 1, orientation)], start)
    data_at = start + 2 + 12 * 4 + 4
    entries = [(0x0103, 3, 1, 6), (0x0112, 3, 1, orientation), (0x0201, 4, 1, data_at)]
    second = directory([*entries, (0x0202, 4, 1, len(thumbnail))], 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + first + second + thumbnail


def xmp_packet(inside: str) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{RDF[1:-1]}">{inside}</rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


def xmp_of(path: Path) -> bytes:
    packet = pyvips.Image.new_from_file(str(path)).get("xmp-data")
    return bytes(packet).rstrip(b"\0")


def statements(packet: bytes, key: str) -> list[str]:
    """All values of an IPTC Extension property in a packet, as attribute or as element."""
    root = ElementTree.fromstring(packet.decode().strip("\ufeff\n "))
    tag = IPTC_EXTENSION + key
    values = [element.get(tag) or "" for element in root.iter() if tag in element.attrib]
    return values + [element.text or "" for element in root.iter() if element.tag == tag]


def refused(action: Any, *arguments: Any, **options: Any) -> PhotoError:
    try:
        action(*arguments, **options)
    except PhotoError as error:
        return error
    pytest.fail("no PhotoError was raised")


def refusal(action: Any, *arguments: Any, **options: Any) -> str:
    """The message of the PhotoError that a call must raise: one line, with a remedy."""
    message = str(refused(action, *arguments, **options))
    assert "\n" not in message
    assert ";" in message  # "what is wrong; what to do"
    return message


def assert_only(folder: Path, *names: str) -> None:
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(names)


# --- arrays ---------------------------------------------------------------------------------------

shapes = st.one_of(
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2, 3, 4])),
)


@st.composite
def photo_arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = np.dtype(draw(st.sampled_from(["u1", "<u2", ">u2", "?", "<f2", "<f4", ">f4", "f8"])))
    elements = {"min_value": 0, "max_value": 1} if dtype.kind == "f" else {}
    array = draw(hnp.arrays(dtype, draw(shapes), elements=hnp.from_dtype(dtype, **elements)))
    layout = draw(st.sampled_from(["C", "F", "reversed"]))
    return array[::-1] if layout == "reversed" else np.asarray(array, order=layout)


@many
@given(photo_arrays())
def test_an_array_comes_in_unharmed_and_goes_back_as_its_own_dtype(array: np.ndarray) -> None:
    before = array.copy()
    photo = open_photo(array)
    height, width = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1

    assert (photo.kind, photo.name) == ("array", "array")
    assert (photo.height, photo.width) == (height, width)
    assert photo.pixels.shape == (height, width, 1 if channels <= 2 else 3)
    assert photo.pixels.flags.c_contiguous
    assert photo.pixels.dtype.isnative
    assert photo.pixels.dtype in (np.uint8, np.uint16, np.float32)
    scale = 255 if array.dtype == bool else 1
    whole = array.reshape(height, width, channels).astype(np.float64) * scale
    color = 1 if channels <= 2 else 3
    np.testing.assert_allclose(photo.pixels, whole[..., :color], rtol=1e-7, atol=1e-37)
    if channels in (2, 4):
        assert photo.alpha is not None
        assert photo.alpha.dtype == photo.pixels.dtype
        assert photo.alpha.flags.c_contiguous
        np.testing.assert_allclose(photo.alpha, whole[..., -1], rtol=1e-7, atol=1e-37)
    else:
        assert photo.alpha is None

    rgb = np.broadcast_to(photo.pixels, (height, width, 3))
    restored = photo.restore(rgb)
    assert isinstance(restored, np.ndarray)
    expected = np.dtype(np.uint8) if array.dtype == bool else array.dtype.newbyteorder("=")
    assert restored.dtype == expected
    assert restored.shape == (height, width, 4 if channels in (2, 4) else 3)
    np.testing.assert_array_equal(restored[..., :3], rgb.astype(expected))
    if channels in (2, 4):
        np.testing.assert_array_equal(
            restored[..., 3], whole[..., -1].astype(photo.pixels.dtype).astype(expected)
        )
    np.testing.assert_array_equal(array, before)


def test_a_fitting_array_is_not_copied() -> None:
    array = noise(5, 6, 3)
    photo = open_photo(array)
    assert np.shares_memory(photo.pixels, array)
    rgb = noise(5, 6, 3)
    assert photo.restore(rgb) is rgb


@many
@given(
    hnp.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)),
    st.sampled_from([np.nan, np.inf, -np.inf, -1e-6, 1.0001, 255.0]),
    st.integers(0, 11),
)
def test_one_bad_float_anywhere_is_refused(array: np.ndarray, bad: float, where: int) -> None:
    array = array.copy()
    array.flat[where] = bad
    message = refusal(open_photo, array)
    assert ("NaN" in message) == bool(np.isnan(bad))
    assert np.isnan(bad) or "0..1" in message


@pytest.mark.parametrize(
    "dtype",
    ["i1", "i2", "i4", "i8", "u4", "u8", "c8", "c16", "O", "S1", "U1", "M8[s]", "longdouble"],
)
def test_other_dtypes_are_refused(dtype: str) -> None:
    message = refusal(open_photo, np.zeros((2, 3), dtype))
    assert "not supported" in message
    assert ("astype" in message) == (np.dtype(dtype).kind in "iu")


@pytest.mark.parametrize("shape", [(), (4,), (4, 4, 5), (2, 2, 3, 3), (4, 4, 0), (0, 4), (4, 0, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    refusal(open_photo, np.zeros(shape, np.uint8))


def test_channels_first_gets_its_own_remedy() -> None:
    assert "transpose(1, 2, 0)" in refusal(open_photo, np.zeros((3, 20, 30), np.uint8))


def test_too_many_pixels_are_refused_before_any_is_touched() -> None:
    # One byte, seen as ten billion: to copy it would take the machine down.
    array = np.broadcast_to(np.uint8(0), (100_000, 100_000))
    message = refusal(open_photo, array)
    assert "500 megapixels" in message
    assert MAX_PIXELS == 500_000_000


@pytest.mark.parametrize("source", [None, 3, b"\xff\xd8\xff", [[0, 1], [1, 0]]])
def test_what_is_no_photo_at_all_is_refused(source: Any) -> None:
    assert type(source).__name__ in refusal(open_photo, source)


class Foreign:
    """An array of another library."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.error:
            raise self.error
        return np.full((2, 3), 7, np.uint8)


def test_arrays_of_other_libraries_are_taken() -> None:
    assert np.all(open_photo(Foreign()).pixels == 7)
    message = refusal(open_photo, Foreign(TypeError("lives\non the GPU")))
    assert "lives on the GPU" in message


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((4, 5, 3), np.uint16),
        np.zeros((5, 4, 3), np.uint8),
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
    ],
)
def test_colors_that_do_not_fit_the_photo_are_refused(rgb: np.ndarray, tmp_path: Path) -> None:
    photo = photo_of(np.zeros((4, 5), np.uint8))
    refusal(photo.restore, rgb)
    refusal(write_photo, tmp_path / "out.png", rgb, photo)
    assert_only(tmp_path)


def test_rounding_between_depths_is_to_nearest() -> None:
    every = np.arange(65536, dtype=np.uint16)
    exact = np.floor(every.astype(np.float64) * 255 / 65535 + 0.5)
    np.testing.assert_array_equal(requantize(every, np.uint8), exact)

    bytes_ = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(requantize(requantize(bytes_, np.float32), np.uint8), bytes_)
    np.testing.assert_array_equal(requantize(requantize(every, np.float32), np.uint16), every)
    overshoot = np.array([-0.1, 1.1], np.float32)
    np.testing.assert_array_equal(requantize(overshoot, np.uint8), [0, 255])
    np.testing.assert_array_equal(requantize(requantize(bytes_, np.uint16), np.uint8), bytes_)
    assert requantize(bytes_, np.uint16).max() == 65535


# --- PIL images -----------------------------------------------------------------------------------

PIL_MODES = {
    "1": (np.uint8, 1, False),
    "L": (np.uint8, 1, False),
    "LA": (np.uint8, 1, True),
    "P": (np.uint8, 3, False),
    "RGB": (np.uint8, 3, False),
    "RGBA": (np.uint8, 3, True),
    "RGBX": (np.uint8, 3, False),
    "RGBa": (np.uint8, 3, True),
    "La": (np.uint8, 1, True),
    "PA": (np.uint8, 3, True),
    "YCbCr": (np.uint8, 3, False),
    "HSV": (np.uint8, 3, False),
    "CMYK": (np.uint8, 3, False),
    "I;16": (np.uint16, 1, False),
    "I;16B": (np.uint16, 1, False),
    "I": (np.uint16, 1, False),
    "F": (np.float32, 1, False),
}


def pil_image(mode: str) -> PIL.Image.Image:
    gray = to_pil(smooth(12, 16, 1), "L")
    if mode in ("I", "I;16", "I;16B"):
        dtype = {"I": "<i4", "I;16": "<u2", "I;16B": ">u2"}[mode]
        return to_pil((np.asarray(gray).astype(np.int64) * 257).astype(dtype), mode)
    if mode == "F":
        return to_pil((np.asarray(gray) / 255).astype(np.float32), "F")
    color = to_pil(smooth(12, 16, 3), "RGB")
    if mode in ("RGBa", "La"):
        color.putalpha(128)
        return (color if mode == "RGBa" else color.convert("LA")).convert(mode)
    if mode == "PA":
        return color.convert("P").convert("PA")
    return (gray if mode in ("1", "L", "LA") else color).convert(mode)


@pytest.mark.parametrize("mode", PIL_MODES)
def test_each_pil_mode_comes_in_and_goes_back_as_rgb(mode: str) -> None:
    image = pil_image(mode)
    assert image.mode == mode
    before = image.tobytes()
    photo = open_photo(image)
    dtype, channels, has_alpha = PIL_MODES[mode]
    assert (photo.kind, photo.name) == ("pil", "PIL image")
    # CMYK is converted, and not rounded to 8 bits before the colors are.
    assert (photo.samples, photo.pixels.dtype) == (dtype, np.uint16 if mode == "CMYK" else dtype)
    assert photo.pixels.shape == (12, 16, channels)
    assert photo.pixels.flags.c_contiguous
    assert (photo.alpha is not None) == has_alpha

    restored = photo.restore(np.ascontiguousarray(np.broadcast_to(photo.pixels, (12, 16, 3))))
    assert isinstance(restored, PIL.Image.Image)
    assert restored.mode == ("RGBA" if has_alpha else "RGB")
    assert restored.size == image.size
    assert image.tobytes() == before
    if mode != "CMYK":  # the press profile of libvips is not the plain arithmetic of PIL
        eight = image
        if mode in ("I", "I;16", "I;16B", "F"):
            eight = to_pil(smooth(12, 16, 1), "L")
        elif mode in ("RGBa", "La"):
            eight = image.convert({"RGBa": "RGBA", "La": "LA"}[mode])
        expected = np.asarray(eight.convert("RGB"))
        np.testing.assert_array_equal(np.asarray(restored.convert("RGB")), expected)


def test_pil_transparency_that_is_no_channel_becomes_alpha() -> None:
    gray = to_pil(np.array([[0, 100, 200]], np.uint8), "L")
    gray.info["transparency"] = 100
    photo = open_photo(gray)
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0, 255]]
    assert photo.pixels[..., 0].tolist() == [[0, 100, 200]]

    palette = to_pil(smooth(4, 4, 3), "RGB").quantize(4)
    index = palette.getpixel((0, 0))
    palette.info["transparency"] = index
    photo = open_photo(palette)
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha == 0, np.asarray(palette) == index)


def test_pil_images_out_of_range_or_of_other_modes_are_refused() -> None:
    assert "65535" in refusal(open_photo, to_pil(np.array([[70000]], "<i4"), "I"))
    assert "65535" in refusal(open_photo, to_pil(np.array([[-1]], "<i4"), "I"))
    assert "0..1" in refusal(open_photo, to_pil(np.array([[255]], np.float32), "F"))
    assert "convert('RGB')" in refusal(open_photo, PIL.Image.new("LAB", (2, 2)))
    assert "no pixels" in refusal(open_photo, PIL.Image.new("L", (0, 2)))


def test_a_pil_image_that_breaks_off_while_decoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    to_pil(noise(64, 64, 3), "RGB").save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with PIL.Image.open(path) as image:
        assert "PIL image" in refusal(open_photo, image)


def test_a_large_pil_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_module, "MAX_PIXELS", 99)
    assert open_photo(PIL.Image.new("L", (9, 11))).width == 9
    refusal(open_photo, PIL.Image.new("L", (10, 10)))


def test_a_pil_image_keeps_its_pixels_and_exif_orientation(tmp_path: Path) -> None:
    path = tmp_path / "turned.png"
    to_pil(smooth(4, 6, 3), "RGB").save(path, exif=exif_with(Orientation=6), dpi=(300, 300))
    with PIL.Image.open(path) as image:
        photo = open_photo(image)
        expected = PIL.ImageOps.exif_transpose(image)
    np.testing.assert_array_equal(photo.pixels, smooth(4, 6, 3))
    restored = photo.restore(photo.pixels)
    assert restored.info["dpi"] == pytest.approx((300, 300), abs=0.01)
    upright = PIL.ImageOps.exif_transpose(restored)
    np.testing.assert_array_equal(np.asarray(upright), np.asarray(expected))


def test_the_profile_of_a_pil_image_is_converted_and_replaced() -> None:
    image = to_pil(smooth(), "RGB")
    image.info["icc_profile"] = p3_profile()
    photo = open_photo(image)
    assert np.abs(apart_from_clipping(photo.pixels, pil_to_srgb(image))).max() <= 1
    restored = photo.restore(photo.pixels)
    np.testing.assert_array_equal(np.asarray(restored), requantize(photo.pixels, np.uint8))
    assert_srgb_profile(restored.info["icc_profile"])
    assert "icc_profile" not in open_photo(to_pil(smooth(), "RGB")).restore(smooth()).info


def pil_to_srgb(image: PIL.Image.Image) -> np.ndarray:
    profile = PIL.ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    converted = PIL.ImageCms.profileToProfile(
        image,
        profile,
        PIL.ImageCms.createProfile("sRGB"),
        renderingIntent=PIL.ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    assert converted is not None
    return np.asarray(converted).astype(int)


def apart_from_clipping(pixels: np.ndarray, clipped: np.ndarray) -> np.ndarray:
    """Differences, in steps of 8 bits, of colors that sRGB can show.

    The others are clipped by LittleCMS, and lose chroma here.
    """
    shown = ((clipped > 0) & (clipped < 255)).all(axis=2)
    assert shown.mean() > 0.3
    top = 1 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
    return (pixels * (255 / top) - clipped)[shown]


def assert_srgb_profile(data: bytes) -> None:
    """Valid, and to convert from it into Pillow's own sRGB moves nothing by more than rounding."""
    image = to_pil(noise(20, 20, 3), "RGB")
    image.info["icc_profile"] = data
    assert np.abs(pil_to_srgb(image) - noise(20, 20, 3)).max() <= 1


def test_deep_gray_is_rounded_to_nearest_for_pil() -> None:
    photo = open_photo(to_pil(np.array([[128, 129, 65535 - 128, 65535 - 129]], "<u2"), "I;16"))
    rgb = np.repeat(photo.pixels, 3, axis=2)
    assert np.asarray(photo.restore(rgb))[0, :, 0].tolist() == [0, 1, 255, 254]


# --- reading --------------------------------------------------------------------------------------


def python(code: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_files_and_arrays_do_not_need_pil(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, photochrom.photo.open as i, photochrom.photo.write as w\n"
        "a = np.zeros((4, 5, 3), np.uint8); p = i.open_photo(a); p.restore(a)\n"
        "w.write_photo(sys.argv[1], a, p); i.open_photo(sys.argv[1])\n"
        "print([m for m in ('PIL', 'torch', 'onnxruntime') if m in sys.modules])"
    )
    result = python(code, tmp_path / "out.jpg")
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


@pytest.mark.parametrize("extension", LOSSY)
@pytest.mark.parametrize("channels", [1, 3])
def test_lossy_files_are_read_as_pillow_reads_them(
    tmp_path: Path, extension: str, channels: int
) -> None:
    path = tmp_path / f"photo{extension}"
    to_pil(smooth(48, 64, channels), "L" if channels == 1 else "RGB").save(path, quality=95)
    photo = read_photo(path)
    with PIL.Image.open(path) as image:
        expected = np.asarray(image.convert("RGB")).astype(int)
    assert photo.pixels.dtype == np.uint8
    assert photo.alpha is None
    assert (photo.kind, photo.name) == ("file", str(path))
    # WebP and AVIF decoders differ in how they enlarge the chroma.
    assert np.abs(photo.pixels.astype(int) - expected).max() <= (1 if extension == ".jpg" else 6)
    if extension == ".jpg":
        assert photo.pixels.shape[2] == channels


@pytest.mark.parametrize("extension", LOSSY + LOSSLESS)
def test_bytes_are_decoded_as_their_file_is(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"photo{extension}"
    to_pil(smooth(48, 64, 3), "RGB").save(path)
    photo = decode_photo(path.read_bytes(), "a.tar: photo")
    np.testing.assert_array_equal(photo.pixels, read_photo(path).pixels)
    assert photo.name == "a.tar: photo" and photo.source is None
    for broken in (b"", b"nothing", path.read_bytes()[:-20], path.read_bytes()[:100]):
        with pytest.raises(PhotoError, match=r"a\.tar: photo"):
            decode_photo(broken, "a.tar: photo")


def test_pictures_are_resized_without_aliasing() -> None:
    lines = np.zeros((64, 96, 3), np.uint8)
    lines[:, ::2] = 200
    small = resized(lines, 16, 24)
    assert small.shape == (16, 24, 3) and small.dtype == np.uint8
    assert np.abs(small.astype(int) - 100).max() < 12
    assert resized(lines, 64, 96) is lines
    flat = np.full((5, 7, 3), 77, np.uint8)
    assert (resized(flat, 31, 3) == 77).all()


def test_a_preview_is_a_plain_jpeg_of_the_pixels() -> None:
    rgb = smooth(40, 56, 3)
    with PIL.Image.open(io.BytesIO(to_jpeg(rgb, 95))) as image:
        assert image.format == "JPEG" and not image.getexif()
        assert image.layer[0][1:3] == (1, 1), "chroma is not subsampled"
        assert np.abs(np.asarray(image).astype(int) - rgb).max() < 12
    assert to_uint8(np.array([[0, 257, 65535]], np.uint16)).tolist() == [[0, 1, 255]]


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


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", [".png", ".jpg", ".tif", ".webp", ".avif"])
def test_all_orientations_are_applied(tmp_path: Path, orientation: int, extension: str) -> None:
    path = tmp_path / f"turned{extension}"
    to_pil(smooth(40, 56, 3), "RGB").save(
        path, exif=exif_with(Orientation=orientation), dpi=(300, 150), quality=95
    )
    with PIL.Image.open(path) as image:
        upright = PIL.ImageOps.exif_transpose(image)
        assert upright is not None
    photo = read_photo(path)
    expected = np.asarray(upright.convert("RGB")).astype(int)
    assert photo.pixels.shape == expected.shape
    assert photo.pixels.flags.c_contiguous
    assert np.abs(photo.pixels.astype(int) - expected).max() <= 8

    out = tmp_path / "out.png"
    write_photo(out, photo.pixels, photo)
    again = read_photo(out)
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    with PIL.Image.open(out) as image:
        assert image.getexif().get(PIL.ExifTags.Base.Orientation, 1) == 1
        if extension in (".jpg", ".tif"):  # Pillow writes no resolution into WebP
            dpi = (300, 150) if orientation < 5 else (150, 300)
            assert image.info["dpi"] == pytest.approx(dpi, abs=0.1)


@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_a_color_profile_is_converted_as_littlecms_does(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"p3{extension}"
    to_pil(smooth(), "RGB").save(path, quality=100, icc_profile=p3_profile())
    photo = read_photo(path)
    with PIL.Image.open(path) as image:
        image.load()
        unconverted = np.asarray(image.convert("RGB")).astype(int)
        expected = pil_to_srgb(image)
    assert np.abs(expected - unconverted).max() > 20  # the profile does matter here
    assert photo.profiled
    difference = np.abs(apart_from_clipping(photo.pixels, expected))
    assert difference.mean() < 2
    if extension in (".jpg", ".png", ".tif"):  # the decoders of WebP and AVIF differ in themselves
        assert difference.max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_gray_profile_is_converted_and_stays_gray(
    tmp_path: Path, dtype: Any, alpha: bool
) -> None:
    samples = np.linspace(0, 1, 256).reshape(16, 16, 1)
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    expected = srgb_encode(samples)
    samples = np.concatenate([samples, samples[::-1]], axis=2) if alpha else samples
    samples = (samples * top).round(6 if top == 1 else 0).astype(dtype)
    vips = to_vips(samples, "grey16" if dtype == np.uint16 else "b-w")
    vips.set_type(pyvips.GValue.blob_type, "icc-profile-data", gray_profile(1.0))
    path = tmp_path / "linear.tif"
    vips.tiffsave(str(path))

    photo = read_photo(path)
    fine = np.uint16 if dtype == np.uint8 else dtype
    assert (photo.samples, photo.pixels.dtype) == (dtype, fine)
    assert photo.pixels.shape == (16, 16, 1)
    scale = 1 if top == 1 else 65535
    rounded = srgb_encode(samples[..., :1] / top)  # as they are in the file
    np.testing.assert_allclose(
        photo.pixels / scale, rounded, atol=0.51 / scale if scale > 1 else 1e-6
    )
    np.testing.assert_allclose(rounded, expected, atol=13 / top if top > 1 else 1e-4)
    if alpha:
        np.testing.assert_array_equal(photo.alpha, samples[..., 1])


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_samples_stay_deep_through_a_color_profile(
    tmp_path: Path, dtype: Any, alpha: bool
) -> None:
    deep = smooth(16, 256, 3).astype(np.uint16) * 257
    deep += noise(16, 256, 3, np.uint16) // 1024  # below what 8 bits can hold
    samples = deep if dtype == np.uint16 else (deep / 65535).astype(np.float32)
    if alpha:
        samples = np.concatenate([samples, noise(16, 256, 1, dtype)], axis=2)
    vips = to_vips(samples, "rgb16" if dtype == np.uint16 else "srgb")
    path = tmp_path / "p3.tif"
    vips.tiffsave(str(path), profile="p3")
    photo = read_photo(path)
    assert photo.pixels.dtype == dtype
    image = to_pil(smooth(16, 256, 3), "RGB")
    image.info["icc_profile"] = p3_profile()
    assert np.abs(apart_from_clipping(photo.pixels, pil_to_srgb(image))).max() < 3
    assert len(np.unique(photo.pixels)) > 3 * 256
    if alpha:
        np.testing.assert_array_equal(photo.alpha, samples[..., 3])


def test_an_srgb_profile_changes_no_sample(tmp_path: Path) -> None:
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    for dtype in (np.uint8, np.uint16, np.float32):
        samples = noise(6, 7, 3, dtype)
        vips = to_vips(samples, "rgb16" if dtype == np.uint16 else "srgb")
        vips.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        path = tmp_path / "srgb.tif"
        vips.tiffsave(str(path))
        photo = read_photo(path)
        np.testing.assert_array_equal(photo.pixels, samples)
        assert photo.profiled


@pytest.mark.parametrize("case", ["junk", "other space", "empty header", "cut"])
def test_a_profile_that_does_not_fit_is_passed_over(tmp_path: Path, case: str) -> None:
    good = p3_profile()
    profile = {
        "junk": b"no profile at all" * 20,
        "other space": gray_profile(1.0),
        "empty header": bytes(128),
        "cut": good[:200],
    }[case]
    path = tmp_path / "photo.png"
    to_pil(smooth(), "RGB").save(path, icc_profile=profile)
    np.testing.assert_array_equal(read_photo(path).pixels, smooth())
    image = to_pil(smooth(), "RGB")
    image.info["icc_profile"] = profile
    np.testing.assert_array_equal(open_photo(image).pixels, smooth())


@pytest.mark.parametrize("extension", [".jpg", ".tif"])
def test_cmyk_is_converted(tmp_path: Path, extension: str) -> None:
    inks = np.zeros((16, 96, 4), np.uint8)  # white, cyan, magenta, yellow, black, all of them
    for patch, channels in enumerate([[], [0], [1], [2], [3], [0, 1, 2, 3]]):
        inks[:, patch * 16 : patch * 16 + 16, channels] = 255
    path = tmp_path / f"cmyk{extension}"
    to_pil(inks, "CMYK").save(path, quality=100)
    for photo in (read_photo(path), open_photo(to_pil(inks, "CMYK"))):
        assert photo.pixels.shape == (16, 96, 3)
        patches = to_uint8(photo.pixels[8, 8::16]).astype(int)
        assert np.all(patches[0] >= 254)
        for ink in range(3):
            assert patches[1 + ink, ink] < min(np.delete(patches[1 + ink], ink)) - 50
        assert np.ptp(patches[4]) < 32 and np.all(patches[4] < 70)
        assert np.all(patches[5] < 25)  # 33, 33, 44 without black point compensation


def test_an_embedded_cmyk_profile_that_is_broken_falls_back(tmp_path: Path) -> None:
    path = tmp_path / "cmyk.tif"
    to_pil(np.zeros((4, 4, 4), np.uint8), "CMYK").save(path, icc_profile=b"junk" * 50)
    assert np.all(to_uint8(read_photo(path).pixels) >= 254)


def test_sixteen_bit_cmyk_stays_sixteen_bit(tmp_path: Path) -> None:
    path = tmp_path / "cmyk.tif"
    ramp = np.linspace(0, 65535, 2000).astype(np.uint16).reshape(4, 500, 1)
    tifffile.imwrite(path, np.repeat(ramp, 4, axis=2), photometric="separated")
    photo = read_photo(path)
    assert photo.pixels.dtype == np.uint16
    assert photo.pixels.shape == (4, 500, 3)
    assert len(np.unique(photo.pixels)) > 1000


def test_palette_one_bit_and_inverted_files_are_expanded(tmp_path: Path) -> None:
    few = (smooth(8, 8, 3) // 128) * 255
    for extension in LOSSLESS:
        path = tmp_path / f"palette{extension}"
        palette = to_pil(few, "RGB").quantize(16)
        palette.save(path)
        expected = np.asarray(palette.convert("RGB"))
        np.testing.assert_array_equal(read_photo(path).pixels, expected)

        path = tmp_path / f"bits{extension}"
        bits = noise(9, 17, 1)[..., 0] > 127
        PIL.Image.fromarray(bits).save(path)
        photo = read_photo(path)
        assert photo.pixels.dtype == np.uint8
        np.testing.assert_array_equal(photo.pixels[..., 0], bits * 255)

    fax = tmp_path / "fax.tif"
    PIL.Image.fromarray(noise(9, 17, 1)[..., 0] > 127).save(fax, compression="group4")
    np.testing.assert_array_equal(
        read_photo(fax).pixels[..., 0], (noise(9, 17, 1)[..., 0] > 127) * 255
    )
    for dtype in (np.uint8, np.uint16):
        samples = noise(4, 5, 1, dtype)[..., 0]
        inverted = tmp_path / "inverted.tif"
        tifffile.imwrite(inverted, samples, photometric="miniswhite")
        top = np.iinfo(dtype).max
        np.testing.assert_array_equal(read_photo(inverted).pixels[..., 0], top - samples)


def test_a_transparent_color_becomes_alpha(tmp_path: Path) -> None:
    path = tmp_path / "transparent.png"
    to_pil(np.array([[0, 100, 200]], np.uint8), "L").save(path, transparency=100)
    photo = read_photo(path)
    assert photo.alpha is not None
    assert photo.alpha.tolist() == [[255, 0, 255]]
    assert photo.pixels.shape == (1, 3, 1)


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_ten_and_twelve_bits_fills_the_range(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "deep.avif"
    ramp = np.repeat(np.linspace(0, 65535, 64).astype(np.uint16).reshape(1, 64, 1), 64, axis=0)
    to_vips(np.repeat(ramp, 3, axis=2), "rgb16").heifsave(
        str(path), compression="av1", bitdepth=bits, lossless=True
    )
    photo = read_photo(path)
    assert photo.pixels.dtype == np.uint16
    assert photo.pixels.max() == 65535
    assert photo.pixels.min() == 0
    np.testing.assert_allclose(photo.pixels, np.repeat(ramp, 3, axis=2), atol=65536 / 2**bits)


def test_of_several_pages_or_frames_the_first_is_read(tmp_path: Path) -> None:
    pages = [smooth(6, 8, 3), noise(6, 8, 3)]
    tifffile.imwrite(tmp_path / "pages.tif", np.stack(pages), photometric="rgb")
    np.testing.assert_array_equal(read_photo(tmp_path / "pages.tif").pixels, pages[0])
    first, second = (to_pil(page, "RGB") for page in pages)
    animation = tmp_path / "animation.webp"
    first.save(animation, save_all=True, append_images=[second], lossless=True)
    np.testing.assert_array_equal(read_photo(animation).pixels, pages[0])


@pytest.mark.parametrize("lossless", [True, False])
def test_alpha_of_webp_counts_even_if_it_is_declared_once(tmp_path: Path, lossless: bool) -> None:
    rgba = noise(12, 16, 4)
    file = io.BytesIO()
    to_pil(rgba, "RGBA").save(file, "WEBP", lossless=lossless, exact=True, icc_profile=p3_profile())
    data = bytearray(file.getvalue())
    assert data[12:16] == b"VP8X" and data[20] & 0x10
    if lossless:
        data[20] &= ~0x10
    path = tmp_path / "a.webp"
    path.write_bytes(data)
    alpha = read_photo(path).alpha
    assert alpha is not None and np.array_equal(alpha, rgba[..., 3])
    write_photo(tmp_path / "b.webp", rgba[..., :3], read_photo(path))
    assert read_photo(tmp_path / "b.webp").alpha is not None


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_without_alpha_has_none(tmp_path: Path, lossless: bool) -> None:
    path = tmp_path / "a.webp"
    to_pil(noise(12, 16, 3), "RGB").save(path, lossless=lossless, icc_profile=p3_profile())
    assert read_photo(path).alpha is None


@pytest.mark.parametrize("name", ["scan[1].jpg", "scan.jpg[page=2]", "a b%20ü.jpg", "no-extension"])
def test_odd_names_are_read_and_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    to_pil(smooth(), "RGB").save(path, "JPEG")
    photo = read_photo(path)
    assert photo.width == 64
    out = tmp_path / f"{name}.out[0].png"
    write_photo(out, photo.pixels, photo)
    assert read_photo(str(out)).width == 64


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes as a name")
def test_a_name_that_is_no_text_is_read_and_written(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    write_photo(path, smooth(), photo_of(smooth()))
    np.testing.assert_array_equal(read_photo(path).pixels, smooth())


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really-a-png.jpg"
    to_pil(smooth(), "RGB").save(path, "PNG")
    np.testing.assert_array_equal(read_photo(path).pixels, smooth())


def test_a_file_that_has_changed_is_read_anew(tmp_path: Path) -> None:
    assert pyvips.cache_get_max() == 0
    path = tmp_path / "photo.png"
    for seed in range(3):
        samples = noise(16, 16 + seed, 3)[:, :16]
        to_pil(samples, "RGB").save(path, compress_level=0)
        os.utime(path, (0, 0))
        np.testing.assert_array_equal(read_photo(path).pixels, samples)


# --- reading what cannot be read ------------------------------------------------------------------


def test_missing_empty_and_foreign_files_are_refused(tmp_path: Path) -> None:
    for name, content in [("empty.jpg", b""), ("text.jpg", b"hello\n" * 20), ("tiny.png", b"\x89")]:
        (tmp_path / name).write_bytes(content)
        assert name in refusal(read_photo, tmp_path / name)
    assert "empty" in refusal(read_photo, tmp_path / "empty.jpg")
    assert "JPEG, PNG, TIFF, WebP, AVIF or HEIC" in refusal(read_photo, tmp_path / "text.jpg")
    assert "no such file" in refusal(read_photo, tmp_path / "absent.jpg")
    assert "not a file" in refusal(read_photo, tmp_path)
    assert "not a file" in refusal(read_photo, tmp_path / "text.jpg" / "photo.jpg")
    refusal(read_photo, f"{tmp_path}/a\0b.jpg")
    to_pil(smooth(), "RGB").save(tmp_path / "photo.gif")
    assert "convert it" in refusal(read_photo, tmp_path / "photo.gif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a file" in refusal(read_photo, tmp_path / "pipe.jpg")


@pytest.mark.skipif(IS_ROOT or os.name == "nt", reason="nothing is forbidden to this user")
def test_a_file_without_read_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    to_pil(smooth(), "RGB").save(path)
    path.chmod(0)
    assert "permissions" in refusal(read_photo, path)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_stream_is_read_like_the_file_and_knows_its_format(
    tmp_path: Path, extension: str
) -> None:
    path = tmp_path / f"photo{extension}"
    write_photo(path, smooth(), photo_of(smooth()))
    of_file = read_photo(path)
    piped = subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE)
    assert piped.stdout is not None
    with piped, piped.stdout as stream:
        of_stream = read_stream(stream)
    np.testing.assert_array_equal(of_stream.pixels, of_file.pixels)
    expected = {".jpeg": ".jpg", ".tiff": ".tif"}.get(extension, extension)
    assert of_stream.extension == of_file.extension == expected
    assert of_stream.source is None


def test_a_stream_that_is_no_photo_is_refused_before_it_ends(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as stream:
        assert refusal(read_stream, stream).startswith("stdin: the file is empty")
    with open("/dev/zero", "rb") as endless:
        assert "not a JPEG" in refusal(read_stream, endless)


def test_the_file_behind_a_stream_is_an_original_too(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    write_photo(path, smooth(), photo_of(smooth()))
    with path.open("rb") as stream:
        photo = read_stream(stream)
    assert "never overwritten" in refusal(write_photo, path, photo.pixels, photo, force=True)


def test_camera_raw_is_not_taken_for_its_preview(tmp_path: Path) -> None:
    path = tmp_path / "DSC_0001.NEF"
    tifffile.imwrite(path, smooth())
    assert "camera raw" in refusal(read_photo, path)


@pytest.mark.parametrize(
    "save", ["png", "jpg", "progressive.jpg", "tif", "webp", "avif", "strip.tif"]
)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, save: str, part: float) -> None:
    path = tmp_path / f"cut.{save}"
    if save == "strip.tif":  # its directory stands first, so that only pixels are missing
        tifffile.imwrite(path, noise(200, 200, 3), photometric="rgb")
    else:
        options = {"progressive": True} if save == "progressive.jpg" else {}
        to_pil(noise(200, 200, 3), "RGB").save(path, **options)
    assert read_photo(path).width == 200
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert "cannot be read" in refusal(read_photo, path)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_one_damaged_tile_is_enough(tmp_path: Path, compression: str | None, damage: str) -> None:
    path = tmp_path / "tiles.tif"
    noise = np.random.default_rng(0).integers(0, 256, (150, 200), np.uint8)
    tifffile.imwrite(path, noise, tile=(32, 48), compression=compression)
    assert np.array_equal(read_photo(path).pixels[..., 0], noise)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[-40:]
    elif compression is None:
        return  # any samples are as good as others
    else:
        data[len(data) // 2 : len(data) // 2 + 300] = b"\xff" * 300
    path.write_bytes(data)
    assert "tile" in refusal(read_photo, path) or "Decoding" in refusal(read_photo, path)


@pytest.mark.parametrize(
    "magic",
    [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0",
        b"MM\0*",
        b"II+\0",
        b"RIFF\x40\x01\0\0WEBPVP8 ",
        b"\0\0\0\x18ftypavif\0\0\0\0avifmif1",
    ],
)
@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=20)
def test_whatever_follows_the_magic_is_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, magic: bytes, rest: bytes
) -> None:
    path = tmp_path_factory.mktemp("garbage") / "garbage.img"
    path.write_bytes(magic + rest)
    refusal(read_photo, path)


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
    assert "8 x 2000000 pixels are over the limit of 100000 a side" in refusal(read_photo, path)


@pytest.mark.parametrize(
    ("extension", "own", "exif", "wanted"),
    [
        (".jpg", 300, 72, 300),  # an editor that forgot the EXIF
        (".png", 300, 72, 300),
        (".jpg", 72, 600, 600),
        (".jpg", 200, 600, 200),
        (".jpg", 300, None, 300),
        (".jpg", None, 600, 600),
        (".png", None, 600, 600),
        (".png", 600, 600, 600),
        (".webp", None, 600, 600),
        (".avif", None, 600, 600),
        (".jpg", None, None, None),
        (".webp", None, None, None),
    ],
)
def test_a_file_and_its_exif_state_one_resolution(
    tmp_path: Path, extension: str, own: int | None, exif: int | None, wanted: int | None
) -> None:
    block = exif_with(Make="Leica")
    if exif:
        block[282] = block[283] = exif
        block[296] = 2
    path = tmp_path / f"photo{extension}"
    options: dict[str, Any] = {"dpi": (own, own)} if own else {}
    to_pil(smooth(), "RGB").save(path, exif=block, **options)
    photo = read_photo(path)
    if wanted is None:
        assert photo.resolution is None
    else:
        assert photo.resolution == pytest.approx((wanted / 25.4,) * 2, rel=1e-4)
    for target in (".jpg", ".png", ".tif", ".webp", ".avif"):
        write_photo(tmp_path / f"out{target}", photo.pixels, photo)
        with PIL.Image.open(tmp_path / f"out{target}") as image:
            found = image.getexif()
            assert found[271] == "Leica"
            if wanted is not None or target != ".tif":  # 72: the EXIF for unknown
                assert found[282] == found[283] == pytest.approx(wanted or 72, rel=1e-4)
                assert found[296] == 2
            if wanted is not None and target in (".jpg", ".png", ".tif"):
                assert image.info["dpi"] == pytest.approx((wanted, wanted), rel=1e-4)


@pytest.mark.parametrize("block", [b"", b"Exif\0\0II*\0", b"Exif\0\0" + bytes(40)])
def test_an_exif_that_is_damaged_states_no_resolution(block: bytes) -> None:
    assert exif_resolution(block) is None


@pytest.mark.parametrize("dpi", [(1e9, 300), (300, 3e10), (0, 0)])
def test_a_senseless_resolution_counts_as_unknown(
    tmp_path: Path, dpi: tuple[float, float], capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, smooth())
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        places = [tags["XResolution"].offset, tags["YResolution"].offset]
    for place, value in zip(places, dpi, strict=True):
        content[place + 2 : place + 4] = struct.pack("<H", 11)  # FLOAT, in the entry itself
        content[place + 8 : place + 12] = struct.pack("<f", value)
    path.write_bytes(bytes(content))
    photo = read_photo(path)
    assert photo.resolution is None
    write_photo(tmp_path / "out.tif", photo.pixels, photo)
    assert capfd.readouterr().err == ""  # libvips complains there of what it does not take


@pytest.mark.parametrize(
    ("name", "kind", "size", "options"),
    [
        ("a.png", "interlaced PNG", 3, {"interlace": True}),
        ("a.jpg", "progressive JPEG", 6, {"interlace": True}),
        ("a.webp", "WebP", 3, {}),
        ("a.avif", "AVIF", 3, {"compression": "av1", "effort": 0}),
        ("a.heic", "HEIC", 3, {}),
    ],
)
def test_what_is_decoded_as_a_whole_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, size: int, options: Any
) -> None:
    path = tmp_path / name
    if name == "a.heic":
        pillow_heif.from_pillow(to_pil(smooth(), "RGB")).save(path)
    else:
        to_vips(smooth()).write_to_file(str(path), **options)
    monkeypatch.setattr(photo_module, "MAX_WHOLE", 48 * 64 * size)
    assert read_photo(path).width == 64
    monkeypatch.setattr(photo_module, "MAX_WHOLE", 48 * 64 * size - 1)
    assert f"{name}: {kind} is decoded as a whole" in refusal(read_photo, path)
    for other in ("b.png", "b.jpg", "b.tif"):
        to_vips(smooth()).write_to_file(str(tmp_path / other))
        assert read_photo(tmp_path / other).width == 64


def test_the_limit_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.png"
    to_pil(smooth(10, 11, 3), "RGB").save(path)
    monkeypatch.setattr(photo_module, "MAX_PIXELS", 110)
    assert read_photo(path).width == 11
    monkeypatch.setattr(photo_module, "MAX_PIXELS", 109)
    assert "photochrom.photo.photo.MAX_PIXELS" in refusal(read_photo, path)


def test_unsuitable_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    for dtype in (np.int8, np.int16, np.int32, np.uint32):
        tifffile.imwrite(path, np.ones((3, 4), dtype))
        assert "8 or 16 bits" in refusal(read_photo, path)
    tifffile.imwrite(path, np.ones((3, 4), np.float64))
    refusal(read_photo, path)
    tifffile.imwrite(path, np.ones((3, 4, 6), np.uint8), photometric="rgb", planarconfig="contig")
    assert "6 channels" in refusal(read_photo, path)
    to_vips(smooth()).colourspace("lab").tiffsave(str(path))
    assert "RGB" in refusal(read_photo, path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.5, 255.0])
def test_float_files_out_of_range_are_refused(tmp_path: Path, bad: float) -> None:
    path = tmp_path / "photo.tif"
    samples = np.full((3, 4), 0.5, np.float32)
    samples[1, 2] = bad
    tifffile.imwrite(path, samples)
    message = refusal(read_photo, path)
    assert "photo.tif" in message
    assert ("NaN" in message) == bool(np.isnan(bad))


def test_stderr_stays_clean_when_files_are_bad(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    to_pil(noise(64, 64, 3), "RGB").save(path, icc_profile=b"junk" * 50)
    content = path.read_bytes()
    cut, junk = tmp_path / "cut.jpg", tmp_path / "junk.tif"
    junk.write_bytes(b"II*\0" + b"hello world " * 30)
    damaged = bytearray(content)
    damaged[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    (tmp_path / "damaged.jpg").write_bytes(bytes(damaged))
    cut.write_bytes(content[: len(content) // 2])
    code = (
        "import sys\n"
        "from photochrom.errors import PhotoError\n"
        "from photochrom.photo.read import read_photo\n"
        "from photochrom.photo.write import write_photo\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        photo = read_photo(name)\n"
        "        write_photo(name + '.out.jpg', photo.pixels, photo)\n"
        "        print('read')\n"
        "    except PhotoError:\n"
        "        print('refused')\n"
    )
    result = python(code, cut, junk, tmp_path / "damaged.jpg")
    assert result.stderr == ""
    assert result.stdout.split()[:2] == ["refused", "refused"]


# --- writing --------------------------------------------------------------------------------------

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".avif": "AVIF",
}


def test_the_list_of_extensions_is_what_is_written() -> None:
    assert set(EXTENSIONS) == set(FORMATS)


@pytest.mark.parametrize("extension", [*FORMATS, ".JPG", ".Tiff"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_each_format_is_written_and_read_back(
    tmp_path: Path, extension: str, alpha: bool, dtype: Any
) -> None:
    scale = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    rgb = (smooth().astype(np.float64) * scale).astype(dtype)
    gray = rgb[..., :1]
    source = np.concatenate([gray, gray[::-1]], axis=2) if alpha else gray
    photo = photo_of(source)
    path = tmp_path / f"out{extension}"
    write_photo(path, rgb, photo)
    assert_only(tmp_path, path.name)

    kind = FORMATS[extension.lower()]
    if kind != "TIFF" or dtype == np.uint8:  # Pillow has no deeper color
        with PIL.Image.open(path) as image:
            assert image.format == kind
            assert "icc_profile" not in image.info  # the source had none
            keeps_alpha = alpha and kind != "JPEG"
            assert image.mode == ("RGBA" if keeps_alpha else "RGB")
            eight = np.asarray(image).astype(int)
            assert np.abs(eight[..., :3] - smooth()).max() <= (1 if kind in ("PNG", "TIFF") else 9)

    again = read_photo(path)
    deep = {"PNG": [np.uint8, np.uint16], "TIFF": [np.uint8, np.uint16, np.float32]}
    if kind in deep and dtype in deep[kind]:
        assert again.pixels.dtype == dtype
        np.testing.assert_array_equal(again.pixels, rgb)
        if alpha:
            np.testing.assert_array_equal(again.alpha, photo.alpha)
    else:
        assert again.pixels.dtype == (np.uint16 if kind == "PNG" else np.uint8)
    assert (again.alpha is not None) == (alpha and kind != "JPEG")
    if alpha and again.alpha is not None and photo.alpha is not None:
        top = 1 if again.alpha.dtype == np.float32 else np.iinfo(again.alpha.dtype).max
        low = 1 if dtype == np.float32 else np.iinfo(dtype).max
        np.testing.assert_allclose(again.alpha / top, photo.alpha / low, atol=0.02)


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


def test_float_becomes_sixteen_bit_png_rounded_to_nearest(tmp_path: Path) -> None:
    rgb = noise(8, 9, 3, np.float32)
    write_photo(tmp_path / "out.png", rgb, photo_of(rgb))
    written = read_photo(tmp_path / "out.png").pixels
    assert written.dtype == np.uint16
    assert np.abs(written - rgb.astype(np.float64) * 65535).max() < 0.51


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


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 88, 95, 100])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
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
    write_photo(target, np.broadcast_to(photo.pixels, (140, 160, 3)), photo, quality=60, force=True)
    assert read_photo(target).quality == 60


@pytest.mark.parametrize("extension", [".png", ".tif", ".webp"])
def test_the_color_below_transparent_parts_is_kept(tmp_path: Path, extension: str) -> None:
    clear = np.zeros((48, 64, 1), np.uint8)
    photo = photo_of(np.concatenate([smooth(), clear], axis=2))
    write_photo(tmp_path / f"out{extension}", smooth(), photo)
    again = read_photo(tmp_path / f"out{extension}")
    assert again.alpha is not None
    assert not again.alpha.any()
    assert np.abs(again.pixels.astype(int) - smooth()).max() <= (9 if extension == ".webp" else 0)


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    for name, width in [("a.jpg", 65_501), ("a.webp", 16_384), ("a.avif", 16_385)]:
        rgb = np.zeros((1, width, 3), np.uint8)
        assert "a side" in refusal(write_photo, tmp_path / name, rgb, photo_of(rgb))
        write_photo(tmp_path / "wide.png", rgb, photo_of(rgb), force=True)
    assert_only(tmp_path, "wide.png")


@pytest.mark.parametrize("name", ["photo", "photo.gif", "photo.psd", "photo.jp2", ".jpg", "photo."])
def test_unknown_extensions_are_refused(tmp_path: Path, name: str) -> None:
    message = refusal(write_photo, tmp_path / name, smooth(), photo_of(smooth()))
    assert all(extension in message for extension in EXTENSIONS)
    assert_only(tmp_path)


# --- metadata -------------------------------------------------------------------------------------


def full_source(folder: Path, extension: str = ".jpg") -> Path:
    path = folder / f"source{extension}"
    exif = exif_with(Orientation=6, Artist="Jos\u00e9", Copyright="(c) 1931", Make="Kodak")
    exif.get_ifd(PIL.ExifTags.IFD.Exif)[PIL.ExifTags.Base.DateTimeOriginal] = "1931:05:06 07:08:09"
    exif.get_ifd(PIL.ExifTags.IFD.GPSInfo)[PIL.ExifTags.GPS.GPSLatitudeRef] = "N"
    xmp = xmp_packet(
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" dc:source="box 17" tiff:Orientation="6"/>'
    )
    to_pil(smooth(24, 32, 1), "L").save(path, exif=exif, xmp=xmp, dpi=(300, 300), quality=95)
    return path


def colored(photo: Photo) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(photo.pixels, (photo.height, photo.width, 3)))


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".avif"])
def test_exif_travels_with_its_orientation_reset(tmp_path: Path, extension: str) -> None:
    photo = read_photo(full_source(tmp_path))
    assert (photo.height, photo.width) == (32, 24)
    out = tmp_path / f"out{extension}"
    write_photo(out, colored(photo), photo)
    with PIL.Image.open(out) as image:
        assert image.size == (24, 32)
        exif = image.getexif()
        base, camera = PIL.ExifTags.Base, exif.get_ifd(PIL.ExifTags.IFD.Exif)
        assert exif.get(base.Orientation, 1) == 1
        assert exif[base.Copyright] == "(c) 1931"
        assert exif[base.Make] == "Kodak"
        assert exif[base.XResolution] == 300
        assert camera[base.DateTimeOriginal] == "1931:05:06 07:08:09"
        assert camera[base.ColorSpace] == 1
        assert (camera[base.ExifImageWidth], camera[base.ExifImageHeight]) == (24, 32)
        assert exif.get_ifd(PIL.ExifTags.IFD.GPSInfo)[PIL.ExifTags.GPS.GPSLatitudeRef] == "N"


def test_bytes_beyond_ascii_survive_in_exif(tmp_path: Path) -> None:
    path = tmp_path / "source.jpg"
    exif = exif_with(Artist="JosXX").tobytes().replace(b"JosXX", "Jos\u00e9".encode())
    to_pil(smooth(8, 8, 1), "L").save(path, exif=exif)
    photo = read_photo(path)
    write_photo(tmp_path / "out.jpg", colored(photo), photo)
    assert "Jos\u00e9".encode() in (tmp_path / "out.jpg").read_bytes()


def test_the_gray_thumbnail_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "source.jpg"
    to_pil(smooth(24, 32, 1), "L").save(path, exif=exif_with_thumbnail(6))
    assert "jpeg-thumbnail-data" in pyvips.Image.new_from_file(str(path)).get_fields()
    photo = read_photo(path)
    assert photo.height == 32
    write_photo(tmp_path / "out.jpg", colored(photo), photo)
    fields = pyvips.Image.new_from_file(str(tmp_path / "out.jpg")).get_fields()
    assert "exif-data" in fields
    assert not [key for key in fields if "thumbnail" in key or key.startswith("exif-ifd1")]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_xmp_travels_and_says_that_the_colors_are_synthetic(tmp_path: Path, extension: str) -> None:
    photo = read_photo(full_source(tmp_path))
    out = tmp_path / f"out{extension}"
    write_photo(out, colored(photo), photo, model="base <1> & co")
    packet = xmp_of(out)
    assert b'dc:source="box 17"' in packet
    assert b'tiff:Orientation="1"' in packet
    assert statements(packet, "DigitalSourceType") == [NEW_SOURCE_TYPE]
    assert statements(packet, "AISystemUsed") == ["photochrom base <1> & co"]
    with PIL.Image.open(out) as image:
        image.load()
        own = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
        assert own is not None

    # A second pass states it once more only, and changes nothing else.
    again = read_photo(out)
    write_photo(tmp_path / f"again{extension}", colored(again), again, model="other")
    packet = xmp_of(tmp_path / f"again{extension}")
    assert statements(packet, "DigitalSourceType") == [NEW_SOURCE_TYPE]
    assert statements(packet, "AISystemUsed") == ["photochrom other"]
    assert b'dc:source="box 17"' in packet


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


def test_padding_between_the_parts_of_a_packet_costs_no_time() -> None:
    # With expressions that try every start of a run of blanks this would take hours.
    packet = xmp_packet(" " * 3_000_000)
    assert statements(say_synthetic(packet, ""), "DigitalSourceType") == [NEW_SOURCE_TYPE]
    packet = xmp_packet("").replace(b"<?xpacket end", b" " * 3_000_000 + b"<?xpacket end")
    assert len(say_synthetic(packet, "")) < 2000


def test_the_elements_of_a_large_packet_are_not_looked_at_one_by_one() -> None:
    # Photoshop can list every document that ever lent a layer: tens of megabytes.
    ancestors = "".join(f"<rdf:li>xmp.did:{n}</rdf:li>" for n in range(50_000))
    inside = (
        '<rdf:Description rdf:about="" xmlns:p="http://ns.adobe.com/photoshop/1.0/">'
        f"<p:DocumentAncestors><rdf:Bag>{ancestors}</rdf:Bag></p:DocumentAncestors>"
        "</rdf:Description>"
    )
    calls = 0

    def count(*event: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        made, _, told = result_packet(xmp_packet(inside), b"", "model")
    finally:
        sys.setprofile(None)
    assert calls < 5000 and told is None and ancestors.encode() in made
    assert statements(made, "DigitalSourceType") == [NEW_SOURCE_TYPE]


def test_a_large_packet_that_cannot_be_added_to_is_left_out_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("photochrom.photo.metadata.xmp._MOST_TREE", 10_000)
    large = xmp_packet(SAID.replace("box", "x" * 10_000))
    made, lost, told = result_packet(large, iptc((2, 90, "Prague")), "m0")
    assert (lost, told) == (("city",), None) and b"x" * 10_000 in made
    made, lost, told = result_packet(large.decode().encode("utf-16"), b"", "m0")
    assert told == "its XMP is too large to be written anew, and left out"
    assert statements(made, "DigitalSourceType") == [NEW_SOURCE_TYPE] and len(made) < 2000


def test_a_file_without_xmp_gets_a_packet(tmp_path: Path) -> None:
    write_photo(tmp_path / "out.png", smooth(), photo_of(smooth()))
    packet = xmp_of(tmp_path / "out.png")
    assert packet.startswith(b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>')
    assert packet.rstrip().endswith(b'<?xpacket end="w"?>')
    assert statements(packet, "AISystemUsed") == ["photochrom"]


def test_what_the_source_said_of_its_own_origin_is_replaced() -> None:
    namespace = f'xmlns:Iptc4xmpExt="{IPTC_EXTENSION[1:-1]}"'
    old = "http://cv.iptc.org/newscodes/digitalsourcetype/negativeFilm"
    for inside in (
        f'<rdf:Description rdf:about="uuid:7" {namespace} Iptc4xmpExt:DigitalSourceType="{old}"/>',
        f'<rdf:Description rdf:about="uuid:7" {namespace}>'
        f"<Iptc4xmpExt:DigitalSourceType>{old}</Iptc4xmpExt:DigitalSourceType></rdf:Description>",
    ):
        packet = say_synthetic(xmp_packet(inside), "")
        assert statements(packet, "DigitalSourceType") == [NEW_SOURCE_TYPE]
        assert b'<rdf:Description rdf:about="uuid:7" xmlns:Iptc4xmpExt' in packet


OLD_CLAIM = "http://cv.iptc.org/newscodes/digitalsourcetype/negativeFilm"
SAID = '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="box"/>'


def own_prefix(key: str, content: str) -> str:
    """A property in a description, its namespace declared just there."""
    name = f'<e:{key} xmlns:e="{IPTC_EXTENSION[1:-1]}">{content}</e:{key}>'
    return f'<rdf:Description rdf:about="">{name}</rdf:Description>'


@pytest.mark.parametrize(
    "packet",
    [
        xmp_packet(SAID).decode().encode("utf-16"),
        xmp_packet(SAID).decode().encode("utf-16-be"),
        re.sub(rb"\brdf:", b"r:", xmp_packet(SAID)).replace(b"xmlns:rdf", b"xmlns:r"),
        xmp_packet(SAID) + b"<!-- </rdf:RDF> -->",
        xmp_packet(SAID + '<rdf:Description rdf:about="a"/><rdf:Description rdf:about="b"/>'),
        xmp_packet(SAID + own_prefix("DigitalSourceType", OLD_CLAIM)),
        xmp_packet(
            SAID + re.sub(r"\be(?=[:=])", "Iptc4xmpExt", own_prefix("DigitalSourceType", OLD_CLAIM))
        ),
        xmp_packet(SAID + own_prefix("AISystemUsed", "<b>" + OLD_CLAIM + "</b>")),
        xmp_packet(
            f'{SAID}<rdf:Description rdf:about="" xmlns:e="{IPTC_EXTENSION[1:-1]}" '
            f'e:DigitalSourceType="{OLD_CLAIM}"/>'
        ),
        xmp_packet(
            f'{SAID}<rdf:Description rdf:about="" xmlns:t="http://ns.adobe.com/tiff/1.0/" '
            f't:Orientation="6"/>'
        ),
        xmp_packet(f"{SAID}<!-- <!DOCTYPE -->"),
    ],
)
def test_a_packet_that_cannot_be_added_to_as_text_is_written_anew(packet: bytes) -> None:
    made, lost, told = result_packet(packet, iptc((2, 90, "Prague")), "model")
    assert (lost, told) == ((), None)
    said = taken(made)
    assert said["DigitalSourceType"] == [NEW_SOURCE_TYPE]
    assert said["AISystemUsed"] == ["photochrom model"]
    assert (said["source"], said["City"]) == (["box"], ["Prague"])
    assert OLD_CLAIM.encode() not in made and b'Orientation="6"' not in made
    assert b"<rdf:RDF" in made and made.rstrip().endswith(b'<?xpacket end="w"?>')
    assert result_packet(made, b"", "model")[0].count(b"compositeWith") == 1


def test_an_empty_list_of_descriptions_is_added_to() -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
    )
    for source in (packet, b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', b"", b" \n\0\0", None):
        made, _, told = result_packet(source, b"", "model")
        assert statements(made, "DigitalSourceType") == [NEW_SOURCE_TYPE] and told is None


@pytest.mark.parametrize(
    "packet",
    [
        b"not xml",
        b"\xff\xfe<\0x\0",
        b"<a>some other XML</a>",
        xmp_packet("<unclosed>"),
        # Well-formed, and with a few more such lines gigabytes long.
        b"<!DOCTYPE a [<!ENTITY b 'ccc'>]>"
        + xmp_packet('<rdf:Description rdf:about="" rdf:nodeID="&b;&b;"/>').partition(b"?>")[2],
    ],
)
def test_a_damaged_packet_is_replaced_and_that_is_said(packet: bytes, tmp_path: Path) -> None:
    made, lost, told = result_packet(packet, iptc((2, 90, "Prague")), "model")
    assert taken(made)["DigitalSourceType"] == [NEW_SOURCE_TYPE]
    assert taken(made)["City"] == ["Prague"]
    assert (lost, told) == ((), "its XMP is damaged, and left out")
    image = to_vips(smooth()).copy()
    image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    image.tiffsave(str(tmp_path / "a.tif"))
    (note,) = losses(read_photo(tmp_path / "a.tif"), tmp_path / "b.tif")
    assert note.endswith("a.tif: its XMP is damaged, and left out")


def test_bytes_in_a_packet_that_are_no_text_cost_themselves_alone() -> None:
    made, _, told = result_packet(
        xmp_packet(SAID.replace("box", "box N")).replace(b"N", b"\xff"), b"", "model"
    )
    assert taken(made)["source"] == ["box \N{REPLACEMENT CHARACTER}"]
    assert told == "its XMP holds bytes that are no text"
    assert statements(made, "DigitalSourceType") == [NEW_SOURCE_TYPE]


def test_a_packet_however_deep_is_written_anew() -> None:
    deep = SAID + "<a>" * 20_000 + "</a>" * 20_000 + own_prefix("DigitalSourceType", OLD_CLAIM)
    made = result_packet(xmp_packet(deep), b"", "model")[0]
    assert made.count(b"<a>") == 20_000 and OLD_CLAIM.encode() not in made


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
    assert "y.jpg: its XMP refers to a second part that is missing" in told
    for photo, name in ((large, "a.jpg"), (torn, "b.jpg")):
        write_photo(tmp_path / name, colored(photo), photo)
        said = taken(xmp_of(tmp_path / name))
        assert said["source"] == ["box"] and said["DigitalSourceType"] == [NEW_SOURCE_TYPE]
        assert "HasExtendedXMP" not in said


def test_a_caption_without_end_stays_out_of_xmp() -> None:
    size = 2 << 20
    long = b"\x1c\x02\x78\x80\x04" + size.to_bytes(4, "big") + b"a" * size
    made, lost, _ = result_packet(None, long + iptc((2, 90, "Prague")), "model")
    assert lost == ("caption, what is over 1 MB",) and len(made) < 2000
    assert taken(made)["City"] == ["Prague"]


@many
@given(st.text())
def test_any_model_name_gives_well_formed_xmp(model: str) -> None:
    packet = say_synthetic(None, model)
    assert statements(packet, "DigitalSourceType") == [NEW_SOURCE_TYPE]
    (system,) = statements(packet, "AISystemUsed")
    assert system.startswith("photochrom")


@many
@given(st.binary() | st.text(alphabet="<>/=:'\" rdfDescriptionRDFabout\n").map(str.encode))
def test_no_source_packet_breaks_the_writing(packet: bytes) -> None:
    for source in (packet, xmp_packet("") + packet, xmp_packet("") + b"<!--" + packet):
        made = say_synthetic(source, "model")
        assert statements(made, "DigitalSourceType") == [NEW_SOURCE_TYPE]


def iptc_jpeg(folder: Path) -> Path:
    """A JPEG with a Photoshop block: a thumbnail resource, then IPTC with an odd length."""
    records = b"\x1c\x02\x78\x00\x07caption"
    thumbnail = b"8BIM\x04\x0c\x03abc" + struct.pack(">I", 5) + b"thumb\0"
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    block = b"Photoshop 3.0\0" + thumbnail + resource
    path = folder / "iptc.jpg"
    to_pil(smooth(8, 8, 1), "L").save(path)
    content = path.read_bytes()
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    path.write_bytes(content[:2] + segment + content[2:])
    return path


def test_iptc_travels_between_jpeg_and_tiff(tmp_path: Path) -> None:
    source = iptc_jpeg(tmp_path)
    for name in ("a.jpg", "b.tif", "c.tif", "d.jpg"):
        photo = read_photo(source)
        source = tmp_path / name
        write_photo(source, colored(photo), photo)
        with PIL.Image.open(source) as image:
            assert PIL.IptcImagePlugin.getiptcinfo(image) == {(2, 120): b"caption"}, name
    assert b"thumb" not in (tmp_path / "a.jpg").read_bytes()
    photo = read_photo(source)
    write_photo(tmp_path / "e.png", colored(photo), photo)  # has no place for it


def iptc(*records: tuple[int, int, str | bytes]) -> bytes:
    """IPTC-IIM records (part, number, value), as IIM 4.2, chapter 1.6 has them."""
    made = b""
    for part, number, value in records:
        data = value.encode() if isinstance(value, str) else value
        made += bytes([0x1C, part, number]) + len(data).to_bytes(2, "big") + data
    return made


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


ARTIST = PIL.Image.Exif()
ARTIST[PIL.ExifTags.Base.Artist] = "A. Painter"
ARTIST[PIL.ExifTags.Base.XResolution] = ARTIST[PIL.ExifTags.Base.YResolution] = 300
ARTIST[PIL.ExifTags.Base.ResolutionUnit] = 2
ARTIST_BLOCK = b"Exif\0\0" + ARTIST.tobytes().removeprefix(b"Exif\0\0")


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
    assert b"A. Painter" in photo.metadata["exif-data"]


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
    assert photo.notes == ('its text "Raw profile type exif" is damaged and left out',)
    assert "exif-data" not in photo.metadata


def test_iptc_in_the_photoshop_block_of_tiff_is_read(tmp_path: Path) -> None:
    block = photoshop_block(iptc((2, 120, "caption"))).removeprefix(b"Photoshop 3.0\0")
    gray = smooth(8, 8, 1)[..., 0]
    tags = [(34377, 1, len(block), block, True)]
    tifffile.imwrite(tmp_path / "a.tif", gray, photometric="minisblack", extratags=tags)
    photo = read_photo(tmp_path / "a.tif")
    write_photo(tmp_path / "b.jpg", colored(photo), photo)
    with PIL.Image.open(tmp_path / "b.jpg") as image:
        assert PIL.IptcImagePlugin.getiptcinfo(image) == {(2, 120): b"caption"}


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
    assert (told == []) == fits and all("its IPTC is larger than JPEG" in text for text in told)
    write_photo(tmp_path / "b.jpg", colored(photo), photo)
    assert (b"k" * 1000 in (tmp_path / "b.jpg").read_bytes()) == fits


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
    assert read_photo(tmp_path / "b.png").metadata["png-texts"]
    (told,) = losses(photo, tmp_path / "b.jpg")
    assert told.endswith("JPG has no place for its texts (Author, Comment, Title); PNG keeps them")


def test_texts_of_png_without_end_are_bounded(tmp_path: Path) -> None:
    chunks = [(b"tEXt", b"Comment\0" + b"a" * 400_000)] * 4
    photo = read_photo(png_with(tmp_path / "a.png", *chunks))
    (told,) = losses(photo, tmp_path / "b.png")
    assert "more than 1 MB of texts" in told
    write_photo(tmp_path / "b.png", colored(photo), photo)
    assert 800_000 < (tmp_path / "b.png").stat().st_size < 1_100_000


UTF_8 = (1, 90, b"\x1b%G")
RECORDS = (
    UTF_8,
    (2, 0, b"\0\4"),
    (2, 5, "The bridge"),
    (2, 25, "bridges"),
    (2, 25, "Łódź & <rivers>"),
    (2, 55, "19310506"),
    (2, 60, "070809+0200"),
    (2, 80, "Ansel Adams"),
    (2, 80, "his assistant"),
    (2, 90, "Prague"),
    (2, 101, "Czechoslovakia"),
    (2, 105, "Old town"),
    (2, 110, "City archive"),
    (2, 116, "© 1931"),
    (2, 120, "A caption,\r\nof two lines"),
)


def taken(packet: bytes) -> dict[str, list[str]]:
    """What a packet says by property, in a parser of its own: attributes, texts and lists."""
    root = ElementTree.fromstring(packet.decode().strip("\ufeff \n"))
    found: dict[str, list[str]] = {}
    for description in root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"):
        for name, value in description.attrib.items():
            found.setdefault(name.rpartition("}")[2], []).append(value)
        for element in description:
            items = [e.text or "" for e in element.iter() if e.tag.endswith("}li")]
            found.setdefault(element.tag.rpartition("}")[2], []).extend(
                items or [element.text or ""]
            )
    return found


@pytest.mark.parametrize("extension", [".png", ".webp", ".avif", ".heic"])
def test_what_iptc_says_goes_into_the_xmp_of_other_formats(tmp_path: Path, extension: str) -> None:
    path, target = tmp_path / "photo.tif", tmp_path / f"out{extension}"
    image = to_vips(smooth()).copy()
    image.set_type(pyvips.GValue.blob_type, "iptc-data", photoshop_block(iptc(*RECORDS)))
    image.jpegsave(str(path))
    photo = read_photo(path)
    assert losses(photo, target) == []
    write_photo(target, colored(photo), photo)
    if extension == ".heic":
        packet = pillow_heif.open_heif(target)[0].info["xmp"]
    else:
        packet = pyvips.Image.new_from_file(str(target)).get("xmp-data")
    said = taken(packet)
    assert said.pop("about") == ["", ""]
    assert said.pop("DigitalSourceType") == [NEW_SOURCE_TYPE]
    assert said.pop("AISystemUsed") == ["photochrom"]
    assert said == {
        "title": ["The bridge"],
        "subject": ["bridges", "Łódź & <rivers>"],
        "DateCreated": ["1931-05-06T07:08:09+02:00"],
        "creator": ["Ansel Adams", "his assistant"],
        "City": ["Prague"],
        "Country": ["Czechoslovakia"],
        "Headline": ["Old town"],
        "Credit": ["City archive"],
        "rights": ["© 1931"],
        "description": ["A caption,\nof two lines"],
    }


def test_what_the_xmp_of_the_source_says_itself_counts_before_its_iptc() -> None:
    packet = xmp_packet(
        '<rdf:Description rdf:about="uuid:7" xmlns:p="http://ns.adobe.com/photoshop/1.0/" '
        'p:City="Praha"><d:title xmlns:d="http://purl.org/dc/elements/1.1/"><rdf:Alt><rdf:li '
        'xml:lang="x-default">Most</rdf:li></rdf:Alt></d:title></rdf:Description>'
    )
    whole, lost = with_iptc(packet, iptc(*RECORDS))
    assert whole is not None and not lost
    said = taken(whole)
    assert said["City"] == ["Praha"] and said["title"] == ["Most"]
    assert said["Country"] == ["Czechoslovakia"] and said["about"] == ["uuid:7"] * 2
    assert statements(say_synthetic(whole, "m"), "DigitalSourceType") == [NEW_SOURCE_TYPE]
    assert with_iptc(whole, iptc(*RECORDS)) == (whole, [])


@pytest.mark.parametrize(
    ("date", "time", "wanted"),
    [
        ("19310506", None, "1931-05-06"),
        ("19310500", None, "1931-05"),
        ("19310000", "070809", "1931"),
        ("1931-05-06", "070809", "1931-05-06T07:08:09"),
    ],
)
def test_dates_become_those_of_xmp(date: str, time: str | None, wanted: str) -> None:
    packet, lost = with_iptc(None, iptc((2, 55, date), *([(2, 60, time)] if time else [])))
    assert packet is not None and taken(packet)["DateCreated"] == [wanted] and not lost


def test_iptc_in_latin_1_is_read() -> None:
    packet, _ = with_iptc(None, iptc((2, 80, "José".encode("latin-1"))))
    assert packet is not None and taken(packet)["creator"] == ["José"]


def test_records_without_a_place_in_xmp_are_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    image = to_vips(smooth()).copy()
    records = iptc((2, 120, "kept"), (2, 118, "the archive"), (2, 55, "long ago"), (7, 10, b"1"))
    image.set_type(pyvips.GValue.blob_type, "iptc-data", photoshop_block(records))
    image.jpegsave(str(path))
    photo = read_photo(path)
    (note,) = losses(photo, tmp_path / "out.png")
    assert note.startswith(f"{path}: PNG has no place for IPTC records, nor XMP for these: ")
    assert "2:118, date created, 7:10; " in note
    assert losses(photo, tmp_path / "out.tif") == losses(photo, tmp_path / "out.jpg") == []


@pytest.mark.parametrize("packet", [b"not xml", xmp_packet("<unclosed>"), b"\xff\xfe<\0"])
def test_beside_a_damaged_packet_iptc_is_named_as_lost(packet: bytes) -> None:
    assert with_iptc(packet, iptc((2, 105, "a"), (2, 118, "b"))) == (packet, ["headline", "2:118"])


@many
@given(st.binary(max_size=80), st.text(max_size=20))
def test_any_iptc_gives_well_formed_xmp(block: bytes, text: str) -> None:
    packet, _ = with_iptc(None, iptc((2, 120, text)) + b"\x1c\x02" + block)
    if packet is not None:
        taken(say_synthetic(packet, "m"))


def test_what_a_format_cannot_hold_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    deep = np.full((9, 9, 4), 40000, np.uint16)
    to_vips(deep).copy(interpretation="rgb16").pngsave(str(path))
    photo = read_photo(path)
    assert losses(photo, tmp_path / "b.png") == losses(photo, tmp_path / "b.tif") == []
    transparency, depth = losses(photo, tmp_path / "b.jpg")
    assert "JPG has no transparency" in transparency and "16 bits a channel become 8" in depth
    big = xmp_packet(f'<rdf:Description rdf:about="" xmlns:a="a" a:b="{"x" * 70_000}"/>')
    image = to_vips(smooth()).copy()
    image.set_type(pyvips.GValue.blob_type, "xmp-data", big)
    image.pngsave(str(path))
    (note,) = losses(read_photo(path), tmp_path / "b.jpg")
    assert "XMP is larger than JPEG can hold" in note
    assert losses(read_photo(path), tmp_path / "b.webp") == []


@many
@given(st.binary(max_size=80))
def test_damaged_iptc_is_left_out(block: bytes) -> None:
    for prefix in (b"", b"Photoshop 3.0\0", b"Photoshop 3.0\x008BIM\x04\x04"):
        assert isinstance(read_iptc(prefix + block), bytes)
    swapped = np.frombuffer(b"\x1c\x02\x78\x00\x03abc", np.uint32).byteswap().tobytes()
    assert read_iptc(swapped) == b"\x1c\x02\x78\x00\x03abc"


def test_the_description_of_a_tiff_travels(tmp_path: Path) -> None:
    path = tmp_path / "source.tif"
    to_pil(smooth(8, 8, 1), "L").save(path, description="Main street, 1911", dpi=(600, 600))
    photo = read_photo(path)
    write_photo(tmp_path / "out.tif", colored(photo), photo)
    with PIL.Image.open(tmp_path / "out.tif") as image:
        assert image.tag_v2[270] == "Main street, 1911"  # type: ignore[attr-defined]
        assert image.info["dpi"] == pytest.approx((600, 600), abs=0.1)


@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif"])
def test_a_jpeg_states_the_resolution_of_a_source_without_exif(
    tmp_path: Path, extension: str
) -> None:
    path = tmp_path / f"source{extension}"
    to_pil(smooth(8, 8, 1), "L").save(path, dpi=(600, 300))
    photo = read_photo(path)
    assert "exif-data" not in photo.metadata
    write_photo(tmp_path / "out.jpg", colored(photo), photo)
    with PIL.Image.open(tmp_path / "out.jpg") as image:
        found = image.getexif()
        assert (found[282], found[283]) == pytest.approx((600, 300), rel=1e-4)
        assert found[296] == 2 and image.info["dpi"][0] == pytest.approx(600, rel=1e-4)
    assert read_photo(tmp_path / "out.jpg").resolution == pytest.approx(photo.resolution, rel=1e-4)


def test_an_unknown_resolution_is_written_as_72_dpi_where_exif_wants_one(tmp_path: Path) -> None:
    write_photo(tmp_path / "out.jpg", smooth(), photo_of(smooth()))
    with PIL.Image.open(tmp_path / "out.jpg") as image:
        assert image.info["dpi"] == pytest.approx((72, 72), abs=0.1)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_profile_in_means_an_srgb_profile_out(tmp_path: Path, extension: str) -> None:
    path = tmp_path / "p3.png"
    to_pil(smooth(), "RGB").save(path, icc_profile=p3_profile())
    photo = read_photo(path)
    out = tmp_path / f"out{extension}"
    write_photo(out, photo.pixels, photo)
    with PIL.Image.open(out) as image:
        assert_srgb_profile(image.info["icc_profile"])
    again = read_photo(out)
    tolerance = 0 if extension in (".png", ".tif", ".tiff") else 16
    ours = to_uint8(photo.pixels).astype(int)
    assert np.abs(again.pixels.astype(int) - ours).max() <= tolerance


def test_a_gray_profile_does_not_end_up_on_color(tmp_path: Path) -> None:
    path = tmp_path / "gray.png"
    to_pil(smooth(8, 8, 1), "L").save(path, icc_profile=gray_profile(2.2))
    photo = read_photo(path)
    assert photo.pixels.shape == (8, 8, 1)
    write_photo(tmp_path / "out.png", colored(photo), photo)
    with PIL.Image.open(tmp_path / "out.png") as image:
        assert_srgb_profile(image.info["icc_profile"])


def test_a_pil_photo_is_written_upright_or_not_as_its_pixels_are(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    to_pil(smooth(24, 32, 1), "L").save(path, exif=exif_with(Orientation=6))
    with PIL.Image.open(path) as image:
        photo = open_photo(image)
    write_photo(tmp_path / "out.png", colored(photo), photo)
    assert (read_photo(tmp_path / "out.png").height, photo.height) == (24, 24)


# --- never half-written, never over an original ---------------------------------------------------


def test_an_existing_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")
    message = refusal(write_photo, path, smooth(), photo_of(smooth()))
    assert "exists; use --force" in message
    assert path.read_bytes() == b"precious"
    write_photo(path, smooth(), photo_of(smooth()), force=True)
    np.testing.assert_array_equal(read_photo(path).pixels, smooth())
    assert_only(tmp_path, "out.png")


def test_a_link_to_nowhere_counts_as_existing(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.symlink_to(tmp_path / "nowhere.png")
    assert "exists" in refusal(write_photo, path, smooth(), photo_of(smooth()))
    assert_only(tmp_path, "out.png")


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    for force in (False, True):
        message = refusal(
            write_photo, tmp_path / "out.png", smooth(), photo_of(smooth()), force=force
        )
        assert "folder" in message
    assert_only(tmp_path, "out.png")


def test_the_original_is_never_overwritten_by_whatever_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tmp_path / "photo.png"
    to_pil(smooth(), "RGB").save(original)
    content = original.read_bytes()
    (tmp_path / "symbolic.png").symlink_to(original)
    os.link(original, tmp_path / "hard.png")
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    photo = read_photo("photo.png")
    monkeypatch.chdir("/")
    names = ["photo.png", "symbolic.png", "hard.png", "folder/photo.png", "./folder/photo.png"]
    for name in names:
        for force in (False, True):
            message = refusal(write_photo, tmp_path / name, photo.pixels, photo, force=force)
            assert "an original is never overwritten" in message
    assert original.read_bytes() == content

    # Renamed in the meantime, or saved anew by an editor: still the original.
    original.rename(tmp_path / "renamed.png")
    refusal(write_photo, tmp_path / "renamed.png", photo.pixels, photo, force=True)
    original.write_bytes(b"saved anew")
    refusal(write_photo, original, photo.pixels, photo, force=True)
    assert original.read_bytes() == b"saved anew"
    assert_only(tmp_path, "folder", "hard.png", "photo.png", "renamed.png", "symbolic.png")


def test_a_missing_or_impossible_folder_is_refused(tmp_path: Path) -> None:
    photo = photo_of(smooth())
    message = refusal(write_photo, tmp_path / "absent" / "out.png", smooth(), photo)
    assert "folder does not exist" in message
    (tmp_path / "file").write_text("x")
    refusal(write_photo, tmp_path / "file" / "out.png", smooth(), photo)
    refusal(write_photo, f"{tmp_path}/a\0b.png", smooth(), photo)
    assert_only(tmp_path, "file")


@pytest.mark.skipif(IS_ROOT or os.name == "nt", reason="nothing is forbidden to this user")
def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    message = refusal(write_photo, folder / "out.png", smooth(), photo_of(smooth()))
    assert "may write" in message


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    paths = [tmp_path / f"out{extension}" for extension in EXTENSIONS]
    for path in paths:
        path.write_bytes(b"precious")
    code = (
        "import resource, sys, numpy as np\n"
        "from photochrom.errors import PhotoError\n"
        "from photochrom.photo.open import open_photo\n"
        "from photochrom.photo.write import write_photo\n"
        "a = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        write_photo(name, a, open_photo(a), force=True)\n"
        "    except PhotoError as error:\n"
        "        print(error)\n"
    )
    result = python(code, *paths)
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert len(lines) == len(paths)
    for path, line in zip(paths, lines, strict=True):
        assert line.startswith(f"{path}: cannot be written")
        assert path.read_bytes() == b"precious"
    assert_only(tmp_path, *(path.name for path in paths))


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_an_interrupt_at_any_step_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, force: bool
) -> None:
    path = tmp_path / "out.jpg"
    if force:
        path.write_bytes(b"precious")
    reached = []

    def interrupt(*arguments: Any, **options: Any) -> None:
        reached.append(step)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, step, interrupt)
    if (step, force) in (("link", True), ("replace", False)):  # not a step of this path
        write_photo(path, smooth(), photo_of(smooth()), force=force)
        assert not reached
        return
    with pytest.raises(KeyboardInterrupt):
        write_photo(path, smooth(), photo_of(smooth()), force=force)
    assert reached
    assert_only(tmp_path, *(["out.jpg"] if force else []))
    assert not force or path.read_bytes() == b"precious"


def no_links(*arguments: Any, **options: Any) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_without_hard_links_nothing_is_overwritten_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "out.png"
    write_photo(path, smooth(), photo_of(smooth()))
    np.testing.assert_array_equal(read_photo(path).pixels, smooth())
    assert_only(tmp_path, "out.png")

    # The name is taken while the photo is being encoded.
    rival = tmp_path / "rival.png"
    sync = os.fsync

    def taken(descriptor: int) -> None:
        sync(descriptor)
        rival.write_bytes(b"rival")

    monkeypatch.setattr(os, "fsync", taken)
    assert "exists" in refusal(write_photo, rival, smooth(), photo_of(smooth()))
    assert rival.read_bytes() == b"rival"

    # And if the last step fails, the name is free again.
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", no_links)
    refusal(write_photo, tmp_path / "other.png", smooth(), photo_of(smooth()))
    assert_only(tmp_path, "out.png", "rival.png")


@pytest.mark.parametrize("force", [False, True])
def test_a_draft_is_shown_when_it_is_complete_and_before_it_has_its_name(
    tmp_path: Path, force: bool
) -> None:
    path, draft = tmp_path / "out.png", tmp_path / "draft.png"
    seen = []

    def ready(name: str) -> None:
        assert name == str(draft)
        np.testing.assert_array_equal(read_photo(name).pixels, smooth())
        seen.append(draft.stat())
        assert_only(tmp_path, "draft.png")

    photo = photo_of(smooth())
    write_photo(path, smooth(), photo, force=force, draft=str(draft), ready=ready)
    assert_only(tmp_path, "out.png")
    was, now = seen[0], path.stat()
    assert (was.st_size, was.st_mtime_ns, was.st_ino) == (now.st_size, now.st_mtime_ns, now.st_ino)


def test_who_is_shown_a_draft_can_still_refuse_it(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")

    def refuse(name: str) -> None:
        raise OSError(28, "No space left on device")

    message = refusal(write_photo, path, smooth(), photo_of(smooth()), force=True, ready=refuse)
    assert "out.png: cannot be written: No space left" in message
    assert path.read_bytes() == b"precious"
    assert_only(tmp_path, "out.png")


@pytest.mark.parametrize("links", [True, False])
def test_of_many_writers_of_one_name_exactly_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "out.png"
    outcomes: list[int | str] = []
    barrier = threading.Barrier(8)

    def write(value: int) -> None:
        rgb = np.full((64, 64, 3), value, np.uint8)
        barrier.wait()
        try:
            write_photo(path, rgb, photo_of(rgb))
            outcomes.append(value)
        except PhotoError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=write, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(winners) == 1
    assert all("exists" in outcome for outcome in outcomes if isinstance(outcome, str))
    assert np.all(read_photo(path).pixels == winners[0])
    assert_only(tmp_path, "out.png")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_the_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    write_photo(tmp_path / "out.png", smooth(), photo_of(smooth()))
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ordinary", "out.png")]
    assert modes[0] == modes[1]


def test_many_reads_and_writes_leave_no_file_open(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("the open files of this process cannot be listed")
    path = tmp_path / "photo.jpg"
    to_pil(smooth(), "RGB").save(path)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(path.read_bytes()[:700])
    photo = read_photo(path)
    huge = tmp_path / "huge.png"
    huge.write_bytes(png_bytes(100_000, 100_000, 8, 0, b""))
    errors: list[PhotoError] = []
    before = len(os.listdir("/proc/self/fd"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for number in range(20):
            write_photo(tmp_path / f"{number}.png", photo.pixels, read_photo(path))
            errors += [refused(read_photo, path) for path in (bad, tmp_path, huge)]
            errors.append(refused(write_photo, path, photo.pixels, photo, force=True))
    # As a batch does, which reports all errors at its end: none of them may hold a file or pixels.
    assert len(errors) == 80
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("bits", [10, 12])
def test_a_deep_avif_stays_as_deep(tmp_path: Path, bits: int) -> None:
    y, x = np.mgrid[:64, :96]
    deep = ((x * 400 + y * 300) % 65536).astype(np.uint16)
    source = pyvips.Image.new_from_array(np.stack([deep] * 3, axis=-1), interpretation="rgb16")
    source.heifsave(str(tmp_path / "a.avif"), compression="av1", bitdepth=bits, lossless=True)
    photo = read_photo(tmp_path / "a.avif")
    assert photo.bits == bits
    write_photo(tmp_path / "b.avif", photo.pixels, photo)
    assert pyvips.Image.new_from_file(str(tmp_path / "b.avif")).get("bits-per-sample") == bits
    wrong = read_photo(tmp_path / "b.avif").pixels.astype(int) - photo.pixels
    assert np.abs(wrong).mean() < 400
