"""The photos of an evaluation: shards, folders, their grays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from photochrom.arrays import RGB
from photochrom.color.lab import L_to_luminance, from_unit, linear_to_srgb, rgb_to_L
from photochrom.dataset.store import PHOTO_SUFFIXES, PhotoStore
from photochrom.errors import DataError, PhotoError
from photochrom.evaluate.question import Evaluation
from photochrom.hints import Hint
from photochrom.naming import COLORED
from photochrom.photo.pictures import resized
from photochrom.photo.read import decode_photo
from photochrom.photo.samples import to_uint8

__all__ = [
    "Folder",
    "MOST_PIXELS",
    "grayed",
    "open_store",
    "original",
    "photos_of",
    "read_reduced",
    "true_hints",
]


def grayed(rgb: RGB) -> RGB:
    """The gray photo of the same lightness, uint8 (H, W): what a black-and-white film kept."""
    luminance = L_to_luminance(rgb_to_L(rgb))
    gray: RGB = from_unit(linear_to_srgb(luminance), np.uint8)
    return gray


def true_hints(rgb: RGB, count: int, seed: Sequence[int]) -> list[Hint]:
    """What a user who knows the colors would give: the true color at random places.

    The places are drawn evenly over the photo; the color is the mean of the pixels about the place,
    as far as a fortieth of the short side reaches, for nobody picks the color of a grain.

    Parameters
    ----------
    rgb : uint8 (H, W, 3), the photo in color
    count : how many
    seed : equal seeds give equal hints, and fewer are the first of more
    """
    rng = np.random.default_rng(seed)
    height, width = rgb.shape[:2]
    reach = min(height, width) // 80
    hints: list[Hint] = []
    for _ in range(count):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        near = rgb[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        hints.append(Hint(x, y, near.reshape(-1, 3).mean(axis=0).tolist()))
    return hints


def open_store(photos: Sequence[str]) -> PhotoStore:
    """The photos to measure.

    Raises
    ------
    DataError
        One is no folder or shard, or two photos have one name, so that results could not be told
        apart.
    """
    for path in photos:
        if Path(path).suffix.lower() in PHOTO_SUFFIXES and Path(path).is_file():
            raise DataError(f"{path}: is a single photo", "give its folder")
    store = PhotoStore(photos)
    seen: dict[str, int] = {}
    for i in range(len(store)):
        if seen.setdefault(store.key(i), i) != i:
            raise DataError(
                f"{store.name(i)}: has the same name as {store.name(seen[store.key(i)])}",
                "rename or remove one of them",
            )
    return store


def original(asked: Evaluation, store: PhotoStore, i: int) -> RGB:
    """A photo in color, uint8 (H, W, 3), at the size at which it is measured."""
    return read_reduced(store, i, asked.short_side)


MOST_PIXELS = 8_000_000
"""Of a photo that is measured at full size: a worker needs 200 bytes for each."""


def read_reduced(
    store: PhotoStore, i: int, short_side: int, *, most_pixels: int = MOST_PIXELS
) -> RGB:
    """Decode a photo, reduced to the short side (0: not at all), without its alpha.

    Returns
    -------
    rgb : uint8 (H, W, 3)

    Raises
    ------
    PhotoError
        It cannot be read, is too small, or has more pixels than `most_pixels` at full size.
    """
    name = store.name(i)
    pixels = to_uint8(decode_photo(store.read(i), name).pixels)
    height, width = pixels.shape[:2]
    short = min(height, width)
    if short < 4:
        raise PhotoError(f"{name}: is too small to measure, at {width} x {height} pixels")
    if not short_side and height * width > most_pixels:
        raise PhotoError(
            f"{name}: has {width} x {height} pixels, over the limit of {most_pixels / 1e6:g} "
            "million at full size",
            "reduce it, for example with --short-side 2048",
        )
    if 0 < short_side < short:
        scale = short_side / short
        pixels = resized(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def photos_of(store: PhotoStore) -> list[int]:
    """The photos of a store, without those that `photochrom colorize` made of another one."""
    keys = [store.key(i) for i in range(len(store))]
    known = frozenset(keys)
    return [
        i
        for i, key in enumerate(keys)
        if not (key.endswith(COLORED) and key.removesuffix(COLORED) in known)
    ]


class Folder:
    """Results that somebody made of the photos, found by name."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.store = open_store([path])
        self.places = {self.store.key(i): i for i in range(len(self.store))}

    def read(self, key: str, short_side: int) -> RGB:
        """The result for a photo. Raises PhotoError where there is none or it cannot be read."""
        place = self.places.get(key + COLORED, self.places.get(key))
        if place is None:
            raise PhotoError(f"{key}: {self.name} has no result with this name")
        return read_reduced(self.store, place, short_side)
