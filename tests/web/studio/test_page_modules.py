"""Modules of the studio's page, by themselves: sessions, colors, imports."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import expect

import photochrom
from tests.web.studio.screen import DESKTOP, colored, drop, kept, place, settled, small_photo

STATIC = Path(photochrom.__file__).parent / "web" / "static" / "studio"


def test_odd_sessions_open_and_errors_leave_no_trace_on_the_panel(
    server, visit, tmp_path: Path
) -> None:
    page = visit(server.url, **DESKTOP)
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


def test_the_archive_is_a_zip_and_nothing_else_is_a_session(server, visit) -> None:
    page = visit(server.url)
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
        (newer.getvalue(), "newer version of photochrom"),
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


def test_colors_are_those_of_the_package(server, visit) -> None:
    from photochrom.color.lab import rgb_to_lab

    page = visit(server.url)
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
