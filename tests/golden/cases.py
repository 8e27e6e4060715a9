"""What the golden test colors, and how: every input, some in other formats and with settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from photochrom import Colorizer, PhotochromError

DATA = Path(__file__).parent / "data"
INPUTS = DATA / "inputs"
SIZE = 96  # the model's own, 160, would take three times as long; some cases have it
# A folder with what is told of in notes, what fails, and a subfolder.
COMMANDED = ("gray.jpg", "rgba-16.png", "pages.tif", "everything.webp", "cut.jpg", "text.jpg")


@dataclass(frozen=True)
class Case:
    """A result to be made."""

    name: str  # of its file as well
    source: str  # of an input, or in MEMORY
    suffix: str  # of the result; "" for what `render` gives
    settings: dict[str, Any] = field(default_factory=dict)  # of `save` and `color_file`
    hints: tuple[Any, ...] = ()
    size: int | None = SIZE  # that the network sees; None: the model's own

    def run(self, folder: Path) -> Any:
        """The result: a path in the folder, an array, a PIL image; a text for an error."""
        in_memory = self.source in MEMORY
        source = MEMORY[self.source]() if in_memory else INPUTS / self.source
        target = folder / self.name
        try:
            colorizer = _colorizer(self.size)
            if in_memory or not self.suffix:
                prediction = colorizer.predict(source, self.hints)
                if not self.suffix:
                    return prediction.render(**self.settings)
                prediction.save(target, **self.settings)
            else:
                colorizer.color_file(source, target, self.hints, **self.settings)
        except PhotochromError as error:
            text = f"{type(error).__name__}: {error}"
            return text.replace(str(INPUTS), "INPUTS").replace(str(folder), "FOLDER")
        return target


@lru_cache
def _colorizer(size: int | None) -> Colorizer:
    return Colorizer(working_size=size, threads=1)


# --- in memory ------------------------------------------------------------------------------------


def _gray() -> np.ndarray:
    with PIL.Image.open(INPUTS / "gray.png") as image:
        return np.asarray(image)


def _rgb() -> np.ndarray:
    with PIL.Image.open(INPUTS / "rgb.png") as image:
        return np.asarray(image)


def _rgba() -> np.ndarray:
    with PIL.Image.open(INPUTS / "rgba.png") as image:
        return np.asarray(image)


def _wide(samples: np.ndarray) -> np.ndarray:
    fine = np.arange(samples.size).reshape(samples.shape) % 128
    return (samples.astype(np.uint16) * 256 + fine).astype(np.uint16)


def _image(name: str) -> PIL.Image.Image:
    image = PIL.Image.open(INPUTS / name)
    image.load()
    return image


def _file(pixels: Callable[[], np.ndarray], mode: str) -> Callable[[], PIL.Image.Image]:
    return lambda: PIL.Image.fromarray(pixels()).convert(mode)


MEMORY: dict[str, Callable[[], Any]] = {
    "array-gray": _gray,
    "array-gray-1": lambda: _gray()[..., None],
    "array-gray-alpha": lambda: np.dstack([_gray(), _rgba()[..., 3]]),
    "array-bool": lambda: _gray() > 110,
    "array-16": lambda: _wide(_gray()),
    "array-16-big": lambda: _wide(_rgb()).astype(">u2"),
    "array-float16": lambda: (_gray() / 255).astype(np.float16),
    "array-float32": lambda: (_wide(_gray()) / 65535).astype(np.float32),
    "array-float64": lambda: _wide(_rgb()) / 65535,
    "array-rgb": _rgb,
    "array-rgb-turned": lambda: np.asfortranarray(_rgb()[::-1]),
    "array-rgba": _rgba,
    "array-rgba-float": lambda: (_rgba() / 255).astype(np.float32),
    "array-channels-first": lambda: np.moveaxis(_rgb(), -1, 0),
    "array-int32": lambda: _gray().astype(np.int32),
    "array-out-of-range": lambda: _gray() / 100,
    "pil-1": _file(_gray, "1"),
    "pil-L": _file(_gray, "L"),
    "pil-LA": _file(_rgba, "LA"),
    "pil-P": lambda: _image("palette.png"),
    "pil-P-alpha": lambda: _image("palette-alpha.png"),
    "pil-RGB": _file(_rgb, "RGB"),
    "pil-RGBA": _file(_rgba, "RGBA"),
    "pil-YCbCr": _file(_rgb, "YCbCr"),
    "pil-CMYK": lambda: _image("cmyk.jpg"),
    "pil-I;16": lambda: PIL.Image.fromarray(_wide(_gray())),
    "pil-I": lambda: PIL.Image.fromarray(_wide(_gray()).astype(np.int32)),
    "pil-F": lambda: PIL.Image.fromarray((_wide(_gray()) / 65535).astype(np.float32)),
    "pil-jpeg": lambda: _image("everything.jpg"),
    "pil-wide": lambda: _image("wide.jpg"),
    "pil-LAB": lambda: PIL.Image.new("LAB", (4, 3)),
}


# --- the table ------------------------------------------------------------------------------------

# Inputs in formats that are none here still need a name for their result.
_RESULTS = {".bmp": ".png", ".gif": ".png", ".pgm": ".png", ".nef": ".tif"}

# Each as these formats, besides its own; "" is `render`.
_OTHER_FORMATS = {
    "everything.jpg": [".png", ".tif", ".webp", ".avif", ".heic", ""],
    "everything.png": [".jpg", ".tif", ".webp", ".avif", ".heic"],
    "everything.tif": [".jpg", ".png", ".webp", ".avif", ".heic"],
    "everything.webp": [".jpg", ".png", ".tif"],
    "everything.avif": [".jpg", ".png", ".tif"],
    "everything.heic": [".jpg", ".png", ".tif"],
    "camera-big.jpg": [".png", ".tif", ".webp", ".avif", ".heic"],
    "camera-little.jpg": [".png", ".tif"],
    "iptc.jpg": [".png", ".tif", ".webp"],
    "exif.tif": [".jpg", ".png"],
    "texts.png": [".jpg"],
    "raw-iptc.png": [".jpg"],
    "dots-per-cm.jpg": [".png", ".tif", ".webp"],
    "dots-per-cm.tif": [".jpg", ".png"],
    "no-unit.tif": [".jpg"],
    "rgba-16.png": [".jpg", ".tif", ".webp", ".avif", ".heic", ""],
    "gray-16.tif": [".jpg", ".png", ""],
    "gray-float.tif": [".jpg", ".png", ""],
    "rgba-float.tif": [".png"],
    "ten-bits.avif": [".png", ".jpg"],
    "deep.heic": [".png", ".avif"],
    "pages.tif": [".jpg", ".tiff"],
    "pyramid.tif": [".jpg"],
    "mask.tif": [".png"],
    "turned-6.jpg": [".png", ".jpeg", ""],
    "wide.tif": [".jpg", ".png"],
    "gray.png": [".bmp", ".jpg", ".heif"],
    "1x1.png": [".jpg", ".webp", ".avif"],
}

_HINTS = ((8, 6, (200, 40, 30)), (30, 20, (30, 60, 210)))

# source, suffix, label, and what differs.
_SETTINGS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("gray.png", ".png", "vivid", {"temperature": 0.0}),
    ("gray.png", ".png", "muted", {"temperature": 1.0}),
    ("gray.png", ".png", "strong", {"saturation": 2.0}),
    ("gray.png", ".png", "colorless", {"saturation": 0.0}),
    ("gray.png", ".png", "both", {"temperature": 0.2, "saturation": 1.4}),
    ("gray.png", ".png", "kept", {"keep_color": 0.5}),
    ("rgb.png", ".png", "half", {"keep_color": 0.5}),
    ("rgb.png", ".png", "kept", {"keep_color": 1.0}),
    ("rgb-16.tif", ".tif", "third", {"keep_color": 0.3, "saturation": 1.2}),
    ("wide.jpg", ".jpg", "kept", {"keep_color": 1.0}),
    ("gray.png", ".png", "hint", {"hints": _HINTS[:1]}),
    ("gray.png", ".png", "hints", {"hints": _HINTS, "saturation": 1.5}),
    ("rgb-16.png", ".png", "hints", {"hints": _HINTS, "keep_color": 0.2}),
    ("pages.tif", ".tif", "hints", {"hints": _HINTS, "temperature": 0.1}),
    ("turned-5.jpg", ".jpg", "hints", {"hints": _HINTS[:1], "quality": 98}),
    ("gray.jpg", ".jpg", "small", {"quality": 40}),
    ("poor.jpg", ".jpg", "large", {"quality": 100}),
    ("lossy.webp", ".webp", "small", {"quality": 50}),
    ("rgb.avif", ".avif", "small", {"quality": 40}),
    ("rgb.heic", ".heic", "small", {"quality": 40}),
    ("gray.tif", ".tif", "quality", {"quality": 40}),
    ("gray.png", ".png", "own-size", {"size": None}),
    ("array-rgb", "", "own-size", {"size": None}),
    ("everything.jpg", ".jpg", "own-size", {"size": None}),
    ("pages.tif", ".tif", "own-size", {"size": None}),
    ("rgba-16.tif", ".tif", "own-size", {"size": None, "hints": _HINTS}),
    ("gray.png", ".png", "256", {"size": 256}),
    ("gray.png", ".png", "odd-size", {"size": 100}),
    ("gray.png", ".png", "outside", {"hints": ((40, 6, (200, 40, 30)),)}),
    ("gray.png", ".png", "no-color", {"hints": ((4, 6, (200, 40, 300)),)}),
    ("gray.png", ".png", "no-hint", {"hints": ((4, 6),)}),
    ("gray.png", ".png", "cold", {"temperature": -1.0}),
    ("gray.png", ".png", "nan", {"saturation": float("nan")}),
    ("gray.png", ".png", "more-than-all", {"keep_color": 1.5}),
    ("gray.jpg", ".jpg", "no-quality", {"quality": 0}),
    ("array-rgb", "", "half", {"keep_color": 0.5}),
    ("array-16", "", "hints", {"hints": _HINTS}),
    ("pil-RGBA", "", "vivid", {"temperature": 0.0, "saturation": 1.3}),
]

# Of what is in memory, as files.
_SAVED = {
    "array-gray": [".jpg", ".png", ".tif", ".webp", ".avif", ".heic"],
    "array-rgba": [".png", ".webp"],
    "array-16": [".tif"],
    "array-float32": [".tif", ".png"],
    "array-bool": [".png"],
    "pil-jpeg": [".jpg", ".tif"],
    "pil-wide": [".png"],
    "pil-I;16": [".png"],
}


def cases() -> list[Case]:
    """All of them."""
    inputs = sorted(path.name for path in INPUTS.iterdir())
    made = [Case(f"{name}{_of(name)}", name, _of(name)) for name in inputs]
    made += [Case(name, name, "") for name in MEMORY]
    for table in (_OTHER_FORMATS, _SAVED):
        made += [
            Case(f"{name}{suffix or '.render'}", name, suffix)
            for name, suffixes in table.items()
            for suffix in suffixes
        ]
    for name, suffix, label, settings in _SETTINGS:
        more = {key: settings[key] for key in ("hints", "size") if key in settings}
        colors = {key: value for key, value in settings.items() if key not in more}
        made.append(Case(f"{name}.{label}{suffix}", name, suffix, colors, **more))
    assert len({case.name for case in made}) == len(made)
    return made


def _of(name: str) -> str:
    suffix = Path(name).suffix
    return _RESULTS.get(suffix, suffix)
