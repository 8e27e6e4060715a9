"""Ready-made settings, versions side by side, before and after in one picture, in Chromium."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from tests.web.studio.screen import DESKTOP, accessible, chroma, colored, drop, kept, save, settled


def test_looks_are_chosen_compared_and_shared(
    server, visit, shot, draw_picture, tmp_path: Path
) -> None:
    page = visit(server.url, **DESKTOP)
    Image.fromarray(draw_picture(2, 240, 320)).convert("L").save(tmp_path / "a.png")
    drop(page, tmp_path / "a.png")
    colored(page)
    settled(page)
    for name, vividness, saturation in (("Vivid", 60, 116), ("Calm", -50, 80), ("Natural", 0, 100)):
        button = page.get_by_role("button", name=name, exact=True)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#vividness")).to_have_value(str(vividness))
        expect(page.locator("#saturation")).to_have_value(str(saturation))
    page.locator("#saturation").fill("60")
    expect(page.locator("#presets [aria-pressed=true]")).to_have_count(0)

    page.locator("#large").click()
    expect(page.locator("#versions img[src]")).to_have_count(5)
    shot(page, "versions")
    accessible(page, "versions")
    page.locator("#versions .grid button").nth(3).click()
    expect(page.locator("#versions")).to_be_hidden()
    settled(page)
    assert kept(page)["candidate"] == 2

    page.locator("#menu-button").click()
    page.locator("#before-after").click()
    expect(page.locator("#pair")).to_be_visible()
    accessible(page, "before and after")
    download = page.locator("#pair-download")
    with Image.open(save(page, download.click, tmp_path)) as image:
        assert "compositeWithTrainedAlgorithmicMedia" in str(image.info["xmp"])
        beside = np.asarray(image, dtype=float)
    page.get_by_label("Half and half").check()
    shot(page, "before-and-after")
    with Image.open(save(page, download.click, tmp_path)) as image:
        halves = np.asarray(image, dtype=float)
    assert halves.shape == (240, 320, 3) and beside.shape == (240, 644, 3)
    for picture, gray, color in (
        (beside, np.s_[:, :310], np.s_[:, 330:]),
        (halves, np.s_[:, :150], np.s_[:, 170:]),
    ):
        assert chroma(picture[gray]) < 1 < chroma(picture[color])
