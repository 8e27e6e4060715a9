"""Damaged files: mutants of small photos, and PNG files that promise too much."""

from __future__ import annotations

import io
import os
import random
import resource
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import pillow_heif
import pyvips
import tifffile

EXTENSIONS = (".jpg", ".png", ".tif", ".webp", ".avif", ".heic")


GIGABYTE = 1 << 30


# --- mutants --------------------------------------------------------------------------------------


def seeds() -> dict[str, bytes]:
    """Small photos of every format, layout and coding that is read."""
    y, x = np.mgrid[:40, :56]
    grain = np.random.default_rng(0).integers(0, 20, (40, 56))
    gray = (x * 3 + y * 2 + grain).clip(0, 255).astype(np.uint8)
    rgb = np.stack([gray, gray[::-1], 255 - gray], axis=-1)
    deep = gray.astype(np.uint16) * 257
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    extras = {
        "exif": exif.tobytes(),
        "icc_profile": PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes(),
    }
    made: dict[str, bytes] = {}

    def pil(name: str, mode: str, **options: Any) -> None:
        file = io.BytesIO()
        image = PIL.Image.fromarray(deep if mode == "I;16" else rgb)
        kind = {".jpg": "JPEG", ".tif": "TIFF"}.get(name[-4:], name.rpartition(".")[2].upper())
        (image if image.mode == mode else image.convert(mode)).save(file, kind, **options)
        made[name] = file.getvalue()

    def tiff(name: str, array: np.ndarray, **options: Any) -> None:
        file = io.BytesIO()
        tifffile.imwrite(file, array, **options)
        made[name] = file.getvalue()

    pil("gray.jpg", "L")
    pil("color.jpg", "RGB", **extras)
    pil("progressive.jpg", "RGB", progressive=True)
    pil("cmyk.jpg", "CMYK")
    pil("gray.png", "L")
    pil("palette.png", "P")
    pil("alpha.png", "RGBA", **extras)
    pil("deep.png", "I;16")
    pil("bits.png", "1")
    pil("lossy.webp", "RGB", **extras)
    pil("lossless.webp", "RGBA", lossless=True)
    pil("photo.avif", "RGB", **extras)
    pil("lzw.tif", "RGB", compression="tiff_lzw")
    pil("jpeg.tif", "RGB", compression="jpeg")
    pil("fax.tif", "1", compression="group4")
    tiff("strips.tif", gray, rowsperstrip=8)
    tiff("tiles.tif", rgb, tile=(32, 32), photometric="rgb", compression="zlib")
    tiff("deep.tif", deep, byteorder=">")
    tiff("float.tif", (gray / 255).astype(np.float32))
    tiff("big.tif", gray, bigtiff=True)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in (gray, gray[:20], gray[:, :30]):
            writer.write(page, photometric="minisblack", metadata=None)
    made["pages.tif"] = file.getvalue()
    pyramid = pyvips.Image.new_from_array(np.tile(gray, (4, 4))).cast("uchar")
    made["pyramid.tif"] = bytes(
        pyramid.tiffsave_buffer(tile=True, tile_width=32, tile_height=32, pyramid=True)
    )
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB", rgb.shape[1::-1], rgb.tobytes()).save(file, exif=exif.tobytes())
    made["photo.heic"] = file.getvalue()
    return made


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """(extension, content): cut, flipped, overwritten, zeroed, spliced, or under a wrong name."""
    rng = random.Random(seed)
    whole = seeds()
    names = sorted(whole)
    kinds = ("cut", "flip", "overwrite", "zero", "splice", "rename")
    for n in range(count):
        name = names[n % len(names)]  # each format in turn
        data = bytearray(whole[name])
        extension = os.path.splitext(name)[1]
        kind = rng.choice(kinds)
        at = rng.randrange(len(data))
        if kind == "cut":
            del data[at:]
        elif kind == "flip":
            for _ in range(rng.choice((1, 3, 20))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == "overwrite":  # mostly in the headers, with what sizes and offsets hate
            at = rng.randrange(min(len(data), rng.choice((64, 400, len(data)))))
            data[at : at + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
        elif kind == "zero":
            data[at : at + 100] = bytes(len(data[at : at + 100]))
        elif kind == "splice":
            other = whole[rng.choice(names)]
            data[at:] = other[rng.randrange(len(other)) :]
        else:
            extension = rng.choice(EXTENSIONS)
        yield extension, bytes(data)


def limited(memory: int, seconds: int) -> Any:
    """Limits for a process: one that hangs, or takes memory without end, dies by them."""

    def apply() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    return apply


# --- through the command --------------------------------------------------------------------------


def chunk(name: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(name + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + name + data + crc


def png(width: int, height: int, packed: bytes, *more: bytes) -> bytes:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    image = chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more) + image
