"""Which files are photos, and what is said of the others."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from photochrom.batch.find import target_of
from photochrom.photo.formats.table import INPUT_EXTENSIONS, TYPES
from photochrom.photo.read import decode_photo, read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import colored, refusal, smooth, to_pil


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".jif", ".JFIF"])
def test_jpegs_of_other_names_are_jpegs_in_and_out(tmp_path: Path, suffix: str) -> None:
    path, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    to_pil(smooth(24, 32, 1), "L").save(path, "JPEG")
    photo = read_photo(path)
    write_photo(target, colored(photo), photo)
    assert target.read_bytes().startswith(b"\xff\xd8\xff")
    assert suffix.lower() in INPUT_EXTENSIONS and TYPES[suffix.lower()] == "image/jpeg"
    assert target_of(f"x/a{suffix}", "", True) == f"a.color{suffix}"


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"8BPS\0\1", "Photoshop"), (b"FOVb\0\0\3\0", "camera raw"), (b"\0MRM", "camera raw"),
        (b"%PDF-1.7", "PDF"), (b"II\xbc\1", "JPEG XR"), (b"\xff\xd8\xff\xf7\0\x0b", "JPEG-LS"),
    ],
)  # fmt: skip
def test_files_of_a_known_kind_are_refused_by_their_kind(head: bytes, word: str) -> None:
    message = refusal(decode_photo, head + bytes(80))
    assert f"{word} files" in message and "are not supported" in message


def test_the_preview_of_a_camera_raw_file_is_not_taken_for_the_photo(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"  # whatever its name says
    with tifffile.TiffWriter(path) as writer:
        writer.write(smooth(12, 16), subifds=1, subfiletype=1, photometric="rgb", metadata=None)
        writer.write(np.zeros((48, 64), np.uint16), photometric="cfa", metadata=None)
    data = path.read_bytes()
    assert struct.unpack_from("<H", data, 2) == (42,)
    assert (
        "camera raw files are colored by the preview in them, and this has none; develop it"
        in refusal(read_photo, path)
    )


def test_raw_samples_alone_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((48, 64), np.uint16), photometric="cfa", metadata=None)
    assert "camera raw" in refusal(read_photo, path)
