"""The service's requests and answers as types."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from photochrom.color.bins import TEMPERATURE
from photochrom.look import Look
from photochrom.web.studio.limits import CANDIDATES, VIEW, Box

__all__ = [
    "Boxed",
    "Candidate",
    "CandidateOut",
    "CandidatesOut",
    "Channel",
    "Coordinate",
    "ExampleOut",
    "ExamplesOut",
    "Format",
    "HintIn",
    "Hints",
    "InfoOut",
    "Length",
    "LimitsOut",
    "Looked",
    "ModelOut",
    "PaletteOut",
    "PhotoOut",
    "Pixel",
    "PredictionOut",
    "Problem",
    "Saturation",
    "Scale",
    "Seed",
    "Size",
    "Size2D",
    "Spot",
    "SpotsOut",
    "Swatch",
    "Temperature",
]

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
