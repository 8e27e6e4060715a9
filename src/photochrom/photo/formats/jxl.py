"""JPEG XL, with the extra photochrom[jxl]: libvips comes without a codec for it.

The decoder applies the file's own orientation; that in its EXIF does not count (ISO/IEC 18181-2).
It gives color in 8 bits, and gray in 8 or 16. Results are stored without loss unless a quality is
asked for.

Sources: ISO/IEC 18181-1 (JPEG XL), annex D; 18181-2, clause 9.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import pyvips
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.carried import Carried
from photochrom.photo.facts import Facts, Metadata
from photochrom.photo.formats.format import Decoded, Format, Holds, Request, boxes, result_exif
from photochrom.photo.metadata.exif import EXIF_HEAD, exif_orientation, exif_resolution
from photochrom.photo.source import REMEDY_DAMAGED
from photochrom.photo.vips import to_numpy
from photochrom.text import one_line

__all__ = ["JXL"]

_BARE, _BOXED = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I;16": 1}
_MOST_HEAD = 1 << 16
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True, eq=False)
class _Jxl(Format):
    def begins(self, head: bytes) -> bool:
        return head.startswith((_BARE, _BOXED))

    def check(self, name: str) -> None:
        if importlib.util.find_spec("pillow_jxl") is None:
            raise PhotoError(
                "JPEG XL needs an extra",
                "run pip install 'photochrom[jxl]', or convert it to JPEG, PNG or TIFF",
                name=name,
            )

    def size(self, data: bytes, name: str) -> tuple[int, int]:
        head = _head(io.BytesIO(data), name)
        return head.height, head.width

    def decode(self, request: Request) -> Decoded:
        with request.origin.open() as file:
            head = _head(file, request.name)
        request.limits.check_size(request.name, head.width, head.height)
        request.limits.check_whole(request.name, self.name, 8 * head.width * head.height)
        with request.origin.open() as file:
            data = file.read()
        return _decoded(data, head, request)

    def encode(self, file: BinaryIO, samples: NDArray[Any], carried: Carried) -> None:
        from pillow_jxl import Encoder

        height, width, bands = samples.shape
        quality = carried.quality
        exif = result_exif(carried)
        try:
            encoder = Encoder(
                mode="RGB" if bands == 3 else "RGBA",
                lossless=quality is None,
                quality=100 if quality is None else quality,
                decoding_speed=0,
                effort=7,
                use_container=True,
                use_original_profile=quality is None,
                num_threads=-1,
            )
            data = encoder(
                samples.tobytes(),
                width,
                height,
                jpeg_encode=False,
                exif=exif.removeprefix(EXIF_HEAD) if exif else None,
                jumb=None,
                xmp=carried.xmp,
                compress=False,
            )
        except Exception as error:
            name = carried.facts.name
            raise PhotoError(
                f"cannot be written: {one_line(error)}", "use .png", name=name
            ) from None
        file.write(data)


JXL = _Jxl(
    name="JPEG XL",
    suffixes=(".jxl",),
    media_type="image/jxl",
    loader="",
    saver="",
    holds=Holds((np.uint8,), side=1 << 18, lossless=True),
    options={"Q": 90},
    extra=True,
    exif_by_libvips=False,
)


@dataclass(frozen=True)
class _Head:
    """What the file's header says."""

    width: int
    height: int
    bits: int = 8
    turned: bool = False  # width and height are exchanged when it is decoded
    animated: bool = False


class _Bits:
    """Numbers of bits, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int = 1) -> int:
        if count > self.left:
            raise ValueError
        found = self.value & (1 << count) - 1
        self.value >>= count
        self.left -= count
        return found

    def chosen(self, *choices: tuple[int, int]) -> int:
        """A number by one of four ways: a base, and how many bits to add."""
        base, count = choices[self.take(2)]
        return base + self.take(count)


def _head(file: BinaryIO, name: str) -> _Head:
    try:
        return _read_head(_Bits(_codestream(file)[2:64]))
    except ValueError:
        raise PhotoError("its header is damaged", REMEDY_DAMAGED, name=name) from None


def _codestream(file: BinaryIO) -> bytes:
    head = file.read(_MOST_HEAD)
    if not head.startswith(_BARE):
        parts = {b"jxlc": 0, b"jxlp": 4}  # where the content begins, after a number
        head = next((data[parts[kind] :] for kind, data in boxes(head) if kind in parts), b"")
    if not head.startswith(_BARE):
        raise ValueError
    return head


def _sizes(bits: _Bits) -> tuple[int, int]:
    ways = ((1, 9), (1, 13), (1, 18), (1, 30))
    small = bits.take()
    height = 8 * (bits.take(5) + 1) if small else bits.chosen(*ways)
    ratio = bits.take(3)
    if ratio:
        above, below = _RATIOS[ratio - 1]
        return height * above // below, height
    return (8 * (bits.take(5) + 1) if small else bits.chosen(*ways)), height


def _read_head(bits: _Bits) -> _Head:
    head = _Head(*_sizes(bits))
    if bits.take():  # all as usual
        return head
    if bits.take():  # more fields
        head = replace(head, turned=bits.take(3) >= 4)
        if bits.take():
            _sizes(bits)
        if bits.take():
            return replace(head, bits=0)  # a preview, whose size is coded in its own way
        if bits.take():
            bits.chosen((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.chosen((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.chosen((0, 0), (0, 3), (0, 16), (0, 32))
            bits.take()
            head = replace(head, animated=True)
    if bits.take():
        return replace(head, bits=bits.chosen((32, 0), (16, 0), (24, 0), (1, 6)))
    return replace(head, bits=bits.chosen((8, 0), (10, 0), (12, 0), (1, 6)))


def _decoded(data: bytes, head: _Head, request: Request) -> Decoded:
    from pillow_jxl import Decoder

    name = request.name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            is_jpeg, info, pixels, profile, found = Decoder(num_threads=-1)(data)
        if is_jpeg:  # the bytes of the JPEG from which the file was made
            return _of_jpeg(bytes(pixels), request)
        mode, width, height = info.mode, info.width, info.height
        bands = _CHANNELS.get(mode, 0)
        dtype = np.uint16 if mode == "I;16" else np.uint8
        if not bands or len(pixels) != width * height * bands * np.dtype(dtype).itemsize:
            raise PhotoError(
                "this kind of JPEG XL is not supported", "convert it to PNG", name=name
            )
        samples: NDArray[Any] = np.frombuffer(pixels, dtype).reshape(height, width, bands)
        metadata = {bytes(box.box_type): bytes(box.data) for box in found}
    except PhotoError:
        raise
    except Exception as error:  # whatever the library raises about a damaged file
        raise PhotoError(f"cannot be read: {one_line(error)}", REMEDY_DAMAGED, name=name) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of the library, which is in Rust
            raise
        raise PhotoError("cannot be read: its data is damaged", REMEDY_DAMAGED, name=name) from None
    exif = _exif(metadata.get(b"Exif", b""))
    notes = []
    if head.bits > 8 and dtype == np.uint8:
        notes.append(f"only 8 of its {head.bits} bits per channel were read")
    if head.animated:
        notes.append("is an animation; only its first frame is colored")
    facts = Facts(
        name,
        "file",
        depth=samples.dtype,
        profiled=bool(profile),
        metadata=Metadata(exif, metadata.get(b"xml ") or None),
        resolution=exif_resolution(exif) if exif else None,
        extension=JXL.suffixes[0],
        notes=tuple(notes),
    )
    return Decoded(samples, bytes(profile) if profile else None, facts)


def _exif(data: bytes) -> bytes | None:
    """An EXIF block of a box, in which the place of the first byte may come first."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        data = data[4 + int.from_bytes(data[:4], "big") :]
    return EXIF_HEAD + data if data[:4] in (b"II*\0", b"MM\0*") else None


def _of_jpeg(data: bytes, request: Request) -> Decoded:
    """The photo in a JPEG from which the file was made; the file holds all of its bytes."""
    image = pyvips.Image.jpegload_buffer(data, fail_on="error")
    request.limits.check_size(request.name, image.width, image.height)
    fields = set(image.get_fields())
    exif, xmp, iptc, profile = (
        image.get(key) if key in fields else None
        for key in ("exif-data", "xmp-data", "iptc-data", "icc-profile-data")
    )
    if image.interpretation == "cmyk":
        raise PhotoError(
            "CMYK in JPEG XL is not supported", "convert it to TIFF", name=request.name
        )
    facts = Facts(
        request.name,
        "file",
        depth=np.dtype(np.uint8),
        profiled=profile is not None,
        metadata=Metadata(exif, xmp, iptc=iptc),
        resolution=exif_resolution(exif) if exif else None,
        extension=JXL.suffixes[0],
    )
    return Decoded(to_numpy(image), profile, facts, exif_orientation(exif or b"") or 1)
