"""Make docs/images/film.webp: an old film of example photos, gray beside color.

    python examples/film_picture.py

It needs the extras `video` and `dev`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

from photochrom import Colorizer
from photochrom.evaluate.photos import grayed
from photochrom.video import frames
from photochrom.video.source import Film

HERE = Path(__file__).parent
SHOTS = (
    ("horses", (0, 20), (60, 20)),
    ("chateau", (70, 10), (20, 30)),
    ("moose", (10, 0), (50, 20)),
)
"""A photo, and where the camera begins and ends: pixels to the right and down."""
COUNT, HEIGHT, WIDTH = 18, 150, 224


def film(path: Path) -> None:
    """Write the gray film: slow pans, with grain, gate weave and flicker."""
    rng = np.random.default_rng(7)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=12)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        for name, start, end in SHOTS:
            gray = grayed(cv2.imread(str(HERE / f"{name}.jpg"))[..., ::-1]).astype(np.float32)
            scale = (HEIGHT + 60) / gray.shape[0]
            gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for i in range(COUNT):
                at = np.array(start) + (np.array(end) - start) * i / COUNT + rng.normal(0, 0.3, 2)
                move = np.float32([[1, 0, -at[0]], [0, 1, -at[1]]])
                picture = cv2.warpAffine(gray, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
                picture = picture * (1 + rng.normal(0, 0.02)) + rng.normal(0, 2.5, picture.shape)
                whole = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(whole, "gray")))
        out.mux(stream.encode())


def main() -> None:
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "old.mkv"
        film(path)
        pairs = zip(Film(path).pictures(), frames(path, Colorizer(threads=1)), strict=True)
        pictures = [
            Image.fromarray(np.hstack([np.repeat(old.luma[..., None], 3, axis=2), new.rgb]))
            for old, new in pairs
        ]
    target = HERE.parent / "docs" / "images" / "film.webp"
    pictures[0].save(
        target, save_all=True, append_images=pictures[1:], duration=1000 // 12, loop=0, quality=60,
        method=4,
    )  # fmt: skip
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
