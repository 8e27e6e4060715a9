"""All photos decoded once into the device's memory; batches are cut, aged and hinted there.

For a GPU, which would wait for the decoder otherwise: a batch costs it some milliseconds and the
CPU nothing. Samples are drawn by the same laws as in `data`, but from the device's own
generator: a run repeats on the same device, but differs from a run from `data`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from photochrom.dataset.decode import decode
from photochrom.dataset.store import PhotoStore
from photochrom.train.config import AB_SCALE, TrainConfig
from photochrom.train.data import HINT_MEAN, HINT_PATCH, STRIDE, Batch, Loader, age
from photochrom.train.lab import rgb_to_lab

__all__ = ["ResidentLoader"]

MOST_HINTS = 48
"""Of a geometric number with mean 8, one in 600 is larger."""


class ResidentLoader:
    """Batches of a run from photos in the device's memory.

    Parameters
    ----------
    store : the photos; decoded here, 3 bytes a pixel
    config : of the run
    device : where the pixels lie and the batches are made
    """

    def __init__(self, store: PhotoStore, config: TrainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        self._index = Loader(store, config).index
        sizes, flat = _decoded(store)
        # One piece, for photos of all sizes: photo i begins at start[i].
        self.pixels = torch.from_numpy(flat).to(device)
        height, width = sizes.T
        start = np.concatenate([[0], np.cumsum(height * width)[:-1]])
        self.height, self.width, self.start = (
            torch.from_numpy(values.astype(np.int64)).to(device)
            for values in (height, width, start)
        )

    def batches(
        self, requests: Iterable[tuple[int, int]], channels: int
    ) -> Generator[Batch, None, None]:
        """The batch of each (step, size) asked for."""
        for step, size in requests:
            yield self.batch(step, size, channels)

    def batch(self, step: int, size: int, channels: int) -> Batch:
        """The batch of a step, as `data.make_batch` gives it."""
        n, config = self.config.batch, self.config
        photos = [self._index(k) for k in range(step * n, (step + 1) * n)]
        draw = _Draw(self.device, config.seed, step, n)
        rgb = self._crops(torch.tensor(photos, device=self.device), size, draw)
        lab = rgb_to_lab(rgb)
        L, ab = lab[:, :1], lab[:, 1:]
        aged = draw.chance(config.tone).float()
        gamma = torch.exp(0.2 * draw.normal() * aged)
        black, white = 12 * draw.uniform() * aged, 100 - 12 * draw.uniform() * aged
        blur = (2 * draw.uniform() - 1).clamp_min(0) * aged
        noise = 5 * draw.uniform() * draw.chance(0.5) * aged
        L = age(L, gamma, black, white, blur)
        L = (L + noise.view(-1, 1, 1, 1) * draw.normal(n, 1, size, size)).clamp(0, 100)
        truth = F.avg_pool2d(ab, STRIDE)
        if channels == 1:  # eccv16
            return Batch((L - 50) / 100, truth)
        x = torch.zeros(n, channels, size, size, device=self.device)
        x[:, :1] = (L - 50) / 50
        if config.hints > 0:
            self._hint(x, ab, draw)
        return Batch(x, truth)

    def _crops(self, photos: Tensor, size: int, draw: _Draw) -> Tensor:
        """Random squares of photos at (size, size), half of them mirrored: float 0..1."""
        height, width = self.height[photos], self.width[photos]
        short = torch.minimum(height, width).float()
        side = short * (self.config.crop + (1 - self.config.crop) * draw.uniform())
        top, left = (height - side) * draw.uniform(), (width - side) * draw.uniform()
        # Twice the samples where the photo becomes smaller, so that fine patterns do not alias.
        fine = 2 if size < 112 else 1
        steps = (torch.arange(fine * size, device=self.device) + 0.5) / (fine * size)
        mirrored = draw.chance(0.5)[:, None]
        across = torch.where(mirrored, 1 - steps, steps)
        rows = top[:, None] + side[:, None] * steps - 0.5
        columns = left[:, None] + side[:, None] * across - 0.5
        (y0, y1, fy), (x0, x1, fx) = _between(rows, height), _between(columns, width)
        base = self.start[photos][:, None, None]

        def taken(y: Tensor, x: Tensor) -> Tensor:
            return self.pixels[base + (y * width[:, None])[:, :, None] + x[:, None, :]].float()

        fx, fy = fx[:, None, :, None], fy[:, :, None, None]
        above = torch.lerp(taken(y0, x0), taken(y0, x1), fx)
        below = torch.lerp(taken(y1, x0), taken(y1, x1), fx)
        rgb = torch.lerp(above, below, fy).permute(0, 3, 1, 2) / 255
        crops: Tensor = F.avg_pool2d(rgb, fine)
        return crops

    def _hint(self, x: Tensor, ab: Tensor, draw: _Draw) -> None:
        """Simulated hints for a share of the samples, written into the input."""
        n, size = len(x), x.shape[-1]
        count = draw.geometric(1 / HINT_MEAN).clamp_max(MOST_HINTS) * draw.chance(self.config.hints)
        places = (size / 2 + size / 4 * draw.normal(n, MOST_HINTS, 2)).clamp(0, size - 1).long()
        radius = (draw.uniform(n, MOST_HINTS) * (HINT_PATCH // 2 + 1)).long()
        means = torch.stack(
            [
                F.avg_pool2d(ab, 2 * r + 1, 1, r, count_include_pad=False)
                for r in range(HINT_PATCH // 2 + 1)
            ],
            dim=1,
        )
        axis, each = torch.arange(size, device=x.device), torch.arange(n, device=x.device)
        for k in range(int(count.max())):
            row, column, r = places[:, k, 0], places[:, k, 1], radius[:, k]
            mean = means[each, r, :, row, column] / AB_SCALE
            near_row = (axis - row[:, None]).abs() <= r[:, None]
            near_column = (axis - column[:, None]).abs() <= r[:, None]
            there = near_row[:, :, None] & near_column[:, None, :] & (k < count).view(-1, 1, 1)
            x[:, 1:3] = torch.where(there[:, None], mean[:, :, None, None], x[:, 1:3])
            x[:, 3] = torch.where(there, 1.0, x[:, 3])


class _Draw:
    """Random numbers of one step, one a sample unless asked otherwise."""

    def __init__(self, device: torch.device, seed: int, step: int, n: int) -> None:
        self.generator = torch.Generator(device)
        self.generator.manual_seed((seed * 1_000_003 + step) % (1 << 63))
        self.device, self.n = device, n

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape or (self.n,), generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape or (self.n,), generator=self.generator, device=self.device)

    def chance(self, p: float) -> Tensor:
        return self.uniform() < p

    def geometric(self, p: float) -> Tensor:
        """1, 2, ...: how many tries a success takes."""
        tries: Tensor = torch.log1p(-self.uniform()) / np.log1p(-p)
        return tries.floor().long() + 1


def _between(places: Tensor, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The two pixels around each place, and the share of the second; inside the photo."""
    last = (length - 1)[:, None]
    places = torch.minimum(places.clamp_min(0), last)
    first = places.floor().long()
    return first, torch.minimum(first + 1, last), places - first


def _decoded(store: PhotoStore) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """(height, width) of each photo, and all their pixels (N, 3)."""
    sizes = np.empty((len(store), 2), np.int64)
    pieces: list[NDArray[np.uint8]] = []
    for i, rgb in enumerate(_in_order(store)):
        sizes[i] = rgb.shape[:2]
        pieces.append(rgb.reshape(-1, 3))
    return sizes, np.concatenate(pieces)


def _decode(store: PhotoStore, i: int) -> NDArray[np.uint8]:
    return decode(store.read(i), store.name(i))


def _in_order(store: PhotoStore) -> Iterator[NDArray[Any]]:
    """Decoded photos; Pillow lets go of the interpreter lock, so threads do it side by side."""
    workers = os.cpu_count() or 1
    ahead: deque[Future[NDArray[np.uint8]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for i in range(len(store)):
            ahead.append(pool.submit(_decode, store, i))
            if len(ahead) > 8 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
