"""What every page of photochrom shares: where it listens, whom it answers, what it may load.

A page on 127.0.0.1 is not private by itself: any site that is open in the same browser can send
requests to it, or have its own name resolve to it. So every request must name us as its host, every
change must come from our own page, and a page may load nothing from elsewhere. Whoever lets other
machines in (`allow_network`) gets an address with a secret key in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from secrets import compare_digest
from typing import Any
from urllib.parse import parse_qs

import h11
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from photochrom.errors import ConfigError, PhotochromError
from photochrom.text import printable

__all__ = ["Guard", "address", "is_local", "listen", "make_app", "make_server", "serve"]

STATIC = Path(__file__).parent / "static"

KEY = "key"
"""Name of the query parameter that holds the secret of a page on an open network."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


# --- the application ------------------------------------------------------------------------------


def make_app(page: str) -> FastAPI:
    """An application with one page, static/PAGE/index.html, and its files; without an API browser.

    Errors reach the client as ``{"error": text}`` and never with a traceback: 503 for a
    PhotochromError, which may pass, such as a full disk, and 500 for a mistake of ours.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def offer(address: str, file: Path) -> None:
        app.add_api_route(
            address,
            lambda: FileResponse(file),
            methods=["GET", "HEAD"],
            response_class=FileResponse,
            include_in_schema=False,
        )

    # One route a file: no name that a client sends is ever looked up on the disk.
    folder = STATIC / page
    offer("/", folder / "index.html")
    for file in folder.iterdir():
        offer(f"/static/{file.name}", file)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        # FastAPI's word for a body that is no JSON; ours for all that is not understood is 422.
        status = 422 if error.status_code == 400 else error.status_code
        return _error(status, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        return _error(422, "the request is not understood; reload the page")

    @app.exception_handler(PhotochromError)
    def failed(_: Request, error: PhotochromError) -> Response:
        # For whoever runs the server.
        print("photochrom: " + printable(str(error), keep="\n"), file=sys.stderr)
        return _error(503, "the server cannot do this now; see its terminal")

    @app.exception_handler(Exception)
    def unforeseen(_: Request, error: Exception) -> Response:
        # The traceback goes to the terminal, for the error is raised on once this is sent.
        return _error(500, "something went wrong here; see the server's terminal")

    return app


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text}, status, headers)


class Guard:
    """Refuses what does not come from our own page, and says what a browser may do with a reply.

    Parameters
    ----------
    app : the application behind it
    host, port : where it listens
    key : secret that a request must carry, as ``?key=`` in the address, as the cookie that the
        first such request gets, or as ``Authorization: Bearer KEY``; None where only this machine
        can reach us
    max_body : bytes that a request may carry; or a function of its path that tells
    programs : take changes from programs such as curl too, which unlike browsers do not say where
        a change comes from, and bodies whose length is not said beforehand
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        key: str | None = None,
        max_body: int | Callable[[str], int] = 4096,
        programs: bool = False,
    ) -> None:
        self.app = app
        self.host = host
        self.port = port
        self.key = key
        self.max_body = max_body
        self.programs = programs
        # Cookies do not tell ports apart.
        self.cookie = f"photochrom-key-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # a WebSocket: there are none here
            raise RuntimeError(f"a connection of type {scope['type']} is not served")
        headers = Headers(scope=scope)
        # Answers are whole: some are made and removed for one request, and the rest are small.
        ranges = (b"range", b"if-range")
        scope = {**scope, "headers": [h for h in scope["headers"] if h[0] not in ranges]}
        given = parse_qs(scope["query_string"].decode("latin-1")).get(KEY, [""])[-1]

        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    out.setdefault(name, value)
                if self.key is not None and compare_digest(given.encode(), self.key.encode()):
                    out.append(
                        "Set-Cookie", f"{self.cookie}={self.key}; Path=/; HttpOnly; SameSite=Strict"
                    )
            await send(message)

        limit = self.max_body if isinstance(self.max_body, int) else self.max_body(scope["path"])
        refusal = self._refusal(scope["method"], headers, given, limit)
        if refusal is not None and refusal.status_code == 413 and "expect" not in headers:
            # Who is still sending would not hear the answer, only that the connection broke.
            await _drain(receive)
        seconds = BODY_SECONDS if limit <= SHORT else None
        counted = functools.partial(_count, receive, _Counter(limit, seconds))
        try:
            await (refusal or self.app)(scope, counted, send_guarded)
        except asyncio.CancelledError:
            # The server ends and has waited long enough: no mistake that a traceback would help.
            if not started:
                ending = _error(503, "the server ends; start it again")
                await ending(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers, given: str, limit: int) -> Response | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return _error(421, "this server does not go by that name")
        if not self._comes_from_us(method, headers, host):
            return _error(403, "only this server's own page may do this")
        if "transfer-encoding" in headers and not self.programs:
            return _error(411, "the request does not say how long it is")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > limit:
            return _error(413, f"more than {limit} bytes are not taken")
        if self.key is not None:
            scheme, _, bearer = headers.get("authorization", "").partition(" ")
            shown = [given, *_cookies(headers, self.cookie)]
            if scheme.lower() == "bearer":
                shown.append(bearer.strip())
            if not any(compare_digest(one.encode(), self.key.encode()) for one in shown):
                if method in ("GET", "HEAD") and "text/html" in headers.get("accept", ""):
                    return HTMLResponse(_NO_KEY, 403)  # somebody looks at it
                return _error(403, "the address lacks its key; use the one that you were given")
        return None

    def _comes_from_us(self, method: str, headers: Headers, host: str) -> bool:
        """Whether no other site is behind a request, as far as the browser says."""
        read = method in ("GET", "HEAD")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not (
            read and headers.get("sec-fetch-mode") == "navigate"  # a link that was followed
        ):
            return False
        if read:
            return True
        # All browsers say where a change comes from; what does not say so is no page, or old.
        origin = headers.get("origin")
        if origin is None and self.programs:
            return not {"sec-fetch-site", "referer", "cookie"} & set(headers)
        return origin == f"http://{host}"

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header is one that we can be reached by.

        On an open network that is any address in digits: only names can be made to lead here.
        """
        name, _, port = host.rpartition(":")
        if port != str(self.port):
            name, port = host, "80"
        if port != str(self.port):
            return False
        name = name.removeprefix("[").removesuffix("]").lower()
        if is_local(self.host):
            return name in ("localhost", "127.0.0.1", "::1", self.host.lower())
        here = socket.gethostname().lower()
        return name in (self.host.lower(), here, f"{here}.local") or _is_address(name)


SHORT = 1 << 20
"""Bytes: a body that may have no more has its end here, a longer one where it is read."""
BODY_SECONDS = 30.0
"""Within which all of a short body has come."""


class _Counter:
    """Bytes that a body may still have, and how long it may take."""

    def __init__(self, left: int, seconds: float | None) -> None:
        self.limit = self.left = left
        self.end = None if seconds is None else asyncio.get_running_loop().time() + seconds


async def _count(receive: Receive, counter: _Counter) -> Message:
    """Receive a piece of a body; one that goes on for too long ends in status 413 or 408."""
    try:
        async with asyncio.timeout_at(counter.end):
            message = await receive()
    except TimeoutError:
        raise HTTPException(408, "the rest of it did not come; send it again") from None
    if not message.get("more_body", False):
        counter.end = None  # from here on only the client's leaving is waited for
    counter.left -= len(message.get("body", b""))
    if counter.left < 0:
        raise HTTPException(413, f"more than {counter.limit} bytes are not taken")
    return message


DRAIN_SECONDS = 10.0
"""For which a body that is refused is still read, so that its sender hears why."""


async def _drain(receive: Receive) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while (await receive()).get("more_body", False):
                pass


_NO_KEY = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>photochrom: the key is missing</title></head><body><main>
<h1>This address lacks its key</h1>
<p>Open the whole address, <code>?key=</code> included, that the terminal of photochrom prints. It
prints another one at each start, for the key is new then; your work is kept.</p>
</main></body></html>
"""


def _cookies(headers: Headers, name: str) -> Iterator[str]:
    """The values of the cookies of that name, whatever others there are beside them.

    Any program on this host may set cookies that we are sent too, and many are not as the standard
    has them: a parser that gives up at the first of those would lock us out.
    """
    for line in headers.getlist("cookie"):
        for pair in line.split(";"):
            found, _, value = pair.partition("=")
            if found.strip() == name:
                yield value.strip()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


# --- connections ----------------------------------------------------------------------------------

CONNECTIONS = 1024
"""That are open at once."""
OF_ONE = 256
"""Of them, from one address: nobody alone keeps all others out."""
HEAD_SECONDS = 15.0
"""Within which the head of a request has come, however slowly it began."""


class _Connection(H11Protocol):
    """One connection: it waits neither for ever for a head, nor beside too many of its kind."""

    _late: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = _mistakes  # strangers shall not fill the terminal

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client and self.client[0]
        others = (other for other in self.connections if isinstance(other, _Connection))
        if sum(1 for other in others if other.client and other.client[0] == host) > OF_ONE:
            transport.write(_CROWDED)
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        if max(len(self.connections), len(self.tasks)) >= CONNECTIONS:
            self.app = _crowded
        else:
            self.app = self.config.loaded_app
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless an answer is on its way already."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_ODD)
        self.transport.close()

    def _watch(self) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        # The next head, or the rest of a body that nobody reads any more.
        if not (answered and self.conn.their_state in (h11.IDLE, h11.SEND_BODY)):
            self._stop()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    await _error(503, _TOO_MANY, {"Retry-After": "5"})(scope, receive, send)


def _plain(status: str, text: str, **more: str) -> bytes:
    """An answer where no application is asked, and the connection ends."""
    body = json.dumps({"error": text}).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **_HEADERS,
        **more,
    }
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


_TOO_MANY = "too many connections; try again in a moment"
_CROWDED = _plain("503 Service Unavailable", _TOO_MANY, **{"Retry-After": "5"})
_ODD = _plain("400 Bad Request", "this is no HTTP, or its head is too long")

_mistakes = logging.getLogger("uvicorn.error.photochrom")
"""Of connections: mistakes of ours, and not those of whoever connects."""
_mistakes.addFilter(lambda record: record.levelno >= logging.ERROR)  # uvicorn resets levels


# --- listening ------------------------------------------------------------------------------------


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def listen(host: str, port: int, *, allow_network: bool = False) -> socket.socket:
    """A listening socket.

    Parameters
    ----------
    host : address to bind
    port : 0 for any that is free
    allow_network : take an address that other machines can reach

    Raises
    ------
    ConfigError
        The address is taken, not there, or open to others without `allow_network`.
    """
    if not is_local(host) and not allow_network:
        raise ConfigError(
            f"--host {host}: other machines could reach that; add --allow-network if they shall"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.create_server((host, port), family=family)
        # Connections inherit it. Without, the end of an answer waits 40 ms for the client's word
        # that it has the beginning; asyncio sets it only on sockets that name their protocol.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{host}:{port}: cannot be listened on: {reason}; "
            "try another --port, or 0 for a free one"
        ) from None


def address(sock: socket.socket, key: str | None = None) -> str:
    """The address of a server for a browser."""
    host, port = sock.getsockname()[:2]
    if _is_address(host) and ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/" + (
        "" if key is None else f"?{KEY}={key}"
    )


def make_server(
    app: ASGIApp,
    sock: socket.socket,
    *,
    key: str | None = None,
    max_body: int | Callable[[str], int] = 4096,
    programs: bool = False,
) -> uvicorn.Server:
    """A server for an application behind a `Guard`; ``run(sockets=[sock])`` runs it."""
    host, port = sock.getsockname()[:2]
    guarded = Guard(app, host, port, key=key, max_body=max_body, programs=programs)
    config = uvicorn.Config(
        guarded,
        http=_Connection,
        lifespan="off",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)


def serve(
    app: ASGIApp,
    sock: socket.socket,
    *,
    key: str | None = None,
    max_body: int | Callable[[str], int] = 4096,
    programs: bool = False,
    browser: bool = False,
) -> None:
    """Print the address and serve until Ctrl-C or SIGTERM, which end it cleanly.

    Parameters
    ----------
    app : the application
    sock : from `listen`
    key, max_body, programs : see `Guard`
    browser : open the page, where there is a screen
    """
    server = make_server(app, sock, key=key, max_body=max_body, programs=programs)
    url = address(sock, key)
    # Without a screen Python would start a text browser in this terminal.
    screen = sys.platform in ("darwin", "win32") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    # Once it has shut down, uvicorn passes the signal on to whom it would have gone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):  # its terminal was closed
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with contextlib.suppress(KeyboardInterrupt):
        print(f"{url}  (Ctrl-C stops)", flush=True)
        if browser and screen:
            webbrowser.open(url)  # the socket listens already: the page will wait for us
        server.run(sockets=[sock])
