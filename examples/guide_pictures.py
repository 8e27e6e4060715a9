"""Takes the pictures of docs/first-steps.md, the guide to the studio in ten steps.

    python examples/guide_pictures.py

It goes through the steps in Chromium like a person, with photographs of this folder. Take the
pictures again when the page has changed. Needs the test dependencies, and Chromium.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import Page, expect
from studio_picture import ROOT, place, settle, studio_page

IMAGES = ROOT / "docs" / "images" / "first-steps"
SIZE = (1180, 720)
WIDTH = 900  # of a picture, in pixels
BORDER = 36


def take(page: Page, number: int, name: str) -> None:
    """A picture of the page."""
    with Image.open(io.BytesIO(page.screenshot())) as image:
        small = image.convert("RGB")
        small.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
        small.save(IMAGES / f"{number:02}-{name}.webp", quality=80, method=6)


def scanned(folder: Path) -> Path:
    """A photo as it comes from a scanner: on its side, with the border of the print."""
    with Image.open(ROOT / "examples" / "chateau.jpg") as image:
        side = ImageOps.expand(image.convert("L"), BORDER, 246).rotate(90, expand=True)
    side.save(folder / "chateau.jpg", quality=92)
    return folder / "chateau.jpg"


def drawn(page: Page, *points: tuple[float, float]) -> None:
    """A line drawn on the photo with the mouse."""
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=8)
    page.mouse.up()
    expect(page.get_by_role("heading", name="Likely colors here")).to_be_visible()
    settle(page)


def photo_steps(page: Page, photo: Path) -> None:
    """From the empty page to a photo that is turned."""
    expect(page.locator("#examples img")).to_have_count(4)
    page.wait_for_timeout(500)
    take(page, 1, "open")
    page.set_input_files("#file", photo)
    expect(page.locator("#divider")).to_be_visible()
    settle(page)
    page.locator("#reframe").click()
    expect(page.locator("#framing")).to_be_visible()
    page.locator("#turn-right").click()
    page.locator("#crop-border").click()
    take(page, 2, "turn")
    page.locator("#framing [value=yes]").click()
    expect(page.locator("#framing")).to_be_hidden()
    page.wait_for_timeout(500)
    expect(page.locator("#divider")).to_be_visible()
    settle(page)
    take(page, 3, "compare")


def color_steps(page: Page) -> None:
    """Colors as a whole, then of single things."""
    page.locator("[data-preset=vivid]").click()
    settle(page)
    take(page, 4, "vivid")
    page.locator("#large").click()
    expect(page.locator("#versions img[src]")).to_have_count(5)
    page.wait_for_timeout(500)
    take(page, 5, "versions")
    page.locator("#versions .grid button").first.click()
    page.locator("[data-preset=natural]").click()
    page.locator("#divider").press("Home")
    settle(page)
    page.mouse.click(*place(page, 0.60, 0.52))
    expect(page.get_by_role("heading", name="Likely colors here")).to_be_visible()
    settle(page)
    take(page, 6, "click")
    page.locator(".swatches button").nth(1).click()
    settle(page)
    page.locator("#marks [data-tool=lasso]").click()
    drawn(page, (0.2, 0.08), (0.5, 0.06), (0.52, 0.16), (0.35, 0.2), (0.18, 0.16))
    page.locator(".swatches button").first.click()
    settle(page)
    take(page, 7, "draw")
    page.locator("#leave-spot").click()
    page.locator("#unsure").click()
    expect(page.locator(".suggestion")).to_have_count(5)
    settle(page)
    take(page, 8, "weak")
    page.locator("#unsure").click()


def file_steps(page: Page) -> None:
    """Before and after, and many photos at once."""
    page.locator("#menu-button").click()
    page.locator("#before-after").click()
    expect(page.locator("#pair")).to_be_visible()
    take(page, 9, "before-after")
    page.locator("#pair [value=no]").click()
    names = ("horses", "mariachi", "castle_clinton", "chickens")
    page.set_input_files("#file", [ROOT / "examples" / f"{name}.jpg" for name in names])
    expect(page.locator("#tray [data-state=ready]")).to_have_count(5)
    page.locator("#select").click()
    page.locator("#many-all").click()
    settle(page)
    page.wait_for_timeout(2000)  # for the thumbnails
    take(page, 10, "many")


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, studio_page(*SIZE) as page:
        photo_steps(page, scanned(Path(folder)))
        color_steps(page)
        file_steps(page)
    total = sum(path.stat().st_size for path in IMAGES.glob("*.webp"))
    print(f"{IMAGES}: {total / 1000:.0f} kB")


if __name__ == "__main__":
    main()
