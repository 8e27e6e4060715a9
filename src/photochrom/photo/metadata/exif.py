"""EXIF blocks: carried over byte for byte, with maker notes and all that no library knows.

::

    for_result(block)       the block, with what is no longer true of the result updated
    exif_block(file)        the EXIF of a TIFF page, in the form that other formats have

The notes of camera makers refer to places by their distance from the start of the block, and nobody
knows all of their formats. So a block is not rewritten: whatever stays, stays in its place, and
values that are new or longer than before are added at the end.

Sources: EXIF 2.32 (CIPA DC-008, 2019); TIFF 6.0 (Adobe, 1992).
"""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from photochrom.photo.ifd import (
    ACROSS,
    COLOR_SPACE,
    DOWN,
    EXIF,
    EXIF_HEIGHT,
    EXIF_WIDTH,
    FAILURES,
    GPS,
    HEIGHT,
    INTEROP,
    ORIENTATION,
    POINTERS,
    UNIT,
    WIDTH,
    Directory,
    Entry,
    Reader,
    Slot,
    Tree,
    file_head,
    packed_slots,
    packed_tree,
    slots_in,
    to_number,
)
from photochrom.photo.metadata.resolution import INCH, UNKNOWN, Resolution, per_inch, stated
from photochrom.photo.metadata.turn import Turn

__all__ = [
    "CAMERA",
    "EXIF_HEAD",
    "LEAST_EXIF",
    "MOST_EXIF",
    "NAMING",
    "exif_block",
    "exif_orientation",
    "exif_resolution",
    "exif_tags",
    "exif_tree",
    "for_result",
    "turned_tree",
    "untaken_tags",
]

EXIF_HEAD = b"Exif\0\0"
LEAST_EXIF, MOST_EXIF = 4, 1 << 23
"""Bytes of a block that libvips takes; a photo with another block could not be saved."""
_SPACE_NAME = 1  # in the directory of interoperability
_SIDES = {WIDTH: 0, HEIGHT: 1, EXIF_WIDTH: 0, EXIF_HEIGHT: 1}
# How the pixels of the source were stored; its thumbnail; its profile, XMP, IPTC and Photoshop
# block, which a result has elsewhere.
_STORED = frozenset([
    254, 255, 258, 259, 262, 266, 273, 277, 278, 279, 284, 288, 289, 317, 320, 322, 323, 324, 325,
    330, 338, 339, 347, 513, 514, 519, 520, 521, 530, 700, 33723, 34377, 34675, 37724,
])  # fmt: skip
_DATA = ((513, 514), (273, 279))  # of a thumbnail: where, and how many bytes
_SUBJECT = (37396, 41492)  # its area and its location, in pixels
_PLANE = (41486, 41487)  # resolution of the sensor, across and down
_PADDING = 59932
_OF_COLOR = (301, 318, 319, 529, 531, 532)  # how the gray samples were meant
_LAST_KIND = 13  # those beyond are of BigTIFF


class _Damaged(Exception):
    """A block does not hold together, and nothing in it can be trusted."""


def _size(slot: Slot) -> int:
    """Bytes of the values; 0 if the kind is unknown in EXIF."""
    return slot.size if slot.kind <= _LAST_KIND else 0


@dataclass
class _Directory:
    at: int
    end: int  # where it states the place of the next one
    slots: list[Slot]


def for_result(block: bytes, turn: Turn, resolution: Resolution | None) -> bytes | None:
    """An EXIF block for the result; None if the source's does not hold together.

    It is upright, in sRGB, and without the thumbnail, which shows the photo in gray.

    Parameters
    ----------
    block : of the source, from "Exif" or from the byte order on
    turn : that the pixels have made, with the size of the result
    resolution : pixels per mm; if unknown, the block states 72 per inch, as EXIF asks
    """
    data = block.removeprefix(EXIF_HEAD)
    if len(data) > MOST_EXIF:
        return None
    try:
        resolution = resolution or (UNKNOWN, UNKNOWN)
        return EXIF_HEAD + _Block(data).result(turn, resolution)
    except (_Damaged, struct.error):
        return None


class _Block:
    """The bytes of a block, with its directories edited in place; raises _Damaged.

    `ifd.Reader` serves those who want values: it turns them into little-endian order, and leaves
    out all that it cannot read. To edit in place takes the opposite, every slot as it stands, also
    of unknown kinds, and where each directory begins and ends. Both share the format of a slot,
    `slots_in` and `packed_slots`.
    """

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4], "")
        if not self.order:
            raise _Damaged
        self.main = self._directory(self._long(4))
        self.all = [self.main]
        self.exif = self._below(self.main, EXIF)
        self._below(self.main, GPS)
        self.interop = self._below(self.exif, INTEROP)
        taken = sorted((directory.at, directory.end) for directory in self.all)
        if any(a[1] > b[0] for a, b in itertools.pairwise(taken)):
            raise _Damaged  # a circle, or something worse

    def _long(self, at: int) -> int:
        return int(struct.unpack_from(self.order + "I", self.data, at)[0])

    def _directory(self, at: int) -> _Directory:
        (count,) = struct.unpack_from(self.order + "H", self.data, at)
        end = at + 2 + 12 * count
        if at < 8 or end > len(self.data):
            raise _Damaged
        found = _Directory(at, end, slots_in(bytes(self.data[at + 2 : end]), self.order))
        claimed = 0
        for start, end in self._values(found.slots):
            claimed += end - start
            if not 8 <= start < end <= len(self.data) or claimed > 2 * len(self.data):
                raise _Damaged
        return found

    def _below(self, directory: _Directory | None, tag: int) -> _Directory | None:
        for slot in directory.slots if directory is not None else ():
            if slot.tag == tag:
                if slot.kind not in (4, 13) or slot.number != 1:
                    raise _Damaged
                if not (place := self._number(slot)):  # 0 means that there is none
                    return None
                self.all.append(self._directory(place))
                return self.all[-1]
        return None

    def _number(self, slot: Slot) -> int:
        form = {3: "H", 4: "I", 13: "I"}.get(slot.kind, "")
        if not form or slot.number != 1:
            return 0
        return int(struct.unpack_from(self.order + form, slot.value)[0])

    def _values(self, slots: list[Slot]) -> Iterator[tuple[int, int]]:
        """Start and end of the values that are outside of their slots."""
        for slot in slots:
            if _size(slot) > 4:
                (start,) = struct.unpack(self.order + "I", slot.value)
                yield start, start + _size(slot)

    def _of(self, tag: int, kind: int, number: int) -> Slot:
        """A slot with a whole number."""
        value = struct.pack(self.order + ("H" if kind == 3 else "I"), number)
        return Slot(tag, kind, 1, value.ljust(4, b"\0"))

    def result(self, turn: Turn, resolution: Resolution) -> bytes:
        """See `for_result`."""
        main, camera, sides = self.main, self.exif, (turn.width, turn.height)
        if camera is not None and turn.orientation != 1:
            self._turn(camera, turn)
        stored = [slot for slot in main.slots if slot.tag in _STORED]
        dropped = [*self._thumbnails(), *self._values(stored)]
        main.slots = [slot for slot in main.slots if slot.tag not in _STORED]
        for directory in self.all:
            directory.slots = [self._updated(directory, slot, sides) for slot in directory.slots]
        self._clear(dropped)
        end = min(main.end + 4, len(self.data))  # some blocks end with the last slot
        self.data[main.end : end] = bytes(end - main.end)
        if resolution != self._resolution():
            self._state(resolution)
        if camera is not None:
            present = {slot.tag for slot in camera.slots}
            self._put(camera, self._of(COLOR_SPACE, 3, 1))  # sRGB
            for tag in sorted({EXIF_WIDTH, EXIF_HEIGHT} - present):
                self._put(camera, self._of(tag, 4, sides[_SIDES[tag]]))
        for directory in self.all[1:]:
            self._write(directory)
        if camera is not None:
            self._put(main, self._of(EXIF, 4, camera.at))
        self._write(main)
        struct.pack_into(self.order + "I", self.data, 4, main.at)
        return bytes(self.data)

    def _put(self, directory: _Directory, slot: Slot) -> None:
        """Give a directory a slot, in place of one with the same tag."""
        others = [other for other in directory.slots if other.tag != slot.tag]
        directory.slots = sorted([*others, slot], key=lambda slot: slot.tag)

    def _write(self, directory: _Directory) -> None:
        """Write a directory in its old place, or at the end if it has become longer."""
        size = 2 + 12 * len(directory.slots)
        if size > directory.end - directory.at:
            self.data[directory.at : directory.end] = bytes(directory.end - directory.at)
            directory.at = self._end()
            self.data += bytes(size + 4)
        packed = struct.pack(self.order + "H", len(directory.slots))
        packed += packed_slots(directory.slots, self.order)
        room = max(size, directory.end - directory.at)
        self.data[directory.at : directory.at + room] = packed.ljust(room, b"\0")

    def _updated(self, directory: _Directory, slot: Slot, sides: tuple[int, int]) -> Slot:
        """A slot with what is true of the result."""
        tag = slot.tag
        if directory is self.main and tag == ORIENTATION:
            return self._of(tag, 3, 1)
        if directory is self.interop and tag == _SPACE_NAME and slot.kind == 2 and _size(slot) == 4:
            return slot._replace(value=b"R98\0")  # the name of sRGB here
        if directory in (self.main, self.exif) and tag in _SIDES:
            side = sides[_SIDES[tag]]
            return self._of(tag, 3 if slot.kind == 3 and side < 1 << 16 else 4, side)
        return slot

    def _turn(self, camera: _Directory, turn: Turn) -> None:
        """Turn where the subject is, and the resolution of the sensor."""
        for n, slot in enumerate(camera.slots):
            if slot.tag in _SUBJECT and slot.kind == 3 and 2 <= slot.number <= 4:
                form = f"{self.order}{slot.number}H"
                place = struct.unpack(self.order + "I", slot.value)[0]
                inline = slot.number == 2
                data = slot.value if inline else self.data[place : place + 2 * slot.number]
                packed = struct.pack(form, *_turned(struct.unpack(form, data), turn))
                if inline:
                    camera.slots[n] = slot._replace(value=packed)
                else:
                    self.data[place : place + len(packed)] = packed
        places = {slot.tag: n for n, slot in enumerate(camera.slots)}
        if turn.sideways and all(tag in places for tag in _PLANE):
            a, b = (places[tag] for tag in _PLANE)
            one, other = camera.slots[a], camera.slots[b]
            camera.slots[a] = other._replace(tag=one.tag)
            camera.slots[b] = one._replace(tag=other.tag)

    def _thumbnails(self) -> list[tuple[int, int]]:
        """Start and end of all that belongs to the directories after the main one."""
        found: list[tuple[int, int]] = []
        try:
            at = self._long(self.main.end)
            for _ in range(4):
                if not at:
                    break
                directory = self._directory(at)
                found += [(at, directory.end + 4), *self._values(directory.slots)]
                numbers = {slot.tag: self._number(slot) for slot in directory.slots}
                for where, size in _DATA:
                    if numbers.get(where):
                        found.append((numbers[where], numbers[where] + numbers.get(size, 0)))
                at = self._long(directory.end)
        except (_Damaged, struct.error):
            pass  # it is cut off in any case
        return found

    def _clear(self, dropped: list[tuple[int, int]]) -> None:
        """Overwrite what is dropped, except where it overlaps what stays; shorten the block."""
        free = np.zeros(len(self.data), bool)
        for start, end in dropped:
            free[start:end] = True
        free[:8] = False
        for directory in self.all:
            free[directory.at : directory.end + 4] = False
            for start, end in self._values(directory.slots):
                free[start:end] = False
        data = np.where(free, np.uint8(0), np.frombuffer(bytes(self.data), np.uint8))
        self.data = bytearray(data[: len(free) - int(np.argmin(free[::-1]))].tobytes())

    def _resolution(self) -> Resolution | None:
        """The resolution that the block states."""
        found = {slot.tag: slot for slot in self.main.slots}
        fractions: list[tuple[int, int]] = []
        for tag in (ACROSS, DOWN):
            slot = found.get(tag)
            if UNIT not in found or slot is None or slot.kind != 5 or slot.number != 1:
                return None
            place = struct.unpack(self.order + "I", slot.value)[0]
            fractions.append(struct.unpack_from(self.order + "II", self.data, place))
        return stated(self._number(found[UNIT]), *fractions)

    def _state(self, resolution: Resolution) -> None:
        """Have the main directory state a resolution, with new values."""
        self._put(self.main, self._of(UNIT, 3, INCH))
        for tag, value in zip((ACROSS, DOWN), resolution, strict=True):
            place = struct.pack(self.order + "I", self._end())
            self.data += struct.pack(self.order + "II", *per_inch(value))
            self._put(self.main, Slot(tag, 5, 1, place))

    def _end(self) -> int:
        """The end of the block, made even."""
        self.data += bytes(len(self.data) % 2)
        return len(self.data)


def _turned(values: Sequence[int], turn: Turn) -> list[int]:
    """Where the subject is: a point, a circle (x, y, diameter) or a box around a center."""
    x, y, *size = values
    width, height = turn.stored
    point = turn.point(min(x, width), min(y, height), width, height)
    sides = turn.sides(*size) if len(size) == 2 else size
    return [int(v) for v in (*point, *sides)]


def turned_tree(tree: Tree, turn: Turn) -> Tree:
    """The EXIF directory of a photo that is turned: as `for_result`, for TIFF."""
    found: Tree = dict(tree)
    for tag in _SUBJECT:
        entry = tree.get(tag)
        if isinstance(entry, Entry) and entry.kind == 3 and 2 <= len(entry.numbers) <= 4:
            found[tag] = Entry.of(3, _turned(entry.numbers, turn))
    if turn.sideways and all(tag in tree for tag in _PLANE):
        found |= {_PLANE[0]: tree[_PLANE[1]], _PLANE[1]: tree[_PLANE[0]]}
    return found


# EXIF of the main directory: who, when, with what; names of scans, a rating, the texts of Windows.
CAMERA = (
    269, 270, 271, 272, 285, 297, 305, 306, 315, 316, 337, 18246, 18249, 33432, 40091, 40092, 40093,
    40094, 40095,
)  # fmt: skip
NAMING = frozenset([*CAMERA, EXIF, GPS])


def exif_block(
    file: BinaryIO, place: int | None = None, resolution: Resolution | None = None
) -> bytes | None:
    """The EXIF of a page as in a JPEG: "Exif", and a little-endian TIFF; None if it has none.

    Parameters
    ----------
    file : a TIFF file
    place : of the page's directory, as in its `Layout`; by default the first
    resolution : for the block to state
    """
    tree: Tree = {}
    try:
        reader = Reader(file)
        at = reader.first if place is None else place
        tree = exif_tree(reader, reader.directory(at, NAMING)[0])
    except FAILURES:
        pass
    if resolution is not None:
        across, down = (Entry(5, struct.pack("<II", *per_inch(value))) for value in resolution)
        tree |= {ACROSS: across, DOWN: down, UNIT: Entry.of(3, [INCH])}
    return EXIF_HEAD + file_head("<", False, 8) + packed_tree(tree, 8, False) if tree else None


def untaken_tags(block: bytes) -> list[int]:
    """The tags of the main directory of a block that a TIFF file has no place for."""
    try:
        reader = Reader(io.BytesIO(block.removeprefix(EXIF_HEAD)))
        tags = {slot.tag for slot in reader.slots(reader.first)}
    except FAILURES:
        return []
    about_pixels = {*_STORED, *_OF_COLOR, WIDTH, HEIGHT, ORIENTATION, ACROSS, DOWN, UNIT}
    known = {*CAMERA, *POINTERS, *about_pixels, _PADDING}
    return sorted(tags - known)


def exif_tags(block: bytes) -> set[tuple[int, int]]:
    """The tags of an EXIF block that say something about the photo, as (tag of directory, tag).

    The tag of the main directory is 0.
    """
    try:
        reader = Reader(io.BytesIO(block.removeprefix(EXIF_HEAD)))
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
        reader = Reader(io.BytesIO(block.removeprefix(EXIF_HEAD)))
        directory, _ = reader.directory(reader.first, frozenset([ACROSS, DOWN, UNIT]))
    except FAILURES:
        return None
    fractions: list[tuple[int, int]] = []
    for tag in (ACROSS, DOWN):
        entry = directory.get(tag, Entry(0, b""))
        if entry.kind != 5 or len(entry.data) < 8:
            return None
        fractions.append(struct.unpack("<II", entry.data[:8]))
    return stated(to_number(directory, UNIT) or INCH, *fractions)


def exif_orientation(block: bytes) -> int:
    """The orientation, 1..8, that an EXIF block states; 0 if it states none."""
    try:
        reader = Reader(io.BytesIO(block.removeprefix(EXIF_HEAD)))
        directory, _ = reader.directory(reader.first, frozenset([ORIENTATION]))
    except FAILURES:
        return 0
    number = to_number(directory, ORIENTATION)
    return number if 1 <= number <= 8 else 0


def exif_tree(reader: Reader, directory: Directory) -> Tree:
    """The EXIF in a directory and below it, without what is damaged."""
    tree: Tree = {tag: directory[tag] for tag in CAMERA if tag in directory}
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
    """Without 64-bit numbers, which EXIF does not have; those that fit become 32-bit numbers."""
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
