"""Whether an AVIF file is coded without loss: in AV1, each of its quantizers is 0.

Sources: AV1 Bitstream & Decoding Process Specification (AOMedia, 2019), 5.5, 5.9 and 7.12.2;
ISO/IEC 14496-12 (ISOBMFF), 8.11.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

__all__ = ["is_lossless"]

_MOST_META = 1 << 20
_MOST_HEADERS = 4096  # bytes of a photo in which its headers are
_SELECT = 2
_SRGB_IDENTITY = (1, 13, 0)


class _Unknown(Exception):
    """The file is of a kind that is not read here."""


def is_lossless(file: BinaryIO) -> bool:
    """Whether the main picture is coded without loss; False if that is not known."""
    try:
        file.seek(_main_place(file))
        return _all_zero(file.read(_MOST_HEADERS))
    except (_Unknown, LookupError, ValueError, struct.error):
        return False


# --- where the picture is -------------------------------------------------------------------------


def _boxes(data: bytes) -> dict[bytes, bytes]:
    """The boxes in some bytes; the last of each kind."""
    found, at = {}, 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data):
            break
        found[kind] = data[at + 8 : at + size]
        at += size
    return found


def _main_place(file: BinaryIO) -> int:
    at, end = 0, file.seek(0, 2)
    while True:
        if at + 8 > end:
            raise _Unknown
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"meta":
            break
        if size < 8:
            raise _Unknown
        at += size
    if size > _MOST_META:
        raise _Unknown
    meta = _boxes(file.read(size - 8)[4:])
    number = struct.unpack_from(">H" if meta[b"pitm"][0] == 0 else ">I", meta[b"pitm"], 4)[0]
    table = meta[b"iloc"]
    version, offset, length, base = table[0], table[4] >> 4, table[4] & 15, table[5] >> 4
    index = table[5] & 15 if version in (1, 2) else 0
    wide = 4 if version == 2 else 2
    at = 6 + wide
    for _ in range(int.from_bytes(table[6:at], "big")):
        item = int.from_bytes(table[at : at + wide], "big")
        at += wide
        method = table[at + 1] & 15 if version in (1, 2) else 0
        at += (2 if version in (1, 2) else 0) + 2
        start = int.from_bytes(table[at : at + base], "big")
        at += base
        count = int.from_bytes(table[at : at + 2], "big")
        at += 2 + index
        if item == number:
            if method or not count:
                raise _Unknown
            return start + int.from_bytes(table[at : at + offset], "big")
        at += count * (index + offset + length) - index
    raise _Unknown


# --- its headers ----------------------------------------------------------------------------------


class _Bits:
    """Bits, from the first on."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int = 1) -> int:
        """A number of so many bits."""
        value = 0
        for _ in range(count):
            value = value << 1 | (self.data[self.at >> 3] >> (7 - (self.at & 7))) & 1
            self.at += 1
        return value


class _Sequence(NamedTuple):
    """What the frame header depends on."""

    reduced: bool
    size: tuple[int, int]  # width, height
    size_bits: tuple[int, int]
    frame_id_bits: int
    large_blocks: bool
    screen_content: int
    integer_motion: int
    order_hint_bits: int
    superres: bool
    mono: bool
    separate_chroma: bool


def _all_zero(data: bytes) -> bool:
    """Whether the first frame has quantizer 0 in all its planes."""
    at, sequence = 0, None
    while at < len(data):
        kind, extension, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extension
        size, shift = len(data) - at, 0
        if sized:
            size = 0
            while True:
                byte = data[at]
                at += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128 or shift > 28:
                    break
        if kind == 1:
            sequence = _sequence(_Bits(data[at : at + size]))
        elif kind in (3, 6):
            if sequence is None:
                raise _Unknown
            return _quantizers_are_zero(_Bits(data[at : at + size]), sequence)
        at += size
    raise _Unknown


def _sequence(bits: _Bits) -> _Sequence:
    profile = bits.take(3)
    bits.take()
    reduced = bool(bits.take())
    if reduced:
        bits.take(5)
    else:
        if bits.take():  # timing
            raise _Unknown
        delays = bits.take()
        for _ in range(bits.take(5) + 1):
            bits.take(12)
            if bits.take(5) > 7:
                bits.take()
            if delays and bits.take():
                bits.take(4)
    size_bits = bits.take(4) + 1, bits.take(4) + 1
    size = bits.take(size_bits[0]) + 1, bits.take(size_bits[1]) + 1
    frame_id_bits = 0
    if not reduced and bits.take():
        delta = bits.take(4) + 2
        frame_id_bits = bits.take(3) + delta + 1
    large_blocks = bool(bits.take())
    bits.take(2)
    screen_content = integer_motion = _SELECT
    hint_bits = 0
    if not reduced:
        bits.take(4)
        hints = bits.take()
        if hints:
            bits.take(2)
        screen_content = _SELECT if bits.take() else bits.take()
        if screen_content:
            integer_motion = _SELECT if bits.take() else bits.take()
        if hints:
            hint_bits = bits.take(3) + 1
    superres = bool(bits.take())
    bits.take(2)
    mono, separate = _color(bits, profile)
    return _Sequence(
        reduced, size, size_bits, frame_id_bits, large_blocks, screen_content, integer_motion,
        hint_bits, superres, mono, separate,
    )  # fmt: skip


def _color(bits: _Bits, profile: int) -> tuple[bool, bool]:
    """Whether there is only gray, and whether the planes of color differ in their quantizers."""
    deep = bits.take()
    twelve = profile == 2 and deep and bits.take()
    mono = profile != 1 and bool(bits.take())
    described = (bits.take(8), bits.take(8), bits.take(8)) if bits.take() else ()
    if mono:
        return True, False
    if described != _SRGB_IDENTITY:
        bits.take()
        across = down = int(profile == 0)
        if profile == 2:
            across = bits.take() if twelve else 1
            down = bits.take() if twelve and across else 0
        if across and down:
            bits.take(2)
    return False, bool(bits.take())


def _quantizers_are_zero(bits: _Bits, sequence: _Sequence) -> bool:
    reduced = sequence.reduced
    if not reduced and (bits.take() or bits.take(2) or not bits.take()):
        raise _Unknown  # not a key frame that is shown
    fixed = bits.take()
    screen = bits.take() if sequence.screen_content == _SELECT else sequence.screen_content
    if screen and sequence.integer_motion == _SELECT:
        bits.take()
    bits.take(sequence.frame_id_bits)
    override = 0 if reduced else bits.take()
    bits.take(sequence.order_hint_bits)
    size = sequence.size
    if override:
        size = bits.take(sequence.size_bits[0]) + 1, bits.take(sequence.size_bits[1]) + 1
    if sequence.superres and bits.take():
        raise _Unknown
    if bits.take():
        bits.take(32)
    if screen:
        bits.take()
    if not reduced and not fixed:
        bits.take()
    _skip_tiles(bits, size, sequence.large_blocks)
    if bits.take(8):
        return False
    if bits.take():  # a delta that is coded is not 0
        return False
    if sequence.mono:
        return True
    deltas = 4 if sequence.separate_chroma and bits.take() else 2
    return not any([bits.take() for _ in range(deltas)])


def _log2(block: int, target: int) -> int:
    return next(k for k in range(32) if block << k >= target)


def _skip_tiles(bits: _Bits, size: tuple[int, int], large: bool) -> None:
    shift = 5 if large else 4
    columns, rows = ((2 * ((side + 7) >> 3) + (1 << shift) - 1) >> shift for side in size)
    width, area = 4096 >> (shift + 2), 4096 * 2304 >> 2 * (shift + 2)
    least = _log2(width, columns)
    fewest = max(least, _log2(area, rows * columns))
    if not bits.take():
        raise _Unknown  # tiles of different sizes
    across = _grown(bits, least, _log2(1, min(columns, 64)))
    down = _grown(bits, max(fewest - across, 0), _log2(1, min(rows, 64)))
    if across or down:
        bits.take(across + down)
        bits.take(2)


def _grown(bits: _Bits, value: int, most: int) -> int:
    while value < most and bits.take():
        value += 1
    return value
