"""Small colorful photos, drawn here, and a folder for what a test writes in bulk."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

# The networks in these tests are tiny: more threads than one only make them wait for each other.
# It also holds in the processes that tests start, and so all compute the same bits.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


@pytest.fixture(scope="session")
def draw_picture() -> Callable[..., Picture]:
    """Draws a colorful picture, uint8 (height, width, 3): gradient, disks and a fine pattern."""

    def draw(seed: int, height: int = 72, width: int = 88) -> Picture:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        corners = rng.uniform(30, 225, (2, 2, 3))
        top = corners[0, 0] * (1 - x[..., None]) + corners[0, 1] * x[..., None]
        bottom = corners[1, 0] * (1 - x[..., None]) + corners[1, 1] * x[..., None]
        picture = top * (1 - y[..., None]) + bottom * y[..., None]
        for _ in range(6):
            (row, column), radius = rng.uniform(0, 1, 2), rng.uniform(0.08, 0.3)
            picture[(y - row) ** 2 + (x - column) ** 2 < radius**2] = rng.uniform(0, 255, 3)
        picture += 12 * np.sin(40 * x + 25 * y)[..., None]
        drawn: Picture = np.clip(picture, 0, 255).astype(np.uint8)
        return drawn

    return draw


@pytest.fixture(scope="session")
def encode_picture() -> Callable[[Picture], bytes]:
    """Encodes a picture as WebP without loss."""
    from PIL import Image

    def encode(picture: Picture) -> bytes:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "WEBP", lossless=True)
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def pictures(draw_picture: Callable[..., Picture]) -> list[Picture]:
    """Twelve pictures, landscape and portrait."""
    return [draw_picture(seed, *((72, 88) if seed % 3 else (90, 70))) for seed in range(12)]


@pytest.fixture(scope="session")
def shard(
    pictures: list[Picture],
    encode_picture: Callable[[Picture], bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The pictures as a tar shard."""
    from photochrom.train.shards import write_shard

    path = tmp_path_factory.mktemp("photos") / "shard.tar"
    write_shard(path, [(f"{i:03}.webp", encode_picture(p)) for i, p in enumerate(pictures)])
    return path


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A folder for a run, gone after the test: its checkpoints are large."""
    path = tmp_path / "run"
    yield path
    shutil.rmtree(path, ignore_errors=True)
