"""Cb and Cr that give a frame its color, while its luma plane stays as it is.

Only chroma is computed, at the size at which the film stores it: a quarter of the pixels for 4:2:0.
With Y' fixed, two numbers are left for three (L, a, b). Those of color are met; L follows from
them and Y', and differs a little from that of the gray frame, because luma is not lightness: Y'
weighs encoded values, L linear light. Colors outside of the cube of RGB go toward gray.
"""

from __future__ import annotations

from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float32
from photochrom.color import native
from photochrom.color.lab import RGB_FROM_RATIOS, fit_gamut, gray_to_L
from photochrom.color.upsample import Upsampler
from photochrom.video.libraries import cv2
from photochrom.video.luma import MATRICES, Luma, Scale

__all__ = ["Painter", "sited"]

CORRECTIONS = 1
"""Times that L is corrected so that its luma is Y'. Each leaves about a tenth of the rest;
after one, ab is right to the rounding of chroma. The compiled kernel does one, too."""
_FINE = 4095  # steps of the table from Y' to L


def sited(luma: Luma, rows: int, columns: int) -> NDArray[np.int32]:
    """Y' where the samples of chroma are, as sums of weight 8: int32 (h, w).

    Parameters
    ----------
    luma : (H, W)
    rows, columns : luma samples for one of chroma: 1 or 2 each. Samples lie on the left of their
        two columns (weights 1 2 1), and between their two rows.

    Source: ITU-T H.273, Chroma420SampleLocType 0, which players take for granted.
    """
    height, width = luma.shape
    wide = np.pad(luma, ((0, height % rows), (0, width % columns)), mode="edge").astype(np.int32)
    if rows == 2:
        wide = wide[0::2] + wide[1::2]
    else:
        wide *= 2
    if columns == 1:
        return wide * 4
    middle, right = wide[:, 0::2], wide[:, 1::2]
    left = np.concatenate([middle[:, :1], right[:, :-1]], axis=1)
    return left + 2 * middle + right


class Painter:
    """Makes Cb and Cr of Y' and ab, for all frames of a film.

    Parameters
    ----------
    scale : of the luma, which is also that of the chroma
    matrix : number in ITU-T H.273
    rows, columns : luma samples for one of chroma, 1 or 2 each
    """

    def __init__(self, scale: Scale, matrix: int, rows: int, columns: int) -> None:
        self.scale = scale
        self.rows, self.columns = rows, columns
        self._red, self._blue = (np.float32(v) for v in MATRICES[matrix])

    def __call__(self, luma: Luma, ab: Float32) -> tuple[Luma, Luma]:
        """Planes of Cb and Cr.

        Parameters
        ----------
        luma : (H, W)
        ab : float32 (h, w, 2), at the network's resolution

        Returns
        -------
        Cb, Cr : of luma's dtype, (H / rows, W / columns), rounded up
        """
        total = sited(luma, self.rows, self.columns)
        L = np.take(self._L_of_sum, total, mode="clip")
        upsampler = Upsampler(L, (ab.shape[0], ab.shape[1]))
        unit = np.take(self._unit_of_sum, total, mode="clip")
        return self.planes(unit, L, upsampler.rows(upsampler.fit(ab), L))

    def planes(self, unit: Float32, L: Float32, ab: tuple[Float32, Float32]) -> tuple[Luma, Luma]:
        """Cb and Cr at the size of chroma.

        Parameters
        ----------
        unit : float32 (h, w), Y' in 0..1
        L : float32 (h, w), 0..100, of the gray with this Y'
        ab : a and b, float32 (h, w) each
        """
        scale = self.scale
        if native.kernel is not None:
            kind = np.uint8 if scale.bits == 8 else np.uint16
            planes = np.empty((2, *unit.shape), kind)
            matrix = self._red, self._blue, scale.chroma_span, self._middle, scale.top
            native.kernel.chroma(
                unit, L, *ab, RGB_FROM_RATIOS, _L_of_unit(), *matrix, planes[0], planes[1]
            )
            return planes[0], planes[1]
        aim = unit
        both = np.stack(ab, axis=-1)
        rgb = fit_gamut(L, both, np.float32)
        luma = cv2.transform(rgb, self._weights)
        for _ in range(CORRECTIONS):
            aim = aim + (unit - luma)
            place = (np.clip(aim, 0, 1) * np.float32(_FINE) + np.float32(0.5)).astype(np.intp)
            rgb = fit_gamut(np.take(_L_of_unit(), place), both, np.float32)
            luma = cv2.transform(rgb, self._weights)
        red, blue = rgb[..., 0] - luma, rgb[..., 2] - luma
        green = -(self._red * red + self._blue * blue) / (1 - self._red - self._blue)
        up = np.maximum(np.maximum(red, green), np.maximum(blue, np.float32(1e-6)))
        down = np.minimum(np.minimum(red, green), np.minimum(blue, np.float32(-1e-6)))
        within = np.minimum(np.minimum((1 - unit) / up, unit / -down), np.float32(1))
        return (
            self._numbers(blue * within / (2 * (1 - self._blue))),
            self._numbers(red * within / (2 * (1 - self._red))),
        )

    def _numbers(self, chroma: Float32) -> Luma:
        scale = self.scale
        numbers = chroma * np.float32(scale.chroma_span) + np.float32(self._middle)
        kind = np.uint8 if scale.bits == 8 else np.uint16
        whole: Luma = np.clip(numbers, 0, scale.top).astype(kind)
        return whole

    @property
    def _middle(self) -> float:
        """No color, and a half to round."""
        return (1 << (self.scale.bits - 1)) + 0.5

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        return np.array([[self._red, 1 - self._red - self._blue, self._blue]], dtype=np.float32)

    @cached_property
    def _unit_of_sum(self) -> Float32:
        return self.scale.unit(np.arange(8 * self.scale.top + 1, dtype=np.float64) / 8)

    @cached_property
    def _L_of_sum(self) -> Float32:
        return gray_to_L(self._unit_of_sum)


@cache
def _L_of_unit() -> Float32:
    """L of Y' = 0, 1 / _FINE, ... 1."""
    return gray_to_L(np.arange(_FINE + 1, dtype=np.float32) / np.float32(_FINE))
