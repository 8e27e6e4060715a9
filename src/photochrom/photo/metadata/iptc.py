"""IPTC-IIM: records in Photoshop blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

__all__ = [
    "IPTC_DATE",
    "IPTC_RECORDS",
    "IPTC_TIME",
    "iptc_date",
    "iptc_records",
    "photoshop_block",
    "photoshop_names",
    "read_iptc",
    "whole_iptc",
]

_MOST_VALUE = 1 << 20  # bytes of a text that goes from IPTC into XMP
# Records 2:n of IPTC-IIM: their names, and the properties of XMP for them. "Alt" is a text in one
# or more languages, "Seq" and "Bag" are lists. IPTC Photo Metadata Standard 2025.1, IPTC Core; XMP
# Specification Part 3 (Adobe), 2.1.
IPTC_RECORDS: dict[int, tuple[str, str, str]] = {
    5: ("title", "dc:title", "Alt"),
    10: ("urgency", "photoshop:Urgency", ""),
    15: ("category", "photoshop:Category", ""),
    20: ("supplemental categories", "photoshop:SupplementalCategories", "Bag"),
    25: ("keywords", "dc:subject", "Bag"),
    40: ("instructions", "photoshop:Instructions", ""),
    55: ("date created", "photoshop:DateCreated", ""),
    80: ("byline", "dc:creator", "Seq"),
    85: ("byline title", "photoshop:AuthorsPosition", ""),
    90: ("city", "photoshop:City", ""),
    92: ("location", "Iptc4xmpCore:Location", ""),
    95: ("state", "photoshop:State", ""),
    100: ("country code", "Iptc4xmpCore:CountryCode", ""),
    101: ("country", "photoshop:Country", ""),
    103: ("job identifier", "photoshop:TransmissionReference", ""),
    105: ("headline", "photoshop:Headline", ""),
    110: ("credit", "photoshop:Credit", ""),
    115: ("source", "photoshop:Source", ""),
    116: ("copyright", "dc:rights", "Alt"),
    120: ("caption", "dc:description", "Alt"),
    122: ("caption writer", "photoshop:CaptionWriter", ""),
}
IPTC_DATE, IPTC_TIME = 55, 60  # one property in XMP
_ABOUT_ITSELF = frozenset([0, 65, 70])  # version of the records, and the program that wrote them


def iptc_records(iptc: bytes) -> tuple[dict[int, list[str]], list[str]]:
    """The values of records 2:n by n, and the names of records in other parts.

    Source: IPTC-NAA Information Interchange Model 4.2, chapter 3.
    """
    found: dict[int, list[bytes]] = {}
    others: dict[str, None] = {}
    sizes: dict[int, int] = {}
    charset = b""
    at = 0
    while iptc[at : at + 1] == b"\x1c" and at + 5 <= len(iptc):
        part, number = iptc[at + 1], iptc[at + 2]
        size = int.from_bytes(iptc[at + 3 : at + 5], "big")
        at += 5
        if size >= 0x8000:  # the length of the length
            wide = size & 0x7FFF
            size = int.from_bytes(iptc[at : at + wide], "big")
            at += wide
        value = iptc[at : at + size]
        if len(value) < size:
            break
        at += size
        if (part, number) == (1, 90):
            charset = value
        elif part == 2 and number not in _ABOUT_ITSELF:
            sizes[number] = sizes.get(number, 0) + size
            if sizes[number] > _MOST_VALUE:
                name = IPTC_RECORDS.get(number, (f"2:{number}",))[0]
                others[f"{name} (over 1 MB)"] = None
                continue
            found.setdefault(number, []).append(value)
        elif part > 2:
            others[f"{part}:{number}"] = None
    # ESC % G is ISO 2022 for UTF-8. If no character set is stated, most programs use UTF-8 as well.
    # The others use Latin-1, which is seldom valid UTF-8 by chance.
    encoding = "utf-8"
    try:
        b"".join(value for values in found.values() for value in values).decode()
    except UnicodeDecodeError:
        encoding = "utf-8" if charset == b"\x1b%G" else "latin-1"
    texts = {
        number: [_plain(value.decode(encoding, "replace")) for value in values]
        for number, values in found.items()
    }
    return texts, list(others)


def _plain(text: str) -> str:
    """Without the characters that XML cannot hold."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = (c for c in text if c in "\n\t" or (c >= " " and c not in "\ufffe\uffff\x7f"))
    return "".join(kept).strip()


def iptc_date(date: str, time: str) -> str:
    """IIM's CCYYMMDD and HHMMSS±HHMM as ISO 8601; "" if invalid. Zeros stand for unknown."""
    found = re.fullmatch(r"(\d{4})-?(\d\d)-?(\d\d)", date)
    if found is None or found[1] == "0000":
        return ""
    year, month, day = found.groups()
    if month == "00":
        return year
    if day == "00":
        return f"{year}-{month}"
    clock = re.fullmatch(r"(\d\d):?(\d\d):?(\d\d)(?:([+-]\d\d):?(\d\d))?", time)
    if clock is None:
        return f"{year}-{month}-{day}"
    zone = f"{clock[4]}:{clock[5]}" if clock[4] else ""
    return f"{year}-{month}-{day}T{clock[1]}:{clock[2]}:{clock[3]}{zone}"


def read_iptc(block: bytes) -> bytes:
    """The IPTC-IIM records from the block of a file; b"" if there are none.

    JPEG wraps them in a block of Photoshop resources (Adobe, XMP Specification Part 3, 1.1.3),
    which also holds a gray thumbnail and printing hints; TIFF has them bare.
    """
    header = b"Photoshop 3.0\0"
    if block.startswith(b"8BIM"):  # so in TIFF and in the texts of PNG
        block = header + block
    if not block.startswith(header):
        if block[:1] != b"\x1c":  # written as 32-bit words by a machine of the other byte order
            words = block[: len(block) // 4 * 4]
            block = np.frombuffer(words, np.uint32).byteswap().tobytes()
        return block if block[:1] == b"\x1c" else b""
    at = len(header)
    while block[at : at + 4] == b"8BIM" and at + 12 <= len(block):
        number = int.from_bytes(block[at + 4 : at + 6], "big")
        start = at + 6 + (block[at + 6] // 2 + 1) * 2  # past the name, padded to even
        size = int.from_bytes(block[start : start + 4], "big")
        data = block[start + 4 : start + 4 + size]
        if number == 0x0404 and len(data) == size:
            return data
        at = start + 4 + size + size % 2
    return b""


def whole_iptc(blocks: Iterable[bytes | None]) -> bytes | None:
    """The block with the most records, of several in a file; the first of equal ones.

    Programs that change one often leave another as it was, or write only its beginning.
    """
    best, most = None, -1
    for block in blocks:
        if block is None:
            continue
        texts, others = iptc_records(read_iptc(block))
        records = sum(len(values) for values in texts.values()) + len(others)
        if records > most:
            best, most = block, records
    return best


def photoshop_names(block: bytes) -> list[str]:
    """What the resources of Photoshop say about the photo besides IPTC, in words."""
    found: list[str] = []
    data = block.removeprefix(b"Photoshop 3.0\0")
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        start = at + 6 + (data[at + 6] // 2 + 1) * 2
        size = int.from_bytes(data[start : start + 4], "big")
        content = data[start + 4 : start + 4 + size]
        if 2000 <= number <= 2997 or number == 2999:
            found.append("paths of Photoshop")
        elif number == 1034 and any(content):
            found.append("copyright mark of Photoshop")
        elif number == 1035 and content:
            found.append("copyright address of Photoshop")
        at = start + 4 + size + size % 2
    return found


def photoshop_block(iptc: bytes) -> bytes:
    """IPTC-IIM records wrapped for a JPEG; see `read_iptc`."""
    size = len(iptc).to_bytes(4, "big")
    return b"Photoshop 3.0\x008BIM\x04\x04\0\0" + size + iptc + bytes(len(iptc) % 2)
