"""Photos turned and cropped before they are colored."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from photochrom.errors import PhotoError
from photochrom.photo.framing import UNCHANGED, Framing, framed
from photochrom.photo.photo import Photo
from photochrom.photo.read import read_photo


@pytest.fixture
def photo(tmp_path, draw_picture) -> Photo:
    exif = Image.Exif()
    exif[0x0112] = 6  # it was shown a quarter turn clockwise already
    picture = Image.fromarray(draw_picture(1, 40, 60))
    picture.save(tmp_path / "a.png", exif=exif, dpi=(100, 200))
    return read_photo(tmp_path / "a.png")


def test_turns_and_crops_as_pillow_does(photo: Photo) -> None:
    assert framed(photo, UNCHANGED) is photo
    shown = Image.fromarray(photo.pixels)
    for turn in (0, 90, 180, 270):
        turned = np.asarray(shown.rotate(-turn, expand=True))
        assert np.array_equal(framed(photo, Framing(turn)).pixels, turned)
        part = framed(photo, Framing(turn, (3, 5, 20, 10))).pixels
        assert np.array_equal(part, turned[5:15, 3:23])
        rest = framed(photo, Framing(turn, (None, 5, None, None))).pixels
        assert np.array_equal(rest, turned[5:])


def test_metadata_turn_with_it(photo: Photo) -> None:
    turned = framed(photo, Framing(90)).facts
    assert (photo.facts.turned, turned.turned) == (6, 3)
    assert photo.resolution is not None
    assert turned.resolution == photo.resolution[::-1]


def test_a_crop_outside_is_refused(photo: Photo) -> None:
    for box in ((0, 0, 41, 60), (40, 0, 1, 1), (0, 59, 1, 2)):
        with pytest.raises(PhotoError, match="40 x 60"):
            framed(photo, Framing(0, box))


def test_several_pages_are_refused(tmp_path) -> None:
    pages = [Image.new("L", (20, 20), value) for value in (10, 200)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(PhotoError, match="2 pages"):
        framed(read_photo(tmp_path / "a.tif"), Framing(90))
