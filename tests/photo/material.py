"""What the tests of photos are made of."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.ExifTags
import PIL.Image
import PIL.ImageCms
import pytest
import pyvips
from hypothesis import settings

from photochrom import PhotoError
from photochrom.photo.limits import ReadLimits
from photochrom.photo.open import open_photo
from photochrom.photo.photo import Photo

# No deadline: a busy machine is no failure.
many = settings(deadline=None, max_examples=60)


# Characters that XML quotes or forbids, and some of every kind. (To draw from all of Unicode takes
# seconds before the first.)
ODD = "a &<>\"'\\]\t\n\r\0\x1f\x7f\x85\xadé写ת\u202e\u2028\ufeff\ufffe\U0001f4f7\U0010ffff"


IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


IPTC_EXTENSION = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"


RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


NEW_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)


def noise(height: int, width: int, channels: int, dtype: Any = np.uint8) -> np.ndarray:
    generator = np.random.default_rng(height * 1000 + width * 10 + channels)
    if np.issubdtype(dtype, np.floating):
        return generator.random((height, width, channels)).astype(dtype)
    return generator.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype)


def smooth(height: int = 48, width: int = 64, channels: int = 3) -> np.ndarray:
    """A gradient without extremes, which lossy formats keep to within a few levels."""
    y, x = np.mgrid[0:height, 0:width]
    across, down = x / (width - 1), y / (height - 1)
    ramps = np.stack([across, down, 1 - across][:channels], axis=-1)
    return (40 + 175 * ramps).round().astype(np.uint8)


def to_pil(array: np.ndarray, mode: str) -> PIL.Image.Image:
    return PIL.Image.frombytes(mode, array.shape[1::-1], np.ascontiguousarray(array).tobytes())


def to_vips(array: np.ndarray, interpretation: str = "srgb") -> Any:
    kinds = {"uint8": "uchar", "uint16": "ushort", "float32": "float"}
    height, width, bands = array.shape
    data = np.ascontiguousarray(array).tobytes()
    vips = pyvips.Image.new_from_memory(data, width, height, bands, kinds[str(array.dtype)])
    return vips.copy(interpretation=interpretation)


def photo_of(array: np.ndarray) -> Photo:
    return open_photo(array)


def png_bytes(width: int, height: int, depth: int, kind: int, rows: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def p3_profile() -> bytes:
    return bytes(pyvips.Image.profile_load("p3"))


def exif_with(**tags: Any) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    for name, value in tags.items():
        exif[PIL.ExifTags.Base[name]] = value
    return exif


def xmp_packet(inside: str) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="{RDF[1:-1]}">{inside}</rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


def xmp_of(path: Path) -> bytes:
    packet = pyvips.Image.new_from_file(str(path)).get("xmp-data")
    return bytes(packet).rstrip(b"\0")


def statements(packet: bytes, key: str) -> list[str]:
    """All values of an IPTC Extension property in a packet, as attribute or as element."""
    root = ElementTree.fromstring(packet.decode().strip("\ufeff\n "))
    tag = IPTC_EXTENSION + key
    values = [element.get(tag) or "" for element in root.iter() if tag in element.attrib]
    return values + [element.text or "" for element in root.iter() if element.tag == tag]


def refused(action: Any, *arguments: Any, **options: Any) -> PhotoError:
    try:
        action(*arguments, **options)
    except PhotoError as error:
        return error
    pytest.fail("no PhotoError was raised")


def refusal(action: Any, *arguments: Any, **options: Any) -> str:
    """The message of the PhotoError that a call must raise: one line, with a remedy."""
    message = str(refused(action, *arguments, **options))
    assert "\n" not in message
    assert ";" in message  # "what is wrong; what to do"
    return message


def assert_only(folder: Path, *names: str) -> None:
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(names)


def pil_to_srgb(image: PIL.Image.Image) -> np.ndarray:
    profile = PIL.ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    converted = PIL.ImageCms.profileToProfile(
        image,
        profile,
        PIL.ImageCms.createProfile("sRGB"),
        renderingIntent=PIL.ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    assert converted is not None
    return np.asarray(converted).astype(int)


def apart_from_clipping(pixels: np.ndarray, clipped: np.ndarray) -> np.ndarray:
    """Differences, in steps of 8 bits, of colors that sRGB can show.

    The others are clipped by LittleCMS, and lose chroma here.
    """
    shown = ((clipped > 0) & (clipped < 255)).all(axis=2)
    assert shown.mean() > 0.3
    top = 1 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
    return (pixels * (255 / top) - clipped)[shown]


def assert_srgb_profile(data: bytes) -> None:
    """Valid, and to convert from it into Pillow's own sRGB moves nothing by more than rounding."""
    image = to_pil(noise(20, 20, 3), "RGB")
    image.info["icc_profile"] = data
    assert np.abs(pil_to_srgb(image) - noise(20, 20, 3)).max() <= 1


def python(code: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def full_source(folder: Path, extension: str = ".jpg") -> Path:
    path = folder / f"source{extension}"
    exif = exif_with(Orientation=6, Artist="Jos\u00e9", Copyright="(c) 1931", Make="Kodak")
    exif.get_ifd(PIL.ExifTags.IFD.Exif)[PIL.ExifTags.Base.DateTimeOriginal] = "1931:05:06 07:08:09"
    exif.get_ifd(PIL.ExifTags.IFD.GPSInfo)[PIL.ExifTags.GPS.GPSLatitudeRef] = "N"
    xmp = xmp_packet(
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" dc:source="box 17" tiff:Orientation="6"/>'
    )
    to_pil(smooth(24, 32, 1), "L").save(path, exif=exif, xmp=xmp, dpi=(300, 300), quality=95)
    return path


def colored(photo: Photo) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(photo.pixels, (photo.height, photo.width, 3)))


def iptc(*records: tuple[int, int, str | bytes]) -> bytes:
    """IPTC-IIM records (part, number, value), as IIM 4.2, chapter 1.6 has them."""
    made = b""
    for part, number, value in records:
        data = value.encode() if isinstance(value, str) else value
        made += bytes([0x1C, part, number]) + len(data).to_bytes(2, "big") + data
    return made


def taken(packet: bytes) -> dict[str, list[str]]:
    """What a packet says by property, in a parser of its own: attributes, texts and lists."""
    root = ElementTree.fromstring(packet.decode().strip("\ufeff \n"))
    found: dict[str, list[str]] = {}
    for description in root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"):
        for name, value in description.attrib.items():
            found.setdefault(name.rpartition("}")[2], []).append(value)
        for element in description:
            items = [e.text or "" for e in element.iter() if e.tag.endswith("}li")]
            found.setdefault(element.tag.rpartition("}")[2], []).extend(
                items or [element.text or ""]
            )
    return found


LARGE = ReadLimits(stream_pixels=0)  # every file counts as large


def exif() -> PIL.Image.Exif:
    block = PIL.Image.Exif()
    block[0x010F], block[0x0110], block[0x0132] = "Leica", "M3", "1954:05:06 07:08:09"
    block[0x8298], block[0x0112] = "© Åsa", 6
    inner = block.get_ifd(0x8769)
    inner[0x829A], inner[0x8827], inner[0x9003] = 0.008, 400, "1954:05:06 07:08:09"
    inner[0xA002], inner[0xA003] = 80, 60
    place = block.get_ifd(0x8825)
    place[1], place[2] = "N", (48.0, 51.0, 30.5)
    block[0x8769], block[0x8825] = dict(inner), dict(place)  # Pillow's TIFF wants them twice
    return block
