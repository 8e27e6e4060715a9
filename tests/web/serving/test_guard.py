"""The service and strangers: foreign pages, keys, a terminal that stays quiet."""

from __future__ import annotations

import contextlib
import json
import logging
import socket

import httpx
import pytest

from photochrom.web.studio.studio import Studio
from tests.web.studio_client import encoded, gray_photo, serving


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


@pytest.mark.slow
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
