"""The luma plane Y' of a frame: taken out bit for bit, and what it says of L.

Film is Y'CbCr. Of a gray frame, R' = G' = B' = Y', so that Y' alone says L. The colored frame
keeps every number of the plane.

Sources: ITU-R BT.601-7 and BT.709-6 (matrices, ranges); BT.2020-2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color.lab import gray_to_L
from photochrom.video.libraries import av

__all__ = ["MATRICES", "Luma", "Scale", "direct_format", "plane_of"]

Luma = NDArray[np.uint8] | NDArray[np.uint16]
"""Y' of a frame, (H, W)."""

MATRICES = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""K_R and K_B by the number of the matrix in ITU-T H.273: BT.709, FCC, BT.601 twice, SMPTE 240M,
BT.2020."""


@dataclass(frozen=True)
class Scale:
    """How numbers stand for Y', Cb and Cr: bits, and full or limited range."""

    bits: int
    full: bool

    @property
    def top(self) -> int:
        """The greatest number."""
        return (1 << self.bits) - 1

    @property
    def black(self) -> int:
        """Y' = 0."""
        return 0 if self.full else 16 << (self.bits - 8)

    @property
    def span(self) -> int:
        """From black to white."""
        return self.top if self.full else 219 << (self.bits - 8)

    @property
    def chroma_span(self) -> int:
        """From the least Cb or Cr to the greatest."""
        return self.top if self.full else 224 << (self.bits - 8)

    def unit(self, numbers: Any) -> Float32:
        """Y' in 0..1 of numbers; what is blacker than black or whiter than white is cut."""
        values = (np.asarray(numbers, np.float32) - np.float32(self.black)) / np.float32(self.span)
        return np.asarray(np.clip(values, 0, 1), dtype=np.float32)

    @cached_property
    def L(self) -> Float32:
        """L, 0..100, of every number: float32 (2^bits,). Y' is read as sRGB, as screens do."""
        return gray_to_L(self.unit(np.arange(self.top + 1)))

    def moved(self, luma: Luma, other: Scale) -> Luma:
        """Y' in another scale of the same range; more bits are gained without loss."""
        if other.bits == self.bits:
            return luma
        kind = np.uint8 if other.bits == 8 else np.uint16
        if other.bits > self.bits:
            more = other.bits - self.bits
            narrow = luma.astype(np.uint16)
            wide = np.left_shift(narrow, np.uint16(more))
            if self.full:  # white stays white
                wide |= np.right_shift(narrow, np.uint16(self.bits - more))
            return wide
        less = self.bits - other.bits
        rounded = (luma.astype(np.uint32) + (1 << (less - 1))) >> less
        moved: Luma = np.minimum(rounded, other.top).astype(kind)
        return moved


def direct_format(format: Any) -> str:
    """The pixel format in which Y' can be taken out as it is: most often the format itself.

    Parameters
    ----------
    format : av.VideoFormat of the source

    Returns
    -------
    The name of a format with a plane of Y'. Packed Y'CbCr only needs sorting; of RGB, Y' has to be
    computed.
    """
    first = format.components[0]
    bits = first.bits
    if format.is_rgb or format.has_palette or format.is_bit_stream:
        return "yuv444p" if bits <= 8 else "yuv444p16le"
    one_plane = len([c for c in format.components if c.plane == 0]) == 1
    floating = format.name.endswith(("f16le", "f32le"))
    if one_plane and not format.is_big_endian and not floating:
        return str(format.name)
    return "yuv422p" if bits <= 8 else "yuv444p16le"


def plane_of(frame: av.VideoFrame) -> tuple[Luma, int]:
    """Y' of a frame in a `direct_format`, and its bits.

    Returns
    -------
    luma : uint8 or uint16 (H, W), a copy
    bits : int
    """
    plane, component = frame.planes[0], frame.format.components[0]
    kind = np.uint8 if component.bits <= 8 else np.dtype("<u2")
    data = np.frombuffer(memoryview(plane), dtype=np.uint8)
    rows = data.reshape(-1, plane.line_size)[: frame.height]
    luma: Any = np.ascontiguousarray(rows).view(kind)[:, : frame.width].copy()
    if frame.format.name.startswith(("p0", "p2", "p4")):  # P010 and its like: the upper bits
        luma >>= 16 - component.bits
    return luma, int(component.bits)
