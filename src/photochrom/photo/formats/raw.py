"""Camera raw: the preview that the camera has put in, the largest JPEG of the file.

The raw samples themselves are not developed. Most raw files are built like TIFF; those of Fujifilm
and the newer ones of Canon are not.

Sources: TIFF 6.0 (Adobe, 1992); DNG 1.7 (Adobe, 2023); ISO/IEC 14496-12, 8.7; the tables of tags of
ExifTool 12 (Phil Harvey) for Panasonic, Olympus, Fujifilm and Canon.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from photochrom.errors import PhotoError
from photochrom.photo.formats.format import Format, Holds, Request, boxes
from photochrom.photo.ifd import (
    COMPRESSION,
    EXIF,
    FAILURES,
    ORIENTATION,
    STRIPS,
    SUB_IFDS,
    Reader,
    Slot,
    file_head,
    packed_tree,
    to_number,
)
from photochrom.photo.metadata.exif import EXIF_HEAD, NAMING, exif_orientation, exif_tree
from photochrom.photo.source import Origin, read_at

__all__ = ["DEVELOP", "RAW", "RAW_SUFFIXES", "Preview", "preview_in"]

RAW_SUFFIXES = frozenset([
    ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".mef", ".nef", ".nrw", ".orf", ".pef",
    ".raf", ".rw2", ".rwl", ".sr2", ".srw",
])  # fmt: skip
"""Of files in which a preview is looked for."""
LEAST_SIDE = 640
"""Pixels of the longer side; a smaller picture is a thumbnail."""
DEVELOP = "develop it with a raw converter, and save it as TIFF or JPEG"
_JPEG_AT, _JPEG_SIZE, _STRIP_SIZES, _PANASONIC, _MAKER_NOTE = 513, 514, 279, 0x2E, 37500
_OLYMPUS = {b"OLYMPUS\0": 12, b"OM SYSTEM\0": 16}  # heads of maker notes, and where tags begin
_CAMERA_SETTINGS, _PREVIEW_AT, _PREVIEW_SIZE = 0x2020, 0x101, 0x102
_MOST_DIRECTORIES = 64
_MOST_MOVIE = 1 << 22  # bytes
_MOST_JPEG = 1 << 27
_MOST_SEGMENTS = 2000
_WANTED = frozenset(
    [COMPRESSION, EXIF, ORIENTATION, STRIPS, SUB_IFDS, _STRIP_SIZES, _JPEG_AT, _JPEG_SIZE]
)


class Preview(NamedTuple):
    """The picture in a raw file."""

    data: bytes  # JPEG
    width: int
    height: int
    exif: bytes | None  # of the file around it
    orientation: int  # stated there; 0: none

    @property
    def note(self) -> str:
        """What the user has to know."""
        return (
            f"is camera raw; the preview in it was colored, which has {self.width} x {self.height} "
            f"pixels. For the whole photo, {DEVELOP}"
        )


@dataclass(frozen=True, eq=False)
class _Raw(Format):
    def begins(self, head: bytes) -> bool:
        # The others begin like any TIFF file.
        marks = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR")
        return head.startswith(marks) or head[4:12] == b"ftypcrx " or head[8:12] == b"CR\2\0"

    def wraps(self, request: Request) -> bool:
        return True


RAW = _Raw(
    name="camera raw",
    suffixes=tuple(sorted(RAW_SUFFIXES)),
    media_type="image/x-dcraw",
    loader="",
    saver="",
    holds=Holds((), side=0),
)


def preview_in(origin: Origin, name: str) -> Preview:
    """The preview in a raw file.

    Raises
    ------
    PhotoError
        There is none that is large enough.
    """
    with origin.open() as file:
        head, about = read_at(file, 0, 16), _About(None, 0)
        if head.startswith(b"FUJIFILM"):
            places = iter([struct.unpack(">II", read_at(file, 84, 8).ljust(8, b"\0"))])
        elif head[4:8] == b"ftyp":
            movie = _movie(file)
            places, about = _in_movie(movie), _of_movie(movie)
        else:
            places, about = _in_directories(file), _of_first(file)
        found = [
            (*sides, at, size)
            for at, size in dict.fromkeys(places)
            if 0 < size <= _MOST_JPEG and (sides := _sides(file, at, size))
        ]
        width, height, at, size = max(found, key=lambda one: one[0] * one[1], default=(0, 0, 0, 0))
        if max(width, height) < LEAST_SIDE:
            what = f"one of {width} x {height} pixels" if found else "none"
            raise PhotoError(
                f"camera raw files are colored by the preview in them, and this has {what}",
                DEVELOP,
                name=name,
            )
        return Preview(read_at(file, at, size), width, height, *about)


class _About(NamedTuple):
    """What a file says about its photo."""

    exif: bytes | None
    orientation: int


def _sides(file: BinaryIO, at: int, size: int) -> tuple[int, int] | None:
    """(width, height) of a JPEG; None if it is none, or has samples that are raw.

    Source: ITU-T T.81, B.2.2.
    """
    end, place = at + size, at + 2
    if read_at(file, at, 2) != b"\xff\xd8":
        return None
    for _ in range(_MOST_SEGMENTS):
        head = read_at(file, place, 9)
        if len(head) < 9 or head[0] != 0xFF or place + 9 > end or head[1] == 0xDA:
            return None
        if head[1] in (0xC0, 0xC1, 0xC2):  # baseline, extended, progressive
            height, width = struct.unpack(">HH", head[5:9])
            return (width, height) if head[4] == 8 else None
        if 0xC3 <= head[1] <= 0xCF and head[1] not in (0xC4, 0xC8, 0xCC):
            return None
        place += 1 if head[1] == 0xFF else 2 + int.from_bytes(head[2:4], "big")
    return None


# --- files built like TIFF ------------------------------------------------------------------------


def _of_first(file: BinaryIO) -> _About:
    try:
        reader = Reader(file)
        directory, _ = reader.directory(reader.first, NAMING | {ORIENTATION})
        tree = exif_tree(reader, directory)
    except FAILURES:
        return _About(None, 0)
    if isinstance(camera := tree.get(EXIF), dict):
        camera.pop(_MAKER_NOTE, None)  # megabytes in some, and its places would no longer be right
    block = EXIF_HEAD + file_head("<", False, 8) + packed_tree(tree, 8, False) if tree else None
    orientation = to_number(directory, ORIENTATION)
    return _About(block, orientation if 1 <= orientation <= 8 else 0)


def _in_directories(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Place and size of what may be a JPEG, in all directories."""
    try:
        reader = Reader(file)
        waiting, seen = [reader.first], set[int]()
        while waiting and len(seen) < _MOST_DIRECTORIES:
            at = waiting.pop()
            if at == 0 or at in seen:
                continue
            seen.add(at)
            try:
                found, following = reader.directory(at, _WANTED)
            except FAILURES:
                continue
            below = found[SUB_IFDS].numbers if SUB_IFDS in found else []
            waiting += [following, *below[:_MOST_DIRECTORIES]]
            yield to_number(found, _JPEG_AT), to_number(found, _JPEG_SIZE)
            strips = found[STRIPS].numbers if STRIPS in found else []
            if len(strips) == 1 and to_number(found, COMPRESSION) in (6, 7):
                yield strips[0], to_number(found, _STRIP_SIZES)
            if at == reader.first:
                yield from _embedded(reader, at)
                yield from _of_olympus(file, reader, to_number(found, EXIF))
    except FAILURES:
        return


def _embedded(reader: Reader, at: int) -> Iterator[tuple[int, int]]:
    """The JPEG that is itself the value of a tag, as Panasonic has it."""
    slot = _slot(reader, at, _PANASONIC)
    if slot is not None and slot.number > 4:
        yield _place(reader, slot), slot.number


def _of_olympus(file: BinaryIO, reader: Reader, at: int) -> Iterator[tuple[int, int]]:
    """The JPEG of which the maker note of Olympus tells."""
    note = _slot(reader, at, _MAKER_NOTE) if at else None
    if note is None:
        return
    start = _place(reader, note)
    head = read_at(file, start, 16)
    begin = next((place for mark, place in _OLYMPUS.items() if head.startswith(mark)), None)
    if begin is None:
        return
    inside = Reader(file)
    inside.base = start  # its places count from there
    settings = _slot(inside, begin, _CAMERA_SETTINGS)
    if settings is not None:
        wanted = frozenset([_PREVIEW_AT, _PREVIEW_SIZE])
        found, _ = inside.directory(_place(inside, settings), wanted)
        yield start + to_number(found, _PREVIEW_AT), to_number(found, _PREVIEW_SIZE)


def _slot(reader: Reader, at: int, tag: int) -> Slot | None:
    return next((slot for slot in reader.slots(at) if slot.tag == tag), None)


def _place(reader: Reader, slot: Slot) -> int:
    return int(struct.unpack(reader.order + ("Q" if reader.big else "I"), slot.value)[0])


# --- CR3 of Canon, which is built like a film -----------------------------------------------------


def _movie(file: BinaryIO) -> bytes:
    """The content of the box that describes all pictures."""
    at = 0
    for _ in range(_MOST_DIRECTORIES):
        head = read_at(file, at, 16).ljust(16, b"\0")
        size, begin = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), 16
        if head[4:8] == b"moov":
            return read_at(file, at + begin, min(max(size - begin, 0), _MOST_MOVIE))
        if size < begin:
            return b""
        at += size
    return b""


def _in_movie(movie: bytes) -> Iterator[tuple[int, int]]:
    """Place and size of the first picture of each track."""
    for kind, track in boxes(movie):
        if kind != b"trak":
            continue
        content = track
        for wanted in (b"mdia", b"minf", b"stbl"):
            content = next((inside for name, inside in boxes(content) if name == wanted), b"")
        table = dict(boxes(content))
        sizes = table.get(b"stsz", b"").ljust(16, b"\0")
        size = int.from_bytes(sizes[4:8], "big") or int.from_bytes(sizes[12:16], "big")
        if b"co64" in table:
            yield int.from_bytes(table[b"co64"][8:16], "big"), size
        elif b"stco" in table:
            yield int.from_bytes(table[b"stco"][8:12], "big"), size


def _of_movie(movie: bytes) -> _About:
    """The first directory of its EXIF, which says how the photo has to be turned."""
    for kind, content in boxes(movie):
        if kind != b"uuid":
            continue
        for name, block in boxes(content[16:]):
            if name == b"CMT1" and block[:2] in (b"II", b"MM"):
                return _About(EXIF_HEAD + block, exif_orientation(block))
    return _About(None, 0)
