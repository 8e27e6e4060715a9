"""Photos to evaluate on, and a prior."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from photochrom.color import bins
from tests.evaluate.measured import Picture


@pytest.fixture
def photos(tmp_path: Path, pictures: list[Picture]) -> Path:
    """A folder of seven pictures in two folders, without loss."""
    folder = tmp_path / "photos"
    for n, picture in enumerate(pictures[:7]):
        path = folder / ("cats" if n % 2 else "dogs") / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return folder


@pytest.fixture
def prior(tmp_path: Path) -> Path:
    p = np.exp(-np.linalg.norm(bins.BINS, axis=1) / 25).astype(np.float32)
    path = tmp_path / "p.npy"
    np.save(path, p / p.sum())
    return path
