"""Values of options that need more than a number: hints, shards, sizes, names."""

from __future__ import annotations

import argparse
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from photochrom.errors import ConfigError, HintError, ModelError

if TYPE_CHECKING:
    from photochrom.hints import Hint

__all__ = [
    "counts_value",
    "hint_value",
    "is_address",
    "named_folder",
    "named_model",
    "named_value",
    "numbers_value",
    "report_value",
    "seconds_value",
    "shard_value",
    "sizes_value",
    "start_value",
]


_HINT = re.compile(
    r"(.+),(#?[0-9a-f]{6}|(?!region)[a-z]+)((?:,(?:region|(?:reach|strength)=[^,]+))*)",
    re.IGNORECASE,
)


def hint_value(text: str) -> Hint:
    """A hint of X,Y[:X,Y...],RRGGBB[,reach=R][,strength=S][,region]. Raises HintError."""
    from photochrom.color.names import color_code
    from photochrom.hints import Hint

    found = _HINT.fullmatch(text)
    try:
        if not found:
            raise ValueError
        points = []
        for pair in found[1].split(":"):
            x, y = pair.split(",")
            points.append((float(x), float(y)))
        color = color_code(found[2])
        words = [word.partition("=") for word in found[3].lower().split(",")[1:]]
        dials = {name: float(value) for name, equals, value in words if equals}
        if ("region", "", "") in words:
            if len(points) < 2 or "reach" in dials:
                raise ValueError
            return Hint.within(points, color, **dials)
    except ValueError:
        raise HintError(
            f"--hint {text}: must be X,Y,COLOR, such as 120,80,3366cc or 120,80,navy",
            "see --hint in `photochrom colorize --help`",
        ) from None
    if len(points) > 1:
        return Hint.along(points, color, **dials)
    x, y = points[0]
    return Hint(x, y, color, dials.get("reach", 1.0), dials.get("strength", 1.0))


def is_address(text: str) -> bool:
    """Whether a text is an address in the web rather than the name of a file."""
    return text.lower().startswith(("http://", "https://", "ftp://"))


def report_value(text: str) -> str:
    """The file of --report."""
    if not text.lower().endswith((".html", ".csv")):
        raise argparse.ArgumentTypeError("must be a file name that ends in .html or .csv")
    return text


def seconds_value(text: str) -> float:
    """Seconds of --timeout; infinity for 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(
            "must be a number of seconds, such as 60, or 0 for no limit"
        )
    return seconds or math.inf


def shard_value(text: str) -> tuple[int, int]:
    """(i, n) of I/N."""
    try:
        i, n = (int(part) for part in text.split("/"))
    except ValueError:
        i, n = 0, 0
    if not 1 <= i <= n:
        raise argparse.ArgumentTypeError("must be I/N with I from 1 to N, such as 2/8")
    return i, n


def sizes_value(text: str) -> tuple[tuple[float, int], ...]:
    """((share, size), ...) of SIZE or SHARE:SIZE[/SIZE...],...."""
    try:
        pairs = []
        for part in text.split(","):
            share, sizes = part.split(":") if ":" in part else ("0", part)
            pairs += [(float(share), int(size)) for size in sizes.split("/")]
        return tuple(pairs)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "must be SIZE or SHARE:SIZE,..., such as 0:96,0.6:96/128/160"
        ) from None


def numbers_value(text: str) -> tuple[float, ...]:
    """Numbers that commas separate."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            "must be numbers separated by commas, such as 0,0.38,1"
        ) from None


def counts_value(text: str) -> tuple[int, ...]:
    """Whole numbers that commas separate."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            "must be whole numbers separated by commas, such as 0,5,20"
        ) from None


def named_model(text: str) -> tuple[str, str]:
    """(name, model) of NAME=MODEL, or of MODEL alone, which is named after its file."""
    name, equals, model = text.partition("=")
    if not equals or "/" in name or os.sep in name:
        name, model = Path(text).stem, text
    if not name or not model:
        raise ConfigError(f"--model {text}: must be MODEL or NAME=MODEL, such as mine=mine.onnx")
    return name, model


def named_folder(flag: str, text: str) -> tuple[str, Path]:
    """(name, folder) of NAME=DIR. Raises ConfigError."""
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise ConfigError(f"{flag} {text}: must be NAME=DIR, such as ours=color/")
    return name, Path(folder)


def start_value(name: str) -> Path:
    """A run's folder, an .onnx file, or the file of the bundled model with this name.

    Raises
    ------
    ModelError
        There is no such file or model.
    """
    from photochrom.models import MODELS, WEIGHTS

    files = {model.name: WEIGHTS / model.file for model in MODELS}
    path = files.get(name) or Path(name)
    if not path.exists():
        raise ModelError(
            f"{name}: no such run or model file", f"the bundled models are: {', '.join(files)}"
        )
    return path


def named_value(text: str) -> tuple[str, str]:
    """NAME=PATH."""
    name, _, path = text.partition("=")
    if not (name and path):
        raise argparse.ArgumentTypeError("give NAME=SHARDS, such as val=val.tar.gz")
    return name, path
