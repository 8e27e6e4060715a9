"""Work spread over processes: bounded, and a process that dies costs only its own item."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, Generic, TypeVar

from photochrom.errors import ConfigError

__all__ = ["Crew", "Died", "Worker", "cpus", "spread"]

Item = TypeVar("Item")
Result = TypeVar("Result")

# Spawned, not forked: a fork would copy the locks of threads (torch's, a progress bar's), but not
# the threads.
_CONTEXT = multiprocessing.get_context("spawn")
_VERY_LONG = 86400.0  # seconds
_AHEAD = 4  # items per worker that may be finished before their turn
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VIPS_CONCURRENCY")
_STOPS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Died:
    """Takes the place of the result if a worker died on the item."""

    exit_code: int | None
    """Negative for a signal: -9 if the kernel was short of memory."""
    late: bool = False
    """We ended it, because it took too long."""


def cpus() -> int:
    """How many CPUs this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(allowed(0)) if allowed else os.cpu_count() or 1


class Crew:
    """Processes that start before their work is known.

    They load what they will need while this process finds out what that work is. Leaving the block
    ends the processes that were not hired.

    Parameters
    ----------
    workers : processes to start at once; more are started as they are hired
    threads : threads per process for the libraries, unless the environment says how many
    prepare : called by each process when it starts, for example to import something large;
        picklable. Its errors are dropped: the work will meet them again, and can explain them.
    worker : the class of the processes
    """

    def __init__(
        self,
        workers: int = 0,
        threads: int = 1,
        prepare: Callable[[], None] | None = None,
        *,
        worker: type[Worker[Any, Any]] | None = None,
    ) -> None:
        self._threads, self._prepare, self._worker = threads, prepare, worker or Worker
        self._waiting: list[Worker[Any, Any]] = []
        with self._or_dismissed():
            for _ in range(workers):
                self._waiting.append(self._new())

    def _new(self) -> Worker[Any, Any]:
        return self._worker(self._threads, self._prepare)

    @contextmanager
    def _or_dismissed(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.dismiss()
            raise

    def hire(self, work: Callable[[Any], Any]) -> Worker[Any, Any]:
        """A process that does this work, and nothing else from now on."""
        with self._or_dismissed():
            worker = self._waiting.pop() if self._waiting else self._new()
        worker.begin(work)
        return worker

    def dismiss(self) -> None:
        """End the processes that are still waiting."""
        while self._waiting:
            self._waiting.pop().stop()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        self.dismiss()


def spread(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    in_order: bool = False,
    crew: Crew | None = None,
    timeout: float | None = None,
) -> Generator[tuple[Item, Result | Died]]:
    """Yield (item, work(item)) for all items, computed by that many processes.

    An item is taken from `items` only when a worker is free for it, so neither items nor results
    pile up. If `items` ends early, the items in progress are still finished.

    A worker that dies is replaced, and its item comes with `Died`. A worker that is killed while it
    starts is not replaced as long as there are others. Workers ignore Ctrl-C and SIGTERM, which
    often reach all processes at once: this process decides. They end when it ends, even by kill -9,
    and at once when the generator is closed early.

    Parameters
    ----------
    work : sent to each worker once, so it can keep what it loads; picklable. An exception that it
        lets pass is printed and ends the worker.
    items : picklable
    workers : processes, at least 1
    in_order : give the results in the order of the items rather than as they come; a slow item then
        holds up those that are more than a few ahead of it
    crew : where the workers are hired; it starts new ones if none is waiting. None for a crew of
        our own.
    timeout : seconds that an item may take; then its worker is ended

    Raises
    ------
    ConfigError
        A worker cannot start.
    """
    numbered = enumerate(items)
    done: dict[int, tuple[Item, Result | Died]] = {}
    taken = given = 0
    shift: _Shift[Item, Result] = _Shift(work, Crew() if crew is None else crew, timeout)
    try:
        shift.start(workers)
        while True:
            # Hand out items before yielding results: no worker waits while the caller uses them.
            while shift.idle and (not in_order or taken - given < _AHEAD * workers):
                task = shift.again.pop() if shift.again else next(numbered, None)
                if task is None:
                    break
                taken = max(taken, task[0] + 1)
                shift.give(task)
            ready = [n for n in sorted(done) if not in_order or n == given]
            for number in ready:
                given += 1
                yield done.pop(number)
            if ready:
                continue
            if not shift.busy:
                return
            for (number, item), result in shift.answers():
                done[number] = item, result
    finally:
        shift.stop()


class _Shift(Generic[Item, Result]):
    """The workers of one `spread`."""

    def __init__(self, work: Callable[[Item], Result], crew: Crew, timeout: float | None) -> None:
        self._work, self._crew, self._timeout = work, crew, timeout
        self.again: list[tuple[int, Item]] = []  # given to a worker that had died already
        self.busy: dict[Connection, Worker[Item, Result]] = {}  # starting or working
        self.idle: list[Worker[Item, Result]] = []

    def _hire(self) -> None:
        worker = self._crew.hire(self._work)
        self.busy[worker.connection] = worker

    def start(self, workers: int) -> None:
        """Hire workers; those that are left over in the crew are ended."""
        for _ in range(workers):
            self._hire()
        self._crew.dismiss()

    def give(self, task: tuple[int, Item]) -> None:
        """Give a task to an idle worker; if that has died, the task comes again."""
        worker = self.idle.pop()
        if worker.give(task):
            self.busy[worker.connection] = worker
        else:
            worker.stop()
            self.again.append(task)
            self._hire()

    def answers(self) -> Iterator[tuple[tuple[int, Item], Result | Died]]:
        """Wait for workers; what became of their tasks.

        Raises
        ------
        ConfigError
            A worker cannot start.
        """
        for worker in self.busy.values():
            worker.end_if_late(self._timeout)
        left = min(worker.left(self._timeout) for worker in self.busy.values())
        for connection in wait(list(self.busy), left):
            worker = self.busy.pop(connection)  # type: ignore[call-overload]
            task, result = worker.answer()
            if not isinstance(result, Died):
                self.idle.append(worker)
            elif task is not None:
                self._hire()
            elif (result.exit_code or 0) < 0 and (self.busy or self.idle):
                continue  # killed at its start, as when memory is short: the others go on
            else:
                raise ConfigError(
                    f"a worker process could not start (exit code {result.exit_code})",
                    "use fewer workers if memory is short, and in a script call this below "
                    "if __name__ == '__main__'",
                )
            if task is not None:
                yield task, result

    def stop(self) -> None:
        """End all workers."""
        for worker in (*self.idle, *self.busy.values()):
            worker.stop()


class Worker(Generic[Item, Result]):
    """One process, and the task (number, item) that it is working on."""

    def __init__(self, threads: int, prepare: Callable[[], None] | None = None) -> None:
        self.task: tuple[int, Item] | None = None
        self._started = False
        self._began = time.monotonic()
        self._late = False
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, prepare), daemon=True)
        # If Ctrl-C comes just when it has started, nobody knows it, and the exit would wait for it.
        self._at_exit = Finalize(None, _end, (self._process,), exitpriority=10)
        # A new process inherits this mask, so that no signal hits it while it starts.
        mask = getattr(signal, "pthread_sigmask", None)  # not on Windows
        before = mask(signal.SIG_BLOCK, _STOPS) if mask else ()
        try:
            with _environment(threads):
                self._process.start()
        finally:
            if mask:
                mask(signal.SIG_SETMASK, before)
            theirs.close()

    def begin(self, work: Callable[[Item], Result]) -> None:
        """Say what to do with every item; the first answer says that the worker has started."""
        try:
            self.connection.send(work)
        except OSError:  # it has died; its answer will say so
            pass
        except BaseException:  # work that cannot be sent
            self.stop()
            raise

    def give(self, task: tuple[int, Item]) -> bool:
        """Whether the worker was still there to take the task."""
        if self._late:  # it answered just as it was killed
            return False
        try:
            self.connection.send(task[1])
        except OSError:
            return False
        self.task = task
        self._began = time.monotonic()
        return True

    def left(self, timeout: float | None) -> float:
        """Seconds until the task is late; a very long time if there is no limit."""
        if timeout is None or self.task is None or self._late:
            return _VERY_LONG
        return max(0.0, self._began + timeout - time.monotonic())

    def end_if_late(self, timeout: float | None) -> None:
        """Kill the process if its task is late; its answer is then `Died`."""
        if self.left(timeout) == 0:
            self._late = True
            self._process.kill()

    def answer(self) -> tuple[tuple[int, Item] | None, Result | Died]:
        """Wait for the task (None for the start) and its result."""
        task, self.task = self.task, None
        try:
            result = self.connection.recv()
            self._started = True
            return task, result
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self.stop()
            return task, Died(code, self._late)

    def stop(self) -> None:
        """End the process: once it sees that there is no more work, or at once if it is working.

        Also at once if it is still loading: on a network drive, that may never end.
        """
        if self.task is not None or not self._started:
            self._process.kill()
        self.connection.close()
        self._process.join()
        self._at_exit.cancel()


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """The environment of a new process, which its libraries read when they are loaded.

    With a thread per core in each of a process per core, the threads wait for each other: a matrix
    product in OpenBLAS then takes ten times the processor time.
    """
    added = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, str(threads)))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _end(process: BaseProcess) -> None:
    if process.pid is not None and process.is_alive():
        process.kill()


def _serve(connection: Connection, prepare: Callable[[], None] | None) -> None:
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    # Whatever it is doing: a parent that was killed cannot say goodbye.
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if prepare is not None:
        with suppress(Exception):
            prepare()
    try:
        work = connection.recv()
    except (EOFError, OSError):  # none after all
        return
    answer = None  # to say that it has started
    while True:
        try:
            connection.send(answer)
            item = connection.recv()
        except (EOFError, OSError):  # no more work
            return
        answer = work(item)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
