"""The routes for predictions: hints, pictures, other colorings, palettes, downloads."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from photochrom.errors import ConfigError
from photochrom.photo.formats.table import TYPES
from photochrom.web.studio.bodies import answer, attachment, studio_of
from photochrom.web.studio.description import OF_PHOTO, made_answer, problem_responses
from photochrom.web.studio.limits import CANDIDATES, VIEW
from photochrom.web.studio.schema import (
    At,
    Boxed,
    CandidatesOut,
    Format,
    Looked,
    PaletteOut,
    PredictionIn,
    PredictionOut,
    Seed,
    Size,
    SpotsOut,
)

__all__ = ["router"]

router = APIRouter(tags=["coloring"])
ALL = "/api/photos/{photo}/predictions"
OF = ALL + "/{prediction}"


@router.post(ALL, response_model=PredictionOut, responses=problem_responses(404, 410))
async def predict(request: Request, photo: str, body: PredictionIn) -> dict[str, Any]:
    """Run the network with hints, unless it has already done so."""
    studio = studio_of(request)
    if len(body.hints) > studio.limits.hints:
        raise ConfigError(f"hints: {len(body.hints)} are over the limit of {studio.limits.hints}")
    hints = [hint.hint for hint in body.hints]
    return {"prediction": await answer(request, studio.predict(photo, hints))}


@router.get(OF + "/preview", **made_answer("image/jpeg"))
async def preview(
    request: Request, photo: str, prediction: str, look: Looked, size: Size = VIEW
) -> Response:
    """The photo in color, upright, sRGB, reduced to fit a screen."""
    work = studio_of(request).preview(photo, prediction, look, size)
    return Response(await answer(request, work), media_type="image/jpeg")


@router.get(OF + "/tile", **made_answer("image/jpeg"))
async def tile(request: Request, photo: str, prediction: str, look: Looked, box: Boxed) -> Response:
    """A rectangle of the photo in color, given in its pixels and clipped to it."""
    work = studio_of(request).tile(photo, prediction, look, box)
    return Response(await answer(request, work), media_type="image/jpeg")


@router.get(OF + "/candidates", response_model=CandidatesOut, responses=OF_PHOTO)
async def candidates(
    request: Request,
    photo: str,
    prediction: str,
    n: Annotated[int, Query(ge=1, le=CANDIDATES)] = 4,
    seed: Seed = 0,
) -> dict[str, Any]:
    """Other plausible colorings; with other hints, each keeps its number and mostly its look."""
    work = studio_of(request).candidates(photo, prediction, n, seed)
    return {"candidates": await answer(request, work)}


@router.get(OF + "/palette", response_model=PaletteOut, responses=OF_PHOTO)
async def palette(
    request: Request,
    photo: str,
    prediction: str,
    look: Looked,
    at: At,
    n: Annotated[int, Query(ge=1, le=32)] = 8,
) -> dict[str, Any]:
    """The likely colors of a spot, given in pixels of the photo."""
    return await answer(request, studio_of(request).palette(photo, prediction, look, at, n))


@router.get(OF + "/uncertainty", **made_answer("image/png"))
async def uncertainty(request: Request, photo: str, prediction: str, size: Size = VIEW) -> Response:
    """How unsure each pixel is: black is sure, white is clueless (8.3 bits)."""
    work = studio_of(request).uncertainty(photo, prediction, size)
    return Response(await answer(request, work), media_type="image/png")


@router.get(OF + "/spots", response_model=SpotsOut, responses=OF_PHOTO)
async def spots(
    request: Request,
    photo: str,
    prediction: str,
    n: Annotated[int, Query(ge=1, le=50)] = 5,
) -> dict[str, Any]:
    """The places where a hint helps most."""
    return {"spots": await answer(request, studio_of(request).spots(photo, prediction, n))}


@router.get(OF + "/download", **made_answer(*dict.fromkeys(TYPES.values())))
async def download(
    request: Request, photo: str, prediction: str, look: Looked, format: Format = None
) -> Response:
    """The whole photo in color, at full size, with its metadata."""
    studio = studio_of(request)
    extension = None if format is None else f".{format}"
    work = studio.download(photo, prediction, look, extension)
    return attachment(await answer(request, work, studio.discard), studio)
