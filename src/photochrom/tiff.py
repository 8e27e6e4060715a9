"""The directories of TIFF files: what libvips does not tell of them, and what it does not write.

::

    read_pages(file)    the pages of a file, and how each is stored
    exif_block(file)    its EXIF, as other formats have it
    plane_fronts(file)  tiles of separate planes, as a file for each plane
    finish(file)        the way back
    Joiner              files of a page each, of any sizes, become one file

libvips writes pages of one size only, and no EXIF. What it has written is not touched here: new
directories are added at the end, which refer to the same pixels.

Sources: TIFF 6.0 (Adobe, 1992); BigTIFF (AWare Systems, 2007); EXIF 2.32 (CIPA DC-008, 2019).
"""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from typing import BinaryIO, NamedTuple

import numpy as np

from photochrom.resolution import Resolution, sane

__all__ = [
    "Joiner",
    "Layout",
    "Pages",
    "exif_block",
    "exif_resolution",
    "exif_tags",
    "finish",
    "largest_part",
    "plane_fronts",
    "read_pages",
]

# Tags.
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _TILES = (
    254, 256, 257, 258, 259, 262, 273, 324,
)  # fmt: skip
_MASK = 4  # as photometric interpretation: where the page before is transparent
_TILE_WIDTH, _TILE_HEIGHT, _SUB_IFDS = 322, 323, 330
_PAGE = 297  # its number, and how many there are
_SAMPLES = 339  # 1 unsigned, 2 signed, 3 float
_CHANNELS, _PLANAR = 277, 284  # how many; 1 side by side, 2 in a plane each
_EXTRA = 338  # those beyond color: 1 alpha that color is multiplied by, 2 alpha
_ACROSS, _DOWN, _UNIT = 282, 283, 296  # resolution
_EXIF, _GPS, _INTEROP, _COLOR_SPACE, _EXIF_WIDTH, _EXIF_HEIGHT = (
    34665, 34853, 40965, 40961, 40962, 40963,
)  # fmt: skip
_PIXELS = ((_STRIPS, 279), (_TILES, 325))  # where they are, and how many bytes
# What a plane has of its page: the above, order of bits, orientation, predictor, tables of JPEG.
_OF_PLANE = frozenset(
    [_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, 266, 274, _CHANNELS, 317, _TILE_WIDTH,
     _TILE_HEIGHT, _TILES, 325, _SAMPLES, 347]
)  # fmt: skip
_IN_PLANES = (0, 1, 2, 5)  # white is 0, black is 0, RGB, CMYK: each channel means by itself
_OFFSETS = (_STRIPS, _TILES, 288, 513, 519, 520, 521)  # their values are places in the file
_POINTERS = (_SUB_IFDS, _EXIF, _GPS, _INTEROP)  # to other directories
# EXIF of the main directory: who, when, with what; names of scans, a rating, the words of Windows.
_CAMERA = (
    269, 270, 271, 272, 285, 297, 305, 306, 315, 316, 337, 18246, 18249, 33432, 40091, 40092, 40093,
    40094, 40095,
)  # fmt: skip
_NAMING = frozenset([*_CAMERA, _EXIF, _GPS])

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_WORDS = {5: 4, 10: 4}  # of two numbers each
_COMPRESSIONS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits"}
_MOST_ENTRIES, _MOST_PAGES = 4096, 10_000  # more is an attack
_MOST_BYTES = 1 << 26  # of a value, in files written here
# Of all that is read of a file of others: directories and values may overlap, so that a small file
# would else cost any amount of time and memory.
_BUDGET = 1 << 24
_STORED = frozenset(
    [
        _SUBFILE,
        _WIDTH,
        _SAMPLES,
        _HEIGHT,
        _BITS,
        _COMPRESSION,
        _PHOTOMETRIC,
        _TILE_WIDTH,
        _TILE_HEIGHT,
        _SUB_IFDS,
        _PAGE,
        _CHANNELS,
        _PLANAR,
        _EXTRA,
    ]
)  # what `read_pages` needs


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
    """A directory cannot be followed; libvips decides whether the file can be read at all."""


_FAILURES = (_Damaged, OSError, struct.error, OverflowError)  # at whatever a damaged file may say


class _Reader:
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
            length = number * _SIZES.get(kind, 0)
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
                word = _WORDS.get(kind, _SIZES[kind])
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


# --- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How a page is stored."""

    index: int  # of the page, as libvips counts
    compression: str = "deflate"  # as libvips names it
    tile: tuple[int, int] | None = None  # width, height; None: strips
    copies: int = 0  # smaller ones of the page, each half as large as the one before: a pyramid
    nested: bool = False  # and they are in directories below that of the page
    subfile: int = 0  # what the page is to the others: 1 a small copy, 2 a page, 4 a mask
    place: int = 0  # in the file, of the directory
    double: bool = False  # of floats of 64 bits
    planes: int = 0  # of tiles each, one for each channel, which libvips does not read
    premultiplied: bool = False  # color by alpha
    masks: tuple[int, ...] = ()  # places of the directories of those that follow the page

    @property
    def pyramid(self) -> bool:
        """Whether there are smaller copies."""
        return self.copies > 0


class Pages(NamedTuple):
    """The pages of a TIFF file."""

    layouts: tuple[Layout, ...]  # without masks, and smaller copies that belong to a pyramid
    directories: int  # with them: what libvips counts as pages
    whole: bool  # the chain of directories could be followed to its end
    values: int  # bytes that the values of one directory claim, at most
    volume: int  # bytes of all their pixels with color and alpha, not compressed, copies included
    stray: tuple[int, int] | None = None
    """The only page names a place beyond the file for a next one: where it does, and bytes."""


def read_pages(file: BinaryIO) -> Pages:
    """The pages of a TIFF file, up to where its directories are damaged; nothing is raised."""
    found: list[Layout] = []
    before = (0, 0)
    number = volume = 0
    several = False
    try:
        reader = _Reader(file)
    except _FAILURES:
        return Pages((), 0, False, 0, 0)
    try:
        for place, directory in reader.chain(_STORED):
            index, number = number, number + 1
            size = _number(directory, _WIDTH), _number(directory, _HEIGHT)
            below = len(directory[_SUB_IFDS].numbers) if _SUB_IFDS in directory else 0
            bytes_each = 4 * max(1, _number(directory, _BITS) // 8)
            volume += bytes_each * size[0] * size[1] * (4 if below else 3) // 3
            subfile = _number(directory, _SUBFILE)
            numbered = directory[_PAGE].numbers[1:] if _PAGE in directory else []
            several = bool(subfile & 2) or max(numbered, default=0) > 1
            mask = _number(directory, _PHOTOMETRIC) == _MASK and _number(directory, _BITS) <= 8
            if found and mask:
                found[-1] = replace(found[-1], masks=(*found[-1].masks, place))
                continue
            half = all(abs(2 * n - b) <= 2 for n, b in zip(size, before, strict=True))
            before = size
            if found and subfile & 1 and half:
                found[-1] = replace(found[-1], copies=found[-1].copies + 1)
                continue
            tile = _number(directory, _TILE_WIDTH), _number(directory, _TILE_HEIGHT)
            apart = (
                all(tile)
                and _number(directory, _PLANAR) == 2
                and _number(directory, _PHOTOMETRIC) in _IN_PLANES
                and _number(directory, _BITS) in (8, 16, 32)
            )
            found.append(
                Layout(
                    index,
                    _COMPRESSIONS.get(_number(directory, _COMPRESSION), "deflate"),
                    tile if all(16 <= side <= 4096 and side % 16 == 0 for side in tile) else None,
                    # Below a page of strips there is a thumbnail, not a pyramid.
                    copies=below if all(tile) else 0,
                    nested=below > 0 and all(tile),
                    subfile=subfile,
                    place=place,
                    double=(_number(directory, _SAMPLES), _number(directory, _BITS)) == (3, 64),
                    planes=_number(directory, _CHANNELS) if apart else 0,
                    premultiplied=_number(directory, _EXTRA) == 1,
                )
            )
    except _FAILURES:
        # Scanners and old programs leave there what was in memory, and there never was a next page;
        # unless the first one says itself that it is one of several.
        if number == 1 and not several and reader.at >= file.seek(0, 2):
            link = reader.link, 8 if reader.big else 4
            return Pages(tuple(found), number, True, reader.most, volume, link)
        return Pages(tuple(found), number, False, reader.most, volume)
    return Pages(tuple(found), number, True, reader.most, volume)


def largest_part(file: BinaryIO, place: int) -> int:
    """Bytes of the largest strip or tile, as it is stored, of the page whose directory is there."""
    wanted = frozenset(counts for _, counts in _PIXELS)
    try:
        directory, _ = _Reader(file).directory(place, wanted)
    except _FAILURES:
        return 0
    return max((size for entry in directory.values() for size in entry.numbers), default=0)


def plane_fronts(file: BinaryIO, place: int) -> list[bytes]:
    """What makes a gray photo of each plane of a page of tiles; none if it is damaged.

    It is a header and a directory, to be put in front of all the bytes of the file.

    Parameters
    ----------
    file : a TIFF file
    place : of the page's directory, as in its `Layout`
    """
    try:
        # What a directory claims is in the file, or `Pages.values` has told.
        reader = _Reader(file, own=True)
        directory, _ = reader.directory(place, _OF_PLANE)
        width, height, tile_width, tile_height, planes = (
            _number(directory, tag)
            for tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT, _CHANNELS)
        )
        each = -(-width // tile_width) * -(-height // tile_height)
        starts, counts = (directory[tag].numbers for tag in (_TILES, 325))
        formats = {tag: directory[tag].numbers for tag in (_BITS, _SAMPLES) if tag in directory}
    except (*_FAILURES, KeyError, ZeroDivisionError):
        return []
    mixed = any(len(set(values)) != 1 for values in formats.values())
    if mixed or not len(starts) == len(counts) == each * planes > 0:
        return []
    head = (b"II" if reader.order == "<" else b"MM") + struct.pack(
        reader.order + "HHHQ", 43, 8, 0, 16
    )
    inverse = _number(directory, _PHOTOMETRIC) == 0
    fronts = []
    for n in range(planes):
        part = slice(n * each, (n + 1) * each)
        tree: Tree = {**directory, **{tag: Entry.of(3, v[:1]) for tag, v in formats.items()}}
        tree |= {
            _PHOTOMETRIC: Entry.of(3, [0 if inverse and n == 0 else 1]),  # alpha is never inverse
            _CHANNELS: Entry.of(3, [1]),
            325: Entry.of(16, counts[part]),
        }
        size = 0
        for _ in range(2):  # the places of the tiles depend on the size, and not it on them
            moved = np.array(starts[part], np.uint64) + np.uint64(size)
            tree[_TILES] = Entry(16, moved.astype("<u8").tobytes())
            front = head + _packed(tree, len(head), True, order=reader.order)
            size = len(front)
        fronts.append(front)
    return fronts


def _number(directory: Directory, tag: int) -> int:
    entry = directory.get(tag)
    numbers = entry.numbers if entry is not None else []
    return numbers[0] if numbers else 0


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
        reader = _Reader(file)
        at = reader.first if place is None else place
        tree = _exif_tree(reader, reader.directory(at, _NAMING)[0])
    except _FAILURES:
        pass
    if resolution is not None:
        across, down = (
            Entry(5, struct.pack("<II", round(value * 25400), 1000)) for value in resolution
        )
        tree |= {_ACROSS: across, _DOWN: down, _UNIT: Entry.of(3, [2])}  # an inch
    return b"Exif\0\0" + b"II*\0\x08\0\0\0" + _packed(tree, 8, False) if tree else None


def exif_tags(block: bytes) -> set[tuple[int, int]]:
    """The tags of an EXIF block that say something of the photo, each with that of its directory.

    0 stands for the main one.
    """
    try:
        reader = _Reader(io.BytesIO(block.removeprefix(b"Exif\0\0")))
        tree = _exif_tree(reader, reader.directory(reader.first, _NAMING)[0])
    except _FAILURES:
        return set()
    found = set()
    for tag, entry in tree.items():
        if isinstance(entry, dict):
            found |= {(tag, key) for key in entry if key not in _POINTERS}
        else:
            found.add((0, tag))
    return found


def exif_resolution(block: bytes) -> Resolution | None:
    """The resolution, pixels per mm, that an EXIF block states; None if it states none."""
    try:
        reader = _Reader(io.BytesIO(block.removeprefix(b"Exif\0\0")))
        directory, _ = reader.directory(reader.first, frozenset([_ACROSS, _DOWN, _UNIT]))
    except _FAILURES:
        return None
    scale = {0: 25.4, 2: 25.4, 3: 10.0}.get(_number(directory, _UNIT))  # inch, unless it is said
    values = []
    for tag in (_ACROSS, _DOWN):
        entry = directory.get(tag, Entry(0, b""))
        if scale is None or entry.kind != 5 or len(entry.data) < 8:
            return None
        above, below = struct.unpack("<II", entry.data[:8])
        values.append(above / below / scale if below else 0.0)
    return sane(*values)


Tree = dict[int, "Entry | Tree"]


def _exif_tree(reader: _Reader, directory: Directory) -> Tree:
    """What belongs to EXIF below a directory; whatever is damaged is left out."""
    tree: Tree = {tag: directory[tag] for tag in _CAMERA if tag in directory}
    for tag in (_EXIF, _GPS):
        below = _exif_below(reader, directory, tag)
        if below is not None:
            tree[tag] = below
    return _narrowed(tree)


def _exif_below(reader: _Reader, directory: Directory, tag: int) -> Tree | None:
    try:
        entries, _ = reader.directory(_number(directory, tag))
    except _FAILURES:
        return None
    below: Tree = {key: entry for key, entry in entries.items() if key not in _POINTERS}
    if tag == _EXIF and _INTEROP in entries:
        inner = _exif_below(reader, entries, _INTEROP)
        if inner is not None:
            below[_INTEROP] = inner
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


# --- writing --------------------------------------------------------------------------------------


def _packed(tree: Tree, at: int, big: bool, following: int = 0, order: str = "<") -> bytes:
    """A directory that is to stand at a place, what belongs to it behind."""
    inline, word = (8, "Q") if big else (4, "I")
    count = struct.pack(order + ("Q" if big else "H"), len(tree))
    end = at + len(count) + len(tree) * (20 if big else 12) + inline
    directory, beyond = count, b""
    for tag, entry in sorted(tree.items()):
        beyond += bytes(-(end + len(beyond)) % 8)
        if isinstance(entry, dict):
            place = end + len(beyond)
            beyond += _packed(entry, place, big, order=order)
            entry = Entry.of(16 if big else 4, [place])
        kind, data = entry
        if not big and kind in (16, 18):  # only BigTIFF has them
            kind, data = 4, np.array(entry.numbers, "<u4").tobytes()
        number = len(data) // _SIZES[kind]
        if order == ">":
            data = np.frombuffer(data, f"u{_WORDS.get(kind, _SIZES[kind])}").byteswap().tobytes()
        directory += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, number)
        if len(data) <= inline:
            directory += data.ljust(inline, b"\0")
        else:
            directory += struct.pack(order + word, end + len(beyond))
            beyond += data
    return directory + struct.pack(order + word, following) + beyond


def finish(
    file: BinaryIO,
    block: bytes | None,
    width: int,
    height: int,
    *,
    sized: bool,
    copies: int = 0,
) -> None:
    """Give the first page of a TIFF file of libvips an EXIF block, and take a false size from it.

    And of its smaller copies, all those that are more than its source has.

    Parameters
    ----------
    file : open for reading and writing
    block : as `exif_block` gives it, of either byte order
    width, height : of the photo as it is now
    sized : the resolution is known; libvips writes one in any case
    copies : that the source has
    """
    tree: Tree = {}
    try:
        if block is not None:
            source = _Reader(io.BytesIO(block.removeprefix(b"Exif\0\0")))
            tree = _exif_tree(source, source.directory(source.first, _NAMING)[0])
    except _FAILURES:
        pass  # nothing that could be kept
    target = _Reader(file, own=True)
    _cut(target, copies)
    directory, following = target.directory(target.first)
    if _SUB_IFDS in directory:
        kind, data = directory[_SUB_IFDS]
        directory[_SUB_IFDS] = Entry(kind, data[: copies * _SIZES[kind]])
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
    if not sized:
        ratio = Entry(5, struct.pack("<II", 1, 1))
        whole |= {_UNIT: Entry.of(3, [1]), _ACROSS: ratio, _DOWN: ratio}
    place = _end(file)
    file.write(_packed(whole, place, target.big, following))
    file.seek(target.place)
    file.write(struct.pack("<Q" if target.big else "<I", place))


def _cut(reader: _Reader, copies: int) -> None:
    """Leave the first page and as many smaller copies; libvips writes one after the other."""
    first, _ = reader.directory(reader.first)
    below = first[_SUB_IFDS].numbers if _SUB_IFDS in first else []
    places = [reader.first, *below] if below else [place for place, _ in reader.chain()]
    if len(places) <= 1 + copies:
        return
    end = 0
    for place in places[: 1 + copies]:
        directory, _ = reader.directory(place)
        end = max(end, reader.end)
        for offsets, counts in _PIXELS:
            if offsets in directory:
                each = zip(directory[offsets].numbers, directory[counts].numbers, strict=True)
                end = max(end, *(start + size for start, size in each))
    if not below:
        reader.file.seek(reader.link)
        reader.file.write(bytes(8 if reader.big else 4))
    reader.file.truncate(end)


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
        reader = _Reader(self.file, base, own=True)
        for number, (_, directory) in enumerate(list(reader.chain())):
            tree = self._moved(reader, directory)
            if number == 0 and subfile:
                tree[_SUBFILE] = Entry.of(4, [subfile])
            self._append(tree)

    def add_stored(self, source: BinaryIO, at: int) -> bool:
        """Append a page of any TIFF file as it is stored there; whether it is all there.

        Parameters
        ----------
        source : a TIFF file
        at : the place of the directory, of samples of at most 8 bits
        """
        try:
            reader = _Reader(source)
            directory, _ = reader.directory(at)
            left = whole = source.seek(0, 2)
            tree: Tree = {
                tag: entry
                for tag, entry in directory.items()
                if tag not in _POINTERS and tag not in _OFFSETS
            }
            for offsets, counts in _PIXELS:
                if offsets not in directory:
                    continue
                places = []
                for start, size in zip(
                    directory[offsets].numbers, directory[counts].numbers, strict=True
                ):
                    left -= size
                    if left < 0 or start + size > whole:
                        return False
                    places.append(_end(self.file))
                    source.seek(start)
                    self.file.write(source.read(size))
                tree[offsets] = Entry.of(16 if self.big else 4, places)
        except (*_FAILURES, KeyError, ValueError):
            return False
        self._append(tree)
        return bool(tree.keys() & {_STRIPS, _TILES})

    def _append(self, tree: Tree) -> None:
        """A directory, as the last one of the chain."""
        place = _end(self.file)
        self.file.write(_packed(tree, place, self.big))
        self.file.seek(self._link)
        self.file.write(struct.pack("<Q" if self.big else "<I", place))
        self._link = place + ((8 + 20 * len(tree)) if self.big else (2 + 12 * len(tree)))

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
