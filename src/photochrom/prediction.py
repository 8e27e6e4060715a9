"""A distribution and its photo: render, save, palette."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypedDict, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from photochrom.anchors import Anchors
from photochrom.arrays import Float32
from photochrom.color.bins import TEMPERATURE
from photochrom.color.upsample import Upsampler
from photochrom.distribution import Distribution
from photochrom.errors import HintError
from photochrom.given import Back
from photochrom.look import PLAIN_LOOK, Look
from photochrom.models import ModelInfo
from photochrom.photo.photo import Photo
from photochrom.photo.write import Output, write_photo
from photochrom.render import PART, Brush, Strips, colored_strips, painted

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # type checkers bring it

    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")

__all__ = ["FileSettings", "Prediction", "Settings", "divided"]


NOTEBOOK = 800
"""Longest side of a picture in a notebook, in pixels."""


class Settings(TypedDict, total=False):
    """The keyword arguments of `Prediction.save`; all are optional.

    Keys
    ----
    keep_color : see `Look`
    quality : 1..100, of JPEG, WebP, AVIF, HEIC and JPEG XL
    force : replace an existing file
    draft : name of the file until it is complete
    ready : called with the name of the complete draft
    """

    keep_color: float
    quality: int | None
    force: bool
    draft: str | None
    ready: Callable[[str], None] | None


class FileSettings(Settings, total=False):
    """Those of `Colorizer.color_file` alone.

    Keys
    ----
    candidate : (number, seed) of another coloring, see `Distribution.candidate`
    page : called with the prediction of each page before it is written
    """

    candidate: tuple[int, int] | None
    page: Callable[[Prediction], None] | None


def divided(
    temperature: float, saturation: float, settings: Settings
) -> tuple[Look, dict[str, Any]]:
    """The look, checked, and what is left of the settings: how to write the file."""
    output = dict(settings)
    keep_color = settings.get("keep_color", 0.0)
    output.pop("keep_color", None)
    return Look(temperature, saturation, keep_color), output


@dataclass(frozen=True, eq=False)
class Prediction(Generic[R]):
    """The distribution over colors for every pixel of a photo, and the photo itself.

    None of the methods runs the network. To type checkers, a `Prediction[R]` is one that renders
    an R; `Colorizer.predict` says which.

    Attributes
    ----------
    photo : the photo that was read
    L : float32 (H, W), 0..100; reduced by area if the photo is `streamed`
    distribution : what the network predicts
    threads : cores to render with; 0 for all
    upsampler : for this L and this size of logits, if there is one already
    back : gives a result back as the type that came in; None for the way of `Photo.restore`
    """

    photo: Photo
    L: Float32
    distribution: Distribution
    threads: int = 0
    upsampler: Upsampler | None = field(default=None, repr=False)
    back: Back | None = field(default=None, repr=False)

    @property
    def logits(self) -> Float32:
        """float32 (Q, h, w): see `Distribution`."""
        return self.distribution.logits

    @property
    def info(self) -> ModelInfo:
        """What the model says about itself."""
        return self.distribution.info

    @property
    def anchors(self) -> Anchors | None:
        """The places where the user's hints apply exactly; None without hints."""
        return self.distribution.anchors

    def ab(self, temperature: float = TEMPERATURE, saturation: float = 1.0) -> Float32:
        """The color at the network's resolution: float32 (h, w, 2).

        Parameters
        ----------
        temperature : T of the annealed mean; 0 is the mode (vivid), 1 the mean (muted)
        saturation : factor on a and b

        Raises
        ------
        ConfigError
            A temperature or saturation that is negative or not finite.

        Source: the paper, section 2.3.
        """
        return self.distribution.ab(Look(temperature, saturation))

    def render(
        self, temperature: float = TEMPERATURE, saturation: float = 1.0, *, keep_color: float = 0.0
    ) -> R:
        """The photo in color, at full size, with its own L.

        Parameters
        ----------
        temperature : T of the annealed mean; lower is more vivid, higher more muted
        saturation : factor on the colors
        keep_color : share, 0..1, of a color photo's own a and b in the result

        Returns
        -------
        The type that went in: a PIL image for a PIL image, a tensor (3, H, W) for a tensor; for an
        array or a file in any form, an array, RGB (H, W, 3) or RGBA (H, W, 4), of the same dtype.
        Alpha is kept.
        """
        result = self.photo.restore(self._rgb(Look(temperature, saturation, keep_color)))
        return cast(R, result if self.back is None else self.back(result))

    def _repr_png_(self) -> bytes:
        """The photo in color, reduced, as a notebook shows it."""
        from photochrom.photo.pictures import resized, to_png
        from photochrom.photo.samples import to_uint8

        rgb = to_uint8(self._rgb(PLAIN_LOOK))
        scale = min(1.0, NOTEBOOK / max(rgb.shape[:2]))
        return to_png(resized(rgb, *(max(1, round(side * scale)) for side in rgb.shape[:2])))

    def save(
        self,
        path: str | os.PathLike[str],
        temperature: float = TEMPERATURE,
        saturation: float = 1.0,
        **settings: Unpack[Settings],
    ) -> None:
        """Render into a file; its extension decides the format.

        Parameters
        ----------
        path : see `photo.write.write_photo`
        temperature, saturation : see `render`
        settings : `keep_color`, see `render`; `quality`, `force`, `draft` and `ready`, see
            `photo.write.write_photo`

        Raises
        ------
        PhotoError
            The file exists (and not `force`), or cannot be written.
        """
        look, output = divided(temperature, saturation, settings)
        write_photo(path, self.colors(look), self.photo, Output(model=self.info.name, **output))

    def candidates(
        self,
        n: int = 4,
        seed: int = 0,
        temperature: float = TEMPERATURE,
        saturation: float = 1.0,
    ) -> list[R]:
        """n different plausible colorings, each coherent over its objects, rendered as by `render`.

        `candidate_predictions` returns them as predictions.
        """
        return [c.render(temperature, saturation) for c in self.candidate_predictions(n, seed)]

    def candidate_predictions(self, n: int = 4, seed: int = 0) -> list[Prediction[R]]:
        """n predictions, each leaning toward other plausible colors; see `Distribution.candidates`.

        They stand for the many colorings that the distribution leaves open. They are no samples.

        Parameters
        ----------
        n : how many, at least 1
        seed : equal seeds give equal candidates
        """
        return [replace(self, distribution=d) for d in self.distribution.candidates(n, seed)]

    def uncertainty(self) -> Float32:
        """Entropy of the distribution in bits, float32 (h, w) at the network's resolution.

        At most log2(313) = 8.3. Even where the model is sure, 1.6 to 2 bits are left: its
        training spreads each true color over 5 bins with a Gaussian of 5 units of ab, and that is
        the entropy of the spread. The rebalancing of rare colors is removed first.
        """
        return self.distribution.uncertainty()

    def certainty(self, look: Look = PLAIN_LOOK) -> tuple[float, float, float] | None:
        """How sure the model is, see `Distribution.certainty`; None for a regression."""
        if self.info.regression:
            return None
        return self.distribution.certainty(look)

    def palette(self, x: float, y: float, n: int = 6) -> list[tuple[tuple[int, int, int], float]]:
        """The likely colors of one spot, likeliest first.

        Parameters
        ----------
        x, y : the spot, in pixels of the photo, from the left and from the top
        n : how many at most

        Returns
        -------
        [((r, g, b), probability), ...] : sRGB in 0..255 at the spot's own L. Neighboring bins are
        merged, so the probabilities sum to at most 1. Rebalancing is removed.

        Raises
        ------
        HintError
            The spot is outside the photo.
        """
        height, width = self.photo.height, self.photo.width
        if not (0 <= x < width and 0 <= y < height):
            raise HintError(
                f"({x:g}, {y:g}) is outside the photo, which has {width} x {height} pixels"
            )
        rows, columns = self.L.shape
        L = float(self.L[int(y) * rows // height, int(x) * columns // width])
        found = self.distribution.swatches((x + 0.5) / width, (y + 0.5) / height, L, n)
        return [(rgb, share) for rgb, _, share in found]

    def log_probabilities(self) -> Float32:
        """The distribution itself: ln p of each bin, float32 (Q, h, w); the p sum to 1 over Q.

        The rebalancing of rare colors is removed, so these are honest probabilities.
        """
        return self.distribution.log_probabilities()

    def colors(self, look: Look) -> NDArray[Any] | Strips:
        """The colors for `photo.write.write_photo`: all pixels, or strips if it is streamed."""
        if not self.photo.streamed:
            return self._rgb(look)
        return colored_strips(self.photo, self._brush(look), self.threads)

    # --- inside ---

    def _brush(self, look: Look) -> Brush:
        upsampler = self.upsampler or self._own_upsampler
        fitted = upsampler.fit(self.distribution.ab(look))
        touched = upsampler.touched(fitted, self.distribution.exact(look), self.L)
        return Brush(upsampler, touched, look.keep_color, self.distribution.margin)

    @cached_property
    def _own_upsampler(self) -> Upsampler:
        return Upsampler(self.L, self.distribution.size)

    def _rgb(self, look: Look, part: int = PART) -> NDArray[Any]:
        """(H, W, 3) in the photo's own dtype; a thread takes `part` pixels at a time."""
        photo, brush = self.photo, self._brush(look)
        if not photo.streamed:
            return painted(brush, self.L, photo.pixels, photo.samples, self.threads, part)
        out = np.empty((photo.height, photo.width, 3), dtype=photo.samples)
        top = 0
        for colors, _ in colored_strips(photo, brush, self.threads):
            out[top : top + len(colors)] = colors
            top += len(colors)
        return out
