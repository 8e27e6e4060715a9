"""The photos that the golden test colors: small files of every kind, made here and then kept.

They are made of crops of `examples/`, by Pillow, tifffile, libvips and byte by byte. The test does
not make them but reads what `record.py` has put into `data/inputs/`: an encoder of another
version would write other bytes.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.ExifTags
import PIL.Image
import pillow_heif
import pyvips
import tifffile

from tests.golden.metadata import (
    HEIGHT,
    WIDTH,
    camera_exif,
    exif,
    full_exif,
    gray_profile,
    iptc,
    photoshop,
    wide_profile,
    xmp,
)

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"


def make_inputs() -> dict[str, bytes]:
    """All of them, by name."""
    makers = (_jpeg, _png, _tiff, _others, _sizes, _foreign)
    made: dict[str, bytes] = {}
    for make in makers:
        files = make()
        assert not made.keys() & files.keys()
        made.update(files)
    return made


# --- pixels ---------------------------------------------------------------------------------------


def scene(name: str, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """The middle of an example, reduced by integer arithmetic: uint8 (height, width, 3)."""
    with PIL.Image.open(EXAMPLES / f"{name}.jpg") as image:
        whole = np.asarray(image.convert("RGB")).astype(np.int64)
    by = max(1, min(whole.shape[0] // height, whole.shape[1] // width))
    top, left = (whole.shape[0] - by * height) // 2, (whole.shape[1] - by * width) // 2
    cut = whole[top : top + by * height, left : left + by * width]
    sums = cut.reshape(height, by, width, by, 3).sum(axis=(1, 3))
    return (sums // (by * by)).astype(np.uint8)


def luma(rgb: np.ndarray) -> np.ndarray:
    """Gray of a picture, uint8 (height, width)."""
    return (rgb.astype(np.int64) @ [299, 587, 114] // 1000).astype(np.uint8)


def deep(samples: np.ndarray) -> np.ndarray:
    """As 16 bits, of which the lower 8 are used as well."""
    wide = samples.astype(np.int64) * 257
    fine = (np.arange(wide.size).reshape(wide.shape) * 37) % 256 - 128
    return np.clip(wide + fine, 0, 65535).astype(np.uint16)


def floats(samples: np.ndarray) -> np.ndarray:
    """As float32 in 0..1."""
    return (deep(samples) / 65535).astype(np.float32)


def ramp(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An alpha channel, from see-through to opaque: uint8 (height, width)."""
    return np.add.outer(np.arange(height) * 3, np.arange(width) * 4).clip(0, 255).astype(np.uint8)


def with_alpha(samples: np.ndarray) -> np.ndarray:
    alpha = ramp(*samples.shape[:2])
    if samples.dtype == np.uint16:
        alpha = deep(alpha)
    elif samples.dtype == np.float32:
        alpha = floats(alpha)
    return np.dstack([samples, alpha])


# --- files ----------------------------------------------------------------------------------------


def pil(pixels: np.ndarray | PIL.Image.Image, kind: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, PIL.Image.Image) else PIL.Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def cmyk(rgb: np.ndarray) -> np.ndarray:
    """Inks of a picture, without any profile: uint8 (height, width, 4)."""
    black = 255 - rgb.max(axis=2)
    return np.dstack([255 - rgb - black[..., None], black])


def with_segment(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with these segments behind JFIF."""
    end = 4 + int.from_bytes(jpeg[4:6], "big")
    made = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data for marker, data in segments
    )
    return jpeg[:end] + made + jpeg[end:]


def with_density(jpeg: bytes, unit: int, across: int, down: int) -> bytes:
    assert jpeg[6:11] == b"JFIF\0"
    return jpeg[:13] + struct.pack(">BHH", unit, across, down) + jpeg[18:]


def _jpeg() -> dict[str, bytes]:
    castle, horses, astronaut = (scene(n) for n in ("castle", "horses", "astronaut"))
    gray = luma(castle)
    plain = pil(gray, "JPEG", quality=90)
    thumbnail = pil(gray[::4, ::4], "JPEG")
    made = {
        "gray.jpg": plain,
        "rgb.jpg": pil(horses, "JPEG", quality=95, subsampling="4:4:4"),
        "progressive.jpg": pil(astronaut, "JPEG", quality=85, progressive=True),
        "gray-progressive.jpg": pil(luma(horses), "JPEG", quality=97, progressive=True),
        "poor.jpg": pil(gray, "JPEG", quality=30),
        "cmyk.jpg": pil(PIL.Image.fromarray(cmyk(horses), "CMYK"), "JPEG", quality=95),
        "gamma.jpg": pil(gray, "JPEG", icc_profile=gray_profile(1.0)),
        "wide.jpg": pil(horses, "JPEG", quality=95, icc_profile=wide_profile()),
        "junk-profile.jpg": pil(gray, "JPEG", icc_profile=b"no profile at all" * 20),
        "comment.jpg": pil(gray, "JPEG", comment=b"from the album"),
        "dots-per-cm.jpg": with_density(plain, 2, 118, 59),
        "aspect.jpg": with_density(plain, 0, 1, 2),
        "dpi.jpg": with_density(plain, 1, 600, 600),
        "camera-big.jpg": pil(gray, "JPEG", exif=camera_exif(">", thumbnail)),
        "camera-little.jpg": pil(gray, "JPEG", exif=camera_exif("<", thumbnail)),
        "iptc.jpg": with_segment(plain, (0xED, b"Photoshop 3.0\0" + photoshop(iptc()))),
        "damaged-xmp.jpg": with_segment(plain, (0xE1, XMP_NAME + b"<x:xmpmeta><broken")),
        "everything.jpg": with_segment(
            pil(
                gray, "JPEG", quality=92, exif=full_exif(8), icc_profile=gray_profile(2.2),
                dpi=(400, 300), comment=b"box 17",
            ),
            (0xE1, XMP_NAME + xmp()),
            (0xED, b"Photoshop 3.0\0" + photoshop(iptc())),
        ),
    }  # fmt: skip
    for orientation in range(1, 9):
        options: dict[str, Any] = {"exif": exif(orientation), "dpi": (300, 150), "quality": 95}
        made[f"turned-{orientation}.jpg"] = pil(luma(astronaut), "JPEG", **options)
    second = xmp('dc:relation="in two parts"')
    digest = hashlib.md5(second).hexdigest().upper().encode()
    first = xmp(f'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{digest.decode()}"')
    body = b"http://ns.adobe.com/xmp/extension/\0" + digest + struct.pack(">II", len(second), 0)
    made["long-xmp.jpg"] = with_segment(plain, (0xE1, XMP_NAME + first), (0xE1, body + second))
    return made


def png(samples: np.ndarray, kind: int, bits: int = 0, interlaced: bool = False) -> bytes:
    """A PNG of (height, width) or (height, width, channels); `bits` below 8 are packed."""
    height, width = samples.shape[:2]
    bits = bits or 8 * samples.itemsize

    def rows(part: np.ndarray) -> bytes:
        made = b""
        for row in part if part.size else ():
            if bits < 8:
                digits = row[:, None] >> np.arange(bits)[::-1] & 1
                data = np.packbits(digits.astype(np.uint8).ravel()).tobytes()
            else:
                data = row.astype(row.dtype.newbyteorder(">")).tobytes()
            made += b"\0" + data
        return made

    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1)]  # fmt: skip
    if interlaced:
        data = b"".join(rows(samples[y::down, x::across]) for y, x, down, across in passes)
    else:
        data = rows(samples)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks))


def _chunk(chunk: tuple[bytes, bytes]) -> bytes:
    name, data = chunk
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunks(content: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with these chunks before its pixels."""
    return content[:33] + b"".join(map(_chunk, chunks)) + content[33:]


def _png() -> dict[str, bytes]:
    castle, chickens = scene("castle"), scene("chickens")
    gray = luma(castle)
    plain = png(gray, 0)
    palette = PIL.Image.fromarray(chickens).quantize(32, method=PIL.Image.Quantize.MEDIANCUT)
    texts = [
        (b"tEXt", b"Author\0Ren\xe9"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"from the album", 9)),
        (b"tEXt", b"date:modify\x002001-02-03"),
        (b"iTXt", "Title\0\0\0cs\0Název\0Škoda".encode()),
        (b"tIME", bytes([7, 208, 1, 2, 3, 4, 5])),
        (b"gAMA", struct.pack(">I", 45455)),
    ]
    block = photoshop(iptc())
    raw = f"\niptc\n{len(block):8}\n{block.hex()}\n".encode()
    meters = struct.pack(">IIB", 11811, 5906, 1)
    return {
        "bits-1.png": png(gray >> 7, 0, 1),
        "bits-2.png": png(gray >> 6, 0, 2),
        "bits-4.png": png(gray >> 4, 0, 4),
        "gray.png": plain,
        "gray-16.png": png(deep(gray), 0),
        "gray-alpha.png": png(with_alpha(gray), 4),
        "gray-alpha-16.png": png(with_alpha(deep(gray)), 4),
        "rgb.png": png(chickens, 2),
        "rgb-16.png": png(deep(chickens), 2),
        "rgba.png": png(with_alpha(chickens), 6),
        "rgba-16.png": png(with_alpha(deep(chickens)), 6),
        "interlaced.png": png(gray, 0, interlaced=True),
        "interlaced-rgb-16.png": png(deep(chickens), 2, interlaced=True),
        "palette.png": pil(palette, "PNG"),
        "palette-alpha.png": pil(palette, "PNG", transparency=bytes(range(0, 256, 8))),
        "see-through.png": with_chunks(plain, (b"tRNS", struct.pack(">H", int(gray[5, 5])))),
        "texts.png": with_chunks(plain, *texts),
        "raw-iptc.png": with_chunks(
            plain, (b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(raw, 9))
        ),
        "everything.png": with_chunks(
            png(deep(gray), 0),
            (b"iCCP", b"gray\0\0" + zlib.compress(gray_profile(1.8), 9)),
            (b"pHYs", meters),
            (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp()),
            (b"eXIf", full_exif(3).tobytes().removeprefix(b"Exif\0\0")),
            texts[0],
        ),
        "no-unit.png": with_chunks(plain, (b"pHYs", struct.pack(">IIB", 2, 1, 0))),
    }


def tiff(pixels: Any, photometric: str = "minisblack", **options: Any) -> bytes:
    file = io.BytesIO()
    place = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    options = {"metadata": None, "software": False, **options}
    with tifffile.TiffWriter(file, **place) as writer:
        for page in pixels if isinstance(pixels, list) else [pixels]:
            writer.write(page, photometric=photometric, **options)
    return file.getvalue()


def pyramid(pixels: np.ndarray, nested: bool) -> bytes:
    file = io.BytesIO()
    options: dict[str, Any] = {"tile": (16, 16), "photometric": "minisblack", "metadata": None}
    options |= {"software": False, "compression": "zlib", "resolution": (300, 300)}
    with tifffile.TiffWriter(file) as writer:
        writer.write(pixels, subifds=2 if nested else 0, **options)
        for by in (2, 4):
            writer.write(pixels[::by, ::by], subfiletype=1, **options)
    return file.getvalue()


def with_mask(pixels: np.ndarray) -> bytes:
    """Two pages, the first with a mask (TIFF 6.0: NewSubfileType bit 2, photometric 4)."""
    file = io.BytesIO()
    options: dict[str, Any] = {"metadata": None, "photometric": "minisblack", "software": False}
    with tifffile.TiffWriter(file) as writer:
        writer.write(pixels, **options, rowsperstrip=20)
        writer.write(pixels > 99, **options, subfiletype=4, rowsperstrip=16)
        writer.write(deep(pixels[:20, :30]), **options)
    data = bytearray(file.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as whole:
        at = whole.pages[1].tags["PhotometricInterpretation"].offset
    data[at + 8 : at + 10] = struct.pack("<H", 4)
    return bytes(data)


def _tiff() -> dict[str, bytes]:
    castle, canyon = scene("castle_clinton"), scene("canyon")
    gray = luma(castle)
    ink = cmyk(canyon)
    planes = {"planarconfig": "separate"}
    tiles: dict[str, Any] = {"tile": (16, 32), "compression": "zlib", "predictor": True}
    unassociated = {"extrasamples": ["unassalpha"]}
    multiplied = with_alpha(canyon).astype(np.int64)
    multiplied[..., :3] = multiplied[..., :3] * multiplied[..., 3:] // 255
    tags = [
        (271, 2, 0, "Zeiss", True), (285, 2, 0, "page one", True), (315, 2, 0, "Eva", True),
        (316, 2, 0, "desk", True), (33432, 2, 0, "by us", True), (274, 3, 1, 6, True),
        (700, 1, len(xmp()), xmp(), True), (33723, 7, len(iptc()), iptc(), True),
        (34675, 7, len(gray_profile(2.2)), gray_profile(2.2), True),
        (34377, 7, len(photoshop(iptc())), photoshop(iptc()), True),
    ]  # fmt: skip
    sheets = [gray, deep(gray[:20, :30]), gray[:9, :37]]
    few = PIL.Image.fromarray(canyon).quantize(16, method=PIL.Image.Quantize.MEDIANCUT)
    bits = PIL.Image.fromarray(gray > 110)
    return {
        "gray.tif": tiff(gray),
        "gray-16.tif": tiff(deep(gray), byteorder=">"),
        "gray-float.tif": tiff(floats(gray), compression="zlib"),
        "rgb.tif": tiff(canyon, "rgb", rowsperstrip=10),
        "rgb-16.tif": tiff(deep(canyon), "rgb", **tiles),
        "rgb-float.tif": tiff(floats(canyon), "rgb"),
        "rgba.tif": tiff(with_alpha(canyon), "rgb", **unassociated),
        "rgba-16.tif": tiff(with_alpha(deep(canyon)), "rgb", **unassociated, byteorder=">"),
        "rgba-float.tif": tiff(with_alpha(floats(canyon)), "rgb", **unassociated),
        "multiplied.tif": tiff(
            multiplied.astype(np.uint8), "rgb", extrasamples=["assocalpha"]
        ),
        "gray-alpha.tif": tiff(with_alpha(gray), planarconfig="contig", **unassociated),
        "cmyk.tif": tiff(ink, "separated"),
        "cmyk-16.tif": tiff(deep(ink), "separated", compression="zlib"),
        "planes.tif": tiff(np.moveaxis(canyon, -1, 0), "rgb", **planes),
        "planes-tiles.tif": tiff(np.moveaxis(deep(canyon), -1, 0), "rgb", **planes, **tiles),
        "planes-big.tif": tiff(
            np.moveaxis(ink, -1, 0), "separated", **planes, tile=(16, 16), bigtiff=True
        ),
        "big.tif": tiff(gray, bigtiff=True, byteorder=">"),
        "tiles.tif": tiff(gray, tile=(16, 16)),
        "white-is-zero.tif": tiff(255 - gray, "miniswhite"),
        "white-is-zero-16.tif": tiff(65535 - deep(gray), "miniswhite", compression="zlib"),
        "lzw.tif": pil(canyon, "TIFF", compression="tiff_lzw"),
        "packbits.tif": pil(gray, "TIFF", compression="packbits"),
        "fax.tif": pil(bits, "TIFF", compression="group4"),
        "jpeg.tif": pil(canyon, "TIFF", compression="jpeg", quality=95),
        "palette.tif": pil(few, "TIFF"),
        "pages.tif": tiff(sheets),
        "pages-big.tif": tiff(sheets, bigtiff=True, byteorder=">", compression="zlib"),
        "pyramid.tif": pyramid(luma(scene("moose", 60, 90)), nested=False),
        "pyramid-nested.tif": pyramid(luma(scene("moose", 60, 90)), nested=True),
        "mask.tif": with_mask(gray),
        "exif.tif": pil(gray, "TIFF", exif=full_exif(6)),
        "dots-per-cm.tif": tiff(gray, resolution=(118, 59), resolutionunit="CENTIMETER"),
        "no-unit.tif": tiff(gray, resolution=(2, 1), resolutionunit="NONE"),
        "everything.tif": tiff(
            gray, description="Main street, 1911", resolution=(600, 300), extratags=tags
        ),
        "wide.tif": tiff(deep(canyon), "rgb", iccprofile=wide_profile(), resolution=(300, 300)),
    }  # fmt: skip


def heic(pixels: np.ndarray, mode: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image = pillow_heif.from_bytes(mode, pixels.shape[1::-1], pixels.tobytes())
    image.save(file, quality=90, chroma=444, **options)
    return file.getvalue()


def _others() -> dict[str, bytes]:
    mariachi, narwhals = scene("mariachi"), scene("narwhals")
    gray = luma(mariachi)
    ten = pyvips.Image.new_from_memory(deep(narwhals).tobytes(), WIDTH, HEIGHT, 3, "ushort")
    ten = ten.copy(interpretation="rgb16")
    frames = [PIL.Image.fromarray(frame) for frame in (mariachi, narwhals)]
    whole: dict[str, Any] = {"exif": full_exif(5), "xmp": xmp()}
    wide: dict[str, Any] = {"icc_profile": wide_profile()}
    return {
        "lossy.webp": pil(mariachi, "WEBP", quality=90),
        "lossless.webp": pil(np.dstack([gray] * 3), "WEBP", lossless=True),
        "alpha.webp": pil(with_alpha(mariachi), "WEBP", lossless=True, exact=True),
        "everything.webp": pil(mariachi, "WEBP", lossless=True, **whole, **wide),
        "frames.webp": pil(
            frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True
        ),
        "rgb.avif": pil(narwhals, "AVIF", quality=90),
        "alpha.avif": pil(with_alpha(narwhals), "AVIF", quality=90),
        "everything.avif": pil(narwhals, "AVIF", quality=90, **whole, **wide),
        "ten-bits.avif": ten.heifsave_buffer(compression="av1", bitdepth=10, lossless=True),
        "rgb.heic": heic(narwhals, "RGB"),
        "alpha.heic": heic(with_alpha(narwhals), "RGBA"),
        "deep.heic": heic(deep(narwhals), "RGB;16"),
        "everything.heic": heic(mariachi, "RGB", exif=full_exif(6).tobytes(), xmp=xmp()),
    }


def _sizes() -> dict[str, bytes]:
    moose = luma(scene("moose", 60, 90))
    return {
        "1x1.png": png(moose[:1, :1], 0),
        "50x1.png": png(moose[30:31, :50], 0),
        "1x50.tif": tiff(moose[:50, 40:41]),
        "3x2.jpg": pil(moose[20:22, 40:43], "JPEG", quality=95),
        "long.png": png(np.hstack([moose[::4]] * 2), 0),
        "tall.jpg": pil(np.vstack([moose[:, :12]] * 2), "JPEG", quality=95),
        "white.png": png(np.full((HEIGHT, WIDTH), 255, np.uint8), 0),
        "black.tif": tiff(np.zeros((HEIGHT, WIDTH), np.uint8)),
    }


def _foreign() -> dict[str, bytes]:
    """What is refused."""
    gray = luma(scene("castle"))
    return {
        "cut.jpg": pil(gray, "JPEG")[:500],
        "double.tif": tiff(gray / 255),
        "empty.png": b"",
        "not-in-range.tif": tiff(floats(gray) * 3),
        "photo.bmp": pil(gray, "BMP"),
        "photo.gif": pil(gray, "GIF"),
        "photo.pgm": pil(gray, "PPM"),
        "raw.nef": tiff(gray),
        "text.jpg": b"hello\n" * 20,
    }
