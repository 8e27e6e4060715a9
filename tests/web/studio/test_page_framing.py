"""A photo turned and cropped on the studio's page, in Chromium."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from tests.web.studio.screen import DESKTOP, accessible, drop, kept, place, save, settled


def test_a_sideways_print_is_turned_and_its_border_cut_off(
    server, visit, shot, draw_picture, tmp_path: Path
) -> None:
    page = visit(server.url, **DESKTOP)
    print_ = np.full((320, 260), 250, np.uint8)  # 260 wide; the picture lies on its side
    inner = np.asarray(Image.fromarray(draw_picture(5, 200, 280)).convert("L"))
    print_[20:300, 30:230] = np.rot90(inner)
    Image.fromarray(print_).save(tmp_path / "print.png")
    drop(page, tmp_path / "print.png")
    settled(page)
    page.mouse.click(*place(page, 0.56, 0.5))
    page.locator(".swatches button").first.click()
    expect(page.locator(".hint")).to_have_count(1)
    page.locator("#undo").click()
    page.locator("#redo").click()
    (before,) = kept(page)["hints"]

    page.locator("#reframe").click()
    expect(page.locator("#framing")).to_be_visible()
    page.locator("#turn-right").click()
    page.locator("#crop-border").click()
    accessible(page, "turn and crop")
    shot(page, "turn-and-crop")
    page.locator("#framing [value=yes]").click()
    expect(page.locator("#title")).to_contain_text("× 2")
    settled(page)
    width, height = map(int, page.locator("#title span").inner_text()[3:].split(" × "))
    assert abs(width - 280) <= 2 and abs(height - 200) <= 2
    (hint,) = kept(page)["hints"]
    # It is where it was in the print: (x, y) of the print is (320 - y, x) of the turned one.
    wanted = [320 - before["y"] - 20, before["x"] - 30]
    assert np.abs(np.subtract([hint["x"], hint["y"]], wanted)).max() <= 1.5

    def session() -> None:
        page.locator("#menu-button").click()
        page.locator("#save-session").click()

    with zipfile.ZipFile(save(page, session, tmp_path)) as archive:
        frame = json.loads(archive.read("session.json"))["frame"]
    assert frame["turn"] == 90 and frame["full"] == {"width": 260, "height": 320}

    page.locator("#reframe").click()
    corner = page.get_by_role("button", name="bottom right corner")
    corner.press("Shift+ArrowLeft")
    corner.press("Shift+ArrowUp")
    expect(page.locator("#framing output")).to_have_text(
        f"{round(0.95 * width)} × {round(0.95 * height)} pixels"
    )
    page.locator("#whole-photo").click()
    expect(page.locator("#title")).to_contain_text("260 × 320")
    settled(page)
    (after,) = kept(page)["hints"]
    assert np.abs(np.subtract([after["x"], after["y"]], [before["x"], before["y"]])).max() < 0.1

    # A session comes back as it was.
    drop(page, tmp_path / "print.photochrom")
    expect(page.locator("#title")).to_contain_text(f"{width} × {height}")
    expect(page.locator(".hint")).to_have_count(1)


def test_what_cannot_be_turned_stays_as_it_was(server, visit, tmp_path: Path) -> None:
    page = visit(server.url, **DESKTOP)
    pages = [Image.new("L", (60, 40), value) for value in (90, 160)]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    drop(page, tmp_path / "two.tif")
    settled(page)
    page.locator("#reframe").click()
    page.locator("#turn-right").click()
    page.locator("#framing [value=yes]").click()
    expect(page.locator("#notice p")).to_contain_text("two.tif: Has 2 pages")
    settled(page)
    expect(page.locator("#title")).to_contain_text("60 × 40")
