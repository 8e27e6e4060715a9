"""JPEG 2000, with the extra photochrom[jp2]: libvips comes without a codec for it.

The library reads color in 8 bits, and gray in 8 or 16. Results are stored without loss.

Sources: ISO/IEC 15444-1 (JPEG 2000), annexes A and I; ExifTool, for where EXIF and XMP are.
"""

from __future__ import annotations

import importlib.util
import io
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photochrom.errors import PhotoError
from photochrom.photo.carried import Carried
from photochrom.photo.facts import Facts, Metadata
from photochrom.photo.formats.format import Decoded, Format, Holds, Request, boxes, result_exif
from photochrom.photo.metadata.exif import EXIF_HEAD, exif_orientation, exif_resolution
from photochrom.photo.metadata.packets import xmp_orientation
from photochrom.photo.source import REMEDY_DAMAGED
from photochrom.text import one_line

__all__ = ["JP2"]

_BARE, _BOXED = b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_EXIF = b"JpgTiffExif->JP2"
_MOST_HEAD = 1 << 20
_TARGETS = {"L": "L", "LA": "LA", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA", "YCbCr": "RGB"}


@dataclass(frozen=True, eq=False)
class _Jp2(Format):
    def begins(self, head: bytes) -> bool:
        return head.startswith((_BARE, _BOXED))

    def check(self, name: str) -> None:
        if importlib.util.find_spec("PIL") is None:
            raise PhotoError(
                "JPEG 2000 needs an extra",
                "run pip install 'photochrom[jp2]', or convert it to JPEG, PNG or TIFF",
                name=name,
            )

    def size(self, data: bytes, name: str) -> tuple[int, int]:
        head = _head(data, name)
        return head.height, head.width

    def decode(self, request: Request) -> Decoded:
        with request.origin.open() as file:
            data = file.read()
        head = _head(data, request.name)
        request.limits.check_size(request.name, head.width, head.height)
        size = 8 * head.channels * head.width * head.height
        request.limits.check_whole(request.name, self.name, size)
        return _decoded(data, head, request.name)

    def encode(self, file: BinaryIO, samples: NDArray[Any], carried: Carried) -> None:
        import PIL.Image

        made = io.BytesIO()
        try:
            image = PIL.Image.fromarray(samples)
            image.save(made, "JPEG2000", irreversible=False, no_jp2=False)
        except OSError as error:
            name = carried.facts.name
            raise PhotoError(
                f"cannot be written: {one_line(error)}", "use .png", name=name
            ) from None
        data = made.getvalue()
        at = data.index(b"jp2c") - 4
        file.write(data[:at] + struct.pack(">I", len(data) - at) + data[at + 4 :])
        exif = result_exif(carried)
        for mark, content in (
            (_XMP, carried.xmp),
            (_EXIF, exif.removeprefix(EXIF_HEAD) if exif else b""),
        ):
            if content:
                file.write(struct.pack(">I4s", 24 + len(content), b"uuid") + mark + content)


JP2 = _Jp2(
    name="JPEG 2000",
    suffixes=(".jp2",),
    media_type="image/jp2",
    loader="",
    saver="",
    holds=Holds((np.uint8,), side=1 << 24, lossless=True),
    extra=True,
    exif_by_libvips=False,
)


class _Head(NamedTuple):
    """What the headers say."""

    width: int
    height: int
    channels: int
    bits: int
    profile: bytes | None
    metadata: Metadata


def _head(data: bytes, name: str) -> _Head:
    try:
        return _read_head(data)
    except (LookupError, struct.error, StopIteration):
        raise PhotoError("its header is damaged", REMEDY_DAMAGED, name=name) from None


def _read_head(data: bytes) -> _Head:
    profile, exif, xmp, stream = None, None, None, data
    if data.startswith(_BOXED):
        stream = b""
        for kind, content in boxes(data):
            if kind == b"jp2h":
                profile = next(
                    (c[3:] for k, c in boxes(content) if k == b"colr" and c[:1] in b"\2\3"), None
                )
            elif kind == b"jp2c":
                stream = stream or content[:_MOST_HEAD]
            elif kind == b"uuid" and content.startswith(_XMP):
                xmp = content[16:]
            elif kind == b"uuid" and content.startswith(_EXIF):
                block = content[16:].removeprefix(EXIF_HEAD)
                exif = EXIF_HEAD + block if block[:2] in (b"II", b"MM") else None
    if not stream.startswith(_BARE):
        raise LookupError
    right, below, left, top = struct.unpack_from(">4I", stream, 8)
    (channels,) = struct.unpack_from(">H", stream, 40)
    bits = (stream[42] & 127) + 1
    if right <= left or below <= top:
        raise LookupError
    return _Head(right - left, below - top, channels, bits, profile, Metadata(exif, xmp))


def _decoded(data: bytes, head: _Head, name: str) -> Decoded:
    from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

    try:
        # Not `PIL.Image.open`, which has a limit of its own.
        with Jpeg2KImageFile(io.BytesIO(data)) as image:
            image.load()
            if image.mode.startswith("I;16"):
                samples: NDArray[Any] = np.asarray(image).astype(np.uint16)[..., np.newaxis]
            elif image.mode in _TARGETS:
                made = np.asarray(image.convert(_TARGETS[image.mode]))
                samples = made.reshape(image.height, image.width, -1)
            else:
                raise PhotoError(
                    f"JPEG 2000 of mode {image.mode} is not supported",
                    "convert it to TIFF or PNG",
                    name=name,
                )
    except PhotoError:
        raise
    except Exception as error:  # whatever the library raises about a damaged file
        raise PhotoError(f"cannot be read: {one_line(error)}", REMEDY_DAMAGED, name=name) from None
    metadata = head.metadata
    notes: tuple[str, ...] = ()
    if head.bits > 8 and samples.dtype == np.uint8:
        notes = (f"only 8 of its {head.bits} bits per channel were read",)
    facts = Facts(
        name,
        "file",
        depth=samples.dtype,
        profiled=head.profile is not None,
        metadata=metadata,
        resolution=exif_resolution(metadata.exif) if metadata.exif else None,
        extension=JP2.suffixes[0],
        notes=notes,
    )
    turn = exif_orientation(metadata.exif or b"") or xmp_orientation(metadata.xmp or b"") or 1
    return Decoded(samples, head.profile, facts, turn)
