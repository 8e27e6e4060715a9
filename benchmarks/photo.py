"""One large photo: time against decoding and encoding alone, and peak memory; and the peers' way.

    python benchmarks/photo.py [--pixels 24] [--huge] [--rounds 5] [--skip-peers]

Each figure is that of a process of its own, so that its peak memory (VmHWM) is its own too; models
and libraries are loaded before the clock starts. The ways take turns, and the best time of each
counts: other work on the machine can only add to it.

- alone: libvips decodes the file and encodes a color JPEG of the same quality, as a stream
- photochrom: `Colorizer.color_file`
- peers: what other colorizers do: the whole image in memory, scikit-image's Lab, ab enlarged
  bilinearly, colors beyond sRGB clipped, Pillow; with the same network

The photos are gray and color JPEGs made of an example with grain added, and with --huge a 16-bit
TIFF of 400 megapixels (2.4 GB in the temporary folder, and as much again for the result). Sizes of
files are given too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).parent.parent / "examples/castle.jpg"


def make(path: Path, megapixels: float, gray: bool) -> None:
    import pyvips

    image = pyvips.Image.new_from_file(str(EXAMPLE))
    if gray:
        image = image.colourspace("b-w")
    scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    image = image.resize(scale, vscale=scale)
    deep = path.suffix == ".tif"
    factor = 257 if deep else 1
    grain = pyvips.Image.gaussnoise(image.width, image.height, sigma=4 * factor, mean=0)
    image = image.cast("float") * factor + grain
    if deep:
        image.cast("ushort").copy(interpretation="rgb16").tiffsave(str(path), bigtiff=True)
    else:
        image.cast("uchar").jpegsave(str(path), Q=90)


def alone(source: Path, target: Path) -> float:
    import pyvips

    began = time.perf_counter()
    image = pyvips.Image.new_from_file(str(source), access="sequential")
    if image.bands == 1:
        image = image.bandjoin([image, image]).copy(interpretation="srgb")
    if target.suffix == ".tif":
        image.tiffsave(str(target), bigtiff=True)
    else:
        image.jpegsave(str(target), Q=90, subsample_mode="off")
    return time.perf_counter() - began


def photochrom(source: Path, target: Path) -> float:
    from photochrom import Colorizer

    colorizer = Colorizer()
    colorizer.predict(np.zeros((100, 100), np.uint8)).render()  # tables and threads are there
    began = time.perf_counter()
    colorizer.color_file(source, target)
    return time.perf_counter() - began


def peers(source: Path, target: Path) -> float:
    import PIL.Image
    from skimage import transform
    from skimage.color import lab2rgb, rgb2lab

    from photochrom import Colorizer

    colorizer = Colorizer()
    PIL.Image.MAX_IMAGE_PIXELS = None
    began = time.perf_counter()
    rgb = np.asarray(PIL.Image.open(source).convert("RGB"))
    L = rgb2lab(rgb)[..., :1]
    size = colorizer.working_size
    small = np.asarray(PIL.Image.fromarray(rgb).resize((size, size)))
    ab = colorizer.predict(small).ab()
    ab = transform.resize(ab, L.shape[:2], order=1, preserve_range=True)
    out = lab2rgb(np.concatenate([L, ab], axis=2))
    PIL.Image.fromarray((out * 255).round().astype(np.uint8)).save(
        target, quality=90, subsampling=0
    )
    return time.perf_counter() - began


WAYS = {"alone": alone, "photochrom": photochrom, "peers": peers}


def measure(way: str, source: Path, target: Path) -> tuple[float, float]:
    """Seconds, and peak memory in MB, of a new process."""
    target.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--way", way, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes


def peak() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pixels", type=float, default=24, help="megapixels of the JPEGs")
    parser.add_argument("--huge", action="store_true", help="a TIFF of 400 megapixels as well")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip-peers", action="store_true")
    parser.add_argument("--way", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        way, source, target = options.way
        print(json.dumps([WAYS[way](Path(source), Path(target)), peak()]))
        return 0
    print(f"cores: {os.cpu_count()}; load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = [(f"gray{options.pixels:g}.jpg", options.pixels, True, options.rounds)]
        photos.append((f"color{options.pixels:g}.jpg", options.pixels, False, options.rounds))
        if options.huge:
            photos.append(("deep400.tif", 400.0, False, 1))
        for file, megapixels, gray, rounds in photos:
            source = folder / file
            make(source, megapixels, gray)
            target = folder / f"result{source.suffix}"
            ways = ["alone", "photochrom"]
            if source.suffix == ".jpg" and not options.skip_peers:
                ways.append("peers")
            found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
            sizes = {}
            for turn in range(rounds):
                for way in ways:
                    if way == "peers" and turn > 0:
                        continue  # it is far from the others, and slow
                    found[way].append(measure(way, source, target))
                    sizes[way] = target.stat().st_size / 1e6
            print(f"\n{file}, {source.stat().st_size / 1e6:.1f} MB")
            best = {way: min(seconds for seconds, _ in results) for way, results in found.items()}
            for way in ways:
                most = max(megabytes for _, megabytes in found[way])
                ratio = best[way] / best["alone"]
                print(
                    f"  {way:12} {best[way]:8.2f} s  {ratio:6.2f} x alone  "
                    f"peak {most:6.0f} MB  writes {sizes[way]:.1f} MB"
                )
            source.unlink()
            target.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
