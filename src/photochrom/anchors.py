"""The hints in a prediction: each colors its object, exactly at its place, and nothing beyond.

The network follows a hint and spreads it, but neither exactly nor within bounds: a brown for the
horse also tints the sky. So a hint only counts within its *cover*:

- A path from the hint to a pixel gets long where it crosses edges of L (`color.geodesic`). The
  cover is complete near the hint, and ends where paths get longer than its reach.
- What has another *distribution over colors* without hints is another thing. So grass counts as
  grass and skin as skin, however their L varies.

Within the cover, three things happen.

- A pixel takes the logits that the network gives with the hints (`blend_hints`).
- The remainder of a hint is its ab minus the predicted ab at its place. Ordinary kriging
  interpolates the remainders of all hints, and the pixel gets its share.
- A part of the way, the color becomes that of the hints themselves. An object that the network saw
  as patches gets one color.

The first and the third only count as far as the hint disagrees with the color that is there: a hint
of the present color changes nothing.

Sources: Matheron, "Principles of geostatistics", Economic Geology 1963 (kriging); Levin,
Lischinski, Weiss, "Colorization using optimization", SIGGRAPH 2004 (colors spread up to the edges
of L); Bhattacharyya, 1943 (the likeness of two distributions). docs/experiments.md compares other
methods and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color.geodesic import edge_costs, geodesic
from photochrom.color.resize import area_shrink
from photochrom.color.upsample import Upsampler
from photochrom.hints import Place

__all__ = ["Anchors", "blend_hints"]

CONTRAST = 25.0
"""The difference of L whose crossing is as long as the short side of the photo."""
REACH = 1.8
"""The length of a path at which a cover has fallen to 1/e, in short sides."""
LIKENESS = 2
"""Power of the likeness of distributions."""
RANGE = 1.0
"""Of kriging: the length of a path over which remainders resemble each other."""
NOISE = 0.05
"""Of kriging: the variance of a hint, if that of the remainders is 1. It keeps contradictory hints
from ringing."""
LEVEL = 0.5
"""The part of the way to the color of the hints themselves."""
DISAGREE = 5.0
"""A hint that is this far in ab from the color that is there counts for 1 - exp(-1/2) = 0.4."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """The colors of the hints in a prediction, and where each of them holds.

    Attributes
    ----------
    places : the hints
    ab : float32 (n, 2), their colors
    cover : float32 (h, w), 0..1, how far each pixel follows any hint
    shares : float32 (h, w, n), the share of each hint in a pixel; they sum to 1
    filled : float32 (h, w, n), 0..1, how much of a pixel a region covers
    force : float32 (n,), 0..1, how far each hint disagrees with the plain prediction
    pixels : for each hint, the flat indices of its pixels in L
    L : float32 (H, W), 0..100, as the network sees the photo
    upsampler : enlarges ab to (H, W)
    """

    places: Sequence[Place]
    ab: Float32
    cover: Float32
    shares: Float32
    filled: Float32
    force: Float32
    pixels: Sequence[NDArray[np.intp]]
    L: Float32
    upsampler: Upsampler

    @classmethod
    def of(
        cls, places: Sequence[Place], L: Float32, plain: Float32, distribution: Float32 | None
    ) -> Anchors:
        """Anchor hints in a prediction.

        Parameters
        ----------
        places : at least one
        L : float32 (H, W), 0..100, as the network sees the photo
        plain : float32 (h, w, 2), the predicted ab without hints
        distribution : float32 (Q, h, w), sum 1 over Q, without hints; None for a regression
        """
        size = plain.shape[0], plain.shape[1]
        costs = edge_costs(L, 1 / min(L.shape), CONTRAST)
        root = None if distribution is None else np.sqrt(distribution)
        covers, alike, pixels = [], [], []
        for place in places:
            seeds = place.seeds(*L.shape)
            pixels.append(np.flatnonzero(seeds))
            length = np.minimum(geodesic(costs, seeds), np.float32(1e3))
            like = _likeness(place, root, size)
            reach = np.float32(max(REACH * place.reach, 1e-3))
            if place.closed:
                covers.append(area_shrink(seeds.astype(np.float32), size))
            else:
                covers.append(area_shrink(np.exp(-((length / reach) ** 4)), size) * like)
            alike.append(np.exp(area_shrink(length, size) / np.float32(-RANGE)) * like)
        own = np.stack(covers, axis=-1)
        free = _uppermost(own, places)
        ab = np.stack([place.ab for place in places]).astype(np.float32)
        found = cls(
            places,
            ab,
            own.max(axis=-1),
            _shares(np.stack(alike, axis=-1), free, places),
            np.where([place.closed for place in places], free, np.float32(0)),
            np.ones(len(places), dtype=np.float32),
            pixels,
            L,
            Upsampler(L, size),
        )
        off = np.linalg.norm(ab - found.sampled(plain), axis=-1)
        force = 1 - np.exp(-((off / DISAGREE) ** 2) / 2)
        return replace(found, force=force.astype(np.float32))

    @property
    def nbytes(self) -> int:
        """The bytes of memory, about."""
        arrays = self.cover, self.shares, self.filled, self.L
        pixels = sum(one.nbytes for one in self.pixels)
        return sum(array.nbytes for array in arrays) + pixels + 80 * self.cover.size

    @property
    def strengths(self) -> Float32:
        """Of the hints, float32 (n,)."""
        return np.array([place.strength for place in self.places], dtype=np.float32)

    def sampled(self, ab: Float32) -> Float32:
        """The mean color of the pixels of each hint in a predicted ab (h, w, 2): float32 (n, 2)."""
        planes = self.upsampler.rows(self.upsampler.fit(ab), self.L)
        means = [[plane.ravel()[p].mean() for plane in planes] for p in self.pixels]
        return np.array(means, dtype=np.float32)

    def corrected(self, ab: Float32) -> Float32:
        """The predicted ab (h, w, 2), corrected to the hints' colors at their places."""
        left = self.ab - self.sampled(ab)
        # Contradictory hints on similar pixels must not push a color beyond either of them.
        low, high = np.minimum(left.min(axis=0), 0), np.maximum(left.max(axis=0), 0)
        offset = np.clip(self.shares @ left, low, high)
        level = LEVEL * (self.shares @ self.force)[..., None]
        change = (1 - level) * offset + level * (self.shares @ self.ab - ab)
        corrected: Float32 = ab + (self.cover * (self.shares @ self.strengths))[..., None] * change
        for color, filled, strength in zip(
            self.ab, np.moveaxis(self.filled, -1, 0), self.strengths, strict=True
        ):
            corrected = corrected + strength * filled[..., None] * (color - corrected)
        return corrected


def blend_hints(anchors: Anchors, plain: Float32, hinted: Float32) -> Float32:
    """Blend the logits (Q, h, w) with and without hints, so that each hint acts in its cover."""
    weight = anchors.cover * (anchors.shares @ (anchors.force * anchors.strengths))
    mixed: Float32 = plain + weight * (hinted - plain)
    return mixed


def _likeness(place: Place, root: Float32 | None, size: tuple[int, int]) -> Float32:
    """How alike the distribution of each pixel is to one of the place, 0..1: float32 (h, w)."""
    if root is None:
        return np.ones(size, dtype=np.float32)
    rows, columns = np.array(place.marks(*size)).T
    like: Float32 = np.tensordot(root, root[:, rows, columns], axes=(0, 0)).max(axis=-1)
    return np.clip(like, 0, 1) ** LIKENESS


def _shares(alike: Float32, own: Float32, places: Sequence[Place]) -> Float32:
    """The share of each hint in each pixel, float32 (h, w, n): the weights of ordinary kriging.

    Parameters
    ----------
    alike : float32 (h, w, n), the covariance of each pixel and each hint
    own : float32 (h, w, n), the cover of each hint
    """
    h, w, n = alike.shape
    rows, columns = np.array([place.pixel(h, w) for place in places]).T
    between = alike[rows, columns].astype(np.float64)
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = (between + between.T) / 2 + NOISE * np.eye(n)
    system[n, n] = 0
    known = np.concatenate([alike.reshape(-1, n).T, np.ones((1, h * w))])
    weights = np.linalg.solve(system, known)[:n].T.reshape(h, w, n)
    # Negative weights would color one thing with the contrary of another. A hint has no share
    # beyond its own reach, as long as another hint has one.
    weights = np.maximum(weights, 1e-6) * (own + 1e-6)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float32)


def _uppermost(own: Float32, places: Sequence[Place]) -> Float32:
    """The covers (h, w, n), those of regions as far as hints that came later leave them free."""
    free = own.copy()
    regions = np.array([place.closed for place in places])
    for n, place in enumerate(places):
        free[..., :n] *= 1 - regions[:n] * np.float32(place.strength) * own[..., n : n + 1]
    return free
