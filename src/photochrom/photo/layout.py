"""How a TIFF lays out its samples."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Layout"]


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
