"""The studio's service: what its page uses, and curl can.

Every error is ``{"error": text}``. The routes only check what they are given and say what comes
back; what happens is in `studio`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from photochrom._version import __version__
from photochrom.errors import ConfigError, HintError, PhotochromError
from photochrom.photo.formats.table import EXTENSIONS, TYPES
from photochrom.web.serving.app import make_app
from photochrom.web.studio.bodies import attachment, copy_body, disconnected, pieces_of, read_on
from photochrom.web.studio.description import (
    BODY_OF_PHOTO,
    OF_PHOTO,
    WHY,
    completed_description,
    docs_page,
    made_answer,
    problem_responses,
)
from photochrom.web.studio.lane import Busy, Lane
from photochrom.web.studio.limits import CANDIDATES, TILE, VIEW, Refused
from photochrom.web.studio.schema import (
    Boxed,
    CandidatesOut,
    Coordinate,
    ExamplesOut,
    Format,
    Hints,
    InfoOut,
    Looked,
    PaletteOut,
    PhotoOut,
    PredictionOut,
    Problem,
    Seed,
    Size,
    SpotsOut,
)
from photochrom.web.studio.store import Full, Gone, Unknown
from photochrom.web.studio.studio import Studio

__all__ = ["studio_app"]

EXAMPLES = FilePath(__file__).parent.parent / "examples"
T = TypeVar("T")


def _error(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text}, status, headers)


def _in_words(error: RequestValidationError) -> str:
    """What is wrong with a request: the first thing, with its place."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("query", "body", "path")]
    return f"{'.'.join(place) or 'the request'}: {first['msg']}"


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
        left = asyncio.ensure_future(disconnected(request))
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
        body = pieces_of(request, limits)
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
                    await copy_body(body, file, limits.bytes, partial(studio.store.hold, path))
            except BaseException as error:
                studio.store.release(path)
                if isinstance(error, Full):
                    await read_on(body)
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
            422: {"model": Problem, "description": WHY[422]},
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
        responses=problem_responses(415),
        openapi_extra=BODY_OF_PHOTO,
        tags=["photos"],
    )
    async def add(request: Request) -> dict[str, Any]:
        """Send a photo: it is decoded, and the network runs on it once."""
        path = await take(request, studio.decodes)
        upload = await answer(request, studio.add(path), lambda late: _forget(studio, late.token))
        return upload.description

    @app.get("/api/photos/{photo}", response_model=PhotoOut, responses=OF_PHOTO, tags=["photos"])
    def describe(photo: str) -> dict[str, Any]:
        """What is known of a photo."""
        return studio.store.get(photo).description

    @app.delete("/api/photos/{photo}", status_code=204, responses=OF_PHOTO, tags=["photos"])
    def delete(photo: str) -> None:
        """Forget a photo and all that was made of it."""
        studio.store.remove(photo)

    @app.post(
        "/api/photos/{photo}/predictions",
        response_model=PredictionOut,
        responses=problem_responses(404, 410),
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

    @app.get(of_prediction + "/preview", tags=["coloring"], **made_answer("image/jpeg"))
    async def preview(
        request: Request, photo: str, prediction: str, look: Looked, size: Size = VIEW
    ) -> Response:
        """The photo in color, upright, sRGB, reduced to fit a screen."""
        return _jpeg(await answer(request, studio.preview(photo, prediction, look, size)))

    @app.get(of_prediction + "/tile", tags=["coloring"], **made_answer("image/jpeg"))
    async def tile(
        request: Request, photo: str, prediction: str, look: Looked, box: Boxed
    ) -> Response:
        """A rectangle of the photo in color, given in its pixels; cut off at its edges."""
        return _jpeg(await answer(request, studio.tile(photo, prediction, look, box)))

    @app.get(of_photo + "/original", tags=["photos"], **made_answer("image/jpeg"))
    async def original(request: Request, photo: str, size: Size = VIEW) -> Response:
        """The photo as it came, of the same geometry as a preview."""
        return _jpeg(await answer(request, studio.original(photo, size)))

    @app.get(of_photo + "/original/tile", tags=["photos"], **made_answer("image/jpeg"))
    async def original_tile(request: Request, photo: str, box: Boxed) -> Response:
        """A rectangle of the photo as it came, of the same geometry as a tile in color."""
        return _jpeg(await answer(request, studio.original_tile(photo, box)))

    @app.get(
        of_prediction + "/candidates",
        response_model=CandidatesOut,
        responses=OF_PHOTO,
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
        responses=OF_PHOTO,
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

    @app.get(of_prediction + "/uncertainty", tags=["coloring"], **made_answer("image/png"))
    async def uncertainty(
        request: Request, photo: str, prediction: str, size: Size = VIEW
    ) -> Response:
        """How unsure each pixel is: black is sure, white knows nothing (8.3 bits)."""
        png = await answer(request, studio.uncertainty(photo, prediction, size))
        return Response(png, media_type="image/png")

    @app.get(
        of_prediction + "/spots", response_model=SpotsOut, responses=OF_PHOTO, tags=["coloring"]
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
        of_prediction + "/download",
        tags=["coloring"],
        **made_answer(*dict.fromkeys(TYPES.values())),
    )
    async def download(
        request: Request, photo: str, prediction: str, look: Looked, format: Format = None
    ) -> Response:
        """The whole photo in color, at full size, with its metadata."""
        extension = None if format is None else f".{format}"
        return attachment(
            await answer(
                request,
                studio.download(photo, prediction, look, extension),
                studio.store.release,
            ),
            studio,
        )

    @app.post(
        "/api/color",
        openapi_extra=BODY_OF_PHOTO,
        tags=["photos"],
        response_class=Response,
        responses={
            200: {
                "description": "the photo in color",
                "content": {kind: {} for kind in dict.fromkeys(TYPES.values())},
            },
            **problem_responses(415),
        },
    )
    async def color(request: Request, look: Looked, format: Format = None) -> Response:
        """Send a photo, get it back in color; nothing of it is kept."""
        path = await take(request, studio.exports)
        try:
            extension = None if format is None else f".{format}"
            work = studio.color(path, look, extension)
            return attachment(await answer(request, work, studio.store.release), studio)
        finally:
            studio.store.release(path)

    description = completed_description(app.openapi())
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


def _forget(studio: Studio, token: str) -> None:
    with contextlib.suppress(Unknown, Gone):
        studio.store.remove(token)
