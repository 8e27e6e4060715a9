"""Workers on other machines: actors of a Ray cluster, each with a model of its own.

An actor has two groups at a time: while one is colored, the other is fetched or put. So there are
never more photos under way than two groups for each actor, however many there are to come.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from photochrom._version import __version__
from photochrom.archive.crew import Answer
from photochrom.archive.work import Bench, Group
from photochrom.errors import ConfigError, DependencyError, PhotochromError
from photochrom.pool import Died

__all__ = ["Cluster", "Share"]

_FAILED_STARTS = 5
_LOOK = 10.0
"""Seconds between two looks at how large the cluster is."""
_GPU = 0.25
"""Of a GPU, for each actor: much of the work on a photo is done beside it."""


@dataclass(frozen=True)
class Share:
    """What the cluster gives us.

    Attributes
    ----------
    workers : actors; None for as many as there are CPUs for, also while machines come and go
    threads : CPUs of each
    timeout : seconds that a photo may take
    size : photos that an actor gets together
    """

    workers: int | None = None
    threads: int = 1
    timeout: float | None = None
    size: int = 8


class _Actor:
    """A worker, in a process of its own somewhere in the cluster."""

    def __init__(self, bench: Bench, threads: int, version: str) -> None:
        # The libraries read these when they are loaded.
        for name in "OMP_NUM_THREADS", "VIPS_CONCURRENCY":
            os.environ[name] = str(threads)
        if version != __version__:
            raise ConfigError(
                f"this machine has photochrom {__version__}, and the run is of {version}",
                "install the same version on all machines",
            )
        bench.prepare()
        self._bench = bench
        self._count = _counters()

    def ready(self) -> None:
        """Answers once the model is loaded."""

    def work(self, group: Group) -> Answer:
        """Color a group."""
        began = time.monotonic()
        try:
            answer = self._bench(group)
        except Exception as error:
            return str(error)
        self._count([outcome.kind for _, outcome in answer], time.monotonic() - began)
        return answer


def _counters() -> Callable[[list[str], float], None]:
    """Counts photos for Prometheus, where Ray's agent offers the figures."""
    from ray.util.metrics import Counter, Histogram

    photos = Counter("photochrom_photos", "Photos, by what came of them", ("outcome",))
    seconds = Histogram(
        "photochrom_group_seconds", "Time for a group of photos", [1, 2, 5, 10, 30, 60, 300]
    )

    def count(kinds: list[str], took: float) -> None:
        for kind in kinds:
            photos.inc(1, {"outcome": kind})
        seconds.observe(took)

    return count


@dataclass
class _Hand:
    """An actor as we see it."""

    handle: Any
    start: Any
    """The reference of `ready`; None once it has answered."""
    under_way: dict[Any, tuple[Group, float]] = field(default_factory=dict)


class Cluster:
    """The actors of one run.

    Parameters
    ----------
    address : of a Ray cluster: auto, HOST:PORT or ray://HOST:PORT
    share : what we want of it
    tell : hears of actors that are lost, and that we wait

    Raises
    ------
    ConfigError
        There is no such cluster.
    DependencyError
        Ray is not installed.
    """

    def __init__(
        self, address: str, share: Share, tell: Callable[[str], None] = lambda text: None
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
        # On stdout, where it would print logs of its machines, are the names of our results.
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError:
            raise DependencyError(
                "--cluster: needs Ray", "run pip install 'photochrom[cluster]'"
            ) from None
        self._ray: Any = ray
        self._share, self._tell = share, tell
        self.size = share.size
        self._hands: list[_Hand] = []
        self._failed_starts = 0
        self._looked = -_LOOK
        self._most = 0
        self._gpu = 0.0
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            why = " ".join(str(error).split())
            raise ConfigError(
                f"--cluster {address}: cannot be reached: {why}",
                "start a cluster with `ray start --head`, or name its address",
            ) from None

    def close(self) -> None:
        """End the actors, and leave the cluster."""
        for hand in self._hands:
            self._kill(hand)
        self._hands = []
        self._ray.shutdown()

    def do(
        self, bench: Bench, groups: Iterable[Group], alone: bool
    ) -> Generator[tuple[Group, Answer]]:
        """Do all groups, see `crew.Workers`."""
        self._gpu = _GPU if bench.engine.device == "cuda" else 0.0
        deep = 1 if alone else 2
        coming = iter(groups)
        empty = False
        while True:
            self._grow(bench)
            while not empty and (free := self._free(deep)) is not None:
                group = next(coming, None)
                if group is None:
                    empty = True
                    break
                ref = free.handle.work.remote(group)
                free.under_way[ref] = group, time.monotonic()
            if not any(hand.under_way for hand in self._hands) and empty:
                return
            yield from self._answers(alone)

    def _grow(self, bench: Bench) -> None:
        """Have as many actors as the cluster has room for."""
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            there = self._ray.cluster_resources()
            room = int(there.get("CPU", 0)) // self._share.threads
            if self._gpu:
                room = min(room, int(there.get("GPU", 0) / self._gpu))
            self._most = self._share.workers or room
            if not self._most:
                self._tell("the cluster has no free CPUs (or GPUs); waiting for machines")
                self._most = 1
        while len(self._hands) < self._most:
            actor = self._ray.remote(_Actor).options(
                num_cpus=self._share.threads,
                num_gpus=self._gpu,
                max_concurrency=2,
                max_restarts=0,
                scheduling_strategy="SPREAD",
            )
            handle = actor.remote(bench, self._share.threads, __version__)
            self._hands.append(_Hand(handle, handle.ready.remote()))

    def _free(self, deep: int) -> _Hand | None:
        """The actor with the least to do, if it may have more."""
        ready = [hand for hand in self._hands if hand.start is None]
        least = min(ready, key=lambda hand: len(hand.under_way), default=None)
        return None if least is None or len(least.under_way) >= deep else least

    def _answers(self, alone: bool) -> Iterator[tuple[Group, Answer]]:
        """Wait a little; what came of the groups under way."""
        refs = {}
        for hand in self._hands:
            refs.update(dict.fromkeys(hand.under_way, hand))
            if hand.start is not None:
                refs[hand.start] = hand
        ready, _ = self._ray.wait(list(refs), num_returns=1, timeout=1.0)
        for ref in ready:
            hand = refs[ref]
            if ref is hand.start:
                self._started(hand)
                continue
            group, _ = hand.under_way.pop(ref)
            try:
                yield group, self._ray.get(ref)
            except self._ray.exceptions.RayError:
                yield group, Died(None)
                yield from self._lost(hand, late=False)
        if self._share.timeout is not None:
            now = time.monotonic()
            for hand in list(self._hands):
                # An actor colors one photo at a time, so a group may wait for the other.
                photos = sum(len(group.tasks) for group, _ in hand.under_way.values())
                limit = self._share.timeout * photos
                if any(now - began > limit for _, began in hand.under_way.values()):
                    yield from self._lost(hand, late=alone)

    def _started(self, hand: _Hand) -> None:
        """Take note that an actor has started, or why it has not.

        Raises
        ------
        ConfigError
            Actors do not start.
        """
        errors = self._ray.exceptions
        try:
            self._ray.get(hand.start)
            hand.start = None
            self._failed_starts = 0
            return
        except errors.RayError as error:
            cause = getattr(error, "cause", None) or error
            self._failed_starts += 1
            self._drop(hand)
        known = isinstance(cause, PhotochromError)
        if known or self._failed_starts >= _FAILED_STARTS:
            text = str(cause) if known else _reason(cause)
            raise ConfigError(f"--cluster: a worker could not start: {text}")

    def _lost(self, hand: _Hand, late: bool) -> Iterator[tuple[Group, Answer]]:
        """The groups of an actor that has died, or has to: nothing of it may go on."""
        if hand not in self._hands:
            return
        self._drop(hand)
        self._tell("a worker of the cluster was lost; its photos are tried again")
        for group, _ in hand.under_way.values():
            yield group, Died(None, late)

    def _drop(self, hand: _Hand) -> None:
        self._kill(hand)
        self._hands.remove(hand)

    def _kill(self, hand: _Hand) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(hand.handle)


def _reason(error: object) -> str:
    """The last line of what Ray says: above it are the calls that led there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
