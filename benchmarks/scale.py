"""How much the colors of a photo depend on its size, and on the size that the network sees.

    python benchmarks/scale.py [PHOTOS...] [-m MODEL] [--size N ...] [--limit N] [--skip N]

Without photos those of examples/ are taken. Each photo is colored as it is, made half as large, and
made twice as large; then with other working sizes. Given is the mean distance in ab from the
result for the photo as it is at the default working size, compared at a quarter of its size, the
chroma as a multiple of that result's, and the same distance beyond 15, which is a color that a
person would call another one. Means over photos, and the worst photo.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photochrom import Colorizer
from photochrom.color.lab import rgb_to_lab
from photochrom.color.resize import area_shrink
from photochrom.dataset.decode import decode
from photochrom.evaluate.photos import grayed, open_store

OTHER = 15.0


def gray_at(gray: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """A gray photo (H, W) made larger or smaller, by Pillow's Lanczos filter."""
    size = tuple(max(4, round(n * factor)) for n in gray.shape[::-1])
    return np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.LANCZOS))


def ab_of(colorizer: Colorizer, gray: NDArray[np.uint8], size: tuple[int, int]) -> np.ndarray:
    """ab of the result as a user gets it, reduced by area to (h, w): (2, h, w)."""
    lab = rgb_to_lab(colorizer.predict(gray).render())
    return np.stack([area_shrink(np.ascontiguousarray(lab[..., c]), size) for c in (1, 2)])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    examples = Path(__file__).parent.parent / "examples"
    parser.add_argument("photos", nargs="*", default=[str(examples)])
    parser.add_argument("-m", "--model", help="bundled name or .onnx file")
    parser.add_argument("--size", nargs="+", type=int, default=[96, 128, 192, 224, 256, 320])
    parser.add_argument("--skip", type=int, default=0, help="leave out the first photos")
    parser.add_argument("--limit", type=int, default=200)
    options = parser.parse_args()
    store = open_store(options.photos)
    photos = range(options.skip, min(options.skip + options.limit, len(store)))
    usual = Colorizer(options.model)
    sizes = {n: Colorizer(options.model, working_size=n) for n in options.size}

    rows: dict[str, list[tuple[float, float, float]]] = {}
    for i in photos:
        gray = grayed(decode(store.read(i), store.name(i)))
        size = max(1, gray.shape[0] // 4), max(1, gray.shape[1] // 4)
        base = ab_of(usual, gray, size)
        others = {
            "half as large": ab_of(usual, gray_at(gray, 0.5), size),
            "twice as large": ab_of(usual, gray_at(gray, 2.0), size),
        }
        others |= {f"working size {n}": ab_of(c, gray, size) for n, c in sizes.items()}
        for name, ab in others.items():
            distance = np.hypot(*(ab - base))
            chroma = np.hypot(*ab).mean() / max(float(np.hypot(*base).mean()), 1e-6)
            row = float(distance.mean()), float((distance > OTHER).mean()), float(chroma)
            rows.setdefault(name, []).append(row)

    print(f"{len(photos)} photos, {usual.info.name}, working size {usual.working_size}")
    head = ("", "distance", "worst photo", f"beyond {OTHER:.0f}", "chroma")
    print("{:<18} {:>9} {:>12} {:>10} {:>8}".format(*head))
    for name, values in rows.items():
        distance, beyond, chroma = np.array(values).T
        print(
            f"{name:<18} {distance.mean():>9.2f} {distance.max():>12.2f} "
            f"{100 * beyond.mean():>8.1f} % {chroma.mean():>8.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
