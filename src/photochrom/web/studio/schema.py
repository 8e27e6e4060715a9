"""The requests and answers of the service, as types."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from photochrom.color.bins import TEMPERATURE
from photochrom.hints import MOST_POINTS, MOST_REACH, Hint
from photochrom.photo.framing import Framing
from photochrom.web.studio.asked import Box, Coloring
from photochrom.web.studio.limits import CANDIDATES, VIEW

__all__ = [
    "At",
    "Box2D",
    "Boxed",
    "Candidate",
    "CandidateOut",
    "CandidatesOut",
    "Channel",
    "Coordinate",
    "ExampleOut",
    "ExamplesOut",
    "Format",
    "Framed",
    "HintIn",
    "InfoOut",
    "Length",
    "LimitsOut",
    "Looked",
    "ModelOut",
    "PaletteOut",
    "PhotoOut",
    "Pixel",
    "PredictionIn",
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
    "Turn",
]

Temperature = Annotated[
    float,
    Query(ge=0, le=10, allow_inf_nan=False, description="lower is more vivid; 1 is the mean color"),
]
Saturation = Annotated[
    float, Query(ge=0, le=10, allow_inf_nan=False, description="multiplies the color strength")
]
Candidate = Annotated[
    int | None,
    Query(
        ge=0, lt=CANDIDATES, description="which of the other colorings; without it, the likeliest"
    ),
]
Seed = Annotated[int, Query(ge=0, lt=1 << 32, description="seed of the other colorings")]
Size = Annotated[
    int, Query(ge=16, le=1 << 16, description=f"longest side, in pixels; at most {VIEW}")
]
Format = Annotated[
    Literal["jpg", "jpeg", "jfif", "jpe", "jif", "png", "tif", "tiff", "webp", "avif"] | None,
    Query(description="format of the file; without it, that of the photo"),
]
Pixel = Annotated[int, Query(ge=0, le=1 << 20)]
Length = Annotated[int, Query(ge=1, le=1 << 20)]
Coordinate = Annotated[float, Query(ge=0, le=1 << 20, allow_inf_nan=False)]


def _look(
    temperature: Temperature = TEMPERATURE,
    saturation: Saturation = 1.0,
    candidate: Candidate = None,
    seed: Seed = 0,
) -> Coloring:
    return Coloring(temperature, saturation, candidate=candidate, seed=seed)


class Scale(IntEnum):
    """The factor that a tile is reduced by."""

    WHOLE = 1
    HALF = 2
    QUARTER = 4
    EIGHTH = 8


def _box(x: Pixel, y: Pixel, width: Length, height: Length, scale: Scale = Scale.WHOLE) -> Box:
    return Box(x, y, width, height, int(scale))


class Turn(IntEnum):
    """Degrees clockwise that a photo is turned by."""

    NONE = 0
    RIGHT = 90
    OVER = 180
    LEFT = 270


Inset = Annotated[int | None, Query(ge=0, le=1 << 20, description="of the crop, in pixels")]
Side = Annotated[
    int | None,
    Query(ge=1, le=1 << 20, description="of the crop, in pixels; without it, to the edge"),
]


def _framing(
    turn: Annotated[Turn, Query(description="the crop is one of the turned photo")] = Turn.NONE,
    left: Inset = None,
    top: Inset = None,
    width: Side = None,
    height: Side = None,
) -> Framing:
    box = left, top, width, height
    return Framing(int(turn), None if box == (None,) * 4 else box)


def _at(x: Coordinate, y: Coordinate) -> tuple[float, float]:
    return x, y


Looked = Annotated[Coloring, Depends(_look)]
Framed = Annotated[Framing, Depends(_framing)]
Boxed = Annotated[Box, Depends(_box)]
At = Annotated[tuple[float, float], Depends(_at)]
Channel = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]


Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Points = Annotated[list[tuple[Number, Number]], Field(max_length=MOST_POINTS)]


class HintIn(BaseModel):
    """A color for a place. Only its a and b count, so any gray keeps the place gray."""

    model_config = ConfigDict(extra="forbid")
    x: float = Field(ge=0, allow_inf_nan=False, description="pixels of the photo, from the left")
    y: float = Field(ge=0, allow_inf_nan=False, description="pixels of the photo, from the top")
    color: tuple[Channel, Channel, Channel] = Field(description="sRGB, 0..255")
    reach: float = Field(
        default=1.0,
        ge=0,
        le=MOST_REACH,
        allow_inf_nan=False,
        description="how far it spreads: 0 stays on the spot, 1 fills its object, "
        "4 colors all that resembles it",
    )
    strength: float = Field(
        default=1.0, ge=0, le=1, allow_inf_nan=False, description="share of the way to the color"
    )
    stroke: Points = Field(
        default_factory=list, description="points (x, y) of a line that has the color"
    )
    region: Points = Field(
        default_factory=list,
        description="points (x, y) of the outline of an area that has the color",
    )

    @property
    def hint(self) -> Hint:
        """As the colorizer takes it."""
        dials = self.reach, self.strength
        return Hint(self.x, self.y, self.color, *dials, tuple(self.stroke), tuple(self.region))


class PredictionIn(BaseModel):
    """The hints of a prediction; of two at the same place, the later one counts."""

    model_config = ConfigDict(extra="forbid")
    hints: list[HintIn] = Field(default_factory=list)


class Problem(BaseModel):
    """What went wrong."""

    error: str = Field(description="problem and remedy as one text")
    problem: str = Field(description="what is wrong")
    remedy: str = Field(description="what to do about it; empty if the problem says it")
    retry: bool = Field(description="whether the same request may succeed later")


class Size2D(BaseModel):
    """A size in pixels."""

    width: int
    height: int


class Box2D(BaseModel):
    """A rectangle in pixels of a photo."""

    x: int
    y: int
    width: int
    height: int


class PhotoOut(BaseModel):
    """A photo that the server keeps."""

    photo: str
    width: int = Field(description="pixels, upright")
    height: int
    format: str
    extension: str
    bits: int = Field(description="per channel")
    color: bool = Field(description="whether the photo has color; only its lightness is used")
    pages: int = Field(description="of the file; the first is shown, and all are colored in TIFF")
    notes: list[str] = Field(description="what a result in this format cannot hold of the file")
    border: Box2D | None = Field(
        description="what a flat margin surrounds, such as the border of a print; null without one"
    )
    preview: Size2D = Field(description="the largest preview")
    prediction: str = Field(description="the prediction without hints")


class PredictionOut(BaseModel):
    """The name of a prediction, the same for the same hints."""

    prediction: str


class CandidateOut(BaseModel):
    """One of the other colorings."""

    candidate: int
    color: tuple[int, int, int] = Field(description="its mean color, sRGB")


class CandidatesOut(BaseModel):
    """Other colorings; a preview with the number and the seed shows one."""

    candidates: list[CandidateOut]


class Swatch(BaseModel):
    """A likely color of a spot."""

    color: tuple[int, int, int] = Field(description="sRGB at the spot's own L")
    ab: tuple[float, float]
    probability: float


class PaletteOut(BaseModel):
    """The colors that a spot may have had."""

    L: float = Field(description="0..100")
    colors: list[Swatch] = Field(description="likeliest first; neighboring bins are merged")
    bins: list[tuple[float, float, float]] = Field(description="a, b and probability of each bin")
    current: tuple[int, int, int] = Field(description="its current color, sRGB")


class Spot(BaseModel):
    """A place where the guess is weak."""

    x: int
    y: int
    bits: float


class SpotsOut(BaseModel):
    """The places where a hint helps most."""

    spots: list[Spot]


class ExampleOut(BaseModel):
    """A photo to try: GET its address, and send the bytes."""

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
    """The model that colors the photos."""

    name: str
    arch: str
    version: str
    license: str
    training_data: str
    working_size: int = Field(description="short side of what the network sees, pixels")
    hints: bool = Field(description="whether it follows hints")
    distribution: bool = Field(
        description="whether candidates, palette and uncertainty are available"
    )


class LimitsOut(BaseModel):
    """The limits."""

    bytes: int = Field(description="largest file, in bytes")
    pixels: int = Field(description="largest photo, in pixels")
    photos: int = Field(description="photos that are kept")
    hints: int = Field(description="hints of one prediction")
    candidates: int
    preview: int = Field(description="longest side of a preview, in pixels")
    tile: int = Field(description="longest side of a tile, in pixels")


class InfoOut(BaseModel):
    """What this server is and what it can do."""

    version: str
    model: ModelOut
    limits: LimitsOut
    formats: list[str] = Field(description="extensions of the files that can be read and written")
    address: str | None = Field(description="that other machines open; null if they cannot")
