"""What the studio keeps of a photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from photochrom.arrays import RGB, Float32
from photochrom.color.upsample import Upsampler
from photochrom.distribution import Distribution
from photochrom.margin import Margin
from photochrom.photo.framing import UNCHANGED, Framing
from photochrom.photo.photo import Photo
from photochrom.web.studio.asked import Coloring

__all__ = ["KEPT", "Base", "Fields", "Leanings", "Level", "Made", "Ready", "Sent", "Whole"]

KEPT = {"made": 48, "leanings": 4, "fields": 64, "view": 4, "level": 2, "fitted": 2, "ab": 8}
"""How many of each kind are kept for one photo, so that someone who plays cannot push out everybody
else's: sets of hints, candidates of a seed with hints, seeds, sizes of previews, scales of tiles,
settings of tiles, small ab."""


@dataclass(frozen=True)
class Sent:
    """The file of a photo, and how the photo is turned and cropped."""

    path: Path
    framing: Framing = UNCHANGED


@dataclass(frozen=True, eq=False)
class Base:
    """What answers most questions about a photo without decoding it again."""

    shape: tuple[int, int]  # (height, width) of the photo
    small: Float32  # L at the size of the network's frame
    guide: Float32  # L at the size that the upsampler looks at
    view: RGB  # the photo at its largest preview, uint8 (H, W, 1 or 3), without alpha
    L: Float32  # of the view
    size: tuple[int, int]  # (h, w) of the logits
    margin: Margin | None = None

    @property
    def nbytes(self) -> int:
        """The bytes of memory."""
        return sum(array.nbytes for array in (self.small, self.guide, self.view, self.L))


@dataclass(frozen=True, eq=False)
class Whole:
    """A photo with all its pixels in memory."""

    photo: Photo
    nbytes: int  # of memory

    @classmethod
    def of(cls, photo: Photo) -> Whole:
        """Read all of it. A large photo is only decoded now: PhotoError if it is damaged."""
        alpha = photo.alpha
        return cls(photo, int(photo.pixels.nbytes) + (0 if alpha is None else int(alpha.nbytes)))


class Made(NamedTuple):
    """A file with a result, which whoever gets it removes."""

    path: Path
    notes: tuple[str, ...]  # what it cannot hold of the photo


@dataclass(frozen=True, eq=False)
class Level:
    """A photo at one size, with the upsampler for that size; for previews, also its L."""

    pixels: NDArray[Any]
    upsampler: Upsampler
    L: Float32 | None = None

    @property
    def nbytes(self) -> int:
        """The bytes of memory, about."""
        h, w = self.upsampler.size
        width = self.upsampler.shape[1]
        planes = 4 * (2 * h * width + 2 * 27 * h * w)
        return self.pixels.nbytes + planes + (0 if self.L is None else self.L.nbytes)


@dataclass(frozen=True, eq=False)
class Leanings:
    """What the candidates of one seed are made of; see `Distribution.leanings`."""

    logits: Float32
    fields: Float32

    @property
    def nbytes(self) -> int:
        """The bytes of memory."""
        return self.logits.nbytes + self.fields.nbytes


@dataclass(frozen=True, eq=False)
class Fields:
    """What makes the candidates of one seed differ; the same with any hints for a photo."""

    fields: Float32

    @property
    def nbytes(self) -> int:
        """The bytes of memory."""
        return self.fields.nbytes


@dataclass(frozen=True, eq=False)
class Ready:
    """Everything that a picture of a prediction is made from. It is not cached."""

    token: str  # of the photo
    name: str  # of the prediction
    base: Base
    made: Distribution
    coloring: Coloring
    fields: Float32 | None = None  # of the candidates, with hints
