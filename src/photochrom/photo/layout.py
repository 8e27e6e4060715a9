"""How a TIFF file stores a page."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """How a page is stored."""

    index: int  # of the page, as libvips counts
    compression: str = "deflate"  # as libvips names it
    tile: tuple[int, int] | None = None  # width, height; None: strips
    copies: int = 0  # smaller copies, each half as large as the one before: a pyramid
    nested: bool = False  # the copies are in directories below that of the page
    subfile: int = 0  # the page's role among the others: 1 a small copy, 2 a page, 4 a mask
    place: int = 0  # of the directory in the file
    double: bool = False  # its samples are floats of 64 bits
    planes: int = 0  # planes in tiles, one per channel, which libvips does not read
    premultiplied: bool = False  # its colors are multiplied by alpha
    masks: tuple[int, ...] = ()  # places of the directories of the masks that follow the page

    @property
    def pyramid(self) -> bool:
        """Whether there are smaller copies."""
        return self.copies > 0
