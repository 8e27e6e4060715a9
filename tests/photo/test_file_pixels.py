"""Huge photos: the pixels stay in the file, and every one is as it would be in memory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from photochrom import Colorizer, PhotoError
from photochrom.color.resize import AreaShrink, area_shrink
from photochrom.photo.file_pixels import FilePixels
from photochrom.photo.limits import ReadLimits
from photochrom.photo.photo import Photo
from photochrom.photo.read import decode_photo, read_photo, read_pipe

# Everything is huge, and a strip has only a few rows.
HUGE = ReadLimits(stream_pixels=0, cache_bytes=0, strip_pixels=5000)


EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 40)),
    st.tuples(st.integers(1, 70), st.integers(1, 50)),
    st.integers(1, 61),
    st.integers(0, 99),
)
def test_an_image_shrinks_by_strips_to_the_same_bits(
    shape: tuple[int, int], size: tuple[int, int], rows: int, seed: int
) -> None:
    image = np.random.default_rng(seed).uniform(0, 100, shape).astype(np.float32)
    shrink = AreaShrink(shape, size)
    for top in range(0, shape[0], rows):
        shrink.push(image[top : top + rows])
    np.testing.assert_array_equal(shrink.result(), area_shrink(image, size))


def variants() -> dict[str, Any]:
    with PIL.Image.open(EXAMPLES / "castle.jpg") as image:
        rgb = np.asarray(image.convert("RGB").resize((190, 143)))
    gray = np.asarray(PIL.Image.fromarray(rgb).convert("L"))
    deep = gray.astype(np.uint16) * 257 + (np.arange(190, dtype=np.uint16) % 256)
    alpha = np.linspace(0, 255, 143 * 190).reshape(143, 190, 1).astype(np.uint8)
    wide = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("LAB")).tobytes()
    gamma = bytes(pyvips.Image.profile_load("p3"))
    made: dict[str, Any] = {}

    def pil(name: str, pixels: np.ndarray, **options: Any) -> None:
        file = io.BytesIO()
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name.rpartition(".")[2].upper())
        PIL.Image.fromarray(pixels).save(file, kind, **options)
        made[name] = file.getvalue()

    def tiff(name: str, pixels: np.ndarray, **options: Any) -> None:
        file = io.BytesIO()
        tifffile.imwrite(file, pixels, **options)
        made[name] = file.getvalue()

    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    pil("gray.jpg", gray)
    pil("profile.jpg", rgb, icc_profile=gamma)
    pil("odd profile.jpg", rgb, icc_profile=wide)
    pil("progressive.jpg", rgb, progressive=True)
    pil("turned.jpg", rgb, exif=turned)
    pil("alpha.png", np.concatenate([rgb, alpha], axis=2))
    pil("lossless.webp", np.concatenate([rgb, alpha], axis=2), lossless=True)
    pil("photo.avif", rgb, quality=90)
    tiff("one strip.tif", deep, rowsperstrip=143, compression="zlib")
    tiff("tiles.tif", np.stack([deep, deep, deep // 2], axis=2), tile=(32, 48), photometric="rgb")
    tiff("planes.tif", rgb.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    apart: dict[str, Any] = {"planarconfig": "separate", "tile": (32, 48)}
    tiff("tiles of planes.tif", rgb.transpose(2, 0, 1), photometric="rgb", **apart)
    tiff("float.tif", (gray / 255).astype(np.float32), rowsperstrip=5)
    file = io.BytesIO()
    PIL.Image.fromarray(rgb).convert("CMYK").save(file, "TIFF")
    made["cmyk.tif"] = file.getvalue()
    return made


VARIANTS = variants()


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_a_streamed_photo_has_the_pixels_of_one_in_memory(
    colorizer: Colorizer, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(VARIANTS[name])
    streamed = colorizer.predict(read_photo(path, limits=HUGE))
    assert streamed.photo.streamed
    rgb = streamed.render()
    targets = [tmp_path / f"streamed{suffix}" for suffix in (".tif", ".png", ".jpg")]
    for target in targets:
        streamed.save(target)
    palette = streamed.palette(100, 60)

    held = colorizer.predict(path)
    assert not held.photo.streamed
    np.testing.assert_array_equal(streamed.logits, held.logits)
    np.testing.assert_array_equal(rgb, held.render())
    np.testing.assert_array_equal(streamed.photo.pixels, held.photo.pixels)
    assert [p for _, p in palette] == [p for _, p in held.palette(100, 60)]
    for target in targets:
        other = target.with_stem("held")
        held.save(other)
        ours, theirs = (pyvips.Image.new_from_file(str(p)) for p in (target, other))
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        fields = [field for field in theirs.get_fields() if field != "filename"]
        assert [ours.get(f) for f in fields] == [theirs.get(f) for f in fields]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["profile.jpg", "turned.jpg", "alpha.png", "tiles.tif"])
def test_a_file_of_moderate_size_is_decoded_once(
    colorizer: Colorizer, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(VARIANTS[name])
    decoded: list[str] = []

    def counting(limit: int) -> Photo:
        """A photo that counts the strips that are decoded."""
        photo = read_photo(path, limits=replace(HUGE, cache_bytes=limit))
        assert isinstance(photo.content, FilePixels)
        convert = photo.content.convert

        def counted(samples: np.ndarray) -> Any:
            decoded.append(name)
            return convert(samples)

        return replace(photo, content=replace(photo.content, convert=counted))

    def save(limit: int) -> int:
        """How many strips are decoded."""
        decoded.clear()
        prediction = colorizer.predict(counting(limit))
        prediction.save(tmp_path / f"{limit}.png")
        return len(decoded)

    deep = name in ("tiles.tif", "profile.jpg")
    size = 143 * 190 * (4 if name == "alpha.png" else 3) * (2 if deep else 1)
    twice, once = save(size - 1), save(size)
    assert twice == 2 * once > 2
    pictures = [pyvips.Image.new_from_file(str(tmp_path / f"{n}.png")) for n in (size - 1, size)]
    np.testing.assert_array_equal(*(picture.numpy() for picture in pictures))
    if name != "alpha.png":  # and not once more to find that there is no alpha
        decoded.clear()
        assert counting(0).alpha is None
        assert not decoded


@pytest.mark.slow
def test_bytes_and_streams_are_streamed_as_well(colorizer: Colorizer, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(VARIANTS["gray.jpg"])
    wanted = colorizer.predict(path).render()
    photo = decode_photo(VARIANTS["gray.jpg"], limits=HUGE)
    assert photo.streamed
    np.testing.assert_array_equal(colorizer.predict(photo).render(), wanted)
    with path.open("rb") as stream:
        photo = read_pipe(stream, limits=HUGE)
    assert photo.streamed
    prediction = colorizer.predict(photo)
    for _ in range(2):
        np.testing.assert_array_equal(prediction.render(), wanted)


@pytest.mark.parametrize("change", ["written", "replaced", "removed"])
def test_a_file_that_has_changed_meanwhile_is_not_rendered(
    colorizer: Colorizer, tmp_path: Path, change: str
) -> None:
    path, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    path.write_bytes(VARIANTS["gray.jpg"])
    prediction = colorizer.predict(read_photo(path, limits=HUGE))
    prediction.save(target)
    if change == "written":
        path.write_bytes(VARIANTS["profile.jpg"])
    else:
        path.unlink()
    if change == "replaced":
        path.write_bytes(VARIANTS["gray.jpg"])
        os.utime(path, ns=(0, 0))
    before = target.read_bytes()
    with pytest.raises(PhotoError, match=r"a\.jpg: (has changed|no such file)"):
        prediction.save(target, force=True)
    assert target.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p != path) == ["b.jpg"]


@pytest.mark.parametrize("name", ["gray.jpg", "alpha.png", "tiles.tif", "one strip.tif"])
def test_a_huge_file_that_breaks_off_is_refused(
    colorizer: Colorizer, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(VARIANTS[name][: len(VARIANTS[name]) * 2 // 3])
    with pytest.raises(PhotoError, match=f"{name}: .*; "):
        colorizer.predict(read_photo(path, limits=HUGE))


def test_floats_out_of_range_are_found_wherever_they_are(
    colorizer: Colorizer, tmp_path: Path
) -> None:
    pixels = np.full((143, 190), 0.5, np.float32)
    pixels[140, 3] = 1.5
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(PhotoError, match=r"a\.tif: .* must be from 0 to 1"):
        colorizer.predict(read_photo(tmp_path / "a.tif", limits=HUGE))


@pytest.mark.slow
def test_a_huge_photo_is_never_whole_in_memory(colorizer: Colorizer, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pyvips.Image.black(5000, 4000).cast("ushort").copy(interpretation="grey16").pngsave(
        str(path), compression=1
    )
    tracemalloc.start()
    prediction = colorizer.predict(path)
    prediction.save(tmp_path / "b.png")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert prediction.photo.streamed
    assert peak < 80e6  # its colors alone are 120 MB
    assert read_photo(tmp_path / "b.png").samples == np.uint16


@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal")
def test_ctrl_c_amid_a_huge_photo_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, photochrom.render as s\n"
        "from photochrom import Colorizer\n"
        "from photochrom.photo.limits import ReadLimits\n"
        "from photochrom.photo.read import read_photo\n"
        "photo = read_photo(sys.argv[1], limits=ReadLimits(stream_pixels=0))\n"
        "p = Colorizer(threads=1).predict(photo)\n"
        "rows_L = s.rows_L\n"
        "def first(pixels):\n"
        "    s.rows_L = rows_L\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return rows_L(pixels)\n"
        "s.rows_L = first\n"
        "try:\n"
        "    p.save(sys.argv[2])\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    path = tmp_path / "a.png"
    pyvips.Image.black(2000, 2000).pngsave(str(path))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(path), str(tmp_path / "b.png")],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
    assert list(tmp_path.iterdir()) == [path]
