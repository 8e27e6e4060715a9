"""Strips of pixels as an image that libvips can save."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import pyvips

from photochrom import PhotoError
from photochrom.photo.strips import StripSource, strip_rows


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("height", [1, 7, 50])
def test_libvips_sees_the_strips_as_one_image(dtype: Any, channels: int, height: int) -> None:
    whole = np.random.default_rng(0).uniform(0, 200, (height, 41, channels)).astype(dtype)
    rows = strip_rows(41, 300)
    strips = (whole[top : top + rows] for top in range(0, height, rows))
    with StripSource(strips, whole.shape, whole.dtype, rows) as source:
        image = source.image()
        seen: list[np.ndarray] = []
        source.run(lambda: seen.append(image.numpy()))
    np.testing.assert_array_equal(seen[0], whole)


def test_an_error_amid_the_strips_comes_out_as_it_was() -> None:
    def broken() -> Any:
        yield np.zeros((7, 41, 3), np.uint8)
        raise PhotoError("a.tif: broke off")

    with (
        StripSource(broken(), (50, 41, 3), np.dtype(np.uint8), 7) as source,
        pytest.raises(PhotoError, match=r"^a\.tif: broke off$"),
    ):
        source.run(source.image().pngsave_buffer)


def test_a_failure_that_the_saver_does_not_notice_is_raised() -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.zeros((strip_rows(64), 64, 3), np.uint8)
        raise KeyError("strip")

    shape = (2 * strip_rows(64), 64, 3)
    with StripSource(broken(), shape, np.dtype(np.uint8)) as source:
        image = source.image()

        def save() -> None:
            with contextlib.suppress(pyvips.Error):
                image.avg()

        with pytest.raises(KeyError, match="strip"):
            source.run(save)
