"""How fast and how large `photochrom evaluate` is: photos a second, and memory from first to last.

    python benchmarks/evaluate.py [--photos 10000] [--side 128] [--workers 2]

Scores generated photos (soft colored blobs, WebP in one tar shard) with the bundled model and the
baselines, in a process of its own, and samples the resident memory of it and its workers. Bounded
means: the last tenth of the run takes no more than the second one, up to the figures themselves,
which are half a kilobyte a photo and row.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from photochrom.dataset.store import write_shard


def photo(seed: int, side: int) -> bytes:
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(cells).resize((side * 3 // 2, side), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=50)
    return file.getvalue()


def memory(root: int) -> int:
    """Resident bytes of a process and its children; shared pages count in each."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(
                line.split(":", 1) for line in status.read_text().splitlines() if ":" in line
            )
        except OSError:
            continue
        if int(status.parent.name) == root or int(fields["PPid"]) == root:
            total += int(fields.get("VmRSS", "0 kB").split()[0]) * 1024
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shard, report = Path(folder) / "photos.tar", Path(folder) / "report"
        write_shard(
            shard, ((f"{i:06}.webp", photo(i, options.side)) for i in range(options.photos))
        )
        command = [
            sys.executable, "-m", "photochrom", "evaluate", str(shard), "-o", str(report),
            "--sweep", "0", "--workers", str(options.workers),
        ]  # fmt: skip
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        samples = []
        while process.poll() is None:
            samples.append((len(list(report.glob(".work/part-*"))), memory(process.pid)))
            time.sleep(0.5)
        spent = time.perf_counter() - began
    if process.returncode:
        return 1
    parts = max(done for done, _ in samples)
    print(f"{options.photos} photos of {options.side} pixels, {options.workers} workers")
    print(f"{options.photos / spent:.1f} photos a second, all rows, start and report included")
    for low, high, name in ((0.1, 0.2, "second tenth"), (0.9, 0.999, "last tenth")):
        sizes = [size for done, size in samples if low * parts <= done <= high * parts]
        if sizes:
            print(f"memory, {name}: {max(sizes) / 2**20:.0f} MiB at most")
    print(f"memory, whole run, report included: {max(s for _, s in samples) / 2**20:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
