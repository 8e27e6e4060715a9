"""Who hears how the work on one photo goes on."""

from __future__ import annotations

__all__ = ["Watch"]


class Watch:
    """Hears of each step with one photo; this one takes no notice."""

    def begun(self, draft: str) -> None:
        """The result is going to be written under this name."""

    def page(self, number: int, pages: int) -> None:
        """A page has been through the network, from 1."""

    def colored(self) -> None:
        """The photo has colors of its own, and gets new ones."""

    def note(self, text: str) -> None:
        """Something will be missing from the result."""

    def ready(self) -> None:
        """The result is complete, and gets its name next."""
