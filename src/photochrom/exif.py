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

import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

from photochrom.resolution import UNKNOWN, Resolution

__all__ = ["JPEG_EXIF_LIMIT", "place", "taken_over"]

JPEG_EXIF_LIMIT = 65533  # bytes, with the six in front
_HEAD = b"Exif\0\0"
_MOST_BYTES = 1 << 24
_MOST_COPIED = 1 << 20

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
    data = block.removeprefix(_HEAD)
    if len(data) > _MOST_BYTES:
        return None
    try:
        resolution = resolution or (UNKNOWN, UNKNOWN)
        return _HEAD + _Block(data).result((width, height), resolution)
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


# --- in the files of libvips ----------------------------------------------------------------------


def place(file: BinaryIO, block: bytes) -> None:
    """Give a file of libvips this block in the place of the one that libvips has written.

    Parameters
    ----------
    file : JPEG, PNG, WebP or AVIF, open for reading and writing
    block : as `taken_over` gives it
    """
    file.seek(0)
    into = {b"\xff\xd8": _in_jpeg, b"\x89P": _in_png, b"RI": _in_webp}
    into.get(file.read(2), _in_avif)(file, block)


def _in_jpeg(file: BinaryIO, block: bytes) -> None:
    file.seek(2)
    at = start = end = 2
    while len(head := file.read(10)) == 10 and head[1] != 0xDA:
        after = at + 2 + int.from_bytes(head[2:4], "big")
        if head[1] == 0xE0:
            start = end = after  # JFIF comes first
        if head[1] == 0xE1 and head[4:] == _HEAD:
            start, end = at, after
            break
        at = after
        file.seek(at)
    _replace(file, start, end, b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block)


def _in_png(file: BinaryIO, block: bytes) -> None:
    at = 8
    size = 0
    file.seek(at)
    while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"eXIf"):
        at += 12 + int.from_bytes(head[:4], "big")
        file.seek(at)
    if head[4:] == b"eXIf":
        size = 12 + int.from_bytes(head[:4], "big")
    chunk = b"eXIf" + block.removeprefix(_HEAD)
    length, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    _replace(file, at, at + size, length + chunk + check)


def _in_webp(file: BinaryIO, block: bytes) -> None:
    at, end = 12, file.seek(0, 2)
    size = 0
    while at < end and not size:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind == b"EXIF":
            size = 8 + length + length % 2
        elif kind == b"XMP ":
            break
        else:
            at += 8 + length + length % 2
    data = block.removeprefix(_HEAD)
    chunk = b"EXIF" + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    _replace(file, at, min(at + size, end), chunk)
    length = file.seek(0, 2) - 8
    file.seek(4)
    file.write(struct.pack("<I", length))
    file.seek(20)
    (flags,) = file.read(1)
    file.seek(20)
    file.write(bytes([flags | 0x08]))  # of VP8X: there is EXIF


def _in_avif(file: BinaryIO, block: bytes) -> None:
    """At the end of the file; the place of the item in the table of places is changed.

    Raises ValueError if there is no such item, or not in one piece, as libvips writes it.
    """
    meta, size = _box(file, b"meta", 0, file.seek(0, 2))
    start, end = meta + 4, meta + size  # behind its version and flags
    item = _exif_item(file, *_box(file, b"iinf", start, end))
    iloc, size = _box(file, b"iloc", start, end)
    file.seek(iloc)
    table = bytearray(file.read(size))
    version, widths, base_width = table[0], table[4], table[5] >> 4
    if version != 0 or widths != 0x44:
        raise ValueError("no AVIF file of libvips")
    (count,) = struct.unpack_from(">H", table, 6)
    data = struct.pack(">I", len(_HEAD)) + block  # what to skip to the byte order
    at = 8
    for _ in range(count):
        number, _, first, extents = struct.unpack_from(f">HH{base_width}sH", table, at)
        at += 6 + base_width
        if number == item and extents == 1:
            place = file.seek(0, 2) + 8
            struct.pack_into(">II", table, at, place - int.from_bytes(first, "big"), len(data))
            file.write(struct.pack(">I4s", 8 + len(data), b"mdat") + data)
            file.seek(iloc)
            file.write(table)
            return
        at += 8 * extents
    raise ValueError("no AVIF file of libvips")


def _box(file: BinaryIO, wanted: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the content of a box is, and its size."""
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if kind == wanted and size >= 8:
            return at + 8, size - 8
        if size < 8:
            break
        at += size
    raise ValueError("no AVIF file of libvips")


def _exif_item(file: BinaryIO, at: int, size: int) -> int:
    """The number of the item that is EXIF."""
    start, end = at + 6, at + size  # behind version, flags and the number of items
    while start < end:
        infe, length = _box(file, b"infe", start, end)
        file.seek(infe)
        version, number, kind = struct.unpack(">B3xH2x4s", file.read(12))
        if version == 2 and kind == b"Exif":
            return int(number)
        start = infe + length
    raise ValueError("no AVIF file of libvips")


def _replace(file: BinaryIO, start: int, end: int, data: bytes) -> None:
    """Put bytes in the place of others; what is behind them is moved, a part after the other."""
    size = file.seek(0, 2)
    by = len(data) - (end - start)
    starts = range(end, size, _MOST_COPIED)
    for at in reversed(starts) if by > 0 else starts if by else ():
        file.seek(at)
        part = file.read(min(_MOST_COPIED, size - at))
        file.seek(at + by)
        file.write(part)
    file.seek(start)
    file.write(data)
    file.truncate(size + by)
