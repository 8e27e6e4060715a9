"""Slow clients and many of them: bodies, heads, connections."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from photochrom import Colorizer
from photochrom.web.serving.bounds import Bounds
from photochrom.web.studio.limits import Limits
from photochrom.web.studio.studio import Studio
from tests.web.studio_client import encoded, gray_photo, send, serving


@pytest.mark.slow
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
