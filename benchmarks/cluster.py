"""How an archive of millions is planned, what a cluster costs, and what would hold up a large one.

    python benchmarks/cluster.py plan --photos 1000000
    python benchmarks/cluster.py speed --photos 200
    python benchmarks/cluster.py simulate --seconds 0.45

`plan` compares a made listing with a manifest of as many records, and prints the time and the
memory. `speed` colors the same photos with processes of this machine, and with a Ray cluster of
one and two nodes on it. `simulate` lets made workers take the times that were measured.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import io
import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

PAGE = 1000


# --- the plan -------------------------------------------------------------------------------------


def plan(options: argparse.Namespace) -> None:
    """Plan photos that are all done."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from photochrom._version import __version__
    from photochrom.archive.listing import Inputs
    from photochrom.archive.manifest import PARTS
    from photochrom.archive.plan import compare
    from photochrom.archive.record import SCHEMA
    from photochrom.archive.store import Entry, Store
    from photochrom.batch.job import Settings
    from photochrom.batch.plan import Rules

    count = options.photos
    settings = Settings(0.38, 1.0, (), 160, "made", "0" * 64)

    def keys() -> Iterator[list[str]]:
        for start in range(0, count, PAGE):
            yield [f"box-{start // PAGE:05}/scan-{n:08}.tif" for n in range(start, start + PAGE)]

    class Made(Store):
        """A bucket with as many photos, listed a thousand at a time."""

        def alone(self) -> Entry | None:
            return None

        def listing(
            self, enter: Callable[[str], bool] = lambda name: True
        ) -> Iterator[list[Entry]]:
            for page in keys():
                yield [Entry(key, 30_000_000, f"{hash(key):x}", "1795849200.0") for key in page]

    class Results(Made):
        """The results, and a manifest that lies in a folder."""

        def files(self) -> list[str]:
            return []

    with tempfile.TemporaryDirectory() as folder:
        real = Store(os.path.join(folder, "out"))
        now = time.time() * 1000
        rows = 250_000
        names = [key for page in keys() for key in page]
        for number, start in enumerate(range(0, count, rows)):
            some = names[start : start + rows]
            made: dict[str, Any] = {
                "result": some,
                "source": [f"s3://scans/{key}" for key in some],
                "outcome": ["done"] * len(some),
                "run": [1] * len(some),
                "time": [int(now)] * len(some),
                "settings": [settings.key] * len(some),
                "version": [__version__] * len(some),
                "source_size": [30_000_000] * len(some),
                "source_mark": [f"{hash(key):x}" for key in some],
                "result_size": [30_000_000] * len(some),
            }
            columns = [
                pa.array(made[f.name], f.type) if f.name in made
                else pa.array([""] * len(some)) if f.type == pa.string()
                else pa.nulls(len(some), f.type)
                for f in SCHEMA
            ]  # fmt: skip
            file = io.BytesIO()
            pq.write_table(pa.Table.from_arrays(columns, schema=SCHEMA), file, compression="zstd")
            real.write(f"{PARTS}/base-000001-x-{number:04}-{len(some)}.parquet", file.getvalue())
        del names, columns, made
        output = Results("s3://color")
        output.below = real.below  # type: ignore[method-assign]
        output.read = real.read  # type: ignore[method-assign]
        scratch = os.path.join(folder, "scratch")
        os.mkdir(scratch)
        before = _memory()
        peak = _reset_peak()
        began, busy = time.perf_counter(), time.process_time()
        source = Made("s3://scans")
        stores = [source], output
        compared = compare(Inputs([source], output), stores, settings, Rules(), scratch, 0)
        took = time.perf_counter() - began
        assert compared.counts == {"done": count}, compared.counts
        print(
            f"{count:,} known photos planned in {took:.1f} s "
            f"({time.process_time() - busy:.1f} s of processor time), with "
            f"{(_memory() if peak else before) / 1e6:,.0f} MB at most"
        )


def _memory() -> int:
    """The largest memory of this process so far, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _reset_peak() -> bool:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        return True
    return False


# --- speed ----------------------------------------------------------------------------------------


def speed(options: argparse.Namespace) -> None:
    """Color the same photos here, and on clusters of this machine.

    On a busy machine only the processor time means something. What starts, and what each further
    photo takes, are told apart by runs over some photos and over five times as many.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    print(f"photos of {options.megapixels:g} megapixels; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        few, many = options.photos // 5, options.photos
        for count in few, many:
            draw(Path(folder, str(count)), count, options.megapixels)
        for workers in options.workers:
            base = 0.0
            for way in options.ways:
                (_, busy), (walls, busys) = (
                    _timed(Path(folder), count, workers, way) for count in (few, many)
                )
                each = 1000 * (busys - busy) / (many - few)
                base = base or each
                print(
                    f"{workers} workers, {way:8}: {many / walls:.2f} photos/s by the clock; "
                    f"processor: {each:.1f} ms a photo ({100 * each / base - 100:+.0f} %), "
                    f"{busy - few * each / 1000:.1f} s to start",
                    flush=True,
                )


def _timed(folder: Path, count: int, workers: int, way: str) -> tuple[float, float]:
    """Seconds by the clock, and of processors, for all photos."""
    from photochrom.archive.cluster import Cluster
    from photochrom.cli.main import main

    scans, out = folder / str(count), folder / "out"
    arguments = ["colorize", str(scans), "-o", str(out), "--color", "recolor"]
    arguments += ["--workers", str(workers)]
    if way == "address":
        arguments[1], arguments[3] = f"file://{scans}", f"file://{out}"
    with contextlib.ExitStack() as stack:
        if way == "cluster":
            arguments += ["--cluster", stack.enter_context(nodes(workers))]
        seen: list[float] = []

        def close(self: Cluster) -> None:
            # Ray's processes take their times with them.
            seen.extend([_processor(), time.process_time()])
            end(self)

        end, Cluster.close = Cluster.close, close  # type: ignore[method-assign]
        stack.callback(setattr, Cluster, "close", end)
        began, busy = time.perf_counter(), _processor()
        assert main(arguments) == 0
        wall = time.perf_counter() - began
        if seen:
            took = wall, seen[0] - busy + time.process_time() - seen[1]
        else:
            took = wall, _processor() - busy
    shutil.rmtree(out)
    return took


def _processor() -> float:
    """Seconds of processor time of this process and all that it started, also those that ended."""
    parents, times = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            number = int(path.parent.name)
            parents[number] = int(fields[1])
            times[number] = sum(map(int, fields[11:15]))
    ours = {os.getpid()}
    while more := {n for n, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(times.get(number, 0) for number in ours) / os.sysconf("SC_CLK_TCK")


def draw(folder: Path, count: int, megapixels: float) -> None:
    """Gray photos with some texture."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    height = int((megapixels * 1e6 * 3 / 4) ** 0.5)
    for n in range(count):
        coarse = PIL.Image.fromarray(rng.integers(0, 256, (30, 40), dtype=np.uint8))
        image = coarse.resize((height * 4 // 3, height), PIL.Image.Resampling.BICUBIC)
        image.save(folder / f"{n:04}.jpg", quality=90)


@contextlib.contextmanager
def nodes(count: int) -> Iterator[str]:
    """The address of a cluster with as many nodes of one CPU."""
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 200 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=small)
    for _ in range(count - 1):
        cluster.add_node(num_cpus=1, object_store_memory=200 << 20)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


# --- simulation -----------------------------------------------------------------------------------


def simulate(options: argparse.Namespace) -> None:
    """Let made workers color a million photos with measured times."""
    print("workers  hours  photos/s  busy workers  driver busy  GB/s with the store   parts")
    for workers in 1, 10, 100, 1000, 10_000:
        print(_simulated(workers, options))


def _simulated(workers: int, options: argparse.Namespace) -> str:
    """Events in the order of their time: an actor has two groups, the driver is one."""
    rng = random.Random(1)
    size, photos = 8, options.photos
    groups = photos // size
    # Listing and comparing come first; the listing of a bucket is a page after the other.
    planning = 2 * photos / PAGE * options.page + photos * options.compare
    driver = planning
    ends = [planning] * workers  # when each colors its last group
    heapq.heapify(ends)
    transfer = size * options.photo_mb / options.node_mb  # beside coloring, unless it is slower
    busy = 0.0
    last = planning
    for _ in range(groups):
        free = heapq.heappop(ends)
        driver = max(driver, free - options.seconds * size) + options.dispatch
        times = (rng.lognormvariate(-0.125, 0.5) * options.seconds for _ in range(size))
        work = max(transfer, sum(times))
        work += options.group
        start = max(free, driver)
        heapq.heappush(ends, start + work)
        busy += work
        last = max(last, start + work)
    # Parts are brought together by the driver while the run goes on, and at its end.
    last += photos * options.compact
    hours = last / 3600
    return (
        f"{workers:7}  {hours:5.2f}  {photos / last:8.0f}  {100 * busy / last / workers:11.0f} %  "
        f"{100 * groups * options.dispatch / last:9.0f} %  "
        f"{photos * 2 * options.photo_mb / last / 1000:19.2f}  {groups:,}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("plan")
    p.add_argument("--photos", type=int, default=1_000_000)
    p.set_defaults(run=plan)
    p = commands.add_parser("speed")
    p.add_argument("--photos", type=int, default=100)
    p.add_argument("--megapixels", type=float, default=1.0)
    p.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    ways = ["folder", "address", "cluster"]
    p.add_argument(
        "--ways", nargs="+", choices=ways, default=ways, help="the first is compared with"
    )
    p.set_defaults(run=speed)
    p = commands.add_parser("simulate")
    p.add_argument("--photos", type=int, default=1_000_000)
    p.add_argument("--seconds", type=float, default=0.9, help="of one core, for a photo")
    p.add_argument("--photo-mb", type=float, default=5.0, help="read, and as much written")
    p.add_argument("--node-mb", type=float, default=50.0, help="MB/s that a worker gets")
    p.add_argument("--dispatch", type=float, default=0.002, help="s of the driver for a group")
    p.add_argument("--group", type=float, default=0.1, help="s for the part of a group")
    p.add_argument("--page", type=float, default=0.1, help="s for 1,000 names of a listing")
    p.add_argument("--compare", type=float, default=20e-6, help="s to plan a photo")
    p.add_argument("--compact", type=float, default=10e-6, help="s to bring a record together")
    p.set_defaults(run=simulate)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
