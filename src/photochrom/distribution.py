"""The distribution over 313 colors for each pixel, and every answer that needs no photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from photochrom.anchors import Anchors
from photochrom.arrays import Float32
from photochrom.color import bins
from photochrom.color.lab import fit_gamut
from photochrom.color.metrics import DULL, VIVID
from photochrom.color.resize import box_mean
from photochrom.errors import ConfigError
from photochrom.look import PLAIN_LOOK, Look
from photochrom.margin import Margin
from photochrom.models import ModelInfo

__all__ = [
    "DRAWS",
    "FADED",
    "CANDIDATES",
    "FIELD_STRENGTH",
    "FIELD_WIDTH",
    "GROUPS",
    "MODE_RADIUS",
    "NUCLEUS",
    "TILT",
    "UNSURE",
    "Distribution",
    "Swatch",
    "annealed_means",
    "color_fields",
    "covering",
    "modes_of",
    "neutral",
]

FIELD_WIDTH = 25.0
"""Correlation length, in ab units, of the fields that `candidates` add: near colors go together."""
FIELD_STRENGTH = 2.4
"""Standard deviation of those fields in nats; that of Gumbel noise is pi / sqrt(6) = 1.28."""
TILT = 2.0
"""Standard deviation, in nats per 40 units of ab, of what `candidates` add toward one side of the
ab plane, and of what they add toward vivid or muted colors: what all of a photo has in common."""
NUCLEUS = 0.9
"""Candidates choose among the likeliest colors that make up this share of a pixel's probability."""
DRAWS = 192
"""Colorings that `candidates` are chosen from, for up to six."""
GROUPS = 4
"""The first candidates: each stands for a group of the draws. Any more are single draws."""
FADED = 0.5
"""Of those, one with less than this share of the plain coloring's chroma comes last."""
APART = 0.25
"""Distance between weak spots, as a share of the short side; also about that to the hints."""
MARGIN = 0.08
"""No weak spot lies nearer to the border than this share of the short side. An edge says little
about what it bounds, and is hard to hit with a finger."""

UNSURE = 4.5
"""Bits of entropy from which on a pixel counts as weak. A choice among 23 equally likely colors."""
CANDIDATES = 6
"""How many of the `leanings` are the same however many are asked for."""

Swatch = tuple[tuple[int, int, int], tuple[float, float], float]
"""((r, g, b), (a, b), probability)"""


@dataclass(frozen=True, eq=False)
class Distribution:
    """The distribution over colors for each pixel, at the network's resolution.

    None of the methods runs the network. Those that need a distribution raise ConfigError for a
    regression.

    Attributes
    ----------
    logits : float32 (Q, h, w), log probabilities up to a constant, as the network gave them
    info : of the model
    anchors : the places where the user's hints apply exactly; None without hints
    margin : what of the photo is margin and stays gray; there, the logits say gray
    """

    logits: Float32
    info: ModelInfo
    anchors: Anchors | None = None
    margin: Margin | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.logits.shape[1], self.logits.shape[2]

    @property
    def nbytes(self) -> int:
        """The bytes of memory."""
        return self.logits.nbytes + (0 if self.anchors is None else self.anchors.nbytes)

    def ab(self, look: Look = PLAIN_LOOK) -> Float32:
        """The color of each pixel: float32 (h, w, 2).

        Source: the paper, section 2.3.
        """
        if self.info.regression:
            ab = np.moveaxis(self.logits, 0, -1) * np.float32(self.info.ab_scale)
        else:
            ab = bins.annealed_mean(self._cautious(), look.temperature, self.info.bins)
        if self.anchors is not None:
            ab = self.anchors.corrected(ab)
        return ab * np.float32(look.saturation)

    def exact(self, look: Look = PLAIN_LOOK) -> list[tuple[float, float, Float32]]:
        """The colors that spots must have to the letter: (x, y, ab), with x and y as shares."""
        places = () if self.anchors is None else self.anchors.places
        saturation = np.float32(look.saturation)
        return [(p.x, p.y, p.ab * saturation) for p in places if p.strength == 1 and not p.closed]

    def candidates(self, n: int = 4, seed: int = 0) -> list[Distribution]:
        """n different distributions, each leaning toward other plausible colors.

        They are no samples of pixels: a field over the *colors*, the same for every pixel, is added
        to the logits. Pixels with the same alternatives then make the same choice, so an object
        stays whole, and a pixel that is sure of its color keeps it. A field has three parts, all
        random: a tilt toward one side of the ab plane, a lean toward vivid or muted colors, and a
        smooth field that chooses between colors rather than between neighboring bins. It starts
        from the probabilities without rebalancing, and can choose only colors of the nucleus: the
        likeliest ones, which together make up most of a pixel's probability.

        Many draws are divided into five groups of like colorings: one about the plain coloring, and
        four others, whose mean fields are the first four candidates. Any more are single draws, one
        after the other: the one that brings all draws nearest to a coloring taken before.

        Parameters
        ----------
        n : how many, at least 1
        seed : equal seeds give equal candidates

        Sources: Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020 (nucleus);
        L. Kaufman, P. J. Rousseeuw, "Finding Groups in Data", 1990, chapter 2 (k-medoids).
        """
        logits, fields = self.leanings(n, seed)
        return [self.leaning(logits, field) for field in fields]

    def leanings(
        self, n: int = 4, seed: int = 0, fields: Float32 | None = None
    ) -> tuple[Float32, Float32]:
        """The parts that `leaning` makes candidates of.

        Parameters
        ----------
        n, seed : as for `candidates`
        fields : float32 (n, Q), used instead of choosing new ones. With the fields of the same
            photo before a hint, each candidate keeps its place and its look.

        Returns
        -------
        logits : float32 (Q, h, w), without rebalancing, lowered for colors outside the nucleus
        fields : float32 (n, Q), one for each candidate. Up to six, fewer are the first of more.
        """
        if n < 1:
            raise ConfigError(f"n = {n}: must be at least 1")
        self._needs_distribution("alternatives")
        logits = self._nucleus()
        if fields is not None:
            return logits, fields
        fields = color_fields(self.info.bins, max(DRAWS, DRAWS // 6 * n), seed)
        # Coarse maps suffice to compare colorings.
        step = max(1, round(min(logits.shape[1:]) / 9))
        plain = annealed_means(self._cautious()[:, ::step, ::step], fields[:0], self.info.bins)[0]
        coarse = logits[:, ::step, ::step]
        return logits, _representative(plain, coarse, fields, self.info.bins)[:n]

    def leaning(self, logits: Float32, field: Float32) -> Distribution:
        """One candidate, of what `leanings` gives."""
        # The rebalancing is off already: nothing may take it off once more.
        info = replace(self.info, log_weights=np.zeros_like(self.info.log_weights), caution=None)
        return replace(self, logits=np.add(logits, field[:, None, None]), info=info)

    def candidate(self, number: int, seed: int, plain: Distribution | None = None) -> Distribution:
        """The coloring that the studio shows under this number, 0..5, and seed.

        Parameters
        ----------
        number, seed : of the studio
        plain : the distribution without hints, if this one has some
        """
        fields = None if plain is None else plain.leanings(CANDIDATES, seed)[1]
        logits, fields = self.leanings(CANDIDATES, seed, fields)
        return self.leaning(logits, fields[number])

    def certainty(self, look: Look = PLAIN_LOOK) -> tuple[float, float, float]:
        """How sure the model is: (mean entropy in bits, share of weak pixels, share of inventions).

        An invention is a vivid color where there was none. The last figure is the share of such
        pixels that the model itself expects in a rendering: vivid ones, each with its probability
        of having nearly no color. Margins don't count.
        """
        bits = self.uncertainty()
        p = np.exp(self.log_probabilities())
        dull = p[np.linalg.norm(self.info.bins, axis=1) < DULL].sum(axis=0)
        vivid = np.linalg.norm(self.ab(look), axis=-1) > VIVID
        if self.margin is not None:
            inside = self.margin.depth(*self._centers()) > 0
            if inside.any():
                bits, dull, vivid = bits[inside], dull[inside], vivid[inside]
        return float(bits.mean()), float((bits > UNSURE).mean()), float((dull * vivid).mean())

    def uncertainty(self) -> Float32:
        """Entropy of the distribution in bits, float32 (h, w).

        At most log2(313) = 8.3. Even where the model is sure, 1.6 to 2 bits are left: its
        training spreads each true color over 5 bins with a Gaussian of 5 units of ab, and that is
        the entropy of the spread. The rebalancing of rare colors is removed first.
        """
        self._needs_distribution("uncertainty")
        return bins.entropy(self._honest())

    def weak_spots(
        self, n: int, hints: Sequence[tuple[float, float]] = ()
    ) -> list[tuple[int, int, float]]:
        """n places where a hint would help most, apart from each other.

        Parameters
        ----------
        n : how many
        hints : (x, y) of the hints that were given, as shares of the photo in [0, 1)

        Returns
        -------
        [(row, column, bits), ...] : the best place first, with its `uncertainty`
        """
        bits = self.uncertainty()
        # A hint spreads over its object. A large unsure area gains more than a single pixel, and
        # there is nothing to gain beyond the border.
        left = box_mean(box_mean(box_mean(np.pad(bits, 3))))[3:-3, 3:-3]
        h, w = self.size
        y, x = np.mgrid[:h, :w]
        apart = APART * min(h, w)
        inside = np.minimum(np.minimum(x, w - 1 - x), np.minimum(y, h - 1 - y))
        # Places that are ruled out keep their order, in case n is more than fit.
        left = np.where(inside >= MARGIN * min(h, w), left, 1e-3 * left)
        for share_x, share_y in hints:
            row, column = share_y * h - 0.5, share_x * w - 0.5
            distance = ((y - row) ** 2 + (x - column) ** 2) / apart**2
            left = left * (1 - np.exp(-2 * distance))
        found = []
        for _ in range(n):
            row, column = (int(v) for v in np.unravel_index(int(left.argmax()), left.shape))
            found.append((row, column, float(bits[row, column])))
            distance = ((y - row) ** 2 + (x - column) ** 2) / apart**2
            left = np.where(distance > 1, left, 1e-3 * left) * (1 - np.exp(-2 * distance))
        return found

    def at(self, x: float, y: float) -> Float32:
        """The probabilities of the bins at one place: float32 (Q,), sum 1, without rebalancing.

        Parameters
        ----------
        x, y : the place, as shares of the photo in [0, 1]
        """
        self._needs_distribution("palette")
        h, w = self.size
        here = self.logits[:, min(int(y * h), h - 1), min(int(x * w), w - 1)]
        return bins.softmax(here - self.info.log_weights)

    def swatches(self, x: float, y: float, L: float, n: int = 6) -> list[Swatch]:
        """The likely colors at one place, likeliest first; neighboring bins are merged.

        Parameters
        ----------
        x, y : the place, as shares of the photo in [0, 1]
        L : the lightness to show them with, 0..100
        n : how many at most
        """
        colors = []
        for center, share in modes_of(self.at(x, y), self.info.bins, n):
            r, g, b = (int(v) for v in fit_gamut(L, center, np.uint8))
            colors.append(((r, g, b), (float(center[0]), float(center[1])), share))
        return colors

    def log_probabilities(self) -> Float32:
        """The distribution itself: ln p of each bin, float32 (Q, h, w); the p sum to 1 over Q.

        The rebalancing of rare colors is removed, so these are honest probabilities.
        """
        self._needs_distribution("probabilities")
        z = self._honest()
        z = z - z.max(axis=0)
        return np.asarray(z - np.log(np.exp(z).sum(axis=0)), dtype=np.float32)

    def _centers(self) -> tuple[Float32, Float32]:
        """The centers of the pixels, x (1, w) and y (h, 1), in shares of the photo."""
        h, w = self.size
        y = (np.arange(h, dtype=np.float32)[:, None] + np.float32(0.5)) / np.float32(h)
        x = (np.arange(w, dtype=np.float32)[None] + np.float32(0.5)) / np.float32(w)
        return x, y

    def gray_in(self, margin: Margin) -> Distribution:
        """The same with a margin: gray is certain there."""
        h, w = self.size
        # Pixels that the margin shares with a picture belong to the picture.
        cell = max(margin.look[0] / h, margin.look[1] / w)
        outside = margin.depth(*self._centers()) < -0.75 * cell
        return replace(
            self,
            logits=np.where(outside, neutral(self.info)[:, None, None], self.logits),
            margin=margin,
        )

    def _needs_distribution(self, what: str) -> None:
        if self.info.regression:
            raise ConfigError(f"the model {self.info.name} is a regression, so it has no {what}")

    def _honest(self) -> Float32:
        """Logits without the rebalancing: a weighted cross entropy learns p w, up to a constant."""
        return self.logits - self.info.log_weights[:, None, None]

    def _cautious(self) -> Float32:
        """Logits that keep less of the rebalancing where the model is unsure."""
        if self.info.caution is None:
            return self.logits
        sure, unsure = self.info.caution
        off: Float32 = np.clip((self._bits - sure) / (unsure - sure), 0, 1)
        return self.logits - off * self.info.log_weights[:, None, None]

    @cached_property
    def _bits(self) -> Float32:
        return self.uncertainty()

    def _nucleus(self) -> Float32:
        """Honest logits, lowered for colors outside the likeliest NUCLEUS of the probability."""
        honest = self._honest()
        # The mean over neighbors: otherwise, single pixels would fall out.
        p = box_mean(bins.softmax(honest))
        falling = -np.sort(-p, axis=0)
        count = (np.cumsum(falling, axis=0) < NUCLEUS).sum(axis=0, keepdims=True)
        least = np.take_along_axis(falling, count, axis=0)
        return np.where(p >= least, honest, honest - np.float32(12))


def neutral(info: ModelInfo) -> Float32:
    """Logits of a pixel that is gray for certain: float32 (Q,)."""
    if info.regression:
        return np.zeros(2, dtype=np.float32)
    logits = np.full(len(info.bins), -40, dtype=np.float32)
    logits[np.linalg.norm(info.bins, axis=1).argmin()] = 0
    return logits


def color_fields(centers: Float32, n: int, seed: int) -> Float32:
    """Random fields over the bins, float32 (n, Q), in nats: a tilt, vividness, a smooth rest."""
    rng = np.random.default_rng(seed)
    # Ordered by draw, so that the first fields are the same for every n.
    noise = rng.standard_normal((n, 3 + len(centers)))
    chroma = np.linalg.norm(centers, axis=1, keepdims=True)
    tilts = noise[:, :3] @ (TILT / 40 * np.hstack([centers, chroma]).T)
    d2 = ((centers[:, None, :] - centers[None, :, :]) ** 2).sum(axis=-1)
    kernel = np.exp(-d2 / (FIELD_WIDTH**2))
    kernel /= np.sqrt((kernel**2).sum(axis=1, keepdims=True))  # unit variance everywhere
    return np.asarray(tilts + FIELD_STRENGTH * noise[:, 3:] @ kernel.T, dtype=np.float32)


def annealed_means(logits: Float32, fields: Float32, centers: Float32) -> Float32:
    """Annealed means ab (1 + n, pixels, 2) of logits (Q, h, w): plain first, then with each field.

    exp((z + f) / T) = exp(z / T) exp(f / T), so one product of matrices computes all of them.
    """
    z = logits.reshape(len(logits), -1)
    p = np.exp((z - z.max(axis=0)) / np.float32(bins.TEMPERATURE))
    plain = np.zeros((1, fields.shape[1]), fields.dtype)
    tilt = np.concatenate([plain, fields]) / np.float32(bins.TEMPERATURE)
    tilt -= tilt.max(axis=1, keepdims=True)
    # No less than that: a color that is certain needs some weight, which float32 has to hold.
    tilt = np.exp(np.maximum(tilt, np.float32(-80)))
    total = tilt @ p
    return np.stack([(tilt * c) @ p / total for c in centers.T], axis=-1)


def _representative(plain: Float32, logits: Float32, fields: Float32, centers: Float32) -> Float32:
    """Fields that stand for all of these (N, Q): means of the first groups, then single ones."""
    maps = annealed_means(logits, fields, centers)[1:]
    distance = np.stack([np.linalg.norm(maps - one, axis=-1).mean(axis=1) for one in maps])
    of_plain = np.linalg.norm(maps - plain, axis=-1).mean(axis=1)
    chosen = covering(of_plain, distance, len(fields) // (DRAWS // 6))
    heads, single = chosen[:GROUPS], chosen[GROUPS:]
    group = np.column_stack([of_plain, distance[:, heads]]).argmin(axis=1) - 1
    group[heads] = np.arange(GROUPS)  # where all are alike, no group is empty
    means = np.stack([fields[group == g].mean(axis=0) for g in range(GROUPS)])
    # A coloring that only fades is likely too, but nobody asks for it first.
    chroma = np.linalg.norm(annealed_means(logits, means, centers)[1:], axis=-1).mean(axis=1)
    faded = chroma < FADED * np.linalg.norm(plain, axis=-1).mean()
    return np.concatenate([means[np.argsort(faded, kind="stable")], fields[single]])


def covering(of_first: Float32, distance: Float32, n: int) -> list[int]:
    """Choose n of N things so that each is near to one of them, or to one that is there already.

    Parameters
    ----------
    of_first : (N,) distances from the one that is there already
    distance : (N, N) between the things
    n : the first GROUPS are exchanged until no other is better; the others follow one by one
    """

    def next_of(nearest: Float32, taken: list[int]) -> int:
        left = np.minimum(nearest[:, None], distance).mean(axis=0)
        left[taken] = np.inf
        return int(left.argmin())

    def nearest_of(taken: list[int]) -> Float32:
        nearest: Float32 = np.column_stack([of_first, distance[:, taken]]).min(axis=1)
        return nearest

    chosen: list[int] = []
    while len(chosen) < min(n, GROUPS):
        chosen.append(next_of(nearest_of(chosen), chosen))
    for _ in range(len(distance)):
        before = list(chosen)
        for i in range(len(chosen)):
            rest = chosen[:i] + chosen[i + 1 :]
            chosen[i] = next_of(nearest_of(rest), rest)
        if chosen == before:
            break
    while len(chosen) < n:
        chosen.append(next_of(nearest_of(chosen), chosen))
    return chosen


MODE_RADIUS = 15.0
"""`modes_of` merges bins within this distance (ab units) of a likeliest bin."""


def modes_of(p: Float32, centers: Float32, n: int) -> list[tuple[Float32, float]]:
    """The n heaviest clusters of a distribution over bins: (mean ab, share), heaviest first."""
    left = p.astype(np.float64)
    found = []
    for _ in range(n):
        top = int(left.argmax())
        near = np.linalg.norm(centers - centers[top], axis=1) <= MODE_RADIUS
        mass = float((left * near).sum())
        if mass < 0.005:
            break
        center = (left * near) @ centers / mass
        found.append((center.astype(np.float32), mass))
        left[near] = 0
    return sorted(found, key=lambda mode: -mode[1])
