"""What the inputs of the golden test say about themselves: profiles, EXIF, XMP, IPTC."""

from __future__ import annotations

import struct
from typing import Any

import PIL.ExifTags
import PIL.Image

HEIGHT, WIDTH = 28, 40  # of most inputs


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A profile of version 4.3 for a display (ICC.1:2022, 7)."""
    white = struct.pack(">3i", 63190, 65536, 54061)
    text = b"mluc\0\0\0\0" + struct.pack(">IIHHII", 1, 12, 0x656E, 0x5553, 2, 28) + b"\0x\0\0"
    tags = {b"desc": text, b"cprt": text, b"wtpt": b"XYZ \0\0\0\0" + white, **tags}
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI", size, b"lcms", 0x04300000) + b"mntr" + space + b"XYZ "
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white
    return head.ljust(128, b"\0") + table + body


def gamma(g: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(g * 256)) + bytes(2)


def gray_profile(g: float) -> bytes:
    """Gray with a power curve."""
    return profile(b"GRAY", {b"kTRC": gamma(g)})


def wide_profile() -> bytes:
    """The primaries of Adobe RGB (1998), adapted to D50, and its curve."""
    columns = {
        b"r": (0.60974, 0.31111, 0.01947),
        b"g": (0.20528, 0.62567, 0.06087),
        b"b": (0.14919, 0.06322, 0.74457),
    }
    tags = {}
    for name, xyz in columns.items():
        tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in xyz))
        tags[name + b"TRC"] = gamma(563 / 256)
    return profile(b"RGB ", tags)


def exif(orientation: int | None = None, **tags: Any) -> PIL.Image.Exif:
    block = PIL.Image.Exif()
    if orientation is not None:
        block[0x0112] = orientation
    for name, value in tags.items():
        block[PIL.ExifTags.Base[name]] = value
    return block


def full_exif(orientation: int) -> PIL.Image.Exif:
    block = exif(orientation, Make="Leica", Model="M3", DateTime="1954:05:06 07:08:09")
    block[0x013B], block[0x8298] = "Eva", "(c) 1954 Eva"
    inner = block.get_ifd(0x8769)
    inner[0x829A], inner[0x8827], inner[0x9003] = 0.008, 400, "1954:05:06 07:08:09"
    inner[0xA002], inner[0xA003] = WIDTH, HEIGHT
    place = block.get_ifd(0x8825)
    place[1], place[2] = "N", (48.0, 51.0, 30.5)
    block[0x8769], block[0x8825] = dict(inner), dict(place)  # Pillow's TIFF wants them twice
    return block


def camera_exif(order: str, thumbnail: bytes) -> bytes:
    """A block as cameras write it: a maker note, a directory for the place, a thumbnail."""
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

    pair = struct.pack(order + "II", 300, 1)
    note = b"ACME\0\0" + bytes(range(60))
    camera = [entry(36864, 7, 4, b"0231"), entry(37500, 7, len(note), note)]
    camera += [entry(40961, 3, 1, 65535), entry(40962, 3, 1, WIDTH), entry(40963, 3, 1, HEIGHT)]
    camera += [entry(42033, 2, 8, b"0004711\0"), entry(65001, 99, 7, b"what")]
    inner = directory(camera)
    place = directory([entry(0, 1, 4, b"\2\3\0\0"), entry(1, 2, 2, b"N\0")])
    picture = add(thumbnail)
    second = [entry(259, 3, 1, 6), entry(513, 4, 1, picture), entry(514, 4, 1, len(thumbnail))]
    following = directory(second)
    main = [entry(271, 2, 5, b"Acme\0"), entry(274, 3, 1, 6), entry(282, 5, 1, pair)]
    main += [entry(283, 5, 1, pair), entry(296, 3, 1, 2), entry(316, 2, 5, b"desk\0")]
    main += [entry(18246, 3, 1, 4), entry(34665, 4, 1, inner), entry(34853, 4, 1, place)]
    struct.pack_into(order + "I", data, 4, directory(main, following))
    return b"Exif\0\0" + bytes(data)


def xmp(inside: str = 'dc:source="box 17"') -> bytes:
    """A packet that also says an orientation, and that the colors are those of a scan."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'{inside} tiff:Orientation="6" Iptc4xmpExt:DigitalSourceType='
        '"http://cv.iptc.org/newscodes/digitalsourcetype/negativeFilm"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def iptc() -> bytes:
    """IPTC-IIM records, as IIM 4.2, chapter 1.6 has them."""
    made = b""
    records: list[tuple[int, int, bytes]] = [
        (1, 90, b"\x1b%G"), (2, 120, "Die Straße, 1931".encode()), (2, 90, b"Praha"),
        (2, 25, b"street"), (2, 25, b"tram"), (2, 80, b"E. Foto"), (2, 55, b"19310506"),
        (2, 62, b"19310506"),
    ]  # fmt: skip
    for part, number, value in records:
        made += bytes([0x1C, part, number]) + len(value).to_bytes(2, "big") + value
    return made


def photoshop(records: bytes) -> bytes:
    """The resources of Photoshop: a thumbnail, and then IPTC."""
    thumbnail = b"8BIM\x04\x0c\x03abc" + struct.pack(">I", 5) + b"thumb\0"
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    return thumbnail + resource + bytes(len(records) % 2)
