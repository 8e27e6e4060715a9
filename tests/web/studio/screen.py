"""The studio's page, as a person sees and uses it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

EXAMPLES = Path(__file__).parents[3] / "examples"


AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
DESKTOP = {"viewport": {"width": 1280, "height": 800}}


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


def small_photo(width: int = 80, height: int = 60) -> bytes:
    file = io.BytesIO()
    y, x = np.mgrid[:height, :width]
    Image.fromarray(((x * 2 + y) % 256).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


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


def inside(inner: Locator, outer: Locator) -> bool:
    """Whether one lies between the left and the right edge of the other."""
    small, large = inner.bounding_box(), outer.bounding_box()
    assert small is not None and large is not None
    left, right = small["x"] - large["x"], large["x"] + large["width"] - small["x"] - small["width"]
    return left >= -0.5 and right >= -0.5
