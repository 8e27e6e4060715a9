"""From encoded photos to batches: a fixed order, crops, aged tones, simulated hints.

The order balances the sources: a photo of a small one comes more often than one of a large one.

Sample n of a run is a pure function of (photos, seed, n). So a resumed run goes on with the very
sample at which it stopped, and a batch is the same whether one process makes it or several.
"""

from __future__ import annotations

import contextlib
import queue
import re
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from photochrom.color import bins
from photochrom.color.lab import GRAY_AB
from photochrom.dataset.decode import decode
from photochrom.dataset.store import PhotoStore
from photochrom.errors import DataError
from photochrom.naming import subject_of
from photochrom.train.config import AB_SCALE, TrainConfig
from photochrom.train.lab import has_color, rgb_to_lab

__all__ = [
    "Batch",
    "Loader",
    "Sample",
    "age",
    "draw_hints",
    "make_batch",
    "make_sample",
    "quotas",
    "measure_prior",
    "require_color",
]

STRIDE = 4
"""The networks' output has a quarter of the input's side."""
HINT_MEAN = 8.0
"""Mean number of simulated hints (Zhang et al. 2017, section 3.1: geometric with p = 1/8)."""
HINT_PATCH = 7
"""Largest side of a simulated hint in pixels; drawn evenly from the odd sizes up to it."""


@dataclass(frozen=True)
class Sample:
    """One photo, cropped, with what was drawn for it."""

    rgb: NDArray[np.uint8]  # (S, S, 3)
    tone: tuple[float, float, float, float]  # gamma, black, white, share of blur
    noise: NDArray[np.float32] | None  # (S, S), L units
    hints: tuple[tuple[int, int, int], ...]  # (row, column, radius) of square patches


@dataclass(frozen=True)
class Batch:
    """x: the network's input (B, C, S, S). ab: true color at the output's size (B, 2, S/4, S/4)."""

    x: Tensor
    ab: Tensor


def _rng(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def draw_hints(rng: np.random.Generator, size: int) -> tuple[tuple[int, int, int], ...]:
    """Places of simulated hints: their number geometric, their place Gaussian about the center.

    Source: Zhang et al., "Real-Time User-Guided Image Colorization", 2017, section 3.1.
    """
    places = []
    for _ in range(int(rng.geometric(1 / HINT_MEAN))):
        row, column = np.clip(rng.normal(size / 2, size / 4, 2), 0, size - 1).astype(int)
        places.append((int(row), int(column), int(rng.integers(0, HINT_PATCH // 2 + 1))))
    return tuple(places)


def make_sample(
    data: bytes, size: int, config: TrainConfig, rng: np.random.Generator, name: str = "photo"
) -> Sample:
    """Decode one photo (`name` is for errors); crop, flip; draw its tone changes and hints."""
    from PIL import Image

    rgb = decode(data, name)
    height, width = rgb.shape[:2]
    side = min(height, width) * rng.uniform(config.crop, 1.0)
    top, left = rng.uniform(0, height - side), rng.uniform(0, width - side)
    image = Image.fromarray(rgb).resize(
        (size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    pixels = np.asarray(image)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    tone, noise = (1.0, 0.0, 100.0, 0.0), None
    if rng.random() < config.tone:
        gamma = float(np.exp(rng.normal(0, 0.2)))
        black, white = float(rng.uniform(0, 12)), float(rng.uniform(88, 100))
        tone = (gamma, black, white, float(max(0.0, rng.uniform(-1, 1))))
        if rng.random() < 0.5:
            noise = rng.standard_normal((size, size), dtype=np.float32) * np.float32(
                rng.uniform(0, 5)
            )
    hints = draw_hints(rng, size) if rng.random() < config.hints else ()
    return Sample(np.ascontiguousarray(pixels), tone, noise, hints)


# Binomial 5 x 5, about a Gaussian with sigma 1: the softness of an old lens.
_BLUR = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


def make_batch(samples: list[Sample], channels: int, device: torch.device | str = "cpu") -> Batch:
    """Stack samples into the network's input and the true colors.

    Only L is aged: what the photo lost is what the network must see through. True colors are those
    of the clean photo, averaged over each output pixel.
    """
    rgb = torch.from_numpy(np.stack([s.rgb for s in samples])).to(device).permute(0, 3, 1, 2)
    lab = rgb_to_lab(rgb)
    ab = lab[:, 1:]
    L = _age(lab[:, :1], samples)
    if channels == 1:  # eccv16
        return Batch((L - 50) / 100, F.avg_pool2d(ab, STRIDE))
    x = torch.zeros(len(samples), channels, *L.shape[2:], device=L.device)
    x[:, :1] = (L - 50) / 50
    for i, sample in enumerate(samples):
        for row, column, radius in sample.hints:
            rows = slice(max(0, row - radius), row + radius + 1)
            columns = slice(max(0, column - radius), column + radius + 1)
            x[i, 1:3, rows, columns] = (
                ab[i, :, rows, columns].mean(dim=(1, 2), keepdim=True) / AB_SCALE
            )
            x[i, 3, rows, columns] = 1
    return Batch(x, F.avg_pool2d(ab, STRIDE))


def _age(L: Tensor, samples: list[Sample]) -> Tensor:
    L = age(L, *torch.tensor([s.tone for s in samples], device=L.device).T)
    for i, sample in enumerate(samples):
        if sample.noise is not None:
            L[i, 0] += torch.from_numpy(sample.noise).to(L.device)
    return L.clamp(0, 100)


def age(L: Tensor, gamma: Tensor, black: Tensor, white: Tensor, blur: Tensor) -> Tensor:
    """L (B, 1, H, W) softened and faded; the changes are (B,) each. Noise is for the caller."""
    gamma, black, white, blur = (v.view(-1, 1, 1, 1) for v in (gamma, black, white, blur))
    kernel = _BLUR.to(L.device)
    padded = F.pad(L, (2, 2, 2, 2), mode="reflect")
    soft = F.conv2d(F.conv2d(padded, kernel.view(1, 1, 5, 1)), kernel.view(1, 1, 1, 5))
    L = L + blur * (soft - L)
    aged: Tensor = black + (white - black) * (L / 100).clamp(0, 1) ** gamma
    return aged


def source_of(store: PhotoStore, index: int) -> str:
    """The source of a photo: the subject in its key, a WordNet id left out."""
    subject = subject_of(store.key(index), store.in_shard(index))
    return re.sub(r"-n\d{8}$", "", subject)


def quotas(sizes: Sequence[int], balance: float) -> NDArray[np.int64]:
    """How many of as many samples as there are photos each source gives.

    In proportion to its number of photos to the power of `balance`, rounded so that the sum is kept
    (largest remainders).
    """
    photos = np.asarray(sizes, dtype=np.float64)
    exact = photos.sum() * photos**balance / (photos**balance).sum()
    counts: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    left = int(photos.sum()) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    return counts


class Loader:
    """Batches of a run, made ahead in a thread (Pillow and NumPy let go of the interpreter lock).

    Parameters
    ----------
    store : the photos
    rank, world : this process among those that share each batch
    """

    def __init__(
        self, store: PhotoStore, config: TrainConfig, rank: int = 0, world: int = 1
    ) -> None:
        if config.batch % world:
            from photochrom.errors import ConfigError

            raise ConfigError(f"batch {config.batch} cannot be shared evenly by {world} processes")
        self.store, self.config, self.rank, self.world = store, config, rank, world
        self._epoch = -1
        self._order: NDArray[Any] = np.empty(0, dtype=np.int64)
        self._members: list[NDArray[np.int64]] = []
        if config.balance != 1:
            names = [source_of(store, i) for i in range(len(store))]
            _, place = np.unique(names, return_inverse=True)
            self._members = [np.flatnonzero(place == g) for g in range(place.max() + 1)]

    def index(self, n: int) -> int:
        """Which photo is sample n.

        An epoch is as many samples as there are photos, in an order of its own. Unless `balance`
        is 1 it has the quota of each source instead of each photo once; the photos of a source take
        turns, and none comes again before all others of its source have come.
        """
        epoch, place = divmod(n, len(self.store))
        if epoch != self._epoch:
            photos = np.arange(len(self.store)) if not self._members else self._balanced(epoch)
            self._order = photos[_rng(self.config.seed, 1, epoch).permutation(len(photos))]
            self._epoch = epoch
        return int(self._order[place])

    def _balanced(self, epoch: int) -> NDArray[np.int64]:
        """The photos of an epoch, source by source."""
        counts = quotas([len(members) for members in self._members], self.config.balance)
        parts = []
        for g, (members, count) in enumerate(zip(self._members, counts, strict=True)):
            turn = epoch * int(count) + np.arange(count)
            turn, place = np.divmod(turn, len(members))
            for k in np.unique(turn):
                shuffled = members[_rng(self.config.seed, 4, g, int(k)).permutation(len(members))]
                parts.append(shuffled[place[turn == k]])
        return np.concatenate(parts)

    def samples(self, step: int, size: int) -> list[Sample]:
        """This process's part of the batch of a step."""
        mine = self.config.batch // self.world
        first = step * self.config.batch + self.rank * mine
        return [self._sample(n, size) for n in range(first, first + mine)]

    def _sample(self, n: int, size: int) -> Sample:
        i, rng = self.index(n), _rng(self.config.seed, 2, n)
        return make_sample(self.store.read(i), size, self.config, rng, self.store.name(i))

    def batches(
        self, requests: Iterator[tuple[int, int]], channels: int, device: torch.device | str
    ) -> Generator[Batch, None, None]:
        """The batch of each (step, size) asked for, on the device."""
        with contextlib.closing(self.prefetch(requests)) as ready:
            for samples in ready:
                yield make_batch(samples, channels, device)

    def prefetch(self, requests: Iterator[tuple[int, int]]) -> Generator[list[Sample], None, None]:
        """Samples for each (step, size) asked for, prepared ahead in order.

        An error while a photo is read is raised here, in the caller's thread.
        """
        ready: queue.Queue[list[Sample] | BaseException | None] = queue.Queue(maxsize=2)
        stop = threading.Event()

        def put(item: list[Sample] | BaseException | None) -> None:
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.2)
                    return
                except queue.Full:
                    continue

        def work() -> None:
            try:
                for step, size in requests:
                    if stop.is_set():
                        return
                    put(self.samples(step, size))
                put(None)
            except BaseException as error:
                put(error)

        thread = threading.Thread(target=work, daemon=True, name="photochrom-loader")
        thread.start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            thread.join(timeout=5)


def measure_prior(store: PhotoStore, config: TrainConfig, photos: int = 4000) -> NDArray[Any]:
    """The prior p over evenly spread photos of a store, float32 (313,), sum 1; gray ones left out.

    For shards that come without the `prior.npy` that `photochrom prepare` writes.

    Raises
    ------
    DataError
        None of them has color.
    """
    counts = np.zeros((221, 221), dtype=np.int64)
    for i in _spread(store, photos):
        ab = _small_ab(store, i)
        if has_color(ab):
            counts += bins.count_colors(ab[0].movedim(0, -1).numpy())
    if not counts.any():
        raise _no_color(store, photos)
    return bins.smooth_prior(counts, config.neighbors, config.sigma)


def require_color(store: PhotoStore, photos: int = 1000) -> None:
    """Raise DataError if none of that many evenly spread photos has color; the first ends it."""
    if not any(has_color(_small_ab(store, i)) for i in _spread(store, photos)):
        raise _no_color(store, photos)


def _spread(store: PhotoStore, photos: int) -> list[int]:
    places = np.linspace(0, len(store) - 1, min(photos, len(store)))
    return [int(i) for i in np.unique(places.astype(int))]


def _small_ab(store: PhotoStore, i: int) -> Tensor:
    """ab (1, 2, h, w) of a whole photo, at the resolution of the network's output."""
    rgb = torch.from_numpy(decode(store.read(i), store.name(i)))
    return F.avg_pool2d(rgb_to_lab(rgb.permute(2, 0, 1)[None])[:, 1:], STRIDE)


def _no_color(store: PhotoStore, photos: int) -> DataError:
    looked = len(_spread(store, photos))
    return DataError(
        f"{store.name(0)} and the others: none of the {looked} photos looked at has color (an |a| "
        f"or |b| above {GRAY_AB:g}), so there is nothing to learn",
        "give color photos",
    )
