"""How long a photo takes: import and load, predict, render; and eccv16 in the same run.

    python benchmarks/inference.py [--repeat 15] [--size 256] [--threads 0]

Medians with the 10th and 90th percentile, after two warm-up calls. eccv16 has random weights,
stored in the same format (16-bit weights, ONNX): its time does not depend on them. The two
networks take turns, so that other work on the machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from photochrom import Colorizer
from photochrom.models import Model


def spent(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def measure(jobs: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    for work in jobs.values():
        work()
        work()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeat):
        for name, work in jobs.items():
            times[name].append(spent(work))
    medians = {}
    for name, values in times.items():
        low, middle, high = np.percentile(values, (10, 50, 90))
        medians[name] = float(middle)
        print(f"{name:58} {middle:8.1f} ms   ({low:.1f} to {high:.1f})")
    return medians


def eccv16(folder: Path) -> Model | None:
    try:
        import torch

        from photochrom.train.eccv16 import ECCV16
        from photochrom.train.export import import_published
    except ImportError:
        return None
    torch.manual_seed(0)
    state = ECCV16().state_dict()
    state["model_out.weight"] = torch.zeros(2, 313, 1, 1)
    torch.save(state, folder / "random.pth")
    import_published(folder / "random.pth", folder / "eccv16.onnx")
    return Model(folder / "eccv16.onnx")


def photo(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    y, x = np.mgrid[:height, :width]
    waves = 128 + 60 * np.sin(x / 37) + 50 * np.cos(y / 53)
    noise = np.random.default_rng(0).normal(0, 8, (height, width))
    return np.clip(waves + noise, 0, 255).astype(np.uint8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--size", type=int, default=256, help="for the comparison with eccv16")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    print(f"cores: {os.cpu_count()}\n")

    code = (
        "import time; t = time.perf_counter()\n"
        "import photochrom; photochrom.Colorizer()\n"
        "print(1000 * (time.perf_counter() - t))"
    )
    starts = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    print(f"{'import photochrom and load the model, new process':58} {np.median(starts):8.1f} ms")

    colorizer = Colorizer(threads=options.threads)
    gray = photo(1000, 1000)
    prediction = colorizer.predict(gray)
    prediction.render()
    size = colorizer.working_size
    measure(
        {
            f"predict, 1 megapixel, working size {size}": lambda: colorizer.predict(gray),
            "second render, 1 megapixel": prediction.render,
            "4 candidates, 1 megapixel": prediction.candidates,
            "palette": lambda: prediction.palette(500, 500),
        },
        options.repeat,
    )

    with tempfile.TemporaryDirectory() as folder:
        theirs = eccv16(Path(folder))
        if theirs is None:
            print("\neccv16: not compared, PyTorch is not installed")
            return 0
        n = options.size
        info = colorizer.info
        rng = np.random.default_rng(0)
        ours_x = rng.standard_normal((info.channels, n, n), dtype=np.float32)
        ours_x[1:] = 0
        print()
        medians = measure(
            {
                f"network {info.arch} at {n} x {n}": lambda: colorizer.model(ours_x),
                f"network eccv16 at {n} x {n}": lambda: theirs(ours_x[:1]),
            },
            max(3, options.repeat // 3),
        )
        ours, other = medians.values()
        print(f"\neccv16 takes {other / ours:.1f} times as long")
    return 0


if __name__ == "__main__":
    sys.exit(main())
