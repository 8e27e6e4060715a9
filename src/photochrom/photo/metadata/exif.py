"""EXIF taken over as it was, maker notes and all that no library knows.

::

    taken_over(block)       an EXIF block with what is no longer true of the result put right
    place(file, block)      the block in the file of a result, in the place of the one of libvips

What the notes of camera makers say of places counts from the start of the block, and nobody knows
all of their formats. So a block is not written anew: whatever stays, stays where it was, and what
is longer than before, or new, is added at the end.

Sources: EXIF 2.32 (CIPA DC-008, 2019); TIFF 6.0 (Adobe, 1992); ITU-T T.81 (JPEG), B.1.1.4; PNG
(W3C, third edition), 11.3.4.6 eXIf; RFC 9649 (WebP), 2.7; ISO/IEC 14496-12 (ISOBMFF), 8.11, and
23008-12 (HEIF), annex A.
"""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

from photochrom.photo.ifd import (
    ACROSS,
    DOWN,
    EXIF,
    FAILURES,
    GPS,
    INTEROP,
    POINTERS,
    UNIT,
    Directory,
    Entry,
    Reader,
    Tree,
    packed_value,
    to_number,
)
from photochrom.photo.metadata.resolution import UNKNOWN, Resolution, sane

__all__ = [
    "EXIF_HEAD",
    "JPEG_EXIF_LIMIT",
    "NAMING",
    "exif_block",
    "exif_resolution",
    "exif_tags",
    "exif_tree",
    "taken_over",
]

JPEG_EXIF_LIMIT = 65533  # bytes, with the six in front
EXIF_HEAD = b"Exif\0\0"
_MOST_BYTES = 1 << 24
_EXIF, _GPS, _INTEROP = 34665, 34853, 40965
_ORIENTATION, _COLOR_SPACE, _SPACE_NAME = 274, 40961, 1
_ACROSS, _DOWN, _UNIT = 282, 283, 296
_CAMERA_WIDTH, _CAMERA_HEIGHT = 40962, 40963
_SIDES = {256: 0, 257: 1, _CAMERA_WIDTH: 0, _CAMERA_HEIGHT: 1}
# How the pixels of the source were stored; its thumbnail, its profile, XMP, IPTC and Photoshop's
# block, which results have elsewhere.
_STORED = frozenset([
    254, 255, 258, 259, 262, 266, 273, 277, 278, 279, 284, 288, 289, 317, 320, 322, 323, 324, 325,
    330, 338, 339, 347, 513, 514, 519, 520, 521, 530, 700, 33723, 34377, 34675, 37724,
])  # fmt: skip
_DATA = ((513, 514), (273, 279))  # of a thumbnail: where, and how many bytes
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


class _Damaged(Exception):
    """A block does not hold together, and nothing in it is trusted."""


class _Entry(NamedTuple):
    """A tag as it stands in the block."""

    tag: int
    kind: int
    number: int  # of values
    value: bytes  # four bytes: the values themselves, or where they are

    @property
    def size(self) -> int:
        """Bytes of the values; 0 for a kind that is not known."""
        return _SIZES.get(self.kind, 0) * self.number


@dataclass
class _Directory:
    at: int
    end: int  # where the place of the next one stands
    entries: list[_Entry]


def taken_over(
    block: bytes, width: int, height: int, resolution: Resolution | None
) -> bytes | None:
    """An EXIF block for the result; None if that of the source does not hold together.

    It is upright, of sRGB, and without the thumbnail, which shows the photo gray.

    Parameters
    ----------
    block : of the source, from "Exif" or from the byte order on
    width, height : of the result
    resolution : pixels per mm; where none is known, 72 an inch are stated, as EXIF wants it
    """
    data = block.removeprefix(EXIF_HEAD)
    if len(data) > _MOST_BYTES:
        return None
    try:
        resolution = resolution or (UNKNOWN, UNKNOWN)
        return EXIF_HEAD + _Block(data).result((width, height), resolution)
    except (_Damaged, struct.error):
        return None


class _Block:
    """The bytes of a block, and its directories; raises _Damaged."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4], "")
        if not self.order:
            raise _Damaged
        self.main = self._directory(self._long(4))
        self.all = [self.main]
        self.exif = self._below(self.main, _EXIF)
        self._below(self.main, _GPS)
        self.interop = self._below(self.exif, _INTEROP)
        taken = sorted((directory.at, directory.end) for directory in self.all)
        if any(a[1] > b[0] for a, b in itertools.pairwise(taken)):
            raise _Damaged  # a circle, or something worse

    def _long(self, at: int) -> int:
        return int(struct.unpack_from(self.order + "I", self.data, at)[0])

    def _directory(self, at: int) -> _Directory:
        (count,) = struct.unpack_from(self.order + "H", self.data, at)
        if at < 8 or at + 2 + 12 * count > len(self.data):
            raise _Damaged
        end = at + 2 + 12 * count
        places = range(at + 2, end, 12)
        form = self.order + "HHI4s"
        entries = [_Entry(*struct.unpack_from(form, self.data, place)) for place in places]
        found = _Directory(at, end, entries)
        claimed = 0
        for start, end in self._values(found.entries):
            claimed += end - start
            if not 8 <= start < end <= len(self.data) or claimed > 2 * len(self.data):
                raise _Damaged
        return found

    def _below(self, directory: _Directory | None, tag: int) -> _Directory | None:
        for entry in directory.entries if directory is not None else ():
            if entry.tag == tag:
                if entry.kind not in (4, 13) or entry.number != 1:
                    raise _Damaged
                if not (place := self._number(entry)):  # so some say that there is none
                    return None
                self.all.append(self._directory(place))
                return self.all[-1]
        return None

    def _number(self, entry: _Entry) -> int:
        form = {3: "H", 4: "I", 13: "I"}.get(entry.kind, "")
        if not form or entry.number != 1:
            return 0
        return int(struct.unpack_from(self.order + form, entry.value)[0])

    def _values(self, entries: list[_Entry]) -> Iterator[tuple[int, int]]:
        """Where the values of entries are that do not fit in there."""
        for entry in entries:
            if entry.size > 4:
                (start,) = struct.unpack(self.order + "I", entry.value)
                yield start, start + entry.size

    def _of(self, tag: int, kind: int, number: int) -> _Entry:
        """An entry of a whole number."""
        value = struct.pack(self.order + ("H" if kind == 3 else "I"), number)
        return _Entry(tag, kind, 1, value.ljust(4, b"\0"))

    def result(self, sides: tuple[int, int], resolution: Resolution) -> bytes:
        """See `taken_over`."""
        main, camera = self.main, self.exif
        stored = [entry for entry in main.entries if entry.tag in _STORED]
        dropped = [*self._thumbnails(), *self._values(stored)]
        main.entries = [entry for entry in main.entries if entry.tag not in _STORED]
        for directory in self.all:
            directory.entries = [self._true(directory, e, sides) for e in directory.entries]
        self._clear(dropped)
        end = min(main.end + 4, len(self.data))  # some end with their last entry
        self.data[main.end : end] = bytes(end - main.end)
        if resolution != self._resolution():
            self._state(resolution)
        if camera is not None:
            said = {entry.tag for entry in camera.entries}
            self._put(camera, self._of(_COLOR_SPACE, 3, 1))  # sRGB
            for tag in sorted({_CAMERA_WIDTH, _CAMERA_HEIGHT} - said):
                self._put(camera, self._of(tag, 4, sides[_SIDES[tag]]))
        for directory in self.all[1:]:
            self._write(directory)
        if camera is not None:
            self._put(main, self._of(_EXIF, 4, camera.at))
        self._write(main)
        struct.pack_into(self.order + "I", self.data, 4, main.at)
        return bytes(self.data)

    def _put(self, directory: _Directory, entry: _Entry) -> None:
        """Give a directory an entry, instead of one of the same tag."""
        others = [other for other in directory.entries if other.tag != entry.tag]
        directory.entries = sorted([*others, entry], key=lambda entry: entry.tag)

    def _write(self, directory: _Directory) -> None:
        """Write a directory where it was, or at the end if it is longer now."""
        size = 2 + 12 * len(directory.entries)
        if size > directory.end - directory.at:
            self.data[directory.at : directory.end] = bytes(directory.end - directory.at)
            directory.at = self._end()
            self.data += bytes(size + 4)
        packed = struct.pack(self.order + "H", len(directory.entries))
        for entry in directory.entries:
            packed += struct.pack(self.order + "HHI4s", *entry)
        room = max(size, directory.end - directory.at)
        self.data[directory.at : directory.at + room] = packed.ljust(room, b"\0")

    def _true(self, directory: _Directory, entry: _Entry, sides: tuple[int, int]) -> _Entry:
        """An entry as it is true of the result."""
        tag = entry.tag
        if directory is self.main and tag == _ORIENTATION:
            return self._of(tag, 3, 1)
        if directory is self.interop and tag == _SPACE_NAME and entry.kind == 2 and entry.size == 4:
            return entry._replace(value=b"R98\0")  # sRGB as well
        if directory in (self.main, self.exif) and tag in _SIDES:
            side = sides[_SIDES[tag]]
            return self._of(tag, 3 if entry.kind == 3 and side < 1 << 16 else 4, side)
        return entry

    def _thumbnails(self) -> list[tuple[int, int]]:
        """What belongs to the directories behind the main one."""
        found: list[tuple[int, int]] = []
        try:
            at = self._long(self.main.end)
            for _ in range(4):
                if not at:
                    break
                directory = self._directory(at)
                found += [(at, directory.end + 4), *self._values(directory.entries)]
                numbers = {entry.tag: self._number(entry) for entry in directory.entries}
                for where, size in _DATA:
                    if numbers.get(where):
                        found.append((numbers[where], numbers[where] + numbers.get(size, 0)))
                at = self._long(directory.end)
        except (_Damaged, struct.error):
            pass  # it is cut off in any case
        return found

    def _clear(self, dropped: list[tuple[int, int]]) -> None:
        """Overwrite what is dropped, unless what stays is there as well; cut it off at the end."""
        free = np.zeros(len(self.data), bool)
        for start, end in dropped:
            free[start:end] = True
        free[:8] = False
        for directory in self.all:
            free[directory.at : directory.end + 4] = False
            for start, end in self._values(directory.entries):
                free[start:end] = False
        data = np.where(free, np.uint8(0), np.frombuffer(bytes(self.data), np.uint8))
        self.data = bytearray(data[: len(free) - int(np.argmin(free[::-1]))].tobytes())

    def _resolution(self) -> Resolution | None:
        """As the block states it."""
        found = {entry.tag: entry for entry in self.main.entries}
        scale = {2: 25.4, 3: 10.0}.get(self._number(found[_UNIT]) if _UNIT in found else 0)
        values = []
        for tag in (_ACROSS, _DOWN):
            entry = found.get(tag)
            if scale is None or entry is None or entry.kind != 5 or entry.number != 1:
                return None
            place = struct.unpack(self.order + "I", entry.value)[0]
            above, below = struct.unpack_from(self.order + "II", self.data, place)
            values.append(above / below / scale if below else 0.0)
        return values[0], values[1]

    def _state(self, resolution: Resolution) -> None:
        """Have the main directory state a resolution, by values of its own."""
        self._put(self.main, self._of(_UNIT, 3, 2))  # an inch
        for tag, value in zip((_ACROSS, _DOWN), resolution, strict=True):
            place = struct.pack(self.order + "I", self._end())
            self.data += struct.pack(self.order + "II", min(round(value * 25400), 0xFFFFFFFF), 1000)
            self._put(self.main, _Entry(tag, 5, 1, place))

    def _end(self) -> int:
        """The end of the block, made even."""
        self.data += bytes(len(self.data) % 2)
        return len(self.data)


# EXIF of the main directory: who, when, with what; names of scans, a rating, the words of Windows.
_CAMERA = (
    269, 270, 271, 272, 285, 297, 305, 306, 315, 316, 337, 18246, 18249, 33432, 40091, 40092, 40093,
    40094, 40095,
)  # fmt: skip
NAMING = frozenset([*_CAMERA, EXIF, GPS])


def exif_block(
    file: BinaryIO, place: int | None = None, resolution: Resolution | None = None
) -> bytes | None:
    """The EXIF of a page as JPEG has it, "Exif" and a little-endian TIFF; None if there is none.

    Parameters
    ----------
    file : a TIFF file
    place : of the page's directory, as in its `Layout`; by default the first
    resolution : to be stated there
    """
    tree: Tree = {}
    try:
        reader = Reader(file)
        at = reader.first if place is None else place
        tree = exif_tree(reader, reader.directory(at, NAMING)[0])
    except FAILURES:
        pass
    if resolution is not None:
        across, down = (
            Entry(5, struct.pack("<II", round(value * 25400), 1000)) for value in resolution
        )
        tree |= {ACROSS: across, DOWN: down, UNIT: Entry.of(3, [2])}  # an inch
    return b"Exif\0\0" + b"II*\0\x08\0\0\0" + packed_value(tree, 8, False) if tree else None


def exif_tags(block: bytes) -> set[tuple[int, int]]:
    """The tags of an EXIF block that say something of the photo, each with that of its directory.

    0 stands for the main one.
    """
    try:
        reader = Reader(io.BytesIO(block.removeprefix(b"Exif\0\0")))
        tree = exif_tree(reader, reader.directory(reader.first, NAMING)[0])
    except FAILURES:
        return set()
    found = set()
    for tag, entry in tree.items():
        if isinstance(entry, dict):
            found |= {(tag, key) for key in entry if key not in POINTERS}
        else:
            found.add((0, tag))
    return found


def exif_resolution(block: bytes) -> Resolution | None:
    """The resolution, pixels per mm, that an EXIF block states; None if it states none."""
    try:
        reader = Reader(io.BytesIO(block.removeprefix(b"Exif\0\0")))
        directory, _ = reader.directory(reader.first, frozenset([ACROSS, DOWN, UNIT]))
    except FAILURES:
        return None
    scale = {0: 25.4, 2: 25.4, 3: 10.0}.get(to_number(directory, UNIT))  # inch, unless it is said
    values = []
    for tag in (ACROSS, DOWN):
        entry = directory.get(tag, Entry(0, b""))
        if scale is None or entry.kind != 5 or len(entry.data) < 8:
            return None
        above, below = struct.unpack("<II", entry.data[:8])
        values.append(above / below / scale if below else 0.0)
    return sane(*values)


def exif_tree(reader: Reader, directory: Directory) -> Tree:
    """What belongs to EXIF below a directory; whatever is damaged is left out."""
    tree: Tree = {tag: directory[tag] for tag in _CAMERA if tag in directory}
    for tag in (EXIF, GPS):
        below = _exif_below(reader, directory, tag)
        if below is not None:
            tree[tag] = below
    return _narrowed(tree)


def _exif_below(reader: Reader, directory: Directory, tag: int) -> Tree | None:
    try:
        entries, _ = reader.directory(to_number(directory, tag))
    except FAILURES:
        return None
    below: Tree = {key: entry for key, entry in entries.items() if key not in POINTERS}
    if tag == EXIF and INTEROP in entries:
        inner = _exif_below(reader, entries, INTEROP)
        if inner is not None:
            below[INTEROP] = inner
    return below


def _narrowed(tree: Tree) -> Tree:
    """Without numbers of 64 bits, which EXIF does not have; those that do not fit are left out."""
    found: Tree = {}
    for tag, entry in tree.items():
        if isinstance(entry, dict):
            found[tag] = _narrowed(entry)
        elif entry.kind in (16, 17, 18):
            signed = entry.kind == 17
            values = np.frombuffer(entry.data, "<i8" if signed else "<u8")
            narrow = values.astype("<i4" if signed else "<u4")
            if np.array_equal(narrow.astype(values.dtype), values):
                found[tag] = Entry(9 if signed else 4, narrow.tobytes())
        else:
            found[tag] = entry
    return found
