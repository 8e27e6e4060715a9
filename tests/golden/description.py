"""What a result is, as the golden test records it: all that its file says, and its pixels.

Files are taken apart here byte by byte, and by Pillow, tifffile, pillow-heif and libvips; nothing
of photochrom reads them. What depends on the pixels, such as the places and sizes of compressed
data and the tables of a JPEG's code, is left out.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pillow_heif
import pyvips
import tifffile

Described = tuple[dict[str, Any], dict[str, np.ndarray]]
"""What is said, ready for JSON, and the pixels of each page by its name."""

_SHOWN = 2000  # bytes of a text that is written out
_BLANKS = dict.fromkeys(map(ord, "\n\ufeff"))  # of which a packet of XMP has some
# Where the pixels are, how many bytes they take, and the tables of their code; where directories
# are, of which the content is described in place.
_PLACES = {273, 279, 324, 325, 330, 288, 289, 513, 514, 519, 520, 521}


def describe(result: Any) -> Described:
    """A result: a path, an array or a PIL image."""
    if isinstance(result, np.ndarray):
        return {"kind": "array", **_samples(result)}, {"": result}
    if isinstance(result, PIL.Image.Image):
        info = {str(key): shown(value) for key, value in sorted(result.info.items())}
        pixels = np.asarray(result)
        said = {"kind": "PIL image", "mode": result.mode, "info": info, **_samples(pixels)}
        return said, {"": pixels}
    data = Path(result).read_bytes()
    kinds = {b"\xff\xd8": _jpeg, b"\x89P": _png, b"RI": _webp, b"II": _tiff, b"MM": _tiff}
    return kinds.get(data[:2], _heif)(data)


def shown(value: Any) -> Any:
    """A value for JSON: a text as it is, other bytes by their number and hash."""
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = "\0"
        if len(value) <= _SHOWN and text.translate(_BLANKS).isprintable():
            return text
        if len(value) <= 64:
            return "hex " + value.hex()
        return f"{len(value)} bytes, SHA-256 {hashlib.sha256(value).hexdigest()[:32]}"
    if isinstance(value, dict):
        return {str(key): shown(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [shown(one) for one in value]
    if isinstance(value, np.ndarray):
        return shown(value.tolist())
    if isinstance(value, np.generic):
        return shown(value.item())
    if isinstance(value, (bool, int, float, str)) or value is None:
        return int(value) if isinstance(value, int) else value  # also of an enumeration
    return repr(value)


def _samples(pixels: np.ndarray) -> dict[str, Any]:
    return {"dtype": pixels.dtype.str.lstrip("|<>="), "shape": list(pixels.shape)}


def _decoded(data: bytes, **options: Any) -> np.ndarray:
    pixels: np.ndarray = pyvips.Image.new_from_buffer(data, "", **options).numpy()
    return pixels


def _jpeg(data: bytes) -> Described:
    segments = []
    at = 2
    while data[at + 1] != 0xDA:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker != 0xC4:  # Huffman tables are made for the pixels
            segments.append([f"{marker:02X}", shown(data[at + 4 : at + 2 + size])])
        at += 2 + size
    pixels = _decoded(data)
    return {"kind": "JPEG", "segments": segments, **_samples(pixels)}, {"": pixels}


def _png(data: bytes) -> Described:
    chunks: list[list[Any]] = []
    at = 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind != b"IDAT":
            chunks.append([kind.decode(), *_content(kind, data[at + 8 : at + 8 + size])])
        elif not chunks or chunks[-1] != ["IDAT"]:
            chunks.append(["IDAT"])
        at += 12 + size
    pixels = _decoded(data)
    return {"kind": "PNG", "chunks": chunks, **_samples(pixels)}, {"": pixels}


def _content(kind: bytes, data: bytes) -> list[Any]:
    """What a chunk says: of a text its keyword and what is compressed, without the compression."""
    if kind not in (b"iCCP", b"zTXt", b"iTXt", b"tEXt"):
        return [shown(data)]
    keyword, _, rest = data.partition(b"\0")
    found = [keyword.decode("latin-1")]
    if kind == b"iTXt":
        found.append(f"packed {rest[0]}")
        language, _, inner = rest[2:].partition(b"\0")
        keyword, _, text = inner.partition(b"\0")
        found += [language.decode(), keyword.decode()]
        return [*found, shown(zlib.decompress(text) if rest[0] else text)]
    return [*found, shown(zlib.decompress(rest[1:]) if kind in (b"iCCP", b"zTXt") else rest)]


def _webp(data: bytes) -> Described:
    chunks: list[list[Any]] = []
    at = 12
    while at < len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + size]
        of_pixels = kind in (b"VP8 ", b"VP8L", b"ALPH")
        chunks.append([kind.decode()] if of_pixels else [kind.decode(), shown(content)])
        at += 8 + size + size % 2
    pixels = _decoded(data)
    said = {"kind": "WebP", "size": len(data) - 8 == int.from_bytes(data[4:8], "little")}
    return {**said, "chunks": chunks, **_samples(pixels)}, {"": pixels}


def _tiff(data: bytes) -> Described:
    pixels: dict[str, np.ndarray] = {}
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = []
        for number, page in enumerate(file.pages):
            nested = [_tags(below) for below in page.pages or ()]
            pages.append({"tags": _tags(page), "nested": nested})
            # libvips reads no mask, of 1 bit.
            whole = page.asarray() if page.photometric == 4 else _decoded(data, page=number)
            of_page = {"": whole}
            for n in range(len(nested)):
                of_page[f".{n}"] = _decoded(data, page=number, subifd=n)
            for name, samples in of_page.items():
                pixels[f"{number}{name}" if number or name else ""] = samples
        said = {"kind": "TIFF", "order": file.byteorder, "big": file.is_bigtiff, "pages": pages}
    sizes = {name: _samples(samples) for name, samples in pixels.items()}
    return {**said, "samples": sizes}, pixels


def _tags(page: Any) -> dict[str, Any]:
    """Name, type and number of values, and these, of all tags."""
    said = {}
    for tag in page.tags.values():
        entry = [tag.name, int(tag.dtype), tag.count]
        said[str(tag.code)] = entry[:2] if tag.code in _PLACES else [*entry, shown(tag.value)]
    return said


def _heif(data: bytes) -> Described:
    """AVIF and HEIC: ISO 14496-12 and 23008-12; what belongs to the file in no certain order."""
    said: dict[str, Any] = {"boxes": _boxes(data, 0, len(data))}
    if data[8:12] == b"avif":
        with PIL.Image.open(io.BytesIO(data)) as image:
            said |= {"kind": "AVIF", "mode": image.mode, "info": _blocks(image.info)}
        pixels = _decoded(data)
        said["bits"] = pyvips.Image.new_from_buffer(data, "").get("bits-per-sample")
    else:
        file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        info = file[0].info
        said |= {"kind": "HEIC", "mode": file[0].mode, "info": _blocks(info)}
        said |= {"bits": info["bit_depth"], "chroma": info["chroma"]}
        pixels = np.asarray(file[0])
    return {**said, **_samples(pixels)}, {"": pixels}


def _blocks(info: dict[str, Any]) -> dict[str, Any]:
    return {key: shown(info.get(key)) for key in ("exif", "xmp", "icc_profile")}


def _boxes(data: bytes, at: int, end: int) -> list[Any]:
    """Names of the boxes and, where it is about the picture and not its bytes, their content."""
    # How much precedes the boxes in these; which are shown whole, and which by their start.
    within = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iinf": 6}
    whole = {b"ftyp", b"hdlr", b"pitm", b"infe", b"ispe", b"pixi", b"colr", b"irot", b"imir"}
    whole |= {b"auxC", b"ipma"}
    found: list[Any] = []
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        size = size or end - at
        content = data[at + 8 : at + size]
        if kind in within:
            found.append([kind.decode(), _boxes(data, at + 8 + within[kind], at + size)])
        elif kind in whole:
            found.append([kind.decode(), shown(content)])
        else:
            part = {b"av1C": 4, b"hvcC": 23}.get(kind, 0)
            found.append([kind.decode(), *([shown(content[:part])] if part else [])])
        at += size
    return found
