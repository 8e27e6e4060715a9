"""Distributions over colors that stay steady in time.

The network runs on some frames of a shot, its key frames ("keys" in the code). Its logits are
carried along the motion: each place gets the mean of its logits over all keys in which it was
found, weighted by how certain each match is. Means of logits are the
normalized geometric means of the distributions; a mean of colors would turn red or blue into a
purple that nobody proposed.

One pass gathers from the past. The second goes back from the end of the shot, so that each key
uses what comes before and after it, and the beginning of the shot agrees with its end. A
frame between two keys takes its color from both, more from the nearer one.

Sources: Genest and Zidek, "Combining Probability Distributions", 1986 (logarithmic pooling); Rauch,
Tung, Striebel, 1965 (two passes over a sequence).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import IO

import numpy as np

from photochrom.arrays import Float32
from photochrom.video.libraries import cv2
from photochrom.video.motion import Match, Motion, Seen, carry

__all__ = ["Gathered", "Spool", "between", "carried", "dissolved", "said", "together"]

MOST = 24.0
"""Predictions that are remembered of a place: the more, the steadier; the fewer, the sharper, since
whatever is carried is resampled each time."""
NEVER_FOUND = 0.02
"""Certainty that a place has at least when frames between keys are made: something has to be
there."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """What is known of every place of a key.

    Attributes
    ----------
    logits : float32 (Q, h, w), their mean
    weight : float32 (h, w), how many predictions are in it
    """

    logits: Float32
    weight: Float32


def said(logits: Float32) -> Gathered:
    """The network's logits at one key, float32 (Q, h, w)."""
    return Gathered(logits, np.ones(logits.shape[1:], dtype=np.float32))


def carried(other: Gathered, match: Match) -> Gathered:
    """What is known at another key, where its things are in this one.

    Parameters
    ----------
    other : Gathered
    match : from this key to the other
    """
    weight = carry(other.weight[None], match.x, match.y, cv2.INTER_LINEAR)[0]
    weight = np.minimum(weight, np.float32(MOST)) * match.certainty
    return Gathered(carry(other.logits, match.x, match.y), np.asarray(weight, np.float32))


def together(one: Gathered, other: Gathered) -> Gathered:
    """The mean of both, each by its weight; `one` weighs something everywhere."""
    total = one.weight + other.weight
    return Gathered(one.logits + (other.logits - one.logits) * (other.weight / total), total)


def between(
    here: Seen,
    keys: tuple[Seen, Seen],
    colors: tuple[Float32, Float32],
    share: float,
    motion: Motion,
) -> Float32:
    """Color of a frame between two keys, from that of the keys: float32 (h, w, 2).

    Each key already knows what the other knows, so this is a fade from one color to the other over
    a few frames.

    Parameters
    ----------
    here : the frame
    keys, colors : the key before and the key after, and their ab (h, w, 2)
    share : of the way from the first to the second, 0..1
    """
    total = np.zeros(here.small.shape, dtype=np.float32)
    mixed = np.zeros((*here.small.shape, 2), dtype=np.float32)
    for key, own, near in zip(keys, colors, (1 - share, share), strict=True):
        match = motion.match(here, key)
        weight = np.float32(near) * (match.certainty + np.float32(NEVER_FOUND))
        moved = cv2.remap(own, match.x, match.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mixed += weight[..., None] * moved
        total += weight
    return np.asarray(mixed / total[..., None], np.float32)


def dissolved(looks: tuple[Seen, Seen], colors: tuple[Float32, Float32], share: float) -> Float32:
    """Color of a mixture of two shots, each weighted by its brightness: float32 (h, w, 2).

    Parameters
    ----------
    looks, colors : the last clear frame of the old shot and the first of the new one
    share : of the new one in the mixture, 0..1
    """
    bright = [np.maximum(look.small, 1) * np.float32(part)
              for look, part in zip(looks, (1 - share, share), strict=True)]  # fmt: skip
    new = (bright[1] / (bright[0] + bright[1]))[..., None]
    return np.asarray(colors[0] + (colors[1] - colors[0]) * new, np.float32)


class Spool:
    """Arrays of one shape, on the disk: memory does not grow with the length of a shot.

    Kept as float16, of which logits need no more.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close
        self._shape: tuple[int, ...] = ()
        self._size = 0

    def __setitem__(self, index: int, array: Float32) -> None:
        half = array.astype(np.float16)
        self._shape, self._size = half.shape, half.nbytes
        self._file.seek(index * self._size)
        self._file.write(half.tobytes())

    def __getitem__(self, index: int) -> Float32:
        self._file.seek(index * self._size)
        half = np.frombuffer(self._file.read(self._size), np.float16)
        return half.reshape(self._shape).astype(np.float32)

    def close(self) -> None:
        """Give the space back."""
        self._file.close()
