"""Between a film's frames and the network: its input, its output, and the resulting color."""

from __future__ import annotations

import numpy as np

from photochrom.arrays import Float32
from photochrom.color import bins
from photochrom.colorizer import Colorizer
from photochrom.frame import network_input
from photochrom.look import Look
from photochrom.models import STRIDE
from photochrom.video.libraries import cv2
from photochrom.video.luma import Luma
from photochrom.video.motion import Seen
from photochrom.video.source import Facts

__all__ = ["Eye"]


class Eye:
    """Shows frames to the network, upright and with square pixels.

    Parameters
    ----------
    colorizer : Colorizer
    facts : of the film
    """

    def __init__(self, colorizer: Colorizer, facts: Facts) -> None:
        self.info = colorizer.info
        self._model = colorizer.model
        self._frame = colorizer.frame(facts.shape)
        self._turns = facts.turns
        self._scale = facts.scale
        sides = self._frame.height, self._frame.width
        self._stored = (sides[1], sides[0]) if facts.turns % 2 else sides

    def see(self, luma: Luma) -> Seen:
        """The network's input from Y' (H, W)."""
        height, width = self._stored
        shrinks = luma.shape[0] >= height and luma.shape[1] >= width
        table = self._scale.L
        large = cv2.LUT(luma, table) if luma.dtype == np.uint8 else np.take(table, luma)
        L = cv2.resize(
            large,
            (width, height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        return Seen.of(np.ascontiguousarray(np.rot90(L, self._turns), dtype=np.float32))

    def logits(self, seen: Seen) -> Float32:
        """The network's logits for a frame: float32 (Q, h, w)."""
        frame = self._frame
        x = network_input(seen.L, frame, self.info, [])
        return self._model(x)[:, : frame.height // STRIDE, : frame.width // STRIDE]

    def stored(self, ab: Float32) -> Float32:
        """Color (h, w, 2), upright, as the frame is stored."""
        return np.ascontiguousarray(np.rot90(ab, -self._turns), dtype=np.float32)

    def upright_ab(self, logits: Float32, look: Look, shift: Float32 | None = None) -> Float32:
        """Color, upright: float32 (h, w, 2).

        Parameters
        ----------
        logits : float32 (Q, h, w)
        look : temperature and saturation
        shift : float32 (2, h, w), added to a and b
        """
        if self.info.regression:
            ab = np.moveaxis(logits, 0, -1) * np.float32(self.info.ab_scale)
        else:
            ab = bins.annealed_mean(logits, look.temperature, self.info.bins)
        ab = ab * np.float32(look.saturation)
        if shift is not None:
            ab = ab + np.moveaxis(shift, 0, -1)
        return np.ascontiguousarray(ab, dtype=np.float32)
