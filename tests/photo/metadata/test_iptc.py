"""IPTC: kept where a format holds it, and otherwise put into XMP."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.IptcImagePlugin
import pillow_heif
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from photochrom.photo.losses import losses
from photochrom.photo.metadata.iptc import photoshop_block, read_iptc
from photochrom.photo.metadata.xmp import result_packet, say_synthetic, with_iptc
from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import (
    NEW_SOURCE_TYPE,
    ODD,
    colored,
    iptc,
    many,
    smooth,
    statements,
    taken,
    to_pil,
    to_vips,
    xmp_packet,
)


def test_a_caption_without_end_stays_out_of_xmp() -> None:
    size = 2 << 20
    long = b"\x1c\x02\x78\x80\x04" + size.to_bytes(4, "big") + b"a" * size
    made, lost, _ = result_packet(None, long + iptc((2, 90, "Prague")), "model")
    assert lost == ("caption (over 1 MB)",) and len(made) < 2000
    assert taken(made)["City"] == ["Prague"]


def iptc_jpeg(folder: Path) -> Path:
    """A JPEG with a Photoshop block: a thumbnail resource, then IPTC with an odd length."""
    records = b"\x1c\x02\x78\x00\x07caption"
    thumbnail = b"8BIM\x04\x0c\x03abc" + struct.pack(">I", 5) + b"thumb\0"
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    block = b"Photoshop 3.0\0" + thumbnail + resource
    path = folder / "iptc.jpg"
    to_pil(smooth(8, 8, 1), "L").save(path)
    content = path.read_bytes()
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    path.write_bytes(content[:2] + segment + content[2:])
    return path


def test_iptc_travels_between_jpeg_and_tiff(tmp_path: Path) -> None:
    source = iptc_jpeg(tmp_path)
    for name in ("a.jpg", "b.tif", "c.tif", "d.jpg"):
        photo = read_photo(source)
        source = tmp_path / name
        write_photo(source, colored(photo), photo)
        with PIL.Image.open(source) as image:
            assert PIL.IptcImagePlugin.getiptcinfo(image) == {(2, 120): b"caption"}, name
    assert b"thumb" not in (tmp_path / "a.jpg").read_bytes()
    photo = read_photo(source)
    write_photo(tmp_path / "e.png", colored(photo), photo)  # has no place for it


UTF_8 = (1, 90, b"\x1b%G")


RECORDS = (
    UTF_8,
    (2, 0, b"\0\4"),
    (2, 5, "The bridge"),
    (2, 25, "bridges"),
    (2, 25, "Łódź & <rivers>"),
    (2, 55, "19310506"),
    (2, 60, "070809+0200"),
    (2, 80, "Ansel Adams"),
    (2, 80, "his assistant"),
    (2, 90, "Prague"),
    (2, 101, "Czechoslovakia"),
    (2, 105, "Old town"),
    (2, 110, "City archive"),
    (2, 116, "© 1931"),
    (2, 120, "A caption,\r\nof two lines"),
)


@pytest.mark.parametrize("extension", [".png", ".webp", ".avif", ".heic"])
def test_what_iptc_says_goes_into_the_xmp_of_other_formats(tmp_path: Path, extension: str) -> None:
    path, target = tmp_path / "photo.tif", tmp_path / f"out{extension}"
    image = to_vips(smooth()).copy()
    image.set_type(pyvips.GValue.blob_type, "iptc-data", photoshop_block(iptc(*RECORDS)))
    image.jpegsave(str(path))
    photo = read_photo(path)
    assert losses(photo, target) == []
    write_photo(target, colored(photo), photo)
    if extension == ".heic":
        packet = pillow_heif.open_heif(target)[0].info["xmp"]
    else:
        packet = pyvips.Image.new_from_file(str(target)).get("xmp-data")
    said = taken(packet)
    assert said.pop("about") == ["", ""]
    assert said.pop("DigitalSourceType") == [NEW_SOURCE_TYPE]
    assert said.pop("AISystemUsed") == ["photochrom"]
    assert said == {
        "title": ["The bridge"],
        "subject": ["bridges", "Łódź & <rivers>"],
        "DateCreated": ["1931-05-06T07:08:09+02:00"],
        "creator": ["Ansel Adams", "his assistant"],
        "City": ["Prague"],
        "Country": ["Czechoslovakia"],
        "Headline": ["Old town"],
        "Credit": ["City archive"],
        "rights": ["© 1931"],
        "description": ["A caption,\nof two lines"],
    }


def test_what_the_xmp_of_the_source_says_itself_counts_before_its_iptc() -> None:
    packet = xmp_packet(
        '<rdf:Description rdf:about="uuid:7" xmlns:p="http://ns.adobe.com/photoshop/1.0/" '
        'p:City="Praha"><d:title xmlns:d="http://purl.org/dc/elements/1.1/"><rdf:Alt><rdf:li '
        'xml:lang="x-default">Most</rdf:li></rdf:Alt></d:title></rdf:Description>'
    )
    whole, lost = with_iptc(packet, iptc(*RECORDS))
    assert whole is not None and not lost
    said = taken(whole)
    assert said["City"] == ["Praha"] and said["title"] == ["Most"]
    assert said["Country"] == ["Czechoslovakia"] and said["about"] == ["uuid:7"] * 2
    assert statements(say_synthetic(whole, "m"), "DigitalSourceType") == [NEW_SOURCE_TYPE]
    assert with_iptc(whole, iptc(*RECORDS)) == (whole, [])


@pytest.mark.parametrize(
    ("date", "time", "wanted"),
    [
        ("19310506", None, "1931-05-06"),
        ("19310500", None, "1931-05"),
        ("19310000", "070809", "1931"),
        ("1931-05-06", "070809", "1931-05-06T07:08:09"),
    ],
)
def test_dates_become_those_of_xmp(date: str, time: str | None, wanted: str) -> None:
    packet, lost = with_iptc(None, iptc((2, 55, date), *([(2, 60, time)] if time else [])))
    assert packet is not None and taken(packet)["DateCreated"] == [wanted] and not lost


def test_iptc_in_latin_1_is_read() -> None:
    packet, _ = with_iptc(None, iptc((2, 80, "José".encode("latin-1"))))
    assert packet is not None and taken(packet)["creator"] == ["José"]


def test_records_without_a_place_in_xmp_are_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    image = to_vips(smooth()).copy()
    records = iptc((2, 120, "kept"), (2, 118, "the archive"), (2, 55, "long ago"), (7, 10, b"1"))
    image.set_type(pyvips.GValue.blob_type, "iptc-data", photoshop_block(records))
    image.jpegsave(str(path))
    photo = read_photo(path)
    (note,) = losses(photo, tmp_path / "out.png")
    assert note.startswith(
        f"{path}: PNG cannot hold IPTC records, and XMP has no equivalent for these: "
    )
    assert "2:118, date created, 7:10; " in note
    assert losses(photo, tmp_path / "out.tif") == losses(photo, tmp_path / "out.jpg") == []


@pytest.mark.parametrize("packet", [b"not xml", xmp_packet("<unclosed>"), b"\xff\xfe<\0"])
def test_beside_a_damaged_packet_iptc_is_named_as_lost(packet: bytes) -> None:
    assert with_iptc(packet, iptc((2, 105, "a"), (2, 118, "b"))) == (packet, ["headline", "2:118"])


@many
@given(st.binary(max_size=80), st.text(st.sampled_from(ODD), max_size=20))
@pytest.mark.slow
def test_any_iptc_gives_well_formed_xmp(block: bytes, text: str) -> None:
    packet, _ = with_iptc(None, iptc((2, 120, text)) + b"\x1c\x02" + block)
    if packet is not None:
        taken(say_synthetic(packet, "m"))


@many
@given(st.binary(max_size=80))
def test_damaged_iptc_is_left_out(block: bytes) -> None:
    for prefix in (b"", b"Photoshop 3.0\0", b"Photoshop 3.0\x008BIM\x04\x04"):
        assert isinstance(read_iptc(prefix + block), bytes)
    swapped = np.frombuffer(b"\x1c\x02\x78\x00\x03abc", np.uint32).byteswap().tobytes()
    assert read_iptc(swapped) == b"\x1c\x02\x78\x00\x03abc"
