"""Huge photos: the pixels stay in the file, and every one is as it would be in memory."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
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
from photochrom.photo import read as read_module
from photochrom.photo import streamed as streamed_module
from photochrom.photo import strips as strips_module
from photochrom.photo.read import _converted, decode_photo, read_photo, read_stream
from photochrom.photo.strips import StripSource, strip_rows

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    return Colorizer(threads=2)


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is huge, and a strip has but a few rows."""
    monkeypatch.setattr(streamed_module, "STREAM_PIXELS", 0)
    monkeypatch.setattr(streamed_module, "KEPT_BYTES", 0)
    monkeypatch.setattr(strips_module, "_STRIP", 5000)


# --- the parts ---


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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("height", [1, 7, 50])
def test_libvips_sees_the_strips_as_one_image(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, channels: int, height: int
) -> None:
    monkeypatch.setattr(strips_module, "_STRIP", 300)
    whole = np.random.default_rng(0).uniform(0, 200, (height, 41, channels)).astype(dtype)
    rows = strip_rows(41)
    strips = (whole[top : top + rows] for top in range(0, height, rows))
    with StripSource(strips, whole.shape, whole.dtype) as source:
        image = source.image()
        seen: list[np.ndarray] = []
        source.run(lambda: seen.append(image.numpy()))
    np.testing.assert_array_equal(seen[0], whole)


def test_an_error_amid_the_strips_comes_out_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips_module, "_STRIP", 300)

    def broken() -> Any:
        yield np.zeros((7, 41, 3), np.uint8)
        raise PhotoError("a.tif: broke off")

    with (
        StripSource(broken(), (50, 41, 3), np.dtype(np.uint8)) as source,
        pytest.raises(PhotoError, match=r"^a\.tif: broke off$"),
    ):
        source.run(source.image().pngsave_buffer)


# --- the same pixels ---


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


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize("name", VARIANTS)
def test_a_streamed_photo_has_the_pixels_of_one_in_memory(
    colorizer: Colorizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(VARIANTS[name])
    streamed = colorizer.predict(path)
    assert streamed.photo.streamed
    rgb = streamed.render()
    targets = [tmp_path / f"streamed{suffix}" for suffix in (".tif", ".png", ".jpg")]
    for target in targets:
        streamed.save(target)
    palette = streamed.palette(100, 60)

    monkeypatch.setattr(streamed_module, "STREAM_PIXELS", 10**9)
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


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize("name", ["profile.jpg", "turned.jpg", "alpha.png", "tiles.tif"])
def test_a_file_of_moderate_size_is_decoded_once(
    colorizer: Colorizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(VARIANTS[name])
    decoded: list[str] = []
    convert = _converted

    def counted(samples: np.ndarray, **known: Any) -> Any:
        decoded.append(name)
        return convert(samples, **known)

    monkeypatch.setattr(read_module, "_converted", counted)

    def save(limit: int) -> int:
        """How many strips are decoded."""
        monkeypatch.setattr(streamed_module, "KEPT_BYTES", limit)
        decoded.clear()
        prediction = colorizer.predict(path)
        assert prediction.photo.streamed
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
        monkeypatch.setattr(streamed_module, "KEPT_BYTES", 0)
        assert read_photo(path).alpha is None
        assert not decoded


@pytest.mark.usefixtures("small_strips")
def test_bytes_and_streams_are_streamed_as_well(colorizer: Colorizer, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(VARIANTS["gray.jpg"])
    wanted = colorizer.predict(path).render()
    np.testing.assert_array_equal(
        colorizer.predict(decode_photo(VARIANTS["gray.jpg"])).render(), wanted
    )
    with path.open("rb") as stream:
        photo = read_stream(stream)
    assert photo.streamed
    prediction = colorizer.predict(photo)
    for _ in range(2):
        np.testing.assert_array_equal(prediction.render(), wanted)


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize("change", ["written", "replaced", "removed"])
def test_a_file_that_has_changed_meanwhile_is_not_rendered(
    colorizer: Colorizer, tmp_path: Path, change: str
) -> None:
    path, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    path.write_bytes(VARIANTS["gray.jpg"])
    prediction = colorizer.predict(path)
    prediction.save(target)
    if change == "written":
        path.write_bytes(VARIANTS["profile.jpg"])
    else:
        path.unlink()
    if change == "replaced":
        path.write_bytes(VARIANTS["gray.jpg"])
        os.utime(path, ns=(0, 0))
    before = target.read_bytes()
    with pytest.raises(PhotoError, match=r"a\.jpg: (was changed|no such file)"):
        prediction.save(target, force=True)
    assert target.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p != path) == ["b.jpg"]


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize("name", ["gray.jpg", "alpha.png", "tiles.tif", "one strip.tif"])
def test_a_huge_file_that_breaks_off_is_refused(
    colorizer: Colorizer, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(VARIANTS[name][: len(VARIANTS[name]) * 2 // 3])
    with pytest.raises(PhotoError, match=f"{name}: .*; "):
        colorizer.predict(path)


@pytest.mark.usefixtures("small_strips")
def test_floats_out_of_range_are_found_wherever_they_are(
    colorizer: Colorizer, tmp_path: Path
) -> None:
    pixels = np.full((143, 190), 0.5, np.float32)
    pixels[140, 3] = 1.5
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(PhotoError, match=r"a\.tif: .* in 0\.\.1"):
        colorizer.predict(tmp_path / "a.tif")


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
        "import os, signal, sys, photochrom.photo.streamed as r, photochrom.prediction as s\n"
        "from photochrom import Colorizer\n"
        "r.STREAM_PIXELS = 0\n"
        "p = Colorizer(threads=1).predict(sys.argv[1])\n"
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


def test_a_failure_that_the_saver_does_not_notice_is_raised() -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.zeros((strip_rows(64), 64, 3), np.uint8)
        raise KeyError("strip")

    shape = (2 * strip_rows(64), 64, 3)
    with StripSource(broken(), shape, np.dtype(np.uint8)) as source:
        image = source.image()

        def save() -> None:
            with contextlib.suppress(pyvips.Error):
                image.avg()

        with pytest.raises(KeyError, match="strip"):
            source.run(save)
