"""TIFF files of several pages."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

SIZES = [(60, 80), (45, 30), (20, 90)]


def gray(height: int, width: int, dtype: Any = np.uint8) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    top = np.iinfo(dtype).max
    return ((x * 3 + y * 2) % 230 / 255 * top).astype(dtype)


def pages_file(path: Path, dtype: Any = np.uint8, **options: Any) -> list[np.ndarray]:
    pages = [gray(*size, dtype) for size in SIZES]
    with tifffile.TiffWriter(path, **options) as file:
        for page in pages:
            file.write(page, photometric="minisblack", metadata=None)
    return pages


def page_with(entries: list[tuple[int, int, int, int]], size: int = 64) -> bytes:
    """A gray page as a classic TIFF file, with more entries: tag, type, number, value or place."""
    plain = [
        (256, 4, 1, size), (257, 4, 1, size), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8), (278, 4, 1, size), (279, 4, 1, size * size),
    ]  # fmt: skip
    pixels = gray(size, size).tobytes()
    every = sorted([*plain, *entries])
    directory = b"".join(struct.pack("<HHII", *entry) for entry in every)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(pixels))
    return head + pixels + struct.pack("<H", len(every)) + directory + bytes(4)
