"""What the studio keeps of a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color.upsample import Upsampler
from photochrom.hints import Anchors
from photochrom.models import STRIDE
from photochrom.photo.facts import Facts
from photochrom.photo.photo import Held, Photo

__all__ = ["Base", "Fields", "Full", "KEPT", "Leanings", "Level", "Made", "encoded_picture"]

KEPT = {"made": 48, "leanings": 4, "fields": 64, "view": 4, "level": 2, "fitted": 2, "ab": 8}
"""Of one photo at most so many of a kind, so that nobody who plays pushes out all others: sets of
hints, candidates of a seed with hints, seeds, sizes of previews, scales of tiles, settings of
tiles, small ab."""


@dataclass(frozen=True, eq=False)
class Base:
    """What is kept of a photo to answer without decoding it again."""

    shape: tuple[int, int]  # (height, width) of the photo
    small: Float32  # L at the size of the network's frame
    guide: Float32  # L at the size at which the upsampler looks at it
    photo: Photo  # reduced to VIEW, 8 bits, without alpha
    L: Float32  # of that

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the logits."""
        return self.small.shape[0] // STRIDE, self.small.shape[1] // STRIDE

    @property
    def nbytes(self) -> int:
        """Of memory."""
        arrays = (self.small, self.guide, self.photo.pixels, self.L)
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True, eq=False)
class Full:
    """A photo with all its pixels in memory."""

    photo: Photo
    nbytes: int  # of memory

    @classmethod
    def of(cls, photo: Photo) -> Full:
        """All of it; PhotoError where a large one, which is decoded only now, is damaged."""
        alpha = photo.alpha
        return cls(photo, int(photo.pixels.nbytes) + (0 if alpha is None else int(alpha.nbytes)))


@dataclass(frozen=True, eq=False)
class Level:
    """A photo at one size, with the upsampler for it; at preview sizes with its L."""

    pixels: NDArray[Any]
    upsampler: Upsampler
    L: Float32 | None = None

    @property
    def nbytes(self) -> int:
        """Of memory, about."""
        h, w = self.upsampler.size
        width = self.upsampler.shape[1]
        planes = 4 * (2 * h * width + 2 * 27 * h * w)
        return self.pixels.nbytes + planes + (0 if self.L is None else self.L.nbytes)


@dataclass(frozen=True, eq=False)
class Made:
    """What the network made of a photo and hints; see `Prediction`."""

    logits: Float32
    anchors: Anchors | None
    fields: Float32 | None = None  # of the candidates that are asked for; not cached with it

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return self.logits.nbytes + (0 if self.anchors is None else self.anchors.spread.nbytes)


@dataclass(frozen=True, eq=False)
class Leanings:
    """What the candidates of one seed are made of; see `Prediction.leanings`."""

    logits: Float32
    fields: Float32

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return self.logits.nbytes + self.fields.nbytes


@dataclass(frozen=True, eq=False)
class Fields:
    """What makes the candidates of one seed differ, the same with any hints of a photo."""

    fields: Float32

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return self.fields.nbytes


def encoded_picture(pixels: NDArray[Any]) -> Photo:
    return Photo(Held(pixels, None), Facts("picture", "array"))
