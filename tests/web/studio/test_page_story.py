"""The studio's page from beginning to end: by mouse."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.web.studio.screen import (
    DESKTOP,
    EXAMPLES,
    accessible,
    chroma,
    colored,
    drawn_examples,
    drop,
    kept,
    pixels,
    place,
    save,
    settled,
    slide,
    until,
)


def open_and_compare(page: Page, shot: Callable[[Page, str], None]) -> np.ndarray:
    """Colored, and compared by the divider: what the whole photo looks like then."""
    drop(page, EXAMPLES / "castle_clinton.jpg")
    expect(page.locator("#progress")).to_be_visible()
    colored(page)
    settled(page)
    shot(page, "story-2-colored")
    assert chroma(pixels(page, 0.3, 0.5, 60)) < 2  # left of the divider it is gray
    assert chroma(pixels(page, 0.7, 0.5, 60)) > 4

    # The divider follows the mouse.
    slide(page, page.locator("#divider svg"), place(page, 0.85, 0.7))
    share = int(page.locator("#divider").get_attribute("aria-valuenow") or 0)
    assert share > 80
    assert chroma(pixels(page, 0.7, 0.5, 60)) < 2
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#divider")).to_be_hidden()
    settled(page)
    whole = pixels(page, 0.5, 0.5, 301)
    assert chroma(whole) > 4
    return whole


def set_colors(page: Page, whole: np.ndarray) -> None:
    """Vividness and saturation are seen as the slider moves; another coloring becomes the base."""
    asked: list[str] = []
    settled(page)
    page.on("request", lambda r: "/preview?" in r.url and asked.append(r.url))
    slider = page.locator("#saturation")
    box = slider.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(1, 30):
        page.mouse.move(box["x"] + box["width"] / 2 * (1 - step / 29), box["y"] + 10)
    expect(page.locator("output[for=saturation]")).to_have_text("0 %")
    settled(page)
    assert chroma(pixels(page, 0.5, 0.5, 301)) < 1.5
    assert kept(page)["saturation"] == 1  # it is not let go yet
    lively = [url for url in asked if "size=240" not in url]
    assert 1 <= len(lively) < 30
    assert "saturation=0.000" in lively[-1]  # the last one counts
    page.mouse.up()
    assert kept(page)["saturation"] == 0
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("output[for=saturation]")).to_have_text("100 %")
    settled(page)
    assert np.abs(pixels(page, 0.5, 0.5, 301) - whole).mean() < 0.5
    page.keyboard.press("Control+Shift+Z")
    expect(page.locator("output[for=saturation]")).to_have_text("0 %")
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("output[for=saturation]")).to_have_text("100 %")
    page.locator("#vividness").fill("40")
    expect(page.locator("#vividness")).to_have_attribute("aria-valuetext", "40 more vivid")
    assert kept(page)["temperature"] == pytest.approx(0.38 * 2.63**-0.4)

    # Another coloring becomes the base, and others still can be asked for.
    page.get_by_role("radio", name="Version 3").click()
    settled(page)
    assert np.abs(pixels(page, 0.5, 0.5, 301) - whole).mean() > 1
    page.get_by_role("button", name="Show 4 more").click()
    expect(page.get_by_role("radio", name="Best guess")).to_be_checked()
    assert kept(page)["seed"] == 1


def hint_a_spot(page: Page, shot: Callable[[Page, str], None]) -> None:
    """A spot: its likely colors, then a hint that the network follows."""
    page.mouse.click(*place(page, 0.4, 0.35))
    expect(page.locator(".swatches button").first).to_be_visible()
    shares = [
        int(re.sub(r"\D", "", text)) for text in page.locator(".swatches span").all_inner_texts()
    ]
    assert shares == sorted(shares, reverse=True) and 1 <= sum(shares) <= 108
    assert page.locator("#plane").evaluate(
        "c => c.getContext('2d').getImageData(110,110,1,1).data[3]"
    )
    settled(page)
    before = pixels(page, 0.4, 0.35)
    page.locator("#own input").fill("#c03020")
    expect(page.locator(".hint")).to_have_count(1)
    settled(page)
    after = pixels(page, 0.4, 0.35)
    assert (after[..., 0] - after[..., 2]).mean() > (before[..., 0] - before[..., 2]).mean() + 20
    shot(page, "story-3-hint")
    accessible(page, "a hint")
    page.get_by_role("button", name="Keep it gray").click()
    settled(page)
    assert chroma(pixels(page, 0.4, 0.35)) < 12
    assert kept(page)["hints"][0]["gray"] is True
    expect(page.locator(".hint")).to_have_attribute("aria-label", "Hint 1: gray")


def move_and_remove_the_hint(page: Page) -> None:
    """The hint is moved and removed, each step is taken back, and another spot gets a color."""
    first = kept(page)["hints"][0]
    slide(page, page.locator(".hint"), place(page, 0.55, 0.45))
    settled(page)
    moved = kept(page)["hints"][0]
    assert moved["x"] > first["x"] + 20 and moved["y"] > first["y"] + 20
    assert [moved[k] for k in ("id", "color", "gray")] == [
        first[k] for k in ("id", "color", "gray")
    ]
    page.get_by_role("button", name="Remove hint", exact=True).click()
    expect(page.locator(".hint")).to_have_count(0)
    for _ in range(3):
        page.keyboard.press("Control+Z")
    expect(page.locator(".hint")).to_have_count(1)
    assert kept(page)["hints"][0]["color"] == [192, 48, 32]
    page.keyboard.press("Control+Y")
    assert kept(page)["hints"][0]["gray"] is True
    page.keyboard.press("Control+Z")

    # A color from the plane, for another spot.
    page.mouse.click(*place(page, 0.6, 0.6))
    expect(page.get_by_role("heading", name="Likely colors here")).to_be_visible()
    expect(page.locator("#spot")).not_to_have_attribute("aria-busy", "true")
    page.locator("#plane").click(position={"x": 60, "y": 85})
    expect(page.locator(".hint")).to_have_count(2)
    settled(page)


def show_weak_spots(page: Page, shot: Callable[[Page, str], None]) -> None:
    """Where it is unsure."""
    page.get_by_role("button", name="Weak spots", exact=True).click()
    expect(page.locator(".suggestion")).to_have_count(5)
    settled(page)
    shot(page, "story-4-unsure")
    accessible(page, "unsure")
    page.locator(".suggestion").first.click()
    expect(page.locator("#spots .chosen")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("#spots .chosen")).to_have_count(0)
    page.get_by_role("button", name="Weak spots", exact=True).click()
    expect(page.locator(".suggestion")).to_have_count(0)


def reload_amid_all(page: Page) -> dict[str, Any]:
    """A reload in the middle changes nothing."""
    settled(page)
    state = kept(page)
    whole = pixels(page, 0.5, 0.5, 301)
    page.reload()
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator(".hint")).to_have_count(2)
    settled(page)
    assert kept(page) == state
    assert np.abs(pixels(page, 0.5, 0.5, 301) - whole).mean() < 0.5
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    return state


def download(page: Page, folder: Path) -> None:
    """The result, at full size."""
    file = save(page, page.locator("#download").click, folder)
    assert file.name == "castle_clinton.color.jpg"
    with Image.open(file) as image, Image.open(EXAMPLES / "castle_clinton.jpg") as source:
        assert image.format == "JPEG" and image.size == source.size and image.mode == "RGB"
        assert chroma(np.asarray(image, dtype=float)) > 4
    page.locator("#formats-button").click()
    file = save(page, lambda: page.get_by_role("button", name="TIFF").click(), folder)
    with Image.open(file) as image:
        assert file.suffix == ".tif" and image.format == "TIFF"


def save_session(page: Page, shot: Callable[[Page, str], None], folder: Path) -> Path:
    """The session as one file."""
    page.get_by_role("button", name="Menu").click()
    shot(page, "story-5-menu")
    accessible(page, "menu")
    session = save(page, lambda: page.get_by_role("button", name="Save session").click(), folder)
    assert session.name == "castle_clinton.photochrom"
    with zipfile.ZipFile(session) as archive:
        assert archive.testzip() is None
        assert (
            archive.read("photo/castle_clinton.jpg")
            == (EXAMPLES / "castle_clinton.jpg").read_bytes()
        )
        assert len(json.loads(archive.read("session.json"))["hints"]) == 2
    return session


def clear_all(page: Page, shot: Callable[[Page, str], None], url: str) -> None:
    """Nothing is left, in the browser or with the service."""
    name = page.evaluate(
        "import('/static/shelf.js').then((s) => s.photos()).then(([{ info }]) => info.photo)"
    )
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("button", name="Clear all").click()
    shot(page, "story-6-clear")
    accessible(page, "a question")
    page.get_by_role("dialog").get_by_role("button", name="Clear all").click()
    expect(page.get_by_role("heading", name="Color an old photo")).to_be_visible()
    until(page, "indexedDB.databases().then((all) => all.length === 0)")
    assert page.evaluate("localStorage.length") == 0
    assert page.request.get(f"{url}api/photos/{name}").status in (404, 410)
    expect(page.locator(".hint")).to_have_count(0)


def restore(page: Page, session: Path, state: dict[str, Any]) -> None:
    """The session comes back from its file."""
    page.set_input_files("#file", session)
    expect(page.locator(".hint")).to_have_count(2)
    settled(page)
    again = kept(page)
    assert [h["color"] for h in again["hints"]] == [h["color"] for h in state["hints"]]
    assert {k: again[k] for k in again if k != "hints"} == {
        k: state[k] for k in state if k != "hints"
    }
    expect(page.locator("#title")).to_contain_text("castle_clinton.jpg")


def test_the_whole_story_by_mouse(server, visit, shot, tmp_path: Path) -> None:
    page = visit(server.url, color_scheme="dark", accept_downloads=True, **DESKTOP)
    expect(page.get_by_role("heading", name="Color an old photo")).to_be_visible()
    drawn_examples(page)
    shot(page, "story-1-empty")
    accessible(page, "empty")
    whole = open_and_compare(page, shot)
    set_colors(page, whole)
    hint_a_spot(page, shot)
    move_and_remove_the_hint(page)
    show_weak_spots(page, shot)
    state = reload_amid_all(page)
    download(page, tmp_path)
    session = save_session(page, shot, tmp_path)
    clear_all(page, shot, server.url)
    restore(page, session, state)
