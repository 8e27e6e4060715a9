"""What the studio's page does with many photos at once, in Chromium."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.web.studio.screen import DESKTOP, accessible, chroma, drop, kept, small_photo, until


def photos(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(small_photo())
    return [folder / name for name in names]


def zipped(page: Page, path: Path) -> zipfile.ZipFile:
    with page.expect_download() as download:
        page.locator("#many-download").click()
    assert download.value.suggested_filename == "photos in color.zip"
    download.value.save_as(path)
    return zipfile.ZipFile(path)


def test_many_photos_are_selected_set_downloaded_and_removed(
    server, visit, shot, tmp_path: Path
) -> None:
    page = visit(server.url, **DESKTOP)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    drop(page, *photos(tmp_path, "a.png", "b.png", "more/a.png"), tmp_path / "bad.png")
    expect(page.locator("#tray [data-state=ready]")).to_have_count(3)
    expect(page.locator("#tray [data-state=failed]")).to_have_count(1)

    tray, count = page.locator("#tray .photo"), page.locator("#many-count")
    page.locator("#select").click()
    tray.nth(1).click()
    tray.nth(2).click(modifiers=["Shift"])
    expect(count).to_have_text("2 of 4 selected")
    tray.nth(1).press("Control+Space")
    expect(page.locator("#tray [aria-checked=true]")).to_have_count(1)
    tray.nth(1).press("Control+a")
    expect(count).to_have_text("4 of 4 selected")
    shot(page, "many-selected")
    accessible(page, "many photos")

    page.locator("#vividness").fill("60")
    page.locator("#many-settings").click()
    with zipped(page, tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.color.png", "b.color.png", "a (2).color.png"]
        for name in archive.namelist():
            with Image.open(io.BytesIO(archive.read(name))) as image:
                assert image.size == (80, 60)
                assert chroma(np.asarray(image.convert("RGB"), dtype=float)) > 0.5
    expect(page.locator("#notice p")).to_contain_text("bad.png")

    page.locator("#many-done").click()
    expect(page.locator("#many")).to_be_hidden()
    tray.nth(1).click()
    expect(page.locator("#vividness")).to_have_value("60")
    until(page, "import('/static/shelf.js').then((s) => s.inTurn(() => true))")
    assert kept(page)["temperature"] < 0.3
    page.keyboard.press("Control+z")
    expect(page.locator("#vividness")).to_have_value("0")

    page.locator("#menu-button").click()
    page.locator("#remove-failed").click()
    expect(tray).to_have_count(3)
    tray.nth(0).hover()
    page.locator("#tray .away").first.click()  # it has settings of its own, so it asks
    page.locator("#confirm [value=yes]").click()
    expect(tray).to_have_count(2)
    tray.nth(0).press("Control+Space")
    tray.nth(1).press("Control+Space")
    tray.nth(1).press("Delete")
    expect(page.locator("#confirm-title")).to_have_text("Remove 2 photos?")
    page.locator("#confirm [value=yes]").click()
    expect(page.locator("#welcome")).to_be_visible()


def test_a_folder_is_chosen_with_its_photos_only(server, visit, tmp_path: Path) -> None:
    page = visit(server.url, **DESKTOP)
    (tmp_path / "notes.txt").write_text("none")
    photos(tmp_path, "10.png", "2.png", ".hidden.png", "deeper/1.png")
    with page.expect_file_chooser() as chooser:
        page.locator("#choose-folder").click()
    chooser.value.set_files(tmp_path)
    expect(page.locator("#tray .photo span")).to_have_text(["2.png", "10.png", "1.png"])


def test_a_zip_of_more_than_4_gb_can_be_read(server, visit, tmp_path: Path) -> None:
    page = visit(server.url)
    start = 5_000_000_000
    text = page.evaluate(
        """async (start) => {
          const { Packer } = await import("/static/archive.js");
          const parts = [];
          const packer = new Packer((part) => parts.push(part), start);
          await packer.add("a.txt", new Blob(["one"]));
          await packer.add("ä.txt", new Blob(["two"]));
          await packer.end();
          const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
          return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
        }""",
        start,
    )
    with (tmp_path / "large.zip").open("wb") as file:  # what comes before is a hole
        file.seek(start)
        file.write(base64.b64decode(text))
    with zipfile.ZipFile(tmp_path / "large.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "a.txt": b"one", "ä.txt": b"two",
        }  # fmt: skip
