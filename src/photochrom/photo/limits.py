"""How large a photo may be, and how much of it is in memory at a time."""

from __future__ import annotations

from dataclasses import dataclass

from photochrom.errors import PhotoError

__all__ = ["LIMITS", "ReadLimits"]


@dataclass(frozen=True)
class ReadLimits:
    """Limits for reading photos."""

    max_pixels: int = 500_000_000
    """22,000 x 22,000. A larger photo is far more often an attack than a photograph."""
    max_side: int = 100_000
    """Pixels; 4.2 m at 600 dpi. Very long rows make even a strip of the photo large."""
    max_whole: int = 1_500_000_000
    """Bytes of a photo whose decoder has to hold all of it in memory."""
    stream_pixels: int = 16_000_000
    """A file with more pixels is never in memory as floats. The network, and then each rendering,
    goes through it one strip at a time."""
    cache_bytes: int = 144 << 20
    """The decoded samples of such a file are cached up to this size, because decoding a JPEG twice
    would be a third of the whole work. Larger files are decoded each time. It holds a JPEG of 24
    megapixels that is not in sRGB."""
    strip_pixels: int = 1 << 20
    """Pixels per strip: a few megabytes, and enough work to share among threads."""

    def check_size(self, name: str, width: int, height: int) -> None:
        """Raise PhotoError if a photo of this size is over the limits."""
        size, remedy = f"{width} x {height} pixels", "scale it down, or cut it into tiles"
        if width * height > self.max_pixels:
            limit = f"{self.max_pixels / 1e6:g} megapixels"
            raise PhotoError(f"has {size}, over the limit of {limit}", remedy, name=name)
        if max(width, height) > self.max_side:
            limit = f"{self.max_side} per side"
            raise PhotoError(f"has {size}, over the limit of {limit}", remedy, name=name)

    def check_whole(self, name: str, kind: str, size: int) -> None:
        """Raise PhotoError if a decoder has to hold too much at once.

        Parameters
        ----------
        name, kind : of the file, for the message
        size : bytes that the decoder needs for the whole photo
        """
        if size > self.max_whole:
            raise PhotoError(
                f"decoding {kind} takes {size / 1e9:.2g} GB at once, over the limit of "
                f"{self.max_whole / 1e9:g} GB",
                "convert it to TIFF or to a PNG that is not interlaced",
                name=name,
            )


LIMITS = ReadLimits()
