"""What one hint does to its object, and to all others.

    python benchmarks/hints.py FOLDER [-m MODEL] [--pictures DIR]

FOLDER holds color photographs and `masks.json`, which outlines their objects by hand:
{"NAME.png": {"OBJECT": [[[x, y], ...], ...]}}, one or more polygons an object, within its border.
Objects whose names are the same up to a colon, such as skin:face and skin:arm, are one kind: what a
hint on one does to the other is not counted. Each object gets one hint at its innermost place.

- true: its true color there. The error of the object is the mean distance in ab to the true
  colors. How far do the pixels of other objects move?
- false: a color of the opposite hue, which contradicts everything around it.
- gray: keep it gray.
- present: the color that is there already, which should change nothing.

Distances are those of the rendered photo in ab. "At the spot" compares the pixel under a hint with
the hint's color at the L of that pixel.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from photochrom import Colorizer
from photochrom.color.lab import fit_gamut, rgb_to_lab

Float32 = NDArray[np.float32]
Mask = NDArray[np.bool_]
CHROMA = 40.0
"""Of the false colors."""
KINDS = ("true", "false", "gray", "present")


def filled(polygons: list[list[list[float]]], size: tuple[int, int]) -> Mask:
    """The pixels (H, W) within polygons; size: (width, height)."""
    image = Image.new("1", size)
    for polygon in polygons:
        ImageDraw.Draw(image).polygon([(x, y) for x, y in polygon], fill=1)
    return np.asarray(image)


def innermost(mask: Mask) -> tuple[int, int]:
    """(x, y) of the pixel that is farthest from the border of a mask."""
    left, last = mask, mask
    while left.any():
        last = left
        p = np.pad(left, 1)
        left = p[1:-1, 1:-1] & p[:-2, 1:-1] & p[2:, 1:-1] & p[1:-1, :-2] & p[1:-1, 2:]
    rows, columns = np.nonzero(last)
    middle = len(rows) // 2
    return int(columns[middle]), int(rows[middle])


@dataclass
class Tally:
    """What was measured of one kind of hint."""

    before: list[float] = field(default_factory=list)  # distance of the object to the hint's aim
    after: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)  # change of each other object
    everywhere: list[float] = field(default_factory=list)  # mean change of the photo
    spot: list[float] = field(default_factory=list)


def distance(one: Float32, other: Float32) -> Float32:
    result: Float32 = np.linalg.norm(one - other, axis=-1)
    return result


class Measure:
    """Measures hints on photographs with masks."""

    def __init__(self, colorizer: Colorizer, pictures: Path | None) -> None:
        self.colorizer = colorizer
        self.pictures = pictures
        self.tallies = {kind: Tally() for kind in KINDS}

    def photo(self, path: Path, outlines: dict[str, Any]) -> None:
        """Measure all hints on one photo."""
        rgb = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255
        lab = rgb_to_lab(rgb)
        size = rgb.shape[1], rgb.shape[0]
        masks = {name: filled(polygons, size) for name, polygons in outlines.items()}
        before = rgb_to_lab(self.colorizer.predict(rgb).render())
        rows = []
        for name, mask in masks.items():
            others = [m for n, m in masks.items() if n.split(":")[0] != name.split(":")[0]]
            x, y = innermost(mask)
            asked = self._colors(lab, before, x, y)
            shown = {}
            for kind in KINDS:
                hint = (x, y, asked[kind])
                after = rgb_to_lab(self.colorizer.predict(rgb, hints=[hint]).render())
                shown[kind] = after
                self._count(self.tallies[kind], kind, (lab, before, after), mask, others, hint)
            rows.append((name, x, y, asked, shown))
        if self.pictures:
            sheet(self.pictures / f"{path.stem}.png", before, lab, rows)

    def _colors(self, lab: Float32, before: Float32, x: int, y: int) -> dict[str, Any]:
        """sRGB in 0..255 of each kind of hint; ab is what counts, so L is one that can show it."""
        near = slice(max(0, y - 1), y + 2), slice(max(0, x - 1), x + 2)
        present = before[y, x, 1:]
        chroma = float(np.linalg.norm(present))
        false = -present / chroma * CHROMA if chroma > 1 else np.float32([CHROMA, 0])
        aims = {"true": lab[near][..., 1:].mean(axis=(0, 1)), "false": false, "gray": (0, 0)}
        asked = {
            kind: 255 * fit_gamut(65.0, np.float32(ab), np.float32) for kind, ab in aims.items()
        }
        asked["present"] = 255 * fit_gamut(before[y, x, 0], present, np.float32)
        return {kind: tuple(float(v) for v in color) for kind, color in asked.items()}

    def _count(
        self,
        tally: Tally,
        kind: str,
        labs: tuple[Float32, Float32, Float32],
        mask: Mask,
        others: list[Mask],
        hint: tuple[int, int, tuple[float, ...]],
    ) -> None:
        lab, before, after = (one[..., 1:] for one in labs)
        x, y, color = hint
        wanted = rgb_to_lab(np.float32(color) / 255)[1:]
        aim = lab if kind == "true" else wanted
        change = distance(after, before)
        tally.before.append(float(distance(before, aim)[mask].mean()))
        tally.after.append(float(distance(after, aim)[mask].mean()))
        tally.others += [float(change[other].mean()) for other in others]
        tally.everywhere.append(float(change.mean()))
        can = rgb_to_lab(fit_gamut(labs[0][y, x, 0], wanted, np.float32))[1:]
        tally.spot.append(float(np.linalg.norm(after[y, x] - can)))


def sheet(path: Path, before: Float32, lab: Float32, rows: list[Any]) -> None:
    """A picture: without a hint and true, then for each object with each kind of hint."""

    def picture(values: Float32) -> Image.Image:
        return Image.fromarray(fit_gamut(values[..., 0], values[..., 1:], np.uint8))

    height, width = lab.shape[:2]
    out = Image.new("RGB", (3 * width, (1 + len(rows)) * height))
    out.paste(picture(before), (0, 0))
    out.paste(picture(lab), (width, 0))
    for n, (_, x, y, asked, shown) in enumerate(rows, 1):
        for column, kind in enumerate(KINDS[:3]):
            one = picture(shown[kind])
            color = tuple(round(v) for v in asked[kind])
            box = (x - 4, y - 4, x + 4, y + 4)
            ImageDraw.Draw(one).ellipse(box, fill=color, outline="white")
            out.paste(one, (column * width, n * height))
    out.save(path)


def report(tallies: dict[str, Tally]) -> None:
    true = tallies["true"]
    before, after = np.array(true.before), np.array(true.after)
    wrong = before > 5
    print(f"{len(before)} objects; mean error in ab {before.mean():.2f}, one true hint in each:")
    print(
        f"  {after.mean():.2f}, so {100 * (1 - after.sum() / before.sum()):.0f} % less; of the "
        f"{wrong.sum()} that were off by more than 5, {(after < 0.6 * before)[wrong].mean():.0%} "
        f"by at least 40 % (median {100 * np.median(1 - (after / before)[wrong]):.0f} %)"
    )
    head = ("hint", "to its color", "others: mean", "p95", "worst", "photo: mean", "spot: median")
    print(f"{head[0]:<9}" + "".join(f"{h:>14}" for h in (*head[1:], "p90", "worst")))
    for kind, t in tallies.items():
        others, spot = np.array(t.others), np.array(t.spot)
        followed = 1 - np.sum(t.after) / np.sum(t.before)
        columns = [
            "" if kind == "present" else f"{100 * followed:.0f} %",
            f"{others.mean():.2f}", f"{np.percentile(others, 95):.2f}", f"{others.max():.2f}",
            f"{np.mean(t.everywhere):.2f}",
            *(f"{v:.2f}" for v in (np.median(spot), np.percentile(spot, 90), spot.max())),
        ]  # fmt: skip
        print(f"{kind:<9}" + "".join(f"{c:>14}" for c in columns))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-m", "--model", help="bundled name or .onnx file")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="also draw what hints do")
    options = parser.parse_args()
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    measure = Measure(Colorizer(options.model), options.pictures)
    outlines = json.loads((options.folder / "masks.json").read_text(encoding="utf-8"))
    for name in sorted(outlines):
        measure.photo(options.folder / name, outlines[name])
    report(measure.tallies)
    return 0


if __name__ == "__main__":
    sys.exit(main())
