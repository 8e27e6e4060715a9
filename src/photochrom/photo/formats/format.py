"""What all formats share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

__all__ = ["MOST_MENDED", "Saver", "replace_bytes"]


@dataclass(frozen=True)
class Saver:
    operation: str
    dtypes: tuple[Any, ...]  # what the format can hold; the last stands in for what it cannot
    alpha: bool
    max_side: int  # pixels
    options: Mapping[str, Any]


MOST_MENDED = 1 << 28  # bytes of a file that is held in memory to be mended
_MOST_COPIED = 1 << 20


def replace_bytes(file: BinaryIO, start: int, end: int, data: bytes) -> None:
    """Put bytes in the place of others; what is behind them is moved, a part after the other."""
    size = file.seek(0, 2)
    by = len(data) - (end - start)
    starts = range(end, size, _MOST_COPIED)
    for at in reversed(starts) if by > 0 else starts if by else ():
        file.seek(at)
        part = file.read(min(_MOST_COPIED, size - at))
        file.seek(at + by)
        file.write(part)
    file.seek(start)
    file.write(data)
    file.truncate(size + by)
