"""What a model makes of skin, by how dark the skin is.

    python benchmarks/skin.py PHOTOS... [-m MODEL] [--subjects faces portraits] [--skip N]

For close-ups of faces that are centered. Skin is taken to be what an ellipse in the middle of the
photo shows (nose, cheeks), as the median of its L*a*b*. Groups are those of the individual typology
angle, ITA = arctan((L - 50) / b), in degrees (Del Bino and Bernerd, "Variations in skin colour and
the biological consequences of ultraviolet radiation exposure", 2013). The photos are not
calibrated, and light and exposure move L, so a group holds photos and says nothing of persons.
Photos whose middle has no color that skin has (hue 20 to 90 degrees, chroma 4 to 50) are left out
and counted. After the sign of plus or minus stands half of the 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray

from photochrom import Colorizer
from photochrom.color.lab import rgb_to_lab
from photochrom.color.metrics import delta_e_2000
from photochrom.dataset.decode import decode
from photochrom.evaluate.photos import grayed, open_store
from photochrom.intervals import bootstrap_interval
from photochrom.naming import subject_of

ELLIPSE = 0.2, 0.16
"""Half its height and width, as shares of the photo's."""

GROUPS = {"55 and more": 55, "41 to 55": 41, "28 to 41": 28, "10 to 28": 10, "below 10": -90}
"""The least ITA of each. Brown (-30 to 10) and dark are one: few of either are in most sets."""


def middle(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Median L*a*b* of the ellipse, (3,)."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width]
    inside = ((y + 0.5) / height - 0.5) ** 2 / ELLIPSE[0] ** 2
    inside = inside + ((x + 0.5) / width - 0.5) ** 2 / ELLIPSE[1] ** 2 <= 1
    return np.median(rgb_to_lab(rgb)[inside], axis=0).astype(np.float64)


def polar(lab: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Chroma and hue in degrees of L*a*b* (..., 3)."""
    return np.hypot(lab[..., 1], lab[..., 2]), np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))


def mean(values: NDArray[np.float64]) -> str:
    low, high = bootstrap_interval(lambda sums: sums[:, 0] / len(values), values[:, None])
    return f"{values.mean():6.1f} ±{(high - low) / 2:4.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", nargs="+")
    parser.add_argument("-m", "--model", help="bundled name or .onnx file")
    parser.add_argument("--subjects", nargs="+", default=["faces", "portraits"])
    parser.add_argument("--skip", type=int, default=0, help="leave out the first photos")
    options = parser.parse_args()
    colorizer, store = Colorizer(options.model), open_store(options.photos)

    truths, results = [], []
    for i in range(options.skip, len(store)):
        if subject_of(store.key(i), store.in_shard(i)) not in options.subjects:
            continue
        rgb = decode(store.read(i), store.name(i))
        truths.append(middle(rgb))
        results.append(middle(colorizer.predict(grayed(rgb)).render()))
    if not truths:
        print(f"no photo of {', '.join(options.subjects)} among these", file=sys.stderr)
        return 1
    truth, result = np.array(truths), np.array(results)
    chroma, hue = polar(truth)
    skin = (chroma >= 4) & (chroma <= 50) & (hue >= 20) & (hue <= 90)
    print(f"{len(skin)} photos of {', '.join(options.subjects)}; {(~skin).sum()} left out")
    truth, result = truth[skin], result[skin]
    angle = np.degrees(np.arctan2(truth[:, 0] - 50, truth[:, 2]))

    head = ("ITA", "photos", "ΔE00", "of gray", "chroma, true", "result", "hue, true", "result")
    print("{:<12} {:>6} {:>12} {:>12} {:>14} {:>12} {:>12} {:>12}".format(*head))
    names = ["all", *GROUPS]
    edges = [-91.0, *GROUPS.values()]
    for n, name in enumerate(names):
        top = edges[n - 1] if n > 1 else 91.0
        here = (angle >= edges[n]) & (angle < top)
        if here.sum() < 2:
            print(f"{name:<12} {here.sum():>6}")
            continue
        t, r = truth[here], result[here]
        gray = t * (1, 0, 0)
        columns = [delta_e_2000(r, t), delta_e_2000(gray, t)]
        columns += [polar(t)[0], polar(r)[0], polar(t)[1], polar(r)[1]]
        print(f"{name:<12} {here.sum():>6} " + " ".join(f"{mean(c):>12}" for c in columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
