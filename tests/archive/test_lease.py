from __future__ import annotations

import json
import threading

import pytest

from photochrom.archive.lease import LEASES, Lease, is_held
from photochrom.archive.store import Store
from photochrom.errors import ConfigError


def test_of_two_runs_one_works_and_the_next_has_another_number(out: Store) -> None:
    with Lease(out) as first:
        assert first.number == 1 and is_held(out, 1)
        with pytest.raises(ConfigError, match="is in use by another run"), Lease(out):
            pass
    with Lease(out) as second:
        assert second.number == 2
        assert not is_held(out, 1)
    assert [one.key for page in out.below(LEASES).listing() for one in page] == ["000002.json"]


def test_of_many_that_begin_at_once_one_gets_the_lease(out: Store) -> None:
    taken: list[bool] = []
    barrier = threading.Barrier(8)

    def begin() -> None:
        barrier.wait()
        taken.append(out.create(f"{LEASES}/000001.json", threading.current_thread().name.encode()))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 7 + [True]


def test_a_run_of_another_machine_is_waited_for_and_taken_over_if_it_is_dead(out: Store) -> None:
    state = {"owner": "x", "machine": "another", "process": 1, "time": 0, "free": False}
    out.write(f"{LEASES}/000004.json", json.dumps(state).encode())
    told: list[str] = []
    with Lease(out, told.append, dead=0.2) as lease:
        assert lease.number == 5
        assert "waiting" in told[0]
        # Somebody takes ours over.
        out.write(f"{LEASES}/000006.json", b"{}")
        lease._thread.join(5)
        assert lease.lost and not is_held(out, 5)
    assert b'"free": true' not in out.read(f"{LEASES}/000005.json")


@pytest.mark.slow
def test_a_run_that_shows_that_it_is_alive_is_not_taken_over(out: Store) -> None:
    state = {"owner": "x", "machine": "another", "process": 1, "time": 0, "free": False}
    out.write(f"{LEASES}/000001.json", json.dumps(state).encode())
    beat = threading.Timer(0.1, out.write, (f"{LEASES}/000001.json", b'{"time": 1}'))
    beat.start()
    with pytest.raises(ConfigError, match="is in use by another run"), Lease(out, dead=30):
        pass
    beat.join()
