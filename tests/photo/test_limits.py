"""Limits: what is too large is refused before it costs anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest

from photochrom.photo.limits import LIMITS, ReadLimits
from photochrom.photo.open import open_photo
from photochrom.photo.read import read_photo
from tests.photo.material import refusal, smooth, to_pil, to_vips


def test_too_many_pixels_are_refused_before_any_is_touched() -> None:
    # One byte, seen as ten billion: to copy it would take the machine down.
    array = np.broadcast_to(np.uint8(0), (100_000, 100_000))
    message = refusal(open_photo, array)
    assert "500 megapixels" in message
    assert LIMITS.max_pixels == 500_000_000


@pytest.mark.parametrize(
    ("name", "kind", "size", "options"),
    [
        ("a.png", "interlaced PNG", 3, {"interlace": True}),
        ("a.jpg", "progressive JPEG", 6, {"interlace": True}),
        ("a.webp", "WebP", 3, {}),
        ("a.avif", "AVIF", 3, {"compression": "av1", "effort": 0}),
        ("a.heic", "HEIC", 3, {}),
    ],
)
def test_what_is_decoded_as_a_whole_has_a_limit(
    tmp_path: Path, name: str, kind: str, size: int, options: Any
) -> None:
    path = tmp_path / name
    if name == "a.heic":
        pillow_heif.from_pillow(to_pil(smooth(), "RGB")).save(path)
    else:
        to_vips(smooth()).write_to_file(str(path), **options)
    enough, limits = (ReadLimits(max_whole=48 * 64 * size - less) for less in (0, 1))
    assert read_photo(path, limits=enough).width == 64
    assert f"{name}: decoding {kind} takes" in refusal(read_photo, path, limits=limits)
    for other in ("b.png", "b.jpg", "b.tif"):
        to_vips(smooth()).write_to_file(str(tmp_path / other))
        assert read_photo(tmp_path / other, limits=limits).width == 64


def test_the_limit_can_be_moved(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    to_pil(smooth(10, 11, 3), "RGB").save(path)
    assert read_photo(path, limits=ReadLimits(max_pixels=110)).width == 11
    message = refusal(read_photo, path, limits=ReadLimits(max_pixels=109))
    assert "has 11 x 10 pixels, over the limit of 0.000109 megapixels; scale it down" in message
