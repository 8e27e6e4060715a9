"""The studio's service, for its page and for curl.

Errors are JSON, see `web.serving.answer`. The routes only check requests and shape answers; the
work is in `studio`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from photochrom._version import __version__
from photochrom.photo.formats.table import EXTENSIONS
from photochrom.web.serving.answer import Refused
from photochrom.web.serving.app import make_app
from photochrom.web.serving.head import HeadAsGet
from photochrom.web.studio import coloring, given, photos
from photochrom.web.studio.bodies import studio_of
from photochrom.web.studio.code import svg_code
from photochrom.web.studio.description import WHY, completed_description, docs_page
from photochrom.web.studio.errors import add_error_answers
from photochrom.web.studio.limits import CANDIDATES, TILE, VIEW
from photochrom.web.studio.schema import ExamplesOut, InfoOut, Problem
from photochrom.web.studio.studio import Studio

__all__ = ["studio_app"]

EXAMPLES = FilePath(__file__).parent.parent / "examples"
router = APIRouter(tags=["studio"])


def studio_app(
    studio: Studio, photos_given: Sequence[str] = (), address: str | None = None
) -> FastAPI:
    """The application of one studio.

    Parameters
    ----------
    studio : does the work
    photos_given : paths of photos that the page opens
    address : that other machines open, if they can
    """
    app = make_app("studio")
    app.title, app.version = "photochrom studio", __version__
    app.description = (
        "Colors black-and-white photographs on this machine. Send a photo, then ask for pictures "
        "of it. The network runs once; its distribution answers every setting."
    )
    app.state.studio = studio
    app.state.address = address
    app.state.given = list(photos_given)
    app.state.coming = asyncio.Semaphore(studio.limits.uploads)
    listed = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))
    app.state.examples = {example["example"]: example for example in listed}
    add_error_answers(app)
    for part in (router, photos.router, coloring.router, given.router):
        app.include_router(part)
    _describe(app)
    app.add_middleware(HeadAsGet)
    return app


def _describe(app: FastAPI) -> None:
    """Add the description of all routes, as JSON and as a page."""
    description = completed_description(app.openapi())
    page = docs_page(description)

    @app.get("/api/openapi.json", include_in_schema=False)
    def openapi() -> JSONResponse:
        return JSONResponse(description)

    @app.get("/api/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page)


@router.get("/api/info", response_model=InfoOut)
def info(request: Request) -> dict[str, Any]:
    """What this server is and what it can do."""
    studio = studio_of(request)
    limits, model = studio.limits, studio.colorizer.info
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
        "address": request.app.state.address,
    }


@router.get(
    "/api/address.svg",
    response_class=Response,
    responses={
        200: {"description": "a QR code", "content": {"image/svg+xml": {}}},
        404: {"model": Problem, "description": "other machines cannot open it"},
    },
)
def address_code(request: Request) -> Response:
    """The address that other machines open, as a QR code."""
    address = request.app.state.address
    if address is None:
        raise Refused(
            404,
            "other machines cannot open this studio",
            "start it with --host 0.0.0.0 --allow-network",
        )
    return Response(svg_code(address), media_type="image/svg+xml")


@router.get("/api/examples", response_model=ExamplesOut)
def list_examples(request: Request) -> dict[str, Any]:
    """Photos to try."""
    examples = request.app.state.examples
    return {"examples": [{**e, "url": f"/api/examples/{name}"} for name, e in examples.items()]}


@router.get(
    "/api/examples/{example}",
    response_class=FileResponse,
    responses={
        200: {"description": "the photo", "content": {"image/jpeg": {}}},
        404: {"model": Problem, "description": "no such example"},
        422: {"model": Problem, "description": WHY[422]},
    },
)
def example_picture(request: Request, example: str) -> FileResponse:
    """A photo to try, as JPEG."""
    # From the table: we never look up a name on the disk that a client sent.
    if example not in request.app.state.examples:
        raise Refused(404, "no such example")
    return FileResponse(EXAMPLES / f"{example}.jpg", media_type="image/jpeg")
