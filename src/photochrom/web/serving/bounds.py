"""How much of the server strangers can take up."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Bounds"]


@dataclass(frozen=True)
class Bounds:
    """Limits of the connections to a server."""

    connections: int = 1024  # that are open at once
    of_one: int = 256  # of these, from one address, so that nobody can keep all others out
    head_seconds: float = 15.0  # within which the head of a request must arrive
    body_seconds: float = 30.0  # within which a short body must arrive
