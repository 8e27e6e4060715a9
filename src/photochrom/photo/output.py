"""How a result is to be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from photochrom.errors import ConfigError

__all__ = ["Output", "check_quality"]


def check_quality(quality: int | None) -> None:
    """Raise ConfigError unless the quality is None or from 1 to 100."""
    if quality is not None and not 1 <= quality <= 100:
        raise ConfigError(f"quality {quality}: must be from 1 to 100")


@dataclass(frozen=True)
class Output:
    """How a result is to be written.

    Raises
    ------
    ConfigError
        The quality is out of range.
    """

    quality: int | None = None
    """Of JPEG, WebP, AVIF, HEIC and JPEG XL, 1..100; None for the default of the format. The others
    have no loss."""
    force: bool = False
    """Replace an existing file; never the one that the photo was read from."""
    model: str = ""
    """Name of the model, for the XMP."""
    draft: str | None = None
    """Name of the file until it is complete; in the same folder, and free. None for a random one,
    .photochrom-..."""
    ready: Callable[[str], None] | None = None
    """Called with the name of the complete draft while the draft is being brought to the disk. If
    it raises, the draft is removed and nothing else has happened. Otherwise, the draft takes its
    name once it is on the disk."""
    bigtiff: int = 3 << 30
    """Bytes of pixels, not compressed, from which on a TIFF file becomes a BigTIFF. A classic TIFF
    holds 4 GB."""

    def __post_init__(self) -> None:
        check_quality(self.quality)
