"""Which requests are answered, and what a browser may do with the answer.

A page on 127.0.0.1 is not private by itself. Any site that is open in the same browser can send
requests to it, or have its own name resolve to it. So every request must name us as its host, every
change must come from our own page, and a page may load nothing from elsewhere. If other machines
may use the server (`allow_network`), its address contains a secret key.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photochrom.web.serving.answer import HEADERS, error_answer
from photochrom.web.serving.body import CountedBody, drain
from photochrom.web.serving.bounds import Bounds
from photochrom.web.serving.connections import mistakes
from photochrom.web.serving.host import KEY, is_ours
from photochrom.web.serving.key import NO_KEY, Key

__all__ = ["Guard"]


class Guard:
    """Refuses requests that do not come from our own page, and secures the answers.

    Parameters
    ----------
    app : the application behind it
    address : (host, port) where the server listens
    key : a secret that each request must carry, see `Key`; None if only this machine can reach us
    max_body : bytes that a request may have, or a function of its path that returns them
    programs : also accept changes from programs such as curl, which unlike browsers do not say
        where a change comes from, and bodies that do not state their length
    bounds : see `Bounds`
    """

    def __init__(
        self,
        app: ASGIApp,
        address: tuple[str, int],
        *,
        key: str | None = None,
        max_body: int | Callable[[str], int] = 4096,
        programs: bool = False,
        bounds: Bounds | None = None,
    ) -> None:
        self.app = app
        self.host, self.port = address
        self.key = None if key is None else Key(key, self.port)
        self.max_body = max_body
        self.programs = programs
        self.bounds = bounds or Bounds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # such as a WebSocket, which we never use
            raise RuntimeError(f"a connection of type {scope['type']} is not served")
        headers = Headers(scope=scope)
        # Ignore ranges: some answers exist for one request only, and the others are small.
        ranges = (b"range", b"if-range")
        scope = {**scope, "headers": [h for h in scope["headers"] if h[0] not in ranges]}
        given = parse_qs(scope["query_string"].decode("latin-1")).get(KEY, [""])[-1]

        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
                if self.key is not None and self.key.equals(given):
                    out.append("Set-Cookie", self.key.cookie)
            await send(message)

        limit = self.max_body if isinstance(self.max_body, int) else self.max_body(scope["path"])
        refusal = self._refusal(scope["method"], headers, given, limit)
        if refusal is not None and refusal.status_code == 413 and "expect" not in headers:
            # A client that is still sending would only see a broken connection, not the answer.
            await drain(receive)
        body = CountedBody(receive, limit, self.bounds.body_seconds)
        try:
            await (refusal or self.app)(scope, body, send_guarded)
        except asyncio.CancelledError:
            # The server is stopping and has waited long enough. A traceback would not help.
            if not started:
                ending = error_answer(503, "the server is stopping", "start it again", retry=True)
                await ending(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers, given: str, limit: int) -> Response | None:
        host = headers.get("host", "")
        if not is_ours(host, self.host, self.port):
            return error_answer(421, "this server doesn't go by that host name")
        if not self._comes_from_us(method, headers, host):
            return error_answer(403, "only this server's own page may do this")
        if "transfer-encoding" in headers and not self.programs:
            return error_answer(411, "the request doesn't state its length")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > limit:
            return error_answer(413, f"it is larger than the limit of {limit} bytes")
        if self.key is not None and not self.key.opens(headers, given):
            if method in ("GET", "HEAD") and "text/html" in headers.get("accept", ""):
                return HTMLResponse(NO_KEY, 403)  # a person sees it
            return error_answer(
                403,
                "the key is missing from the address",
                "use the whole address that you were given",
            )
        return None

    def _comes_from_us(self, method: str, headers: Headers, host: str) -> bool:
        """Whether no other site is behind a request, as far as the browser tells."""
        read = method in ("GET", "HEAD")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not (
            read and headers.get("sec-fetch-mode") == "navigate"  # someone followed a link
        ):
            return False
        if read:
            return True
        # All browsers tell where a change comes from. Anything else is a program, or very old.
        origin = headers.get("origin")
        if origin is None and self.programs:
            return not {"sec-fetch-site", "referer", "cookie"} & set(headers)
        return origin == f"http://{host}"


mistakes.addFilter(lambda record: record.levelno >= logging.ERROR)  # uvicorn resets levels
