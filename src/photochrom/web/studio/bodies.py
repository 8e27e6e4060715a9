"""Request bodies in pieces, answers as files."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path as FilePath
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from photochrom.photo.formats.table import TYPES
from photochrom.web.studio.limits import Limits, Refused
from photochrom.web.studio.studio import Studio

__all__ = [
    "BODY",
    "Outgoing",
    "UPLOADS",
    "attachment",
    "copy_body",
    "disconnected",
    "max_body",
    "pieces_of",
    "read_on",
]

BODY = 1 << 18
"""Bytes of a request that holds no photo."""
UPLOADS = ("/api/photos", "/api/color")
_PIECE = 1 << 20


def max_body(limit: int) -> Any:
    """For `Guard`: `limit` bytes for what takes photos, `BODY` for all else."""
    return lambda path: limit if path in UPLOADS else min(BODY, limit)


class Outgoing(FileResponse):
    """A file that is removed once it is sent, or its client has gone or reads no more."""

    def __init__(
        self, path: FilePath, silence: float, release: Callable[[FilePath], None], **options: Any
    ) -> None:
        super().__init__(path, **options)
        self.silence, self.release = silence, release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""

        async def patiently(message: Message) -> None:
            async with asyncio.timeout(self.silence):
                await send(message)

        try:
            # An answer that is cut off has no other end than that of its connection.
            with contextlib.suppress(TimeoutError):
                await super().__call__(scope, receive, patiently)
        finally:
            self.release(FilePath(self.path))


def attachment(path: FilePath, studio: Studio) -> Outgoing:
    extension = path.suffix
    return Outgoing(
        path,
        studio.limits.silence,
        studio.store.release,
        media_type=TYPES[extension],
        filename=f"photochrom{extension}",
        content_disposition_type="attachment",
    )


async def disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def pieces_of(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """A body as it comes: a slow one may take its time, one that trickles or stops is given up."""
    stream = request.stream()
    began, total = time.monotonic(), 0
    told = request.headers.get("content-length", "")
    while True:
        length = int(told) if told.isdecimal() else total
        end = limits.patience + length / limits.pace
        left = began + end - time.monotonic()
        try:
            async with asyncio.timeout(min(limits.silence, left)):
                piece = await anext(stream, None)
        except TimeoutError:
            if left <= limits.silence:
                raise Refused(408, f"it was not all here after {end:.3g} seconds") from None
            raise Refused(408, f"nothing more of it came for {limits.silence:g} seconds") from None
        if piece is None:
            return
        total += len(piece)
        seconds = time.monotonic() - began
        if seconds > limits.grace and total < limits.rate * seconds:
            raise Refused(408, f"fewer than {limits.rate:g} bytes of it came in a second")
        yield piece


async def read_on(body: AsyncIterator[bytes]) -> None:
    """What is left of a body that is not taken."""
    async for _ in body:
        pass


async def copy_body(
    body: AsyncIterator[bytes], file: Any, limit: int, hold: Callable[[int], None]
) -> None:
    """Write a body to a file, in a thread and not by tiny pieces; `hold` hears its size before."""
    buffer, total = bytearray(), 0
    async for piece in body:
        buffer += piece
        total += len(piece)
        if total > limit:
            raise HTTPException(413, f"more than {limit} bytes are not taken")
        if len(buffer) >= _PIECE:
            hold(total)
            await asyncio.to_thread(file.write, buffer)
            buffer = bytearray()
    hold(total)
    await asyncio.to_thread(file.write, buffer)
