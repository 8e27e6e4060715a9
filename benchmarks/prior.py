"""The prior over the 313 colors of some photos, as the table that `evaluate` weighs by.

    python benchmarks/prior.py train-0*.tar.gz --about "..." -o src/photochrom/evaluate/prior.csv

Every pixel of every photo counts, and photos without color are left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from photochrom.color import bins
from photochrom.color.lab import is_gray, rgb_to_lab
from photochrom.dataset.decode import decode
from photochrom.dataset.store import PhotoStore


def table(prior: np.ndarray, about: list[str]) -> str:
    """The text of the file: what it is, then a, b and p of each bin."""
    lines = [f"# {line}" for line in about] + ["a,b,p"]
    lines += [f"{a:g},{b:g},{p:.6e}" for (a, b), p in zip(bins.BINS, prior, strict=True)]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", nargs="+", help="shards or folders")
    parser.add_argument("-o", "--output", required=True, metavar="FILE")
    parser.add_argument("--about", default="some photos", metavar="TEXT", help="what they are")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th photo only")
    options = parser.parse_args()
    store = PhotoStore(options.photos)
    counts, used = np.zeros((221, 221), np.int64), 0
    for i in range(0, len(store), options.every):
        lab = rgb_to_lab(decode(store.read(i), store.name(i)))
        if not is_gray(lab):
            counts += bins.count_colors(lab[..., 1:])
            used += 1
    about = [
        f"How often each of the 313 colors occurs in {options.about}:",
        f"{used} photos, {counts.sum()} pixels, smoothed over the {bins.NEIGHBORS} nearest bins "
        f"with sigma = {bins.SIGMA:g}.",
        "Written by benchmarks/prior.py.",
    ]
    Path(options.output).write_text(table(bins.smooth_prior(counts), about))
    print("\n".join(about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
