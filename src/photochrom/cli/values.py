"""Values of options that need more than a number: hints, shards, sizes, names."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from photochrom.errors import ConfigError, HintError

__all__ = [
    "counts_value",
    "hint_value",
    "named_folder",
    "named_model",
    "numbers_value",
    "seconds_value",
    "shard_value",
    "sizes_value",
]


def hint_value(text: str) -> tuple[float, float, tuple[int, int, int]]:
    parts = text.split(",")
    try:
        x, y, code = float(parts[0]), float(parts[1]), parts[2].removeprefix("#")
        if len(parts) != 3 or len(code) != 6:
            raise ValueError
        red, green, blue = bytes.fromhex(code)
    except (ValueError, IndexError):
        raise HintError(f"--hint {text}: give X,Y,RRGGBB, such as 120,80,3366cc") from None
    return x, y, (red, green, blue)


def seconds_value(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("give seconds, such as 60; 0 for no limit")
    return seconds or math.inf


def shard_value(text: str) -> tuple[int, int]:
    try:
        i, n = (int(part) for part in text.split("/"))
    except ValueError:
        i, n = 0, 0
    if not 1 <= i <= n:
        raise argparse.ArgumentTypeError("give I/N with I from 1 to N, such as 2/8")
    return i, n


def sizes_value(text: str) -> tuple[tuple[float, int], ...]:
    try:
        pairs = []
        for part in text.split(","):
            share, sizes = part.split(":") if ":" in part else ("0", part)
            pairs += [(float(share), int(size)) for size in sizes.split("/")]
        return tuple(pairs)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "give SIZE, or SHARE:SIZE,... such as 0:96,0.6:96/128/160"
        ) from None


def numbers_value(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("give numbers with commas, such as 0,0.38,1") from None


def counts_value(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError("give whole numbers with commas, such as 0,5,20") from None


def named_model(text: str) -> tuple[str, str]:
    """NAME=MODEL, or MODEL alone, which then is named after its file."""
    name, equals, model = text.partition("=")
    if not equals or "/" in name or os.sep in name:
        name, model = Path(text).stem, text
    if not name or not model:
        raise ConfigError(f"--model {text}: give MODEL or NAME=MODEL, such as mine=mine.onnx")
    return name, model


def named_folder(flag: str, text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise ConfigError(f"{flag} {text}: give NAME=DIR, such as ours=color/")
    return name, Path(folder)
