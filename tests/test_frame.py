from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from photochrom import Colorizer
from photochrom.frame import Frame, network_input
from photochrom.hints import Place


@given(
    height=st.integers(1, 20000),
    width=st.integers(1, 20000),
    size=st.sampled_from([128, 192, 256]),
)
def test_frame_keeps_the_proportions(height: int, width: int, size: int) -> None:
    frame = Frame.of(height, width, size, 32)
    assert frame.rows % 32 == 0 and frame.columns % 32 == 0
    assert 0 <= frame.rows - frame.height < 32 and 0 <= frame.columns - frame.width < 32
    assert min(frame.height, frame.width) == size
    if max(height, width) <= 6 * min(height, width):
        long = max(height, width) / min(height, width) * size
        assert abs(max(frame.height, frame.width) - long) <= 2


def test_network_input_normalizes_and_mirrors(colorizer: Colorizer) -> None:
    L = np.linspace(0, 100, 128 * 140, dtype=np.float32).reshape(128, 140)
    frame = Frame.of(128, 140, 128, 32)
    ab = np.array([55.0, -11.0], dtype=np.float32)
    x = network_input(L, frame, colorizer.info, [Place(0.5, 0.5, ab)])
    assert x.shape == (4, 128, 160)
    info = colorizer.info
    np.testing.assert_allclose(x[0, :, :140], (L - info.L_center) / info.L_scale, atol=1e-4)
    np.testing.assert_allclose(x[0, :, 140:], x[0, :, 139:119:-1])
    assert x[3].sum() == 9 and x[3, 64, 70] == 1
    np.testing.assert_allclose(x[1:3, 64, 70], ab / info.ab_scale)
