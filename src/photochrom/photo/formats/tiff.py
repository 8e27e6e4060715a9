"""TIFF: pages, pyramids, and all that libvips neither reports nor writes.

::

    read_pages(file)    the pages of a file, and how each is stored

The output of libvips stays as it is: `tiff_write` adds new directories at the end, which refer
to the same pixels. Tiles with a plane for each channel go through `planes`.

Sources: TIFF 6.0 (Adobe, 1992); BigTIFF (AWare Systems, 2007).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyvips

from photochrom.errors import PhotoError
from photochrom.photo.carried import Carried
from photochrom.photo.facts import Facts
from photochrom.photo.formats.format import MOST_MENDED, Format, Holds, Page, Request
from photochrom.photo.formats.planes import (
    IN_PLANES,
    open_front,
    open_planes,
    other_front,
    plane_fronts,
)
from photochrom.photo.formats.tiff_channels import LAB, Channels, channels_of, is_camera_raw
from photochrom.photo.formats.tiff_packed import is_packed, open_packed
from photochrom.photo.formats.tiff_tags import tags_of
from photochrom.photo.formats.tiff_write import as_stored, complete, is_large
from photochrom.photo.ifd import (
    BITS,
    CHANNELS,
    COMPRESSION,
    EXTRA,
    FAILURES,
    HEIGHT,
    INK_SET,
    MASK,
    ORIENTATION,
    PAGE,
    PHOTOMETRIC,
    PIXELS,
    PLANAR,
    SAMPLES,
    SUB_IFDS,
    SUBFILE,
    TILE_HEIGHT,
    TILE_WIDTH,
    WIDTH,
    Directory,
    Entry,
    Reader,
    to_number,
)
from photochrom.photo.layout import Layout
from photochrom.photo.metadata.exif import exif_block, exif_orientation
from photochrom.photo.metadata.iptc import whole_iptc
from photochrom.photo.metadata.packets import xmp_orientation
from photochrom.photo.metadata.resolution import Resolution, sane
from photochrom.photo.source import REMEDY_DAMAGED, BytesOrigin, Origin
from photochrom.photo.vips import DTYPES

__all__ = ["TIFF", "Pages", "largest_part", "read_pages"]

# Camera raw files begin like TIFF files, and a TIFF reader finds only a tiny preview in them.
_CAMERA_RAW = re.compile(
    r"\.(3fr|arw|cr2|dcr|dng|erf|iiq|kdc|mef|mos|nef|nrw|pef|sr2|srf|srw)$", re.IGNORECASE
)
_GONE = "its {} cannot be kept"
_STRAY = (
    "refers to a second page beyond the end of the file, and was read as one page; if it had more, "
    "restore it from a copy"
)
_MOST_VALUES = 1 << 30  # bytes of all values of a directory
# libtiff, as libvips calls it, takes 50 MB in all. Layers of Photoshop are one value of a
# directory, and some programs store a photo as one strip, which is read as a whole before it is
# unpacked. A larger value is allowed only if the file is large enough to hold it.
_LARGE_VALUES = 1 << 23


@dataclass(frozen=True, eq=False)
class _Tiff(Format):
    def begins(self, head: bytes) -> bool:
        return head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))

    def wraps(self, request: Request) -> bool:
        return bool(_CAMERA_RAW.search(request.name)) or is_camera_raw(request.origin)

    def open(self, request: Request) -> Page:
        origin, pages = request.origin, request.known
        if pages is None:
            with origin.open() as file:
                pages = read_pages(file)
        if pages.stray is not None:
            origin = _mended(origin, pages.stray, request.name)
        request.check_page(max(1, len(pages.layouts)))
        layout = pages.layouts[request.page] if request.page < len(pages.layouts) else None
        _check_layout(layout, pages, request)
        facts = Facts(
            request.name,
            "file",
            page=request.page,
            pages=max(1, len(pages.layouts)),
            layout=layout,
            volume=pages.volume,
            stored=origin.open if layout is not None and layout.masks else None,
            notes=() if pages.stray is None else (_STRAY,),
        )
        options: dict[str, Any] = {}
        if layout is not None and layout.index:
            options["page"] = layout.index
        if _is_roomy(layout, pages, origin, request):
            options["unlimited"] = True
        request = replace(request, known=pages)
        channels = None if layout is None else channels_of(layout, request.name)
        if layout is not None and (is_packed(layout) or layout.photometric in LAB):
            _check_chain(request.name, pages, pages.directories)
            return _with_front(request, facts, layout, channels, options)
        page = self.opened(request, origin, facts, **options)
        _check_chain(request.name, pages, page.get("n-pages") or 1)
        return page

    def held_whole(self, page: Page) -> tuple[str, int]:
        layout = page.facts.layout
        if layout is None or not is_packed(layout):
            return self.name, 0
        return f"{layout.bits}-bit TIFF", 2 * page.pixel_bytes

    def facts(self, page: Page) -> Facts:
        facts = super().facts(page)
        metadata, layout = facts.metadata, facts.layout
        iptc = whole_iptc([metadata.iptc, page.get("photoshop-data")])
        metadata = replace(metadata, iptc=iptc)
        if layout is not None:  # libvips ignores the EXIF of a TIFF file
            with page.origin.open() as file:
                block = exif_block(file, layout.place)
            if block is not None:
                metadata = replace(metadata, exif=block)
        facts = replace(facts, metadata=metadata, profiled=facts.profiled or _is_managed(page))
        if layout is None:
            return facts
        turned = self.orientation(page, facts) != 1
        with page.origin.open() as file:
            tags = tags_of(file, layout.place, turned, page.get("photoshop-data"))
        notes = tuple(_GONE.format(what) for what in tags.gone)
        return replace(facts, tags=tags.kept, notes=(*facts.notes, *notes))

    def orientation(self, page: Page, facts: Facts) -> int:
        if page.facts.layout is None or page.facts.layout.oriented:
            return page.get("orientation") or 1
        # libvips states 1 where the file states none.
        metadata = facts.metadata
        return exif_orientation(metadata.exif or b"") or xmp_orientation(metadata.xmp or b"") or 1

    def resolution(self, page: Page, exif: bytes | None) -> Resolution | None:
        # If the file states no resolution, or a mere ratio of sides, libvips has a ratio.
        unit, across, down = page.get("resolution-unit"), page.said.xres, page.said.yres
        known = unit != "none" if unit else (across, down) != (1.0, 1.0)
        return sane(float(across), float(down)) if known else None

    def settled(self, page: Page) -> Page:
        layout, image, name = page.facts.layout, page.image, page.facts.name
        if layout is None:
            return page
        channels = channels_of(layout, name)
        if layout.planes:
            page = _of_planes(page, layout)
        # libvips divides by an alpha in 0..255, whatever the type of the samples.
        beyond = (
            image.format != "uchar"
            if image.interpretation == "cmyk"
            else image.format == "float" and image.bands == 2
        )
        if layout.premultiplied and beyond:
            raise PhotoError(
                "premultiplied alpha is not supported in 16-bit CMYK or floating-point gray",
                "save it with unassociated alpha",
                name=name,
            )
        return page if channels is None else _selected(page, channels)

    def dress(self, image: Any, carried: Carried) -> tuple[Any, dict[str, Any]]:
        image, options = super().dress(image, carried)
        layout, dtype = carried.facts.layout, np.dtype(DTYPES[image.format])
        options |= as_stored(layout)
        # Readers without the floating-point predictor are common.
        if dtype != np.float32 and options["compression"] in ("lzw", "deflate"):
            options["predictor"] = "horizontal"
        # Four bytes a sample barely fit into the 4 GB of a classic TIFF at 300 megapixels.
        size = carried.height * carried.width * image.bands * dtype.itemsize
        options["bigtiff"] = carried.big or is_large(size, layout, carried.bigtiff)
        if carried.iptc:
            # libvips counts this tag in 32-bit words, newer libtiff in bytes: only a quarter of the
            # data is sure to be written. The zeros after the records mean nothing.
            padded = carried.iptc + bytes(3 * len(carried.iptc))
            image.set_type(pyvips.GValue.blob_type, "iptc-data", padded)
        return image, options

    def finish(self, file: BinaryIO, carried: Carried) -> None:
        complete(file, carried)


TIFF = _Tiff(
    name="TIFF",
    suffixes=(".tif", ".tiff"),
    media_type="image/tiff",
    loader="tiffload_source",
    saver="tiffsave_target",
    holds=Holds(
        (np.uint8, np.uint16, np.float32),
        side=2**31 - 1,
        extra=True,
        pages=True,
        lossless=True,
        iptc=1 << 62,
    ),
    options={"compression": "deflate"},
    exif_by_libvips=False,
)


# --- opening a page -------------------------------------------------------------------------------


def _mended(origin: Origin, stray: tuple[int, int], name: str) -> BytesOrigin:
    """A file without the place of a next page, at which libvips would fail."""
    if origin.size() > MOST_MENDED:
        raise PhotoError("only its first page can be reached", REMEDY_DAMAGED, name=name)
    with origin.open() as file:
        data = bytearray(file.read())
    at, width = stray
    data[at : at + width] = bytes(width)
    return BytesOrigin(bytes(data))


def _check_layout(layout: Layout | None, pages: Pages, request: Request) -> None:
    if pages.values > min(_MOST_VALUES, request.origin.size()):
        raise PhotoError(
            "its directories list more data than the file holds", REMEDY_DAMAGED, name=request.name
        )
    if layout is not None and layout.double:
        raise PhotoError(
            "64-bit floats are not supported",
            "convert it to 32-bit floats or 16 bits",
            name=request.name,
        )


def _is_roomy(layout: Layout | None, pages: Pages, origin: Origin, request: Request) -> bool:
    """Whether the page needs more memory at once than libtiff would take by itself."""
    if layout is None or pages.values > _LARGE_VALUES:
        return pages.values > _LARGE_VALUES
    with origin.open() as file:
        largest = largest_part(file, layout.place)
    return _LARGE_VALUES < largest <= min(origin.size(), request.limits.max_whole)


def _check_chain(name: str, found: Pages, counted: int) -> None:
    """Refuse a file with pages that would be lost without a word."""
    if not found.whole or found.directories != counted:
        pages = min(found.directories, counted)
        part = "page" if pages == 1 else f"{pages} pages"
        raise PhotoError(f"only its first {part} can be reached", REMEDY_DAMAGED, name=name)


def _with_front(
    request: Request,
    facts: Facts,
    layout: Layout,
    channels: Channels | None,
    options: dict[str, Any],
) -> Page:
    """A page that libvips can only read with another directory."""
    origin, roomy = request.origin, options.get("unlimited", False)
    if is_packed(layout):
        header, load = open_packed(origin, layout, channels, request.name, roomy)
        return Page(origin, header, load, facts, request.known, options, bare=True)
    # The samples as they are: libvips would take them for its own kinds of L*a*b*.
    one = channels is not None and channels.colors == 1
    with origin.open() as file:
        front = other_front(file, layout.place, {PHOTOMETRIC: Entry.of(3, [1 if one else 2])})
    if not front:
        raise PhotoError("its directory is damaged", REMEDY_DAMAGED, name=request.name)
    load = partial(open_front, origin, front, roomy=roomy)
    return Page(origin, load(), load, facts, request.known, options)


def _selected(page: Page, channels: Channels) -> Page:
    """A page with its colors and its alpha only; its facts know of the other channels."""
    load, facts = page.load, page.facts
    if channels.others:
        kinds = tuple(2 if kind == 1 else kind for kind in channels.extra)  # no longer multiplied
        facts = replace(facts, extra=kinds, beyond=lambda access: channels.beyond(load(access)))
    return replace(
        page,
        image=channels.seen(page.image),
        load=lambda access="sequential": channels.seen(load(access)),
        facts=facts,
        header=page.said,
        space=channels.space,
    )


def _is_managed(page: Page) -> bool:
    """Whether the page is in a color space of its own, without a profile."""
    return page.space in ("Lab ", "ICC ", "L   ")


def _of_planes(page: Page, layout: Layout) -> Page:
    """A page in separate planes."""
    with page.origin.open() as file:
        fronts = plane_fronts(file, layout.place)
    load = partial(
        open_planes,
        page.origin,
        fronts,
        roomy=page.options.get("unlimited", False),
        premultiplied=layout.premultiplied,
    )
    header, image = page.said, load() if len(fronts) == page.image.bands else None
    if image is None or any(
        getattr(image, key) != getattr(header, key) for key in ("width", "height", "format")
    ):
        raise PhotoError("its planes have different sizes", REMEDY_DAMAGED, name=page.facts.name)
    return replace(page, image=image, load=load, header=header)


# --- its directories ------------------------------------------------------------------------------

_COMPRESSIONS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits"}
_NEEDED = frozenset([
    SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, CHANNELS, PLANAR, PAGE, TILE_WIDTH,
    TILE_HEIGHT, SUB_IFDS, EXTRA, SAMPLES, INK_SET, ORIENTATION,
])  # fmt: skip


class Pages(NamedTuple):
    """The pages of a TIFF file."""

    layouts: tuple[Layout, ...]  # without masks, and smaller copies that belong to a pyramid
    directories: int  # with all of these: what libvips counts as pages
    whole: bool  # the chain of directories could be followed to its end
    values: int  # bytes that the values of one directory claim, at most
    volume: int  # bytes of all pixels with color and alpha, not compressed, copies included
    stray: tuple[int, int] | None = None
    """Where the only page states a place beyond the file for a next one, and in how many bytes."""


def read_pages(file: BinaryIO) -> Pages:
    """The pages of a TIFF file, up to where its directories are damaged; nothing is raised."""
    found: list[Layout] = []
    before = (0, 0)
    number = volume = 0
    several = False
    try:
        reader = Reader(file)
    except FAILURES:
        return Pages((), 0, False, 0, 0)
    try:
        for place, directory in reader.chain(_NEEDED):
            index, number = number, number + 1
            size = to_number(directory, WIDTH), to_number(directory, HEIGHT)
            volume += _volume(directory)
            subfile = to_number(directory, SUBFILE)
            numbered = directory[PAGE].numbers[1:] if PAGE in directory else []
            several = bool(subfile & 2) or max(numbered, default=0) > 1
            mask = to_number(directory, PHOTOMETRIC) == MASK and to_number(directory, BITS) <= 8
            if found and mask:
                found[-1] = replace(found[-1], masks=(*found[-1].masks, place))
                continue
            half = all(abs(2 * n - b) <= 2 for n, b in zip(size, before, strict=True))
            before = size
            if found and subfile & 1 and half:
                found[-1] = replace(found[-1], copies=found[-1].copies + 1)
                continue
            found.append(_layout(index, place, directory))
    except FAILURES:
        # Scanners and old programs leave there what was in memory, and there never was a next page;
        # unless the first page itself says that it is one of several.
        if number == 1 and not several and reader.at >= file.seek(0, 2):
            link = reader.link, 8 if reader.big else 4
            return Pages(tuple(found), number, True, reader.most, volume, link)
        return Pages(tuple(found), number, False, reader.most, volume)
    return Pages(tuple(found), number, True, reader.most, volume)


def _volume(directory: Directory) -> int:
    """Bytes of the pixels of a page with color and alpha, not compressed."""
    bytes_each = 4 * max(1, to_number(directory, BITS) // 8)
    pixels = to_number(directory, WIDTH) * to_number(directory, HEIGHT)
    nested = SUB_IFDS in directory and directory[SUB_IFDS].numbers
    return bytes_each * pixels * (4 if nested else 3) // 3


def _layout(index: int, place: int, directory: Directory) -> Layout:
    tile = to_number(directory, TILE_WIDTH), to_number(directory, TILE_HEIGHT)
    below = len(directory[SUB_IFDS].numbers) if SUB_IFDS in directory else 0
    photometric, channels = to_number(directory, PHOTOMETRIC), to_number(directory, CHANNELS) or 1
    planar = to_number(directory, PLANAR) == 2 and channels > 1
    # libvips reads gray strips in planes, but from the wrong places.
    apart = (
        planar
        and (all(tile) or photometric < 2)
        and photometric in IN_PLANES
        and to_number(directory, BITS) in (8, 16, 32)
    )
    return Layout(
        index,
        _COMPRESSIONS.get(to_number(directory, COMPRESSION), "deflate"),
        tile if all(16 <= side <= 4096 and side % 16 == 0 for side in tile) else None,
        # Below a page of strips there is a thumbnail, not a pyramid.
        copies=below if all(tile) else 0,
        nested=below > 0 and all(tile),
        subfile=to_number(directory, SUBFILE),
        place=place,
        planes=channels if apart else 0,
        photometric=photometric,
        channels=channels,
        extra=tuple(directory[EXTRA].numbers) if EXTRA in directory else None,
        bits=to_number(directory, BITS) or 1,
        kind=to_number(directory, SAMPLES) or 1,
        inks=to_number(directory, INK_SET) or 1,
        width=to_number(directory, WIDTH),
        height=to_number(directory, HEIGHT),
        grid=tile[0],
        oriented=ORIENTATION in directory,
        planar=planar,
    )


def largest_part(file: BinaryIO, place: int) -> int:
    """Bytes of the largest strip or tile, as it is stored, of the page with this directory."""
    wanted = frozenset(counts for _, counts in PIXELS)
    try:
        directory, _ = Reader(file).directory(place, wanted)
    except FAILURES:
        return 0
    return max((size for entry in directory.values() for size in entry.numbers), default=0)
