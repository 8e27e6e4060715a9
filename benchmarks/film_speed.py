"""How long a film takes, decoding and encoding included, and how much memory.

    python benchmarks/film_speed.py [--pictures N] [--codec h264] [--still]

Makes films of 480 and 1,080 lines of a photo, a pan with grain, and colors them. The figures are
processor time for a picture, which other work on the machine hardly moves, and what it would mean
on two cores that do nothing else. The time for the first shot's start (loading the model, opening
the encoder) is taken off by coloring a film of a few pictures first.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np

from photochrom import Colorizer
from photochrom.video import Quality, Settings, color_film

PHOTO = Path(__file__).parents[1] / "examples" / "horses.jpg"
SIZES = ((480, 854), (1080, 1920))


def film(path: Path, size: tuple[int, int], count: int, step: float) -> None:
    """Write a gray film in H.264: a pan by `step` of the picture's height."""
    height, width = size
    gray = cv2.imread(str(PHOTO), cv2.IMREAD_GRAYSCALE).astype(np.float32)
    gray = cv2.resize(gray, (width + height // 2, height), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(1).normal(0, 3, (height + 64, width + 64)).astype(np.float32)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"preset": "ultrafast", "crf": "16"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(count):
            x, y = int(i * step * height), (i * 37) % 64
            part = gray[:, x : x + width] + grain[y : y + height, (i * 23) % 64 :][:, :width]
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, value in zip(frame.planes, (None, 128, 128), strict=True):
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
                if value is None:
                    rows[:, :width] = np.clip(16 + part * 219 / 255, 16, 235)
                else:
                    rows[:] = value
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def main() -> None:
    p = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    p.add_argument("--pictures", type=int, default=48)
    p.add_argument("--codec", default="h264")
    p.add_argument("--still", action="store_true", help="nothing moves")
    options = p.parse_args()
    cv2.setNumThreads(1)
    colorizer = Colorizer(threads=1)
    suffix = ".mov" if options.codec == "prores" else ".mkv"
    settings = Settings(Quality(options.codec, threads=1))
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            old, new = Path(folder) / "old.mp4", Path(folder) / f"new{suffix}"
            spent = []
            for count in (4, 4 + options.pictures):
                film(old, size, count, 0 if options.still else 0.008)
                began = time.process_time()
                color_film(old, new, colorizer, settings, force=True)
                spent.append(time.process_time() - began)
            each = (spent[1] - spent[0]) / options.pictures
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{size[1]} x {size[0]}, {options.codec}: {each * 1e3:.0f} ms of processor time a "
                f"picture, {2 / each:.1f} a second on two cores; {memory:.0f} MiB at most so far",
                flush=True,
            )


if __name__ == "__main__":
    main()
