"""Preparing photos: what is counted, stored and said, and when it is refused."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from filelock import lock_descriptor
from PIL import Image

from photochrom.color import bins
from photochrom.color.lab import rgb_to_lab
from photochrom.dataset.store import PhotoStore, write_shard
from photochrom.errors import ConfigError, DataError
from photochrom.naming import subject_of
from tests.dataset.photos import (
    TINTS,
    bundled,
    count_examined,
    field,
    fields,
    interrupted,
    run,
    stored,
    tree,
)

pytestmark = pytest.mark.slow


# --- what is dropped ------------------------------------------------------------------------------


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
