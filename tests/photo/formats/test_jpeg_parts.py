"""JPEG: what a file holds besides its picture is kept, or said to be gone."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from photochrom.photo.losses import losses
from photochrom.photo.metadata.iptc import read_iptc
from photochrom.photo.read import decode_photo
from photochrom.photo.write import write_photo
from tests.photo.material import colored, iptc, refusal, smooth, to_pil, xmp_of, xmp_packet


def jpeg(**options: Any) -> bytes:
    file = io.BytesIO()
    to_pil(smooth(24, 32, 1), "L").save(file, "JPEG", **options)
    return file.getvalue()


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """Behind the first one, JFIF."""
    at = 4 + int.from_bytes(data[4:6], "big")
    return data[:at] + b"".join(segments) + data[at:]


def notes_of(data: bytes, name: str = "a.jpg") -> list[str]:
    return losses(decode_photo(data), name)


def test_a_plain_file_has_no_notes() -> None:
    assert notes_of(jpeg()) == []


@pytest.mark.parametrize("progressive", [False, True])
def test_a_file_without_its_last_two_bytes_is_read_with_a_note(progressive: bool) -> None:
    whole = jpeg(progressive=progressive)
    photo = decode_photo(whole[:-2])
    np.testing.assert_array_equal(photo.pixels, decode_photo(whole).pixels)
    (note,) = photo.notes
    assert "last bytes are missing" in note


def test_the_pictures_of_an_mpo_are_counted() -> None:
    file = io.BytesIO()
    first, *others = (to_pil(smooth(24, 32), "RGB") for _ in range(3))
    first.save(file, "MPO", save_all=True, append_images=others)
    (note,) = notes_of(file.getvalue())
    assert "holds 3 pictures; only the first is colored" in note


def test_a_gain_map_and_a_film_are_said_and_not_claimed(tmp_path: Path) -> None:
    hdr = xmp_packet(
        '<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
        'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" hdrgm:Version="1.0" '
        'GCamera:MotionPhoto="1"/>'
    )
    photo = decode_photo(jpeg(xmp=hdr))
    gain, film = losses(photo, "a.jpg")
    assert "gain map" in gain and "motion photo" in film
    write_photo(tmp_path / "a.jpg", colored(photo), photo)
    assert b"hdr-gain-map" not in xmp_of(tmp_path / "a.jpg")
    iso = segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0")
    (note,) = notes_of(with_segments(jpeg(), iso))
    assert "gain map" in note


def test_segments_that_no_result_has_are_named() -> None:
    data = with_segments(
        jpeg(),
        segment(0xEB, b"JP\0\1\0\0\0\1\0\0\0\x10jumb"),
        segment(0xE3, b"Meta\0\0II*\0"),
        segment(0xED, b"Photoshop 3.0\0" + resource(2000, b"path") + resource(1034, b"\1")),
    )
    notes = "\n".join(notes_of(data))
    for what in ("content credentials", "segment APP3 (Meta)", "paths", "copyright mark"):
        assert f"its {what}" in notes


def resource(number: int, data: bytes) -> bytes:
    head = b"8BIM" + struct.pack(">H", number) + b"\0\0" + struct.pack(">I", len(data))
    return head + data + bytes(len(data) % 2)


def test_comments_are_kept_where_they_can_be(tmp_path: Path) -> None:
    data = with_segments(jpeg(), segment(0xFE, b"Box 17"), segment(0xFE, b"Oma"))
    photo = decode_photo(data)
    assert losses(photo, "a.jpg") == []
    write_photo(tmp_path / "a.jpg", colored(photo), photo)
    again = decode_photo((tmp_path / "a.jpg").read_bytes())
    assert again.facts.comments == (b"Box 17", b"Oma")
    with PIL.Image.open(tmp_path / "a.jpg") as image:
        image.load()
        assert image.info["comment"] == b"Oma"
    (note,) = losses(photo, "a.png")
    assert "PNG cannot hold its comment" in note


def test_iptc_of_several_segments_is_put_together() -> None:
    first = iptc((2, 5, "Oma"))
    whole = iptc((2, 5, "Oma"), (2, 25, "Hochzeit"), (2, 120, "x" * 900))
    block = resource(1028, whole)
    data = with_segments(
        jpeg(),
        segment(0xED, b"Photoshop 3.0\0" + resource(1028, first)),
        segment(0xED, b"Photoshop 3.0\0" + block),
    )
    split = with_segments(
        jpeg(),
        segment(0xED, b"Photoshop 3.0\0" + block[:200]),
        segment(0xED, b"Photoshop 3.0\0" + block[200:]),
    )
    assert read_iptc(decode_photo(split).metadata.iptc or b"") == whole
    assert len(read_iptc(decode_photo(data).metadata.iptc or b"")) >= len(first)


def test_12_bits_are_refused_with_what_to_do() -> None:
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 4] = 12
    message = refusal(decode_photo, bytes(data))
    assert "JPEG with 12 bits per sample" in message and "16 bits" in message
