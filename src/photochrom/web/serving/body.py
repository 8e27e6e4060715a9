"""How large the body of a request may be, and how long it may take."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import Message, Receive

from photochrom.web.serving.answer import Refused

__all__ = ["DRAIN_SECONDS", "SHORT", "CountedBody", "drain"]

SHORT = 1 << 20
"""Bytes: if a body's limit is larger, the code that reads the body also limits its time."""
DRAIN_SECONDS = 10.0
"""We go on reading a refused body for this time, so that its sender gets the answer."""


class CountedBody:
    """Receives a body, as long as it is neither too large nor too slow.

    Parameters
    ----------
    receive : of the request
    limit : bytes that it may have
    seconds : within which it must arrive, if `limit` is at most `SHORT`
    """

    def __init__(self, receive: Receive, limit: int, seconds: float) -> None:
        self.limit = self._left = limit
        self._receive = receive
        self._end = asyncio.get_running_loop().time() + seconds if limit <= SHORT else None

    async def __call__(self) -> Message:
        """Receive the next piece.

        Raises
        ------
        Refused
            With status 413 or 408.
        """
        try:
            async with asyncio.timeout_at(self._end):
                message = await self._receive()
        except TimeoutError:
            raise Refused(
                408, "the rest of it did not arrive", "send it again", retry=True
            ) from None
        if not message.get("more_body", False):
            self._end = None  # from now on, we only wait for the client to leave
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise Refused(413, f"it is larger than the limit of {self.limit} bytes")
        return message


async def drain(receive: Receive) -> None:
    """Read a refused body to its end, or for `DRAIN_SECONDS`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while (await receive()).get("more_body", False):
                pass
