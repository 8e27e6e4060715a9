"""A site as a visitor uses it: without a server behind it, and without a network."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from photochrom import Colorizer
from photochrom.web.site.build import MODEL, write_site
from tests.web.studio.screen import DESKTOP, accessible, colored, drop, place, save, settled

EXAMPLES = Path(__file__).parents[3] / "examples"
READY = "navigator.serviceWorker.ready.then(() => true)"
ISOLATED = "crossOriginIsolated"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A gray JPEG with an EXIF block: it lies on its side, and has a description."""
    with Image.open(EXAMPLES / "castle.jpg") as image:
        turned = image.convert("L").resize((430, 312)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "The castle"
    turned.save(tmp_path / "castle.jpg", quality=95, exif=exif, dpi=(300, 300))
    return tmp_path / "castle.jpg"


def test_it_colors_corrects_and_saves_without_a_network(
    visit: Callable[..., Page], host: Callable[[Path], Any], site: Path, photo: Path, tmp_path: Path
) -> None:
    served = host(site)
    page = visit(served.url, **DESKTOP)
    expect(page.locator("#where")).to_have_text("Your photo doesn’t leave this browser.")
    expect(page.locator("#examples img")).to_have_count(4)
    drop(page, photo)
    colored(page)
    assert page.evaluate(READY)

    served.close()
    page.context.set_offline(True)
    page.reload()
    assert page.evaluate(ISOLATED)  # the service worker added the headers: there may be threads
    colored(page)
    accessible(page, "a site")

    page.mouse.click(*place(page, 0.4, 0.6))
    page.locator(".swatches button").nth(1).click()
    expect(page.locator(".hint")).to_have_count(1)
    settled(page)
    page.locator("#unsure").click()
    expect(page.locator(".suggestion")).to_have_count(5)
    page.locator("#unsure").click()
    file = save(page, lambda: page.locator("#download").click(), tmp_path / "out")
    assert file.name == "castle.color.jpg"
    with Image.open(file) as result:
        assert result.size == (430, 312)
        assert result.getexif()[0x0112] == 1
        assert result.getexif()[0x010E] == "The castle"
        assert tuple(result.info["dpi"]) == (300, 300)
        assert b"compositeWithTrainedAlgorithmicMedia" in result.info["xmp"]
        colors = np.asarray(result).astype(int)
    assert (colors.max(axis=-1) - colors.min(axis=-1)).mean() > 8


def test_sixteen_bits_and_transparency_come_back_in_a_png(
    visit: Callable[..., Page], host: Callable[[Path], Any], site: Path, tmp_path: Path
) -> None:
    import pyvips

    deep = np.linspace(0, 65535, 90 * 120).reshape(90, 120).astype(np.uint16)
    opaque = np.where(np.arange(120) < 60, 65535, 20000).astype(np.uint16) + np.zeros_like(deep)
    both = np.stack([deep, opaque], axis=-1)
    image = pyvips.Image.new_from_array(both).copy(interpretation="grey16")
    image.pngsave(str(tmp_path / "deep.png"))
    page = visit(host(site).url, **DESKTOP)
    drop(page, tmp_path / "deep.png")
    colored(page)
    expect(page.locator("#title")).to_contain_text("16-bit")
    file = save(page, lambda: page.locator("#download").click(), tmp_path / "out")
    result = pyvips.Image.new_from_file(str(file))
    assert (result.format, result.bands) == ("ushort", 4)
    found = result.numpy()
    assert np.array_equal(found[..., 3], opaque)
    wanted = Colorizer(MODEL, threads=1).predict(both[..., :1]).render()
    apart = np.abs(found[..., :3].astype(int) - wanted.astype(int))
    assert (apart > 257).mean() < 0.01

    # What it cannot read, it says, and names the program.
    Image.fromarray(np.zeros((9, 9), np.float32)).save(tmp_path / "floats.tif")
    drop(page, tmp_path / "floats.tif")
    expect(page.locator("#progress p")).to_contain_text("cannot read TIFF files with 32 bits")
    expect(page.locator("#progress p")).to_contain_text("the program photochrom")


def test_an_update_is_offered_and_comes_when_it_is_wanted(
    visit: Callable[..., Page], host: Callable[[Path], Any], runtime: Path, tmp_path: Path
) -> None:
    folder = write_site(tmp_path / "site", runtime).folder
    page = visit(host(folder).url, **DESKTOP)
    assert page.evaluate(READY)
    for path, old, new in (
        ("index.html", "Color an old photo", "Color a very old photo"),
        ("sw.js", '"index.html": "', '"index.html": "0'),
    ):
        text = (folder / path).read_text(encoding="utf-8")
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1), encoding="utf-8")
    page.reload()
    expect(page.locator("#invitation")).to_have_text("Color an old photo")  # what was kept
    expect(page.locator("#arriving")).to_contain_text("A new version of this page is here.")
    page.locator("#arriving button").click()
    expect(page.locator("#invitation")).to_have_text("Color a very old photo")


def test_a_jpeg_in_color_is_what_python_makes_of_it(
    visit: Callable[..., Page], host: Callable[[Path], Any], site: Path, photo: Path, tmp_path: Path
) -> None:
    page = visit(host(site).url, **DESKTOP)
    drop(page, photo)
    colored(page)
    page.locator("#formats-button").click()
    file = save(page, lambda: page.locator("#formats button").nth(1).click(), tmp_path / "out")
    found = np.asarray(Image.open(io.BytesIO(file.read_bytes())).convert("RGB")).astype(int)
    wanted = np.asarray(Colorizer(MODEL, threads=1).predict(photo).render()).astype(int)
    assert (np.abs(found - wanted) > 1).mean() < 0.01
