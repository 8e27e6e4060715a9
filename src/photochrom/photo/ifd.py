"""TIFF directories: one reader, one writer."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Set
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
    "INTEROP",
    "MASK",
    "OFFSETS",
    "PAGE",
    "PHOTOMETRIC",
    "PIXELS",
    "PLANAR",
    "POINTERS",
    "Reader",
    "SAMPLES",
    "SIZES",
    "STRIPS",
    "SUBFILE",
    "SUB_IFDS",
    "TILES",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "Tree",
    "UNIT",
    "WIDTH",
    "packed_value",
    "to_number",
]

# Tags.
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIPS, TILES = (
    254, 256, 257, 258, 259, 262, 273, 324,
)  # fmt: skip
MASK = 4  # as photometric interpretation: where the page before is transparent
TILE_WIDTH, TILE_HEIGHT, SUB_IFDS = 322, 323, 330
PAGE = 297  # its number, and how many there are
SAMPLES = 339  # 1 unsigned, 2 signed, 3 float
CHANNELS, PLANAR = 277, 284  # how many; 1 side by side, 2 in a plane each
EXTRA = 338  # those beyond color: 1 alpha that color is multiplied by, 2 alpha
ACROSS, DOWN, UNIT = 282, 283, 296  # resolution
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
# Of all that is read of a file of others: directories and values may overlap, so that a small file
# would else cost any amount of time and memory.
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


FAILURES = (_Damaged, OSError, struct.error, OverflowError)  # at whatever a damaged file may say


class Reader:
    """The directories of a file, or of a part of it that is a file by itself.

    Of a file written here (`own`) all values are needed, and one that is missing is damage. Of one
    of others no more is read than `_BUDGET`, and a value that cannot be read is as one that is not
    there.
    """

    def __init__(self, file: BinaryIO, base: int = 0, *, own: bool = False) -> None:
        self.file, self.base, self.own = file, base, own
        self.left = _BUDGET
        self.at = 0  # where the last directory was looked for
        self.link = 0  # where in the file the one before says so
        self.most = 0  # bytes that the values of one directory claimed
        self.end = 0  # of the last directory and its values
        head = self.bytes(0, 16)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        if not self.order:
            raise _Damaged
        self.big = struct.unpack(self.order + "H", head[2:4])[0] == 43
        self.place = 8 if self.big else 4  # in the header, of the first directory's place
        self.first: int = struct.unpack(
            self.order + ("Q" if self.big else "I"), head[8:16] if self.big else head[4:8]
        )[0]

    def bytes(self, at: int, size: int) -> bytes:
        if not 0 <= size <= (_MOST_BYTES if self.own else self.left) or at >= 1 << 62:
            raise _Damaged
        self.left -= size
        self.file.seek(self.base + at)
        data = self.file.read(size)
        if len(data) < min(size, 8):
            raise _Damaged
        return data

    def directory(self, at: int, wanted: Set[int] | None = None) -> tuple[Directory, int]:
        """The directory there, of these tags or of all, and the place of the next one; 0: none."""
        order, big = self.order, self.big
        count_kind, entry_size, inline = ("Q", 20, 8) if big else ("H", 12, 4)
        size = struct.calcsize(order + count_kind)
        (count,) = struct.unpack(order + count_kind, self.bytes(at, size))
        if count > _MOST_ENTRIES:
            raise _Damaged
        raw = self.bytes(at + size, count * entry_size + inline)
        if len(raw) < count * entry_size:
            raise _Damaged
        found: Directory = {}
        claimed = 0
        self.end = at + size + len(raw)
        for n in range(count):
            entry = raw[n * entry_size : (n + 1) * entry_size]
            tag, kind, number = struct.unpack(order + ("HHQ" if big else "HHI"), entry[:-inline])
            length = number * SIZES.get(kind, 0)
            claimed += length
            self.most = max(self.most, claimed)
            if not length or (wanted is not None and tag not in wanted):
                continue
            if length <= inline:
                data = entry[-inline:][:length]
            else:
                place = struct.unpack(order + ("Q" if big else "I"), entry[-inline:])[0]
                self.end = max(self.end, place + length)
                try:
                    data = self.bytes(place, length)
                except (_Damaged, OSError):
                    data = b""
            if len(data) < length:
                if self.own:
                    raise _Damaged
                continue
            if order == ">":
                word = _WORDS.get(kind, SIZES[kind])
                data = np.frombuffer(data, f"u{word}").byteswap().tobytes()
            found[tag] = Entry(kind, data)
        self.link = at + size + count * entry_size
        rest = raw[count * entry_size :].ljust(inline, b"\0")
        return found, struct.unpack(order + ("Q" if big else "I"), rest)[0]

    def chain(self, wanted: Set[int] | None = None) -> Iterator[tuple[int, Directory]]:
        """The directories and their places, one after the other."""
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


def to_number(directory: Directory, tag: int) -> int:
    entry = directory.get(tag)
    numbers = entry.numbers if entry is not None else []
    return numbers[0] if numbers else 0


Tree = dict[int, "Entry | Tree"]


def packed_value(tree: Tree, at: int, big: bool, following: int = 0, order: str = "<") -> bytes:
    """A directory that is to stand at a place, what belongs to it behind."""
    inline, word = (8, "Q") if big else (4, "I")
    count = struct.pack(order + ("Q" if big else "H"), len(tree))
    end = at + len(count) + len(tree) * (20 if big else 12) + inline
    directory, beyond = count, b""
    for tag, entry in sorted(tree.items()):
        beyond += bytes(-(end + len(beyond)) % 8)
        if isinstance(entry, dict):
            place = end + len(beyond)
            beyond += packed_value(entry, place, big, order=order)
            entry = Entry.of(16 if big else 4, [place])
        kind, data = entry
        if not big and kind in (16, 18):  # only BigTIFF has them
            kind, data = 4, np.array(entry.numbers, "<u4").tobytes()
        number = len(data) // SIZES[kind]
        if order == ">":
            data = np.frombuffer(data, f"u{_WORDS.get(kind, SIZES[kind])}").byteswap().tobytes()
        directory += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, number)
        if len(data) <= inline:
            directory += data.ljust(inline, b"\0")
        else:
            directory += struct.pack(order + word, end + len(beyond))
            beyond += data
    return directory + struct.pack(order + word, following) + beyond
