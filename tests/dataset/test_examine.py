"""Each photo looked at: what is dropped, how it is stored, and which are alike."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from photochrom.color.lab import is_gray, rgb_to_lab
from photochrom.dataset import examine as module
from photochrom.dataset.decode import decode
from photochrom.dataset.examine import difference_hash, find_duplicates, is_toned
from tests.dataset.photos import RGB, TINTS, bundled, field, fields, run, stored

pytestmark = pytest.mark.slow


PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


def small(name: str) -> RGB:
    image = bundled(name)
    image.thumbnail((192, 192))
    return np.asarray(image)


# --- what is dropped ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PHOTOS)
def test_color_photos_are_neither_gray_nor_toned(name: str) -> None:
    lab = rgb_to_lab(small(name))
    assert not is_gray(lab)
    assert not is_toned(lab)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("tint", TINTS)
def test_tints_of_photos_are_toned(name: str, tint: str) -> None:
    assert is_toned(rgb_to_lab(TINTS[tint](small(name))))


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("tint", TINTS)
def test_tints_of_jpegs_are_toned(name: str, tint: str) -> None:
    file = io.BytesIO()
    Image.fromarray(TINTS[tint](np.asarray(bundled(name)))).save(file, "JPEG", quality=80)
    outcome = module.examine(file.getvalue(), module.Settings(128, 1.5, 50, 100, 0))
    assert outcome.kind == "toned"


def test_a_small_colored_thing_saves_a_gray_scene() -> None:
    rgb = TINTS["selenium"](small("coffee.png")).copy()
    assert is_toned(rgb_to_lab(rgb))
    rgb[40:64, 50:74] = small("astronaut.png")[150:174, 50:74]  # 2.3 %: cloth, bright orange
    assert not is_toned(rgb_to_lab(rgb))


def test_a_cloudless_sky_is_not_toned() -> None:
    # From the zenith down it grows paler; a lens darkens the corners.
    sky = np.repeat(np.linspace((110, 160, 220), (150, 190, 235), 128)[:, None], 192, axis=1)
    y, x = np.mgrid[-1:1:128j, -1.5:1.5:192j]
    lab = rgb_to_lab((sky * (1 - 0.05 * (x**2 + y**2))[..., None]).round().astype(np.uint8))
    assert np.ptp(np.percentile(lab[..., 0], (2, 98))) < 25
    assert not is_toned(lab)


def test_a_toned_photo_of_little_contrast_is_toned() -> None:
    pale = TINTS["sepia"](small("chelsea.png"))[60:100, 60:100] // 3 + 140
    lab = rgb_to_lab(pale)
    assert np.ptp(np.percentile(lab[..., 0], (2, 98))) < 25
    assert is_toned(lab)


def test_gray_ends_where_the_paper_says() -> None:
    lab = np.zeros((4, 4, 3), dtype=np.float32)
    lab[1, 2, 2] = -5.0
    assert is_gray(lab)
    lab[1, 2, 2] = -5.01
    assert not is_gray(lab)


# --- resizing -------------------------------------------------------------------------------------


def only(tmp_path: Path, name: str, data: bytes, **options: object) -> RGB:
    """The stored pixels of a collection of one photo."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(data)
    run(tmp_path / "in", tmp_path / "out", quality=100, **options)
    (rgb,) = stored(tmp_path / "out").values()
    return rgb


def png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        ((300, 300), {}, (128, 128)),
        ((300, 400), {}, (128, 171)),
        ((300, 2000), {}, (128, 192)),
        ((2000, 300), {}, (192, 128)),
        ((2000, 300), {"max_aspect": 1.25, "short_side": 64}, (80, 64)),
        ((129, 500), {}, (128, 192)),
        ((128, 192), {}, (128, 192)),
        ((80, 100), {}, (80, 100)),  # never larger
        ((64, 200), {}, (64, 96)),  # but cropped
        ((40, 50), {"short_side": 40}, (40, 50)),  # small ones count where small is asked for
        ((301, 299), {"max_aspect": 1.0}, (128, 128)),
    ],
)
def test_sizes(
    tmp_path: Path, size: tuple[int, int], options: dict[str, int], expected: tuple[int, int]
) -> None:
    assert only(tmp_path, "a.png", png(field(1, size)), **options).shape[:2] == expected


def test_the_crop_is_about_the_center(tmp_path: Path) -> None:
    wide = Image.new("RGB", (1280, 256), (250, 250, 250))
    wide.paste(field(3, (256, 384)), (448, 0))  # right in the middle, and all that is kept
    rgb = only(tmp_path, "a.png", png(wide))
    plain = np.asarray(field(3, (256, 384)).resize((192, 128), Image.Resampling.HAMMING))
    assert np.abs(rgb.astype(int) - plain).mean() < 3
    assert np.abs(rgb[:, [0, -1]].astype(int) - plain[:, [0, -1]]).mean() < 12


def test_a_photo_on_its_side_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # show turned by 90 degrees clockwise
    image = field(4, (400, 600))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, exif=exif)
    rgb = only(tmp_path, "a.jpg", file.getvalue())
    assert rgb.shape == (192, 128, 3)
    plain = np.asarray(image.resize((192, 128), Image.Resampling.HAMMING))
    assert np.abs(np.rot90(plain, -1).astype(int) - rgb).mean() < 4


def test_a_large_jpeg_is_read_at_a_fraction_and_looks_the_same(tmp_path: Path) -> None:
    image = bundled("astronaut.png").resize((1600, 1600), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    rgb = only(tmp_path, "a.jpg", file.getvalue())
    plain = np.asarray(image.resize((128, 128), Image.Resampling.HAMMING)).astype(int)
    assert np.abs(rgb - plain).mean() < 4
    assert abs((rgb - plain).mean()) < 1


def test_colors_are_brought_to_srgb(tmp_path: Path) -> None:
    # An sRGB profile with the primaries of red and green exchanged: what it calls red is green.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"-XYZ").replace(b"gXYZ", b"rXYZ").replace(b"-XYZ", b"gXYZ")
    assert swapped != profile
    image = field(5)
    rgb = only(tmp_path, "a.png", png(image, icc_profile=swapped))
    expected = np.asarray(image.resize((160, 128), Image.Resampling.HAMMING)).astype(int)
    assert np.abs(rgb[..., [1, 0, 2]] - expected).mean() < 4
    assert np.abs(rgb - expected).mean() > 20


def test_a_broken_profile_does_not_lose_the_photo(tmp_path: Path) -> None:
    rgb = only(tmp_path, "a.png", png(field(6), icc_profile=b"broken" * 40))
    expected = np.asarray(field(6).resize((160, 128), Image.Resampling.HAMMING)).astype(int)
    assert np.abs(rgb - expected).mean() < 4


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    image = field(7, (128, 128)).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 128, 40))
    rgb = only(tmp_path, "a.png", png(image))
    assert rgb[:30].min() > 240


def test_a_cmyk_photo_is_read(tmp_path: Path) -> None:
    file = io.BytesIO()
    field(8, (128, 128)).convert("CMYK").save(file, "JPEG", quality=95)
    rgb = only(tmp_path, "a.jpg", file.getvalue())
    assert np.abs(rgb - np.asarray(field(8, (128, 128))).astype(int)).mean() < 8


# --- duplicates -----------------------------------------------------------------------------------


Hashes = tuple[int, int]


def distance(a: Hashes, b: Hashes) -> tuple[int, int]:
    return (a[0] ^ b[0]).bit_count(), (a[1] ^ b[1]).bit_count()


def same(a: Hashes, b: Hashes) -> bool:
    across, down = distance(a, b)
    return across <= 3 and down <= 8


@pytest.mark.parametrize("name", PHOTOS)
def test_the_hash_survives_scale_and_compression(name: str) -> None:
    plain = difference_hash(small(name))
    file = io.BytesIO()
    bundled(name).resize((150, 130)).save(file, "JPEG", quality=40)
    assert same(plain, difference_hash(decode(file.getvalue())))
    assert all(0 <= value < 2**64 for value in plain)


def test_the_hashes_of_different_photos_are_far_apart() -> None:
    hashes = [difference_hash(small(name)) for name in PHOTOS]
    pairs = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(min(pair) for pair in pairs) > 10


def test_the_hash_bit_by_bit() -> None:
    rising = np.repeat(np.arange(9, dtype=np.uint8)[None] * 20, 72, axis=0)
    rising[27:] = rising[27:, ::-1]  # the lower five eighths fall
    rgb = np.repeat(np.stack([rising] * 3, axis=-1), 8, axis=1)
    across, down = difference_hash(rgb)
    assert across == 0xFFFFFF0000000000
    # The fourth of nine rows is half of each: twice the left half brightens, and the right darkens.
    assert down == 0x0000F0F000000000


def first_by_brute_force(hashes: list[Hashes | None]) -> dict[int, int]:
    kept: dict[int, Hashes] = {}
    found = {}
    for i, pair in enumerate(hashes):
        if pair is None:
            continue
        near = [k for k, other in kept.items() if same(other, pair)]
        if near:
            found[i] = near[0]
        else:
            kept[i] = pair
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 6), st.integers(0, 14))
def test_banding_finds_what_comparing_all_finds(seed: int, across: int, down: int) -> None:
    rng = np.random.default_rng(seed)
    centers = [tuple(map(int, rng.integers(0, 2**64, 2, dtype=np.uint64))) for _ in range(8)]

    def flipped(value: int, most: int) -> int:
        for bit in rng.integers(0, 64, rng.integers(0, most + 1)):
            value ^= 1 << int(bit)
        return value

    hashes: list[Hashes | None] = []
    for _ in range(80):
        first, second = centers[rng.integers(8)]
        pair = flipped(first, across), flipped(second, down)
        hashes.append(None if rng.random() < 0.1 else pair)
    assert find_duplicates(hashes) == first_by_brute_force(hashes)


def test_photos_alike_in_one_direction_only_are_both_kept(tmp_path: Path) -> None:
    # Two plain skies, one above a dark, one below a bright foreground; left to right nothing rises.
    shade = np.linspace(1, 0.7, 160)[None, :, None]
    colors = [((90, 140, 230), (60, 80, 30)), ((90, 140, 230), (240, 220, 140))]
    (tmp_path / "in").mkdir()
    photos = []
    for number, (top, bottom) in enumerate(colors):
        rgb = np.linspace(top, bottom, 160)[:, None] * shade
        photos.append(rgb.round().astype(np.uint8))
        Image.fromarray(photos[-1]).save(tmp_path / f"in/{number}.png")
    across, down = distance(*map(difference_hash, photos))
    assert across <= 3
    assert down > 8
    assert run(tmp_path / "in", tmp_path / "out").kept == 2


def test_duplicates_are_found_across_inputs(tmp_path: Path) -> None:
    first, second = fields(tmp_path / "a", 4), fields(tmp_path / "b", 6)
    report = run([first, second], tmp_path / "out")
    assert (report.kept, report.dropped["duplicate"]) == (6, 4)
    lines = [json.loads(x) for x in (tmp_path / "out/dropped.jsonl").read_text().splitlines()]
    assert [Path(line["photo"]).parent.name for line in lines] == ["b"] * 4
