"""Photos on the studio's page: they come, are kept, and go."""

from __future__ import annotations

import base64
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route, expect

from photochrom.photo.read import read_photo
from tests.web.studio.screen import (
    DESKTOP,
    EXAMPLES,
    STATE,
    STORED,
    chroma,
    colored,
    drop,
    forget,
    kept,
    pixels,
    place,
    save,
    settled,
    slide,
    small_photo,
    until,
)

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


def test_hints_and_weak_spots_lie_on_their_own_photo(server, visit, tmp_path: Path) -> None:
    page = visit(server.url, **DESKTOP)
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


def test_two_tabs_keep_each_others_photos(server, visit, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(small_photo())
    first = visit(server.url, **DESKTOP)
    second = first.context.new_page()
    second.goto(server.url)
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
    second.locator("#tray .photo").first.click()
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
    expect(second.get_by_role("heading", name="Color an old photo")).to_be_visible()
    assert second.evaluate("import('/static/shelf.js').then((s) => s.photos())") == []
    assert len(set(sent)) == 4
    for token in set(sent):
        for _ in range(200):
            if first.request.get(f"{server.url}api/photos/{token}").status == 404:
                break
            first.wait_for_timeout(50)
        else:
            pytest.fail("it is still there")


def test_two_tabs_with_one_photo_share_its_hints(server, visit, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(small_photo())
    first = visit(server.url, **DESKTOP)
    drop(first, tmp_path / "one.png")
    colored(first)
    settled(first)
    second = first.context.new_page()
    second.goto(server.url)
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


def test_a_reload_amid_a_drop_loses_nothing(server, visit, tmp_path: Path) -> None:
    names = ("one.png", "two.png", "three.png", "four.png")
    for name in names:
        (tmp_path / name).write_bytes(small_photo())
    page = visit(server.url, **DESKTOP)
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


def test_a_drop_before_the_page_is_ready_is_not_lost(server, visit) -> None:
    page = visit(server.url, **DESKTOP)
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


def test_a_photo_that_is_removed_while_it_comes_is_not_left_behind(
    server, visit, tmp_path: Path
) -> None:
    (tmp_path / "one.png").write_bytes(small_photo(3000, 2000))
    page = visit(server.url, **DESKTOP)
    with page.expect_response("**/api/photos") as reply:
        drop(page, tmp_path / "one.png")
        # All of it is sent: from here on only the answer tells the name that is to be forgotten.
        expect(page.locator("#progress p")).to_have_text("Coloring…")
        page.evaluate("document.getElementById('away-with-it').click()")
        expect(page.get_by_role("heading", name="Color an old photo")).to_be_visible()
    address = f"{server.url}api/photos/{reply.value.json()['photo']}"
    for _ in range(200):
        if page.request.get(address).status == 404:
            break
        page.wait_for_timeout(50)
    else:
        pytest.fail("it is still there")


def test_a_large_photo_down_to_each_pixel(server, visit, shot, tmp_path: Path) -> None:
    # Grain that no preview could show.
    rng = np.random.default_rng(0)
    gray = rng.integers(60, 200, (3000, 4500), dtype=np.uint8)
    Image.fromarray(gray).save(tmp_path / "large.png", compress_level=1)
    page = visit(server.url, **DESKTOP)
    page.set_input_files("#file", tmp_path / "large.png")
    colored(page)
    settled(page)
    fit = float(page.locator("#zoom output").inner_text().split()[0])
    assert fit < 25
    tiles: list[str] = []
    page.on("request", lambda r: "/tile?" in r.url and tiles.append(r.url))
    page.locator("#divider").press("End")  # all of it as it came
    page.locator("#zoom").click()
    expect(page.locator("#zoom output")).to_have_text("100 %")
    settled(page)
    shown = pixels(page, 0.5, 0.5, 300).mean(axis=-1)
    # Somewhere near the middle, for the canvas may be of odd size: there it is, pixel for pixel.
    middle = gray[1500 - 156 : 1500 + 156, 2250 - 156 : 2250 + 156].astype(float)
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


def test_a_download_is_of_the_kind_of_its_source(server, visit, tmp_path: Path) -> None:
    page = visit(server.url, accept_downloads=True, **DESKTOP)
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


def test_pasting_and_several_at_once(server, visit) -> None:
    page = visit(server.url, color_scheme="light", **DESKTOP)
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
    page.locator("#tray .photo").nth(2).click()
    expect(page.locator("#title")).to_contain_text("horses.jpg")
    colored(page)
    page.reload()
    expect(page.locator("#tray li")).to_have_count(3)
    expect(page.locator("#title")).to_contain_text("horses.jpg")
    colored(page)


def test_the_gray_photo_stays_until_its_colors_come(server, visit, shot) -> None:
    page = visit(server.url, **DESKTOP)
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
