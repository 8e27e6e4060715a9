"""Hints that are drawn, the list of hints, and colors from a photo, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.web.studio.screen import DESKTOP, accessible, drop, kept, pixels, place, settled


def draw(page: Page, tool: str, *at: tuple[float, float]) -> None:
    page.locator(f"#marks [data-tool={tool}]").click()
    page.mouse.move(*place(page, *at[0]))
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*place(page, *point), steps=6)
    page.mouse.up()
    page.locator("#spot:not([aria-busy=true]) .swatches button").first.wait_for()


def take(page: Page) -> None:
    page.locator(".swatches button").nth(1).click()


def test_hints_are_drawn_listed_and_take_colors_from_another_photo(
    server, visit, shot, draw_picture, tmp_path: Path
) -> None:
    page = visit(server.url, **DESKTOP)
    for number in range(2):
        Image.fromarray(draw_picture(number, 240, 320)).save(tmp_path / f"{number}.png")
    asked: list[Any] = []
    page.on("request", lambda r: r.url.endswith("/predictions") and asked.append(r.post_data_json))
    drop(page, tmp_path / "0.png", tmp_path / "1.png")
    expect(page.locator("#tray [data-state=ready]")).to_have_count(2)
    settled(page)

    draw(page, "brush", (0.55, 0.5), (0.6, 0.55), (0.65, 0.5))
    take(page)
    draw(page, "box", (0.55, 0.2), (0.7, 0.35))
    take(page)
    expect(page.locator("#reach")).to_be_hidden()  # a region ends at its outline
    draw(page, "lasso", (0.6, 0.6), (0.7, 0.6), (0.65, 0.75))
    page.locator("#eyedropper").click()
    page.locator("#tray .photo").nth(1).click()
    settled(page)
    wanted = pixels(page, 0.62, 0.4, 3).mean(axis=(0, 1))
    page.mouse.click(*place(page, 0.62, 0.4))
    rows = page.locator("#hint-list li")
    expect(rows).to_have_count(3)
    expect(page.locator("#title")).to_contain_text("0.png")
    settled(page)
    stroke, box, lasso = kept(page)["hints"]
    assert len(stroke["stroke"]) > 5 and "region" not in stroke
    assert len(box["region"]) == 4 and len(lasso["region"]) > 5
    assert np.abs(np.subtract(lasso["color"], wanted)).max() <= 3
    assert {frozenset(hint) & {"stroke", "region"} for hint in asked[-1]["hints"]} == {
        frozenset({"stroke"}), frozenset({"region"}),
    }  # fmt: skip
    shot(page, "shapes")
    accessible(page, "shapes")

    # A shape moves with its hint.
    page.locator(".hint").nth(1).press("ArrowRight")
    page.mouse.move(*place(page, 0.1, 0.9))
    expect(page.locator("#stage")).to_have_attribute("aria-busy", "false")
    moved = kept(page)["hints"][1]
    (dx,) = {round(to[0] - at[0], 3) for to, at in zip(moved["region"], box["region"], strict=True)}
    assert dx > 0 and abs(moved["x"] - box["x"] - dx) < 0.01
    rows.nth(0).get_by_role("button", name="Remove hint 1").click()
    expect(rows).to_have_count(2)
    assert [("region" in hint) for hint in kept(page)["hints"]] == [True, True]
    page.locator("#marks [data-tool=spot]").click()
    page.mouse.click(*place(page, 0.6, 0.5))
    page.locator("#eyedropper").click()
    page.keyboard.press("Escape")
    expect(page.locator("#picking")).to_be_hidden()
