"""A second run over a large archive: how long until it knows that there is nothing to do.

    python benchmarks/planning.py [--photos 50000] [--lines 1000000]

Makes a folder of empty files that are named like photos, with a manifest that knows them all, and
measures `find` and `plan`, which use one core. Then the same with a manifest of many more lines,
about other results.
At most 5 s and 300 MB for 50,000 photos is what we promise ourselves.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from photochrom import Colorizer, __version__
from photochrom.batch.find import Asked, find
from photochrom.batch.history import MANIFEST
from photochrom.batch.job import Settings
from photochrom.batch.plan import plan
from photochrom.look import Look

SECONDS, MEGABYTES = 5.0, 300.0


def make(root: Path, photos: int, settings: Settings) -> list[str]:
    """Photos and results, and the lines about them."""
    lines = []
    for n in range(photos):
        name = f"{n // 500:04}/{n:06}.jpg"
        for folder in ("in", "out"):
            path = root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"." * (folder == "out"))  # an empty result would be made again
        lines.append(line(root, name, settings, (root / "in" / name).stat().st_mtime_ns))
    return lines


def line(root: Path, name: str, settings: Settings, mtime_ns: int) -> str:
    file = {"size": 0, "mtime_ns": mtime_ns, "sha256": "0" * 64}
    made = file | {"size": 1}
    fields = {
        "source": str(root / "in" / name), "result": name, "error": None, "time": "2026",
        "seconds": 1.0, "size": [800, 600],
        "certainty": {"bits": 4.0, "weak": 0.3, "inventions": 0.02}, **settings.fields,
        "version": __version__, "source_file": file, "result_file": made,
    }  # fmt: skip
    return json.dumps(fields) + "\n"


def measure(root: Path, photos: int, settings: Settings, what: str) -> bool:
    began, worked = time.perf_counter(), time.process_time()
    out = str(root / "out")
    found = find(Asked([str(root / "in")], out))
    plans = plan(found.photos, settings, out, history=found.history)
    steps = sum(step.tally == "done" for step in plans)
    seconds, wall = time.process_time() - worked, time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{what:40} {steps:8} done {seconds:6.2f} s of the processor ({wall:.2f} s in all), "
        f"at most {memory:5.0f} MB in use so far"
    )
    return steps == photos and seconds <= SECONDS and memory <= MEGABYTES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=50_000)
    parser.add_argument("--lines", type=int, default=1_000_000)
    options = parser.parse_args()
    settings = Settings.of(Colorizer(threads=1), Look())
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        lines = make(root, options.photos, settings)
        manifest = root / "out" / MANIFEST
        manifest.write_text("".join(lines))
        del lines
        good = measure(root, options.photos, settings, "all of them known")
        with manifest.open("a") as file:
            for n in range(options.lines):
                file.write(line(root, f"gone/{n}.jpg", settings, 1))
        measure(root, options.photos, settings, f"{options.lines:,} lines about others besides")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
