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
    planes: int = 0  # planes, one per channel, that libvips does not read or reads wrongly
    photometric: int = 1  # what the color channels mean; see `tiff_channels`
    channels: int = 1  # with those beyond color
    extra: tuple[int, ...] | None = None  # kinds of the channels beyond color; None: not stated
    bits: int = 8  # of a sample
    kind: int = 1  # of a sample: 1 unsigned, 2 signed, 3 float
    inks: int = 1  # 1 is CMYK
    width: int = 0
    height: int = 0
    grid: int = 0  # width of its tiles, whatever it is; 0: strips
    oriented: bool = False  # it states an orientation
    planar: bool = False  # a plane for each channel
    masks: tuple[int, ...] = ()  # places of the directories of the masks that follow the page

    @property
    def premultiplied(self) -> bool:
        """Whether the colors are multiplied by alpha."""
        return 1 in (self.extra or ())

    @property
    def double(self) -> bool:
        """Whether the samples are floats of 64 bits."""
        return (self.kind, self.bits) == (3, 64)

    @property
    def pyramid(self) -> bool:
        """Whether there are smaller copies."""
        return self.copies > 0
