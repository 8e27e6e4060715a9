"""Flat margins: found where they are and only there, kept gray, and not shown to the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
from numpy.typing import NDArray

from photochrom import Colorizer
from photochrom.frame import Frame, network_input
from photochrom.margin import Margin, find_margin, look_size
from photochrom.photo.limits import ReadLimits
from photochrom.photo.read import read_photo
from photochrom.render import lightness

Gray = NDArray[np.uint8]


def found(page: Gray) -> Margin | None:
    return find_margin(lightness(page[..., None], 1))


def framed(photo: Gray, width: int, tone: int, tilt: float = 0, noise: float = 1.0) -> Gray:
    """A photo on a page of a tone, maybe tilted by some degrees."""
    image = PIL.Image.fromarray(photo)
    mask = PIL.Image.new("L", image.size, 255)
    how = {"expand": True, "resample": PIL.Image.Resampling.BICUBIC}
    image, mask = image.rotate(tilt, **how), mask.rotate(tilt, **how)  # type: ignore[arg-type]
    height, wide = photo.shape
    page = PIL.Image.new("L", (wide + 2 * width, height + 2 * width), tone)
    place = (page.width - image.width) // 2, (page.height - image.height) // 2
    page.paste(image, place, mask)
    grain = np.random.default_rng(0).normal(0, noise, (page.height, page.width))
    return np.clip(np.asarray(page) + grain, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scan(gray: Gray) -> Gray:
    """A small gray photo."""
    return np.asarray(PIL.Image.fromarray(gray).resize((360, 240)))


def inside(page: Gray, width: int, by: int) -> Gray:
    """What lies inside a frame, and `by` pixels away from it."""
    return page[width + by : -width - by, width + by : -width - by]


@pytest.mark.parametrize("tone", [0, 30, 190, 230, 255])
def test_a_frame_of_any_tone_is_found_to_the_pixel(scan: Gray, tone: int) -> None:
    page = framed(scan, 30, tone)
    margin = found(page)
    assert margin is not None
    top, left, bottom, right = margin.box
    assert (top * 300, left * 420) == pytest.approx((30, 30), abs=1.5)
    assert (bottom * 300, right * 420) == pytest.approx((270, 390), abs=1.5)


@pytest.mark.parametrize("tilt", [0.5, -1, 2, -4])
def test_a_tilted_print_is_followed(scan: Gray, tilt: float) -> None:
    page = framed(scan, 50, 235, tilt, 2)
    margin = found(page)
    truth = framed(np.full_like(scan, 255), 50, 0, tilt, 0) < 128
    assert margin is not None
    wrong = margin.of(lightness(page[..., None], 1), page.shape) != truth
    assert wrong.mean() < 0.01
    # What is wrong is at the border, or as bright as paper.
    assert wrong[5:-5, 5:-5][~truth[5:-5, 5:-5]].mean() < 0.02


def test_a_print_with_a_white_border_on_a_black_page(scan: Gray) -> None:
    page = framed(framed(scan, 20, 240, 1.5), 50, 25, noise=3)
    margin = found(page)
    assert margin is not None
    (picture,) = margin.pictures
    assert picture.tone > 90  # that of the white border: it was found inside the black one
    assert margin.box[0] * page.shape[0] == pytest.approx(70, abs=5)


@pytest.mark.slow
def test_all_pictures_of_a_page_are_found(scan: Gray) -> None:
    page = PIL.Image.new("L", (900, 640), 40)
    for place, tilt in (((30, 30), 1.0), ((480, 50), -2.0), ((60, 330), 0.0), ((500, 350), 3.0)):
        print_ = PIL.Image.fromarray(framed(scan[::2, ::2], 40, 225))
        page.paste(print_.rotate(tilt, expand=True, fillcolor=40), place)
    margin = found(np.asarray(page))
    assert margin is not None and len(margin.pictures) == 4


def test_the_lid_of_a_scanner_is_found_on_two_edges_only(scan: Gray) -> None:
    for tone in (0, 255):
        page = np.full((320, 480), tone, np.uint8)
        page[:240, :360] = scan
        margin = found(page)
        assert margin is not None
        assert margin.box == pytest.approx((0, 0, 0.75, 0.75), abs=0.01)


def test_a_plain_photo_has_no_margin(scan: Gray, gray: Gray) -> None:
    assert found(gray) is None and found(scan) is None
    assert found(np.full((200, 300), 200, np.uint8)) is None  # nothing is in it
    assert found(np.zeros((3, 900), np.uint8)) is None


def test_a_flat_sky_and_a_plain_backdrop_are_no_margins(scan: Gray) -> None:
    sky = scan.copy()
    sky[:100] = 225
    assert found(sky) is None
    backdrop = PIL.Image.new("L", (300, 300), 180)
    draw = PIL.ImageDraw.Draw(backdrop)
    draw.ellipse((80, 60, 220, 240), fill=70)
    assert found(np.asarray(backdrop)) is None
    draw.rectangle((100, 150, 200, 300), fill=90)
    assert found(np.asarray(backdrop)) is None


@pytest.mark.slow
def test_a_margin_stays_exactly_as_gray_as_it_is(colorizer: Colorizer, scan: Gray) -> None:
    page = framed(scan, 30, 230)
    prediction = colorizer.predict(page)
    colors = prediction.render()
    for part in (np.s_[:28], np.s_[-28:], np.s_[:, :28], np.s_[:, -28:]):
        assert (colors[part] == page[part][..., None]).all()
    spread = np.ptp(inside(colors, 30, 3).astype(int), axis=-1)
    assert spread.mean() > 5  # the picture has colors
    # Nothing is uncertain there, and it does not count.
    assert prediction.uncertainty()[:2].max() < 0.01
    bits, _, _ = prediction.certainty() or (0, 0, 0)
    assert bits > prediction.uncertainty().mean()


def test_margins_can_be_colored(scan: Gray) -> None:
    colorizer = Colorizer(threads=1, margins=False)
    page = framed(scan, 30, 230)
    assert colorizer.predict(page).distribution.margin is None
    assert np.ptp(colorizer.predict(page).render()[:20].astype(int), axis=-1).max() > 0


@pytest.mark.slow
def test_the_network_sees_the_picture_as_without_its_margin(
    colorizer: Colorizer, scan: Gray
) -> None:
    alone = colorizer.predict(scan).ab()
    prediction = colorizer.predict(framed(scan, 30, 230, noise=0))
    h, w = prediction.distribution.size
    rows = slice(round(30 / 300 * h), round(270 / 300 * h))
    columns = slice(round(30 / 420 * w), round(390 / 420 * w))
    framed_ab = prediction.ab()[rows, columns]
    assert abs(framed_ab.shape[0] - alone.shape[0]) <= 1
    both = np.s_[: min(len(alone), len(framed_ab)), : min(alone.shape[1], framed_ab.shape[1])]
    difference = np.linalg.norm(framed_ab[both] - alone[both], axis=-1)
    assert difference.mean() < 0.35 * np.linalg.norm(alone, axis=-1).mean()


def test_no_pixel_of_a_margin_gets_into_the_input(colorizer: Colorizer) -> None:
    L = np.full((300, 420), 90, np.float32)
    L[30:270, 30:390] = 20
    frame = Frame.of(300, 420, 160, 32, (0.1, 30 / 420, 0.9, 390 / 420))
    x = network_input(L, frame, colorizer.info, [])
    assert np.ptp(x[0]) < 1e-4
    assert frame.window[2] - frame.window[0] >= 160  # it fills the input


@pytest.mark.slow
def test_a_hint_in_the_margin_says_that_it_is_none(colorizer: Colorizer, scan: Gray) -> None:
    page = framed(scan, 30, 230)
    blue = colorizer.predict(page, [(10, 150, (90, 90, 250))])
    assert blue.distribution.margin is None
    assert blue.distribution.size == colorizer.predict(page).distribution.size
    red, _, more_blue = blue.render()[150, 10].astype(int)
    assert more_blue > red + 20
    # One in the picture leaves the margin as it is.
    hinted = colorizer.predict(page, [(200, 150, (90, 90, 250))]).render()
    assert (hinted[:25] == page[:25][..., None]).all()
    assert hinted[150, 200, 2] > hinted[150, 200, 0] + 20


@pytest.mark.slow
def test_a_large_file_is_treated_the_same_in_strips(
    colorizer: Colorizer, scan: Gray, tmp_path: Path
) -> None:
    PIL.Image.fromarray(framed(scan, 30, 230)).save(tmp_path / "a.png")
    whole = colorizer.predict(tmp_path / "a.png").render()
    streamed = read_photo(tmp_path / "a.png", limits=ReadLimits(stream_pixels=1000))
    assert streamed.streamed
    assert np.abs(colorizer.predict(streamed).render().astype(int) - whole).max() <= 1


def test_margins_are_looked_for_at_a_size_that_costs_little() -> None:
    assert look_size((6000, 4000)) == (384, 256)
    assert look_size((100, 200)) == (100, 200)
