"""The studio's page from beginning to end: by keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import FileChooser, Page, expect

from tests.web.studio.screen import (
    DESKTOP,
    EXAMPLES,
    accessible,
    colored,
    drawn_examples,
    kept,
    save,
    settled,
    until,
)


def tab_to(page: Page, id: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == id:
            return
    pytest.fail(f"Tab does not lead to {id}")


def hint_by_keyboard(page: Page, shot: Callable[[Page, str], None]) -> None:
    """The crosshair, a color, and the hint: moved, removed, brought back."""
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


def settings_by_keyboard(page: Page) -> None:
    """The divider, the zoom, a slider and the colorings."""
    tab_to(page, "divider")
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

    tab_to(page, "vividness")
    page.keyboard.press("ArrowRight")
    expect(page.locator("output[for=vividness]")).to_have_text("+2")
    page.keyboard.press("Control+Z")
    expect(page.locator("output[for=vividness]")).to_have_text("0")
    page.get_by_role("radio", name="Best guess").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Version 2")).to_be_checked()
    expect(page.get_by_role("radio", name="Version 2")).to_be_focused()
    assert kept(page)["candidate"] == 0


def download_and_help_by_keyboard(
    page: Page, shot: Callable[[Page, str], None], folder: Path
) -> None:
    """The result, and the page about the keys."""
    page.locator("#download").focus()
    file = save(page, lambda: page.keyboard.press("Enter"), folder)
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


def walk_in_the_plane(page: Page) -> None:
    """In the plane neighbors of one name are told apart."""
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


def keep_a_place(page: Page) -> None:
    """The keyboard always has a place: steps that end, questions, photos that go and come."""
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


def hear_of_a_hint(page: Page) -> None:
    """What is said of a hint is not drowned by the weak spots that follow it."""
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


def test_the_whole_story_by_keyboard(server, visit, shot, tmp_path: Path) -> None:
    page = visit(server.url, color_scheme="light", accept_downloads=True, **DESKTOP)
    choosers: list[FileChooser] = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    drawn_examples(page)
    tab_to(page, "choose")
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
    hint_by_keyboard(page, shot)
    settings_by_keyboard(page)
    download_and_help_by_keyboard(page, shot, tmp_path)
    walk_in_the_plane(page)
    keep_a_place(page)
    hear_of_a_hint(page)
