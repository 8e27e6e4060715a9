"""The service and strangers: hostile files, foreign pages, slow clients, odd requests."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import time
import zlib
from collections import Counter
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from photochrom import Colorizer
from photochrom.photo.limits import ReadLimits
from photochrom.web.serving.bounds import Bounds
from photochrom.web.studio.limits import Limits
from photochrom.web.studio.store import prediction_name
from photochrom.web.studio.studio import Studio
from tests.web.studio_client import EXAMPLES, encoded, gray_photo, send, serving


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
            assert (
                said.startswith(b"HTTP/1.1 408 ") and b"did not arrive within 0.6 seconds" in said
            )
        assert client.post("/api/photos", content=encoded(gray_photo())).status_code == 201


@pytest.mark.slow
def test_half_a_head_keeps_nobody_out(studio: Studio) -> None:
    bounds = Bounds(of_one=9, head_seconds=0.5, body_seconds=0.3)
    with serving(studio, bounds=bounds) as client, contextlib.ExitStack() as stack:
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


@pytest.mark.slow
def test_too_many_connections_are_refused(studio: Studio) -> None:
    with serving(studio, bounds=Bounds(connections=1)) as client:
        reply = client.get("/api/info")
        assert reply.status_code == 503 and reply.headers["retry-after"] == "5"
        assert reply.json() == {
            "error": "too many connections; try again in a moment",
            "problem": "too many connections",
            "remedy": "try again in a moment",
            "retry": True,
        }


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
