"""`photochrom prepare`: folders of color photos to training shards."""

from __future__ import annotations

import argparse

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = "  photochrom prepare ~/Pictures -o shards/"


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument("photos", nargs="+", metavar="PHOTOS", help="folders of photos, or tar files")
    p.add_argument(
        "-o", "--output", required=True, metavar="SHARDS", help="output folder for the shards"
    )
    p.add_argument(
        "--short-side",
        type=int,
        default=128,
        metavar="PIXELS",
        help="short side of the stored photos, in pixels (default: %(default)s)",
    )
    p.add_argument(
        "--max-aspect", type=float, default=1.5, metavar="RATIO",
        help="crop photos with a larger aspect ratio to this one (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "--quality", type=int, default=50, metavar="Q",
        help="WebP quality, from 1 to 100 (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "--shard-size", type=int, default=10000, metavar="PHOTOS",
        help="photos per shard (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "--seed", type=int, default=0, metavar="N",
        help="seed for the shuffle (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "--workers", type=int, metavar="N", help="number of processes (default: one per CPU core)"
    )
    p.add_argument("-f", "--force", action="store_true", help="replace the contents of SHARDS")


def run(options: argparse.Namespace) -> int:
    """Run `photochrom prepare`."""
    from photochrom.dataset.examine import Settings
    from photochrom.dataset.prepare import prepare

    settings = Settings(
        short_side=options.short_side,
        max_aspect=options.max_aspect,
        quality=options.quality,
        shard_size=options.shard_size,
        seed=options.seed,
    )
    report = prepare(
        options.photos, options.output, settings, workers=options.workers, force=options.force
    )
    print(report.summary())
    return 0
