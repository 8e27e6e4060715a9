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
import logging
import socket
from collections.abc import Callable, Iterator
from secrets import compare_digest
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photochrom.web.serving.answer import HEADERS, error_answer
from photochrom.web.serving.connections import mistakes
from photochrom.web.serving.host import KEY, is_address, is_local

__all__ = ["Guard"]


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
                for name, value in HEADERS.items():
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
                ending = error_answer(503, "the server ends; start it again")
                await ending(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers, given: str, limit: int) -> Response | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return error_answer(421, "this server does not go by that name")
        if not self._comes_from_us(method, headers, host):
            return error_answer(403, "only this server's own page may do this")
        if "transfer-encoding" in headers and not self.programs:
            return error_answer(411, "the request does not say how long it is")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > limit:
            return error_answer(413, f"more than {limit} bytes are not taken")
        if self.key is not None:
            scheme, _, bearer = headers.get("authorization", "").partition(" ")
            shown = [given, *_cookies(headers, self.cookie)]
            if scheme.lower() == "bearer":
                shown.append(bearer.strip())
            if not any(compare_digest(one.encode(), self.key.encode()) for one in shown):
                if method in ("GET", "HEAD") and "text/html" in headers.get("accept", ""):
                    return HTMLResponse(_NO_KEY, 403)  # somebody looks at it
                return error_answer(
                    403, "the address lacks its key; use the one that you were given"
                )
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
        return name in (self.host.lower(), here, f"{here}.local") or is_address(name)


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


mistakes.addFilter(lambda record: record.levelno >= logging.ERROR)  # uvicorn resets levels
