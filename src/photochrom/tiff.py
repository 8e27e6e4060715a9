"""The directories of TIFF files: what libvips does not tell of them, and what it does not write.

::

    layouts(file)       the pages of a file, and how each is stored
    exif_block(file)    its EXIF, as other formats have it
    add_exif(file)      the way back
    Joiner              files of a page each, of any sizes, become one file

libvips writes pages of one size only, and no EXIF. What it has written is not touched here: new
directories are added at the end, which refer to the same pixels.

Sources: TIFF 6.0 (Adobe, 1992); BigTIFF (AWare Systems, 2007); EXIF 2.32 (CIPA DC-008, 2019).
"""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

__all__ = ["Joiner", "Layout", "add_exif", "exif_block", "layouts"]

# Tags.
_SUBFILE, _WIDTH, _HEIGHT, _COMPRESSION, _STRIPS, _TILES = 254, 256, 257, 259, 273, 324
_TILE_WIDTH, _TILE_HEIGHT, _SUB_IFDS = 322, 323, 330
_EXIF, _GPS, _INTEROP, _COLOR_SPACE, _EXIF_WIDTH, _EXIF_HEIGHT = (
    34665, 34853, 40965, 40961, 40962, 40963,
)  # fmt: skip
_OFFSETS = (_STRIPS, _TILES, 288, 513, 519, 520, 521)  # their values are places in the file
_POINTERS = (_SUB_IFDS, _EXIF, _GPS, _INTEROP)  # to other directories
_CAMERA = (270, 271, 272, 305, 306, 315, 33432)  # EXIF of the main directory: who, when, with what

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_WORDS = {5: 4, 10: 4}  # of two numbers each
_COMPRESSIONS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits"}
_MOST_ENTRIES, _MOST_BYTES, _MOST_PAGES = 4096, 1 << 26, 10_000  # more is an attack


class Entry(NamedTuple):
    """A tag's values: their type, and their bytes in little-endian order."""

    kind: int
    data: bytes

    @property
    def numbers(self) -> list[int]:
        """The values, if they are whole numbers."""
        if self.kind not in (3, 4, 13, 16, 18):
            return []
        return [int(v) for v in np.frombuffer(self.data, f"<u{_SIZES[self.kind]}")]

    @classmethod
    def of(cls, kind: int, numbers: list[int]) -> Entry:
        """An entry of whole numbers."""
        return cls(kind, np.array(numbers, f"<u{_SIZES[kind]}").tobytes())


Directory = dict[int, Entry]


class _Damaged(Exception):
    """The directories cannot be followed; libvips decides whether the file can be read at all."""


class _Reader:
    """The directories of a file, or of a part of it that is a file by itself."""

    def __init__(self, file: BinaryIO, base: int = 0) -> None:
        self.file, self.base = file, base
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
        if not 0 <= size <= _MOST_BYTES or at >= 1 << 62:
            raise _Damaged
        self.file.seek(self.base + at)
        data = self.file.read(size)
        if len(data) < min(size, 8):
            raise _Damaged
        return data

    def directory(self, at: int) -> tuple[Directory, int]:
        """The directory there, and the place of the next one; 0 for none."""
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
        for n in range(count):
            entry = raw[n * entry_size : (n + 1) * entry_size]
            tag, kind, number = struct.unpack(order + ("HHQ" if big else "HHI"), entry[:-inline])
            length = number * _SIZES.get(kind, 0)
            if not length:
                continue
            if length <= inline:
                data = entry[-inline:][:length]
            else:
                data = self.bytes(
                    struct.unpack(order + ("Q" if big else "I"), entry[-inline:])[0], length
                )
            if len(data) < length:
                continue
            if order == ">":
                word = _WORDS.get(kind, _SIZES[kind])
                data = np.frombuffer(data, f"u{word}").byteswap().tobytes()
            found[tag] = Entry(kind, data)
        rest = raw[count * entry_size :].ljust(inline, b"\0")
        return found, struct.unpack(order + ("Q" if big else "I"), rest)[0]

    def chain(self) -> Iterator[Directory]:
        """The directories, one after the other."""
        seen: set[int] = set()
        at = self.first
        while at and at not in seen and len(seen) < _MOST_PAGES:
            seen.add(at)
            directory, at = self.directory(at)
            yield directory


# --- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How a page is stored."""

    index: int  # of the page, as libvips counts
    compression: str = "deflate"  # as libvips names it
    tile: tuple[int, int] | None = None  # width, height; None: strips
    pyramid: bool = False  # smaller copies of the page follow it
    nested: bool = False  # and they are in directories below that of the page
    subfile: int = 0  # what the page is to the others: 1 a small copy, 2 a page, 4 a mask


def layouts(file: BinaryIO) -> list[Layout]:
    """The pages of a TIFF file, without the smaller copies that belong to a pyramid."""
    found: list[Layout] = []
    before = (0, 0)
    try:
        for index, directory in enumerate(_Reader(file).chain()):
            size = _number(directory, _WIDTH), _number(directory, _HEIGHT)
            subfile = _number(directory, _SUBFILE)
            half = all(abs(2 * n - b) <= 2 for n, b in zip(size, before, strict=True))
            before = size
            if found and subfile & 1 and half:
                last = found.pop()
                found.append(
                    Layout(last.index, last.compression, last.tile, True, last.nested, last.subfile)
                )
                continue
            tile = _number(directory, _TILE_WIDTH), _number(directory, _TILE_HEIGHT)
            below = _SUB_IFDS in directory
            found.append(
                Layout(
                    index,
                    _COMPRESSIONS.get(_number(directory, _COMPRESSION), "deflate"),
                    tile if all(16 <= side <= 4096 and side % 16 == 0 for side in tile) else None,
                    pyramid=below,
                    nested=below,
                    subfile=subfile,
                )
            )
    except (_Damaged, OSError, struct.error):
        pass  # what was found so far
    return found


def _number(directory: Directory, tag: int) -> int:
    entry = directory.get(tag)
    numbers = entry.numbers if entry is not None else []
    return numbers[0] if numbers else 0


def exif_block(file: BinaryIO, index: int = 0) -> bytes | None:
    """The EXIF of a page as JPEG has it, "Exif" and a little-endian TIFF; None if there is none."""
    try:
        reader = _Reader(file)
        for number, directory in enumerate(reader.chain()):
            if number == index:
                tree = _exif_tree(reader, directory)
                return b"Exif\0\0" + b"II*\0\x08\0\0\0" + _packed(tree, 8, False) if tree else None
    except (_Damaged, OSError, struct.error):
        pass
    return None


Tree = dict[int, "Entry | Tree"]


def _exif_tree(reader: _Reader, directory: Directory) -> Tree:
    tree: Tree = {tag: directory[tag] for tag in _CAMERA if tag in directory}
    for tag in (_EXIF, _GPS):
        if at := _number(directory, tag):
            below: Tree = {}
            entries, _ = reader.directory(at)
            below.update(entries)
            for key in _POINTERS:
                below.pop(key, None)
            if tag == _EXIF and (other := _number(entries, _INTEROP)):
                inner: Tree = {}
                inner.update(reader.directory(other)[0])
                below[_INTEROP] = inner
            tree[tag] = below
    return tree


# --- writing --------------------------------------------------------------------------------------


def _packed(tree: Tree, at: int, big: bool, following: int = 0) -> bytes:
    """A directory that is to stand at a place, what belongs to it behind; little-endian."""
    inline, word = (8, "Q") if big else (4, "I")
    count = struct.pack("<Q" if big else "<H", len(tree))
    end = at + len(count) + len(tree) * (20 if big else 12) + inline
    directory, beyond = count, b""
    for tag, entry in sorted(tree.items()):
        beyond += bytes(-(end + len(beyond)) % 8)
        if isinstance(entry, dict):
            place = end + len(beyond)
            beyond += _packed(entry, place, big)
            entry = Entry.of(16 if big else 4, [place])
        kind, data = entry
        if not big and kind in (16, 18):  # only BigTIFF has them
            kind, data = 4, np.array(entry.numbers, "<u4").tobytes()
        number = len(data) // _SIZES[kind]
        directory += struct.pack("<HHQ" if big else "<HHI", tag, kind, number)
        if len(data) <= inline:
            directory += data.ljust(inline, b"\0")
        else:
            directory += struct.pack("<" + word, end + len(beyond))
            beyond += data
    return directory + struct.pack("<" + word, following) + beyond


def add_exif(file: BinaryIO, block: bytes, width: int, height: int) -> None:
    """Give the first page of a little-endian TIFF file an EXIF block.

    Parameters
    ----------
    file : open for reading and writing
    block : as `exif_block` gives it, of either byte order
    width, height : of the photo as it is now
    """
    try:
        source = _Reader(io.BytesIO(block.removeprefix(b"Exif\0\0")))
        tree = _exif_tree(source, source.directory(source.first)[0])
    except (_Damaged, struct.error):
        return  # nothing that could be kept
    target = _Reader(file)
    directory, following = target.directory(target.first)
    below = tree.get(_EXIF)
    if isinstance(below, dict):
        below[_COLOR_SPACE] = Entry.of(3, [1])  # sRGB
        for tag, side in ((_EXIF_WIDTH, width), (_EXIF_HEIGHT, height)):
            if tag in below:
                below[tag] = Entry.of(4, [side])
    whole: Tree = {**tree, **directory}
    for tag in (_EXIF, _GPS):
        if tag in tree:
            whole[tag] = tree[tag]
    place = _end(file)
    file.write(_packed(whole, place, target.big, following))
    file.seek(target.place)
    file.write(struct.pack("<Q" if target.big else "<I", place))


def _end(file: BinaryIO) -> int:
    """Go to the end of a file, made a multiple of 8."""
    size = file.seek(0, 2)
    file.write(bytes(-size % 8))
    return size + -size % 8


class Joiner:
    """One TIFF file of many that have a page each, or a page with its pyramid.

    Parameters
    ----------
    file : new, open for reading and writing
    big : make a BigTIFF, as is needed for more than 4 GB
    """

    def __init__(self, file: BinaryIO, big: bool) -> None:
        self.file, self.big = file, big
        file.write(
            b"II" + (struct.pack("<HHHQ", 43, 8, 0, 0) if big else struct.pack("<HI", 42, 0))
        )
        self._link = 8 if big else 4  # where the place of the next directory is to be written

    def add(self, page: BinaryIO, subfile: int = 0) -> None:
        """Append a file, as libvips wrote it; `subfile` is what the page is to the others."""
        base = _end(self.file)
        page.seek(0)
        shutil.copyfileobj(page, self.file, 1 << 20)
        reader = _Reader(self.file, base)
        for number, directory in enumerate(list(reader.chain())):
            tree = self._moved(reader, directory)
            if number == 0 and subfile:
                tree[_SUBFILE] = Entry.of(4, [subfile])
            place = _end(self.file)
            packed = _packed(tree, place, self.big)
            self.file.write(packed)
            self.file.seek(self._link)
            self.file.write(struct.pack("<Q" if self.big else "<I", place))
            size = (8 + 20 * len(tree)) if self.big else (2 + 12 * len(tree))
            self._link = place + size

    def _moved(self, reader: _Reader, directory: Directory) -> Tree:
        """A directory of a part of the file, as one of the file."""
        tree: Tree = {}
        wide = 16 if self.big else 4
        for tag, entry in directory.items():
            if tag in _OFFSETS:
                tree[tag] = Entry.of(wide, [n + reader.base for n in entry.numbers])
            elif tag == _SUB_IFDS:
                places = []
                for at in entry.numbers:
                    below = self._moved(reader, reader.directory(at)[0])
                    places.append(_end(self.file))
                    self.file.write(_packed(below, places[-1], self.big))
                tree[tag] = Entry.of(wide, places)
            elif tag in _POINTERS:
                tree[tag] = self._moved(reader, reader.directory(_number(directory, tag))[0])
            else:
                tree[tag] = entry
        return tree
