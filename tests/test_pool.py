"""Work spread over processes: each item once, in bounds, whatever happens to a worker."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from photochrom.errors import ConfigError
from photochrom.pool import Crew, Died, Worker, cpus, spread


def negative(item: int) -> int:
    return -item


def slow_first(item: int) -> int:
    time.sleep(0.3 if item == 0 else 0)
    return -item


def deadly(how: str, item: int) -> int:
    if item == 3:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "exit":
            os._exit(7)
        else:
            raise ValueError("not caught")
    return -item


def deaf(item: int) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    return -item


class Unloadable:
    def __call__(self, item: int) -> int:
        return item

    def __setstate__(self, state: object) -> None:
        os._exit(5)

    def __getstate__(self) -> int:
        return 1


@pytest.mark.parametrize("workers", [1, 3])
def test_each_item_comes_once_with_its_result(workers: int) -> None:
    results = list(spread(negative, range(50), workers))
    assert sorted(results) == [(n, -n) for n in range(50)]
    assert list(spread(negative, [], workers)) == []


def test_in_order_means_the_order_of_the_items_and_a_bounded_lead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(40):
            taken.append(n)
            yield n

    workers = 2
    for place, (item, result) in enumerate(spread(slow_first, items(), workers, in_order=True)):
        assert (item, result) == (place, -place)
        assert len(taken) - place <= 4 * workers
    assert len(taken) == 40


def test_items_are_taken_only_when_a_worker_is_free() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(30):
            taken.append(n)
            yield n

    for place, _ in enumerate(spread(negative, items(), 2)):
        assert len(taken) <= place + 1 + 4  # in hand, or done and about to be yielded
    assert len(taken) == 30


@pytest.mark.parametrize(("how", "code"), [("kill", -signal.SIGKILL), ("exit", 7), ("raise", 1)])
@pytest.mark.parametrize("in_order", [True, False])
def test_a_worker_that_dies_takes_only_its_item_along(
    how: str, code: int, in_order: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    results = dict(spread(partial(deadly, how), range(10), 2, in_order=in_order))
    assert results == {n: Died(code) if n == 3 else -n for n in range(10)}
    assert ("ValueError: not caught" in capfd.readouterr().err) == (how == "raise")


def test_workers_leave_signals_to_their_parent() -> None:
    assert sorted(spread(deaf, range(4), 2)) == [(n, -n) for n in range(4)]


def test_a_worker_that_cannot_start_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(ConfigError, match=r"exit code 5.*__main__"):
        list(spread(Unloadable(), range(4), 2))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_closing_before_the_end_ends_the_workers_at_once() -> None:
    results = spread(pid_then_sleep, range(2), 2)
    _, worker = next(results)
    assert isinstance(worker, int)
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def pid_then_sleep(item: int) -> int:
    if item:
        time.sleep(600)
    return os.getpid()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def test_libraries_in_workers_are_told_how_many_threads_to_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    names = ["OPENBLAS_NUM_THREADS", "VIPS_CONCURRENCY", "OMP_NUM_THREADS"]
    assert dict(spread(environment, names, 1, crew=Crew(threads=3))) == dict(
        zip(names, "337", strict=True)
    )
    assert dict(os.environ) == before


def write_pid(folder: Path) -> None:
    (folder / str(os.getpid())).touch()


def pid_and_file(folder: Path, item: int) -> tuple[int, bool]:
    return os.getpid(), (folder / str(os.getpid())).exists()


signals = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@signals
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_crew_starts_up_before_there_is_work(tmp_path: Path, workers: int) -> None:
    with Crew(2, prepare=partial(write_pid, tmp_path)) as crew:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        early = {int(path.name) for path in tmp_path.iterdir()}
        results = dict(spread(partial(pid_and_file, tmp_path), range(40), workers, crew=crew))
        assert sorted(results) == list(range(40))
        assert all(prepared for _, prepared in results.values())
        assert early & {pid for pid, _ in results.values()}
        assert len(list(tmp_path.iterdir())) == max(workers, 2)
        # Not only when the block is left: what there is no work for takes memory.
        assert not any(is_alive(pid) for pid in early)


def sleep_long() -> None:
    time.sleep(600)


@signals
def test_a_crew_that_nobody_hired_is_ended_while_it_starts_up() -> None:
    with pytest.raises(KeyboardInterrupt), Crew(2, prepare=sleep_long) as crew:
        pids = [worker._process.pid for worker in crew._waiting]
        raise KeyboardInterrupt
    assert len(pids) == 2
    assert not any(pid and is_alive(pid) for pid in pids)


def cannot_prepare() -> None:
    os._exit(5)


def test_a_crew_that_cannot_start_is_said(tmp_path: Path) -> None:
    with (
        Crew(2, prepare=cannot_prepare) as crew,
        pytest.raises(ConfigError, match=r"could not start \(exit code 5\)"),
    ):
        list(spread(negative, range(4), 2, crew=crew))


def raises() -> None:
    raise ImportError("no such module")


def test_what_is_raised_while_a_crew_prepares_is_left_to_the_work(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with Crew(2, prepare=raises) as crew:
        assert dict(spread(negative, range(9), 2, crew=crew)) == {n: -n for n in range(9)}
    assert capfd.readouterr().err == ""


def killed_first(folder: Path) -> None:
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@signals
def test_a_worker_that_is_killed_while_it_starts_is_done_without(tmp_path: Path) -> None:
    with Crew(2, prepare=partial(killed_first, tmp_path)) as crew:
        assert dict(spread(negative, range(20), 2, crew=crew)) == {n: -n for n in range(20)}
    assert (tmp_path / "first").exists()
    with (
        Crew(2, prepare=killed) as crew,
        pytest.raises(ConfigError, match=r"could not start \(exit code -9\)"),
    ):
        list(spread(negative, range(20), 2, crew=crew))


@signals
def test_a_worker_that_never_starts_is_ended_with_the_others(tmp_path: Path) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    workers = []
    with Crew(2, prepare=partial(stuck_second, tmp_path)) as crew:
        workers = list(crew._waiting)
        with pytest.raises(KeyboardInterrupt):
            list(spread(negative, items(), 2, crew=crew))
    assert [is_alive(worker._process.pid or 0) for worker in workers] == [False, False]


def stuck_second(folder: Path) -> None:
    try:
        (folder / "first").touch(exist_ok=False)
    except FileExistsError:
        time.sleep(600)


@signals
def test_work_that_cannot_be_sent_leaves_no_worker_behind() -> None:
    with Crew(1) as crew:
        pid = crew._waiting[0]._process.pid
        with pytest.raises((AttributeError, pickle.PicklingError)):
            list(spread(lambda item: item, range(4), 1, crew=crew))
        assert pid and not is_alive(pid)


def test_there_is_at_least_one_cpu() -> None:
    assert 1 <= cpus() <= (os.cpu_count() or 1)


def stuck_at_three(item: int) -> int:
    time.sleep(600 if item == 3 else 0)
    return -item


def test_an_item_that_takes_too_long_is_ended_and_the_others_go_on() -> None:
    results = dict(spread(stuck_at_three, range(8), 2, timeout=1.5))
    assert results.pop(3) == Died(-signal.SIGKILL, late=True)
    assert results == {n: -n for n in range(8) if n != 3}


def test_a_worker_that_answered_as_it_was_killed_gets_no_more_to_do() -> None:
    worker: Worker[float, float] = Worker(1)
    try:
        worker.begin(abs)
        assert worker.answer() == (None, None)  # it has started
        assert worker.give((0, -3))
        assert worker.connection.poll(60)
        worker.end_if_late(0.0)
        assert worker.answer() == ((0, -3), 3)
        assert not worker.give((1, -4))
    finally:
        worker.stop()


KILLED: list[int] = []


class Hasty(Worker[int, int]):
    """Killed at some items as late, when it has answered and nobody has looked."""

    def end_if_late(self, timeout: float | None) -> None:
        if self.task is not None and self.task[1] in (1, 4, 5) and not self._late:
            assert self.connection.poll(60)
            KILLED.append(self.task[1])
            self._late = True
            self._process.kill()


def test_of_workers_that_answered_as_they_were_killed_no_item_is_lost() -> None:
    KILLED.clear()
    crew = Crew(worker=Hasty)
    assert list(spread(abs, range(7), 1, in_order=True, crew=crew)) == [(n, n) for n in range(7)]
    assert KILLED == [1, 4, 5]
