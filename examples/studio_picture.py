"""Takes docs/images/studio.jpg, the README's picture of the studio.

    python examples/studio_picture.py                         as it is in the README
    python examples/studio_picture.py --dark -o dark.jpg      the other scheme

It starts `photochrom studio`, works on a photo in Chromium like a person (two hints, and a third
spot whose colors are looked at), and takes a picture of the page. Take it again when the page or
the model has changed. Needs the test dependencies, and Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).parent.parent
expect.set_options(timeout=60_000)
HINTS = ((0.60, 0.52, "#c3ad84"), (0.47, 0.80, "#5f7461"))  # shares of the photo: stone, water
LOOK = (0.84, 0.70)  # the spot whose palette is open: moss on a wall
DIVIDER = 0.36


def place(page: Page, across: float, down: float) -> tuple[float, float]:
    """Where a place of the photo, in shares of its sides, is on the screen."""
    # The divider is as high as the photo, and at its left edge when it is at 0.
    line, stage = (page.locator(f"#{name}").bounding_box() for name in ("divider", "stage"))
    assert line is not None and stage is not None
    left = line["x"] + line["width"] / 2
    width = 2 * (stage["x"] + stage["width"] / 2 - left)
    return left + across * width, line["y"] + down * line["height"]


def settle(page: Page) -> None:
    """Wait until all that was asked for is drawn."""
    expect(page.locator("#stage")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#spot")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator(".strip img[src]")).to_have_count(5)
    page.wait_for_timeout(500)  # the strip's pictures and transitions


def work(page: Page, photo: Path) -> bytes:
    """Color the photo and correct it; the page as PNG."""
    page.set_input_files("#file", photo)
    expect(page.locator("#divider")).to_be_visible()
    settle(page)
    page.locator("#divider").press("Home")
    for across, down, color in HINTS:
        page.mouse.click(*place(page, across, down))
        expect(page.get_by_role("heading", name="Likely colors here")).to_be_visible()
        settle(page)
        page.locator("#own input").fill(color)
        settle(page)
    page.mouse.click(*place(page, *LOOK))
    expect(page.get_by_role("heading", name="Likely colors here")).to_be_visible()
    settle(page)
    for _ in range(round(DIVIDER / 0.02)):
        page.locator("#divider").press("ArrowRight")
    page.locator("#canvas").evaluate("canvas => document.activeElement.blur()")
    page.mouse.move(0, 0)
    settle(page)
    return page.screenshot()


@contextlib.contextmanager
def studio_page(width: int, height: int, *, dark: bool = False) -> Iterator[Page]:
    """The page of a studio that runs as long as the block does."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    command = [sys.executable, "-m", "photochrom", "studio", "--port", "0", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
                reduced_motion="reduce",
            )
            page.goto(url)
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--photo", type=Path, default=ROOT / "examples" / "chateau.jpg")
    parser.add_argument("--dark", action="store_true", help="in the dark scheme")
    parser.add_argument("--size", default="1440x900", help="of the window, pixels")
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "docs" / "images" / "studio.jpg"
    )
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with studio_page(width, height, dark=options.dark) as page:
        picture = work(page, options.photo)
    Image.open(io.BytesIO(picture)).convert("RGB").save(options.output, quality=88, optimize=True)
    print(f"{options.output}: {width} x {height}")


if __name__ == "__main__":
    main()
