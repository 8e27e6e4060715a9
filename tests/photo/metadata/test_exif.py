"""EXIF: every byte that is still true goes into the result."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.ExifTags
import PIL.Image
import pytest
import pyvips

from photochrom.photo.formats.format import replace_bytes
from photochrom.photo.formats.jpeg import JPEG_EXIF_LIMIT
from photochrom.photo.losses import losses
from photochrom.photo.metadata.exif import exif_resolution, for_result
from photochrom.photo.metadata.turn import Turn
from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import colored, exif_with, full_source, smooth, to_pil


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


@pytest.mark.parametrize("block", [b"", b"Exif\0\0II*\0", b"Exif\0\0" + bytes(40)])
def test_an_exif_that_is_damaged_states_no_resolution(block: bytes) -> None:
    assert exif_resolution(block) is None


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


FORMATS = [".jpg", ".png", ".webp", ".avif"]


HEAD = b"Exif\0\0"


SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 13: 4}


def gray(height: int, width: int) -> np.ndarray:
    return np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)


def thumbnail() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(gray(8, 8)).save(buffer, "JPEG")
    return buffer.getvalue()


def camera_block(
    order: str = ">", note: int = 40, space: bool = True, turned: bool = True
) -> tuple[bytes, int]:
    """A block as cameras write it, and the place that its maker note names.

    Behind the directories lies what only the camera's own program knows: the maker note and a
    directory of the maker name places in the block, one of them in no tag's values.
    """
    data = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))

    def add(content: bytes) -> int:
        data.extend(bytes(len(data) % 2))
        data.extend(content)
        return len(data) - len(content)

    def entry(tag: int, kind: int, number: int, value: int | bytes) -> bytes:
        if isinstance(value, int):
            value = struct.pack(order + ("H" if kind == 3 else "I"), value)
        if len(value) > 4:
            value = struct.pack(order + "I", add(value))
        return struct.pack(order + "HHI", tag, kind, number) + value.ljust(4, b"\0")

    def directory(entries: list[bytes], following: int = 0) -> int:
        packed = struct.pack(order + "H", len(entries)) + b"".join(entries)
        return add(packed + struct.pack(order + "I", following))

    secret = add(b"only the camera knows this")
    pair = struct.pack(order + "II", 300, 1)
    makers = directory([entry(1, 2, 9, b"firmware\0")])
    maker_note = b"ACME\0\0" + struct.pack(order + "II", secret, 26) + bytes(range(note))
    interop = directory([entry(1, 2, 4, b"R03\0"), entry(2, 7, 4, b"0100")])
    camera = [entry(36864, 7, 4, b"0231"), entry(37500, 7, len(maker_note), maker_note)]
    camera += [entry(40961, 3, 1, 65535)] if space else []
    camera += [entry(40962, 3, 1, 30), entry(40963, 3, 1, 20), entry(40965, 4, 1, interop)]
    camera += [entry(42033, 2, 8, b"0004711\0"), entry(65001, 99, 7, b"what")]
    exif = directory(camera)
    places = [entry(0, 1, 4, b"\2\3\0\0"), entry(1, 2, 2, b"N\0"), entry(29, 0, 11, b"1931")]
    places += [entry(200, 7, 10, b"unheard of")]
    gps = directory(places)
    size = len(thumbnail())
    picture = add(thumbnail())
    second = directory([entry(259, 3, 1, 6), entry(513, 4, 1, picture), entry(514, 4, 1, size)])
    main = [entry(271, 2, 5, b"Acme\0")] + ([entry(274, 3, 1, 6)] if turned else [])
    main += [
        entry(282, 5, 1, pair),
        entry(283, 5, 1, pair),
        entry(296, 3, 1, 2),
        entry(316, 2, 5, b"desk\0"),
    ]
    main += [entry(18246, 3, 1, 4), entry(34665, 4, 1, exif), entry(34853, 4, 1, gps)]
    main += [entry(34675, 7, 9, b"a profile"), entry(50000, 4, 1, makers)]
    main += [entry(50341, 7, 16, b"PrintIM\0" + b"0300" + bytes(4))]
    struct.pack_into(order + "I", data, 4, directory(main, second))
    return HEAD + bytes(data), secret


class Read:
    """What stands in a block: values by directory and tag, and the bytes themselves."""

    def __init__(self, block: bytes) -> None:
        self.data = block.removeprefix(HEAD)
        self.order = {b"II": "<", b"MM": ">"}[self.data[:2]]
        self.values: dict[tuple[str, int], bytes] = {}
        self.following = self.take("main", self.long(4))
        for name, tag in (("exif", 34665), ("gps", 34853), ("interop", 40965), ("maker", 50000)):
            for parent in ("main", "exif"):
                if (parent, tag) in self.values:
                    self.take(name, self.number(parent, tag))

    def long(self, at: int) -> int:
        return int(struct.unpack_from(self.order + "I", self.data, at)[0])

    def number(self, directory: str, tag: int) -> int:
        value = self.values[directory, tag]
        return int(struct.unpack(self.order + {2: "H", 4: "I"}[len(value)], value)[0])

    def take(self, name: str, at: int) -> int:
        (count,) = struct.unpack_from(self.order + "H", self.data, at)
        for place in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(self.order + "HHI", self.data, place)
            size = SIZES.get(kind, 4 if kind in (0, 99) else 0) * (1 if kind in (0, 99) else number)
            start = place + 8 if size <= 4 else self.long(place + 8)
            assert start + size <= len(self.data)
            assert (name, tag) not in self.values
            self.values[name, tag] = self.data[start : start + size]
        return self.long(at + 2 + 12 * count)


def save(path: Path, block: bytes) -> None:
    PIL.Image.fromarray(gray(20, 30)).convert("RGB").save(path, exif=block)


def block_of_result(path: Path, target: Path) -> bytes:
    """The EXIF block of a result."""
    photo = read_photo(path)
    rgb = np.broadcast_to(photo.pixels[..., :1], (photo.height, photo.width, 3))
    write_photo(target, rgb, photo)
    found = read_photo(target).metadata.exif
    assert found is not None
    return found


@pytest.mark.parametrize("order", ["<", pytest.param(">", marks=pytest.mark.slow)])
@pytest.mark.parametrize("result", FORMATS)
@pytest.mark.parametrize("origin", FORMATS)
def test_all_tags_travel_with_what_they_refer_to(
    tmp_path: Path, origin: str, result: str, order: str
) -> None:
    # Pillow rewrites a block with an orientation for AVIF, which turns otherwise.
    block, secret = camera_block(order, turned=origin != ".avif")
    path, target = tmp_path / f"a{origin}", tmp_path / f"b{result}"
    save(path, block)
    assert losses(read_photo(path), target) == []
    found = Read(block_of_result(path, target))
    before = Read(block)
    height, width = read_photo(path).height, read_photo(path).width
    changed: dict[tuple[str, int], Any] = {
        ("main", 274): 1, ("exif", 40961): 1, ("exif", 40962): width, ("exif", 40963): height,
    }  # fmt: skip
    for key, value in before.values.items():
        if key in changed:
            assert found.number(*key) == changed[key], key
        elif key == ("interop", 1):
            assert found.values[key] == b"R98\0"  # of sRGB
        elif key == ("main", 34675):
            assert key not in found.values  # the file has its own profile
        else:
            assert found.values[key] == value, key
    assert found.values.keys() == before.values.keys() - {("main", 34675)}
    place, size = struct.unpack_from(order + "II", found.values["exif", 37500], 6)
    assert found.data[place : place + size] == b"only the camera knows this" and place == secret
    assert found.following == 0 and thumbnail()[20:] not in found.data
    assert b"a profile" not in found.data


@pytest.mark.parametrize("result", FORMATS)
def test_the_rest_of_a_result_stays_whole(tmp_path: Path, result: str) -> None:
    # With a block that is smaller than that of libvips, and with a much larger one.
    path, target = tmp_path / "a.jpg", tmp_path / f"b{result}"
    blocks = {"small": camera_block(note=0)[0], "large": camera_block(note=255)[0] + bytes(20_001)}
    pixels, packets = [], []
    for name, block in blocks.items():
        save(path, block)
        found = block_of_result(path, target)
        assert len(found) > 20_000 if name == "large" else len(found) < 2_000
        photo = read_photo(target)
        pixels.append(photo.pixels)
        packets.append(photo.metadata.xmp)
        with PIL.Image.open(target) as image:
            image.load()
            assert image.getexif()[271] == "Acme"
        data = target.read_bytes()
        target.unlink()
        if result == ".webp":
            assert int.from_bytes(data[4:8], "little") == len(data) - 8 and data[20] & 8
        if result == ".png":
            at = 8
            while at < len(data):  # each chunk has its sum, and there is one eXIf before the pixels
                size = int.from_bytes(data[at : at + 4], "big")
                end = at + 8 + size
                assert zlib.crc32(data[at + 4 : end]) == int.from_bytes(data[end : end + 4], "big")
                at = end + 4
            assert data.count(b"eXIf") == 1 and data.index(b"eXIf") < data.index(b"IDAT")
        if result == ".jpg":
            assert data.count(HEAD) == 1 and data[2:4] in (b"\xff\xe0", b"\xff\xe1")
    np.testing.assert_array_equal(*pixels)
    assert packets[0] == packets[1]


@pytest.mark.parametrize("piece", [1, 7, 100, 1000])
@pytest.mark.parametrize("size", [0, 5, 20, 400])
def test_bytes_are_replaced_and_the_rest_is_moved_piece_by_piece(size: int, piece: int) -> None:
    data = random.Random(size).randbytes(500)
    file = io.BytesIO(data)
    replace_bytes(file, 30, 50, b"x" * size, piece)
    assert file.getvalue() == data[:30] + b"x" * size + data[50:]


def test_a_block_without_room_for_what_is_to_be_said_is_made_longer() -> None:
    block, secret = camera_block(space=False)
    found = Read(for_result(block, Turn(1, 70_000, 50), (20.0, 10.0)) or b"")
    assert (found.number("exif", 40961), found.number("exif", 40962)) == (1, 70_000)
    assert found.number("exif", 40963) == 50 and found.number("main", 296) == 2
    across, down = (struct.unpack(">II", found.values["main", tag]) for tag in (282, 283))
    assert (across[0] / across[1], down[0] / down[1]) == (508.0, 254.0)
    assert found.data[secret : secret + 26] == b"only the camera knows this"
    assert found.values["maker", 1] == b"firmware\0"
    bare = HEAD + b"II*\0\x08\0\0\0" + struct.pack("<HHHI4sI", 1, 271, 2, 3, b"Us\0", 0)
    found = Read(for_result(bare, Turn(1, 3, 4), None) or b"")
    assert struct.unpack("<II", found.values["main", 282]) == (72_000, 1000)
    assert found.values["main", 271] == b"Us\0"


def test_what_is_said_already_changes_nothing() -> None:
    block = for_result(camera_block()[0], Turn(1, 30, 20), (300 / 25.4, 300 / 25.4))
    assert (
        block is not None and for_result(block, Turn(1, 30, 20), (300 / 25.4, 300 / 25.4)) == block
    )


def with_entry(tag: int, form: str, *values: int) -> bytes:
    """A block in which an entry of the main directory says something else."""
    data = camera_block("<")[0].removeprefix(HEAD)
    main = struct.unpack_from("<I", data, 4)[0]
    at = next(
        at for at in range(main + 2, len(data), 12) if data[at:][:2] == struct.pack("<H", tag)
    )
    changed = bytearray(data)
    struct.pack_into("<" + form, changed, at + 2, *values)
    return HEAD + bytes(changed)


def hostile() -> dict[str, bytes]:
    block, _ = camera_block("<")
    data = block.removeprefix(HEAD)
    main = struct.unpack_from("<I", data, 4)[0]
    return {
        "a circle": with_entry(34665, "HII", 4, 1, main),
        "the same twice": with_entry(34853, "HII", 4, 1, Read(block).number("main", 34665)),
        "one that begins amid another": with_entry(34853, "HII", 4, 1, main + 12),
        "a directory beyond the end": with_entry(34665, "HII", 4, 1, 1 << 30),
        "a value beyond the end": with_entry(271, "HII", 2, 5000, 8),
        "a huge number": with_entry(271, "HII", 12, 0xFFFFFFFF, 8),
        "a pointer of text": with_entry(34665, "HII", 2, 4, 8),
        "a first directory beyond the end": HEAD + data[:4] + b"\xff\xff\xff\x7f" + data[8:],
        "cut off": block[: 6 + main + 20],
        "no order": HEAD + b"XX" + data[2:],
        "nothing": HEAD,
    }


NO_EXIF = ("nothing", "no order")


def test_values_all_over_a_block_do_no_harm() -> None:
    data = camera_block("<")[0].removeprefix(HEAD)
    found = Read(
        for_result(with_entry(50341, "HII", 7, len(data) - 8, 8), Turn(1, 30, 20), None) or b""
    )
    assert found.values["maker", 1] == b"firmware\0"
    assert len(found.values["main", 50341]) == len(data) - 8


@pytest.mark.parametrize("what", NO_EXIF)
def test_what_does_not_begin_like_exif_is_none(tmp_path: Path, what: str) -> None:
    block = hostile()[what]
    assert for_result(block, Turn(1, 30, 20), None) is None
    save(tmp_path / "a.png", block)  # nor do libpng and Pillow take it for EXIF
    photo = read_photo(tmp_path / "a.png")
    assert photo.metadata.exif is None and losses(photo, tmp_path / "b.jpg") == []


@pytest.mark.parametrize("what", [what for what in hostile() if what not in NO_EXIF])
def test_a_block_that_does_not_hold_together_is_not_trusted(tmp_path: Path, what: str) -> None:
    block = hostile()[what]
    assert for_result(block, Turn(1, 30, 20), None) is None
    path, target = tmp_path / "a.png", tmp_path / "b.jpg"
    save(path, block)
    photo = read_photo(path)
    (told,) = losses(photo, target)
    assert "a.png: its EXIF is damaged; photochrom keeps what it can read" in told
    if what == "a value beyond the end":
        assert told.endswith("read, but not HostComputer, Rating, tag 200")
    write_photo(
        target, np.broadcast_to(photo.pixels[..., :1], (photo.height, photo.width, 3)), photo
    )
    read_photo(target)


def test_a_damaged_thumbnail_is_left_out_and_the_rest_kept() -> None:
    block, _ = camera_block("<")
    following = Read(block).following
    for change in (struct.pack("<H", 9999), struct.pack("<HHHII", 1, 513, 4, 1, 1 << 31)):
        changed = bytearray(block)
        changed[6 + following : 6 + following + len(change)] = change
        found = Read(for_result(bytes(changed), Turn(1, 30, 20), None) or b"")
        assert found.following == 0 and found.values["maker", 1] == b"firmware\0"


@pytest.mark.hostile
def test_random_damage_never_does_harm() -> None:
    rng = random.Random(0)
    block, _ = camera_block()
    kept = 0
    for _ in range(3000):
        changed = bytearray(block[: rng.randrange(20, len(block))] if rng.random() < 0.2 else block)
        for _ in range(rng.randrange(1, 6)):
            changed[rng.randrange(6, len(changed))] = rng.choice([0, 1, 255, rng.randrange(256)])
        found = for_result(bytes(changed), Turn(1, 30, 20), (1.0, 2.0))
        kept += found is not None
        assert found is None or len(found) < len(block) + 1000
        if found is not None:  # and what is taken over is a block that holds together
            assert for_result(found, Turn(1, 30, 20), (1.0, 2.0)) is not None
    assert 0 < kept < 3000


def test_many_claims_of_the_same_bytes_cost_no_time() -> None:
    size = 8 << 20
    entries = b"".join(struct.pack("<HHII", 50_000, 7, size, 8) for _ in range(65_535))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + entries + bytes(size)
    assert for_result(data, Turn(1, 1, 1), None) is None


def test_what_jpeg_cannot_hold_is_said(tmp_path: Path) -> None:
    block = camera_block()[0]
    large = block + bytes(JPEG_EXIF_LIMIT - len(block))
    path = tmp_path / "a.png"
    save(path, large + b"\0" * 2000)
    photo = read_photo(path)
    assert losses(photo, tmp_path / "b.webp") == []
    (told,) = losses(photo, tmp_path / "b.jpg")
    assert "its EXIF is too large for JPEG" in told
    write_photo(tmp_path / "b.jpg", np.broadcast_to(photo.pixels[..., :1], (30, 20, 3)), photo)
    read_photo(tmp_path / "b.jpg")
    save(path, large[:-100])
    assert losses(read_photo(path), tmp_path / "b.jpg") == []
