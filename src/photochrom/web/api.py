"""The studio's service: what its page uses, and curl can.

Every error is ``{"error": text}``. The routes only check what they are given and say what comes
back; what happens is in `studio`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from enum import IntEnum
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from photochrom._version import __version__
from photochrom.bins import TEMPERATURE
from photochrom.errors import ConfigError, HintError, PhotochromError
from photochrom.image import EXTENSIONS
from photochrom.web.docs import docs_page
from photochrom.web.lane import Busy, Lane
from photochrom.web.server import make_app
from photochrom.web.store import Full, Gone, Unknown
from photochrom.web.studio import CANDIDATES, TILE, VIEW, Box, Limits, Look, Refused, Studio

__all__ = ["BODY", "max_body", "studio_app"]

EXAMPLES = FilePath(__file__).parent / "examples"
BODY = 1 << 18
"""Bytes of a request that holds no photo."""
UPLOADS = ("/api/photos", "/api/color")
_PIECE = 1 << 20
_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
}
T = TypeVar("T")


def max_body(limit: int) -> Any:
    """For `Guard`: `limit` bytes for what takes photos, `BODY` for all else."""
    return lambda path: limit if path in UPLOADS else min(BODY, limit)


# --- what comes in --------------------------------------------------------------------------------

Temperature = Annotated[
    float,
    Query(ge=0, le=10, allow_inf_nan=False, description="lower is more vivid, 1 the mean color"),
]
Saturation = Annotated[
    float, Query(ge=0, le=10, allow_inf_nan=False, description="factor on the colors")
]
Candidate = Annotated[
    int | None,
    Query(ge=0, lt=CANDIDATES, description="one of the alternatives; the likeliest without it"),
]
Seed = Annotated[int, Query(ge=0, lt=1 << 32, description="of the alternatives")]
Size = Annotated[
    int, Query(ge=16, le=1 << 16, description=f"longest side at most, pixels; {VIEW} is the most")
]
Format = Annotated[
    Literal["jpg", "jpeg", "png", "tif", "tiff", "webp", "avif"] | None,
    Query(description="of the file; that of the photo without it"),
]
Pixel = Annotated[int, Query(ge=0, le=1 << 20)]
Length = Annotated[int, Query(ge=1, le=1 << 20)]
Coordinate = Annotated[float, Query(ge=0, le=1 << 20, allow_inf_nan=False)]


def _look(
    temperature: Temperature = TEMPERATURE,
    saturation: Saturation = 1.0,
    candidate: Candidate = None,
    seed: Seed = 0,
) -> Look:
    return Look(temperature, saturation, candidate, seed)


class Scale(IntEnum):
    """By how much a tile is reduced."""

    WHOLE = 1
    HALF = 2
    QUARTER = 4
    EIGHTH = 8


def _box(x: Pixel, y: Pixel, width: Length, height: Length, scale: Scale = Scale.WHOLE) -> Box:
    return Box(x, y, width, height, int(scale))


Looked = Annotated[Look, Depends(_look)]
Boxed = Annotated[Box, Depends(_box)]
Channel = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]


class HintIn(BaseModel):
    """A color for a place: of the color only a and b count, so that any gray keeps it gray."""

    model_config = ConfigDict(extra="forbid")
    x: float = Field(ge=0, allow_inf_nan=False, description="pixels of the photo, to the right")
    y: float = Field(ge=0, allow_inf_nan=False, description="pixels of the photo, down")
    color: tuple[Channel, Channel, Channel] = Field(description="sRGB, 0..255")


class Hints(BaseModel):
    """The hints of a prediction; of two at one place the later counts."""

    model_config = ConfigDict(extra="forbid")
    hints: list[HintIn] = Field(default_factory=list)


# --- what comes out -------------------------------------------------------------------------------


class Problem(BaseModel):
    """What went wrong, in words."""

    error: str


class Size2D(BaseModel):
    """Pixels."""

    width: int
    height: int


class PhotoOut(BaseModel):
    """A photo that is here."""

    photo: str
    width: int = Field(description="pixels, upright")
    height: int
    format: str
    extension: str
    bits: int = Field(description="a channel")
    color: bool = Field(description="whether it was a color photo; only its lightness is used")
    preview: Size2D = Field(description="the largest preview")
    prediction: str = Field(description="that without hints")


class PredictionOut(BaseModel):
    """The name of a prediction, the same for the same hints."""

    prediction: str


class CandidateOut(BaseModel):
    """One alternative."""

    candidate: int
    color: tuple[int, int, int] = Field(description="its mean, sRGB")


class CandidatesOut(BaseModel):
    """Alternatives; their pictures are previews with their number and the seed."""

    candidates: list[CandidateOut]


class Swatch(BaseModel):
    """A likely color of a spot."""

    color: tuple[int, int, int] = Field(description="sRGB at the spot's own L")
    ab: tuple[float, float]
    probability: float


class PaletteOut(BaseModel):
    """What a spot could be."""

    L: float = Field(description="0..100")
    colors: list[Swatch] = Field(description="likeliest first; neighboring bins taken together")
    bins: list[tuple[float, float, float]] = Field(description="a, b and probability of each bin")
    current: tuple[int, int, int] = Field(description="its color now, sRGB")


class Spot(BaseModel):
    """A place where the guess is weak."""

    x: int
    y: int
    bits: float


class SpotsOut(BaseModel):
    """Where a click helps most."""

    spots: list[Spot]


class ExampleOut(BaseModel):
    """A photo to try; GET its address and send the bytes."""

    example: str
    title: str
    credit: str
    license: str
    width: int
    height: int
    url: str


class ExamplesOut(BaseModel):
    """Photos to try."""

    examples: list[ExampleOut]


class ModelOut(BaseModel):
    """What colors here."""

    name: str
    arch: str
    version: str
    license: str
    training_data: str
    working_size: int = Field(description="short side of what the network sees, pixels")
    hints: bool = Field(description="whether it follows hints")
    distribution: bool = Field(description="whether there are candidates, palette, uncertainty")


class LimitsOut(BaseModel):
    """What is taken."""

    bytes: int = Field(description="of a file")
    pixels: int = Field(description="of a photo")
    photos: int = Field(description="that are kept")
    hints: int = Field(description="of one prediction")
    candidates: int
    preview: int = Field(description="longest side of a preview")
    tile: int = Field(description="longest side of a tile")


class InfoOut(BaseModel):
    """What this is and what it can do."""

    version: str
    model: ModelOut
    limits: LimitsOut
    formats: list[str] = Field(description="extensions of the files that are taken and made")


# --- errors ---------------------------------------------------------------------------------------

_WHY = {
    404: "unknown photo or prediction",
    410: "the photo made room for others; send it again",
    415: "not a photo of a kind that is read",
    422: "it cannot be understood or used",
}
_COMMON = {
    400: "this is no HTTP, or its head is too long",
    403: "the key is missing, or another site's page asks",
    408: "the body stopped coming, or came too slowly; send it again",
    413: "too many bytes or pixels",
    421: "the server does not go by the name that was asked for",
    429: "too much waits already; try again after Retry-After seconds",
    500: "a mistake in the server",
    503: "it took too long, or the server cannot do it now",
}
"""Of every operation."""


def _problems(*more: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": Problem, "description": _WHY[status]} for status in sorted({422, *more})
    }


_OF_PHOTO = _problems(404, 410)
_BODY_OF_PHOTO = {
    "requestBody": {
        "required": True,
        "description": "the bytes of the file; they alone decide what it is",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def _made(*types: str, **more: Any) -> dict[str, Any]:
    """Of a route that answers with a file of these types."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in types}
    return {
        "response_class": Response,
        "responses": {200: {"description": "the picture", "content": content}, **_OF_PHOTO, **more},
    }


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text}, status, headers)


def _in_words(error: RequestValidationError) -> str:
    """What is wrong with a request: the first thing, with its place."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("query", "body", "path")]
    return f"{'.'.join(place) or 'the request'}: {first['msg']}"


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


def _attachment(path: FilePath, studio: Studio) -> Outgoing:
    extension = path.suffix
    return Outgoing(
        path,
        studio.limits.silence,
        studio.store.release,
        media_type=_TYPES[extension],
        filename=f"photochrom{extension}",
        content_disposition_type="attachment",
    )


# --- the application ------------------------------------------------------------------------------


def studio_app(studio: Studio) -> FastAPI:
    """The application of one studio."""
    app = make_app("studio")
    app.title, app.version = "photochrom studio", __version__
    app.description = (
        "Colors black-and-white photographs on this machine. Send a photo, then ask for pictures "
        "of it: the network has run once, and all settings are answered from its distribution."
    )
    limits = studio.limits
    coming = asyncio.Semaphore(limits.uploads)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        return _error(422, _in_words(error))

    @app.exception_handler(ConfigError)
    @app.exception_handler(HintError)
    def unusable(_: Request, error: Exception) -> Response:
        return _error(422, str(error))

    @app.exception_handler(Refused)
    def refused(_: Request, error: Refused) -> Response:
        return _error(error.status, str(error))

    @app.exception_handler(Unknown)
    def unknown(_: Request, error: Unknown) -> Response:
        return _error(404, "no such photo or prediction here; send it again")

    @app.exception_handler(Gone)
    def gone(_: Request, error: Gone) -> Response:
        return _error(410, "the photo made room for others; send it again")

    @app.exception_handler(MemoryError)
    def too_large(_: Request, error: MemoryError) -> Response:
        return _error(503, "the server has too little memory for this; use a smaller photo")

    @app.exception_handler(Full)
    def full(_: Request, error: Full) -> Response:
        text = "the files that come and go take all the room there is; try again in a moment"
        return _error(503, text, {"Retry-After": "10"})

    @app.exception_handler(TimeoutError)
    def late(_: Request, error: TimeoutError) -> Response:
        return _error(503, f"took longer than {limits.seconds:g} seconds", {"Retry-After": "10"})

    @app.exception_handler(ClientDisconnect)
    def left(_: Request, error: ClientDisconnect) -> Response:
        return _error(499, "nobody waits for the answer")  # nobody reads it either

    @app.exception_handler(Busy)
    def busy(_: Request, error: Busy) -> Response:
        headers = {"Retry-After": str(error.seconds)}
        return _error(429, "too much waits already; try again in a moment", headers)

    async def answer(
        request: Request, work: Coroutine[Any, Any, T], discard: Callable[[T], None] | None = None
    ) -> T:
        """The result of work, unless it takes too long or the client goes away meanwhile.

        A result that came too late to be handed out is given to `discard`.
        """
        task = asyncio.ensure_future(work)
        left = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait(
                {task, left}, timeout=limits.seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                discard = None
                return task.result()
            if left.done():
                left.result()  # more of a body than is taken
                raise HTTPException(499, "nobody waits for the answer")  # nobody reads it either
            raise TimeoutError
        finally:
            for pending in (task, left):
                pending.cancel()
            await asyncio.gather(task, left, return_exceptions=True)
            if discard is not None and not task.cancelled() and task.exception() is None:
                discard(task.result())

    async def take(request: Request, lane: Lane) -> FilePath:
        """The body in a file of its own, which the caller removes; for work in that lane.

        Raises
        ------
        Busy, Full
            Too many come in at once, or wait, or too much does; after the body, or its sender would
            not hear it.
        """
        body = _pieces(request, limits)
        try:
            lane.check()
            if coming.locked():
                raise Busy(5)
        except Busy:
            await _read_on(body)
            raise
        async with coming:
            file, path = await asyncio.to_thread(studio.store.new_file)
            try:
                with file:
                    await _copy_body(body, file, limits.bytes, partial(studio.store.hold, path))
            except BaseException as error:
                studio.store.release(path)
                if isinstance(error, Full):
                    await _read_on(body)
                if isinstance(error, OSError) and error.errno is not None:
                    raise PhotochromError(f"{path.parent}: {error.strerror}") from error
                raise
        return path

    @app.get("/api/info", response_model=InfoOut, tags=["studio"])
    def info() -> dict[str, Any]:
        """What this is and what it can do."""
        model = studio.colorizer.info
        return {
            "version": __version__,
            "model": {
                "name": model.name,
                "arch": model.arch,
                "version": model.version,
                "license": model.license,
                "training_data": model.training_data,
                "working_size": studio.colorizer.working_size,
                "hints": model.channels == 4,
                "distribution": not model.regression,
            },
            "limits": {
                "bytes": limits.bytes,
                "pixels": limits.pixels,
                "photos": limits.photos,
                "hints": limits.hints,
                "candidates": CANDIDATES,
                "preview": VIEW,
                "tile": TILE,
            },
            "formats": list(EXTENSIONS),
        }

    examples = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))
    pictures = {e["example"]: EXAMPLES / f"{e['example']}.jpg" for e in examples}

    @app.get("/api/examples", response_model=ExamplesOut, tags=["studio"])
    def list_examples() -> dict[str, Any]:
        """Photos to try."""
        return {"examples": [{**e, "url": f"/api/examples/{e['example']}"} for e in examples]}

    @app.get(
        "/api/examples/{example}",
        tags=["studio"],
        response_class=FileResponse,
        responses={
            200: {"description": "the photo", "content": {"image/jpeg": {}}},
            404: {"model": Problem, "description": "no such example"},
            422: {"model": Problem, "description": _WHY[422]},
        },
    )
    def example_picture(example: str) -> FileResponse:
        """A photo to try, as JPEG."""
        # Looked up in a table: no name that a client sends reaches the disk.
        if example not in pictures:
            raise HTTPException(404, "no such example")
        return FileResponse(pictures[example], media_type="image/jpeg")

    @app.post(
        "/api/photos",
        status_code=201,
        response_model=PhotoOut,
        responses=_problems(415),
        openapi_extra=_BODY_OF_PHOTO,
        tags=["photos"],
    )
    async def add(request: Request) -> dict[str, Any]:
        """Send a photo: it is decoded, and the network runs on it once."""
        path = await take(request, studio.decodes)
        upload = await answer(request, studio.add(path), lambda late: _forget(studio, late.token))
        return upload.description

    @app.get("/api/photos/{photo}", response_model=PhotoOut, responses=_OF_PHOTO, tags=["photos"])
    def describe(photo: str) -> dict[str, Any]:
        """What is known of a photo."""
        return studio.store.get(photo).description

    @app.delete("/api/photos/{photo}", status_code=204, responses=_OF_PHOTO, tags=["photos"])
    def delete(photo: str) -> None:
        """Forget a photo and all that was made of it."""
        studio.store.remove(photo)

    @app.post(
        "/api/photos/{photo}/predictions",
        response_model=PredictionOut,
        responses=_problems(404, 410),
        tags=["coloring"],
    )
    async def predict(request: Request, photo: str, body: Hints) -> dict[str, Any]:
        """Run the network with hints, unless it has."""
        if len(body.hints) > limits.hints:
            raise ConfigError(f"hints: {len(body.hints)} are more than {limits.hints}")
        hints = [(hint.x, hint.y, hint.color) for hint in body.hints]
        return {"prediction": await answer(request, studio.predict(photo, hints))}

    of_photo = "/api/photos/{photo}"
    of_prediction = of_photo + "/predictions/{prediction}"

    @app.get(of_prediction + "/preview", tags=["coloring"], **_made("image/jpeg"))
    async def preview(
        request: Request, photo: str, prediction: str, look: Looked, size: Size = VIEW
    ) -> Response:
        """The photo in color, upright, sRGB, reduced to fit a screen."""
        return _jpeg(await answer(request, studio.preview(photo, prediction, look, size)))

    @app.get(of_prediction + "/tile", tags=["coloring"], **_made("image/jpeg"))
    async def tile(
        request: Request, photo: str, prediction: str, look: Looked, box: Boxed
    ) -> Response:
        """A rectangle of the photo in color, given in its pixels; cut off at its edges."""
        return _jpeg(await answer(request, studio.tile(photo, prediction, look, box)))

    @app.get(of_photo + "/original", tags=["photos"], **_made("image/jpeg"))
    async def original(request: Request, photo: str, size: Size = VIEW) -> Response:
        """The photo as it came, of the same geometry as a preview."""
        return _jpeg(await answer(request, studio.original(photo, size)))

    @app.get(of_photo + "/original/tile", tags=["photos"], **_made("image/jpeg"))
    async def original_tile(request: Request, photo: str, box: Boxed) -> Response:
        """A rectangle of the photo as it came, of the same geometry as a tile in color."""
        return _jpeg(await answer(request, studio.original_tile(photo, box)))

    @app.get(
        of_prediction + "/candidates",
        response_model=CandidatesOut,
        responses=_OF_PHOTO,
        tags=["coloring"],
    )
    async def candidates(
        request: Request,
        photo: str,
        prediction: str,
        n: Annotated[int, Query(ge=1, le=CANDIDATES)] = 4,
        seed: Seed = 0,
    ) -> dict[str, Any]:
        """Other plausible colorings; with other hints each keeps its number and mostly its look."""
        found = await answer(request, studio.candidates(photo, prediction, n, seed))
        return {"candidates": found}

    @app.get(
        of_prediction + "/palette",
        response_model=PaletteOut,
        responses=_OF_PHOTO,
        tags=["coloring"],
    )
    async def palette(
        request: Request,
        photo: str,
        prediction: str,
        look: Looked,
        x: Coordinate,
        y: Coordinate,
        n: Annotated[int, Query(ge=1, le=32)] = 8,
    ) -> dict[str, Any]:
        """The likely colors of a spot, given in pixels of the photo."""
        return await answer(request, studio.palette(photo, prediction, look, x, y, n))

    @app.get(of_prediction + "/uncertainty", tags=["coloring"], **_made("image/png"))
    async def uncertainty(
        request: Request, photo: str, prediction: str, size: Size = VIEW
    ) -> Response:
        """How unsure each pixel is: black is sure, white knows nothing (8.3 bits)."""
        png = await answer(request, studio.uncertainty(photo, prediction, size))
        return Response(png, media_type="image/png")

    @app.get(
        of_prediction + "/spots", response_model=SpotsOut, responses=_OF_PHOTO, tags=["coloring"]
    )
    async def spots(
        request: Request,
        photo: str,
        prediction: str,
        n: Annotated[int, Query(ge=1, le=50)] = 5,
    ) -> dict[str, Any]:
        """Where a click helps most."""
        return {"spots": await answer(request, studio.spots(photo, prediction, n))}

    @app.get(
        of_prediction + "/download", tags=["coloring"], **_made(*dict.fromkeys(_TYPES.values()))
    )
    async def download(
        request: Request, photo: str, prediction: str, look: Looked, format: Format = None
    ) -> Response:
        """The whole photo in color, at full size, with its metadata."""
        extension = None if format is None else f".{format}"
        return _attachment(
            await answer(
                request,
                studio.download(photo, prediction, look, extension),
                studio.store.release,
            ),
            studio,
        )

    @app.post(
        "/api/color",
        openapi_extra=_BODY_OF_PHOTO,
        tags=["photos"],
        response_class=Response,
        responses={
            200: {
                "description": "the photo in color",
                "content": {kind: {} for kind in dict.fromkeys(_TYPES.values())},
            },
            **_problems(415),
        },
    )
    async def color(request: Request, look: Looked, format: Format = None) -> Response:
        """Send a photo, get it back in color; nothing of it is kept."""
        path = await take(request, studio.exports)
        try:
            extension = None if format is None else f".{format}"
            work = studio.color(path, look, extension)
            return _attachment(await answer(request, work, studio.store.release), studio)
        finally:
            studio.store.release(path)

    description = _completed(app.openapi())
    page = docs_page(description)

    for route in app.routes:  # described once: HEAD is GET without a body
        if isinstance(route, APIRoute) and route.methods == {"GET"}:
            route.methods.add("HEAD")

    @app.api_route("/api/openapi.json", methods=["GET", "HEAD"], include_in_schema=False)
    def openapi() -> JSONResponse:
        return JSONResponse(description)

    @app.api_route("/api/docs", methods=["GET", "HEAD"], include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page)

    return app


def _jpeg(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _forget(studio: Studio, token: str) -> None:
    with contextlib.suppress(Unknown, Gone):
        studio.store.remove(token)


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI document with what holds for every operation: the key and the common errors."""
    components = document["components"]
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "the key in the address that a server for other machines prints",
        }
    }
    document["security"] = [{}, {"key": []}]
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {
        f"Error{status}": {"description": why, "content": problem}
        for status, why in _COMMON.items()
    }
    for methods in document["paths"].values():
        for operation in methods.values():
            for status in _COMMON:
                operation["responses"][str(status)] = {
                    "$ref": f"#/components/responses/Error{status}"
                }
    return document


async def _pieces(request: Request, limits: Limits) -> AsyncIterator[bytes]:
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


async def _read_on(body: AsyncIterator[bytes]) -> None:
    """What is left of a body that is not taken."""
    async for _ in body:
        pass


async def _copy_body(
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
