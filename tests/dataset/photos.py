"""Photos to prepare, and what was made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from photochrom.dataset import examine as module
from photochrom.dataset.decode import decode
from photochrom.dataset.examine import Settings
from photochrom.dataset.prepare import PrepareReport, prepare
from photochrom.dataset.store import PhotoStore

RGB = NDArray[np.uint8]
BUNDLED = Path(skimage.data.__file__).parent


def bundled(name: str) -> Image.Image:
    with Image.open(BUNDLED / name) as image:
        return image.convert("RGB")


def field(seed: int, size: tuple[int, int] = (160, 200)) -> Image.Image:
    """A picture of smooth random colors, of its own hash for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)


def fields(folder: Path, count: int, size: tuple[int, int] = (160, 200)) -> Path:
    folder.mkdir()
    for seed in range(count):
        field(seed, size).save(folder / f"{seed:03d}.png", compress_level=1)
    return folder


def ramp(*stops: tuple[int, int, int]) -> Callable[[RGB], RGB]:
    """Print a photo in inks: black, middle, white of its gray become these colors."""

    def tint(rgb: RGB) -> RGB:
        gray = np.asarray(Image.fromarray(rgb).convert("L"), dtype=np.float64) / 255
        at = np.linspace(0, 1, len(stops))
        inks = [np.interp(gray, at, [stop[c] for stop in stops]) for c in range(3)]
        return np.stack(inks, axis=-1).round().astype(np.uint8)

    return tint


TINTS = {
    "sepia": ramp((20, 12, 8), (130, 105, 85), (245, 235, 215)),
    "strong sepia": ramp((10, 5, 0), (160, 110, 60), (255, 240, 200)),
    "cyanotype": ramp((5, 20, 60), (40, 100, 160), (235, 245, 250)),
    "duotone": ramp((20, 10, 70), (150, 60, 110), (250, 210, 90)),
    "selenium": ramp((15, 5, 10), (125, 110, 115), (240, 235, 235)),
}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stored(output: Path) -> dict[str, RGB]:
    store = PhotoStore([output])
    return {store.key(i): decode(store.read(i)) for i in range(len(store))}


def run(photos: Path | list[Path], output: Path, **options: object) -> PrepareReport:
    photos = photos if isinstance(photos, list) else [photos]
    own = {"workers": options.pop("workers", 1), "force": options.pop("force", False)}
    return prepare(photos, output, Settings(**options), progress=False, **own)  # type: ignore[arg-type]


def count_examined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the photos that are examined from here on, in this process."""
    seen: list[int] = []
    examine = module.examine

    def counting(data: bytes, options: module.Settings) -> module.Outcome:
        seen.append(len(data))
        return examine(data, options)

    monkeypatch.setattr(module, "examine", counting)
    return seen


def interrupted(photos: Path, output: Path, stop_after: int) -> None:
    """Prepare, but stop like a Ctrl-C when so many photos are examined."""
    with pytest.MonkeyPatch.context() as patch:
        seen = count_examined(patch)
        examine = module.examine

        def stopping(data: bytes, options: module.Settings) -> module.Outcome:
            if len(seen) == stop_after:
                raise KeyboardInterrupt
            return examine(data, options)

        patch.setattr(module, "examine", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(photos, output)
