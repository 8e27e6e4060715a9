"""The studio's page in a real browser, against the real service.

Pictures of the screens go to the folder that PHOTOCHROM_SCREENSHOTS names, to be looked at.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import zipfile
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import axe_playwright_python
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, FileChooser, Locator, Page, Route, expect

import photochrom
from photochrom.photo.read import read_photo

EXAMPLES = Path(__file__).parents[3] / "examples"
STATIC = Path(photochrom.__file__).parent / "web" / "static" / "studio"
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
expect.set_options(timeout=60_000)  # for a page that never gets there, not for a slow machine


@pytest.fixture(scope="module")
def studio(serve_studio: Callable[..., Any]) -> Any:
    return serve_studio("--port", "0", "--threads", "1")


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page as a new person's browser; anything that goes wrong in it fails the test."""
    wrong: list[str] = []
    contexts = []

    def open_page(url: str, **options: Any) -> Page:
        contexts.append(chromium.new_context(**{"reduced_motion": "reduce", **options}))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda m: "Security Policy" in m.text and wrong.append(m.text))
        root = url.partition("?")[0]
        ours = (root, "data:", f"blob:{root}")
        page.on("request", lambda r: r.url.startswith(ours) or wrong.append(r.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def shot(tmp_path: Path) -> Callable[[Page, str], None]:
    """Takes a picture of the screen; nothing may stick out of it."""
    folder = Path(os.environ.get("PHOTOCHROM_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")
        assert page.viewport_size is not None
        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]

    return take


def accessible(page: Page, where: str) -> None:
    """axe-core finds nothing."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    told = [
        (one["id"], one["help"], [node["html"][:120] for node in one["nodes"]])
        for one in found["violations"]
    ]
    assert told == [], where


def drop(page: Page, *files: Path) -> None:
    """What the browser does when files are dropped on the page."""
    given = [(file.name, base64.b64encode(file.read_bytes()).decode()) for file in files]
    page.evaluate(
        """(files) => {
          const carried = new DataTransfer();
          for (const [name, text] of files) {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            carried.items.add(new File([bytes], name));
          }
          for (const type of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(new DragEvent(type, {
              dataTransfer: carried, bubbles: true, cancelable: true,
            }));
          }
        }""",
        given,
    )


def drop_from_disk(page: Page, *paths: Path) -> None:
    """What the browser does when a person drops files or folders on the page."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        drag = {"type": kind, "x": 500, "y": 300, "data": data}
        devtools.send("Input.dispatchDragEvent", drag)


def colored(page: Page) -> None:
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#divider")).to_be_visible()
    expect(page.locator(".strip img[src]")).to_have_count(5)


def settled(page: Page) -> None:
    """All that was asked for is drawn."""
    expect(page.locator("#stage")).to_have_attribute("aria-busy", "false")


def until(page: Page, expression: str) -> None:
    """Waits for what no element tells. (wait_for_function would need eval in the page.)"""
    for _ in range(1200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {expression}")


def drawn_examples(page: Page) -> None:
    expect(page.locator("#examples img")).to_have_count(4)
    until(page, "[...document.querySelectorAll('#examples img')].every((i) => i.naturalWidth > 0)")


def pixels(page: Page, x: float, y: float, side: int = 9) -> np.ndarray:
    """What the canvas shows about a place, in shares of its sides: (side, side, 3)."""
    found = page.evaluate(
        """([x, y, side]) => {
          const { width, height } = canvas;
          const at = [Math.round(x * width - side / 2), Math.round(y * height - side / 2)];
          const { data } = canvas.getContext("2d").getImageData(...at, side, side);
          // As text: a list of numbers takes seconds on its way.
          return btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));
        }""",
        [x, y, side],
    )
    rgba = np.frombuffer(base64.b64decode(found), dtype=np.uint8).reshape(side, side, 4)
    return rgba[..., :3].astype(float)


TRAY_CHROMA = """(image) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [40, 40];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, 40, 40);
  const data = context.getImageData(0, 0, 40, 40).data;
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    const rgb = data.slice(i, i + 3);
    sum += Math.max(...rgb) - Math.min(...rgb);
  }
  return sum / 1600;
}"""


def chroma(values: np.ndarray) -> float:
    return float((values.max(axis=-1) - values.min(axis=-1)).mean())


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def slide(page: Page, handle: Locator, to: tuple[float, float], steps: int = 8) -> None:
    box = handle.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(*to, steps=steps)
    page.mouse.up()


STATE = """import("/static/shelf.js").then(async (shelf) => {
  await shelf.inTurn(() => {});
  const photo = (await shelf.photos()).find(({ key }) => key === shelf.desk().current);
  return photo.states[photo.at];
})"""


def kept(page: Page) -> dict[str, Any]:
    """What was decided about the photo on the desk."""
    state: dict[str, Any] = page.evaluate(STATE)
    return state


def forget(page: Page) -> None:
    """Has the service forget the photo, and the page not know of it."""
    page.evaluate(
        "async () => { const [{ info }] = await (await import('/static/shelf.js')).photos();"
        " await fetch(`/api/photos/${info.photo}`, { method: 'DELETE' }); }"
    )


def save(page: Page, press: Callable[[], None], path: Path) -> Path:
    with page.expect_download() as download:
        press()
    download.value.save_as(path / download.value.suggested_filename)
    return path / download.value.suggested_filename


# --- the whole story ------------------------------------------------------------------------------


def test_the_whole_story_by_mouse(studio, visit, shot, tmp_path: Path) -> None:
    page = visit(studio.url, color_scheme="dark", accept_downloads=True, **DESKTOP)
    expect(page.get_by_role("heading", name="Color an old photograph")).to_be_visible()
    drawn_examples(page)
    shot(page, "story-1-empty")
    accessible(page, "empty")

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

    # Vividness and saturation are seen while the slider moves.
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

    # A spot: its likely colors, then a hint that the network follows.
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

    # It is moved and removed; each step can be taken back.
    first = kept(page)["hints"][0]
    slide(page, page.locator(".hint"), place(page, 0.55, 0.45))
    settled(page)
    moved = kept(page)["hints"][0]
    assert moved["x"] > first["x"] + 20 and moved["y"] > first["y"] + 20
    assert [moved[k] for k in ("id", "color", "gray")] == [
        first[k] for k in ("id", "color", "gray")
    ]
    page.get_by_role("button", name="Remove hint").click()
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

    # Where it is unsure.
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

    # A reload in the middle.
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

    # The result, at full size.
    file = save(page, page.locator("#download").click, tmp_path)
    assert file.name == "castle_clinton.color.jpg"
    with Image.open(file) as image, Image.open(EXAMPLES / "castle_clinton.jpg") as source:
        assert image.format == "JPEG" and image.size == source.size and image.mode == "RGB"
        assert chroma(np.asarray(image, dtype=float)) > 4
    page.locator("#formats-button").click()
    file = save(page, lambda: page.get_by_role("button", name="TIFF").click(), tmp_path)
    with Image.open(file) as image:
        assert file.suffix == ".tif" and image.format == "TIFF"

    # The session as one file, and back from nothing.
    page.get_by_role("button", name="Menu").click()
    shot(page, "story-5-menu")
    accessible(page, "menu")
    session = save(page, lambda: page.get_by_role("button", name="Save session").click(), tmp_path)
    assert session.name == "castle_clinton.photochrom"
    with zipfile.ZipFile(session) as archive:
        assert archive.testzip() is None
        assert (
            archive.read("photo/castle_clinton.jpg")
            == (EXAMPLES / "castle_clinton.jpg").read_bytes()
        )
        assert len(json.loads(archive.read("session.json"))["hints"]) == 2
    name = page.evaluate(
        "import('/static/shelf.js').then((s) => s.photos()).then(([{ info }]) => info.photo)"
    )
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("button", name="Clear all").click()
    shot(page, "story-6-clear")
    accessible(page, "a question")
    page.get_by_role("dialog").get_by_role("button", name="Clear all").click()
    expect(page.get_by_role("heading", name="Color an old photograph")).to_be_visible()
    until(page, "indexedDB.databases().then((all) => all.length === 0)")
    assert page.evaluate("localStorage.length") == 0
    assert page.request.get(f"{studio.url}api/photos/{name}").status in (404, 410)
    expect(page.locator(".hint")).to_have_count(0)
    page.set_input_files("#file", session)
    expect(page.locator(".hint")).to_have_count(2)
    settled(page)
    again = kept(page)
    assert [h["color"] for h in again["hints"]] == [h["color"] for h in state["hints"]]
    assert {k: again[k] for k in again if k != "hints"} == {
        k: state[k] for k in state if k != "hints"
    }
    expect(page.locator("#title")).to_contain_text("castle_clinton.jpg")


def test_the_whole_story_by_keyboard(studio, visit, shot, tmp_path: Path) -> None:
    page = visit(studio.url, color_scheme="light", accept_downloads=True, **DESKTOP)
    choosers: list[FileChooser] = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    drawn_examples(page)

    def tab_to(id: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == id:
                return
        pytest.fail(f"Tab does not lead to {id}")

    tab_to("choose")
    page.keyboard.press("Enter")
    for _ in range(200):
        if choosers:
            break
        page.wait_for_timeout(50)
    choosers[0].set_files(EXAMPLES / "cameraman.jpg")
    expect(page.locator("#canvas")).to_be_focused()
    colored(page)
    settled(page)
    shot(page, "keyboard-1-colored")
    expect(page.locator("#canvas")).to_be_focused()
    page.keyboard.press("ArrowRight")  # shows the crosshair
    for key in ("Shift+ArrowUp", "Shift+ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator("#crosshair")).to_be_visible()
    expect(page.locator("#live")).to_have_text(re.compile(r"\d+ % across, \d+ % down"))
    shot(page, "keyboard-2-crosshair")
    page.keyboard.press("Enter")
    expect(page.locator(".swatches button").first).to_be_focused()
    expect(page.locator("#live")).to_have_text(re.compile(r"\d likely colors"))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".hint")).to_have_count(1)
    expect(page.locator(".swatches button").nth(1)).to_have_attribute("aria-pressed", "true")
    settled(page)
    page.keyboard.press("Escape")
    expect(page.locator("#canvas")).to_be_focused()

    page.keyboard.press("Tab")
    expect(page.locator(".hint")).to_be_focused()
    first = kept(page)["hints"][0]
    page.keyboard.press("Shift+ArrowRight")
    until(
        page,
        "import('/static/shelf.js').then((s) => s.photos())"
        f".then(([{{ states }}]) => states.at(-1).hints[0].x > {first['x']})",
    )
    expect(page.locator(".hint")).to_be_focused()
    shot(page, "keyboard-3-hint")
    accessible(page, "light")
    page.keyboard.press("Delete")
    expect(page.locator(".hint")).to_have_count(0)
    expect(page.locator("#canvas")).to_be_focused()
    page.keyboard.press("Control+Z")
    expect(page.locator(".hint")).to_have_count(1)

    tab_to("divider")
    page.keyboard.press("Home")
    expect(page.locator("#divider")).to_have_attribute("aria-valuetext", "0 % before, 100 % after")
    for _ in range(3):
        page.keyboard.press("PageUp")
    expect(page.locator("#divider")).to_have_attribute("aria-valuenow", "30")

    page.locator("#canvas").focus()
    for key, pressed in (("u", "true"), ("u", "false")):
        page.keyboard.press(key)
        expect(page.locator("#unsure")).to_have_attribute("aria-pressed", pressed)
    page.keyboard.press("c")
    expect(page.locator("#divider")).to_be_hidden()
    page.keyboard.press("1")
    expect(page.locator("#zoom output")).to_have_text("100 %")
    page.keyboard.press("+")
    expect(page.locator("#zoom output")).to_have_text("125 %")
    page.keyboard.press("0")

    tab_to("vividness")
    page.keyboard.press("ArrowRight")
    expect(page.locator("output[for=vividness]")).to_have_text("+2")
    page.keyboard.press("Control+Z")
    expect(page.locator("output[for=vividness]")).to_have_text("0")
    page.get_by_role("radio", name="Best guess").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Version 2")).to_be_checked()
    expect(page.get_by_role("radio", name="Version 2")).to_be_focused()
    assert kept(page)["candidate"] == 0

    page.locator("#download").focus()
    file = save(page, lambda: page.keyboard.press("Enter"), tmp_path)
    assert file.name == "cameraman.color.jpg" and file.stat().st_size > 10_000
    page.locator("#menu-button").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Keyboard shortcuts").press("Enter")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    shot(page, "keyboard-4-help")
    accessible(page, "help")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#menu-button")).to_be_focused()

    # In the plane neighbors of one name are told apart.
    page.locator("#canvas").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".swatches button").first).to_be_focused()
    page.locator("#plane").focus()
    heard = set()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        expect(page.locator("#live")).to_have_text(re.compile(r", strength \d+.*, [\d.]+ %$"))
        heard.add(re.sub(r"^.*strength", "", page.locator("#live").inner_text()))
        page.wait_for_timeout(50)
    assert len(heard) >= 3

    # The keyboard always has a place: steps that end, questions, photos that go and come.
    page.locator("#undo").focus()
    for _ in range(60):
        if page.locator("#undo").is_disabled():
            break
        page.keyboard.press("Enter")
    expect(page.locator("#redo")).to_be_focused()

    def choose_in_menu(name: str, answer: str) -> None:
        page.locator("#menu-button").focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name=name).press("Enter")
        page.get_by_role("dialog").get_by_role("button", name=answer).press("Enter")

    page.set_input_files("#file", EXAMPLES / "moose.jpg")
    expect(page.locator("#title")).to_contain_text("moose.jpg")
    expect(page.locator("#progress")).to_be_hidden()
    settled(page)
    choose_in_menu("Remove this photo", "Cancel")
    expect(page.locator("#menu-button")).to_be_focused()
    choose_in_menu("Remove this photo", "Remove")
    expect(page.locator("#title")).to_contain_text("cameraman.jpg")
    expect(page.locator("#canvas")).to_be_focused()
    choose_in_menu("Remove this photo", "Remove")
    expect(page.locator("#choose")).to_be_focused()
    page.get_by_role("button", name="Mariachi").press("Enter")
    expect(page.locator("#canvas")).to_be_focused()
    expect(page.locator("#progress")).to_be_hidden()
    settled(page)
    expect(page.locator("#canvas")).to_be_focused()
    # What is said of a hint is not drowned by the weak spots that follow it.
    page.evaluate(
        """() => {
          window.said = [];
          new MutationObserver(() => said.push(live.textContent))
            .observe(document.getElementById("live"), { childList: true });
        }"""
    )
    page.keyboard.press("u")
    expect(page.locator(".suggestion")).to_have_count(5)
    until(page, "said.some((words) => words.startsWith('5 weak spots'))")
    page.locator(".suggestion").first.press("Enter")
    expect(page.locator(".swatches button").first).to_be_focused()
    page.evaluate("said.length = 0")
    with page.expect_response("**/spots?*"):
        page.keyboard.press("Enter")
    settled(page)
    until(page, "said.includes('Hint set.')")
    page.wait_for_timeout(200)
    assert not page.evaluate("said.some((words) => words.startsWith('5 weak spots'))")
    page.locator(".suggestion").first.focus()
    page.keyboard.press("Control+Z")
    expect(page.locator(".hint")).to_have_count(0)
    settled(page)
    expect(page.locator("#canvas")).to_be_focused()


def test_a_phone_by_touch(studio, visit, shot, tmp_path: Path) -> None:
    page = visit(studio.url, color_scheme="dark", accept_downloads=True, **PHONE)
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

    # Two fingers zoom, one pans, and neither is a tap.
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        given = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": given})

    # A finger drags the divider, a hint and a slider.
    def drag(handle: Locator, dx: float, dy: float) -> None:
        box = handle.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        fingers("touchStart", (x, y))
        for step in (0.3, 0.6, 1):
            fingers("touchMove", (x + step * dx, y + step * dy))
        fingers("touchEnd")

    drag(page.locator("#divider svg"), -80, 5)
    share = int(page.locator("#divider").get_attribute("aria-valuenow") or 0)
    assert 15 < share < 40
    old = kept(page)["hints"][0]
    drag(page.locator(".hint"), 30, 20)
    settled(page)
    until(page, f"{STATE}.then(({{ hints: [hint] }}) => hint.x > {old['x'] + 9})")
    page.get_by_role("button", name="Adjust", exact=True).tap()
    box = page.locator("#vividness").bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    expect(page.locator("output[for=vividness]")).to_have_text(re.compile(r"\+[56]\d"))
    settled(page)

    (x, y), scale = place(page, 0.8, 0.5), page.locator("#zoom output").inner_text()
    fingers("touchStart", (x, y - 20))
    fingers("touchStart", (x, y - 20), (x, y + 20))
    for spread in range(30, 100, 10):
        fingers("touchMove", (x, y - spread), (x, y + spread))
    fingers("touchEnd")
    zoomed = page.locator("#zoom output").inner_text()
    assert float(zoomed.split()[0]) > 2 * float(scale.split()[0])
    at = page.locator(".hint").bounding_box()
    fingers("touchStart", (x, y))
    for step in range(15, 50, 10):
        fingers("touchMove", (x - step, y - step))
    fingers("touchEnd")
    expect(page.locator("#zoom output")).to_have_text(zoomed)
    assert page.locator(".hint").bounding_box() != at
    assert len(kept(page)["hints"]) == 1 and page.locator("#spots .chosen").count() == 0
    settled(page)
    shot(page, "phone-5-zoomed")

    # A second photo in the tray, and back to the first.
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
    page.locator("#tray li button").first.tap()
    expect(page.locator("#title")).to_contain_text("Mariachi.jpg")
    expect(page.locator(".hint")).to_have_count(1)
    file = save(page, page.locator("#download").tap, tmp_path)
    assert file.name == "Mariachi.color.jpg"

    page.get_by_role("button", name="Menu").tap()
    page.get_by_role("button", name="Remove this photo").tap()
    page.get_by_role("dialog").get_by_role("button", name="Remove").tap()
    expect(page.locator("#tray li")).to_have_count(1)
    expect(page.locator("#title")).to_contain_text("moose.jpg")


# --- what may happen ------------------------------------------------------------------------------


def test_a_photo_that_the_service_has_forgotten_is_sent_again(serve_studio, visit, shot) -> None:
    server = serve_studio("--port", "0", "--threads", "1")
    page = visit(server.url, **DESKTOP)
    drop(page, EXAMPLES / "castle_clinton.jpg")
    colored(page)
    page.mouse.click(*place(page, 0.6, 0.5))
    page.locator(".swatches button").nth(1).click()
    expect(page.locator(".hint")).to_have_count(1)
    settled(page)
    state = kept(page)

    server.end(signal.SIGKILL)
    page.locator("#saturation").fill("60")
    expect(page.get_by_role("alert")).to_contain_text("photochrom isn’t responding")
    shot(page, "away")
    accessible(page, "away")
    serve_studio("--port", str(server.port), "--threads", "1")
    expect(page.locator("#away")).to_be_hidden()
    colored(page)
    settled(page)
    assert kept(page) == {**state, "saturation": 0.6}
    assert chroma(pixels(page, 0.75, 0.5, 60)) > 1

    # Unknown to the service while the page was closed.
    forget(page)
    page.reload()
    colored(page)
    expect(page.locator(".hint")).to_have_count(1)
    assert kept(page) == {**state, "saturation": 0.6}

    # And while it is open.
    forget(page)
    page.mouse.click(*place(page, 0.4, 0.4))
    expect(page.get_by_role("heading", name="Likely colors here")).to_be_visible()
    expect(page.locator(".swatches button").first).to_be_visible()
    expect(page.locator("#notice")).to_be_hidden()


def test_a_service_with_another_key_says_where_to_find_it(serve_studio, visit, shot) -> None:
    def serve(port: str) -> Any:
        server = serve_studio(
            "--host", "0.0.0.0", "--allow-network", "--port", port, "--threads", "1"
        )
        server.url = f"http://127.0.0.1:{server.port}/?{server.url.partition('?')[2]}"
        return server

    server = serve("0")
    page = visit(server.url, **DESKTOP)
    drop(page, EXAMPLES / "castle_clinton.jpg")
    colored(page)
    settled(page)
    server.end(signal.SIGKILL)
    server = serve(str(server.port))
    page.locator("#saturation").fill("60")
    expect(page.get_by_text("photochrom was restarted. Open the new address")).to_be_visible()
    expect(page.get_by_text("photochrom isn’t responding")).to_be_hidden()
    shot(page, "away-anew")
    accessible(page, "another key")
    # The address in another tab lets this one go on too.
    second = page.context.new_page()
    second.goto(server.url)
    colored(second)
    second.close()
    expect(page.locator("#away")).to_be_hidden()
    colored(page)
    assert kept(page)["saturation"] == 0.6
    # A page cannot tell what is not let in; the answer can.
    page.context.clear_cookies()
    page.reload()
    expect(page.get_by_role("heading")).to_have_text("The key is missing from this address")
    shot(page, "no-key")
    accessible(page, "no key")


def test_errors_are_told_in_words(serve_studio, visit, shot, tmp_path: Path) -> None:
    server = serve_studio("--port", "0", "--threads", "1", "--max-mb", "1", "--max-megapixels", "1")
    page = visit(server.url, **DESKTOP)
    (tmp_path / "notes.txt").write_text("no photo at all")
    whole = (EXAMPLES / "castle_clinton.jpg").read_bytes()
    (tmp_path / "torn.jpg").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "heavy.jpg").write_bytes(whole + bytes(1_100_000))
    (tmp_path / "torn.photochrom").write_bytes(b"PK\3\4" + bytes(40))
    Image.new("L", (1200, 1000), 99).save(tmp_path / "wide.png")

    drop(page, tmp_path / "heavy.jpg", tmp_path / "torn.photochrom")
    notice = page.locator("#notice")
    expect(notice).to_contain_text("heavy.jpg has 1.23 MB; the limit is 1 MB. Make it smaller")
    expect(notice).to_contain_text("torn.photochrom is damaged")
    shot(page, "refused")
    accessible(page, "refused")
    notice.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Color an old photograph")).to_be_visible()

    card = page.locator("#progress")
    for name, words in (
        ("notes.txt", "Not a JPEG, PNG, TIFF, WebP, AVIF or HEIC file. Convert it to"),
        ("torn.jpg", ""),
        ("wide.png", "limit of 1 megapixels. Color it with the command photochrom colorize."),
    ):
        drop(page, tmp_path / name)
        expect(card).to_have_attribute("data-state", "failed")
        expect(card.locator("p")).to_contain_text(words)
        expect(card.locator("p")).to_contain_text(name)
        shot(page, f"failed-{name.split('.')[0]}")
        accessible(page, name)
        expect(page.get_by_role("button", name="Download", exact=True)).to_be_disabled()
        card.get_by_role("button", name="Remove").click()
        expect(page.locator("#desk")).to_be_hidden()

    # Of a folder the photos are opened.
    for name in ("fold/in/b10.PNG", "fold/in/b9.png", "fold/.c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(small_photo())
    (tmp_path / "fold" / "notes.txt").write_text("no photo at all")
    (tmp_path / "void").mkdir()
    page.evaluate(
        "document.addEventListener('drop', (event) => {"
        " [window.dropped] = event.dataTransfer.files; }, { once: true })"
    )
    drop_from_disk(page, tmp_path / "void")
    expect(notice).to_contain_text("There are no photos in “void”.")
    # Where one comes as if it were a file, it cannot be read.
    page.evaluate(
        """() => {
          const carried = new DataTransfer();
          carried.items.add(dropped);
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried }));
        }"""
    )
    expect(notice).to_contain_text("void can’t be read. Check that it is a photo")
    drop_from_disk(page, tmp_path / "fold")
    expect(page.locator("#tray li")).to_have_count(2)
    expect(page.locator("#title")).to_contain_text("b9.png")
    colored(page)
    expect(notice).to_be_hidden()

    # Busy is no error: it is waited for.
    def refuse(route: Route) -> None:
        route.fulfill(status=429, json={"problem": "busy"}, headers={"Retry-After": "0.1"})

    page.route("**/palette?*", refuse, times=2)
    drop(page, EXAMPLES / "castle_clinton.jpg")
    colored(page)
    page.mouse.click(*place(page, 0.6, 0.4))
    expect(page.locator(".swatches button").first).to_be_visible()
    page.route("**/palette?*", refuse)
    page.mouse.click(*place(page, 0.4, 0.4))
    expect(notice).to_contain_text("Busy. Wait a moment, then try again.")


def test_a_bad_first_file_of_many_is_passed_over(studio, visit, shot, tmp_path: Path) -> None:
    page = visit(studio.url, **DESKTOP)
    (tmp_path / "notes.txt").write_text("no photo at all")
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(small_photo())
    drop(page, tmp_path / "notes.txt", tmp_path / "one.png", tmp_path / "two.png")
    expect(page.locator("#title")).to_contain_text("one.png")
    colored(page)
    expect(page.locator("#notice")).to_contain_text("notes.txt: Not a JPEG")
    shot(page, "passed-over")
    # It stays in the tray, and whoever looks at it is not sent away.
    page.locator("#tray li button").first.click()
    expect(page.locator("#progress")).to_have_attribute("data-state", "failed")
    expect(page.locator("#title")).to_contain_text("notes.txt")


def test_odd_sessions_open_and_errors_leave_no_trace_on_the_panel(
    studio, visit, tmp_path: Path
) -> None:
    page = visit(studio.url, **DESKTOP)
    settings = {"temperature": 99, "saturation": 1, "candidate": 50, "seed": 2**40}
    places = [(30, 20), (5000, 20), (-4, 9), (79.99, 59.99)]
    hints = [{"x": x, "y": y, "color": [200, 40, 40], "gray": False} for x, y in places]
    content = {"photochrom": "session", "version": 1, "photo": "small.png"}
    with zipfile.ZipFile(tmp_path / "odd.photochrom", "w") as archive:
        archive.writestr(
            "session.json", json.dumps({**content, "hints": hints, "settings": settings})
        )
        archive.writestr("photo/small.png", small_photo())
    drop(page, tmp_path / "odd.photochrom")
    colored(page)
    expect(page.locator(".hint")).to_have_count(2)
    expect(page.locator("#notice")).to_contain_text("1 hint was dropped")
    expect(page.locator("#notice")).to_contain_text("settings or hints that are out of range")
    state = kept(page)
    assert (state["temperature"], state["candidate"], state["seed"]) == (10, None, 0)

    # Hints that the service refuses do not hide the photo.
    refused = {"status": 422, "json": {"problem": "hint 1: too odd"}}
    page.route("**/predictions", lambda route: route.fulfill(**refused))
    page.locator(".hint").first.press("Delete")
    expect(page.locator("#notice")).to_contain_text("too odd")
    expect(page.locator("#notice")).to_contain_text("shown without its hints")
    settled(page)
    page.unroute("**/predictions")

    # Colors that cannot be had leave the panel as if nothing were chosen.
    page.route("**/palette?*", lambda route: route.fulfill(**refused))
    with page.expect_response("**/palette?*"):
        page.mouse.click(*place(page, 0.54, 0.52))  # the photo is small in the middle
    expect(page.locator("#spot")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("#spot .invite")).to_be_visible()
    expect(page.locator("#spots .chosen")).to_have_count(0)
    page.unroute("**/palette?*")

    page.locator("#notice button").click()
    page.mouse.click(*place(page, 0.46, 0.52))
    expect(page.locator(".swatches button").first).to_be_visible()
    expect(page.locator("#notice")).to_be_hidden()


def test_hints_and_weak_spots_lie_on_their_own_photo(studio, visit, tmp_path: Path) -> None:
    page = visit(studio.url, **DESKTOP)
    hints = [
        {"id": "a", "x": x, "y": 30, "color": [200, 40, 40], "gray": False} for x in (20, 40, 60)
    ]
    settings = {"temperature": 0.38, "saturation": 1, "candidate": None, "seed": 0}
    content = {"photochrom": "session", "version": 1, "photo": "a.png"}
    with zipfile.ZipFile(tmp_path / "a.photochrom", "w") as archive:
        archive.writestr(
            "session.json", json.dumps({**content, "hints": hints, "settings": settings})
        )
        archive.writestr("photo/a.png", small_photo())
    drop(page, tmp_path / "a.photochrom")
    colored(page)
    # Each has a name of its own, whatever the file says.
    expect(page.locator(".hint")).to_have_count(3)
    assert len({hint["id"] for hint in kept(page)["hints"]}) == 3
    page.locator(".hint").nth(1).press("Delete")
    expect(page.locator(".hint")).to_have_count(2)
    page.get_by_role("button", name="Weak spots", exact=True).click()
    expect(page.locator(".suggestion")).to_have_count(5)
    expect(page.locator("#legend")).to_be_visible()

    # Those of one photo are not on the next, also while that is on its way.
    held: list[Route] = []
    page.route("**/api/photos", lambda route: held.append(route))
    (tmp_path / "b.png").write_bytes(small_photo(90, 70))
    drop(page, tmp_path / "b.png")
    expect(page.locator("#title")).to_contain_text("b.png")
    expect(page.locator("#progress")).to_be_visible()
    for gone in (".hint", ".suggestion"):
        expect(page.locator(gone)).to_have_count(0)
    expect(page.locator("#legend")).to_be_hidden()
    for _ in range(200):
        if held:
            break
        page.wait_for_timeout(50)
    held[0].continue_()
    expect(page.locator(".suggestion")).to_have_count(5)
    expect(page.locator("#legend")).to_be_visible()
    expect(page.locator(".hint")).to_have_count(0)


def small_photo(width: int = 80, height: int = 60) -> bytes:
    file = io.BytesIO()
    y, x = np.mgrid[:height, :width]
    Image.fromarray(((x * 2 + y) % 256).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_two_tabs_keep_each_others_photos(studio, visit, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(small_photo())
    first = visit(studio.url, **DESKTOP)
    second = first.context.new_page()
    second.goto(studio.url)
    drop(first, tmp_path / "one.png")
    colored(first)
    second.bring_to_front()
    drop(second, tmp_path / "two.png")
    colored(second)
    first.bring_to_front()
    first.locator("#saturation").fill("60")
    settled(first)
    second.reload()
    expect(second.locator("#tray li")).to_have_count(2)
    first.reload()
    expect(first.locator("#tray li")).to_have_count(2)
    names = "import('/static/shelf.js').then(async (s) => (await s.photos()).map((p) => p.name))"
    assert first.evaluate(names) == ["one.png", "two.png"]
    file = (
        "import('/static/shelf.js')"
        ".then(async (s) => (await s.fileOf((await s.photos())[0].key)).size)"
    )
    assert second.evaluate(file) == len(small_photo())

    # What is cleared in one is put away in the other, and the service forgets what either has sent.
    names = (
        "import('/static/shelf.js').then(async (s) => (await s.photos()).map((p) => p.info.photo))"
    )
    sent = first.evaluate(names)
    forget(first)  # the oldest of them, which the second tab alone sends again
    second.bring_to_front()
    second.locator("#tray li button").first.click()
    colored(second)
    second.reload()
    colored(second)
    # One that is on the shelf of no tab.
    second.evaluate(
        "() => { IDBObjectStore.prototype.put = () => {"
        " throw new DOMException('full', 'QuotaExceededError'); }; }"
    )
    with second.expect_response("**/api/photos") as reply:
        drop(second, tmp_path / "one.png")
    sent.append(reply.value.json()["photo"])
    colored(second)
    sent += first.evaluate(names)
    first.bring_to_front()
    first.get_by_role("button", name="Menu").click()
    first.get_by_role("button", name="Clear all").click()
    first.get_by_role("dialog").get_by_role("button", name="Clear all").click()
    expect(second.get_by_role("heading", name="Color an old photograph")).to_be_visible()
    assert second.evaluate("import('/static/shelf.js').then((s) => s.photos())") == []
    assert len(set(sent)) == 4
    for token in set(sent):
        for _ in range(200):
            if first.request.get(f"{studio.url}api/photos/{token}").status == 404:
                break
            first.wait_for_timeout(50)
        else:
            pytest.fail("it is still there")


def test_two_tabs_with_one_photo_share_its_hints(studio, visit, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(small_photo())
    first = visit(studio.url, **DESKTOP)
    drop(first, tmp_path / "one.png")
    colored(first)
    settled(first)
    second = first.context.new_page()
    second.goto(studio.url)
    colored(second)

    # A hint of one tab is seen in the other, and so is what that one makes of it.
    first.bring_to_front()
    first.mouse.click(*place(first, 0.46, 0.52))
    first.locator(".swatches button").nth(1).click()
    expect(second.locator(".hint")).to_have_count(1)
    second.bring_to_front()
    second.locator("#saturation").fill("60")
    expect(first.locator("output[for=saturation]")).to_have_text("60 %")
    first.bring_to_front()
    first.keyboard.press("Control+Z")
    expect(second.locator("output[for=saturation]")).to_have_text("100 %")
    expect(second.locator(".hint")).to_have_count(1)

    # A slider that is being dragged stays in the hand, and counts when it is let go.
    box = second.locator("#saturation").bounding_box()
    assert box is not None
    second.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    second.mouse.down()
    second.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2, steps=3)
    dragged = second.locator("#saturation").input_value()
    assert 140 < int(dragged) < 160
    first.locator("#vividness").fill("40")
    expect(second.locator("output[for=vividness]")).to_have_text("+40")
    assert second.locator("#saturation").input_value() == dragged
    second.mouse.up()
    expect(first.locator("output[for=saturation]")).to_have_text(f"{dragged} %")
    expect(first.locator("output[for=vividness]")).to_have_text("+40")
    expect(second.locator("#notice")).to_be_hidden()
    # Taken back to where it was it says nothing, and the next change is seen again.
    second.locator("#saturation").fill("100")
    second.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    second.mouse.down()
    for x in (0.6, 0.5):
        second.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] / 2)
    second.mouse.up()
    first.locator("#saturation").fill("90")
    expect(second.locator("output[for=saturation]")).to_have_text("90 %")
    first.locator("#saturation").fill("100")
    first.locator("#vividness").fill("0")
    expect(second.locator("output[for=vividness]")).to_have_text("0")

    # A tab that hears nothing, as one that sleeps, does not write over what it has not seen.
    settled(first)
    kept(first)  # nothing is left to write, which would have it see what the other does
    second.evaluate("BroadcastChannel.prototype.postMessage = () => {}")
    second.bring_to_front()
    second.locator(".hint").press("Delete")
    second.mouse.click(*place(second, 0.54, 0.52))
    second.locator(".swatches button").nth(2).click()
    expect(second.locator(".hint")).to_have_count(1)
    settled(second)
    compact = json.dumps(kept(second), separators=(",", ":"))
    first.bring_to_front()
    first.locator("#saturation").fill("150")
    expect(first.locator("#notice")).to_contain_text("was also changed in another tab")
    expect(first.locator("output[for=saturation]")).to_have_text("150 %")
    settled(first)
    first.keyboard.press("Control+Z")
    expect(first.locator("output[for=saturation]")).to_have_text("100 %")
    until(first, f"{STATE}.then((now) => JSON.stringify(now) === `{compact}`)")


STORED = """import("/static/shelf.js").then(() => new Promise((resolve) => {
  indexedDB.open("photochrom-studio").onsuccess = ({ target: { result: db } }) => {
    const [files, photos] = ["files", "photos"].map((name) =>
      db.transaction(name).objectStore(name).count());
    photos.onsuccess = () => {
      db.close();
      resolve(`${files.result} ${photos.result}`);
    };
  };
}))"""  # how many files and how many records

RECORDS = """(change) => new Promise((resolve) => {
  indexedDB.open("photochrom-studio").onsuccess = ({ target: { result: db } }) => {
    const transaction = db.transaction(["files", "photos"], "readwrite");
    const [files, photos] = ["files", "photos"].map((name) => transaction.objectStore(name));
    files.put(new Blob(["x"]), "nobody's");
    photos.getAll().onsuccess = ({ target }) => {
      for (const record of target.result) {
        if (record.name === change) photos.put({ ...record, used: Date.now() - 3e8 }, record.key);
      }
    };
    transaction.oncomplete = () => resolve(db.close());
  };
})"""  # a file without a record, and a photo of that name that was not looked at for days


def test_a_reload_amid_a_drop_loses_nothing(studio, visit, tmp_path: Path) -> None:
    names = ("one.png", "two.png", "three.png", "four.png")
    for name in names:
        (tmp_path / name).write_bytes(small_photo())
    page = visit(studio.url, **DESKTOP)
    # The last of them takes for ever to be read, and none gets as far as the service.
    page.evaluate(
        """() => {
          const slice = Blob.prototype.slice;
          Blob.prototype.slice = function (...part) {
            if (this.name !== "four.png") return slice.apply(this, part);
            return { arrayBuffer: () => new Promise(() => {}) };
          };
        }"""
    )
    page.route("**/api/photos", lambda route: None)
    drop(page, *(tmp_path / name for name in names))
    expect(page.locator("#tray li")).to_have_count(3)
    until(page, f"{STORED}.then((found) => found === '3 3')")
    page.evaluate(RECORDS, "two.png")
    until(page, f"{STORED}.then((found) => found === '4 3')")
    page.unroute("**/api/photos")
    page.reload()
    expect(page.locator("#tray li")).to_have_count(3)
    colored(page)
    until(page, f"{STORED}.then((found) => found === '3 3')")
    # Those that came lately get their colors without being looked at.
    expect(page.locator("#tray [data-state=ready]")).to_have_count(2)
    until(
        page,
        "import('/static/shelf.js').then((s) => s.photos()).then((all) => all"
        ".map(({ name, colored }) => `${name} ${colored}`).join() === "
        "'one.png true,two.png false,three.png true')",
    )
    expect(page.locator("#tray [data-state=waiting]")).to_have_count(1)

    # Without a photo in this tab there may still be something to clear.
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("button", name="Clear all").click()
    page.get_by_role("dialog").get_by_role("button", name="Clear all").click()
    until(page, "indexedDB.databases().then((all) => all.length === 0)")
    page.evaluate("import('/static/shelf.js').then((s) => s.photos())")
    page.evaluate(RECORDS, "")
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("button", name="Clear all").click()
    page.get_by_role("dialog").get_by_role("button", name="Clear all").click()
    until(page, "indexedDB.databases().then((all) => all.length === 0)")


def test_a_drop_before_the_page_is_ready_is_not_lost(studio, visit) -> None:
    page = visit(studio.url, **DESKTOP)
    # The shelf is still being read then: what comes from it is put beside what was dropped.
    page.add_init_script(
        f"""addEventListener("DOMContentLoaded", () => {{
          const carried = new DataTransfer();
          const text = "{base64.b64encode(small_photo()).decode()}";
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          carried.items.add(new File([bytes], "early.png"));
          document.body.dispatchEvent(new DragEvent("drop", {{
            dataTransfer: carried, bubbles: true, cancelable: true,
          }}));
        }});"""
    )
    for count in (1, 2):
        page.reload()
        colored(page)
        expect(page.locator("#tray li")).to_have_count(count)


def test_a_full_browser_says_so_and_rather_loses_the_way_than_the_photo(
    studio, visit, tmp_path: Path
) -> None:
    (tmp_path / "one.png").write_bytes(small_photo())
    page = visit(studio.url, **DESKTOP)
    drop(page, tmp_path / "one.png")
    colored(page)
    settled(page)
    # As if there were room for two steps, then for none.
    page.evaluate(
        """() => {
          window.room = 2;
          const put = IDBObjectStore.prototype.put;
          IDBObjectStore.prototype.put = function (value, key) {
            if (value.states?.length > room) throw new DOMException("full", "QuotaExceededError");
            return put.call(this, value, key);
          };
        }"""
    )
    for value in ("80", "60", "40"):
        page.locator("#saturation").fill(value)
    until(
        page,
        "import('/static/shelf.js').then((s) => s.photos())"
        ".then(([{ states }]) => states.length === 1 && states[0].saturation === 0.4)",
    )
    expect(page.locator("#notice")).to_be_hidden()
    page.evaluate("window.room = 0")
    page.locator("#saturation").fill("20")
    expect(page.locator("#notice")).to_contain_text("no room to keep")
    # No file without what is known of it: nobody would ever remove it.
    (tmp_path / "two.png").write_bytes(small_photo())
    drop(page, tmp_path / "two.png")
    expect(page.locator("#notice")).to_contain_text("two.png is too large for this browser")
    assert page.evaluate(STORED) == "1 1"


def test_a_photo_that_is_removed_while_it_comes_is_not_left_behind(
    studio, visit, tmp_path: Path
) -> None:
    (tmp_path / "one.png").write_bytes(small_photo(3000, 2000))
    page = visit(studio.url, **DESKTOP)
    with page.expect_response("**/api/photos") as reply:
        drop(page, tmp_path / "one.png")
        # All of it is sent: from here on only the answer tells the name that is to be forgotten.
        expect(page.locator("#progress p")).to_have_text("Coloring…")
        page.evaluate("document.getElementById('away-with-it').click()")
        expect(page.get_by_role("heading", name="Color an old photograph")).to_be_visible()
    address = f"{studio.url}api/photos/{reply.value.json()['photo']}"
    for _ in range(200):
        if page.request.get(address).status == 404:
            break
        page.wait_for_timeout(50)
    else:
        pytest.fail("it is still there")


def test_24_megapixels_down_to_each_pixel(studio, visit, shot, tmp_path: Path) -> None:
    # Grain that no preview could show.
    rng = np.random.default_rng(0)
    gray = rng.integers(60, 200, (4000, 6000), dtype=np.uint8)
    Image.fromarray(gray).save(tmp_path / "large.png", compress_level=1)
    page = visit(studio.url, **DESKTOP)
    page.set_input_files("#file", tmp_path / "large.png")
    colored(page)
    settled(page)
    fit = float(page.locator("#zoom output").inner_text().split()[0])
    assert fit < 20
    tiles: list[str] = []
    page.on("request", lambda r: "/tile?" in r.url and tiles.append(r.url))
    page.locator("#divider").press("End")  # all of it as it came
    page.locator("#zoom").click()
    expect(page.locator("#zoom output")).to_have_text("100 %")
    settled(page)
    shown = pixels(page, 0.5, 0.5, 300).mean(axis=-1)
    # Somewhere near the middle, for the canvas may be of odd size: there it is, pixel for pixel.
    middle = gray[2000 - 156 : 2000 + 156, 3000 - 156 : 3000 + 156].astype(float)
    off = min(
        np.abs(middle[dy : dy + 300, dx : dx + 300] - shown).mean()
        for dy in range(12)
        for dx in range(12)
    )
    assert off < 6
    assert tiles and all("scale=1" in url for url in tiles)
    page.locator("#divider").press("Home")
    settled(page)
    assert pixels(page, 0.5, 0.5, 300).mean(axis=-1).std() > 30  # the grain is in the result too

    # The wheel zooms about the mouse, dragging pans.
    page.mouse.move(*place(page, 0.25, 0.25))
    page.mouse.wheel(0, -200)
    expect(page.locator("#zoom output")).not_to_have_text("100 %")
    slide(page, page.locator("#canvas"), place(page, 0.2, 0.2))
    assert page.locator("#spots .chosen").count() == 0
    settled(page)
    shot(page, "pixels")
    page.mouse.wheel(0, 3000)
    for _ in range(30):
        page.mouse.wheel(0, 400)
    expect(page.locator("#zoom output")).to_have_text(re.compile(rf"^{fit:g} %|{round(fit)} %$"))


def test_a_download_is_of_the_kind_of_its_source(studio, visit, tmp_path: Path) -> None:
    page = visit(studio.url, accept_downloads=True, **DESKTOP)
    deep = np.linspace(0, 65535, 80 * 60, dtype=np.uint16).reshape(60, 80)
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    (tmp_path / "plain.png").write_bytes(small_photo())
    for name, kind, bits in (("deep.tif", ".tif", 16), ("plain.png", ".png", 8)):
        drop(page, tmp_path / name)
        expect(page.locator("#title")).to_contain_text(name)
        colored(page)
        file = save(page, page.locator("#download").click, tmp_path)
        assert file.name == name.replace(".", ".color.")
        photo = read_photo(file)
        assert photo.pixels.dtype.itemsize * 8 == bits and photo.pixels.shape == (60, 80, 3)
        assert photo.extension == kind


def test_pasting_and_several_at_once(studio, visit) -> None:
    page = visit(studio.url, color_scheme="light", **DESKTOP)
    data = base64.b64encode((EXAMPLES / "cameraman.jpg").read_bytes()).decode()
    page.evaluate(
        """(text) => {
          const carried = new DataTransfer();
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          carried.items.add(new File([bytes], "im\\u202eage.jpg"));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried }));
        }""",
        data,
    )
    colored(page)
    expect(page.locator("#title")).to_have_text("image.jpg · 512 × 512")
    drop(page, EXAMPLES / "castle_clinton.jpg", EXAMPLES / "horses.jpg")
    expect(page.locator("#tray li")).to_have_count(3)
    expect(page.locator("#title")).to_contain_text("castle_clinton.jpg")
    colored(page)
    expect(page.locator("#tray button[data-state=ready]")).to_have_count(3)
    # The one that was never on the desk has its colors in the tray too.
    until(page, f"({TRAY_CHROMA})(document.querySelectorAll('#tray img')[2]) > 4")
    page.locator("#tray li button").nth(2).click()
    expect(page.locator("#title")).to_contain_text("horses.jpg")
    colored(page)
    page.reload()
    expect(page.locator("#tray li")).to_have_count(3)
    expect(page.locator("#title")).to_contain_text("horses.jpg")
    colored(page)


def test_every_size_and_scheme(studio, visit, shot) -> None:
    page = visit(studio.url)
    drawn_examples(page)
    for stage in ("empty", "spot"):
        for width, height, scheme in (
            (320, 568, "light"),
            (844, 390, "dark"),
            (900, 600, "light"),
            (820, 1180, "light"),
            (820, 1180, "dark"),
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


def inside(inner: Locator, outer: Locator) -> bool:
    """Whether one lies between the left and the right edge of the other."""
    small, large = inner.bounding_box(), outer.bounding_box()
    assert small is not None and large is not None
    left, right = small["x"] - large["x"], large["x"] + large["width"] - small["x"] - small["width"]
    return left >= -0.5 and right >= -0.5


def test_the_gray_photo_stays_until_its_colors_come(studio, visit, shot) -> None:
    page = visit(studio.url, **DESKTOP)
    held: list[Route] = []
    for picture in ("**/preview?*", "**/original?*"):
        page.route(picture, lambda route: held.append(route))
    drop(page, EXAMPLES / "castle_clinton.jpg")
    for reloaded in (False, True):
        if reloaded:
            held.clear()
            page.reload()
        while not held:
            page.wait_for_timeout(50)
        for _ in range(200):
            page.wait_for_timeout(200)
            if (shown := pixels(page, 0.5, 0.5, 200)).std() > 20:
                break
        assert shown.std() > 20 and chroma(shown) == 0
        expect(page.locator("#progress")).to_contain_text("Coloring…")
        shot(page, f"before-the-colors{'-again' * reloaded}")
    for route in held:
        route.continue_()
    page.unroute_all()
    colored(page)
    settled(page)
    assert chroma(pixels(page, 0.75, 0.5, 60)) > 1


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


def test_each_of_many_photos_can_be_reached(studio, visit, shot, tmp_path: Path) -> None:
    page = visit(studio.url, **DESKTOP, has_touch=True)
    held: list[Route] = []  # what becomes of the photos is no matter here
    page.route("**/api/photos", lambda route: held.append(route))
    for number in range(30):
        (tmp_path / f"{number:02}.png").write_bytes(small_photo())
    drop(page, *sorted(tmp_path.glob("*.png")))
    photos, add = page.locator("#tray li button"), page.locator("#add")
    expect(photos).to_have_count(30)
    focused = f"""(number) => {{
      const button = document.querySelectorAll("#tray button")[number];
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
        until(page, f"({HIT})(document.querySelector('#tray li button'))")
        assert not photos.last.evaluate(HIT)
        page.mouse.wheel(0, 4000)
        until(page, f"({HIT})(document.querySelector('#tray li:last-child button'))")
        shot(page, f"tray-{width}x{height}")
        assert add.evaluate(HIT)
        for _ in range(20):
            if photos.first.evaluate(HIT):
                break
            swipe(page, x, y, *((200, 0) if width == 768 else (0, 200)))
        assert photos.first.evaluate(HIT), width
        photos.first.focus()
        for number in range(31):
            assert page.evaluate(focused, number), (width, number)
            page.keyboard.press("Tab")
    for route in held:
        route.abort()


def test_the_tools_leave_the_photo_its_room(studio, visit, shot, tmp_path: Path) -> None:
    page = visit(studio.url, **DESKTOP)
    gray = Image.open(io.BytesIO(small_photo())).convert("L")
    tinted = Image.merge("RGB", [gray.point(lambda v, k=k: int(v * k)) for k in (1, 0.85, 0.65)])
    tinted.save(tmp_path / "tinted.png")
    drop(page, tmp_path / "tinted.png")
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


def test_the_archive_is_a_zip_and_nothing_else_is_a_session(studio, visit) -> None:
    page = visit(studio.url)
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("session.json", json.dumps({"photochrom": "session", "version": 1}))
    deflated = io.BytesIO()
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("session.json", "{}" * 100)
    newer = io.BytesIO()
    with zipfile.ZipFile(newer, "w") as archive:
        archive.writestr("session.json", json.dumps({"photochrom": "session", "version": 2}))
    broken = bytearray(plain.getvalue())
    broken[45] ^= 1  # in the content: its checksum fails
    settings = {"temperature": 0.38, "saturation": 1, "candidate": None, "seed": 0}
    whole = {"photochrom": "session", "version": 1, "hints": [], "settings": settings}

    def session(name: Any, photo: bytes = b"12345", others: int = 0) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("session.json", json.dumps({**whole, "photo": name}))
            archive.writestr("photo/a.png", photo)
            for n in range(others):
                archive.writestr(f"photo/{n}", photo)
        return file.getvalue()

    torn = session("a").replace(b"12345", b"12354")
    # Two entries in one place: the second local header is that of the first.
    twice = bytearray(session("a", others=1))
    second = twice.rindex(b"PK\1\2")
    first = twice.rindex(b"PK\1\2", 0, second)
    twice[second + 42 : second + 46] = twice[first + 42 : first + 46]
    elsewhere = bytearray(session("a", others=1))  # nobody asks for that one
    elsewhere[elsewhere.rindex(b"12345")] ^= 1
    cases = [
        (plain.getvalue(), "not a photochrom session"),
        (deflated.getvalue(), "damaged"),
        (newer.getvalue(), "newer photochrom"),
        (broken, "damaged"),
        (b"PK\3\4", "damaged"),
        (torn, "damaged"),
        (twice, "damaged"),
        (session("a", others=15), "damaged"),
        (elsewhere, "=a"),
        (session("a", others=14), "=a"),
        (session("  evil\u202egpj.exe\u2066\n\0 "), "=evilgpj.exe"),
        (session("x" * 300 + ".png"), "=" + "x" * 255),
        *((session(name), "=a.png") for name in ("", "\u202e\n", None, 7, ["b"], {})),
    ]
    told = page.evaluate(
        """async (texts) => {
          const { read } = await import("/static/session.js");
          return Promise.all(texts.map(async (text) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const file = new File([bytes], "s.photochrom");
            return read(file).then(({ name }) => `=${name}`, (error) => error.message);
          }));
        }""",
        [base64.b64encode(data).decode() for data, _ in cases],
    )
    for (_, words), said in zip(cases, told, strict=True):
        assert said == words if words[0] == "=" else words in said


def test_colors_are_those_of_the_package(studio, visit) -> None:
    from photochrom.color.lab import rgb_to_lab

    page = visit(studio.url)
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 256, (200, 3))
    wild = rng.uniform([2, -100, -100], [98, 100, 100], (200, 3))
    named = {
        (134, 116, 81): "khaki",
        (128, 128, 0): "khaki",
        (70, 66, 30): "dark olive",
        (245, 238, 205): "cream",
        (255, 220, 0): "light yellow",
        (120, 80, 45): "brown",
    }
    names = page.evaluate(
        "(all) => import('/static/lab.js').then(({ nameOf }) => all.map(nameOf))",
        [list(rgb) for rgb in named],
    )
    assert names == list(named.values())
    # Two swatches of one name are told apart.
    labels = page.evaluate(
        """async () => {
          const { Spot } = await import("/static/spot.js");
          const spot = new Spot(document.getElementById("spot"));
          const color = [134, 116, 81];
          const colors = [[2, 21], [2, 33]].map((ab) => ({ color, ab, probability: 0.4 }));
          spot.show({ L: 50, bins: [[0, 20, 0.8]], current: color, colors }, null);
          return [...spot.swatches.children].map((button) => button.getAttribute("aria-label"));
        }"""
    )
    assert labels == ["khaki, strength 21, hue 85°, 40 %", "khaki, strength 33, hue 87°, 40 %"]
    lab, back, fitted = page.evaluate(
        """async ([rgb, wild]) => {
          const { fitted, labOf } = await import("/static/lab.js");
          const lab = rgb.map(labOf);
          return [lab, lab.map((one) => fitted(...one)), wild.map((one) => fitted(...one))];
        }""",
        [rgb.tolist(), wild.tolist()],
    )
    np.testing.assert_allclose(lab, rgb_to_lab(rgb[None].astype(np.uint8))[0], atol=0.05)
    assert np.array_equal(back, rgb)
    # What sRGB does not have keeps its lightness and its hue.
    found = rgb_to_lab(np.array(fitted, dtype=np.uint8)[None])[0]
    assert np.abs(found[:, 0] - wild[:, 0]).max() < 1
    strong = np.linalg.norm(found[:, 1:], axis=1) > 10
    turned = np.angle((found[:, 1] + 1j * found[:, 2]) * (wild[:, 1] - 1j * wild[:, 2]))
    assert np.abs(turned[strong]).max() < 0.15


def test_what_cannot_be_had_is_not_asked_for_at_each_redraw(studio, visit) -> None:
    page = visit(studio.url)
    failures = page.evaluate(
        """async () => {
          const { Layer } = await import("/static/layer.js");
          let failures = 0;
          const layer = new Layer(() => {}, () => { failures++; });
          const source = {
            photo: "a", key: "a", live: false, most: 1600, whole: () => "/api/photos/gone/original",
          };
          const counts = [];
          for (const anew of [true, false, false, true]) {
            if (anew) layer.set(source);
            layer.want(640);
            while (failures < counts.filter((_, at) => at % 3 === 0).length + (anew ? 1 : 0)) {
              await new Promise((resolve) => setTimeout(resolve, 20));
            }
            await new Promise((resolve) => setTimeout(resolve, 100));
            counts.push(failures);
          }
          return counts;
        }"""
    )
    assert failures == [1, 1, 1, 2]


def test_modules_import_in_one_direction_and_the_desk_knows_no_page() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")}
    imports = {
        name: re.findall(r'(?:from|import) "\./(.+?)"', text) for name, text in texts.items()
    }
    TopologicalSorter(imports).prepare()  # raises where they go in a circle
    below, left = set(), ["desk.js"]
    while left:
        below.add(name := left.pop())
        left += set(imports[name]) - below
    for name in below:
        assert not re.search(r"\b(document|window)\b", texts[name]), name
