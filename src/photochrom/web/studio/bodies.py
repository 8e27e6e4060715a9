"""Request bodies that arrive in pieces, answers that take their time, and answers as files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path as FilePath
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from photochrom.errors import PhotochromError
from photochrom.photo.formats.table import TYPES
from photochrom.web.serving.answer import Refused
from photochrom.web.studio.kept import Made
from photochrom.web.studio.lane import Busy, Lane
from photochrom.web.studio.limits import Limits
from photochrom.web.studio.store import NoRoom
from photochrom.web.studio.studio import Studio

__all__ = [
    "BODY",
    "NOTES",
    "Outgoing",
    "UPLOADS",
    "answer",
    "attachment",
    "copy_body",
    "disconnected",
    "max_body",
    "pieces_of",
    "read_on",
    "studio_of",
    "take",
]

T = TypeVar("T")
BODY = 1 << 18
"""Bytes of a request without a photo."""
UPLOADS = ("/api/photos", "/api/color")
NOTES = "Photochrom-Notes"
"""The header, a list in JSON."""
_MOST_NOTES = 4000  # bytes of it
_PIECE = 1 << 20


def studio_of(request: Request) -> Studio:
    """The studio of the application that a request reached."""
    studio: Studio = request.app.state.studio
    return studio


def max_body(limit: int) -> Any:
    """For `Guard`: `limit` bytes for the routes that accept photos, `BODY` for all others."""
    return lambda path: limit if path in UPLOADS else min(BODY, limit)


# --- bodies ---


async def take(request: Request, lane: Lane) -> FilePath:
    """The body in a file of its own, which the caller removes.

    Parameters
    ----------
    request : with a photo as its body
    lane : where the work will wait

    Raises
    ------
    Busy, NoRoom
        Too many bodies arrive at once, or too much work is waiting. It is raised after the body is
        read, because otherwise its sender would not get the answer.
    """
    studio = studio_of(request)
    coming: asyncio.Semaphore = request.app.state.coming
    body = pieces_of(request, studio.limits)
    try:
        lane.check()
        if coming.locked():
            raise Busy(5)
    except Busy:
        await read_on(body)
        raise
    async with coming:
        file, path = await asyncio.to_thread(studio.store.new_file)
        try:
            with file:
                hold = partial(studio.store.hold, path)
                await copy_body(body, file, studio.limits.bytes, hold)
        except BaseException as error:
            studio.store.release(path)
            if isinstance(error, NoRoom):
                await read_on(body)
            if isinstance(error, OSError) and error.errno is not None:
                raise PhotochromError(f"{path.parent}: {error.strerror}") from error
            raise
    return path


async def pieces_of(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """A body in pieces, as it arrives. It may be slow, but must not trickle or stop."""
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
                raise _late(f"it did not arrive within {end:.3g} seconds") from None
            raise _late(f"no more of it arrived for {limits.silence:g} seconds") from None
        if piece is None:
            return
        total += len(piece)
        seconds = time.monotonic() - began
        if seconds > limits.grace and total < limits.rate * seconds:
            raise _late(f"it arrived at fewer than {limits.rate:g} bytes per second")
        yield piece


def _late(problem: str) -> Refused:
    return Refused(408, problem, retry=True)


async def read_on(body: AsyncIterator[bytes]) -> None:
    """Read the rest of a refused body."""
    async for _ in body:
        pass


async def copy_body(
    body: AsyncIterator[bytes], file: Any, limit: int, hold: Callable[[int], None]
) -> None:
    """Write a body to a file, in a thread and in large pieces.

    Parameters
    ----------
    body : in pieces
    file : open for writing
    limit : bytes that the body may have
    hold : is called with the size before each writing
    """
    buffer, total = bytearray(), 0
    async for piece in body:
        buffer += piece
        total += len(piece)
        if total > limit:
            raise Refused(413, f"it is larger than the limit of {limit} bytes")
        if len(buffer) >= _PIECE:
            hold(total)
            await asyncio.to_thread(file.write, buffer)
            buffer = bytearray()
    hold(total)
    await asyncio.to_thread(file.write, buffer)


# --- answers ---


async def answer(
    request: Request, work: Coroutine[Any, Any, T], discard: Callable[[T], None] | None = None
) -> T:
    """The result of work, unless it takes too long or the client leaves in the meantime.

    A result that comes too late goes to `discard`.
    """
    seconds = studio_of(request).limits.seconds
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(disconnected(request))
    try:
        await asyncio.wait({task, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            discard = None
            return task.result()
        if left.done():
            left.result()  # raises if the body is too large
            raise Refused(499, "the client has gone")  # nobody reads this
        raise TimeoutError
    finally:
        for pending in (task, left):
            pending.cancel()
        await asyncio.gather(task, left, return_exceptions=True)
        if discard is not None and not task.cancelled() and task.exception() is None:
            discard(task.result())


async def disconnected(request: Request) -> None:
    """Wait until the client leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Outgoing(FileResponse):
    """A file that is removed when it has been sent, or if its client leaves or stops reading."""

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
            # The only way to end an incomplete answer is to end its connection.
            with contextlib.suppress(TimeoutError):
                await super().__call__(scope, receive, patiently)
        finally:
            self.release(FilePath(self.path))


def attachment(made: Made, studio: Studio) -> Outgoing:
    """A colored photo as a download, with a header that says what it cannot hold of the photo."""
    extension = made.path.suffix
    notes = list(made.notes)
    while len(told := json.dumps(notes)) > _MOST_NOTES:
        notes = [note[:200] for note in notes[:-1]]
    return Outgoing(
        made.path,
        studio.limits.silence,
        studio.store.release,
        media_type=TYPES[extension],
        filename=f"photochrom{extension}",
        content_disposition_type="attachment",
        headers={NOTES: told} if notes else None,
    )
