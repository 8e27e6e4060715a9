"""Photos that the studio was started with, and the sidecars that it keeps beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from photochrom import Colorizer
from photochrom.batch.job import Settings
from photochrom.batch.sidecar import SIDECAR, read_sidecar, with_sidecar
from photochrom.errors import ConfigError
from photochrom.look import Look
from photochrom.web.studio.given import checked_photos
from photochrom.web.studio.studio import Studio
from tests.web.studio.screen import colored
from tests.web.studio_client import encoded, gray_photo, serving

HINT = {"x": 30, "y": 20, "color": [200, 40, 40]}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "old.png"
    path.write_bytes(encoded(gray_photo()))
    return path


@pytest.fixture
def given(studio: Studio, photo: Path) -> Iterator[httpx.Client]:
    with serving(studio, photos=checked_photos([str(photo)])) as client:
        yield client


def test_a_decision_is_written_beside_the_photo_and_followed_by_the_command(
    given: httpx.Client, photo: Path, colorizer: Colorizer
) -> None:
    (told,) = given.get("/api/given").json()["photos"]
    assert (told["name"], told["hints"], told["settings"]) == ("old.png", [], {})
    assert given.get(told["url"]).content == photo.read_bytes()
    decided = {"hints": [HINT | {"reach": 0.5}], "settings": {"temperature": 0.2}}
    assert given.put(f"{told['url']}/sidecar", json=decided).status_code == 204
    written = json.loads(Path(f"{photo}{SIDECAR}").read_text())
    assert written == {"photochrom": "sidecar", "version": 1} | decided
    followed = with_sidecar(str(photo), Settings.of(colorizer, Look()))
    assert followed is not None
    assert (followed.temperature, len(followed.hints)) == (0.2, 1)
    (told,) = given.get("/api/given").json()["photos"]
    assert (told["hints"], told["settings"]) == (decided["hints"], decided["settings"])


def test_what_is_not_of_the_studio_stays_and_nothing_decided_is_no_sidecar(
    given: httpx.Client, photo: Path
) -> None:
    sidecar = Path(f"{photo}{SIDECAR}")
    sidecar.write_text('{"photochrom": "sidecar", "settings": {"keep_color": 0.5, "seed": 3}}')
    assert given.put("/api/given/0/sidecar", json={"hints": [HINT]}).status_code == 204
    said = read_sidecar(str(photo))
    assert said is not None and said.settings == {"keep_color": 0.5} and len(said.hints) == 1
    sidecar.write_text('{"photochrom": "sidecar", "hints": []}')
    assert given.put("/api/given/0/sidecar", json={}).status_code == 204
    assert not sidecar.exists()


def test_a_foreign_file_with_its_name_is_left_alone(given: httpx.Client, photo: Path) -> None:
    sidecar = Path(f"{photo}{SIDECAR}")
    sidecar.write_text("shopping list")
    reply = given.put("/api/given/0/sidecar", json={"hints": [HINT]})
    assert reply.status_code == 409 and "is not a sidecar" in reply.json()["problem"]
    assert sidecar.read_text() == "shopping list"
    assert "is not a sidecar" in given.get("/api/given").json()["photos"][0]["problem"]


def test_only_photos_that_were_named_have_a_place(given: httpx.Client, tmp_path: Path) -> None:
    for number in (1, -1):
        assert given.get(f"/api/given/{number}").status_code == 404
        assert given.put(f"/api/given/{number}/sidecar", json={"hints": [HINT]}).status_code == 404
    for name in (tmp_path, tmp_path / "none.jpg"):
        with pytest.raises(ConfigError):
            checked_photos([str(name)])


def test_the_page_opens_the_photo_shows_places_and_keeps_hints_beside_it(
    serve_studio: Callable[..., Any], chromium: Browser, photo: Path
) -> None:
    studio = serve_studio(str(photo), "--port", "0", "--threads", "1")
    page = chromium.new_context(viewport={"width": 1366, "height": 768}).new_page()
    page.set_default_timeout(20_000)
    page.goto(studio.url)
    colored(page)
    page.evaluate(
        "import('/static/desk.js').then(({ desk }) => desk.choose({ x: 30.6, y: 22, hint: null }))"
    )
    expect(page.locator("#place")).to_have_text("This spot: x 30, y 22")
    page.locator("#keep-gray").click()
    expect(page.locator(".hint")).to_have_count(1)
    for _ in range(200):
        if Path(f"{photo}{SIDECAR}").exists():
            break
        page.wait_for_timeout(50)
    said = read_sidecar(str(photo))
    assert said is not None and said.hints[0][2] == (128.0, 128.0, 128.0)
    page.reload()
    expect(page.locator(".hint")).to_have_count(1)
    page.context.close()
