"""The studio's service, as its page and curl use it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import platform
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import PIL.Image
import pytest
import pyvips

from photochrom import Colorizer
from photochrom.cli.main import main
from photochrom.look import Look
from photochrom.photo.limits import ReadLimits
from photochrom.photo.read import decode_photo, read_photo
from photochrom.web.serving.listen import address, listen, make_server
from photochrom.web.studio.api import studio_app
from photochrom.web.studio.bodies import max_body
from photochrom.web.studio.cache import Cache
from photochrom.web.studio.limits import Box, Limits
from photochrom.web.studio.store import KNOWN, Store, Unknown, prediction_name
from photochrom.web.studio.studio import Studio

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    return Colorizer(threads=1)


@pytest.fixture
def studio(colorizer: Colorizer) -> Iterator[Studio]:
    with Studio(colorizer) as studio:
        yield studio


@contextlib.contextmanager
def serving(studio: Studio, key: str | None = None) -> Iterator[httpx.Client]:
    """A client of a real server, on a socket of its own."""
    with listen("127.0.0.1", 0) as sock:
        limit = max_body(studio.limits.bytes)
        server = make_server(studio_app(studio), sock, key=key, max_body=limit, programs=True)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            with httpx.Client(base_url=address(sock), trust_env=False, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def client(studio: Studio) -> Iterator[httpx.Client]:
    with serving(studio) as client:
        yield client


def encoded(picture: Any, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(np.asarray(picture)).save(file, kind, **options)
    return file.getvalue()


def gray_photo(height: int = 90, width: int = 120, seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    grain = np.random.default_rng(seed).integers(0, 12, (height, width))
    return ((x * 150 // width + y * 80 // height) + grain).clip(0, 255).astype(np.uint8)


def opened(reply: Any) -> np.ndarray:
    assert reply.status_code == 200, reply.text
    return np.asarray(PIL.Image.open(io.BytesIO(reply.content)))


def send(client: httpx.Client, data: bytes) -> tuple[str, dict[str, Any]]:
    """The address of the photo's first prediction, and its description."""
    reply = client.post("/api/photos", content=data)
    assert reply.status_code == 201, reply.text
    told = reply.json()
    return f"/api/photos/{told['photo']}/predictions/{told['prediction']}", told


def test_a_photo_is_described(client: httpx.Client) -> None:
    _, told = send(client, (EXAMPLES / "castle_clinton.jpg").read_bytes())
    with PIL.Image.open(EXAMPLES / "castle_clinton.jpg") as image:
        size = image.size
    assert (told["width"], told["height"]) == size
    assert told["format"] == "JPEG" and told["extension"] == ".jpg"
    assert told["bits"] == 8 and told["color"] is False
    assert client.get(f"/api/photos/{told['photo']}").json() == told


def test_a_damaged_photo_spoils_no_other(client: httpx.Client) -> None:
    whole = bytes(pyvips.Image.black(64, 48, bands=3).heifsave_buffer(compression="av1", effort=0))
    assert whole.count(b"pixi") == whole.count(b"\x03\x81\x02\x03") == 1
    damaged = whole.replace(b"pixi", b"pix\xf4")  # which libvips quotes, as it is marked as needed
    damaged = damaged.replace(b"\x03\x81\x02\x03", b"\x03\x81\x02\x83")
    reply = client.post("/api/photos", content=damaged)
    assert reply.status_code == 422 and "cannot be read" in reply.text
    for kind in ("PNG", "JPEG", "TIFF", "AVIF"):
        address, _ = send(client, encoded(gray_photo(), kind))
        assert client.get(f"{address}/download?format=png").status_code == 200


def test_the_download_is_what_the_command_makes(
    client: httpx.Client, colorizer: Colorizer, tmp_path: Path
) -> None:
    photo = EXAMPLES / "moose.jpg"
    address, _ = send(client, photo.read_bytes())
    reply = client.get(f"{address}/download?format=png&temperature=0.5&saturation=0.8")
    colorizer.predict(photo).save(tmp_path / "x.png", 0.5, 0.8)
    assert np.array_equal(opened(reply), np.asarray(PIL.Image.open(tmp_path / "x.png")))
    assert (
        reply.headers["content-disposition"]
        == 'attachment; filename="photochrom.photo.formats.png"'
    )


def test_examples_can_be_sent(client: httpx.Client) -> None:
    examples = client.get("/api/examples").json()["examples"]
    assert len(examples) >= 3
    for example in examples:
        picture = client.get(example["url"])
        assert opened(picture).shape == (example["height"], example["width"])
    _, told = send(client, picture.content)
    assert told["color"] is False


def test_pictures_have_their_size(client: httpx.Client) -> None:
    address, _ = send(client, encoded(gray_photo(90, 120)))
    photo = address.partition("/predictions")[0]
    for size, shape in ((64, (48, 64)), (4000, (90, 120))):
        assert opened(client.get(f"{address}/preview?size={size}")).shape == (*shape, 3)
        assert opened(client.get(f"{photo}/original?size={size}")).shape == shape
        assert opened(client.get(f"{address}/uncertainty?size={size}")).shape == shape
    for scale, shape in ((1, (33, 50)), (2, (17, 26)), (8, (5, 7))):
        box = f"x=3&y=6&width=50&height=33&scale={scale}"
        assert opened(client.get(f"{address}/tile?{box}")).shape == (*shape, 3)
        assert opened(client.get(f"{photo}/original/tile?{box}")).shape == shape


def test_limits_are_told(colorizer: Colorizer) -> None:
    with Studio(colorizer, Limits(bytes=1000, hints=2)) as studio, serving(studio) as client:
        assert client.get("/api/info").json()["limits"]["bytes"] == 1000
        reply = client.post("/api/photos", content=bytes(1001))
        assert reply.status_code == 413 and "1000 bytes" in reply.json()["error"]


def test_what_is_no_photo_is_415(client: httpx.Client) -> None:
    reply = client.post("/api/photos", content=b"%PDF-1.7 " + bytes(100))
    assert reply.status_code == 415 and "JPEG, PNG" in reply.json()["error"]


# --- what comes back ------------------------------------------------------------------------------


def added(studio: Studio, data: bytes) -> str:
    file, path = studio.store.new_file()
    with file:
        file.write(data)
    return asyncio.run(studio.add(path)).token


def name_of(studio: Studio, token: str) -> str:
    return str(studio.store.get(token).description["prediction"])


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_tiles_are_parts_of_one_whole(studio: Studio, scale: int) -> None:
    token = added(studio, encoded(gray_photo(301, 457)))
    name = name_of(studio, token)
    base, made = asyncio.run(studio._ready(token, name))
    level = asyncio.run(studio._level(token, scale))
    look = Look(temperature=0.3, saturation=1.4)
    whole = studio._paint(token, name, base, made, level, look, Box(0, 0, 457, 301, scale))
    assert whole.shape == (-(-301 // scale), -(-457 // scale), 3)
    part = studio._paint(token, name, base, made, level, look, Box(120, 88, 161, 97, scale))
    top, left = 88 // scale, 120 // scale
    assert np.array_equal(part, whole[top : top + part.shape[0], left : left + part.shape[1]])
    if scale == 1:  # and that is what is downloaded
        full = studio.colorizer.predict(gray_photo(301, 457)).render(0.3, 1.4)
        assert np.array_equal(whole, full)


def test_previews_and_tiles_show_the_downloaded_colors(client: httpx.Client) -> None:
    address, _ = send(client, (EXAMPLES / "horses.jpg").read_bytes())
    full = opened(client.get(f"{address}/download?format=png")).astype(float)
    height, width = full.shape[:2]
    preview = opened(client.get(f"{address}/preview?size={width}")).astype(float)
    assert np.abs(preview - full).mean() < 2  # JPEG
    tile = opened(client.get(f"{address}/tile?x=200&y=100&width=300&height=200")).astype(float)
    assert np.abs(tile - full[100:300, 200:500]).mean() < 2
    small = opened(client.get(f"{address}/preview?size=200")).astype(float)
    shrunk = np.asarray(
        PIL.Image.fromarray(full.astype(np.uint8)).resize((200, round(height * 200 / width)))
    )
    assert np.abs(small - shrunk).mean() < 6


def test_settings_and_candidates_change_the_picture_and_seeds_repeat(client: httpx.Client) -> None:
    address, _ = send(client, (EXAMPLES / "moose.jpg").read_bytes())
    asked = ["", "temperature=1", "saturation=0.5", *(f"candidate={k}&seed=3" for k in range(6))]
    seen = [client.get(f"{address}/preview?size=200&{query}").content for query in asked]
    assert len(set(seen)) == len(asked)
    assert client.get(f"{address}/preview?size=200&candidate=1&seed=3").content == seen[4]
    gray = opened(client.get(f"{address}/preview?size=200&saturation=0"))
    assert (gray.max(axis=2).astype(int) - gray.min(axis=2)).max() <= 2
    four = client.get(f"{address}/candidates?n=4&seed=3").json()["candidates"]
    six = client.get(f"{address}/candidates?n=6&seed=3").json()["candidates"]
    assert four == six[:4] and [c["candidate"] for c in six] == list(range(6))
    for candidate, data in zip(six, seen[3:], strict=True):
        mean = np.asarray(PIL.Image.open(io.BytesIO(data))).mean(axis=(0, 1))
        assert np.abs(mean - candidate["color"]).max() < 8


def test_hints_are_followed_and_their_names_repeat(client: httpx.Client) -> None:
    _, told = send(client, encoded(gray_photo(200, 260)))
    predictions = f"/api/photos/{told['photo']}/predictions"
    hint = {"x": 130.0, "y": 100.0, "color": [200, 40, 40]}
    name = client.post(predictions, json={"hints": [hint]}).json()["prediction"]
    assert name != told["prediction"]
    assert client.post(predictions, json={"hints": [hint]}).json()["prediction"] == name
    undone = client.post(predictions, json={"hints": []}).json()["prediction"]
    assert undone == told["prediction"]
    red, green, _ = opened(client.get(f"{predictions}/{name}/preview"))[100, 130].astype(int)
    assert red > green + 40
    palette = client.get(f"{predictions}/{name}/palette?x=130&y=100").json()
    assert palette["current"][0] > palette["current"][1] + 40
    for wrong in (
        {"x": 260, "y": 0, "color": [0, 0, 0]},
        {"x": 1, "y": 1, "color": [0, 0, 256]},
        {"x": 1, "y": 1, "color": [0, 0]},
        {"x": -1, "y": 1, "color": [0, 0, 0]},
        {"x": 1, "y": 1, "color": [0, 0, 0], "size": 3},
    ):
        reply = client.post(predictions, json={"hints": [wrong]})
        assert reply.status_code == 422 and reply.json()["error"]


def test_the_palette_is_that_of_the_library(client: httpx.Client, colorizer: Colorizer) -> None:
    photo = EXAMPLES / "castle.jpg"  # smaller than the largest preview, so nothing is reduced
    address, _ = send(client, photo.read_bytes())
    told = client.get(f"{address}/palette?x=60&y=50&n=6").json()
    expected = colorizer.predict(photo).palette(60, 50, 6)
    assert [tuple(c["color"]) for c in told["colors"]] == [rgb for rgb, _ in expected]
    assert np.allclose(
        [c["probability"] for c in told["colors"]], [p for _, p in expected], 0, 1e-5
    )
    assert len(told["bins"]) == 313 and abs(sum(p for *_, p in told["bins"]) - 1) < 1e-3
    preview = opened(client.get(f"{address}/preview"))[48:53, 58:63].mean(axis=(0, 1))
    assert np.abs(preview - told["current"]).max() < 12
    assert client.get(f"{address}/palette?x=800&y=50").status_code == 422


def test_every_place_of_a_photo_has_a_palette_and_takes_a_hint(client: httpx.Client) -> None:
    address, _ = send(client, encoded(gray_photo(90, 120)))
    predictions = address.rpartition("/")[0]
    for x, y in ((119.99, 89.99), (119.6, 3), (0, 89.5), (119, 89), (0, 0)):
        reply = client.get(f"{address}/palette?x={x}&y={y}")
        assert reply.status_code == 200, reply.text
        hints = {"hints": [{"x": x, "y": y, "color": [200, 60, 40]}]}
        reply = client.post(predictions, json=hints)
        assert reply.status_code == 200, reply.text
    assert client.get(f"{address}/palette?x=120&y=3").status_code == 422


def test_a_mistake_of_ours_is_told_as_an_error_too(studio: Studio, client: httpx.Client) -> None:
    _, told = send(client, encoded(gray_photo()))
    studio.store.get(told["photo"]).description = {"photo": object()}  # what no reply can hold
    reply = client.get(f"/api/photos/{told['photo']}")
    assert reply.status_code == 500 and "terminal" in reply.json()["error"]
    assert "traceback" not in reply.text.lower()


def test_spots_are_unsure_places_apart_from_each_other(client: httpx.Client) -> None:
    address, told = send(client, (EXAMPLES / "mariachi.jpg").read_bytes())
    spots = client.get(f"{address}/spots?n=5").json()["spots"]
    entropy = opened(client.get(f"{address}/uncertainty")) / 255 * np.log2(313)
    for spot in spots:
        assert spot["bits"] > entropy.mean()
        assert abs(entropy[spot["y"], spot["x"]] - spot["bits"]) < 1
    short = min(told["width"], told["height"])
    places = [np.array([spot["x"], spot["y"]]) for spot in spots]
    for n, a in enumerate(places):
        assert all(np.linalg.norm(a - b) > 0.23 * short for b in places[:n])
        edges = *a, told["width"] - a[0], told["height"] - a[1]
        assert min(edges) > 0.07 * short
    # Where it was told already nothing is asked.
    hints = {"hints": [{**{k: spots[0][k] for k in "xy"}, "color": [200, 60, 40]}]}
    name = client.post(f"{told_at(told)}/predictions", json=hints).json()["prediction"]
    for spot in client.get(f"{told_at(told)}/predictions/{name}/spots").json()["spots"]:
        assert np.linalg.norm(np.array([spot["x"], spot["y"]]) - places[0]) > 0.1 * short
    # More than there is room for are still places of their own.
    many = client.get(f"{address}/spots?n=50").json()["spots"]
    assert len({(spot["x"], spot["y"]) for spot in many}) == 50


def told_at(told: dict[str, Any]) -> str:
    return f"/api/photos/{told['photo']}"


def test_with_a_hint_each_candidate_keeps_its_number_and_its_look(client: httpx.Client) -> None:
    _, told = send(client, (EXAMPLES / "moose.jpg").read_bytes())
    # In a corner: the rest of the photo stays as it was.
    hints = {"hints": [{"x": 40, "y": 40, "color": [60, 90, 200]}]}
    name = client.post(f"{told_at(told)}/predictions", json=hints).json()["prediction"]

    def looks(prediction: str) -> list[np.ndarray]:
        address = f"{told_at(told)}/predictions/{prediction}"
        return [
            opened(client.get(f"{address}/preview?size=200&candidate={k}&seed=7")).astype(float)
            for k in range(6)
        ]

    before, after = looks(told["prediction"]), looks(name)
    for k, look in enumerate(after):
        nearest = int(np.argmin([np.abs(look - other)[70:].mean() for other in before]))
        assert nearest == k


def test_no_network_runs_where_pictures_are_rendered(
    colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[str] = []
    run = Colorizer.run

    def watched(self: Colorizer, *given: Any, **more: Any) -> Any:
        where.append(threading.current_thread().name.partition("_")[0])
        return run(self, *given, **more)

    monkeypatch.setattr(Colorizer, "run", watched)
    # With nothing kept, whatever a picture needs is computed for it.
    with Studio(colorizer, Limits(memory=1)) as studio, serving(studio) as client:
        _, told = send(client, encoded(gray_photo()))
        hints = {"hints": [{"x": 40, "y": 40, "color": [60, 90, 200]}]}
        name = client.post(f"{told_at(told)}/predictions", json=hints).json()["prediction"]
        address = f"{told_at(told)}/predictions/{name}"
        first = opened(client.get(f"{address}/preview?candidate=2&seed=5"))
        box = "x=0&y=0&width=120&height=90"
        assert client.get(f"{address}/tile?candidate=2&seed=5&{box}").status_code == 200
        assert client.get(f"{address}/candidates?seed=5").status_code == 200
        palette = client.get(f"{address}/palette?candidate=2&seed=5&x=3&y=4")
        assert palette.status_code == 200
        assert set(where) == {"network"}
        whole = opened(client.get(f"{address}/download?format=png&candidate=2&seed=5"))
        assert set(where) == {"network", "export"}
        assert np.abs(whole.astype(int) - first).mean() < 5  # JPEG


def test_deep_photos_with_alpha_and_turned_ones(client: httpx.Client, tmp_path: Path) -> None:
    deep = (gray_photo(40, 60).astype(np.uint16) * 257)[..., None]
    import tifffile

    tifffile.imwrite(
        tmp_path / "a.tif",
        np.concatenate([deep, np.full_like(deep, 30000)], axis=2),
        photometric="minisblack",
        extrasamples=["unassalpha"],
    )
    address, told = send(client, (tmp_path / "a.tif").read_bytes())
    assert (told["format"], told["bits"], told["extension"]) == ("TIFF", 16, ".tif")
    reply = client.get(f"{address}/download")
    assert reply.headers["content-type"] == "image/tiff"
    (tmp_path / "b.tif").write_bytes(reply.content)
    result = read_photo(tmp_path / "b.tif")
    assert result.pixels.dtype == np.uint16 and result.alpha is not None
    assert (result.alpha == 30000).all()
    assert opened(client.get(f"{address}/download?format=webp")).shape == (40, 60, 4)

    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    address, told = send(client, encoded(gray_photo(40, 60), "JPEG", exif=exif.tobytes()))
    assert (told["width"], told["height"]) == (40, 60)
    assert opened(client.get(f"{address}/preview")).shape == (60, 40, 3)


def test_one_line_colors_a_file_and_keeps_nothing(
    client: httpx.Client, studio: Studio, colorizer: Colorizer, tmp_path: Path
) -> None:
    photo = EXAMPLES / "chickens.jpg"
    reply = client.post("/api/color?saturation=0.7", content=photo.read_bytes())
    colorizer.predict(photo).save(tmp_path / "x.jpg", saturation=0.7)
    assert reply.content == (tmp_path / "x.jpg").read_bytes()
    assert [path.name for path in studio.store.folder().iterdir()] == ["lock"]
    assert len(studio.store) == 0 and len(studio.cache) == 0


# --- bounds ---------------------------------------------------------------------------------------


def everything(client: httpx.Client, address: str) -> list[bytes]:
    """All kinds of answers about one prediction."""
    photo = address.partition("/predictions")[0]
    asked = [
        f"{address}/preview?size=120&temperature=0.2",
        f"{address}/preview?size=120&candidate=2&seed=5",
        f"{address}/tile?x=10&y=10&width=64&height=48",
        f"{address}/tile?x=0&y=0&width=128&height=80&scale=2&candidate=1",
        f"{address}/palette?x=30&y=20",
        f"{address}/candidates",
        f"{address}/uncertainty?size=100",
        f"{address}/spots",
        f"{address}/download?format=png&candidate=3",
        f"{photo}/original?size=90",
        f"{photo}/original/tile?x=5&y=6&width=70&height=20",
    ]
    replies = [client.get(query) for query in asked]
    assert [reply.status_code for reply in replies] == [200] * len(asked)
    return [reply.content for reply in replies]


def test_what_was_dropped_is_computed_again_the_same(colorizer: Colorizer) -> None:
    hints = {"hints": [{"x": 40, "y": 30, "color": [30, 60, 200]}]}
    seen = []
    for limits in (Limits(), Limits(memory=1)):
        with Studio(colorizer, limits) as studio, serving(studio) as client:
            _, told = send(client, encoded(gray_photo(100, 160)))
            predictions = f"/api/photos/{told['photo']}/predictions"
            name = client.post(predictions, json=hints).json()["prediction"]
            seen.append(everything(client, f"{predictions}/{name}"))
            assert (studio.cache.nbytes > 0) == (limits.memory > 1)
    assert seen[0] == seen[1]


def test_the_least_used_photo_makes_room(colorizer: Colorizer) -> None:
    with Studio(colorizer, Limits(photos=2)) as studio, serving(studio) as client:
        first, second = (send(client, encoded(gray_photo(seed=seed)))[1] for seed in (1, 2))
        assert client.get(f"/api/photos/{first['photo']}").status_code == 200
        third = send(client, encoded(gray_photo(seed=3)))[1]
        states = [client.get(f"/api/photos/{t['photo']}") for t in (first, second, third)]
        assert [state.status_code for state in states] == [200, 410, 200]
        assert "send it again" in states[1].json()["error"]
        assert len(list(studio.store.folder().iterdir())) == 3  # with the lock
        assert not [key for key in studio.cache._entries if key[0] == second["photo"]]
        assert client.delete(f"/api/photos/{first['photo']}").status_code == 204
        assert client.delete(f"/api/photos/{first['photo']}").status_code == 404
        assert client.get(f"/api/photos/{third['photo']}/predictions/x/preview").status_code == 404


def test_a_photo_outlives_more_hints_than_are_remembered(studio: Studio) -> None:
    token = added(studio, encoded(gray_photo()))
    upload = studio.store.get(token)
    first, used = ([(x, 1.0, (9, 9, 9))] for x in (1.0, 2.0))
    upload.remember(first)
    upload.remember(used)
    for n in range(2 * KNOWN):
        upload.remember([(n / 10, 2.0, (9, 9, 9))])
        assert upload.recall(prediction_name(used)) == used  # so it is not the longest unused
    with pytest.raises(Unknown):
        upload.recall(prediction_name(first))
    assert len(upload.hints) == KNOWN
    assert asyncio.run(studio.preview(token, name_of(studio, token), Look(), 64))


def test_files_have_a_bound_together(colorizer: Colorizer) -> None:
    data = encoded(gray_photo())
    with Studio(colorizer, Limits(disk=len(data) * 5 // 2)) as studio:
        for _ in range(4):
            added(studio, data)
        assert len(studio.store) == 2


def test_the_cache_keeps_its_bounds() -> None:
    now = [0.0]
    cache = Cache(100, 10, clock=lambda: now[0])
    cache.admit("a")
    for n in range(30):
        assert cache.get(("a", "x", n), lambda: np.zeros(10, np.uint8)).nbytes == 10
        assert cache.nbytes <= 100
    assert len(cache) == 10 and cache.peek(("a", "x", 29)) is not None
    cache.get(("a", "large"), lambda: np.zeros(101, np.uint8))
    assert cache.peek(("a", "large")) is None and len(cache) == 10
    for n in range(4):
        cache.get(("a", "few", n), lambda: np.zeros(1, np.uint8), keep=2)
    assert [cache.peek(("a", "few", n)) is None for n in range(4)] == [True, True, False, False]
    now[0] = 11
    cache.get(("a", "x", 31), lambda: np.zeros(10, np.uint8))
    cache.sweep()
    assert len(cache) == 1 and cache.nbytes == 10

    def dropped_meanwhile() -> np.ndarray:
        cache.drop("a")
        return np.zeros(10, np.uint8)

    cache.get(("a", "y"), dropped_meanwhile)
    assert len(cache) == 0 and cache.nbytes == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc")
def test_memory_that_is_free_goes_back_to_the_system() -> None:
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    # Too small to be given back by themselves, and the last one holds those before it.
    held = [b"x" * 60_000 for _ in range(2000)]
    last = held.pop()
    before = resident()
    held.clear()
    cache = Cache(1000, age=4.0)
    with Store(1, 1000, age=4.0, cache=cache):
        for _ in range(600):
            if resident() < before - 60_000_000:
                break
            time.sleep(0.05)
        else:
            pytest.fail("it is kept")
    assert len(last) == 60_000


def test_a_value_that_many_want_is_computed_once() -> None:
    cache = Cache(1000, 10)
    cache.admit("a")
    calls, ready = [], threading.Barrier(8)

    def make() -> np.ndarray:
        calls.append(1)
        return np.zeros(3)

    def want(_: int) -> np.ndarray:
        ready.wait()
        return cache.get(("a", "b"), make)

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(want, range(8)))
    assert len(calls) == 1 and all(value is values[0] for value in values)

    def fail() -> np.ndarray:
        raise OSError("once")

    with pytest.raises(OSError, match="once"):
        cache.get(("a", "c"), fail)
    assert cache.get(("a", "c"), make) is not None  # an error is not kept


@contextlib.contextmanager
def blocked(studio: Studio) -> Iterator[None]:
    """All threads that render wait until the end of the block."""
    end = threading.Event()
    for _ in range(studio.renders.threads):
        studio.renders._pool.submit(end.wait)
    try:
        yield
    finally:
        end.set()


def test_too_much_is_429_and_says_when_to_come_again(colorizer: Colorizer) -> None:
    with Studio(colorizer, Limits(renders=1)) as studio, serving(studio) as client:
        address, _ = send(client, encoded(gray_photo()))
        with ThreadPoolExecutor(1) as pool, blocked(studio):
            waiting = pool.submit(client.get, f"{address}/preview")
            while not studio.renders._inside:
                time.sleep(0.002)
            reply = client.get(f"{address}/preview?size=64")
            assert reply.status_code == 429 and int(reply.headers["retry-after"]) >= 1
            # What needs no rendering goes on, a click with its network too.
            predictions = address.rpartition("/")[0]
            hints = {"hints": [{"x": 1, "y": 1, "color": [9, 9, 9]}]}
            assert client.post(predictions, json=hints).status_code == 200
        assert waiting.result().status_code == 200


def test_a_request_that_takes_too_long_is_503(colorizer: Colorizer) -> None:
    with Studio(colorizer, Limits(seconds=0.3)) as studio:
        token = added(studio, encoded(gray_photo()))
        name = name_of(studio, token)
        with serving(studio) as client, blocked(studio):
            reply = client.get(f"/api/photos/{token}/predictions/{name}/preview")
            assert reply.status_code == 503 and "0.3 seconds" in reply.json()["error"]


def test_nobody_renders_for_who_has_gone(studio: Studio, client: httpx.Client) -> None:
    address, _ = send(client, encoded(gray_photo()))
    with blocked(studio):
        with socket.create_connection((client.base_url.host, client.base_url.port)) as lost:
            request = f"GET {address}/preview HTTP/1.1\r\nHost: {client.base_url.netloc.decode()}"
            lost.sendall(f"{request}\r\n\r\n".encode())
            while not studio.renders._inside:
                time.sleep(0.002)
        while studio.renders._inside:  # or the test never ends
            time.sleep(0.002)


def test_many_users_at_once_get_what_one_gets_alone(studio: Studio, client: httpx.Client) -> None:
    photos = [encoded(gray_photo(60 + 20 * n, 100 + 10 * n, seed=n)) for n in range(4)]
    addresses = [send(client, data)[0] for data in photos]
    alone = [everything(client, address) for address in addresses]
    for token in [at.split("/")[3] for at in addresses]:
        studio.cache.drop(token)  # all must be computed again, under pressure
        studio.cache.admit(token)
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda n: everything(client, addresses[n % 4]), range(12)))
    assert all(seen == alone[n % 4] for n, seen in enumerate(together))


# --- strangers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True], ids=["small", "as large ones"])
def test_hostile_files_get_clean_errors(
    client: httpx.Client, studio: Studio, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    from test_hostile import mutants

    if streamed:  # decoded only when it is read
        large = partial(decode_photo, limits=ReadLimits(stream_pixels=1))
        monkeypatch.setattr("photochrom.web.studio.studio.decode_photo", large)
    counts: Counter[int] = Counter()
    for n, (_, data) in enumerate(mutants(60, seed=6)):
        reply = client.post("/api/photos" if n % 2 else "/api/color", content=data)
        counts[reply.status_code] += 1
        if reply.status_code >= 400:
            text = reply.json()["error"]
            assert str(studio.store.folder()) not in text and "Traceback" not in text
    assert set(counts) <= {200, 201, 413, 415, 422}, counts
    assert counts[201] > 5 and counts[422] > 10
    kept = len(studio.store)
    assert len(list(studio.store.folder().iterdir())) == kept + 1  # none of the refused ones


def test_bombs_and_other_kinds(client: httpx.Client) -> None:
    from test_hostile import png

    zeros = zlib.compress(bytes(1 << 20))
    cases = {
        "empty": (b"", 422),
        "text": (b"dear diary", 415),
        "heic": (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", 422),
        "cut": (encoded(gray_photo())[:-900], 422),
        "pixels": (png(100_000, 100_000, zeros), 413),
        "over the studio's limit": (png(20_000, 20_000, zeros), 413),
        "length": (png(60_000_000, 8, zeros), 413),
    }
    for name, (data, status) in cases.items():
        reply = client.post("/api/photos", content=data)
        assert (name, reply.status_code) == (name, status), reply.text
        assert reply.json()["error"]


def test_only_our_page_and_programs_may_ask(client: httpx.Client) -> None:
    data = encoded(gray_photo())
    ours = str(client.base_url).rstrip("/")
    assert client.post("/api/photos", content=data).status_code == 201  # curl
    assert client.post("/api/photos", content=data, headers={"Origin": ours}).status_code == 201
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Referer": "http://evil.example/"},
        {"Cookie": "a=b"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": ours, "Sec-Fetch-Site": "same-site"},
    ):
        assert client.post("/api/photos", content=data, headers=headers).status_code == 403, headers
    picture = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert client.get("/api/info", headers=picture).status_code == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/api/docs", headers=link).status_code == 200
    assert client.get("/api/info", headers={"Host": "evil.example"}).status_code == 421


def test_a_key_is_asked_for_in_three_ways(studio: Studio) -> None:
    with serving(studio, key="secret") as client:
        assert client.get("/api/info").status_code == 403
        for headers in ({"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
            assert client.get("/api/info", headers=headers).status_code == 403
        bearer = {"Authorization": "Bearer secret"}
        assert client.get("/api/info", headers=bearer).status_code == 200
        data = encoded(gray_photo())
        assert client.post("/api/photos", content=data, headers=bearer).status_code == 201
        assert client.post("/api/photos", content=data).status_code == 403
        assert client.get("/api/info?key=secret").status_code == 200
        assert client.get("/api/info").status_code == 200  # by the cookie
        assert client.get("/api/info?key=older").status_code == 200  # as a reload would ask
        client.cookies.clear()
        # Whatever other programs on this host have set beside it.
        ours = f"photochrom-key-{client.base_url.port}"
        for cookies, status in (
            (f'x={{"a":1}}; {ours}=secret', 200),
            (f"a b=1; foo; ; =; {ours}=secret;y", 200),
            (f"{ours}=other; {ours}=secret", 200),
            (f"x{ours}=secret; {ours}=secre; {ours}", 403),
        ):
            reply = client.get("/api/info", headers={"Cookie": cookies})
            assert reply.status_code == status, cookies


def test_who_comes_without_the_key_is_told_where_to_find_it(studio: Studio) -> None:
    with serving(studio, key="secret") as client:
        for path in ("/", "/?key=older", "/api/docs"):
            page = client.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
            assert page.status_code == 403 and "terminal" in page.text
            assert page.headers["content-type"].startswith("text/html")
            assert page.headers["content-security-policy"].startswith("default-src 'none'")
            assert page.headers["cache-control"] == "no-store" and "secret" not in page.text
        assert client.get("/api/info").json()["error"]  # a program


def test_strangers_do_not_fill_the_terminal(client: httpx.Client) -> None:
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("uvicorn").addHandler(handler)
    host = client.base_url.netloc.decode()
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    try:
        for request, status in (
            (b"\x16\x03\x01\x02\x00", 400),
            (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nA: " + bytes(100_000).replace(b"\0", b"a"), 400),
            (f"GET /api/info HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n".encode(), 200),
        ):
            with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
                raw.settimeout(10)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    raw.sendall(request + b"\r\n\r\n")
                head, _, body = raw.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
            assert b"content-security-policy: default-src 'none'" in head.lower()
            assert status == 200 or json.loads(body)["error"]
    finally:
        logging.getLogger("uvicorn").removeHandler(handler)
    assert told == []


def test_bodies_are_counted_as_they_come(colorizer: Colorizer) -> None:
    with Studio(colorizer, Limits(bytes=100_000)) as studio, serving(studio) as client:

        def pieces(total: int) -> Iterator[bytes]:
            yield from (bytes(10_000) for _ in range(total // 10_000))

        assert client.post("/api/photos", content=pieces(100_000)).status_code == 415
        with contextlib.suppress(httpx.WriteError):  # cut off while it was still sending
            assert client.post("/api/photos", content=pieces(5_000_000)).status_code == 413
        # Who says it beforehand hears it, however much there is still to send.
        reply = client.post("/api/photos", content=bytes(5_000_000))
        assert reply.status_code == 413 and "100000 bytes" in reply.json()["error"]
        reply = client.post("/api/photos/x/predictions", content=bytes(300_000))
        assert reply.status_code == 413
        assert not [p for p in studio.store.folder().iterdir() if p.name != "lock"]


def test_a_slow_body_is_taken_and_a_stalled_one_is_408(colorizer: Colorizer) -> None:
    data = encoded(gray_photo())
    limits = Limits(silence=1.0, seconds=2.0, uploads=1)
    with Studio(colorizer, limits) as studio, serving(studio) as client:
        reads = 0

        def slowly() -> Iterator[bytes]:
            nonlocal reads
            part = len(data) // 8 + 1
            for at in range(0, len(data), part):
                reads += 1
                yield data[at : at + part]
                time.sleep(0.35)  # together longer than `seconds`

        assert client.post("/api/photos", content=slowly()).status_code == 201
        assert reads == 8
        head = f"POST /api/photos HTTP/1.1\r\nHost: {client.base_url.netloc.decode()}\r\n"
        with socket.create_connection((client.base_url.host, client.base_url.port)) as stalled:
            stalled.sendall(f"{head}Content-Length: 1000\r\n\r\nx".encode())
            said = stalled.recv(4096)
            assert said.startswith(b"HTTP/1.1 408 "), said
        assert client.post("/api/photos", content=data).status_code == 201  # its place is free


def test_a_body_that_trickles_gives_its_place_back(colorizer: Colorizer) -> None:
    data = encoded(gray_photo())
    limits = Limits(silence=5.0, grace=0.5, rate=200.0, uploads=1)
    with Studio(colorizer, limits) as studio, serving(studio) as client:
        head = f"POST /api/photos HTTP/1.1\r\nHost: {client.base_url.netloc.decode()}\r\n"
        with socket.create_connection((client.base_url.host, client.base_url.port)) as slow:
            slow.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode())
            slow.settimeout(0.05)
            said = b""
            while not said.endswith(b"}"):  # never silent for long, and never done
                if not said:
                    slow.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    said += slow.recv(4096)
            assert said.startswith(b"HTTP/1.1 408 ") and b"fewer than 200 bytes" in said
        assert client.post("/api/photos", content=data).status_code == 201
        assert studio.store.counted == len(data)


def test_a_body_has_an_end(colorizer: Colorizer) -> None:
    limits = Limits(grace=60.0, patience=0.5, pace=1e6, uploads=1)
    with Studio(colorizer, limits) as studio, serving(studio) as client:
        head = f"POST /api/photos HTTP/1.1\r\nHost: {client.base_url.netloc.decode()}\r\n"
        with socket.create_connection((client.base_url.host, client.base_url.port)) as slow:
            slow.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode())
            slow.settimeout(0.05)
            said = b""
            while not said.endswith(b"}"):  # never silent, and faster than the least rate
                if not said:
                    slow.sendall(bytes(100))
                with contextlib.suppress(TimeoutError):
                    said += slow.recv(4096)
            assert said.startswith(b"HTTP/1.1 408 ") and b"not all here after 0.6 seconds" in said
        assert client.post("/api/photos", content=encoded(gray_photo())).status_code == 201


def test_half_a_head_keeps_nobody_out(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photochrom.web.serving.connections.OF_ONE", 9)
    monkeypatch.setattr("photochrom.web.serving.connections.HEAD_SECONDS", 0.5)
    with serving(studio) as client, contextlib.ExitStack() as stack:
        host = client.base_url.netloc.decode()
        place = client.base_url.host, client.base_url.port

        def begin() -> socket.socket:
            half = stack.enter_context(socket.create_connection(place, timeout=30))
            half.sendall(f"GET /api/info HTTP/1.1\r\nHost: {host}\r\n".encode())
            return half

        def heard(connection: socket.socket) -> bytes:
            said = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(4096):
                    said += piece
            return said

        # Between two requests as well as before the first.
        assert client.get("/api/info").status_code == 200
        kept = stack.enter_context(socket.create_connection(place, timeout=30))
        kept.sendall(f"GET /api/info HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert kept.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        kept.sendall(b"GET /api/info HTTP/1.1\r\n")
        waiting = [begin() for _ in range(7)]
        head, _, body = heard(begin()).partition(b"\r\n\r\n")  # one more than there is room for
        assert head.startswith(b"HTTP/1.1 503 ") and b"Retry-After" in head
        assert "too many connections" in json.loads(body)["error"]
        assert [heard(half) for half in waiting] == [b""] * 7
        heard(kept)  # to its end
        assert client.get("/api/info").status_code == 200
        # Nor does half a body that is no photo.
        monkeypatch.setattr("photochrom.web.serving.guard.BODY_SECONDS", 0.3)
        for request in ("POST /api/photos/x/predictions", "GET /api/photos/x"):
            half = stack.enter_context(socket.create_connection(place, timeout=30))
            head = f"{request} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            half.sendall(f"{head}Content-Length: 20\r\n\r\n{{".encode())
            said = half.recv(1 << 16)
            assert said.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 404 ")), said
            for _ in range(12):  # and goes on trickling
                with contextlib.suppress(OSError):
                    half.sendall(b" ")
                time.sleep(0.1)
            heard(half)
        monkeypatch.setattr("photochrom.web.serving.connections.CONNECTIONS", 1)
        reply = client.get("/api/info")
        assert reply.status_code == 503 and "too many" in reply.json()["error"]


def test_files_that_come_and_go_count_in_the_bound(colorizer: Colorizer) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 300), dtype=np.uint8)
    data = encoded(noise)
    room = 600_000
    with Studio(colorizer, Limits(disk=room)) as studio, serving(studio) as client:
        tokens = [send(client, data)[1]["photo"] for _ in range(3)]
        assert studio.store.counted == 3 * len(data) < room
        # A file that goes out has photos make room for it, the least used first.
        going = studio.store.folder() / "going"
        studio.store.hold(going, room - 2 * len(data))
        replies = [client.get(f"/api/photos/{token}").status_code for token in tokens]
        assert replies == [410, 200, 200]
        # With all room taken nothing comes in; who sends hears it, and nothing is left behind.
        studio.store.hold(going, room - len(data) // 2)
        reply = client.post("/api/photos", content=data)
        assert reply.status_code == 503 and "room" in reply.json()["error"]
        assert reply.headers["retry-after"] == "10"
        assert client.post("/api/color", content=data).status_code == 503
        assert studio.store.counted == room - len(data) // 2
        studio.store.release(going)
        address, _ = send(client, data)
        assert client.get(f"{address}/download?format=tif").status_code == 200
        assert client.post("/api/color?format=png", content=data).status_code == 200
        while studio.store.counted > len(data):  # the end is heard before the file is removed
            time.sleep(0.01)
        # A result is counted at its full size before it is written; its photo, read by then, goes.
        studio.store.hold(going, room - len(data) - 3 * noise.size + 1)
        assert client.get(f"{address}/download").status_code == 200
        assert client.get(f"{address}/download").status_code == 410
        while len([*studio.store.folder().iterdir()]) > 1:
            time.sleep(0.01)
        studio.store.hold(going, room - len(data) - 3 * noise.size + 1)
        assert client.post("/api/color", content=data).status_code == 503
        studio.store.release(going)
        files = [path for path in studio.store.folder().iterdir() if path.name != "lock"]
        assert sum(path.stat().st_size for path in files) == studio.store.counted


def test_a_download_that_nobody_reads_is_given_up(colorizer: Colorizer) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2200, 2200), dtype=np.uint8)
    with Studio(colorizer, Limits(silence=0.3)) as studio, serving(studio) as client:
        address, _ = send(client, encoded(noise, compress_level=1))
        folder = studio.store.folder()
        before = set(folder.iterdir())
        with socket.socket() as idle:
            idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            idle.connect((client.base_url.host, client.base_url.port))
            host = client.base_url.netloc.decode()
            request = f"GET {address}/download?format=tif HTTP/1.1\r\nHost: {host}\r\n\r\n"
            idle.sendall(request.encode())
            while set(folder.iterdir()) == before:
                time.sleep(0.01)
            while set(folder.iterdir()) != before:  # or the test never ends
                time.sleep(0.01)


def test_what_can_be_read_can_be_asked_about(client: httpx.Client) -> None:
    made, _ = send(client, encoded(gray_photo()))
    photo = made.partition("/predictions")[0]
    mine = ("/api/info", photo, f"{made}/preview", f"{made}/palette?x=1&y=1", f"{made}/download")
    for path in ("/", "/static/studio.js", "/api/docs", "/api/openapi.json", *mine):
        get, head = client.get(path), client.head(path)
        assert get.status_code == head.status_code == 200 and head.content == b""
        assert head.headers["content-length"] == str(len(get.content))
        assert head.headers["content-security-policy"]
    assert client.post("/static/studio.js").status_code == 405


def test_odd_requests_get_proper_errors(client: httpx.Client) -> None:
    address, _ = send(client, encoded(gray_photo()))
    for path in ("/api/info", f"{address}/preview"):
        reply = client.request("GET", path, content=bytes(300_000))
        assert reply.status_code == 413 and "bytes" in reply.json()["error"]
    many = (bytes(10_000) for _ in range(30))  # whose length is not said
    with contextlib.suppress(httpx.WriteError):
        assert client.request("GET", f"{address}/preview", content=many).status_code in (200, 413)
    predictions = address.rpartition("/")[0]
    json = {"Content-Type": "application/json"}
    for body in (b"{", b"\xff\xfe{", b"[" * 5000):
        reply = client.post(predictions, content=body, headers=json)
        assert reply.status_code == 422 and reply.json()["error"]
    for path in ("/api/examples/horses", f"{address}/download", "/static/studio.js"):
        reply = client.get(path, headers={"Range": "bytes=9-2"})
        assert reply.status_code == 200
    reply = client.post("/api/photos", content=b"")
    assert reply.status_code == 422 and "the file is empty" in reply.json()["error"]


def test_the_description_has_the_key_and_the_common_errors_once(client: httpx.Client) -> None:
    document = client.get("/api/openapi.json").json()
    assert all(path.startswith("/api/") for path in document["paths"])
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["type"] == "http" and scheme["scheme"] == "bearer"
    for methods in document["paths"].values():
        for operation in methods.values():
            assert "head" not in methods  # it is GET without a body
            for status in ("400", "403", "408", "413", "421", "429", "500", "503"):
                where = operation["responses"][status]["$ref"].rpartition("/")[2]
                assert where in document["components"]["responses"]


def test_the_docs_name_all_there_is_and_ask_for_nothing(client: httpx.Client) -> None:
    page = client.get("/api/docs")
    document = client.get("/api/openapi.json").json()
    assert len(document["paths"]) >= 15
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page.text
    assert "<script" not in page.text and "https://" not in page.text and " src=" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_names_in_the_guide_are_those_that_its_commands_print() -> None:
    guide = (EXAMPLES.parent / "docs" / "studio-api.md").read_text(encoding="utf-8")
    hints = json.loads(re.search(r"-d '(.*?)'", guide)[1])["hints"]  # type: ignore[index]
    name = prediction_name([(hint["x"], hint["y"], tuple(hint["color"])) for hint in hints])
    printed = re.findall(r'"prediction":"(\w+)"', guide)
    assert printed == [prediction_name([]), name]


# --- no trace -------------------------------------------------------------------------------------


class Command:
    """`photochrom studio` as a process of its own, with a folder for temporary files."""

    def __init__(self, temporary: Path, *arguments: str) -> None:
        self.temporary = temporary
        command = [sys.executable, "-m", "photochrom", "studio", "--port", "0", "--no-browser"]
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[0]

    def folders(self) -> list[Path]:
        return sorted(self.temporary.glob("photochrom-studio-*"))

    def end(self, sign: int) -> int:
        self.process.send_signal(sign)
        self.rest = self.process.communicate()[0]
        return self.process.returncode


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    running: list[Command] = []

    def start(*arguments: str) -> Command:
        running.append(Command(tmp_path, *arguments))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


def test_nothing_is_left_behind(command: Callable[..., Command]) -> None:
    data = encoded(gray_photo())
    killed = command()
    assert httpx.post(f"{killed.url}api/photos", content=data, trust_env=False).status_code == 201
    (folder,) = killed.folders()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (upload,) = (path for path in folder.iterdir() if path.name != "lock")
    assert stat.S_IMODE(upload.stat().st_mode) == 0o600 and upload.read_bytes() == data
    for sign in (signal.SIGTERM, signal.SIGHUP):
        server = command()  # removes what a killed one left, and not what a running one has
        assert server.folders() == [folder]
        httpx.post(f"{server.url}api/photos", content=data, trust_env=False)
        httpx.post(f"{server.url}api/color", content=data, trust_env=False)
        assert len(server.folders()) == 2
        assert server.end(sign) == 0 and server.rest.strip() == ""
        assert server.folders() == [folder]
    killed.end(signal.SIGKILL)
    assert killed.folders() == [folder]
    last = command()
    assert last.folders() == []
    assert last.end(signal.SIGTERM) == 0


def test_ended_in_the_middle_of_work_it_says_nothing_and_leaves_nothing(
    command: Callable[..., Command],
) -> None:
    server = command("--threads", "1")
    data = encoded(gray_photo(3000, 4000), "JPEG")

    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(f"{server.url}api/color", content=data, trust_env=False, timeout=60)

    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(ask)
        while not any(p.stat().st_size == len(data) for p in inside(server.temporary)):
            time.sleep(0.01)
        assert server.end(signal.SIGINT) == 0
    assert "Traceback" not in server.rest, server.rest
    assert server.folders() == []


def inside(temporary: Path) -> list[Path]:
    return [path for path in temporary.glob("photochrom-studio-*/*") if path.exists()]


def test_wrong_options_are_said_before_anything_is_served(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments, word in (
        (["--host", "0.0.0.0"], "--allow-network"),
        (["--max-mb", "0"], "above 0"),
        (["--size", "17"], "multiple"),
        (["--model", "none.onnx"], "no such model"),
    ):
        assert main(["studio", "--port", "0", "--no-browser", *arguments]) in (1, 2)
        said = capsys.readouterr()
        assert word in said.err and said.out == ""
