"""Camera raw files: the largest preview in them is colored, however each maker stores it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from photochrom.batch.find import Asked, find, target_of
from photochrom.errors import PhotoError
from photochrom.photo.losses import losses
from photochrom.photo.read import decode_photo, photo_size, read_photo

Tags = list[tuple[int, int, int, int]]  # tag, kind, number, value or place


def jpeg(width: int, height: int, **options: object) -> bytes:
    file = io.BytesIO()
    ramp = np.linspace(0, 255, width * height).astype(np.uint8).reshape(height, width)
    PIL.Image.fromarray(ramp).save(file, "JPEG", **options)
    return file.getvalue()


LARGE, SMALL = jpeg(800, 500), jpeg(160, 100)
# A frame of lossless JPEG, as Canon stores the raw samples: larger, but no picture to look at.
SAMPLES = b"\xff\xd8\xff\xc3\0\x0b\x0e" + struct.pack(">HH", 3000, 4000) + b"\2\1\x11\0" + bytes(99)


def directory(tags: Tags, following: int = 0) -> bytes:
    parts = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return struct.pack("<H", len(tags)) + parts + struct.pack("<I", following)


def laid_out(head: bytes, *parts: bytes) -> tuple[bytes, list[int]]:
    data, places = head, []
    for part in parts:
        places.append(len(data))
        data += part
    return data, places


def nikon() -> bytes:
    """JPEG in a directory below the first, by tags 513 and 514; the first is a thumbnail."""
    _, (small, large, below, first) = laid_out(
        b"." * 8, SMALL, LARGE, directory([(1, 1, 1, 1)] * 2), b""
    )
    head = b"II*\0" + struct.pack("<I", first)
    raw = [(513, 4, 1, large), (514, 4, 1, len(LARGE))]
    top = [(274, 3, 1, 6), (330, 4, 1, below), (513, 4, 1, small), (514, 4, 1, len(SMALL)),
           (262, 3, 1, 32803)]  # fmt: skip
    return laid_out(head, SMALL, LARGE, directory(raw), directory(top))[0]


def canon() -> bytes:
    """JPEG as the only strip of the first directory; the raw samples are a JPEG, too."""
    first = 16
    size = len(directory([(1, 1, 1, 1)] * 4))
    second = first + size
    large = second + size
    one = [(259, 3, 1, 6), (273, 4, 1, large), (279, 4, 1, len(LARGE)), (274, 3, 1, 1)]
    two = [(259, 3, 1, 6), (273, 4, 1, large + len(LARGE)), (279, 4, 1, len(SAMPLES)), (1, 3, 1, 0)]
    head = b"II*\0" + struct.pack("<I", first) + b"CR\2\0" + bytes(4)
    return laid_out(head, directory(one, second), directory(two), LARGE, SAMPLES)[0]


def panasonic() -> bytes:
    """JPEG as the value of a tag."""
    head = b"IIU\0" + struct.pack("<I", 8)
    return laid_out(head, directory([(0x2E, 7, len(LARGE), 26)]), LARGE)[0]


def olympus() -> bytes:
    """JPEG of which the maker note tells, where places count from the beginning of the note."""
    settings = 12 + 18
    places = settings + 30
    note, _ = laid_out(
        b"OLYMPUS\0II\3\0",
        directory([(0x2020, 13, 1, settings)]),
        directory([(0x101, 4, 1, places), (0x102, 4, 1, len(LARGE))]),
        LARGE,
    )
    exif = directory([(37500, 7, len(note), 8 + 18 + 18)])
    return laid_out(b"IIRO" + struct.pack("<I", 8), directory([(34665, 4, 1, 26)]), exif, note)[0]


def fujifilm() -> bytes:
    head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">II", 92, len(LARGE))
    return head + LARGE


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def new_canon() -> bytes:
    """Built like a film: the first track is the JPEG, and a box has the orientation."""
    upright = b"II*\0" + struct.pack("<I", 8) + directory([(274, 3, 1, 8)])
    about = box(b"uuid", bytes(16) + box(b"CMT1", upright))

    def movie(at: int) -> bytes:
        sizes = box(b"stsz", struct.pack(">III", 0, len(LARGE), 1))
        table = box(b"stbl", sizes + box(b"co64", struct.pack(">IIQ", 0, 1, at)))
        return box(b"moov", about + box(b"trak", box(b"mdia", box(b"minf", table))))

    head = box(b"ftyp", b"crx \0\0\0\1")
    return head + movie(len(head + movie(0)) + 8) + box(b"mdat", LARGE)


@pytest.mark.parametrize(
    ("make", "sides"),
    [
        (nikon, (800, 500)), (canon, (500, 800)), (panasonic, (500, 800)),
        (olympus, (500, 800)), (fujifilm, (500, 800)), (new_canon, (800, 500)),
    ],
)  # fmt: skip
def test_the_largest_preview_is_read_upright_and_told(
    make: Callable[[], bytes], sides: tuple[int, int], tmp_path: Path
) -> None:
    data = make()
    path = tmp_path / "a.raw-file"
    path.write_bytes(data)
    photo = read_photo(path)
    assert (photo.height, photo.width) == sides
    expected = np.asarray(PIL.Image.open(io.BytesIO(LARGE)))
    shown = photo.pixels[..., 0]
    turned = {500: shown, 800: np.rot90(shown, 1 if make is nikon else -1)}[photo.height]
    assert np.abs(turned.astype(int) - expected).max() <= 1
    (note,) = losses(photo, tmp_path / "a.jpg")
    assert "the preview in it was colored, which has 800 x 500 pixels" in note
    assert photo_size(data) == (500, 800)


def test_a_thumbnail_alone_is_refused_with_what_to_do() -> None:
    data = panasonic().replace(LARGE, SMALL.ljust(len(LARGE), b"\0"))
    with pytest.raises(PhotoError, match="has one of 160 x 100 pixels; develop it"):
        decode_photo(data)
    with pytest.raises(PhotoError, match="has none; develop it"):
        decode_photo(b"FUJIFILMCCD-RAW 0201" + bytes(90))


def test_damaged_raw_files_are_refused_in_words() -> None:
    for make in (nikon, canon, panasonic, olympus, fujifilm, new_canon):
        data = make()
        for end in (9, 40, 90, 200):
            with pytest.raises(PhotoError):
                decode_photo(data[:end])


def test_in_a_folder_a_raw_file_counts_unless_its_photo_lies_beside_it(tmp_path: Path) -> None:
    for name in ("a.NEF", "b.nef", "b.JPG", "c.mrw"):
        (tmp_path / name).touch()
    found = find(Asked([str(tmp_path)]))
    assert [Path(source).name for source, _ in found.photos] == ["a.NEF", "b.JPG"]
    assert [passed.kind for passed in found.passed] == ["camera raw"]
    assert target_of("x/a.NEF", "out", False) == "out/a.jpg"
    named = find(Asked([str(tmp_path / "b.nef"), str(tmp_path / "a.NEF")]))
    # Its own name, for b.color.jpg is the result of b.JPG.
    assert [Path(target).name for _, target in named.photos] == ["b.nef.color.jpg", "a.color.jpg"]
