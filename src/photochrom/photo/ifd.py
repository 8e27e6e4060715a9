"""The directories of TIFF files and EXIF blocks: one reader, one writer.

Sources: TIFF 6.0 (Adobe, 1992); BigTIFF (Joris Van Damme, 2007; AWare Systems).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Set
from typing import BinaryIO, NamedTuple

import numpy as np

__all__ = [
    "ACROSS",
    "BITS",
    "CHANNELS",
    "COLOR_SPACE",
    "COMPRESSION",
    "DOWN",
    "Directory",
    "EXIF",
    "EXIF_HEIGHT",
    "EXIF_WIDTH",
    "EXTRA",
    "Entry",
    "FAILURES",
    "GPS",
    "HEIGHT",
    "INK_SET",
    "INTEROP",
    "MASK",
    "OFFSETS",
    "ORIENTATION",
    "PAGE",
    "PHOTOMETRIC",
    "PIXELS",
    "PLANAR",
    "POINTERS",
    "ROWS",
    "Reader",
    "SAMPLES",
    "SIZES",
    "STRIPS",
    "SUBFILE",
    "SUB_IFDS",
    "Slot",
    "TILES",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "Tree",
    "UNIT",
    "WIDTH",
    "file_head",
    "packed_slots",
    "packed_tree",
    "slots_in",
    "to_number",
]

# Tags.
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIPS, TILES = (
    254, 256, 257, 258, 259, 262, 273, 324,
)  # fmt: skip
MASK = 4  # as photometric interpretation: where the page before is transparent
TILE_WIDTH, TILE_HEIGHT, SUB_IFDS = 322, 323, 330
PAGE = 297  # its number, and how many there are
ROWS = 278  # of a strip
SAMPLES = 339  # 1 unsigned, 2 signed, 3 float
CHANNELS, PLANAR = 277, 284  # how many; 1 side by side, 2 a plane for each
INK_SET = 332  # 1 CMYK, 2 others
EXTRA = (
    338  # channels beyond color: 1 alpha that colors are multiplied by, 2 straight alpha, 0 others
)
ACROSS, DOWN, UNIT = 282, 283, 296  # resolution
ORIENTATION = 274
EXIF, GPS, INTEROP, COLOR_SPACE, EXIF_WIDTH, EXIF_HEIGHT = (
    34665, 34853, 40965, 40961, 40962, 40963,
)  # fmt: skip
PIXELS = ((STRIPS, 279), (TILES, 325))  # where they are, and how many bytes
OFFSETS = (STRIPS, TILES, 288, 513, 519, 520, 521)  # their values are places in the file
POINTERS = (SUB_IFDS, EXIF, GPS, INTEROP)  # to other directories
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_WORDS = {5: 4, 10: 4}  # of two numbers each
_MOST_ENTRIES, _MOST_PAGES = 4096, 10_000  # more is an attack
_MOST_BYTES = 1 << 26  # of a value, in files written here
# Bytes that may be read from someone else's file in all: directories and values can overlap, so
# that otherwise a small file could cost any amount of time and memory.
_BUDGET = 1 << 24


class Entry(NamedTuple):
    """A tag's values: their type, and their bytes in little-endian order."""

    kind: int
    data: bytes

    @property
    def numbers(self) -> list[int]:
        """The values, if they are whole numbers."""
        if self.kind not in (3, 4, 13, 16, 18):
            return []
        return [int(v) for v in np.frombuffer(self.data, f"<u{SIZES[self.kind]}")]

    @classmethod
    def of(cls, kind: int, numbers: list[int]) -> Entry:
        """An entry of whole numbers."""
        return cls(kind, np.array(numbers, f"<u{SIZES[kind]}").tobytes())


Directory = dict[int, Entry]


class _Damaged(Exception):
    """A directory cannot be followed; libvips decides whether the file can be read at all."""


FAILURES = (_Damaged, OSError, struct.error, OverflowError)  # whatever a damaged file may cause


class Slot(NamedTuple):
    """A tag as it stands in a directory."""

    tag: int
    kind: int
    number: int  # of values
    value: bytes  # 4 or, in BigTIFF, 8: the values themselves, or their place

    @property
    def size(self) -> int:
        """Bytes of the values; 0 if the kind is unknown."""
        return self.number * SIZES.get(self.kind, 0)


def slots_in(data: bytes, order: str, big: bool = False) -> list[Slot]:
    """The tags in the bytes of a directory, without its count and the place of the next one."""
    form = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
    return [Slot(*fields) for fields in form.iter_unpack(data)]


def packed_slots(slots: Iterable[Slot], order: str, big: bool = False) -> bytes:
    """The way back from `slots_in`."""
    form = order + ("HHQ8s" if big else "HHI4s")
    return b"".join(struct.pack(form, *slot) for slot in slots)


def file_head(order: str, big: bool, first: int = 0) -> bytes:
    """The first bytes of a TIFF file, with the place of its first directory."""
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(order + ("HHHQ" if big else "HI"), *_VERSION[big], first)


_VERSION = {False: (42,), True: (43, 8, 0)}


class Reader:
    """The directories of a file, or of a part of it that is a file by itself.

    In a file written here (`own`), all values are needed, and a missing one is damage. From someone
    else's file, no more than `_BUDGET` is read, and a value that cannot be read counts as absent.
    """

    def __init__(self, file: BinaryIO, base: int = 0, *, own: bool = False) -> None:
        self.file, self.base, self.own = file, base, own
        self.left = _BUDGET
        self.at = 0  # place of the last directory
        self.link = 0  # where the file states the place of the next one
        self.most = 0  # bytes that the values of one directory claimed
        self.end = 0  # of the last directory and its values
        head = self.bytes(0, 16)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        if not self.order:
            raise _Damaged
        self.big = struct.unpack(self.order + "H", head[2:4])[0] == 43
        self.place = 8 if self.big else 4  # where the header states that of the first directory
        self.first: int = struct.unpack(
            self.order + ("Q" if self.big else "I"), head[8:16] if self.big else head[4:8]
        )[0]

    def bytes(self, at: int, size: int) -> bytes:
        """Bytes at a place; fewer at the end of the file."""
        if not 0 <= size <= (_MOST_BYTES if self.own else self.left) or at >= 1 << 62:
            raise _Damaged
        self.left -= size
        self.file.seek(self.base + at)
        data = self.file.read(size)
        if len(data) < min(size, 8):
            raise _Damaged
        return data

    def directory(self, at: int, wanted: Set[int] | None = None) -> tuple[Directory, int]:
        """The directory at a place, with some or all tags, and the next one's place; 0: none."""
        order, big = self.order, self.big
        count_kind, slot_size, inline = ("Q", 20, 8) if big else ("H", 12, 4)
        size = struct.calcsize(order + count_kind)
        (count,) = struct.unpack(order + count_kind, self.bytes(at, size))
        if count > _MOST_ENTRIES:
            raise _Damaged
        raw = self.bytes(at + size, count * slot_size + inline)
        if len(raw) < count * slot_size:
            raise _Damaged
        found: Directory = {}
        claimed = 0
        self.end = at + size + len(raw)
        for slot in slots_in(raw[: count * slot_size], order, big):
            claimed += slot.size
            self.most = max(self.most, claimed)
            if slot.size and (wanted is None or slot.tag in wanted):
                entry = self._entry(slot)
                if entry is not None:
                    found[slot.tag] = entry
        self.link = at + size + count * slot_size
        rest = raw[count * slot_size :].ljust(inline, b"\0")
        return found, struct.unpack(order + ("Q" if big else "I"), rest)[0]

    def _entry(self, slot: Slot) -> Entry | None:
        """The values of a tag; None if they cannot be read."""
        length = slot.size
        if length <= len(slot.value):
            data = slot.value[:length]
        else:
            place = struct.unpack(self.order + ("Q" if self.big else "I"), slot.value)[0]
            self.end = max(self.end, place + length)
            try:
                data = self.bytes(place, length)
            except (_Damaged, OSError):
                data = b""
        if len(data) < length:
            if self.own:
                raise _Damaged
            return None
        return Entry(slot.kind, _swapped(data, slot.kind) if self.order == ">" else data)

    def slots(self, at: int) -> list[Slot]:
        """The tags of the directory at a place, without their values."""
        size, slot_size = (8, 20) if self.big else (2, 12)
        count = int.from_bytes(self.bytes(at, size), "little" if self.order == "<" else "big")
        if count > _MOST_ENTRIES:
            raise _Damaged
        raw = self.bytes(at + size, count * slot_size)
        if len(raw) < count * slot_size:
            raise _Damaged
        return slots_in(raw, self.order, self.big)

    def place_of(self, at: int, tag: int) -> int:
        """Where the values of a tag are, in the directory at a place; the tag must be there."""
        size, slot_size, inline = (8, 20, 8) if self.big else (2, 12, 4)
        for n, slot in enumerate(self.slots(at)):
            if slot.tag == tag:
                if slot.size <= inline:
                    return self.base + at + size + (n + 1) * slot_size - inline
                form = self.order + ("Q" if self.big else "I")
                return self.base + int(struct.unpack(form, slot.value)[0])
        raise _Damaged

    def chain(self, wanted: Set[int] | None = None) -> Iterator[tuple[int, Directory]]:
        """The directories with their places, in order."""
        seen: set[int] = set()
        at = self.first
        while at:
            if at in seen or len(seen) == _MOST_PAGES:
                raise _Damaged
            seen.add(at)
            self.at = at
            directory, following = self.directory(at, wanted)
            yield at, directory
            at = following


def _swapped(data: bytes, kind: int) -> bytes:
    """Values in the other byte order."""
    return np.frombuffer(data, f"u{_WORDS.get(kind, SIZES[kind])}").byteswap().tobytes()


def to_number(directory: Directory, tag: int) -> int:
    """The first value of a tag as a whole number; 0 if it has none."""
    entry = directory.get(tag)
    numbers = entry.numbers if entry is not None else []
    return numbers[0] if numbers else 0


Tree = dict[int, "Entry | Tree"]
"""A directory, and the directories to which its tags point."""


def packed_tree(tree: Tree, at: int, big: bool, following: int = 0, order: str = "<") -> bytes:
    """The bytes of a directory for a place `at`, followed by what belongs to it."""
    inline, word = (8, "Q") if big else (4, "I")
    count = struct.pack(order + ("Q" if big else "H"), len(tree))
    end = at + len(count) + len(tree) * (20 if big else 12) + inline
    slots: list[Slot] = []
    beyond = b""
    for tag, entry in sorted(tree.items()):
        beyond += bytes(-(end + len(beyond)) % 8)
        if isinstance(entry, dict):
            place = end + len(beyond)
            beyond += packed_tree(entry, place, big, order=order)
            entry = Entry.of(16 if big else 4, [place])
        kind, data = entry
        if not big and kind in (16, 18):  # only BigTIFF has these
            kind, data = 4, np.array(entry.numbers, "<u4").tobytes()
        number = len(data) // SIZES[kind]
        if order == ">":
            data = _swapped(data, kind)
        if len(data) <= inline:
            value = data.ljust(inline, b"\0")
        else:
            value = struct.pack(order + word, end + len(beyond))
            beyond += data
        slots.append(Slot(tag, kind, number, value))
    packed = packed_slots(slots, order, big)
    return count + packed + struct.pack(order + word, following) + beyond
