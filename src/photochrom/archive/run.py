"""One run over an archive: the lease, the plan, the workers, the manifest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

from photochrom.archive.crew import Workers
from photochrom.archive.lease import Lease
from photochrom.archive.listing import Inputs
from photochrom.archive.manifest import Parts
from photochrom.archive.plan import Compared, Planned, Task, compare
from photochrom.archive.store import Store, StoreError
from photochrom.archive.work import Bench, Group, again, grouped
from photochrom.batch.job import Settings
from photochrom.batch.plan import Rules
from photochrom.batch.work import Engine, Outcome
from photochrom.pool import Died

__all__ = ["Archive", "Wish", "planned"]

_DEATHS = 3
"""Workers that a photo may kill."""
_COMPACT = 300.0
"""Seconds between two times that the parts of a run are brought together."""
_TOGETHER = 500
"""Rows of refused photos that are recorded together."""


@dataclass(frozen=True)
class Wish:
    """What is wanted.

    Attributes
    ----------
    inputs : where the photos are
    output : where the results go
    settings : that decide the pixels
    engine : for the network
    rules : what else decides
    exclude : patterns of names and paths that are left out
    """

    inputs: Sequence[Store]
    output: Store
    settings: Settings
    engine: Engine
    rules: Rules
    exclude: Sequence[str] = ()


def planned(
    wish: Wish,
    scratch: str,
    run: int,
    note: Callable[[str], None],
) -> Compared:
    """What is to be done, see `plan.compare`."""
    inputs = Inputs(wish.inputs, wish.output, wish.exclude, note)
    stores = wish.inputs, wish.output
    return compare(inputs, stores, wish.settings, wish.rules, scratch, run)


@dataclass
class Archive:
    """A run, within its lease.

    Attributes
    ----------
    wish : what is wanted
    compared : the plan
    lease : held
    stop : unless it returns 0, no new group is begun
    """

    wish: Wish
    compared: Compared
    lease: Lease
    stop: Callable[[], int] = lambda: 0
    ended: str = ""
    _suspects: list[Task] = field(default_factory=list)

    def color(self, workers: Workers) -> Generator[tuple[Task, Outcome]]:
        """Do all that is planned; each photo comes with its outcome.

        A photo on which a worker died is tried again at the end, alone. If the third worker dies
        on it, it has failed.
        """
        wish = self.wish
        bench = Bench(
            tuple(wish.inputs), wish.output, self.lease.number, wish.settings, wish.engine,
            wish.rules.color, wish.rules.force,
        )  # fmt: skip
        yield from self._refuse(bench)
        tasks = (row.task for row in self.compared.rows() if row.do == "color")
        yield from self._round(workers, bench, grouped(tasks, workers.size), False)
        while self._suspects and not self._over():
            suspects, self._suspects = self._suspects, []
            yield from self._round(workers, bench, grouped(suspects, 1), True)

    def _over(self) -> bool:
        """Whether no new group is begun."""
        if self.lease.lost and not self.ended:
            self.ended = f"{self.wish.output.name}: another run has taken over; let it work"
        return bool(self.ended or self.stop())

    def _round(
        self, workers: Workers, bench: Bench, groups: Iterator[Group], alone: bool
    ) -> Iterator[tuple[Task, Outcome]]:
        def going() -> Iterator[Group]:
            for group in groups:
                if self._over():
                    return
                yield group

        last = time.monotonic()
        for group, answer in workers.do(bench, going(), alone):
            if isinstance(answer, str):  # the records cannot be written
                self.ended = self.ended or answer
                for task in group.tasks:
                    yield task, Outcome("failed", f"{self._name(task)}: {answer}")
            elif isinstance(answer, Died):
                late = answer.late and len(group.tasks) == 1
                yield from self._died(bench, again(group), late)
            else:
                for task, outcome in answer:
                    self.ended = self.ended or outcome.stop
                    yield task, outcome
            if time.monotonic() - last > _COMPACT and not self.lease.lost:
                self.compact()
                last = time.monotonic()

    def _died(
        self, bench: Bench, tasks: Sequence[Task], late: bool
    ) -> Iterator[tuple[Task, Outcome]]:
        for task in tasks:
            name = self._name(task)
            if late:
                error = f"{name}: took too long; try it alone, or allow more time with --timeout"
            elif task.deaths >= _DEATHS:
                error = (
                    f"{name}: {task.deaths} workers died on this photo, from too little memory or "
                    "a damaged file; try the photo alone"
                )
            else:
                self._suspects.append(task)
                continue
            try:
                bench.refuse([(task, error, "", True)])
            except StoreError as problem:
                self.ended = self.ended or str(problem)
            yield task, Outcome("failed", error)

    def _name(self, task: Task) -> str:
        return self.wish.inputs[task.root].name_of(task.key)

    def _refuse(self, bench: Bench) -> Iterator[tuple[Task, Outcome]]:
        """Record what is not colored: photos that are refused, and files that are no photos."""
        some: list[tuple[Task, str, str, bool]] = []
        for row in self.compared.rows():
            if row.do != "fail":
                continue
            error = "" if row.passed else refusal(row, self.wish)
            some.append((row.task, error, row.passed, False))
            if not row.passed:
                yield row.task, Outcome("failed", error)
            if len(some) == _TOGETHER:
                bench.refuse(some)
                some = []
        bench.refuse(some)

    def compact(self) -> None:
        """Bring the parts of the manifest together."""
        Parts(self.wish.output).compact(self.lease.number)

    @property
    def counts(self) -> Counter[str]:
        """How many photos there are, by what is to be done."""
        return self.compared.counts


def refusal(row: Planned, wish: Wish) -> str:
    """Why a photo is not colored, in words."""
    name = wish.inputs[row.task.root].name_of(row.task.key)
    place = wish.output.name_of(row.task.result)
    if row.why.startswith("exists"):
        return f"{name}: {place} {row.why}; move it away, or use --force to replace it"
    if row.why.startswith("another"):
        return f"{name}: {row.why}, {place}; rename one of them"
    return f"{name}: {row.why}; shorten it"
