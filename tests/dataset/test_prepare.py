"""Preparing photos: what is kept, what is dropped, the same bytes whatever happens meanwhile."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from filelock import lock_descriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from photochrom.color import bins
from photochrom.color.lab import is_gray, rgb_to_lab
from photochrom.dataset import examine as module
from photochrom.dataset.decode import decode
from photochrom.dataset.examine import Settings, difference_hash, find_duplicates, is_toned
from photochrom.dataset.prepare import PrepareReport, prepare
from photochrom.dataset.store import PhotoStore, write_shard
from photochrom.errors import ConfigError, DataError
from photochrom.naming import subject_of

pytestmark = pytest.mark.slow

RGB = NDArray[np.uint8]
BUNDLED = Path(skimage.data.__file__).parent
PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


def bundled(name: str) -> Image.Image:
    with Image.open(BUNDLED / name) as image:
        return image.convert("RGB")


def small(name: str) -> RGB:
    image = bundled(name)
    image.thumbnail((192, 192))
    return np.asarray(image)


def field(seed: int, size: tuple[int, int] = (160, 200)) -> Image.Image:
    """A picture of smooth random colors, of its own hash for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)


def fields(folder: Path, count: int, size: tuple[int, int] = (160, 200)) -> Path:
    folder.mkdir()
    for seed in range(count):
        field(seed, size).save(folder / f"{seed:03d}.png", compress_level=1)
    return folder


def ramp(*stops: tuple[int, int, int]) -> Callable[[RGB], RGB]:
    """Print a photo in inks: black, middle, white of its gray become these colors."""

    def tint(rgb: RGB) -> RGB:
        gray = np.asarray(Image.fromarray(rgb).convert("L"), dtype=np.float64) / 255
        at = np.linspace(0, 1, len(stops))
        inks = [np.interp(gray, at, [stop[c] for stop in stops]) for c in range(3)]
        return np.stack(inks, axis=-1).round().astype(np.uint8)

    return tint


TINTS = {
    "sepia": ramp((20, 12, 8), (130, 105, 85), (245, 235, 215)),
    "strong sepia": ramp((10, 5, 0), (160, 110, 60), (255, 240, 200)),
    "cyanotype": ramp((5, 20, 60), (40, 100, 160), (235, 245, 250)),
    "duotone": ramp((20, 10, 70), (150, 60, 110), (250, 210, 90)),
    "selenium": ramp((15, 5, 10), (125, 110, 115), (240, 235, 235)),
}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stored(output: Path) -> dict[str, RGB]:
    store = PhotoStore([output])
    return {store.key(i): decode(store.read(i)) for i in range(len(store))}


def run(photos: Path | list[Path], output: Path, **options: object) -> PrepareReport:
    photos = photos if isinstance(photos, list) else [photos]
    own = {"workers": options.pop("workers", 1), "force": options.pop("force", False)}
    return prepare(photos, output, Settings(**options), progress=False, **own)  # type: ignore[arg-type]


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


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a known number of photos of each kind."""
    root = tmp_path_factory.mktemp("collection")
    for name in ("People", "animals & pets", "old", "broken"):
        (root / name).mkdir()
    bundled("astronaut.png").save(root / "People/eileen.jpg", quality=90)
    bundled("chelsea.png").save(root / "animals & pets/chelsea.png")
    bundled("coffee.png").save(root / "coffee.webp")
    bundled("rocket.jpg").save(root / "rocket.tif")
    # Duplicates: made smaller and compressed again; brighter; the same file elsewhere.
    bundled("astronaut.png").resize((300, 300)).save(root / "old/again.jpg", quality=60)
    bundled("chelsea.png").point([min(255, v + 12) for v in range(256)] * 3).save(
        root / "old/bright.bmp"
    )
    shutil.copy(root / "coffee.webp", root / "old/coffee.webp")
    # Gray: without color, with 16 bit, and in RGB with a hint of color below 5.
    gray = bundled("coffee.png").convert("L")
    gray.save(root / "old/gray.jpg")
    Image.fromarray(np.asarray(gray).astype(np.uint16) * 257).save(root / "old/gray16.png")
    warm = np.asarray(gray.convert("RGB")) + np.array([3, 0, -2])
    Image.fromarray(warm.clip(0, 255).astype(np.uint8)).save(root / "old/warm.png")
    for tint, name in (("sepia", "astronaut.png"), ("cyanotype", "motorcycle_left.png")):
        toned = Image.fromarray(TINTS[tint](np.asarray(bundled(name))))
        toned.save(root / f"old/{tint}.jpg", quality=90)
    (root / "broken/text.jpg").write_text("no photo")
    (root / "broken/empty.png").write_bytes(b"")
    whole = (root / "People/eileen.jpg").read_bytes()
    (root / "broken/half.jpg").write_bytes(whole[: len(whole) // 2])
    bundled("rocket.jpg").resize((300, 63)).save(root / "broken/thin.png")
    (root / "broken/notes.txt").write_text("not even looked at")
    return root


@pytest.fixture(scope="module")
def prepared(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("prepared") / "shards"
    run(collection, output, shard_size=3)
    return output


KEPT = {"people": 1, "animals-pets": 1, "photo": 2}


def test_each_kind_is_counted(collection: Path, prepared: Path) -> None:
    report = json.loads((prepared / "report.json").read_bytes())
    assert report["found"] == 16
    assert report["kept"] == 4
    assert report["dropped"] == {
        "unreadable": 3,
        "too_small": 1,
        "gray": 3,
        "toned": 2,
        "duplicate": 3,
    }
    assert report["subjects"] == KEPT
    assert report["shards"] == 2
    assert report["settings"]["short_side"] == 128
    lines = [json.loads(line) for line in (prepared / "dropped.jsonl").read_text().splitlines()]
    dropped = {Path(line["photo"]).relative_to(collection).as_posix(): line for line in lines}
    assert {name: line["kind"] for name, line in dropped.items()} == {
        "broken/empty.png": "unreadable",
        "broken/half.jpg": "unreadable",
        "broken/text.jpg": "unreadable",
        "broken/thin.png": "too_small",
        "old/again.jpg": "duplicate",
        "old/bright.bmp": "duplicate",
        "old/coffee.webp": "duplicate",
        "old/cyanotype.jpg": "toned",
        "old/gray.jpg": "gray",
        "old/gray16.png": "gray",
        "old/sepia.jpg": "toned",
        "old/warm.png": "gray",
    }
    assert dropped["old/again.jpg"]["reason"] == f"the same as {collection}/People/eileen.jpg"
    assert dropped["broken/thin.png"]["reason"] == "300 x 63: a side is below 64 pixels"
    assert " at 0x" not in (prepared / "dropped.jsonl").read_text()


def test_the_shards_are_webdataset_tars_of_small_webps(prepared: Path) -> None:
    assert [p.name for p in sorted(prepared.iterdir())] == [
        "dropped.jsonl",
        "prior.npy",
        "report.json",
        "shard-00000.tar",
        "shard-00001.tar",
    ]
    names = []
    for shard in sorted(prepared.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                with Image.open(file) as image:
                    assert image.format == "WEBP"
                    assert min(image.size) == 128
                    assert max(image.size) <= 192
                    assert not {"exif", "icc_profile", "xmp"} & image.info.keys()
                names.append(member.name)
    assert [name[:7] for name in names] == [f"{i:06d}-" for i in range(4)]
    assert Counter(name[7:].removesuffix(".webp") for name in names) == KEPT


def test_the_stored_photo_is_the_photo(prepared: Path) -> None:
    (key,) = (key for key in stored(prepared) if "people" in key)
    rgb = stored(prepared)[key]
    ours = rgb_to_lab(rgb)
    theirs = rgb_to_lab(
        np.asarray(bundled("astronaut.png").resize((128, 128), Image.Resampling.BOX))
    )
    assert np.abs(ours - theirs).mean() < 3  # WebP of quality 50; another photo is off by 20
    assert np.abs(ours[::-1] - theirs).mean() > 15


def test_the_prior_is_that_of_the_stored_photos(prepared: Path) -> None:
    prior = np.load(prepared / "prior.npy")
    assert prior.dtype == np.float32
    assert prior.shape == (313,)
    photos = [rgb_to_lab(rgb)[..., 1:] for rgb in stored(prepared).values()]
    np.testing.assert_allclose(prior, bins.prior_of(np.floor(ab) + 0.5 for ab in photos), atol=1e-6)
    np.testing.assert_allclose(prior, bins.prior_of(photos), atol=2e-3)  # of ab itself
    bins.rebalancing_weights(prior)  # refuses what is no distribution


def test_the_summary_says_it_all(collection: Path, prepared: Path) -> None:
    report = run(collection, prepared, shard_size=3)
    assert report.reused
    assert report.summary().splitlines() == [
        f"{prepared}: 4 of 16 photos in 2 shards (was ready)",
        "  dropped: 3 unreadable, 1 too small, 3 gray, 2 toned, 3 duplicate; see dropped.jsonl",
        "  subjects: photo 2, animals-pets 1, people 1",
    ]


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


# --- subjects and shards as input -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "in_shard", "subject"),
    [
        ("cats/deep/1", False, "cats"),
        ("1", False, "photo"),
        ("2024-05-01 beach", False, "photo"),
        ("000012-cats", True, "cats"),
        ("000012-objects-n02102040", True, "objects-n02102040"),
        ("000012", True, "photo"),
        ("dogs/000012-cats", True, "dogs"),
        ("My Holiday: (best) v1.2/1", False, "my-holiday-best-v1-2"),
        ("Été/1", False, "été"),
        ("E\u0301te\u0301/1", False, "été"),
        ("../1", True, "photo"),
        ("/etc/1", True, "photo"),
        ("x" * 300 + "/1", False, "x" * 48),
    ],
)
def test_subjects(key: str, in_shard: bool, subject: str) -> None:
    assert subject_of(key, in_shard) == subject


def test_preparing_shards_again_keeps_the_very_bytes(tmp_path: Path) -> None:
    run(fields(tmp_path / "in", 6), tmp_path / "one")
    once = PhotoStore([tmp_path / "one"])
    packed = tmp_path / "packed.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        for i in range(len(once)):
            member = tarfile.TarInfo(f"{i:06d}-fields-n{i}.webp")
            member.size = once.size(i)
            tar.addfile(member, io.BytesIO(once.read(i)))
    run(packed, tmp_path / "two", seed=5)
    twice = PhotoStore([tmp_path / "two"])
    assert {once.read(i) for i in range(6)} == {twice.read(i) for i in range(6)}
    assert {twice.key(i)[7:] for i in range(6)} == {f"fields-n{i}" for i in range(6)}
    np.testing.assert_allclose(
        np.load(tmp_path / "one/prior.npy"), np.load(tmp_path / "two/prior.npy"), atol=1e-7
    )


# --- the same bytes whatever happens --------------------------------------------------------------


@pytest.mark.process
def test_neither_workers_nor_runs_change_a_byte(tmp_path: Path) -> None:
    photos = fields(tmp_path / "in", 20)
    run(photos, tmp_path / "one", workers=1, shard_size=8)
    run(photos, tmp_path / "three", workers=3, shard_size=8)
    assert tree(tmp_path / "one") == tree(tmp_path / "three")
    assert len(tree(tmp_path / "one")) == 6
    run(photos, tmp_path / "seed", shard_size=8, seed=1)
    assert tree(tmp_path / "one")["shard-00000.tar"] != tree(tmp_path / "seed")["shard-00000.tar"]


def count_examined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the photos that are examined from here on, in this process."""
    seen: list[int] = []
    examine = module.examine

    def counting(data: bytes, options: module.Settings) -> module.Outcome:
        seen.append(len(data))
        return examine(data, options)

    monkeypatch.setattr(module, "examine", counting)
    return seen


def interrupted(photos: Path, output: Path, stop_after: int) -> None:
    """Prepare, but stop like a Ctrl-C when so many photos are examined."""
    with pytest.MonkeyPatch.context() as patch:
        seen = count_examined(patch)
        examine = module.examine

        def stopping(data: bytes, options: module.Settings) -> module.Outcome:
            if len(seen) == stop_after:
                raise KeyboardInterrupt
            return examine(data, options)

        patch.setattr(module, "examine", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(photos, output)


def test_a_second_call_goes_on_where_the_first_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = fields(tmp_path / "in", 12)
    run(photos, tmp_path / "whole")
    interrupted(photos, tmp_path / "out", 5)
    with pytest.raises(DataError, match="is unfinished"):
        PhotoStore([tmp_path / "out"])
    seen = count_examined(monkeypatch)
    run(photos, tmp_path / "out")
    assert len(seen) == 7
    assert tree(tmp_path / "whole") == tree(tmp_path / "out")


@pytest.fixture(scope="module")
def half_done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Photos, the finished output, and one interrupted after 8 of 12."""
    root = tmp_path_factory.mktemp("half")
    photos = fields(root / "in", 12)
    (photos / "003.png").write_bytes(b"broken")  # one line of the journal has no payload
    run(photos, root / "whole")
    interrupted(photos, root / "half", 8)
    return photos, root / "whole", root / "half"


@settings(max_examples=25, deadline=None)
@given(lines=st.floats(0, 1), payload=st.floats(0, 1), zeros=st.booleans())
def test_whatever_a_crash_leaves_of_the_journal_is_gone_on_with(
    half_done: tuple[Path, Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
    lines: float,
    payload: float,
    zeros: bool,
) -> None:
    photos, whole, half = half_done
    output = tmp_path_factory.mktemp("crash") / "out"
    shutil.copytree(half, output)
    for name, share in (("journal.jsonl", lines), ("payload.bin", payload)):
        path = output / ".work" / name
        data = path.read_bytes()
        cut = int(len(data) * share)
        # A power cut can leave a file at its length with nothing but zeros in its last pages.
        path.write_bytes(data[:cut] + (bytes(len(data) - cut) if zeros else b""))
    run(photos, output)
    assert tree(output) == tree(whole)


def test_a_stop_while_the_shards_are_written_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = fields(tmp_path / "in", 12)
    run(photos, tmp_path / "whole", shard_size=4)
    with monkeypatch.context() as patch:
        moved = []
        real = os.replace

        def stopping(source: Path, target: Path) -> None:
            if Path(target).parent == tmp_path / "out":
                if len(moved) == 3:
                    raise KeyboardInterrupt
                moved.append(target)
            real(source, target)

        patch.setattr(os, "replace", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(photos, tmp_path / "out", shard_size=4)
    assert len(list((tmp_path / "out").glob("*"))) == 4  # three files and the work folder
    with pytest.raises(DataError, match="is unfinished"):
        PhotoStore([tmp_path / "out"])
    seen = count_examined(monkeypatch)
    run(photos, tmp_path / "out", shard_size=4)
    assert seen == []
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def wait_until(condition: Callable[[], object], why: str) -> None:
    # No claim about speed: the bound only keeps a broken program from hanging the tests.
    for _ in range(12_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"never happened: {why}")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_in_the_middle_loses_next_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    count, workers = 40, 2
    photos = fields(tmp_path / "in", count, (500, 600))
    output = tmp_path / "out"
    code = (
        "import sys; from photochrom.dataset.prepare import prepare\n"
        f"if __name__ == '__main__': prepare([sys.argv[1]], sys.argv[2], workers={workers})"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen(
        [sys.executable, str(script), str(photos), str(output)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    journal = output / ".work/journal.jsonl"

    def recorded() -> int:
        return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0

    wait_until(lambda: recorded() >= 5 or process.poll() is not None, "five photos are recorded")
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    children = [c for t in threads for c in (t / "children").read_text().split()]
    if how == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, errors = process.communicate()
    assert process.returncode != 0
    assert len(children) >= workers
    wait_until(lambda: not any(is_running(int(c)) for c in children), "the workers end too")
    if how == signal.SIGINT:
        assert errors.count("KeyboardInterrupt") == 1  # the workers keep quiet
    done = recorded()
    assert 5 <= done < count
    with monkeypatch.context() as patch:
        seen = count_examined(patch)
        report = run(photos, output)
    assert count - done <= len(seen) <= count - done + 1
    assert report.kept == count
    run(photos, tmp_path / "whole", workers=3)
    assert tree(output) == tree(tmp_path / "whole")


def test_a_worker_that_dies_is_reported_with_its_photo(tmp_path: Path) -> None:
    photos = fields(tmp_path / "in", 6)
    script = tmp_path / "script.py"
    # As the kernel does to a process that takes too much memory.
    script.write_text(
        "import os, signal, sys\n"
        "from photochrom.dataset import prepare as module\n"
        "class Fatal(module.Settings):\n"
        "    @property\n"
        "    def max_aspect(self): os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    from photochrom.errors import DataError\n"
        "    from photochrom.dataset.store import PhotoStore\n"
        "    fatal = object.__new__(Fatal)\n"
        "    object.__setattr__(fatal, 'short_side', 128)\n"
        "    try: list(module._outcomes(PhotoStore([sys.argv[1]]), 2, fatal, 2))\n"
        "    except DataError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(photos)], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(f"{photos}/002.png: a worker died"), done.stderr
    assert "exit code -9" in done.stdout
    assert "fewer --workers" in done.stdout


# --- calling again --------------------------------------------------------------------------------


def test_a_finished_output_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = fields(tmp_path / "in", 4)
    first = run(photos, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    seen = count_examined(monkeypatch)
    second = run(photos, tmp_path / "out")
    assert seen == []
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times
    assert not first.reused
    assert second.reused
    assert second == first


def test_other_settings_or_photos_are_refused_unless_forced(tmp_path: Path) -> None:
    photos = fields(tmp_path / "in", 6)
    run(photos, tmp_path / "out", shard_size=2)
    before = tree(tmp_path / "out")
    with pytest.raises(ConfigError, match="quality was 50, is 60"):
        run(photos, tmp_path / "out", shard_size=2, quality=60)
    field(99).save(photos / "new.png")
    with pytest.raises(ConfigError, match="the photos differ"):
        run(photos, tmp_path / "out", shard_size=2)
    assert tree(tmp_path / "out") == before
    (photos / "new.png").unlink()
    run(photos, tmp_path / "out", force=True)
    run(photos, tmp_path / "again")
    assert tree(tmp_path / "out") == tree(tmp_path / "again")  # and the other two shards are gone


def test_unfinished_work_of_another_call_is_refused_unless_forced(tmp_path: Path) -> None:
    photos = fields(tmp_path / "in", 6)
    interrupted(photos, tmp_path / "out", 3)
    before = tree(tmp_path / "out")
    with pytest.raises(ConfigError, match="seed was 0, is 1"):
        run(photos, tmp_path / "out", seed=1)
    assert tree(tmp_path / "out") == before
    run(photos, tmp_path / "out", seed=1, force=True)
    assert run(photos, tmp_path / "out", seed=1).reused


def test_shards_of_other_origin_are_not_overwritten(tmp_path: Path) -> None:
    photos = fields(tmp_path / "in", 2)
    (tmp_path / "out").mkdir()
    write_shard(tmp_path / "out/shard-00000.tar", [("mine.jpg", b"mine")])
    with pytest.raises(ConfigError, match=r"shard-00000\.tar: not made by photochrom prepare"):
        run(photos, tmp_path / "out")
    assert PhotoStore([tmp_path / "out"]).read(0) == b"mine"


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    photos = fields(tmp_path / "in", 2)
    interrupted(photos, tmp_path / "out", 1)
    with (tmp_path / "out/.work/journal.jsonl").open("ab") as other:
        assert lock_descriptor(other.fileno(), blocking=False)
        with pytest.raises(ConfigError, match="is in use by another photochrom prepare"):
            run(photos, tmp_path / "out")
    assert run(photos, tmp_path / "out").kept == 2


@pytest.mark.parametrize(
    "options",
    [
        {"short_side": 31},
        {"max_aspect": 0.9},
        {"max_aspect": float("nan")},
        {"quality": 0},
        {"quality": 101},
        {"shard_size": 0},
        {"seed": -1},
        {"workers": 0},
    ],
)
def test_settings_out_of_range_are_named(tmp_path: Path, options: dict[str, float]) -> None:
    photos = fields(tmp_path / "in", 1)
    with pytest.raises(ConfigError, match=f"{next(iter(options))} = .*: must"):
        run(photos, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    photos = fields(tmp_path / "in", 1)
    with pytest.raises(ConfigError, match="is also an input"):
        run(photos, photos)
    with pytest.raises(DataError, match=r"nowhere: no such file"):
        run(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"file.*: (Not a directory|File exists)"):
        run(photos, tmp_path / "file")
    (photos / "000.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"none of 1 photos could be used: 1 unreadable"):
        run(photos, tmp_path / "out")


def test_importing_needs_no_torch_and_no_pillow() -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('PIL', 'torch', 'onnxruntime', 'pyvips')))\n"
        "from photochrom.errors import DependencyError\n"
        "from photochrom.dataset.prepare import prepare\n"
        "try: prepare(['in'], 'out')\n"
        "except DependencyError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'photochrom[train]'" in done.stdout, done.stderr
