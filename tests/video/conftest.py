"""Clips, drawn here: textured pictures that pan, cut, flash and fade."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("cv2")

import cv2
from numpy.typing import NDArray

from photochrom import Colorizer

cv2.setNumThreads(1)  # the clips are tiny: threads would only wait for each other


@pytest.fixture(scope="session")
def colorizer() -> Colorizer:
    """A model that is quick rather than good: films are many frames."""
    return Colorizer("photochrom-1-small", working_size=64, threads=1)


@pytest.fixture(scope="session")
def draw_scene() -> Callable[..., NDArray[np.float32]]:
    """Draws L of a scene, float32 (height, width), 0..100: blobs and texture of some scales."""

    def draw(seed: int, height: int = 200, width: int = 320) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        scene = np.zeros((height, width), np.float32)
        for sigma, strength in ((40, 1.0), (12, 0.7), (4, 0.4)):
            noise = rng.standard_normal((height, width)).astype(np.float32)
            blurred = cv2.GaussianBlur(noise, (0, 0), sigma)
            scene += strength * blurred / blurred.std()
        low, high = np.percentile(scene, [1, 99])
        drawn: NDArray[np.float32] = np.clip((scene - low) / (high - low) * 80 + 10, 0, 100)
        return drawn

    return draw
