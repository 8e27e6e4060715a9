"""Scripted participants in a real browser, against the real server."""

import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from photochrom.cli.main import main

PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
EXPOSURE = 100  # ms; short, for the waiting is not what is tested
REPLACED = "That pair is no longer available. Here is a different one."
expect.set_options(timeout=60_000)  # for a page that never gets there, not for a slow machine

# Notes each state of the page, and at the moment of exposure what there is to see: no polling from
# outside could be sure to be there in time.
RECORDER = """
window.log = [];
addEventListener("DOMContentLoaded", () => {
  const trial = document.getElementById("trial");
  new MutationObserver(() => {
    const images = [...trial.querySelectorAll(".frame img")];
    window.log.push({
      state: trial.dataset.state,
      images: images.map((i) => [i.complete, i.naturalWidth, getComputedStyle(i).visibility]),
      buttons: [...trial.querySelectorAll("button:not(:disabled)")].map((b) => b.id),
    });
  }).observe(trial, { attributes: true, attributeFilter: ["data-state"] });
});
"""


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page as a new person's browser; anything that goes wrong in it fails the test."""
    wrong: list[str] = []
    contexts = []

    def open_page(url: str, **options: Any) -> Page:
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.add_init_script(RECORDER)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: r.url.startswith((url, "data:")) or wrong.append(r.url))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def begin(serve_study, study_folders: Path, tmp_path: Path) -> Callable[[], Any]:
    return lambda: serve_study(
        "--real", str(study_folders / "real"),
        "--fake", f"ours={study_folders / 'ours'}", "--fake", f"calm={study_folders / 'calm'}",
        "-o", str(tmp_path / "s.db"), "--port", "0",
        "--trials", "4", "--practice", "2", "--catch", "1", "--exposure", str(EXPOSURE / 1000),
    )  # fmt: skip


def trials(path: Path, columns: str = "*") -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as db:
        rows = db.execute(f"SELECT {columns} FROM trial ORDER BY participant, position, id")
        found = rows.fetchall()
    db.close()
    return found


def wait_for(page: Page, state: str) -> None:
    expect(page.locator("#trial")).to_have_attribute("data-state", state)


def test_a_session_by_keyboard(begin, visit, tmp_path: Path, capsys) -> None:
    server = begin()
    page = visit(server.url, viewport={"width": 1280, "height": 800})
    expect(page.get_by_role("heading", name="Which one was recolored?")).to_be_visible()
    expect(page.locator("#amount")).to_contain_text("practice on 2 pairs")
    page.screenshot(path=tmp_path / "welcome.png")
    page.keyboard.press("Space")  # the button has the focus
    for number in range(1, 8):
        if number == 3:
            expect(page.get_by_role("heading", name="Practice is over")).to_be_visible()
            page.keyboard.press("Enter")
        label = f"Practice {number} of 2" if number < 3 else f"Pair {number - 2} of 5"
        wait_for(page, "ready")
        expect(page.locator("#progress-text")).to_have_text(label)
        page.keyboard.press("ArrowLeft")  # nothing has been asked yet
        wait_for(page, "ready")
        page.keyboard.press("Space")
        wait_for(page, "question")
        expect(page.get_by_role("status")).to_have_text("Which one was recolored?")
        assert page.locator(".frame img").count() == 0
        side = "ArrowLeft" if number % 2 else "ArrowRight"
        page.keyboard.down(side)
        page.keyboard.down(side)  # held down, which repeats it
        page.keyboard.up(side)
        if number < 3:
            wait_for(page, "feedback")
            shown = page.locator(".frame img")
            assert shown.count() == 2 and shown.first.is_visible(), "once more, with the answer"
            page.screenshot(path=tmp_path / f"feedback{number}.png")
            (left, answer) = trials(tmp_path / "s.db", "fake_left, answer_left")[number - 1]
            words = (
                ("Correct" if left == answer else "Wrong")
                + ".* the "
                + ("left" if left else "right")
            )
            expect(page.get_by_role("status")).to_have_text(re.compile(words))
            page.keyboard.press("Space")
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    page.screenshot(path=tmp_path / "done.png")

    rows = trials(
        tmp_path / "s.db", "kind, state, answer_left, fake_left, exposure_ms, response_ms"
    )
    assert [row[2] for row in rows] == [1, 0, 1, 0, 1, 0, 1]
    assert {row[1] for row in rows} == {"answered"}
    right = sum(row[2] == row[3] for row in rows if row[0] == "counted")
    expect(page.locator("#score")).to_contain_text(f"in {right} of 4 pairs")
    # However rare the frames, the exposure ends at the one that is nearest to its mark.
    assert all(row[4] >= EXPOSURE * 2 / 3 and row[5] >= 0 for row in rows)

    exposed = [entry for entry in page.evaluate("log") if entry["state"] == "shown"]
    assert len(exposed) == 7
    for entry in exposed:
        assert len(entry["images"]) == 2 and entry["buttons"] == ["show"]
        for complete, width, visibility in entry["images"]:
            assert complete and width > 0 and visibility == "visible"

    assert main(["study", "report", str(tmp_path / "s.db"), "--all"]) == 0
    assert "1 participant (1 finished), 4 answers" in capsys.readouterr().out

    page.get_by_role("button", name="Let someone else take part").click()
    page.get_by_role("button", name="Begin").click()
    wait_for(page, "ready")
    expect(page.locator("#progress-text")).to_have_text("Practice 1 of 2")


def test_a_session_by_touch_survives_a_killed_server(
    begin, serve_study, visit, tmp_path: Path
) -> None:
    server = begin()
    page = visit(server.url, **PHONE)
    page.get_by_role("button", name="Begin").tap()
    for number in range(1, 4):
        if number == 3:
            page.locator("#on").tap()
        wait_for(page, "ready")
        page.locator("#show").tap()
        wait_for(page, "question")
        if number < 3:
            page.locator("#left").tap()
            wait_for(page, "feedback")
            page.locator("#show").tap()

    server.end(signal.SIGKILL)
    page.locator("#right").tap()
    expect(page.get_by_role("alert")).to_contain_text("Can’t reach the study")
    page.screenshot(path=tmp_path / "lost.png")
    assert [row for (row,) in trials(tmp_path / "s.db", "state")].count("answered") == 2
    server = serve_study("-o", str(tmp_path / "s.db"), "--port", str(server.port))
    page.evaluate("retry.click()")  # or the page has found it by itself by now
    expect(page.get_by_role("alert")).to_be_hidden()
    wait_for(page, "ready")
    expect(page.locator("#progress-text")).to_have_text("Pair 2 of 5")
    assert trials(tmp_path / "s.db", "state, answer_left")[2] == ("answered", 0)

    # A pair that was seen and not answered is not seen again, whatever happens to page and server.
    page.locator("#pair").tap()
    wait_for(page, "question")
    server.end(signal.SIGKILL)
    server = serve_study("-o", str(tmp_path / "s.db"), "--port", str(server.port))
    page.reload()
    expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()
    expect(page.locator("#so-far")).to_have_text("You have answered 3 of 7 pairs.")
    page.get_by_role("button", name="Continue").tap()
    for number in range(2, 6):
        wait_for(page, "ready")
        expect(page.locator("#progress-text")).to_have_text(f"Pair {number} of 5")
        page.locator("#show").tap()
        wait_for(page, "question")
        page.locator("#left").tap()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    rows = trials(tmp_path / "s.db", "participant, state, photo")
    assert [row[1] for row in rows].count("answered") == 7
    assert [row[1] for row in rows].count("abandoned") == 1
    assert len({row[2] for row in rows}) == 8 and {row[0] for row in rows} == {1}


def test_a_pair_that_is_hidden_while_it_is_shown_is_replaced(begin, visit, tmp_path: Path) -> None:
    page = visit(begin().url)
    page.get_by_role("button", name="Begin").click()
    wait_for(page, "ready")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { get: () => trial.dataset.state === 'shown' });"
        "new MutationObserver(() => document.dispatchEvent(new Event('visibilitychange')))"
        ".observe(trial, { attributes: true, attributeFilter: ['data-state'] })"
    )
    page.locator("#show").click()
    expect(page.get_by_role("status")).to_contain_text("interrupted")
    wait_for(page, "ready")
    assert sorted(row for (row,) in trials(tmp_path / "s.db", "state"))[0] == "abandoned"


def test_a_pair_whose_start_was_confirmed_in_vain_is_replaced(begin, visit, tmp_path: Path) -> None:
    page = visit(begin().url)
    page.get_by_role("button", name="Begin").click()
    wait_for(page, "ready")

    def lose_the_reply(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/start", lose_the_reply, times=1)
    page.locator("#show").click()
    expect(page.get_by_role("status")).to_have_text(REPLACED)
    wait_for(page, "ready")
    expect(page.get_by_role("alert")).to_be_hidden()
    assert [state for (state,) in trials(tmp_path / "s.db", "state")][:2] == [
        "abandoned", "planned",
    ]  # fmt: skip
    assert "shown" not in [entry["state"] for entry in page.evaluate("log")]

    # Nor does a second page of the same person show a pair that the first has shown.
    second = page.context.new_page()
    second.goto(page.url)
    second.get_by_role("button", name="Begin").click()
    wait_for(second, "ready")
    page.locator("#show").click()
    wait_for(page, "question")
    second.locator("#show").click()
    expect(second.get_by_role("status")).to_have_text(REPLACED)
    wait_for(second, "ready")
    page.locator("#left").click()
    expect(page.get_by_role("status")).to_have_text(REPLACED)
    wait_for(page, "ready")
    page.locator("#show").click()
    wait_for(page, "question")
    page.locator("#left").click()
    wait_for(page, "feedback")


def test_every_screen_fits_and_is_legible(begin, visit, tmp_path: Path) -> None:
    url = begin().url
    page = visit(url)
    page.route("**/api/join", lambda route: route.fulfill(json={}))  # as if cookies were refused
    page.locator("#begin").click()
    expect(page.get_by_role("heading", name="needs a cookie")).to_be_visible()
    for width, height, scheme in (
        (320, 568, "light"),
        (780, 360, "dark"),
        (1280, 800, "light"),
    ):
        size = {"width": width, "height": height}
        page = visit(url, viewport=size, color_scheme=scheme, reduced_motion="reduce")
        name = tmp_path / f"{width}-{scheme}"
        page.locator("#begin").wait_for()
        check_screen(page, f"{name}-welcome.png")
        page.locator("#begin").click()
        wait_for(page, "ready")
        check_screen(page, f"{name}-ready.png")
        for id in ("#left", "#right", "#show"):
            box = page.locator(id).bounding_box()
            assert box is not None and min(box["width"], box["height"]) >= 44
            assert box["y"] >= 0 and box["y"] + box["height"] <= height
        page.locator("#show").click()
        wait_for(page, "question")
        check_screen(page, f"{name}-question.png")
        page.locator("#left").click()
        wait_for(page, "feedback")
        check_screen(page, f"{name}-feedback.png")


def check_screen(page: Page, file: str) -> None:
    page.screenshot(path=file)
    assert page.viewport_size is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    for ratio, words in page.evaluate(CONTRASTS):
        assert ratio >= 4.5, (file, words)


# Contrast of all visible text with what lies behind it, as WCAG 2.1 defines it.
CONTRASTS = """() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      if (!/, 0\\)$|transparent/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("body *")]
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())
      && e.checkVisibility({ visibilityProperty: true }))
    .map((e) => {
      const pair = [light(getComputedStyle(e).color), light(behind(e))];
      return [Math.max(...pair) / Math.min(...pair), e.textContent];
    });
}"""
