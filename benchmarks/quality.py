"""How good the colors are: a model file on validation photos, against gray (ab = 0).

    python benchmarks/quality.py SHARDS... [--model M] [--skip N] [--photos N] [--size 128 192 256]
                                 [--temperature 0.38] [--rebalance 1.0] [--by-subject]

Every photo is made gray, colored by the whole product (`Colorizer`, at the photo's own size) and
compared in the pixels that a user would get. One row for each combination of the settings; the
network runs once for each size. `--rebalance` takes part of the class rebalancing off again.
Columns: AuC raw; AuC rebalanced with lambda = 0 and 1/2; mean chroma as a share of the original's;
PSNR in dB; colorfulness CF (the originals' stands in the last row). The prior is measured on the
photos themselves.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from photochrom import Colorizer, bins, color, metrics
from photochrom.train.config import TrainConfig
from photochrom.train.data import measure_prior
from photochrom.train.evaluate import Tally
from photochrom.train.shards import PhotoStore, decode

COLUMNS = (
    "auc_raw", "auc_rebalanced_0", "auc_rebalanced_0.5", "chroma_share", "psnr", "colorfulness",
)  # fmt: skip


def nearest(ab: NDArray[np.float32]) -> NDArray[np.int64]:
    """Nearest bin by the table of whole-numbered ab: exact to half a unit, and quick."""
    indices, _ = bins.soft_table(1, bins.SIGMA)
    whole = np.clip(np.rint(ab), -color.AB_MAX, color.AB_MAX).astype(np.int64) + int(color.AB_MAX)
    return indices[whole[..., 0] * (2 * int(color.AB_MAX) + 1) + whole[..., 1], 0].astype(np.int64)


def add(tally: Tally, rgb: NDArray[np.uint8], true: NDArray[np.uint8], truth: tuple) -> None:
    lab, bin_of = truth
    tally.add(color.rgb_to_lab(rgb)[..., 1:], lab[..., 1:], bin_of)
    tally.psnr.append(metrics.psnr(rgb, true))
    tally.colorfulness.append(metrics.colorfulness(rgb))


def line(name: str, tally: Tally) -> str:
    row = tally.figures()
    cells = " | ".join(f"{row.get(c, float('nan')):.2f}" for c in COLUMNS)
    return f"| {name} | {cells} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--model", default=None)
    parser.add_argument("--photos", type=int, default=0, help="only N, from --skip on")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first N")
    parser.add_argument("--size", type=int, nargs="+", default=[0], help="0: the model's own")
    parser.add_argument("--temperature", type=float, nargs="+", default=[bins.TEMPERATURE])
    parser.add_argument("--rebalance", type=float, nargs="+", default=[1.0])
    parser.add_argument("--by-subject", action="store_true")
    options = parser.parse_args()

    store = PhotoStore(options.shards)
    chosen = range(len(store))[options.skip :][: options.photos or None]
    prior = measure_prior(store, TrainConfig(steps=1))
    tallies: dict[tuple[str, str], Tally] = defaultdict(lambda: Tally(prior))
    colorizers = {
        size: Colorizer(options.model, working_size=size or None) for size in options.size
    }
    for i in tqdm(chosen, unit="photo"):
        rgb = np.ascontiguousarray(decode(store.read(i)))
        lab = color.rgb_to_lab(rgb)
        truth = (lab, nearest(lab[..., 1:]))
        gray = color.from_unit(color.linear_to_srgb(color.L_to_luminance(lab[..., 0])), np.uint8)
        groups = ["all"]
        if options.by_subject:
            groups.append(store.key(i).split("-")[1])
        results = {"gray": np.repeat(gray[..., None], 3, axis=2)}
        for size, colorizer in colorizers.items():
            full = colorizer.predict(gray)
            w = full.info.log_weights
            for part in options.rebalance:
                prediction = replace(full, logits=full.logits - ((1 - part) * w)[:, None, None])
                for t in options.temperature:
                    name = f"size {size or colorizer.working_size}, T {t:g}, rebalance {part:g}"
                    results[name] = prediction.render(t)
        results["original"] = rgb
        for name, result in results.items():
            for group in groups:
                add(tallies[group, name], result, rgb, truth)

    print(f"\n{len(chosen)} photos, model {next(iter(colorizers.values())).info.name}\n")
    print("| | AuC raw | rebalanced, 0 | rebalanced, 1/2 | chroma share | PSNR | CF |")
    print("|---|---|---|---|---|---|---|")
    for (group, name), tally in sorted(tallies.items(), key=lambda item: item[0][0] != "all"):
        print(line(name if group == "all" else f"{group}: {name}", tally))
    return 0


if __name__ == "__main__":
    sys.exit(main())
