"""XMP: kept, with the statement that the colors are synthetic."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import PIL.Image
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from photochrom.photo.formats.table import EXTENSIONS
from photochrom.photo.losses import losses
from photochrom.photo.metadata.xmp import result_packet, say_synthetic
from photochrom.photo.read import read_photo
from photochrom.photo.write import Output, write_photo
from tests.photo.material import (
    IPTC_EXTENSION,
    NEW_SOURCE_TYPE,
    ODD,
    colored,
    full_source,
    iptc,
    many,
    photo_of,
    smooth,
    statements,
    taken,
    to_vips,
    xmp_of,
    xmp_packet,
)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_xmp_travels_and_says_that_the_colors_are_synthetic(tmp_path: Path, extension: str) -> None:
    photo = read_photo(full_source(tmp_path))
    out = tmp_path / f"out{extension}"
    write_photo(out, colored(photo), photo, Output(model="base <1> & co"))
    packet = xmp_of(out)
    assert b'dc:source="box 17"' in packet
    assert b'tiff:Orientation="1"' in packet
    assert statements(packet, "DigitalSourceType") == [NEW_SOURCE_TYPE]
    assert statements(packet, "AISystemUsed") == ["photochrom base <1> & co"]
    with PIL.Image.open(out) as image:
        image.load()
        own = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
        assert own is not None

    # A second pass states it once more only, and changes nothing else.
    again = read_photo(out)
    write_photo(tmp_path / f"again{extension}", colored(again), again, Output(model="other"))
    packet = xmp_of(tmp_path / f"again{extension}")
    assert statements(packet, "DigitalSourceType") == [NEW_SOURCE_TYPE]
    assert statements(packet, "AISystemUsed") == ["photochrom other"]
    assert b'dc:source="box 17"' in packet


def test_padding_between_the_parts_of_a_packet_costs_no_time() -> None:
    # With expressions that try every start of a run of blanks this would take hours.
    packet = xmp_packet(" " * 3_000_000)
    assert statements(say_synthetic(packet, ""), "DigitalSourceType") == [NEW_SOURCE_TYPE]
    packet = xmp_packet("").replace(b"<?xpacket end", b" " * 3_000_000 + b"<?xpacket end")
    assert len(say_synthetic(packet, "")) < 2000


@pytest.mark.slow
def test_the_elements_of_a_large_packet_are_not_looked_at_one_by_one() -> None:
    # Photoshop can list every document that ever lent a layer: tens of megabytes.
    ancestors = "".join(f"<rdf:li>xmp.did:{n}</rdf:li>" for n in range(50_000))
    inside = (
        '<rdf:Description rdf:about="" xmlns:p="http://ns.adobe.com/photoshop/1.0/">'
        f"<p:DocumentAncestors><rdf:Bag>{ancestors}</rdf:Bag></p:DocumentAncestors>"
        "</rdf:Description>"
    )
    calls = 0

    def count(*event: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        made, _, told = result_packet(xmp_packet(inside), b"", "model")
    finally:
        sys.setprofile(None)
    assert calls < 5000 and told is None and ancestors.encode() in made
    assert statements(made, "DigitalSourceType") == [NEW_SOURCE_TYPE]


def test_a_large_packet_that_cannot_be_added_to_is_left_out_and_that_is_said() -> None:
    large = xmp_packet(SAID.replace("box", "x" * 10_000))
    made, lost, told = result_packet(large, iptc((2, 90, "Prague")), "m0", 10_000)
    assert (lost, told) == (("city",), None) and b"x" * 10_000 in made
    made, lost, told = result_packet(large.decode().encode("utf-16"), b"", "m0", 10_000)
    assert told == "its XMP is too large to rewrite and was dropped"
    assert statements(made, "DigitalSourceType") == [NEW_SOURCE_TYPE] and len(made) < 2000


def test_a_file_without_xmp_gets_a_packet(tmp_path: Path) -> None:
    write_photo(tmp_path / "out.png", smooth(), photo_of(smooth()))
    packet = xmp_of(tmp_path / "out.png")
    assert packet.startswith(b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>')
    assert packet.rstrip().endswith(b'<?xpacket end="w"?>')
    assert statements(packet, "AISystemUsed") == ["photochrom"]


def test_what_the_source_said_of_its_own_origin_is_replaced() -> None:
    namespace = f'xmlns:Iptc4xmpExt="{IPTC_EXTENSION[1:-1]}"'
    old = "http://cv.iptc.org/newscodes/digitalsourcetype/negativeFilm"
    for inside in (
        f'<rdf:Description rdf:about="uuid:7" {namespace} Iptc4xmpExt:DigitalSourceType="{old}"/>',
        f'<rdf:Description rdf:about="uuid:7" {namespace}>'
        f"<Iptc4xmpExt:DigitalSourceType>{old}</Iptc4xmpExt:DigitalSourceType></rdf:Description>",
    ):
        packet = say_synthetic(xmp_packet(inside), "")
        assert statements(packet, "DigitalSourceType") == [NEW_SOURCE_TYPE]
        assert b'<rdf:Description rdf:about="uuid:7" xmlns:Iptc4xmpExt' in packet


OLD_CLAIM = "http://cv.iptc.org/newscodes/digitalsourcetype/negativeFilm"


SAID = '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="box"/>'


def own_prefix(key: str, content: str) -> str:
    """A property in a description, its namespace declared just there."""
    name = f'<e:{key} xmlns:e="{IPTC_EXTENSION[1:-1]}">{content}</e:{key}>'
    return f'<rdf:Description rdf:about="">{name}</rdf:Description>'


@pytest.mark.parametrize(
    "packet",
    [
        xmp_packet(SAID).decode().encode("utf-16"),
        xmp_packet(SAID).decode().encode("utf-16-be"),
        re.sub(rb"\brdf:", b"r:", xmp_packet(SAID)).replace(b"xmlns:rdf", b"xmlns:r"),
        xmp_packet(SAID) + b"<!-- </rdf:RDF> -->",
        xmp_packet(SAID + '<rdf:Description rdf:about="a"/><rdf:Description rdf:about="b"/>'),
        xmp_packet(SAID + own_prefix("DigitalSourceType", OLD_CLAIM)),
        xmp_packet(
            SAID + re.sub(r"\be(?=[:=])", "Iptc4xmpExt", own_prefix("DigitalSourceType", OLD_CLAIM))
        ),
        xmp_packet(SAID + own_prefix("AISystemUsed", "<b>" + OLD_CLAIM + "</b>")),
        xmp_packet(
            f'{SAID}<rdf:Description rdf:about="" xmlns:e="{IPTC_EXTENSION[1:-1]}" '
            f'e:DigitalSourceType="{OLD_CLAIM}"/>'
        ),
        xmp_packet(
            f'{SAID}<rdf:Description rdf:about="" xmlns:t="http://ns.adobe.com/tiff/1.0/" '
            f't:Orientation="6"/>'
        ),
        xmp_packet(f"{SAID}<!-- <!DOCTYPE -->"),
    ],
)
def test_a_packet_that_cannot_be_added_to_as_text_is_written_again(packet: bytes) -> None:
    made, lost, told = result_packet(packet, iptc((2, 90, "Prague")), "model")
    assert (lost, told) == ((), None)
    said = taken(made)
    assert said["DigitalSourceType"] == [NEW_SOURCE_TYPE]
    assert said["AISystemUsed"] == ["photochrom model"]
    assert (said["source"], said["City"]) == (["box"], ["Prague"])
    assert OLD_CLAIM.encode() not in made and b'Orientation="6"' not in made
    assert b"<rdf:RDF" in made and made.rstrip().endswith(b'<?xpacket end="w"?>')
    assert result_packet(made, b"", "model")[0].count(b"compositeWith") == 1


def test_an_empty_list_of_descriptions_is_added_to() -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
    )
    for source in (packet, b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', b"", b" \n\0\0", None):
        made, _, told = result_packet(source, b"", "model")
        assert statements(made, "DigitalSourceType") == [NEW_SOURCE_TYPE] and told is None


@pytest.mark.parametrize(
    "packet",
    [
        b"not xml",
        b"\xff\xfe<\0x\0",
        b"<a>some other XML</a>",
        xmp_packet("<unclosed>"),
        # Well-formed, and with a few more such lines gigabytes long.
        b"<!DOCTYPE a [<!ENTITY b 'ccc'>]>"
        + xmp_packet('<rdf:Description rdf:about="" rdf:nodeID="&b;&b;"/>').partition(b"?>")[2],
    ],
)
def test_a_damaged_packet_is_replaced_and_that_is_said(packet: bytes, tmp_path: Path) -> None:
    made, lost, told = result_packet(packet, iptc((2, 90, "Prague")), "model")
    assert taken(made)["DigitalSourceType"] == [NEW_SOURCE_TYPE]
    assert taken(made)["City"] == ["Prague"]
    assert (lost, told) == ((), "its XMP is damaged and was dropped")
    image = to_vips(smooth()).copy()
    image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    image.tiffsave(str(tmp_path / "a.tif"))
    (note,) = losses(read_photo(tmp_path / "a.tif"), tmp_path / "b.tif")
    assert note.endswith("a.tif: its XMP is damaged and was dropped")


def test_bytes_in_a_packet_that_are_no_text_cost_themselves_alone() -> None:
    made, _, told = result_packet(
        xmp_packet(SAID.replace("box", "box N")).replace(b"N", b"\xff"), b"", "model"
    )
    assert taken(made)["source"] == ["box \N{REPLACEMENT CHARACTER}"]
    assert told == "its XMP holds bytes that are not text"
    assert statements(made, "DigitalSourceType") == [NEW_SOURCE_TYPE]


@pytest.mark.slow
def test_a_packet_however_deep_is_written_again() -> None:
    deep = SAID + "<a>" * 20_000 + "</a>" * 20_000 + own_prefix("DigitalSourceType", OLD_CLAIM)
    made = result_packet(xmp_packet(deep), b"", "model")[0]
    assert made.count(b"<a>") == 20_000 and OLD_CLAIM.encode() not in made


@many
@given(st.text(st.sampled_from(ODD)))
def test_any_model_name_gives_well_formed_xmp(model: str) -> None:
    packet = say_synthetic(None, model)
    assert statements(packet, "DigitalSourceType") == [NEW_SOURCE_TYPE]
    (system,) = statements(packet, "AISystemUsed")
    assert system.startswith("photochrom")


@many
@given(st.binary() | st.text(alphabet="<>/=:'\" rdfDescriptionRDFabout\n").map(str.encode))
def test_no_source_packet_breaks_the_writing(packet: bytes) -> None:
    for source in (packet, xmp_packet("") + packet, xmp_packet("") + b"<!--" + packet):
        made = say_synthetic(source, "model")
        assert statements(made, "DigitalSourceType") == [NEW_SOURCE_TYPE]
