"""The studio's page in every size and scheme."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests.web.studio.screen import (
    DESKTOP,
    EXAMPLES,
    accessible,
    colored,
    drawn_examples,
    drop,
    inside,
    place,
    settled,
    small_photo,
    until,
)


def test_every_size_and_scheme(server, visit, shot) -> None:
    page = visit(server.url)
    drawn_examples(page)
    for stage in ("empty", "spot"):
        for width, height, scheme in (
            (320, 568, "light"),
            (844, 390, "dark"),
            (820, 1180, "light"),
            (1920, 1080, "dark"),
        ):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            settled(page)
            name = f"{width}x{height}-{scheme}-{stage}"
            shot(page, name)
            if stage == "spot":
                for button in page.locator("#tools button:visible").all():
                    assert inside(button, page.locator("#tools")), name
                for words in ("Compare", "Weak spots"):
                    expect(page.get_by_role("button", name=words)).to_have_count(1)
                assert width < 400 or inside(page.locator(".strip"), page.locator("#panel"))
            accessible(page, name)
        if stage == "empty":
            page.set_input_files("#file", EXAMPLES / "castle_clinton.jpg")
            colored(page)
            page.mouse.click(*place(page, 0.6, 0.5))
            page.locator(".swatches button").first.wait_for()
    page.set_viewport_size({"width": 1280, "height": 800})
    top = page.locator("#spot").evaluate("(spot) => spot.offsetTop")
    page.locator("#panel").evaluate("(panel) => panel.scrollTo(0, 0)")
    page.mouse.click(*place(page, 0.7, 0.5))
    expect(page.locator("#spot")).not_to_have_attribute("aria-busy", "true")
    settled(page)
    for _ in range(2):  # with the spot, and with a hint
        caption = page.locator("#spot figcaption").bounding_box()
        assert caption is not None and caption["y"] + caption["height"] <= 800
        page.locator("#panel").evaluate("(panel) => panel.scrollTo(0, 0)")
        page.locator(".swatches button").first.evaluate("(button) => button.click()")
        expect(page.locator(".hint")).to_have_count(1)
        settled(page)
    assert page.locator("#spot").evaluate("(spot) => spot.offsetTop") == top

    # No weak spot lies under words, also on a phone.
    page.set_viewport_size({"width": 390, "height": 780})
    settled(page)
    before = page.locator("#stage").bounding_box()
    page.get_by_role("button", name="Weak spots", exact=True).click()
    expect(page.locator(".suggestion")).to_have_count(5)
    settled(page)
    shot(page, "390x780-unsure")
    legend, stage = (page.locator(f"#{id}").bounding_box() for id in ("legend", "stage"))
    assert legend is not None and stage is not None
    assert legend["y"] >= stage["y"] + stage["height"]
    assert stage == before  # the photo does not jump

    # Where the system decides on colors, those that tell something stay.
    page.set_viewport_size({"width": 1280, "height": 800})
    page.locator("#panel").evaluate("(panel) => panel.scrollTo(0, 0)")
    chips = [page.locator(".swatches i").first, page.locator(".hint i")]
    plain = [middle(chip) for chip in chips]
    page.emulate_media(forced_colors="active")
    settled(page)
    shot(page, "forced-colors")
    accessible(page, "forced colors")
    assert np.abs(np.subtract([middle(chip) for chip in chips], plain)).max() < 3
    bar = drawn(page.locator(".swatches b").first)
    assert np.ptp(bar[len(bar) // 2], axis=0).max() > 100  # a part of it is filled
    for slider in page.locator("input[type=range]").all():
        assert np.ptp(drawn(slider)[:, 30], axis=0).max() > 100  # its track
    pressed, other = (drawn(page.locator(f"#{id}"))[5, 20] for id in ("unsure", "compare"))
    assert np.abs(pressed - other).max() > 60


def drawn(element: Locator) -> np.ndarray:
    """What the screen shows of an element: (height, width, 3)."""
    with Image.open(io.BytesIO(element.screenshot())) as image:
        return np.asarray(image.convert("RGB"), dtype=float)


def middle(element: Locator) -> list[float]:
    """The color in the middle of what the screen shows of an element."""
    seen = drawn(element)
    color: list[float] = seen[len(seen) // 2, seen.shape[1] // 2].tolist()
    return color


HIT = """(element) => {
  const { x, y, width, height } = element.getBoundingClientRect();
  return element.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}"""


def swipe(page: Page, x: float, y: float, dx: float, dy: float) -> None:
    """A finger moves over the page."""
    devtools = page.context.new_cdp_session(page)
    for step in range(11):
        at = {"x": x + step / 10 * dx, "y": y + step / 10 * dy}
        kind = "touchMove" if step else "touchStart"
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
    devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    devtools.detach()
    page.wait_for_timeout(100)


PHOTOS = 30  # more than any of the trays below shows at once


def test_each_of_many_photos_can_be_reached(server, visit, shot, tmp_path: Path) -> None:
    page = visit(server.url, **DESKTOP, has_touch=True)
    held: list[Route] = []  # what becomes of the photos is no matter here
    page.route("**/api/photos", lambda route: held.append(route))
    for number in range(PHOTOS):
        (tmp_path / f"{number:02}.png").write_bytes(small_photo())
    drop(page, *sorted(tmp_path.glob("*.png")))
    photos, add = page.locator("#tray .photo"), page.locator("#add")
    expect(photos).to_have_count(PHOTOS)
    focused = f"""(number) => {{
      const button = document.querySelectorAll("#tray .photo, #add, #select")[number];
      return button === document.activeElement && ({HIT})(button);
    }}"""
    for width, height in ((1440, 900), (1024, 768), (768, 1024), (740, 360), (390, 780)):
        page.set_viewport_size({"width": width, "height": height})
        if width < 640:
            page.locator("#tabs [data-tab=photos]").click()
        page.evaluate("tray.scrollTo(0, 0)")
        x, y = (
            round(photos.first.evaluate(f"(e) => e.getBoundingClientRect().{at} + 30"))
            for at in "xy"
        )
        page.mouse.move(x, y)
        until(page, f"({HIT})(document.querySelector('#tray .photo'))")
        assert not photos.last.evaluate(HIT)
        page.mouse.wheel(0, 4000)
        until(page, f"({HIT})(document.querySelector('#tray li:last-child .photo'))")
        shot(page, f"tray-{width}x{height}")
        assert add.evaluate(HIT)
        for _ in range(20):
            if photos.first.evaluate(HIT):
                break
            swipe(page, x, y, *((200, 0) if width == 768 else (0, 200)))
        assert photos.first.evaluate(HIT), width
        photos.first.focus()
        for number in range(PHOTOS + 1):
            assert page.evaluate(focused, number), (width, number)
            page.keyboard.press("Tab")
    for route in held:
        route.abort()


def test_the_tools_leave_the_photo_its_room(
    server, visit, shot, draw_picture, tmp_path: Path
) -> None:
    page = visit(server.url, **DESKTOP)
    Image.fromarray(draw_picture(3, 60, 80)).save(tmp_path / "color.png")
    drop(page, tmp_path / "color.png")
    colored(page)
    expect(page.get_by_role("button", name="Original colors")).to_be_visible()
    size = "(id) => document.getElementById(id).getBoundingClientRect().height"
    for width, height, least in (
        (1024, 768, 600),
        (1280, 800, 650),
        (320, 568, 200),
        (320, 256, 160),
    ):
        page.set_viewport_size({"width": width, "height": height})
        until(page, f"document.documentElement.clientWidth === {width}")
        shot(page, f"room-{width}x{height}")
        before = page.evaluate(size, "stage")
        assert page.evaluate(size, "tools") < 70, width
        assert before >= least, width
        page.locator("#unsure").click()
        expect(page.locator("#legend")).to_be_visible()
        if height > 480:  # where height is scarce, it takes its line only when it is read
            assert page.evaluate(size, "stage") == before, width
        page.locator("#compare").click()
