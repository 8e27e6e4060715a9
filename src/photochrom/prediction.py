"""A distribution and its photo: render, save, palette."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color import bins
from photochrom.color.lab import fit_gamut
from photochrom.color.upsample import Upsampler, box_mean
from photochrom.distribution import NUCLEUS, annealed_means, color_fields, modes_of, most_different
from photochrom.errors import ConfigError, HintError
from photochrom.hints import Anchors
from photochrom.look import check_keep, check_settings
from photochrom.models import ModelInfo
from photochrom.photo.photo import Photo
from photochrom.photo.write import Output, write_photo
from photochrom.render import Strips, by_strips, colored_strips, rejoin, rows_L

__all__ = ["Prediction"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """The distribution over colors for every pixel of a photo, and its answers.

    None of its methods runs the network.

    Attributes
    ----------
    photo : the photo that was read
    L : float32 (H, W), 0..100; of a photo that is `streamed`, reduced by area
    logits : float32 (Q, h, w), log probabilities up to a constant, as the network gave them
    info : of the model
    threads : cores to render on; 0 for all
    anchors : where the user's hints are followed to the letter; None without hints
    upsampler : made for this L and size of logits, where there is one already
    """

    photo: Photo
    L: Float32
    logits: Float32
    info: ModelInfo
    threads: int = 0
    anchors: Anchors | None = None
    upsampler: Upsampler | None = field(default=None, repr=False)

    def ab(self, temperature: float = bins.TEMPERATURE, saturation: float = 1.0) -> Float32:
        """Color at the network's resolution: float32 (h, w, 2).

        Parameters
        ----------
        temperature : T of the annealed mean; 0 is the mode (vivid), 1 the mean (muted)
        saturation : factor on a and b

        Raises
        ------
        ConfigError
            A negative or not finite temperature or saturation.

        Source: the paper, section 2.3.
        """
        check_settings(temperature, saturation)
        if self.info.regression:
            ab = np.moveaxis(self.logits, 0, -1) * np.float32(self.info.ab_scale)
        else:
            ab = bins.annealed_mean(self.logits, temperature, self.info.bins)
        if self.anchors is not None:
            ab = self.anchors.corrected(ab)
        return ab * np.float32(saturation)

    def render(
        self,
        temperature: float = bins.TEMPERATURE,
        saturation: float = 1.0,
        *,
        keep_color: float = 0.0,
    ) -> Any:
        """The photo in color, at full size, with its own L.

        Parameters
        ----------
        temperature : T of the annealed mean; lower is more vivid, higher more muted
        saturation : factor on the colors
        keep_color : share, 0..1, of a color photo's own a and b in the result

        Returns
        -------
        What went in: an array (H, W, 3 or 4) of the same dtype for an array or a file, a PIL image
        for a PIL image; alpha is kept.
        """
        return self.photo.restore(self._rgb(temperature, saturation, keep_color))

    def save(
        self,
        path: str | os.PathLike[str],
        temperature: float = bins.TEMPERATURE,
        saturation: float = 1.0,
        *,
        keep_color: float = 0.0,
        quality: int | None = None,
        force: bool = False,
        draft: str | None = None,
        ready: Callable[[str], None] | None = None,
    ) -> None:
        """Render into a file; its extension decides the format. See `image.write_photo`.

        Raises
        ------
        PhotoError
            The file exists (and not `force`), or cannot be written.
        """
        output = Output(
            quality=quality, force=force, model=self.info.name, draft=draft, ready=ready
        )
        rgb = self.colors(temperature, saturation, keep_color)
        write_photo(path, rgb, self.photo, output)

    def candidates(
        self,
        n: int = 4,
        seed: int = 0,
        temperature: float = bins.TEMPERATURE,
        saturation: float = 1.0,
    ) -> list[Any]:
        """n different plausible colorings, each coherent over its objects, rendered as by `render`.

        See `variants`, which gives them as predictions.
        """
        return [v.render(temperature, saturation) for v in self.variants(n, seed)]

    def variants(self, n: int = 4, seed: int = 0) -> list[Prediction]:
        """n predictions, each leaning towards other colors that the distribution holds.

        One random field over the *colors* (not over the pixels) is added to the logits of every
        pixel. Adding Gumbel noise to logits and taking the mode draws a sample; pixels that share
        the noise make the same choice where they have the same alternatives, so that an object
        stays whole, and a pixel that is sure of its color keeps it. The noise is smooth over the
        ab plane, for it is to choose between colors, not between neighboring bins; and only colors
        of the nucleus, the likeliest that make up most of a pixel's probability, can be chosen. Of
        many draws those are kept that differ most from the first coloring and from each other.

        Parameters
        ----------
        n : how many, at least 1
        seed : equal seeds give equal variants

        Sources: E. J. Gumbel, 1954 (the maximum of perturbed logits is a sample); Holtzman et al.,
        "The Curious Case of Neural Text Degeneration", 2020 (nucleus).
        """
        logits, fields = self.leanings(n, seed)
        return [replace(self, logits=logits + f[:, None, None]) for f in fields]

    def leanings(
        self, n: int = 4, seed: int = 0, fields: Float32 | None = None
    ) -> tuple[Float32, Float32]:
        """What `variants` are made of.

        Parameters
        ----------
        n, seed : as for `variants`
        fields : float32 (n, Q), taken instead of choosing those that differ most here: with those
            of the same photo before a hint, each variant keeps its place and its look

        Returns
        -------
        logits : float32 (Q, h, w), those of the nucleus; the rest held down
        fields : float32 (n, Q); the i-th variant has logits + fields[i]. Up to six of them are the
            same for every n.
        """
        if n < 1:
            raise ConfigError(f"n = {n}: must be at least 1")
        self._needs_distribution("alternatives")
        logits = self._nucleus()
        if fields is not None:
            return logits, fields
        fields = color_fields(self.info.bins, max(48, 8 * n), seed)
        # Coarse maps suffice to compare colorings.
        step = max(1, round(min(logits.shape[1:]) / 24))
        base, *maps = annealed_means(logits[:, ::step, ::step], fields, self.info.bins)
        return logits, fields[most_different(base, np.stack(maps), n)]

    def uncertainty(self) -> Float32:
        """Entropy of the distribution in bits, float32 (h, w) at the network's resolution.

        0 where the model is sure, at most log2(313) = 8.3. The rebalancing of rare colors is taken
        off first, so it is the model's honest uncertainty.
        """
        self._needs_distribution("uncertainty")
        return bins.entropy(self._honest)

    def palette(self, x: float, y: float, n: int = 6) -> list[tuple[tuple[int, int, int], float]]:
        """The likely colors of one spot, most likely first.

        Parameters
        ----------
        x, y : the spot, pixels of the photo, x to the right and y down
        n : how many at most

        Returns
        -------
        [((r, g, b), probability), ...] : sRGB in 0..255 at the spot's own L; neighboring bins are
        taken together, so the probabilities sum to at most 1. Rebalancing is taken off.

        Raises
        ------
        HintError
            The spot lies outside the photo.
        """
        return [(rgb, share) for rgb, _, share in self.swatches(x, y, n)]

    def swatches(
        self, x: float, y: float, n: int = 6
    ) -> list[tuple[tuple[int, int, int], tuple[float, float], float]]:
        """`palette`, with the (a, b) of each color: [((r, g, b), (a, b), probability), ...]."""
        L, p = self.spot(x, y)
        colors = []
        for center, share in modes_of(p, self.info.bins, n):
            r, g, b = (int(v) for v in fit_gamut(L, center, np.uint8))
            colors.append(((r, g, b), (float(center[0]), float(center[1])), share))
        return colors

    def spot(self, x: float, y: float) -> tuple[float, Float32]:
        """L of one spot, 0..100, and its distribution: float32 (Q,), sum 1.

        Rebalancing is taken off. `x`, `y` and errors as in `palette`.
        """
        self._needs_distribution("palette")
        height, width = self.photo.height, self.photo.width
        if not (0 <= x < width and 0 <= y < height):
            raise HintError(f"({x:g}, {y:g}) lies outside the photo of {width} x {height}")
        h, w = self.logits.shape[1:]
        row, column = int((y + 0.5) / height * h), int((x + 0.5) / width * w)
        here = self.logits[:, min(row, h - 1), min(column, w - 1)]
        rows, columns = self.L.shape
        L = self.L[int(y) * rows // height, int(x) * columns // width]
        return float(L), bins.softmax(here - self.info.log_weights)

    def log_probabilities(self) -> Float32:
        """The distribution itself: ln p of each bin, float32 (Q, h, w), sum of p over Q is 1.

        The rebalancing of rare colors is taken off, so these are honest probabilities.
        """
        self._needs_distribution("probabilities")
        z = self._honest - self._honest.max(axis=0)
        return np.asarray(z - np.log(np.exp(z).sum(axis=0)), dtype=np.float32)

    def colors(
        self, temperature: float = bins.TEMPERATURE, saturation: float = 1.0, keep_color: float = 0
    ) -> NDArray[Any] | Strips:
        """What `image.write_photo` takes: all the pixels, or strips of a photo that is streamed."""
        settings = temperature, saturation, keep_color
        return self._strips_of(*settings) if self.photo.streamed else self._rgb(*settings)

    # --- inside ---

    def _needs_distribution(self, what: str) -> None:
        if self.info.regression:
            raise ConfigError(f"the model {self.info.name} is a regression: it has no {what}")

    @cached_property
    def _honest(self) -> Float32:
        """Logits without the rebalancing: a weighted cross entropy learns p w, up to a constant."""
        return self.logits - self.info.log_weights[:, None, None]

    def _nucleus(self) -> Float32:
        """Logits in which colors beyond the likeliest NUCLEUS of the probability are held down."""
        p = box_mean(bins.softmax(self._honest))  # over neighbors, or single pixels would fall out
        falling = -np.sort(-p, axis=0)
        count = (np.cumsum(falling, axis=0) < NUCLEUS).sum(axis=0, keepdims=True)
        least = np.take_along_axis(falling, count, axis=0)
        return np.where(p >= least, self.logits, self.logits - np.float32(12))

    @cached_property
    def _upsampler(self) -> Upsampler:
        h, w = self.logits.shape[1:]
        return self.upsampler or Upsampler(self.L, (h, w))

    def _rgb(self, temperature: float, saturation: float, keep: float = 0.0) -> NDArray[Any]:
        """(H, W, 3) in the photo's own dtype."""
        check_keep(keep)
        out = np.empty((self.photo.height, self.photo.width, 3), dtype=self.photo.samples)
        if self.photo.streamed:
            top = 0
            for colors, _ in self._strips_of(temperature, saturation, keep):
                out[top : top + len(colors)] = colors
                top += len(colors)
            return out
        upsampler = self._upsampler
        fitted = upsampler.fit(self.ab(temperature, saturation))

        def paint(rows: slice) -> None:
            own = self.photo.pixels[rows] if keep else None
            rejoin(upsampler, fitted, self.L[rows], rows.start, out[rows], own, keep)

        by_strips(self.L.shape, self.threads, paint)
        return out

    def _strips_of(self, temperature: float, saturation: float, keep: float) -> Strips:
        """The same as strips, with their alpha, of a photo that is `streamed`."""
        check_keep(keep)
        upsampler = self._upsampler
        fitted = upsampler.fit(self.ab(temperature, saturation))

        def paint(pixels: NDArray[Any], first: int, out: NDArray[Any]) -> None:
            rejoin(upsampler, fitted, rows_L(pixels), first, out, pixels, keep)

        return colored_strips(self.photo, paint, self.threads)
