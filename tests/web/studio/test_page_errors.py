"""What may go wrong on the studio's page, and how it is told."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.web.studio.screen import (
    DESKTOP,
    EXAMPLES,
    STORED,
    accessible,
    chroma,
    colored,
    drop,
    forget,
    kept,
    pixels,
    place,
    settled,
    small_photo,
    until,
)


def drop_from_disk(page: Page, *paths: Path) -> None:
    """What the browser does when a person drops files or folders on the page."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        drag = {"type": kind, "x": 500, "y": 300, "data": data}
        devtools.send("Input.dispatchDragEvent", drag)


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
    expect(page.get_by_text("photochrom was restarted. Its address has changed")).to_be_visible()
    expect(page.get_by_text("photochrom isn’t responding")).to_be_hidden()
    shot(page, "away-restarted")
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
    expect(notice).to_contain_text("heavy.jpg is 1.23 MB; the limit is 1 MB. Make it smaller")
    expect(notice).to_contain_text("torn.photochrom is damaged")
    shot(page, "refused")
    accessible(page, "refused")
    notice.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Color an old photo")).to_be_visible()

    card = page.locator("#progress")
    for name, words in (
        (
            "notes.txt",
            "Not a JPEG, PNG, TIFF, WebP, AVIF, HEIC, JPEG XL or JPEG 2000 file. Convert it to",
        ),
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


def test_a_bad_first_file_of_many_is_passed_over(server, visit, shot, tmp_path: Path) -> None:
    page = visit(server.url, **DESKTOP)
    (tmp_path / "notes.txt").write_text("no photo at all")
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(small_photo())
    drop(page, tmp_path / "notes.txt", tmp_path / "one.png", tmp_path / "two.png")
    expect(page.locator("#title")).to_contain_text("one.png")
    colored(page)
    expect(page.locator("#notice")).to_contain_text("notes.txt: Not a JPEG")
    shot(page, "passed-over")
    # It stays in the tray, and whoever looks at it is not sent away.
    page.locator("#tray .photo").first.click()
    expect(page.locator("#progress")).to_have_attribute("data-state", "failed")
    expect(page.locator("#title")).to_contain_text("notes.txt")


def test_a_full_browser_says_so_and_rather_loses_the_way_than_the_photo(
    server, visit, tmp_path: Path
) -> None:
    (tmp_path / "one.png").write_bytes(small_photo())
    page = visit(server.url, **DESKTOP)
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
    expect(page.locator("#notice")).to_contain_text("out of storage")
    # No file without what is known of it: nobody would ever remove it.
    (tmp_path / "two.png").write_bytes(small_photo())
    drop(page, tmp_path / "two.png")
    expect(page.locator("#notice")).to_contain_text("two.png is too large for this browser")
    assert page.evaluate(STORED) == "1 1"


def test_what_cannot_be_had_is_not_asked_for_at_each_redraw(server, visit) -> None:
    page = visit(server.url)
    failures = page.evaluate(
        """async () => {
          const { Layer } = await import("/static/layer.js");
          let failures = 0;
          const layer = new Layer(() => {}, () => { failures++; });
          const source = {
            photo: "a", key: "a", live: false, most: 1600, whole: () => "/api/photos/gone/original",
          };
          const counts = [];
          for (const again of [true, false, false, true]) {
            if (again) layer.set(source);
            layer.want(640);
            while (failures < counts.filter((_, at) => at % 3 === 0).length + (again ? 1 : 0)) {
              await new Promise((resolve) => setTimeout(resolve, 20));
            }
            await new Promise((resolve) => setTimeout(resolve, 100));
            counts.push(failures);
          }
          return counts;
        }"""
    )
    assert failures == [1, 1, 1, 2]
