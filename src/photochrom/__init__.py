"""photochrom: color for black-and-white photographs, on your own machine.

>>> from photochrom import Colorizer
>>> colorizer = Colorizer()  # doctest: +SKIP
>>> colorizer.predict("photo.jpg").save("photo.color.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from photochrom._version import __version__
from photochrom.errors import (
    ConfigError,
    DataError,
    DependencyError,
    FilmError,
    HintError,
    ModelError,
    PhotochromError,
    PhotoError,
    StudyError,
)

if TYPE_CHECKING:
    from photochrom.colorizer import Colorizer
    from photochrom.hints import Hint
    from photochrom.models import Model, ModelInfo
    from photochrom.photo.photo import Photo
    from photochrom.prediction import Prediction

__all__ = [
    "Colorizer",
    "ConfigError",
    "DataError",
    "DependencyError",
    "FilmError",
    "Hint",
    "HintError",
    "Model",
    "ModelError",
    "ModelInfo",
    "Photo",
    "PhotoError",
    "PhotochromError",
    "Prediction",
    "StudyError",
    "__version__",
]

# Loaded when first asked for: training runs on machines that have neither ONNX Runtime nor libvips.
_HOMES = {
    "Colorizer": "colorizer",
    "Hint": "hints",
    "Model": "models",
    "ModelInfo": "models",
    "Photo": "photo.photo",
    "Prediction": "prediction",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"photochrom.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'photochrom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
