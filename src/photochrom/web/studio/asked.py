"""What a client asks for: a coloring, and a part of the photo."""

from __future__ import annotations

from dataclasses import dataclass

from photochrom.look import Look

__all__ = ["Box", "Coloring"]


@dataclass(frozen=True)
class Coloring(Look):
    """A look, and the candidate that it applies to."""

    candidate: int | None = None  # 0..CANDIDATES - 1; None for the likeliest coloring
    seed: int = 0  # of the candidates


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the photo, and the factor that it is reduced by."""

    x: int
    y: int
    width: int
    height: int
    scale: int = 1
