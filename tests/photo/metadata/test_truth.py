"""XMP of a result says what is true of its pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from photochrom.photo.losses import losses
from photochrom.photo.metadata.truth import Truth, made_true
from photochrom.photo.metadata.turn import Turn
from photochrom.photo.read import decode_photo, read_photo
from photochrom.photo.write import write_photo
from tests.photo.material import colored, smooth, taken, to_pil, xmp_of, xmp_packet

SPACES = {
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpGImg": "http://ns.adobe.com/xap/1.0/g/img/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "GCamera": "http://ns.google.com/photos/1.0/camera/",
    "GFocus": "http://ns.google.com/photos/1.0/focus/",
    "GImage": "http://ns.google.com/photos/1.0/image/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}


def packet(attributes: str = "", inside: str = "") -> bytes:
    spaces = "".join(f' xmlns:{key}="{space}"' for key, space in SPACES.items())
    return xmp_packet(
        f'<rdf:Description rdf:about=""{spaces} {attributes}>{inside}</rdf:Description>'
    )


def photo_with(xmp: bytes, orientation: int = 0, size: tuple[int, int] = (30, 20)) -> Any:
    """A gray JPEG, stored with this width and height."""
    file = io.BytesIO()
    exif = PIL.Image.Exif()
    if orientation:
        exif[274] = orientation
    to_pil(smooth(size[1], size[0], 1), "L").save(file, "JPEG", xmp=xmp, exif=exif)
    return decode_photo(file.getvalue())


def result(folder: Path, photo: Any, name: str = "a.jpg") -> str:
    write_photo(folder / name, colored(photo), photo)
    return xmp_of(folder / name).decode()


def spot(orientation: int) -> tuple[float, float]:
    """Where the pixel at (6, 4) of 30 x 20 is after a turn, by Pillow: its center."""
    marked = np.zeros((20, 30), np.uint8)
    marked[4, 6] = 255
    image = PIL.Image.fromarray(marked)
    image.getexif()[274] = orientation
    from PIL import ImageOps

    turned = np.asarray(ImageOps.exif_transpose(image))
    (y,), (x,) = np.nonzero(turned)
    return (x + 0.5) / turned.shape[1], (y + 0.5) / turned.shape[0]


SPOT = (6.5 / 30, 4.5 / 20)  # as stored
FACE = (
    '<mwg-rs:Regions rdf:parseType="Resource">'
    '<mwg-rs:AppliedToDimensions stDim:w="{}" stDim:h="{}" stDim:unit="pixel"/>'
    "<mwg-rs:RegionList><rdf:Bag><rdf:li><rdf:Description "
    'mwg-rs:Name="Oma" mwg-rs:Type="Face"><mwg-rs:Area stArea:x="{}" stArea:y="{}" '
    'stArea:w="0.1" stArea:h="0.2" stArea:unit="normalized"/></rdf:Description></rdf:li>'
    "</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
)


def numbers(packet: str, *names: str) -> list[float]:
    import xml.etree.ElementTree as ElementTree

    found: dict[str, float] = {}
    for element in ElementTree.fromstring(packet.strip("\ufeff \n")).iter():
        for key, value in [*element.attrib.items(), (element.tag, element.text or "")]:
            space, _, name = key[1:].partition("}")
            for prefix, uri in SPACES.items():
                if space == uri and f"{prefix}:{name}" in names:
                    found[f"{prefix}:{name}"] = float(value)
    return [found[name] for name in names]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_faces_and_their_sizes_turn_with_the_pixels(tmp_path: Path, orientation: int) -> None:
    photo = photo_with(packet("", FACE.format(30, 20, *SPOT)), orientation)
    said = result(tmp_path, photo)
    expected = spot(orientation)
    assert numbers(said, "stArea:x", "stArea:y") == pytest.approx(expected, abs=1e-5)
    sideways = orientation >= 5
    assert numbers(said, "stArea:w", "stArea:h") == ([0.2, 0.1] if sideways else [0.1, 0.2])
    assert numbers(said, "stDim:w", "stDim:h") == ([20, 30] if sideways else [30, 20])
    assert 'Name="Oma"' in said


def test_faces_drawn_on_the_photo_as_it_is_shown_stay(tmp_path: Path) -> None:
    photo = photo_with(packet("", FACE.format(20, 30, 0.25, 0.75)), 6)
    said = result(tmp_path, photo)
    assert numbers(said, "stArea:x", "stArea:y", "stDim:w", "stDim:h") == [0.25, 0.75, 20, 30]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_boxes_of_others_turn_too(tmp_path: Path, orientation: int) -> None:
    x, y = SPOT
    box = f"{x - 0.1}, {y - 0.1}, 0.2, 0.2"
    inside = (
        '<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag>'
        f'<rdf:li MPReg:Rectangle="{box}" MPReg:PersonDisplayName="Oma"/>'
        "</rdf:Bag></MPRI:Regions></MP:RegionInfo>"
        '<Iptc4xmpExt:ImageRegion><rdf:Bag><rdf:li rdf:parseType="Resource">'
        '<Iptc4xmpExt:RegionBoundary rdf:parseType="Resource">'
        "<Iptc4xmpExt:rbUnit>pixel</Iptc4xmpExt:rbUnit>"
        "<Iptc4xmpExt:rbX>5.5</Iptc4xmpExt:rbX><Iptc4xmpExt:rbY>3.5</Iptc4xmpExt:rbY>"
        "<Iptc4xmpExt:rbW>2</Iptc4xmpExt:rbW><Iptc4xmpExt:rbH>2</Iptc4xmpExt:rbH>"
        "</Iptc4xmpExt:RegionBoundary></rdf:li></rdf:Bag></Iptc4xmpExt:ImageRegion>"
        "<exif:SubjectArea><rdf:Seq><rdf:li>6.5</rdf:li><rdf:li>4.5</rdf:li></rdf:Seq>"
        "</exif:SubjectArea>"
    )
    crop = (
        f'crs:CropLeft="{x - 0.1}" crs:CropRight="{x + 0.1}" crs:CropTop="{y - 0.1}" '
        f'crs:CropBottom="{y + 0.1}" GFocus:FocalPointX="{x}" GFocus:FocalPointY="{y}"'
    )
    photo = photo_with(packet(crop, inside), orientation)
    said = result(tmp_path, photo)
    a, b = spot(orientation)
    left, top, right, bottom = numbers(
        said, "crs:CropLeft", "crs:CropTop", "crs:CropRight", "crs:CropBottom"
    )
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((a, b), abs=1e-5)
    assert left < right and top < bottom
    assert numbers(said, "GFocus:FocalPointX", "GFocus:FocalPointY") == pytest.approx(
        (a, b), abs=1e-5
    )
    rectangle = said.partition("Rectangle=")[2].split(said.partition("Rectangle=")[2][0])[1]
    px, py, pw, ph = map(float, rectangle.split(","))
    assert (px + pw / 2, py + ph / 2) == pytest.approx((a, b), abs=1e-5)
    rx, ry, rw, rh = numbers(
        said, "Iptc4xmpExt:rbX", "Iptc4xmpExt:rbY", "Iptc4xmpExt:rbW", "Iptc4xmpExt:rbH"
    )
    center = ((rx + rw / 2) / photo.width, (ry + rh / 2) / photo.height)
    assert center == pytest.approx((a, b), abs=1e-5)
    subject = [float(v) for v in taken(said.encode())["SubjectArea"]]
    assert (subject[0] / photo.width, subject[1] / photo.height) == pytest.approx((a, b), abs=1e-5)


def test_xmp_alone_turns_the_photo_and_exif_comes_first(tmp_path: Path) -> None:
    turned = packet('tiff:Orientation="6"')
    assert photo_with(turned).width == 20
    assert photo_with(turned, 3).width == 30
    assert photo_with(turned, 1).width == 30
    inside = photo_with(packet("", "<tiff:Orientation>8</tiff:Orientation>"))
    assert inside.width == 20
    said = result(tmp_path, inside)
    assert ">1</tiff:Orientation>" in said
    assert read_photo(tmp_path / "a.jpg").width == 20  # once


FALSE = (
    'tiff:SamplesPerPixel="1" tiff:PhotometricInterpretation="1" exif:ColorSpace="65535" '
    'photoshop:ICCProfile="Dot Gain 20%" photoshop:ColorMode="1" crs:ConvertToGrayscale="True" '
    'crs:GrayMixerRed="12" crs:Saturation="-100" crs:Contrast2012="+5" hdrgm:Version="1.0" '
    'GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="12345" GCamera:BurstID="b" '
    'xmp:Label="Red" dc:format="image/tiff"'
)
LISTS = (
    '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item '
    'Item:Semantic="GainMap" Item:Length="1283"/></rdf:li></rdf:Seq></Container:Directory>'
    '<xmp:Thumbnails><rdf:Alt><rdf:li xmpGImg:format="JPEG" xmpGImg:image="AAAA"/></rdf:Alt>'
    "</xmp:Thumbnails><GImage:Data>AAAA</GImage:Data>"
)


def test_what_is_false_in_the_result_is_dropped_or_corrected(tmp_path: Path) -> None:
    photo = photo_with(packet(FALSE, LISTS))
    said = result(tmp_path, photo)
    for gone in (
        "SamplesPerPixel", "PhotometricInterpretation", "Dot Gain", "ConvertToGrayscale",
        "GrayMixer", "-100", "hdr-gain-map", "MotionPhoto", "MicroVideo", "GainMap", "Thumbnails",
        "AAAA",
    ):  # fmt: skip
        assert gone not in said, gone
    found = taken(said.encode())
    assert (found["ColorSpace"], found["ColorMode"], found["format"]) == (
        ["1"],
        ["3"],
        ["image/jpeg"],
    )
    assert (found["Label"], found["Contrast2012"], found["BurstID"]) == (["Red"], ["+5"], ["b"])
    notes = "\n".join(losses(photo, tmp_path / "b.jpg"))
    assert "the second picture in its XMP was dropped" in notes


def test_the_profile_is_named_where_the_result_has_one() -> None:
    truth = Truth(Turn(), "image/jpeg", profiled=True)
    said, _ = made_true(packet('photoshop:ICCProfile="Gray Gamma 2.2"'), truth)
    assert taken(said)["ICCProfile"] == ["sRGB IEC61966-2.1"]


def test_true_and_damaged_packets_stay_byte_for_byte() -> None:
    truth = Truth(Turn(6, 20, 30), "image/jpeg", profiled=False)
    for xmp in (
        packet('xmp:Label="Red" dc:format="image/jpeg"'),
        b"<x:xmpmeta><hdrgm>" + SPACES["hdrgm"].encode(),
        packet(FALSE)[:-9],
    ):
        assert made_true(xmp, truth) == (xmp, ())
    assert made_true(packet(FALSE), truth, most=99) == (packet(FALSE), ())


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_the_subject_in_exif_turns_too(tmp_path: Path, orientation: int, name: str) -> None:
    exif = PIL.Image.Exif()
    exif[274] = orientation
    inner = exif.get_ifd(0x8769)
    inner[0x9214], inner[0xA214] = (6, 4, 2, 3), (6, 4)  # area, location
    inner[0xA20E], inner[0xA20F] = 100.0, 200.0  # resolution of the sensor
    file = io.BytesIO()
    to_pil(smooth(20, 30, 1), "L").save(file, "JPEG", exif=exif)
    photo = decode_photo(file.getvalue())
    write_photo(tmp_path / name, colored(photo), photo)
    with PIL.Image.open(tmp_path / name) as image:
        found = image.getexif().get_ifd(0x8769)
    x, y = spot(orientation)  # of the center of the pixel; EXIF counts from its corner
    corner = {
        2: (24, 4), 3: (24, 16), 4: (6, 16), 5: (4, 6), 6: (16, 6), 7: (16, 24), 8: (4, 24)
    }[orientation]  # fmt: skip
    assert abs(corner[0] - x * photo.width) <= 0.5 and abs(corner[1] - y * photo.height) <= 0.5
    sideways = orientation >= 5
    assert tuple(found[0xA214]) == corner
    assert tuple(found[0x9214]) == (*corner, *((3, 2) if sideways else (2, 3)))
    assert found[0xA20E] == (200 if sideways else 100)
