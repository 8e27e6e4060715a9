"""Photo files: read as other libraries read them, or refused with a way out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageOps
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from photochrom.errors import PhotoError
from photochrom.photo.formats.table import EXTENSIONS
from photochrom.photo.read import decode_photo, read_photo, read_pipe
from photochrom.photo.write import Output, write_photo
from tests.photo.material import (
    IS_ROOT,
    exif_with,
    noise,
    photo_of,
    python,
    refusal,
    smooth,
    to_pil,
    to_vips,
)

LOSSLESS = [".png", ".tif"]


LOSSY = [".jpg", ".webp", ".avif"]


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


def test_of_several_pages_or_frames_the_first_is_read(tmp_path: Path) -> None:
    pages = [smooth(6, 8, 3), noise(6, 8, 3)]
    tifffile.imwrite(tmp_path / "pages.tif", np.stack(pages), photometric="rgb")
    np.testing.assert_array_equal(read_photo(tmp_path / "pages.tif").pixels, pages[0])
    first, second = (to_pil(page, "RGB") for page in pages)
    animation = tmp_path / "animation.webp"
    first.save(animation, save_all=True, append_images=[second], lossless=True)
    np.testing.assert_array_equal(read_photo(animation).pixels, pages[0])


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


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    assert pyvips.cache_get_max() == 0
    path = tmp_path / "photo.png"
    for seed in range(3):
        samples = noise(16, 16 + seed, 3)[:, :16]
        to_pil(samples, "RGB").save(path, compress_level=0)
        os.utime(path, (0, 0))
        np.testing.assert_array_equal(read_photo(path).pixels, samples)


def test_missing_empty_and_foreign_files_are_refused(tmp_path: Path) -> None:
    for name, content in [("empty.jpg", b""), ("text.jpg", b"hello\n" * 20), ("tiny.png", b"\x89")]:
        (tmp_path / name).write_bytes(content)
        assert name in refusal(read_photo, tmp_path / name)
    assert "empty" in refusal(read_photo, tmp_path / "empty.jpg")
    assert "JPEG, PNG, TIFF, WebP, AVIF, HEIC, JPEG XL or JPEG 2000" in refusal(
        read_photo, tmp_path / "text.jpg"
    )
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
        of_stream = read_pipe(stream)
    np.testing.assert_array_equal(of_stream.pixels, of_file.pixels)
    jpegs = dict.fromkeys([".jpeg", ".jpe", ".jfif", ".jif"], ".jpg")
    expected = {**jpegs, ".tiff": ".tif"}.get(extension, extension)
    assert of_stream.extension == of_file.extension == expected
    assert of_stream.source is None


def test_a_stream_that_is_no_photo_is_refused_before_it_ends(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as stream:
        assert refusal(read_pipe, stream).startswith("stdin: the file is empty")
    with open("/dev/zero", "rb") as endless:
        assert "not a JPEG" in refusal(read_pipe, endless)


def test_the_file_behind_a_stream_is_an_original_too(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    write_photo(path, smooth(), photo_of(smooth()))
    with path.open("rb") as stream:
        photo = read_pipe(stream)
    assert "never overwritten" in refusal(
        write_photo, path, photo.pixels, photo, Output(force=True)
    )


@pytest.mark.parametrize(
    "save", ["png", "jpg", "progressive.jpg", "tif", "webp", "avif", "strip.tif"]
)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.slow
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


@pytest.mark.slow
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


def test_unsuitable_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    for dtype in (np.int8, np.int16, np.int32, np.uint32):
        tifffile.imwrite(path, np.ones((3, 4), dtype))
        assert "8 or 16 bits" in refusal(read_photo, path)
    tifffile.imwrite(path, np.ones((3, 4), np.float64))
    refusal(read_photo, path)
    to_vips(smooth()).colourspace("lab").tiffsave(str(path))
    assert "CIELab of floats" in refusal(read_photo, path)


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
        "from photochrom.photo.write import Output, write_photo\n"
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
