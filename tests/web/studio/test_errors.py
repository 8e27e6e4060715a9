"""Files and requests that the studio refuses, with clean errors."""

from __future__ import annotations

import contextlib
import time
import zlib
from collections import Counter

import httpx
import numpy as np
import pytest

from photochrom import Colorizer
from photochrom.photo.limits import ReadLimits
from photochrom.web.studio.limits import Limits
from photochrom.web.studio.studio import Studio
from tests.web.studio_client import encoded, gray_photo, send, serving


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [False, True], ids=["small", "as large ones"])
def test_hostile_files_get_clean_errors(colorizer: Colorizer, streamed: bool) -> None:
    from tests.hostile import mutants

    # A large photo is decoded only when it is read.
    limits = Limits(reading=ReadLimits(stream_pixels=1)) if streamed else Limits()
    counts: Counter[int] = Counter()
    with Studio(colorizer, limits) as studio, serving(studio) as client:
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
    from tests.hostile import png

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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
