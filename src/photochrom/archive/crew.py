"""Who does the work: the processes of this machine. `cluster` has those of others."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

from photochrom.archive.plan import Task
from photochrom.archive.work import Bench, Group
from photochrom.batch.work import Outcome
from photochrom.pool import Crew, Died, spread

__all__ = ["Answer", "Local", "Workers"]

Answer = list[tuple[Task, Outcome]] | Died | str
"""What came of a group; a text if its records could not be written."""


class Workers(Protocol):
    """Some workers, each with a model of its own."""

    size: int
    """Photos that a worker gets together."""

    def do(
        self, bench: Bench, groups: Iterable[Group], alone: bool
    ) -> Generator[tuple[Group, Answer]]:
        """Do all groups, taking each only when a worker is free for it.

        Parameters
        ----------
        bench : does the work
        groups : to be done
        alone : whether a worker may have only one group at a time: one of them kills it
        """
        ...

    def close(self) -> None:
        """End the workers."""


@dataclass
class Local:
    """Processes of this machine.

    Attributes
    ----------
    workers : how many
    threads : cores of each
    timeout : seconds that a photo may take
    size : photos that a worker gets together
    """

    workers: int
    threads: int = 1
    timeout: float | None = None
    size: int = 8

    def do(
        self, bench: Bench, groups: Iterable[Group], alone: bool
    ) -> Generator[tuple[Group, Answer]]:
        """Do all groups, see `Workers`."""
        size = 1 if alone else self.size
        limit = None if self.timeout is None else self.timeout * size
        crew = Crew(threads=self.threads)
        yield from spread(_Told(bench), groups, self.workers, crew=crew, timeout=limit)

    def close(self) -> None:
        """They end with `do`."""


@dataclass
class _Told:
    """A bench whose errors are answers: an exception would end the process."""

    bench: Bench

    def __call__(self, group: Group) -> Answer:
        try:
            return self.bench(group)
        except Exception as error:
            return str(error)
