"""Color the photos of this folder into demo/, with one contact sheet: gray, colored, original.

Run by `make demo`; needs photochrom and nothing else.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photochrom import Colorizer
from photochrom.color.lab import L_to_luminance, from_unit, linear_to_srgb
from photochrom.color.resize import area_shrink
from photochrom.photo.open import open_photo
from photochrom.photo.write import Output, write_photo
from photochrom.render import lightness

HERE = Path(__file__).parent
HEIGHT, WIDTH, GAP = 240, 360, 8


def cell(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photo fitted into a white cell of the sheet."""
    scale = min(HEIGHT / rgb.shape[0], WIDTH / rgb.shape[1])
    size = (round(rgb.shape[0] * scale), round(rgb.shape[1] * scale))
    small = np.stack([area_shrink(rgb[..., c], size) for c in range(3)], axis=-1)
    out = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
    top, left = (HEIGHT - size[0]) // 2, (WIDTH - size[1]) // 2
    out[top : top + size[0], left : left + size[1]] = np.clip(small + 0.5, 0, 255)
    return out


def main(output: Path) -> int:
    photos = sorted(p for p in HERE.iterdir() if p.suffix in (".jpg", ".png"))
    output.mkdir(parents=True, exist_ok=True)
    colorizer = Colorizer()
    rows = []
    for path in photos:
        original = open_photo(path)
        L = lightness(original.pixels)
        gray = from_unit(linear_to_srgb(L_to_luminance(L)), np.uint8)
        began = time.perf_counter()
        colored = colorizer.predict(gray).render()
        spent = time.perf_counter() - began
        target = output / path.name
        write_photo(target, colored, open_photo(gray), Output(force=True))
        print(
            f"{path.name:24} {L.shape[1]:5} x {L.shape[0]:4}  {1000 * spent:5.0f} ms  -> {target}"
        )
        grays = np.repeat(gray[..., None], 3, axis=2)
        # A photo that never had color has no third picture.
        had_color = original.pixels.shape[2] == 3
        third = original.pixels if had_color else np.full((1, 1, 3), 255, dtype=np.uint8)
        rows.append(np.concatenate([cell(grays), cell(colored), cell(third)], axis=1))
    # Two photos a line, so that the sheet fits a screen.
    if len(rows) % 2:
        rows.append(np.full_like(rows[0], 255))
    space = np.full((HEIGHT, 4 * GAP, 3), 255, dtype=np.uint8)
    margins = ((GAP // 2, GAP // 2), (GAP, GAP), (0, 0))
    lines = [
        np.pad(np.concatenate([left, space, right], axis=1), margins, constant_values=255)
        for left, right in zip(rows[::2], rows[1::2], strict=True)
    ]
    sheet = np.concatenate(lines)
    write_photo(output / "contact_sheet.png", sheet, open_photo(sheet), Output(force=True))
    print(f"\nGray, colored and original side by side: {(output / 'contact_sheet.png').resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo")))
