"""Writing TIFF: the metadata and pages that libvips does not write."""

from __future__ import annotations

import io
import shutil
import struct
from typing import Any, BinaryIO

from photochrom.photo.carried import Carried
from photochrom.photo.ifd import (
    ACROSS,
    COLOR_SPACE,
    DOWN,
    EXIF,
    EXIF_HEIGHT,
    EXIF_WIDTH,
    EXTRA,
    FAILURES,
    GPS,
    OFFSETS,
    PIXELS,
    POINTERS,
    SIZES,
    STRIPS,
    SUB_IFDS,
    SUBFILE,
    TILES,
    UNIT,
    Directory,
    Entry,
    Reader,
    Tree,
    file_head,
    packed_tree,
    to_number,
)
from photochrom.photo.layout import Layout
from photochrom.photo.metadata.exif import EXIF_HEAD, NAMING, exif_tree, turned_tree
from photochrom.photo.metadata.turn import Turn

__all__ = ["Joiner", "as_stored", "complete", "is_large"]


def is_large(size: int, layout: Layout | None, limit: int) -> bool:
    """Whether a page of so many bytes, with its pyramid, may come near the 4 GB of classic TIFF."""
    pyramid = layout is not None and layout.pyramid
    return size > (limit * 2 // 3 if pyramid else limit)


def as_stored(layout: Layout | None) -> dict[str, Any]:
    """Options with which libvips stores a page in the same way as the source."""
    if layout is None:
        return {}
    options: dict[str, Any] = {"compression": layout.compression}
    tile = layout.tile or ((256, 256) if layout.pyramid else None)
    if tile is not None:
        options |= {"tile": True, "tile_width": tile[0], "tile_height": tile[1]}
    if layout.pyramid:
        # As many copies as possible; `complete` leaves as many as there were.
        options |= {"pyramid": True, "subifd": layout.nested, "depth": "onepixel"}
    return options


def complete(file: BinaryIO, carried: Carried) -> None:
    """Give the first page of a TIFF file of libvips its EXIF, and only what is true of it.

    libvips always states a resolution, and makes as many smaller copies as it can: an unknown
    resolution is removed, and so are the copies that the source does not have.

    Parameters
    ----------
    file : open for reading and writing
    carried : from the source
    """
    block, layout = carried.facts.metadata.exif, carried.facts.layout
    copies = layout.copies if layout is not None else 0
    if carried.facts.extra:
        _state_extra(Reader(file, own=True), carried.facts.extra)
    facts = carried.facts
    if not block and facts.resolution is not None and not copies and not facts.tags:
        return
    tree: Tree = {}
    try:
        if block is not None:
            source = Reader(io.BytesIO(block.removeprefix(EXIF_HEAD)))
            tree = exif_tree(source, source.directory(source.first, NAMING)[0])
    except FAILURES:
        pass  # nothing can be read
    target = Reader(file, own=True)
    _cut(target, copies)
    directory, following = target.directory(target.first)
    if SUB_IFDS in directory:
        kind, data = directory[SUB_IFDS]
        directory[SUB_IFDS] = Entry(kind, data[: copies * SIZES[kind]])
    below = tree.get(EXIF)
    if isinstance(below, dict):
        turn = Turn(carried.facts.turned, carried.width, carried.height)
        tree[EXIF] = below = turned_tree(below, turn)
        below[COLOR_SPACE] = Entry.of(3, [1])  # sRGB
        for tag, side in ((EXIF_WIDTH, carried.width), (EXIF_HEIGHT, carried.height)):
            if tag in below:
                below[tag] = Entry.of(4, [side])
    whole: Tree = {**facts.tags, **tree, **directory}
    for tag in (EXIF, GPS):
        if tag in tree:
            whole[tag] = tree[tag]
    if carried.facts.resolution is None:
        ratio = Entry(5, struct.pack("<II", 1, 1))
        whole |= {UNIT: Entry.of(3, [1]), ACROSS: ratio, DOWN: ratio}
    place = _end(file)
    file.write(packed_tree(whole, place, target.big, following))
    file.seek(target.place)
    file.write(struct.pack("<Q" if target.big else "<I", place))


def _state_extra(reader: Reader, kinds: tuple[int, ...]) -> None:
    """Say what the channels beyond color are; libvips says that each of them is alpha."""
    places = [reader.first]
    for place, directory in list(reader.chain()):
        below = directory[SUB_IFDS].numbers if SUB_IFDS in directory else []
        places += [place, *below]
    for place in dict.fromkeys(places):
        directory, _ = reader.directory(place, frozenset([EXTRA]))
        if EXTRA in directory and len(directory[EXTRA].numbers) == len(kinds):
            reader.file.seek(reader.place_of(place, EXTRA))
            reader.file.write(struct.pack(f"{reader.order}{len(kinds)}H", *kinds))


def _cut(reader: Reader, copies: int) -> None:
    """Leave the first page and so many smaller copies; libvips writes one after the other."""
    first, _ = reader.directory(reader.first)
    below = first[SUB_IFDS].numbers if SUB_IFDS in first else []
    places = [reader.first, *below] if below else [place for place, _ in reader.chain()]
    if len(places) <= 1 + copies:
        return
    end = 0
    for place in places[: 1 + copies]:
        directory, _ = reader.directory(place)
        end = max(end, reader.end)
        for offsets, counts in PIXELS:
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
    """Makes one TIFF file from several, each with a page, or with a page and its pyramid.

    Parameters
    ----------
    file : new, open for reading and writing
    big : make a BigTIFF, for more than 4 GB
    """

    def __init__(self, file: BinaryIO, big: bool) -> None:
        self.file, self.big = file, big
        file.write(file_head("<", big))
        self._link = 8 if big else 4  # where to write the place of the next directory

    def add(self, page: BinaryIO, subfile: int = 0) -> None:
        """Append a file written by libvips; `subfile` is the page's role among the others."""
        base = _end(self.file)
        page.seek(0)
        shutil.copyfileobj(page, self.file, 1 << 20)
        reader = Reader(self.file, base, own=True)
        for number, (_, directory) in enumerate(list(reader.chain())):
            tree = self._moved(reader, directory)
            if number == 0 and subfile:
                tree[SUBFILE] = Entry.of(4, [subfile])
            self._append(tree)

    def add_stored(self, source: BinaryIO, at: int) -> bool:
        """Append a page of any TIFF file as it is stored there; False if some of it is missing.

        Parameters
        ----------
        source : a TIFF file
        at : the place of the directory, of samples of at most 8 bits
        """
        try:
            reader = Reader(source)
            directory, _ = reader.directory(at)
            left = whole = source.seek(0, 2)
            tree: Tree = {
                tag: entry
                for tag, entry in directory.items()
                if tag not in POINTERS and tag not in OFFSETS
            }
            for offsets, counts in PIXELS:
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
        except (*FAILURES, KeyError, ValueError):
            return False
        self._append(tree)
        return bool(tree.keys() & {STRIPS, TILES})

    def _append(self, tree: Tree) -> None:
        """Append a directory to the chain."""
        place = _end(self.file)
        self.file.write(packed_tree(tree, place, self.big))
        self.file.seek(self._link)
        self.file.write(struct.pack("<Q" if self.big else "<I", place))
        self._link = place + ((8 + 20 * len(tree)) if self.big else (2 + 12 * len(tree)))

    def _moved(self, reader: Reader, directory: Directory) -> Tree:
        """A directory of a part of the file, with places in the whole file."""
        tree: Tree = {}
        wide = 16 if self.big else 4
        for tag, entry in directory.items():
            if tag in OFFSETS:
                tree[tag] = Entry.of(wide, [n + reader.base for n in entry.numbers])
            elif tag == SUB_IFDS:
                places = []
                for at in entry.numbers:
                    below = self._moved(reader, reader.directory(at)[0])
                    places.append(_end(self.file))
                    self.file.write(packed_tree(below, places[-1], self.big))
                tree[tag] = Entry.of(wide, places)
            elif tag in POINTERS:
                tree[tag] = self._moved(reader, reader.directory(to_number(directory, tag))[0])
            else:
                tree[tag] = entry
        return tree
