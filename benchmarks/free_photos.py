"""Free photographs out of a Debian package, for `photochrom reproduce`.

    apt-get download gcompris-qt-data          # or get version 3.1-2 from a mirror of Debian 12
    dpkg-deb -x gcompris-qt-data_*.deb package/
    python benchmarks/free_photos.py package/ -o photos/

GCompris, an educational program, comes with photographs that anybody may share: in the public
domain, under CC0, CC BY or CC BY-SA, most of them from Wikimedia Commons. Authors and licenses are
in the package's `usr/share/doc/gcompris-qt-data/copyright`, and a copy of that is put beside the
photos. They lie in resource files of Qt, as WebP one after the other.

Activities with drawings are left out, and so are pictures with transparency, or with a short side
of less than 160 pixels.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

ACTIVITIES = (
    "categorization", "details", "erase", "explore_farm_animals", "explore_monuments",
    "explore_world_animals", "explore_world_music",
)  # fmt: skip
LEAST = 160


def pictures(data: bytes) -> Iterator[bytes]:
    """Each WebP in a resource file: RIFF, its length, WEBP."""
    at = -1
    while (at := data.find(b"RIFF", at + 1)) >= 0:
        if data[at + 8 : at + 12] == b"WEBP":
            yield data[at : at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")]


def is_photo(data: bytes) -> bool:
    with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
        return image.mode == "RGB" and min(image.size) >= LEAST


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("package", type=Path, help="folder that the package was unpacked into")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    count = 0
    for activity in ACTIVITIES:
        data = (options.package / f"usr/share/gcompris-qt/rcc/{activity}.rcc").read_bytes()
        folder = options.output / activity
        folder.mkdir(parents=True, exist_ok=True)
        for n, picture in enumerate(filter(is_photo, pictures(data))):
            (folder / f"{n:03}.webp").write_bytes(picture)
            count += 1
    about = options.package / "usr/share/doc/gcompris-qt-data/copyright"
    shutil.copyfile(about, options.output / "copyright.txt")
    print(f"{count} photos")
    return 0


if __name__ == "__main__":
    sys.exit(main())
