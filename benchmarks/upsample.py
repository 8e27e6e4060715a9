"""How well and how fast ab is enlarged: true ab made small by area, enlarged, compared with itself.

    python benchmarks/upsample.py [FOLDER] [--side 512] [--small 64] [--only NAME ...]

Without a folder the color photos of examples/ and scikit-image are taken. Photos whose short side
is at least twice --side are first reduced to it, so that the half resolution at which JPEGs store
color is none any more; all others stay as they are. The mean distance in ab is given near color
edges (the tenth of the pixels with the steepest ab) and elsewhere, as the mean over the photos
against bilinear, with the worst photo in brackets. "back" is how far the result, made small again,
is from the small ab. Times are of one thread, the preparation from L included.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from photochrom.color.lab import rgb_to_lab
from photochrom.color.resize import area_shrink, box_mean
from photochrom.color.upsample import Upsampler
from photochrom.errors import PhotoError
from photochrom.photo.read import read_photo

Float32 = NDArray[np.float32]
Method = Callable[[Float32, Float32], Float32]
"""L (H, W) and small ab (2, h, w) to ab (2, H, W)."""


def resized(planes: Float32, size: tuple[int, int]) -> Float32:
    return np.stack([area_shrink(plane, size) for plane in planes])


def bilinear(L: Float32, small: Float32) -> Float32:
    return resized(small, L.shape)


def bicubic(L: Float32, small: Float32) -> Float32:
    size, cubic = L.shape[::-1], PIL.Image.Resampling.BICUBIC
    return np.stack([np.asarray(PIL.Image.fromarray(p).resize(size, cubic)) for p in small])


def regression(L: Float32, small: Float32, epsilon: float) -> tuple[Float32, Float32]:
    """Slope of ab on L around each small pixel, (2, h, w), and the small L."""
    reduced = area_shrink(L, small.shape[1:])
    mean = box_mean(reduced)
    covariance = box_mean(small * reduced) - box_mean(small) * mean
    variance = box_mean(reduced * reduced) - mean * mean
    return covariance / (variance + np.float32(epsilon)), reduced


def guided_filter(L: Float32, small: Float32) -> Float32:
    """He and Sun, "Fast Guided Filter", 2015: a L + b, both enlarged from the small size."""
    slope, reduced = regression(L, small, 16)
    offset = box_mean(box_mean(small) - slope * box_mean(reduced))
    return resized(box_mean(slope), L.shape) * L + resized(offset, L.shape)


def local_slope(L: Float32, small: Float32) -> Float32:
    """Bilinear, and the slope times what L has beyond its own bilinear enlargement."""
    slope, reduced = regression(L, small, 64)
    detail = L - area_shrink(reduced, L.shape)
    return resized(small, L.shape) + resized(box_mean(slope), L.shape) * detail


def joint_bilateral(L: Float32, small: Float32) -> Float32:
    """Kopf et al., "Joint Bilateral Upsampling", 2007, over 3 x 3 small pixels."""
    reduced = area_shrink(L, small.shape[1:])
    places = [
        (np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(L.shape, reduced.shape, strict=True)
    ]
    total, weights = np.zeros((2, *L.shape), np.float32), np.full(L.shape, 1e-20, np.float32)
    for move in np.ndindex(3, 3):
        near = [np.rint(place).astype(int) + m - 1 for place, m in zip(places, move, strict=True)]
        w = [
            np.exp(-((n - place) ** 2) / (2 * 0.6**2))
            for n, place in zip(near, places, strict=True)
        ]
        y, x = (np.clip(n, 0, m - 1) for n, m in zip(near, reduced.shape, strict=True))
        across = np.exp(-((L - reduced[np.ix_(y, x)]) ** 2) / np.float32(2 * 8**2))
        weight = np.outer(*w).astype(np.float32) * (across + np.float32(1e-4))
        total += weight * small[:, y[:, None], x]
        weights += weight
    return total / weights


def projected(method: Method, times: int) -> Method:
    """The method, and what is missing after reduction enlarged by it and added, so many times."""

    def work(L: Float32, small: Float32) -> Float32:
        large = method(L, small)
        for _ in range(times):
            large += method(L, small - resized(large, small.shape[1:]))
        return large

    return work


def ours(L: Float32, small: Float32) -> Float32:
    upsampler = Upsampler(L, (small.shape[1], small.shape[2]))
    fitted = upsampler.fit(np.moveaxis(small, 0, -1))
    rows = max(1, (1 << 16) // L.shape[1])
    strips = [np.stack(upsampler.rows(fitted, L[y : y + rows], y)) for y in range(0, len(L), rows)]
    return np.concatenate(strips, axis=1)


METHODS: dict[str, Method] = {
    "bilinear": bilinear,
    "bicubic": bicubic,
    "guided filter": guided_filter,
    "local slope": local_slope,
    "bilinear, back-projected": projected(bilinear, 4),
    "local slope, back-projected": projected(local_slope, 4),
    "joint bilateral, back-projected": projected(joint_bilateral, 3),
    "Upsampler": ours,
}


def photos(folder: Path | None, side: int) -> Iterator[NDArray[np.uint8]]:
    """Color photos, uint8 (H, W, 3)."""
    if folder is None:
        from skimage import data

        files = sorted((Path(__file__).parent.parent / "examples").glob("*.jpg"))
        yield from (data.chelsea(), data.coffee())  # the others are not photos, or in examples/
    else:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        try:
            pixels = read_photo(path).pixels[..., :3]
        except PhotoError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        if pixels.shape[2] < 3 or pixels.dtype != np.uint8:
            continue
        height, width = pixels.shape[:2]
        short = min(height, width)
        if short >= 2 * side:
            size = round(height * side / short), round(width * side / short)
            smaller = resized(np.moveaxis(pixels, -1, 0), size)
            pixels = np.rint(np.moveaxis(smaller, 0, -1)).astype(np.uint8)
        yield pixels


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--side", type=int, default=512, help="short side of large photos, pixels")
    parser.add_argument("--small", type=int, default=64, help="short side of the small ab, pixels")
    parser.add_argument("--only", choices=METHODS, nargs="+", default=list(METHODS), metavar="NAME")
    options = parser.parse_args()

    methods = {name: METHODS[name] for name in ("bilinear", *options.only)}
    figures: dict[str, list[tuple[float, ...]]] = {name: [] for name in methods}
    shapes = []
    for rgb in photos(options.folder, options.side):
        lab = rgb_to_lab(rgb)
        L, ab = np.ascontiguousarray(lab[..., 0]), np.ascontiguousarray(np.moveaxis(lab, -1, 0)[1:])
        steep = np.sqrt(sum((g**2).sum(axis=0) for g in np.gradient(ab, axis=(1, 2))))
        edge = steep >= np.quantile(steep, 0.9)
        height, width = L.shape
        scale = options.small / min(L.shape)
        small = resized(ab, (round(height * scale), round(width * scale)))
        shapes.append(L.shape)
        for name, method in methods.items():
            began = time.perf_counter()
            large = method(L, small)
            spent = 1000 * (time.perf_counter() - began)
            wrong = np.sqrt(((large - ab) ** 2).sum(axis=0))
            back = np.abs(resized(large, small.shape[1:]) - small).mean()
            figures[name].append(
                (wrong[edge].mean(), wrong[~edge].mean(), back, spent / L.size * 1e6)
            )
    if not shapes:
        print("no color photo found", file=sys.stderr)
        return 1

    sides = sorted({min(shape) for shape in shapes})
    ratios = sorted(side / options.small for side in sides)
    print(
        f"{len(shapes)} photos, short side {sides[0]} to {sides[-1]}, small {options.small}, ",
        end="",
    )
    print(f"ratio {ratios[0]:.1f} to {ratios[-1]:.1f}\n")
    print("| | near edges | elsewhere | back | ms per megapixel |")
    print("|---|---|---|---|---|")
    base = np.array(figures["bilinear"])[:, :2]
    for name, rows in figures.items():
        table = np.array(rows)
        change = 100 * (table[:, :2] / base - 1)
        cells = [
            f"{m:+.1f} % ({w:+.1f})"
            for m, w in zip(change.mean(axis=0), change.max(axis=0), strict=True)
        ]
        back, spent = np.median(table[:, 2:], axis=0)
        print(f"| {name} | {' | '.join(cells)} | {back:.2f} | {spent:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
