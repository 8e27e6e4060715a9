"""The distribution over 313 colors for each pixel, and every answer that needs no pixels."""

from __future__ import annotations

import numpy as np

from photochrom.arrays import Float32
from photochrom.color import bins

__all__ = [
    "FIELD_STRENGTH",
    "FIELD_WIDTH",
    "MODE_RADIUS",
    "NUCLEUS",
    "annealed_means",
    "color_fields",
    "modes_of",
    "most_different",
]

FIELD_WIDTH = 25.0
"""Correlation length in ab units of the fields that `variants` adds: nearer colors go together."""
FIELD_STRENGTH = 1.6
"""Standard deviation of those fields in nats; that of Gumbel noise is pi / sqrt(6) = 1.28."""
NUCLEUS = 0.65
"""Share of a pixel's probability that the colors open to `variants` make up."""


def color_fields(centers: Float32, n: int, seed: int) -> Float32:
    """Smooth random fields over the bins, float32 (n, Q), mean 0."""
    rng = np.random.default_rng(seed)
    d2 = ((centers[:, None, :] - centers[None, :, :]) ** 2).sum(axis=-1)
    kernel = np.exp(-d2 / (FIELD_WIDTH**2))
    kernel /= np.sqrt((kernel**2).sum(axis=1, keepdims=True))  # unit variance everywhere
    fields = rng.standard_normal((n, len(centers))) @ kernel.T
    return np.asarray(FIELD_STRENGTH * fields, dtype=np.float32)


def annealed_means(logits: Float32, fields: Float32, centers: Float32) -> Float32:
    """Annealed means ab (1 + n, pixels, 2) of logits (Q, h, w): plain first, then with each field.

    exp((z + f) / T) = exp(z / T) exp(f / T): all of them are one product of matrices.
    """
    z = logits.reshape(len(logits), -1)
    p = np.exp((z - z.max(axis=0)) / np.float32(bins.TEMPERATURE))
    plain = np.zeros_like(fields[:1])
    tilt = np.exp(np.concatenate([plain, fields]) / np.float32(bins.TEMPERATURE))
    total = tilt @ p
    return np.stack([(tilt * c) @ p / total for c in centers.T], axis=-1)


def most_different(base: Float32, maps: Float32, n: int) -> list[int]:
    """Greedily n of the maps (N, pixels, 2), each farthest from base and those before it."""
    chroma = np.linalg.norm(maps, axis=-1).mean(axis=1)
    # A coloring that only fades differs as well, but nobody asked for it: those come last.
    faded = chroma < 0.8 * np.linalg.norm(base, axis=-1).mean()
    distance = np.full(len(maps), np.inf)
    chosen: list[int] = []
    last = base
    for _ in range(n):
        distance = np.minimum(distance, np.linalg.norm(maps - last, axis=-1).mean(axis=1))
        distance[chosen] = -np.inf
        best = int(np.argmax(np.where(faded, distance - 1e3, distance)))
        chosen.append(best)
        last = maps[best]
    return chosen


MODE_RADIUS = 15.0
"""`palette` takes bins within this distance (ab units) of a likeliest bin for the same color."""


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
