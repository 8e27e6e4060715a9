"""A folder of photos: how much of what the cores allow, and whether memory stays flat.

    python benchmarks/batch.py [--photos 1000] [--workers N]

Makes gray JPEGs of one megapixel from examples/. Measured alone, one photo after another in one
thread: reading, network, rendering, writing. Then the real command on the folder. What the cores
allow is the time alone, divided by the cores. On a machine with other work the wall clock says
little; the processor time of the command beside that of the photos alone then says how much it adds
to them, but nothing of waiting. Memory is the resident one of all processes together.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# One thread alone; the libraries read it only when they are loaded. The command sets it by itself.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["VIPS_CONCURRENCY"] = "1"

import numpy as np
import PIL.Image

from photochrom.batch.manifest import MANIFEST
from photochrom.colorizer import Colorizer
from photochrom.frame import Frame, network_input
from photochrom.photo.read import read_photo
from photochrom.photo.write import write_photo
from photochrom.pool import cpus
from photochrom.render import lightness

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VIPS_CONCURRENCY")
EXAMPLES = Path(__file__).parent.parent / "examples"
PIXELS = 1_000_000


def make(folder: Path, count: int) -> None:
    originals = [PIL.Image.open(path).convert("L") for path in sorted(EXAMPLES.glob("*.jpg"))]
    rng = np.random.default_rng(0)
    for n in range(count):
        image = originals[n % len(originals)]
        scale = (PIXELS / (image.width * image.height)) ** 0.5
        image = image.resize((round(image.width * scale), round(image.height * scale)))
        if n // len(originals) % 2:
            image = image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
        grain = rng.integers(-6, 7, (image.height, image.width), dtype=np.int16)
        gray = np.clip(np.asarray(image, dtype=np.int16) + grain, 0, 255).astype(np.uint8)
        path = folder / f"{n // 100:03}/{n:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(gray).save(path, quality=90)


class Alone:
    """Seconds a photo by step, wall clock and processor."""

    def __init__(self) -> None:
        self.colorizer = Colorizer(threads=1)
        self.wall: dict[str, list[float]] = defaultdict(list)
        self.cpu: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add what the block takes to the times of a step."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.cpu[name].append(time.process_time() - cpu)
        self.wall[name].append(time.perf_counter() - wall)

    def photo(self, source: Path, target: Path) -> None:
        """Color a photo, step by step."""
        colorizer = self.colorizer
        with self.step("whole"):
            with self.step("read"):
                photo = read_photo(source)
            prediction = colorizer.predict(photo)
            with self.step("render"):
                rgb = prediction.render()
            with self.step("write"):
                write_photo(target, rgb, photo, force=True)
        info, L = colorizer.info, lightness(photo.pixels, 1)
        frame = Frame.of(photo.height, photo.width, colorizer.working_size, info.multiple)
        x = network_input(L, frame, info, [])
        with self.step("network"):
            colorizer.model(x)


def memory(pid: int) -> float:
    """Resident MB of a process and its children."""
    total = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(memory(int(c)) for c in (task / "children").read_text().split())
        return total + int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    except (FileNotFoundError, ProcessLookupError):
        return total


def children(measure: Callable[[], object]) -> float:
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    measure()
    return spent() - before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--workers", type=int, help="default: what the command takes by itself")
    options = parser.parse_args()
    print(f"cores: {cpus()}; load before: {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scans, out = folder / "scans", folder / "out"
        scans.mkdir()
        make(scans, options.photos)
        sources = sorted(scans.rglob("*.jpg"))
        alone = Alone()
        sample = sources[: min(200, len(sources))]

        def some(photos: list[Path]) -> None:
            for path in photos:
                alone.photo(path, folder / "alone.jpg")

        some(sample[:2])
        alone.wall.clear()
        alone.cpu.clear()
        some(sample[::2])  # half before and half after, for other work comes and goes

        command = [sys.executable, "-m", "photochrom", "colorize", str(scans), "-o", str(out)]
        if options.workers is not None:
            command += ["--workers", str(options.workers)]
        ours = {key: value for key, value in os.environ.items() if key not in THREADS}
        seen: list[tuple[int, float]] = []

        def run() -> None:
            process = subprocess.Popen(command, env=ours)
            manifest = out / MANIFEST
            while process.poll() is None:
                done = manifest.read_bytes().count(b"\n") if manifest.exists() else 0
                seen.append((done, memory(process.pid)))
                time.sleep(0.25)
            if process.returncode:
                sys.exit("the command failed")

        began = time.perf_counter()
        cpu = children(run) / options.photos
        wall = (time.perf_counter() - began) / options.photos
        some(sample[1::2])

    print(f"{'alone, one thread, ms a photo':34} {'wall clock':>12} {'processor':>12}")
    for step in ("read", "network", "render", "write", "whole"):
        times = [1000 * float(np.mean(t[step])) for t in (alone.wall, alone.cpu)]
        print(f"  {step:32} {times[0]:12.1f} {times[1]:12.1f}")
    workers = f", {options.workers} workers" if options.workers is not None else ""
    print(f"{options.photos} photos{workers}")
    print(f"  {'a photo, all cores':32} {1000 * wall:12.1f} {1000 * cpu:12.1f}")
    print(f"  {'photos a second':32} {1 / wall:12.2f}")

    def share(steps: tuple[str, ...]) -> str:
        allowed = [sum(float(np.mean(t[s])) for s in steps) for t in (alone.wall, alone.cpu)]
        return f"{100 * allowed[0] / cpus() / wall:11.0f}% {100 * allowed[1] / cpu:11.0f}%"

    print(f"\n{'share of what the cores allow':34} {'wall clock':>12} {'processor':>12}")
    print(f"  {'whole photos':32} {share(('whole',))}")
    print(f"  {'reading, network, writing alone':32} {share(('read', 'network', 'write'))}")
    first = max((mb for done, mb in seen if 0 < done <= 100), default=0)
    last = max((mb for done, mb in seen if done > options.photos - 100), default=0)
    print(f"\nmemory, MB: first hundred {first:.0f}, last hundred {last:.0f}: {last / first:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
