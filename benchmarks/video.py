"""How steady film is in time, and what that costs in color.

    python benchmarks/video.py [PHOTOS...] [--pictures N] [--height N] [--clean] [--look FOLDER]

Clips are made of photos of known color: the camera pans or zooms, or an object cut from another
photo crosses the picture. Their motion is known exactly. On top comes what old film has: grain,
gate weave, flicker of light, scratches and dust. With --clean it has none, as in publications.
The ways that are compared:

    frame by frame   each picture by itself, as every colorizer does it
    colors averaged  the peers' remedy: what photochrom does with distributions, done with colors
    photochrom       distributions along the motion, two passes, the network at every picture
    photochrom auto  the same, the network where the motion asks (the default)
    passes 1         one pass, the network where the motion asks

Figures: warping error (Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018: mean
squared difference of RGB along the motion, without what is hidden), in 1e-4 and less that of the
film in its true colors, which is as old; ab: the mean change of a and b
along the motion; CDC (Liu et al., "Temporally Consistent Video Colorization", 2021: Jensen-Shannon
divergence of the histograms of R, G, B, 1, 2 and 4 pictures apart), in 1e-4, of the film, and again
of its colors alone, put on pictures without grain and flicker; colorfulness; AuC raw
and PSNR against the true colors; processor time for a picture, without decoding and encoding.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from photochrom import Colorizer
from photochrom.color.lab import fit_gamut, gray_to_L, rgb_to_lab
from photochrom.color.metrics import auc, colorfulness, error_histogram, psnr
from photochrom.evaluate.photos import grayed
from photochrom.look import Look
from photochrom.video.encode import Encoder, Quality
from photochrom.video.eye import Eye
from photochrom.video.film import Settings, as_rgb
from photochrom.video.luma import Scale
from photochrom.video.motion import Seen
from photochrom.video.source import Facts, Picture
from photochrom.video.stretch import Pace, stretches

GRAIN, WEAVE, FLICKER = 5.0, 0.4, 0.04
"""Standard deviations: of numbers of 8 bits, of pixels, of the light."""
SCRATCHES, DUST = 1.0, 4.0
"""Of each picture, on average."""
SCALE = Scale(8, True)
EXAMPLES = Path(__file__).parents[1] / "examples"
Image = NDArray[np.float32]


@dataclass
class Clip:
    """Pictures of known color, and where each place was before.

    Attributes
    ----------
    truth : uint8 (H, W, 3) each, sRGB of the photo without grain
    luma : uint8 (H, W) each, what the film is
    back : float32 (H, W, 2), x and y in the picture before of each place, from the second on
    seen : bool (H, W), whether the place was seen there
    """

    name: str
    truth: list[NDArray[np.uint8]]
    luma: list[NDArray[np.uint8]]
    back: list[Image]
    seen: list[NDArray[np.bool_]]


def camera(kind: str, share: float, size: tuple[int, int], photo: tuple[int, int]) -> Image:
    """Where a picture lies in the photo at a share of the clip: affine (2, 3)."""
    (height, width), (rows, columns) = size, photo
    zoom, x, y = 1.0, (columns - width) / 2, (rows - height) / 2
    if kind == "pan":
        x, y = x + (share - 0.5) * 36, y + (share - 0.5) * 8
    elif kind == "zoom":
        zoom = 1 - 0.15 * share
    middle = np.array([width / 2, height / 2])
    corner = np.array([x, y]) + middle - zoom * middle
    return np.array([[zoom, 0, corner[0]], [0, zoom, corner[1]]], np.float32)


def shown(photo: NDArray[np.uint8], place: Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_REFLECT
    got = cv2.warpAffine(photo, place, (size[1], size[0]), flags=flags, borderMode=border)
    return np.asarray(got, np.uint8)


def way(now: Image, before: Image, size: tuple[int, int]) -> Image:
    """Where each place of now was before: (H, W, 2)."""
    x, y = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    points = np.stack([x, y], axis=-1) @ now[:, :2].T + now[:, 2]
    back: Image = ((points - before[:, 2]) @ np.linalg.inv(before[:, :2]).T).astype(np.float32)
    return back


def aged(gray: Image, rng: np.random.Generator) -> Image:
    """A picture with flicker, scratches, dust and grain."""
    height, width = gray.shape
    old = gray * (1 + rng.normal(0, FLICKER))
    for _ in range(rng.poisson(SCRATCHES)):
        x = int(rng.integers(width))
        ends = (x, 0), (x + int(rng.integers(-2, 3)), height)
        cv2.line(old, *ends, float(rng.choice([25, 235])), 1, cv2.LINE_AA)
    for _ in range(rng.poisson(DUST)):
        place = int(rng.integers(width)), int(rng.integers(height))
        size = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        cv2.ellipse(old, place, size, rng.uniform(0, 180), 0, 360, float(rng.choice([20, 240])), -1)
    old += cv2.GaussianBlur(rng.normal(0, GRAIN * 1.7, gray.shape), (0, 0), 0.6)
    return old


def make_clip(
    kind: str, photos: list[NDArray[np.uint8]], count: int, seed: int, clean: bool
) -> Clip:
    """A clip of one photo; for the kind "object" a disk of another crosses it."""
    rng = np.random.default_rng(seed)
    photo, other = photos
    size = photo.shape[0] - 24, photo.shape[1] - 60
    clip = Clip(kind, [], [], [], [])
    places: list[Image] = []
    disks: list[Image] = []
    masks: list[NDArray[np.bool_]] = []
    rows, columns = np.mgrid[: size[0], : size[1]]
    radius = size[0] * 0.28
    for i in range(count):
        share = i / (count - 1)
        weave = rng.normal(0, 0 if clean else WEAVE, 2).astype(np.float32)
        place = camera(kind, share, size, photo.shape[:2])
        place[:, 2] += weave
        center = np.array([(0.2 + 0.6 * share) * size[1], size[0] * 0.55])
        middle = np.array([other.shape[1] / 2, other.shape[0] / 2])
        disk = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
        disk[:, 2] = middle - center + weave
        mask = np.hypot(columns - center[0] + weave[0], rows - center[1] + weave[1]) < radius
        mask &= kind == "object"
        picture = shown(photo, place, size)
        picture[mask] = shown(other, disk, size)[mask]
        clip.truth.append(picture)
        gray = grayed(picture).astype(np.float32)
        if not clean:
            gray = aged(gray, rng)
        clip.luma.append(np.clip(gray + 0.5, 0, 255).astype(np.uint8))
        places.append(place)
        disks.append(disk)
        masks.append(mask)
        if i:
            back = way(place, places[-2], size)
            back[mask] = way(disk, disks[-2], size)[mask]
            there = np.rint(back).astype(int)
            x, y = np.moveaxis(there, -1, 0)
            inside = (x >= 0) & (y >= 0) & (x < size[1]) & (y < size[0])
            was = masks[-2][np.clip(y, 0, size[0] - 1), np.clip(x, 0, size[1] - 1)]
            clip.back.append(back)
            clip.seen.append(inside & (was == mask))
    return clip


class Averaging(Eye):
    """Colors instead of distributions: what the peers average."""

    def logits(self, seen: Seen) -> Image:
        """Planes of a and b: float32 (2, h, w)."""
        ab = super().upright_ab(super().logits(seen), Look())
        return np.ascontiguousarray(np.moveaxis(ab, -1, 0))

    def upright_ab(self, logits: Image, look: Look, shift: Image | None = None) -> Image:
        """The same as float32 (h, w, 2)."""
        return np.ascontiguousarray(np.moveaxis(logits, 0, -1))


WAYS = {
    "frame by frame": (Eye, Pace(every=1, passes=0)),
    "colors averaged": (Averaging, Pace(every=1, passes=2)),
    "photochrom": (Eye, Pace(every=1, passes=2)),
    "photochrom auto": (Eye, Pace()),
    "passes 1": (Eye, Pace(passes=1)),
}


def facts_of(clip: Clip) -> Facts:
    height, width = clip.luma[0].shape
    tick = Fraction(1, 24)
    count = len(clip.luma)
    return Facts(
        clip.name, height, width, SCALE, 1, 1, tick, 1 / tick, Fraction(1), None, 0, False, False,
        count,
    )  # fmt: skip


def colored(clip: Clip, colorizer: Colorizer, name: str) -> Iterator[NDArray[np.uint8]]:
    """The clip in color, through all but the codec."""
    kind, pace = WAYS[name]
    facts = facts_of(clip)
    eye = kind(colorizer, facts)
    encoder = Encoder(facts, Settings(Quality("ffv1")).quality)
    number = 0
    for stretch in stretches(clip.luma, eye, pace):
        part = clip.luma[number : number + stretch.count]
        with closing(stretch):
            for luma, ab in zip(part, stretch.colors(part, eye), strict=True):
                yield as_rgb(encoder.frame(Picture(luma, number, 1), ab))
                number += 1


def in_true_color(clip: Clip) -> list[NDArray[np.uint8]]:
    """The film as it would be if it had its colors: grain and flicker of the gray film, true ab."""
    return [
        fit_gamut(gray_to_L(luma), rgb_to_lab(truth)[..., 1:], np.uint8)
        for luma, truth in zip(clip.luma, clip.truth, strict=True)
    ]


def along(clip: Clip, images: list[Image], power: int) -> float:
    """Mean over the clip of |difference along the motion| to a power, where both are seen."""
    total = []
    for now, before, back, seen in zip(images[1:], images, clip.back, clip.seen, strict=False):
        moved = cv2.remap(before, back[..., 0], back[..., 1], cv2.INTER_LINEAR)
        if power == 2:
            total.append((((now - moved) ** 2).sum(axis=-1))[seen].mean() / now.shape[-1])
        else:
            total.append(np.linalg.norm(now - moved, axis=-1)[seen].mean())
    return float(np.mean(total))


def divergence(pictures: list[NDArray[np.uint8]]) -> float:
    """CDC: mean of the Jensen-Shannon divergences 1, 2 and 4 pictures apart."""
    tables = np.array(
        [
            [np.bincount(p[..., c].ravel(), minlength=256) / p[..., c].size for c in range(3)]
            for p in pictures
        ]
    )
    parts = []
    for step in (1, 2, 4):
        a, b = tables[:-step] + 1e-12, tables[step:] + 1e-12
        middle = (a + b) / 2
        both = a * np.log(a / middle) + b * np.log(b / middle)
        parts.append(float(both.sum(axis=-1).mean() / 2))
    return float(np.mean(parts))


def figures(clip: Clip, pictures: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """Warping error, change of ab, CDC twice, colorfulness, AuC, PSNR."""
    lab = [rgb_to_lab(p)[..., 1:] for p in pictures]
    every = range(0, len(pictures), 4)
    errors = sum(error_histogram(lab[i], rgb_to_lab(clip.truth[i])[..., 1:]) for i in every)
    true = in_true_color(clip)
    clean = [
        fit_gamut(rgb_to_lab(truth)[..., 0], ab, np.uint8)
        for truth, ab in zip(clip.truth, lab, strict=True)
    ]
    return np.array(
        [
            1e4 * along(clip, [p.astype(np.float32) / 255 for p in pictures], 2),
            along(clip, lab, 1),
            1e4 * divergence(pictures),
            1e4 * divergence(clean),
            np.mean([colorfulness(pictures[i]) for i in every]),
            auc(errors),
            np.mean([psnr(pictures[i], true[i]) for i in every]),
        ]
    )


def main() -> None:
    p = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    p.add_argument("photos", nargs="*", default=sorted(str(f) for f in EXAMPLES.glob("*.jpg")))
    p.add_argument("--pictures", type=int, default=24)
    p.add_argument("--height", type=int, default=160)
    p.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    p.add_argument("--clean", action="store_true", help="no grain, weave, flicker and scratches")
    p.add_argument("--look", help="folder for some pictures of each clip")
    options = p.parse_args()
    cv2.setNumThreads(1)
    colorizer = Colorizer(threads=1)
    photos = [cv2.cvtColor(cv2.imread(f), cv2.COLOR_BGR2RGB) for f in options.photos]
    photos = [f for f in photos if np.abs(rgb_to_lab(f)[..., 1:]).max() > 5]  # gray has no truth
    tall = options.height + 24
    photos = [
        cv2.resize(f, (round(f.shape[1] * tall / f.shape[0]), tall), interpolation=cv2.INTER_AREA)
        for f in photos
    ]
    kinds = ["pan", "zoom", "object"]
    sums = dict.fromkeys(["true colors", *options.ways], np.zeros(8))
    for n, photo in enumerate(photos):
        clip = make_clip(kinds[n % 3], [photo, photos[n - 1]], options.pictures, n, options.clean)
        true = in_true_color(clip)
        sums["true colors"] = sums["true colors"] + [*figures(clip, true), 0]
        for name in options.ways:
            print(f"clip {n + 1} of {len(photos)}, {name}", file=sys.stderr, flush=True)
            began = time.process_time()
            pictures = list(colored(clip, colorizer, name))
            spent = (time.process_time() - began) / len(pictures) * 1e3
            sums[name] = sums[name] + [*figures(clip, pictures), spent]
            if options.look:
                os.makedirs(options.look, exist_ok=True)
                some = np.hstack(pictures[:: len(pictures) // 4])[..., ::-1]
                cv2.imwrite(f"{options.look}/{n:02}-{clip.name}-{name.replace(' ', '-')}.png", some)
    print(f"{len(photos)} clips of {options.pictures} pictures, {options.height} high")
    print(f"{'':16}  warp  above     ab    CDC  alone     CF    AuC   PSNR  ms")
    floor = sums["true colors"][0]
    for name, total in sums.items():
        warp, ab, cdc, alone, cf, area, noise, spent = total / len(photos)
        above = (total[0] - floor) / len(photos)
        print(
            f"{name:16} {warp:5.2f} {above:6.3f} {ab:6.3f} {cdc:6.1f} {alone:6.1f} {cf:6.2f} "
            f"{area:6.2f} {noise:6.2f} {spent:3.0f}"
        )


if __name__ == "__main__":
    main()
