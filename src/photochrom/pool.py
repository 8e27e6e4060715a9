"""Work spread over processes: bounded, and a process that dies takes only its own item along."""

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
from typing import Any, Generic, TypeVar

from photochrom.errors import ConfigError

__all__ = ["Crew", "Died", "cpus", "spread"]

Item = TypeVar("Item")
Result = TypeVar("Result")

# Spawned, not forked: a fork copies the locks of threads (torch's, a progress bar's) that it does
# not copy.
_CONTEXT = multiprocessing.get_context("spawn")
_VERY_LONG = 86400.0  # seconds
_AHEAD = 4  # items a worker that may be done before their turn
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VIPS_CONCURRENCY")
_STOPS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Died:
    """Stands for the result of an item at which a worker died."""

    exit_code: int | None
    """Negative: the number of the signal, -9 for the kernel's answer to too little memory."""
    late: bool = False
    """It was ended here, for it took longer than it may."""


def cpus() -> int:
    """How many CPUs this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(allowed(0)) if allowed else os.cpu_count() or 1


class Crew:
    """Processes that start up before it is known what their work is.

    While this process finds that out, they load what they will need. Leaving the block ends those
    that nobody has hired.

    Parameters
    ----------
    workers : processes to start at once; more are started when they are hired
    threads : that libraries start in each, unless the environment says how many
    prepare : called by each process when it starts, such as to import what is large; picklable.
        What it raises is dropped: the work will meet it again, and can say what it means.
    """

    def __init__(
        self, workers: int = 0, threads: int = 1, prepare: Callable[[], None] | None = None
    ) -> None:
        self._threads, self._prepare = threads, prepare
        self._waiting: list[_Worker[Any, Any]] = []
        with self._or_dismissed():
            for _ in range(workers):
                self._waiting.append(_Worker(threads, prepare))

    @contextmanager
    def _or_dismissed(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.dismiss()
            raise

    def hire(self, work: Callable[[Any], Any]) -> _Worker[Any, Any]:
        """A process that does this work, and nothing else from now on."""
        with self._or_dismissed():
            worker: _Worker[Any, Any] = (
                self._waiting.pop() if self._waiting else _Worker(self._threads, self._prepare)
            )
        worker.begin(work)
        return worker

    def dismiss(self) -> None:
        """End the processes that wait."""
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

    An item is taken from `items` only when a worker is free for it, so neither the items nor the
    results pile up; where `items` ends early, what is in hand is still finished. A worker that dies
    is replaced, and its item comes with `Died`; one that is killed while it starts up is not, as
    long as there are others. Workers hear neither Ctrl-C nor SIGTERM, which often reach all
    processes at once: this one decides. They end when it ends, even by kill -9, and at once when
    the generator is closed before its end.

    Parameters
    ----------
    work : sent to each worker once, so it can keep there what it loads; picklable. An exception
        that it lets pass is printed and ends the worker.
    items : picklable
    workers : processes, at least 1
    in_order : give the results in the order of the items, not as they come; a slow item then holds
        up those that are more than a few ahead of it
    crew : where the workers are hired, new ones if it has none waiting; None for one of its own
    timeout : seconds that an item may take; then its worker is ended

    Raises
    ------
    ConfigError
        A worker cannot start.
    """
    numbered = enumerate(items)
    again: list[tuple[int, Item]] = []  # given to a worker that was dead already
    busy: dict[Connection, _Worker[Item, Result]] = {}  # starting up or at work
    idle: list[_Worker[Item, Result]] = []
    done: dict[int, tuple[Item, Result | Died]] = {}
    taken = given = 0
    source = Crew() if crew is None else crew

    def hire() -> None:
        worker = source.hire(work)
        busy[worker.connection] = worker

    try:
        for _ in range(workers):
            hire()
        source.dismiss()  # more than there is work for
        while True:
            # Handed out before the results are yielded: nobody waits while the caller uses them.
            while idle and (not in_order or taken - given < _AHEAD * workers):
                task = again.pop() if again else next(numbered, None)
                if task is None:
                    break
                taken = max(taken, task[0] + 1)
                worker = idle.pop()
                if worker.give(task):
                    busy[worker.connection] = worker
                else:
                    worker.stop()
                    again.append(task)
                    hire()
            ready = [n for n in sorted(done) if not in_order or n == given]
            for number in ready:
                given += 1
                yield done.pop(number)
            if ready:
                continue
            if not busy:
                return
            for worker in busy.values():
                worker.end_if_late(timeout)
            left = [worker.left(timeout) for worker in busy.values()]
            for connection in wait(list(busy), min(left)):
                worker = busy.pop(connection)  # type: ignore[call-overload]
                task, result = worker.answer()
                if isinstance(result, Died):
                    if task is None:
                        # Killed, as the kernel does when memory is short: the others go on.
                        if (result.exit_code or 0) < 0 and (busy or idle):
                            continue
                        raise ConfigError(
                            f"a worker process could not start (exit code {result.exit_code}); "
                            "use fewer workers if memory is short, and in a script call this "
                            "below if __name__ == '__main__'"
                        )
                    hire()
                else:
                    idle.append(worker)
                if task is not None:
                    done[task[0]] = (task[1], result)
    finally:
        for worker in (*idle, *busy.values()):
            worker.stop()


class _Worker(Generic[Item, Result]):
    """One process, and the task (number, item) that it is at."""

    def __init__(self, threads: int, prepare: Callable[[], None] | None = None) -> None:
        self.task: tuple[int, Item] | None = None
        self._started = False
        self._began = time.monotonic()
        self._late = False
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, prepare), daemon=True)
        # A new process has the mask of its parent: a signal cannot hit it while it starts up.
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
        """Say what is done with every item; the first answer says that the worker can."""
        try:
            self.connection.send(work)
        except OSError:  # it has died already, as its answer will say
            pass
        except BaseException:  # work that cannot be sent
            self.stop()
            raise

    def give(self, task: tuple[int, Item]) -> bool:
        """Whether the worker was still there to take the task."""
        if self._late:  # it had answered after all, just as it was killed
            return False
        try:
            self.connection.send(task[1])
        except OSError:
            return False
        self.task = task
        self._began = time.monotonic()
        return True

    def left(self, timeout: float | None) -> float:
        """Seconds until the task is late; a very long time where there is no limit."""
        if timeout is None or self.task is None or self._late:
            return _VERY_LONG
        return max(0.0, self._began + timeout - time.monotonic())

    def end_if_late(self, timeout: float | None) -> None:
        """Kill the process if its task is late; its answer is `Died` then."""
        if self.left(timeout) == 0:
            self._late = True
            self._process.kill()

    def answer(self) -> tuple[tuple[int, Item] | None, Result | Died]:
        """The task, None for the start, and its result; waits for it."""
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
        """End the process: when it sees that there is no work, at once if it is at some.

        Or if it is still loading what it needs, which may never end where that lies far away.
        """
        if self.task is not None or not self._started:
            self._process.kill()
        self.connection.close()
        self._process.join()


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """What the libraries of a new process read when they are loaded; later it is too late.

    As many threads as cores in each of as many processes as cores wait for each other: the matrix
    product of OpenBLAS then takes ten times the processor time.
    """
    added = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, str(threads)))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _serve(connection: Connection, prepare: Callable[[], None] | None) -> None:
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    # Whatever it is at: a parent that was killed cannot say that it has gone.
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
