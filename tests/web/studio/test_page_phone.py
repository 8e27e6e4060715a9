"""The studio's page from beginning to end: by touch."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import CDPSession, Locator, Page, expect

from tests.web.studio.screen import (
    EXAMPLES,
    STATE,
    accessible,
    chroma,
    colored,
    drawn_examples,
    inside,
    kept,
    pixels,
    place,
    save,
    settled,
    until,
)

PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}


def fingers(touch: CDPSession, kind: str, *points: tuple[float, float]) -> None:
    given = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
    touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": given})


def drag(touch: CDPSession, handle: Locator, dx: float, dy: float) -> None:
    """A finger drags the divider, a hint or a slider."""
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers(touch, "touchStart", (x, y))
    for step in (0.3, 0.6, 1):
        fingers(touch, "touchMove", (x + step * dx, y + step * dy))
    fingers(touch, "touchEnd")


def drag_by_finger(page: Page, touch: CDPSession) -> None:
    """The divider and a hint are dragged, a slider is tapped."""
    drag(touch, page.locator("#divider svg"), -80, 5)
    share = int(page.locator("#divider").get_attribute("aria-valuenow") or 0)
    assert 15 < share < 40
    old = kept(page)["hints"][0]
    drag(touch, page.locator(".hint"), 30, 20)
    settled(page)
    until(page, f"{STATE}.then(({{ hints: [hint] }}) => hint.x > {old['x'] + 9})")
    page.get_by_role("button", name="Adjust", exact=True).tap()
    box = page.locator("#vividness").bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    expect(page.locator("output[for=vividness]")).to_have_text(re.compile(r"\+[56]\d"))
    settled(page)


def zoom_and_pan(page: Page, touch: CDPSession) -> None:
    """Two fingers zoom, one pans, and neither is a tap."""
    (x, y), scale = place(page, 0.8, 0.5), page.locator("#zoom output").inner_text()
    fingers(touch, "touchStart", (x, y - 20))
    fingers(touch, "touchStart", (x, y - 20), (x, y + 20))
    for spread in range(30, 100, 10):
        fingers(touch, "touchMove", (x, y - spread), (x, y + spread))
    fingers(touch, "touchEnd")
    zoomed = page.locator("#zoom output").inner_text()
    assert float(zoomed.split()[0]) > 2 * float(scale.split()[0])
    at = page.locator(".hint").bounding_box()
    fingers(touch, "touchStart", (x, y))
    for step in range(15, 50, 10):
        fingers(touch, "touchMove", (x - step, y - step))
    fingers(touch, "touchEnd")
    expect(page.locator("#zoom output")).to_have_text(zoomed)
    assert page.locator(".hint").bounding_box() != at
    assert len(kept(page)["hints"]) == 1 and page.locator("#spots .chosen").count() == 0
    settled(page)


def open_a_second(page: Page, shot: Callable[[Page, str], None]) -> None:
    """A second photo in the tray, and back to the first."""
    page.set_input_files("#file", EXAMPLES / "moose.jpg")
    expect(page.locator("#tray li")).to_have_count(2)
    colored(page)
    expect(page.locator("#original")).to_be_visible()
    page.get_by_role("button", name="Original colors").tap()
    settled(page)
    assert chroma(pixels(page, 0.25, 0.5, 40)) > 10
    page.set_viewport_size({"width": 320, "height": 568})
    settled(page)
    shot(page, "phone-6-narrow")
    for button in page.locator("#tools button:visible").all():
        assert inside(button, page.locator("#tools"))
    page.set_viewport_size({"width": 390, "height": 780})
    page.get_by_role("button", name="Photos", exact=True).tap()
    page.locator("#tray .photo").first.tap()
    expect(page.locator("#title")).to_contain_text("Mariachi.jpg")
    expect(page.locator(".hint")).to_have_count(1)


def walk_the_sheets(page: Page, shot: Callable[[Page, str], None]) -> None:
    """A hint, then each sheet in both schemes."""
    page.touchscreen.tap(*place(page, 0.55, 0.5))
    expect(page.locator(".swatches button").first).to_be_visible()
    page.locator(".swatches button").nth(1).tap()
    expect(page.locator(".hint")).to_have_count(1)
    settled(page)
    shot(page, "phone-3-hint")
    accessible(page, "phone, a hint")
    for tab, sheet in (("Adjust", "#vividness"), ("Colorings", ".strip"), ("Photos", "#tray")):
        page.get_by_role("button", name=tab, exact=True).tap()
        expect(page.locator(sheet)).to_be_visible()
        expect(page.locator(".swatches")).to_be_hidden()
        settled(page)
        shot(page, f"phone-4-{tab.lower()}")
        accessible(page, f"phone, {tab}")
        page.emulate_media(color_scheme="light")
        accessible(page, f"phone, light, {tab}")
        page.emulate_media(color_scheme="dark")


def test_a_phone_by_touch(server, visit, shot, tmp_path: Path) -> None:
    page = visit(server.url, color_scheme="dark", accept_downloads=True, **PHONE)
    drawn_examples(page)
    shot(page, "phone-1-empty")
    accessible(page, "phone, empty")
    page.get_by_role("button", name="Mariachi").tap()
    colored(page)
    settled(page)
    shot(page, "phone-2-colored")
    for button in page.locator("#bar button:visible, #tools button:visible, #tabs button").all():
        box = button.bounding_box()
        assert box is not None and min(box["width"], box["height"]) >= 36
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    walk_the_sheets(page, shot)
    touch = page.context.new_cdp_session(page)
    drag_by_finger(page, touch)
    zoom_and_pan(page, touch)
    shot(page, "phone-5-zoomed")
    open_a_second(page, shot)
    file = save(page, page.locator("#download").tap, tmp_path)
    assert file.name == "Mariachi.color.jpg"

    page.get_by_role("button", name="Menu").tap()
    page.get_by_role("button", name="Remove this photo").tap()
    page.get_by_role("dialog").get_by_role("button", name="Remove").tap()
    expect(page.locator("#tray li")).to_have_count(1)
    expect(page.locator("#title")).to_contain_text("moose.jpg")
