"""What a worker does with a small group of photos: fetch, color, record, put.

::

    fetch a, b, c ... ──▶ color one after another ──▶ one part of the manifest ──▶ put a, b, c ...

Colors come from `batch.work`, in a scratch folder of the machine. The records are in the manifest
before the results are in their places: so whatever is killed when, nothing lies there that the
manifest does not know, see `plan`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from photochrom.archive.lease import LeaseLost, is_held
from photochrom.archive.manifest import Writer
from photochrom.archive.plan import Task
from photochrom.archive.record import record
from photochrom.archive.store import Entry, Store, StoreError
from photochrom.batch.job import Attempt, Chosen, FileState, Job, OwnColor, Settings
from photochrom.batch.plan import other_color
from photochrom.batch.sidecar import SIDECAR, with_sidecar
from photochrom.batch.work import Coloring, Engine, Outcome
from photochrom.errors import PhotochromError, PhotoError

__all__ = ["Bench", "Group", "again", "grouped"]

_THREADS = 4
"""Photos of a group that are fetched or put at once."""


class Group(NamedTuple):
    """Some photos that a worker gets together."""

    tasks: tuple[Task, ...]


@dataclass
class _Kept:
    """A `Recorder` that keeps what it hears."""

    attempt: Attempt | None = None

    def append(self, job: Job, settings: Chosen, attempt: Attempt) -> str:
        self.attempt = attempt
        return ""

    def draft(self, target: str) -> str:
        return os.path.join(os.path.dirname(target), "draft" + os.path.splitext(target)[1])

    def sweep(self, folders: Iterable[str]) -> None:
        """There is nothing to remove: the whole scratch folder goes."""


@dataclass
class _Piece:
    """A photo on its way."""

    task: Task
    folder: str
    source: str = ""
    target: str = ""
    settings: Settings | None = None  # its own
    sha256: str = ""
    mark: str = ""
    outcome: Outcome | None = None
    row: dict[str, Any] = field(default_factory=dict)


@dataclass
class Bench:
    """Colors groups of photos; each worker gets a copy.

    Attributes
    ----------
    inputs : where the photos are
    output : where the results go
    run : number of the run
    settings : of the run
    engine : for the network
    color : what to do with color photos
    force : replace whatever is there
    """

    inputs: tuple[Store, ...]
    output: Store
    run: int
    settings: Settings
    engine: Engine
    color: OwnColor = "recolor"
    force: bool = False

    def __getstate__(self) -> dict[str, Any]:
        kept = ("_writer", "_one")
        return {name: value for name, value in vars(self).items() if name not in kept}

    @cached_property
    def _writer(self) -> Writer:
        return Writer(self.output, self.run)

    @cached_property
    def _one(self) -> threading.Lock:
        """Held while a photo is colored: meanwhile, another group is fetched or put."""
        return threading.Lock()

    def prepare(self) -> None:
        """Load the model.

        Raises
        ------
        PhotoError
            It is another one here.
        """
        here = Settings.of(self.engine.colorizer, self.settings.look).model_sha256
        if here != self.settings.model_sha256:
            raise PhotoError(
                f"{self.settings.model}: is another model on this machine",
                "install the same photochrom and the same model file on all machines",
            )
        _ = self._writer, self._one

    def __call__(self, group: Group) -> list[tuple[Task, Outcome]]:
        """Color a group; failures become outcomes, but for that of the manifest.

        Raises
        ------
        StoreError
            The records cannot be written, or another run has taken over.
        """
        with (
            tempfile.TemporaryDirectory(prefix="photochrom-") as scratch,
            ThreadPoolExecutor(_THREADS) as pool,
        ):
            pieces = [
                _Piece(task, os.path.join(scratch, str(n))) for n, task in enumerate(group.tasks)
            ]
            coming = [pool.submit(self._fetch, piece) for piece in pieces]
            for piece, future in zip(pieces, coming, strict=True):
                self._made(piece, future)
            self._publish(pieces, pool)
        return [(piece.task, piece.outcome or Outcome("failed")) for piece in pieces]

    def _fetch(self, piece: _Piece) -> Entry:
        """Bring a photo and its sidecar to this machine."""
        task, store = piece.task, self.inputs[piece.task.root]
        os.makedirs(piece.folder)
        if store.is_local:
            piece.source = store.path(task.key)
            return store.entry(task.key)
        piece.source = os.path.join(piece.folder, "photo" + os.path.splitext(task.key)[1])
        found = store.fetch(task.key, piece.source)
        if task.sidecar:
            store.fetch(task.key + SIDECAR, piece.source + SIDECAR)
        return found

    def _made(self, piece: _Piece, coming: Future[Entry]) -> None:
        """Color a photo once it is here."""
        task = piece.task
        name = self.inputs[task.root].name_of(task.key)
        job = Job(piece.source, piece.target, task.result)
        try:
            try:
                found = coming.result()
            except FileNotFoundError:
                raise PhotoError(
                    f"{name}: has gone", "put it back, and run this again", retry=True
                ) from None
            if found.mark != task.mark and task.mark:
                raise _changed(name)
            piece.mark = found.mark
            suffix = os.path.splitext(task.result)[1]
            piece.target = os.path.join(piece.folder, f"result{suffix}")
            piece.settings = with_sidecar(piece.source, self.settings)
            job = Job(piece.source, piece.target, task.result, None, True, piece.settings)
            with self._one:
                piece.outcome, attempt = self._colored(piece, job, name)
            if attempt.result and self.inputs[task.root].is_local:
                self._check_same(piece, name)
        except PhotochromError as error:
            attempt = self._failure(piece, error)
        except (OSError, MemoryError) as error:
            text = getattr(error, "strerror", None) or error or "not enough memory"
            attempt = self._failure(piece, PhotoError(f"{name}: failed: {text}", "try again"))
        self._keep(piece, name, attempt)

    def _check_same(self, piece: _Piece, name: str) -> None:
        """A photo in a folder was read where it lies: it may have changed meanwhile."""
        now = self.inputs[piece.task.root].entry(piece.task.key)
        if now.mark != piece.mark:
            raise _changed(name)

    def _failure(self, piece: _Piece, error: PhotochromError) -> Attempt:
        text = self._plain(piece, str(error))
        piece.outcome = Outcome("failed", text)
        return Attempt(0.0, error=text)

    def _colored(self, piece: _Piece, job: Job, name: str) -> tuple[Outcome, Attempt]:
        """The outcome of coloring, and what is recorded of it."""
        task = piece.task
        if task.token and task.settings and not self.force:
            state = FileState.of(piece.source)
            if self._is_done(task, state):
                result = FileState(task.result_size, 0, task.result_sha256)
                return Outcome("skipped"), Attempt(
                    0.0, state, result, own_color=task.own_color, size=None
                )
            self._check_ours(piece, state, name)
        kept = _Kept()
        coloring = Coloring(self.settings, kept, self.engine, self.color)
        outcome = coloring(job)
        attempt = kept.attempt or Attempt(0.0, error=outcome.error)
        text = self._plain(piece, outcome.error)
        if attempt.error:
            attempt = attempt._replace(error=self._plain(piece, attempt.error), result=None)
        notes = tuple(self._plain(piece, note) for note in attempt.notes)
        return outcome._replace(error=text, notes=notes), attempt._replace(notes=notes)

    def _is_done(self, task: Task, state: FileState) -> bool:
        """Whether the result that is there is of this photo and these settings."""
        return (
            task.finished
            and state.sha256 == task.source_sha256
            and task.settings == self.settings.key
            and task.known_sidecar == task.sidecar
            and not other_color(task.own_color, self.color)
        )

    def _check_ours(self, piece: _Piece, state: FileState, name: str) -> None:
        """Refuse to replace what is not a result of ours. Raises PhotoError."""
        task, place = piece.task, self.output.name_of(piece.task.result)
        if not task.finished:  # an interrupted run was going to replace it
            return
        if task.source != name and state.sha256 != task.source_sha256:
            raise PhotoError(
                f"{name}: {place} is the result of another photo, {task.source}",
                "choose another output, or use --force to replace it",
                retry=True,
            )
        before = os.path.join(piece.folder, "before")
        try:
            self.output.fetch(task.result, before)
        except FileNotFoundError:
            return
        if FileState.of(before).sha256 != task.result_sha256:
            raise PhotoError(
                f"{name}: {place} has changed since it was made",
                "move it away, or use --force to replace it",
                retry=True,
            )

    def _plain(self, piece: _Piece, text: str) -> str:
        """A message with the addresses in place of the names in the scratch folder."""
        store = self.inputs[piece.task.root]
        for ours, theirs in (
            (piece.source, store.name_of(piece.task.key)),
            (piece.target, self.output.name_of(piece.task.result)),
            (piece.folder, self.output.name_of(os.path.dirname(piece.task.result))),
        ):
            text = text.replace(ours, theirs) if ours else text
        return text

    def _keep(self, piece: _Piece, name: str, attempt: Attempt) -> None:
        """Write down what is going to be recorded."""
        task = piece.task
        row = record(task.result, name, self.settings, attempt)
        own = piece.settings.key if piece.settings is not None else ""
        was = (
            task.token if attempt.result and piece.outcome and piece.outcome.kind == "done" else ""
        )
        piece.row = {**row, "own_settings": own, "sidecar": task.sidecar, "was": was,
                     "source_mark": piece.mark}  # fmt: skip

    def _publish(self, pieces: Sequence[_Piece], pool: ThreadPoolExecutor) -> None:
        """Record the group, and then put its results in their places."""
        if not is_held(self.output, self.run):
            raise LeaseLost(f"{self.output.name}: another run has taken over", "let it work")
        self._writer.write([piece.row for piece in pieces])
        done = [p for p in pieces if p.outcome is not None and p.outcome.kind == "done"]
        putting = [pool.submit(self._put, piece) for piece in done]
        late = []
        for piece, future in zip(done, putting, strict=True):
            with contextlib.suppress(FileNotFoundError):
                error = future.result()
                if error is not None:
                    late.append(piece)
                    attempt = self._failure(piece, error)
                    self._keep(piece, piece.row["source"], attempt)
        self._writer.write([piece.row for piece in late])

    def _put(self, piece: _Piece) -> StoreError | None:
        try:
            self.output.put(piece.target, piece.task.result, self.run)
        except StoreError as error:
            return error
        return None

    def refuse(self, refused: Iterable[tuple[Task, str, str, bool]]) -> None:
        """Record photos that are not colored: (task, error, kind of file, whether it lasts)."""
        rows = []
        for task, error, passed, lasts in refused:
            name = self.inputs[task.root].name_of(task.key)
            state = FileState(task.size, 0, "") if lasts else None
            attempt = Attempt(0.0, state, error=error or None, passed=passed)
            rows.append({
                **record(task.result, name, self.settings, attempt),
                "source_mark": task.mark, "sidecar": task.sidecar,
            })  # fmt: skip
        self._writer.write(rows)


def _changed(name: str) -> PhotoError:
    return PhotoError(f"{name}: changed while it was being read", "run this again", retry=True)


def grouped(tasks: Iterable[Task], size: int) -> Iterator[Group]:
    """The tasks in groups of this size, the last one smaller."""
    some: list[Task] = []
    for task in tasks:
        some.append(task)
        if len(some) == size:
            yield Group(tuple(some))
            some = []
    if some:
        yield Group(tuple(some))


def again(group: Group) -> list[Task]:
    """The tasks of a group on which a worker died."""
    return [task._replace(deaths=task.deaths + 1) for task in group.tasks]
