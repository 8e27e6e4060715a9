"""The reach and the strength of a hint, in Chromium."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Request, expect

EXAMPLES = Path(__file__).parents[3] / "examples"
HINT = {"x": 120, "y": 120, "color": [200, 40, 40], "gray": False, "reach": 0.25}


@pytest.fixture(scope="module")
def studio(serve_studio: Callable[..., Any]) -> Any:
    return serve_studio("--port", "0", "--threads", "1")


def session(path: Path, hint: dict[str, Any]) -> Path:
    settings = {"temperature": 0.38, "saturation": 1, "candidate": None, "seed": 0}
    content = {"photochrom": "session", "version": 1, "photo": "a.jpg", "hints": [hint]}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("session.json", json.dumps({**content, "settings": settings}))
        archive.writestr("photo/a.jpg", (EXAMPLES / "castle.jpg").read_bytes())
    return path


def test_sliders_of_the_chosen_hint_reach_the_service_and_the_session(
    studio: Any, chromium: Browser, tmp_path: Path
) -> None:
    context = chromium.new_context(reduced_motion="reduce", viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.set_default_timeout(60_000)
    asked: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/predictions"):
            asked.append(json.loads(request.post_data or "{}"))

    page.on("request", note)
    page.goto(studio.url)
    page.locator("#file").set_input_files(session(tmp_path / "a.photochrom", HINT))
    expect(page.locator(".hint")).to_have_count(1)
    expect(page.locator("#dials")).to_be_hidden()
    page.locator(".hint").click()
    reach, strength = page.locator("#reach"), page.locator("#strength")
    expect(reach).to_have_value("50")
    expect(reach).to_have_attribute("aria-valuetext", "part of the object")
    expect(strength).to_have_value("100")
    strength.fill("40")
    expect(page.locator("#undo")).to_be_enabled()
    reach.fill("100")
    expect(reach).to_have_attribute("aria-valuetext", "the whole object")
    page.screenshot(path=tmp_path / "dials.png")
    with page.expect_download() as saved:
        page.locator("#menu-button").click()
        page.locator("#save-session").click()
    with zipfile.ZipFile(saved.value.path()) as archive:
        (hint,) = json.loads(archive.read("session.json"))["hints"]
    assert hint == {k: v for k, v in HINT.items() if k != "reach"} | {"strength": 0.4}
    every = [hint for body in asked for hint in body["hints"]]
    sent = [{k: h[k] for k in ("reach", "strength") if k in h} for h in every]
    assert {"reach": 0.25} in sent and {"reach": 0.25, "strength": 0.4} in sent
    assert {"strength": 0.4} in sent
    page.locator("#delete-hint").click()
    expect(page.locator("#dials")).to_be_hidden()
    context.close()
