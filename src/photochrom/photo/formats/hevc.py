"""Whether a HEIC file is coded without loss: its blocks may then leave out the transform.

Sources: ITU-T H.265 (2021), 7.3.1.1 and 7.3.2.3.1; ISO/IEC 14496-15, 8.3.3.1 (hvcC); ISO/IEC
23008-12, 9.3 (ipco).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["is_lossless"]

_MOST_META = 1 << 20
_PICTURE_PARAMETERS = 34  # type of a NAL unit


def is_lossless(file: BinaryIO) -> bool:
    """Whether all pictures may be coded without loss; False if that is not known.

    A file tells only that its blocks may leave out transform and quantization. Encoders allow that
    where a user asks for no loss.
    """
    try:
        found = [_may_bypass(unit) for unit in _parameters(_meta(file))]
        return bool(found) and all(found)
    except (LookupError, ValueError, struct.error):
        return False


def _meta(file: BinaryIO) -> bytes:
    at, end = 0, file.seek(0, 2)
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"meta" and 12 <= size <= _MOST_META:
            return file.read(size - 8)[4:]
        if size < 8:
            break
        at += size
    raise ValueError


def _boxes(data: bytes, kind: bytes) -> Iterator[bytes]:
    at = 0
    while at + 8 <= len(data):
        size, found = struct.unpack_from(">I4s", data, at)
        if size < 8:
            break
        if found == kind:
            yield data[at + 8 : at + size]
        at += size


def _parameters(meta: bytes) -> Iterator[bytes]:
    """The picture parameter sets of all pictures, without their headers."""
    for properties in _boxes(meta, b"iprp"):
        for container in _boxes(properties, b"ipco"):
            for box in _boxes(container, b"hvcC"):
                yield from _units(box)


def _units(box: bytes) -> Iterator[bytes]:
    at = 23
    for _ in range(box[22]):
        kind, count = struct.unpack_from(">BH", box, at)
        at += 3
        for _ in range(count):
            (size,) = struct.unpack_from(">H", box, at)
            if kind & 63 == _PICTURE_PARAMETERS:
                yield box[at + 4 : at + 2 + size].replace(b"\0\0\3", b"\0\0")
            at += 2 + size


class _Bits:
    """Bits, from the first on."""

    def __init__(self, data: bytes) -> None:
        self._text = "".join(f"{byte:08b}" for byte in data[:64])
        self._at = 0

    def take(self, count: int) -> int:
        self._at += count
        return int(self._text[self._at - count : self._at], 2)

    def number(self) -> int:
        """An Exp-Golomb code (9.2), without its sign."""
        zeros = self._text.index("1", self._at) - self._at
        return self.take(2 * zeros + 1) - 1


def _may_bypass(parameters: bytes) -> bool:
    """transquant_bypass_enabled_flag."""
    bits = _Bits(parameters)
    bits.number(), bits.number()  # numbers of this set, and of that of the sequence
    bits.take(7)  # slices, extra bits, sign hiding, CABAC
    bits.number(), bits.number(), bits.number()  # references, quantizer
    bits.take(2)
    if bits.take(1):
        bits.number()  # depth at which the quantizer changes
    bits.number(), bits.number()  # quantizers of chroma
    bits.take(3)
    return bool(bits.take(1))
