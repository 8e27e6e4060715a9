"""Shards: what goes in comes out, damage is named, nothing is trusted."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from photochrom.dataset.decode import decode
from photochrom.dataset.store import PhotoStore, write_shard
from photochrom.errors import DataError, PhotoError

SAMPLES = [(f"{i:06d}-cat.webp", bytes([i]) * (700 * i + 1)) for i in range(5)]


def contents(store: PhotoStore) -> list[tuple[str, bytes]]:
    return [(store.key(i), store.read(i)) for i in range(len(store))]


EXPECTED = [(name.removesuffix(".webp"), data) for name, data in SAMPLES]


def make_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def compress(path: Path) -> Path:
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


# --- reading --------------------------------------------------------------------------------------


def test_a_plain_shard_gives_back_what_was_written(tmp_path: Path) -> None:
    assert write_shard(tmp_path / "a.tar", SAMPLES) == 5
    store = PhotoStore([tmp_path / "a.tar"])
    assert contents(store) == EXPECTED
    assert store.size(4) == 2801
    assert store.name(1) == f"{tmp_path}/a.tar: 000001-cat.webp"
    assert store.in_shard(0)


def test_a_compressed_shard_reads_alike(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    plain = PhotoStore([tmp_path / "a.tar"])
    packed = PhotoStore([compress(tmp_path / "a.tar")])
    assert contents(packed) == EXPECTED
    assert packed.fingerprint() == plain.fingerprint()


def test_what_a_shard_is_shows_in_its_bytes_not_in_its_name(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    wrong = compress(tmp_path / "a.tar").rename(tmp_path / "b.tar")
    assert contents(PhotoStore([wrong])) == EXPECTED


def test_a_folder_of_shards_is_taken_in_sorted_order(tmp_path: Path) -> None:
    write_shard(tmp_path / "two.tar", SAMPLES[3:])
    compress(tmp_path / "two.tar")
    (tmp_path / "two.tar").unlink()
    write_shard(tmp_path / "one.tar", SAMPLES[:3])
    (tmp_path / "report.json").write_text("{}")
    assert contents(PhotoStore([tmp_path])) == EXPECTED
    assert contents(PhotoStore(str(tmp_path))) == EXPECTED  # one path alone will do


def test_a_folder_of_photos_is_a_tree_in_sorted_order(tmp_path: Path) -> None:
    names = ["b/x.y.JPG", "a/2.png", "c.tiff", "a/1.jpeg", "a/deep/er.webp"]
    for name in [*names, "a/notes.txt", "a/._1.jpeg", ".trash/old.jpg", "Makefile"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    store = PhotoStore([tmp_path])
    assert [store.key(i) for i in range(len(store))] == ["a/1", "a/2", "a/deep/er", "b/x.y", "c"]
    assert [store.read(i).decode() for i in range(len(store))] == sorted(names)
    assert store.name(0) == f"{tmp_path}/a/1.jpeg"
    assert not store.in_shard(0)


def test_sources_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/z.jpg").write_bytes(b"z")
    write_shard(tmp_path / "a.tar", SAMPLES)
    store = PhotoStore([tmp_path / "photos", tmp_path / "a.tar"])
    assert contents(store) == [("z", b"z"), *EXPECTED]


def test_only_photos_with_bytes_of_their_own_count(tmp_path: Path) -> None:
    def special(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        return member, b""

    path = make_tar(
        tmp_path / "a.tar",
        [
            special("folder.jpg", tarfile.DIRTYPE),
            special("link.jpg", tarfile.SYMTYPE, "/etc/passwd"),
            special("hard.jpg", tarfile.LNKTYPE, "000000.jpg"),
            special("device.jpg", tarfile.CHRTYPE),
            special("pipe.jpg", tarfile.FIFOTYPE),
            (tarfile.TarInfo("000000.json"), b"{}"),
            (tarfile.TarInfo("._000000.jpg"), b"mac"),
            (tarfile.TarInfo("x" * 200 + ".jpg"), b"long"),
            (tarfile.TarInfo("/etc/absolute.png"), b"no harm"),
            (tarfile.TarInfo("../../up.png"), b"done"),
        ],
    )
    before = sorted(tmp_path.rglob("*"))
    assert contents(PhotoStore([path])) == [
        ("x" * 200, b"long"),
        ("/etc/absolute", b"no harm"),
        ("../../up", b"done"),
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_an_index_outside_is_an_index_error(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    store = PhotoStore([tmp_path / "a.tar"])
    for call in (store.key, store.read, store.size, store.name):
        with pytest.raises(IndexError):
            call(5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=8))
def test_any_bytes_make_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, blobs: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.tar"
    write_shard(path, [(f"{i}.png", blob) for i, blob in enumerate(blobs)])
    assert contents(PhotoStore([path])) == [(str(i), blob) for i, blob in enumerate(blobs)]


# --- threads and processes ------------------------------------------------------------------------


def sums(store: PhotoStore) -> list[int]:
    return [sum(store.read(i)) for i in range(len(store))]


def test_threads_forks_and_pickles_read_the_same(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    store = PhotoStore([compress(tmp_path / "a.tar"), tmp_path / "a.tar"])
    expected = sums(store)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(sums, [store] * 40)) == [expected] * 40
    assert sums(pickle.loads(pickle.dumps(store))) == expected
    if "fork" in multiprocessing.get_all_start_methods():
        # Both sides read by offset through one descriptor: neither moves the other's position.
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, repr([sums(store) for _ in range(20)] == [expected] * 20).encode())
            os._exit(0)
        assert [sums(store) for _ in range(20)] == [expected] * 20
        os.waitpid(child, 0)
        assert os.read(reader, 10) == b"True"
        os.close(reader)
        os.close(writer)


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    packed = compress(tmp_path / "a.tar")
    before = len(os.listdir("/dev/fd"))
    stores = [PhotoStore([packed, tmp_path / "a.tar"]) for _ in range(3)]
    assert len(os.listdir("/dev/fd")) == before + 6
    del stores
    assert len(os.listdir("/dev/fd")) == before


# --- damage ---------------------------------------------------------------------------------------


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    whole = tmp_path / "a.tar"
    write_shard(whole, SAMPLES)
    data = whole.read_bytes()
    last = len(data.rstrip(b"\0"))
    cut = tmp_path / "cut.tar"
    # 1024 and 2560 fall right between two members, where tarfile itself takes no offense.
    for length in (0, 1, 511, 512, 700, 1024, 1100, 2560, 3000, last):
        cut.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"cut\.tar: is damaged"):
            PhotoStore([cut])
    packed = gzip.compress(data)
    for length in (2, 100, len(packed) // 2, len(packed) - 8, len(packed) - 1):
        cut.write_bytes(packed[:length])
        with pytest.raises(DataError, match=r"cut\.tar: is damaged"):
            PhotoStore([cut])


def test_a_broken_header_in_the_middle_is_no_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    write_shard(path, SAMPLES)
    data = bytearray(path.read_bytes())
    third = data.index(b"000002-cat.webp")
    data[third + 150] ^= 0xFF  # in the checksum
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"a\.tar: is damaged.*broken at byte {third} of"):
        PhotoStore([path])


def test_a_flipped_bit_in_a_compressed_shard_is_noticed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_shard(tmp_path / "a.tar", [("1.jpg", rng.bytes(5000))])
    packed = compress(tmp_path / "a.tar")
    data = bytearray(packed.read_bytes())
    data[2500] ^= 1
    packed.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.tar\.gz: is damaged"):
        PhotoStore([packed])


def test_no_shard_at_all(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(np.random.default_rng(0).bytes(9000))
    with pytest.raises(DataError, match=r"cat\.jpg: is damaged or not a tar shard"):
        PhotoStore([tmp_path / "cat.jpg"])
    with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
        PhotoStore([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="no photos given"):
        PhotoStore([])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"empty: holds no photo"):
        PhotoStore([tmp_path / "empty"])
    write_shard(tmp_path / "text.tar", [("a.txt", b"a")])
    write_shard(tmp_path / "good.tar", SAMPLES)
    with pytest.raises(DataError, match=r"text\.tar: holds no photo"):
        PhotoStore([tmp_path / "good.tar", tmp_path / "text.tar"])


def test_an_unfinished_prepare_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "shard-00000.tar", SAMPLES)
    (tmp_path / ".work").mkdir()
    (tmp_path / ".work/journal.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="is unfinished; run the same `photochrom prepare` again"):
        PhotoStore([tmp_path])
    (tmp_path / "report.json").write_text("{}")
    assert len(PhotoStore([tmp_path])) == 5


def test_photos_that_vanish_or_shrink_are_named(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_bytes(b"cat")
    write_shard(tmp_path / "a.tar", SAMPLES)
    store = PhotoStore([tmp_path / "photos", tmp_path / "a.tar"])
    (tmp_path / "photos/cat.jpg").unlink()
    os.truncate(tmp_path / "a.tar", 3000)
    with pytest.raises(DataError, match=r"photos/cat\.jpg: cannot be read: No such file"):
        store.read(0)
    with pytest.raises(DataError, match=r"a\.tar: 000004-cat\.webp: its shard has shrunk"):
        store.read(5)


# --- fingerprint ----------------------------------------------------------------------------------


def test_the_fingerprint_is_of_the_samples_not_of_the_place(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_shard(tmp_path / folder / "x.tar", SAMPLES)
    moved = PhotoStore([tmp_path / "a/x.tar"]).fingerprint()
    assert PhotoStore([tmp_path / "b"]).fingerprint() == moved
    others = [
        SAMPLES[:4],
        SAMPLES[::-1],
        [*SAMPLES[:4], (SAMPLES[4][0], b"other size")],
        [*SAMPLES[:4], ("other-key.webp", SAMPLES[4][1])],
    ]
    found = {moved}
    for number, samples in enumerate(others):
        write_shard(tmp_path / f"{number}.tar", samples)
        found.add(PhotoStore([tmp_path / f"{number}.tar"]).fingerprint())
    assert len(found) == 5


# --- writing --------------------------------------------------------------------------------------


def test_the_same_samples_make_the_same_bytes(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    write_shard(tmp_path / "b.tar", iter(SAMPLES))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar} == {(0, 0, 0, "", 0o644)}


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    def failing() -> Iterator[tuple[str, bytes]]:
        yield SAMPLES[0]
        raise RuntimeError("power cut")

    write_shard(tmp_path / "a.tar", SAMPLES)
    before = (tmp_path / "a.tar").read_bytes()
    with pytest.raises(RuntimeError, match="power cut"):
        write_shard(tmp_path / "a.tar", failing())
    assert (tmp_path / "a.tar").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.tar"]


# --- decoding -------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


CORNERS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 0], [0, 255, 255], [9, 9, 9]]],
    dtype=np.uint8,
)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_decode_gives_rgb(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    rgb = decode(encoded(Image.fromarray(CORNERS), kind, **options))
    assert rgb.dtype == np.uint8
    assert rgb.flags.writeable
    np.testing.assert_array_equal(rgb, CORNERS)


# EXIF 2.3, table "Orientation": where row 0 and column 0 of the file lie in the upright picture.
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, CORNERS),
        (2, CORNERS[:, ::-1]),
        (3, CORNERS[::-1, ::-1]),
        (4, CORNERS[::-1]),
        (5, CORNERS.transpose(1, 0, 2)),
        (6, CORNERS.transpose(1, 0, 2)[:, ::-1]),
        (7, CORNERS.transpose(1, 0, 2)[::-1, ::-1]),
        (8, CORNERS.transpose(1, 0, 2)[::-1]),
        (77, CORNERS),
    ],
)
def test_decode_turns_photos_upright(kind: str, orientation: int, upright: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = decode(encoded(Image.fromarray(CORNERS), kind, exif=exif))
    np.testing.assert_array_equal(rgb, upright)


def test_decode_makes_rgb_of_gray_and_of_palettes() -> None:
    gray = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    np.testing.assert_array_equal(decode(encoded(gray, "PNG"))[..., 2], np.asarray(gray))
    palette = Image.fromarray(CORNERS).convert("P", palette=Image.Palette.ADAPTIVE, colors=6)
    np.testing.assert_array_equal(decode(encoded(palette, "PNG")), CORNERS)


def test_decode_names_what_it_cannot_read() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    jpeg = encoded(noise, "JPEG")
    for data in (b"", b"no photo", jpeg[: len(jpeg) // 2], jpeg[:20], encoded(noise, "GIF")):
        with pytest.raises(PhotoError, match=r"x\.jpg: cannot be decoded"):
            decode(data, "x.jpg")


def test_decode_refuses_a_decompression_bomb() -> None:
    # The header of a PNG of 60,000 x 60,000 pixels; a few bytes on disk, 10 GB in memory.
    png = bytearray(encoded(Image.new("RGB", (1, 1)), "PNG"))
    png[16:24] = (60_000).to_bytes(4, "big") * 2
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4, "big")
    with pytest.raises(PhotoError, match=r"bomb\.png: cannot be decoded .*decompression bomb"):
        decode(bytes(png), "bomb.png")


def test_reading_needs_neither_pillow_nor_torch(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    code = f"""
import sys
sys.modules.update(dict.fromkeys(("PIL", "torch", "onnxruntime", "pyvips")))  # None: not installed
from photochrom.dataset.decode import decode
from photochrom.dataset.store import PhotoStore
from photochrom.errors import DependencyError
assert PhotoStore([{str(tmp_path)!r}]).read(1) == bytes([1]) * 701
try:
    decode(b"")
except DependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pip install 'photochrom[train]'" in done.stdout


def test_the_stamp_notices_a_replaced_file_and_the_fingerprint_a_renamed_one(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"1234")
    shard = tmp_path / "s.tar"
    write_shard(shard, [("c.png", b"5678")])
    before = PhotoStore([folder, shard])
    assert PhotoStore([folder, shard]).stamp() == before.stamp()
    for path in (folder / "b.png", shard):
        stamp = PhotoStore([folder, shard]).stamp()
        os.utime(path, ns=(1, 1))
        after = PhotoStore([folder, shard])
        assert after.stamp() != stamp
        assert after.fingerprint() == before.fingerprint()


def test_a_shard_that_unpacks_to_far_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photochrom.dataset.store.UNPACKED_MORE", 1 << 16)
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(bytes(4 << 20)))
    with pytest.raises(DataError, match="unpacks to more than 20 times its size"):
        PhotoStore([bomb])
