"""One picture of what several models make of the same photos.

    python benchmarks/grid.py PHOTOS -m [NAME=]MODEL... -o grid.jpg [--temperature 0,0.38,1]
                              [--columns NAME...] [--only KEY...]

A line for each photo of the folder, a column for each row of `photochrom evaluate`; both can be
chosen by name. Give photos whose license lets the picture be shown.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from photochrom.cli.values import named_model, numbers_value
from photochrom.color.bins import TEMPERATURE
from photochrom.evaluate.question import Evaluation
from photochrom.evaluate.scoring import Scorer

CELL = (228, 152)  # width, height in pixels
GAP, HEAD = 4, 24


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos")
    parser.add_argument("-m", "--model", action="append", required=True)
    parser.add_argument("-t", "--temperature", type=numbers_value, default=(TEMPERATURE,))
    parser.add_argument("--columns", nargs="+", help="names of rows (default: all)")
    parser.add_argument("--only", nargs="+", metavar="KEY", help="photos (default: all)")
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    asked = Evaluation(
        (options.photos,),
        tuple(named_model(text) for text in options.model),
        baselines=False,
        temperatures=options.temperature,
        short_side=2 * CELL[1],
        sweep=0,
    )
    scorer = Scorer(asked, np.full(313, 1 / 313))
    names = [row.name for row in scorer.rows]
    columns = options.columns or [*names[1:], names[0]]
    keys = {scorer.store.key(i): i for i in range(len(scorer.store))}
    photos = options.only or list(keys)

    step = CELL[0] + GAP, CELL[1] + GAP
    sheet = Image.new("RGB", (len(columns) * step[0], HEAD + len(photos) * step[1]), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for c, name in enumerate(columns):
        draw.text((c * step[0] + CELL[0] // 2, HEAD // 2), name, "black", font, "mm")
    for r, key in enumerate(photos):
        i = keys[key]
        truth = scorer.original(i)
        predictions = scorer.predictions(i, truth)
        results = (rgb for rgb, _ in scorer.results(i, truth, predictions))
        pictures = dict(zip(names, results, strict=True))
        for c, name in enumerate(columns):
            image = Image.fromarray(pictures[name])
            image.thumbnail(CELL, Image.Resampling.LANCZOS)
            left, top = ((CELL[k] - image.size[k]) // 2 for k in (0, 1))
            sheet.paste(image, (c * step[0] + left, HEAD + r * step[1] + top))
    sheet.save(options.output, quality=75)
    return 0


if __name__ == "__main__":
    sys.exit(main())
