"""`photochrom colorize` on object storage, and on a cluster."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from photochrom.cli.extras import needs_cluster
from photochrom.cli.folders import MOST_SECONDS, Progress
from photochrom.cli.signals import Terminated, until_stopped
from photochrom.cli.terminal import fail, say, shown
from photochrom.cli.wish import engine_of, rules_of, settings_of
from photochrom.errors import ConfigError

if TYPE_CHECKING:
    from photochrom.archive.crew import Workers
    from photochrom.archive.plan import Compared
    from photochrom.archive.run import Archive, Wish
    from photochrom.archive.store import Store

__all__ = ["colorize_archive"]


def colorize_archive(options: argparse.Namespace) -> int:
    """Color all photos at some addresses; returns the exit code."""
    needs_cluster(options.cluster is not None)
    wish = _wish(options)
    notice = "photochrom: finishing the photos in progress; press Ctrl-C again to drop them"
    with tempfile.TemporaryDirectory(prefix="photochrom-") as scratch:
        if options.dry_run:
            return _dry_run(wish, scratch)
        with until_stopped(notice) as stop:
            return _colorize(options, wish, scratch, stop)


def _wish(options: argparse.Namespace) -> Wish:
    """What the user wants, or ConfigError if it cannot be meant."""
    from photochrom.archive.run import Wish
    from photochrom.archive.store import Store

    if options.output is None:
        raise ConfigError(
            "addresses and --cluster need an output", "name a folder or an address with -o"
        )
    if options.hint:
        raise ConfigError(
            "--hint: is for a place in one photo",
            "put its hints into a file beside it: NAME.photochrom.json",
        )
    if options.shard is not None:
        raise ConfigError("--shard: is not needed here", "let a cluster share the work: --cluster")
    if options.report is not None and options.report.lower().endswith(".html"):
        raise ConfigError(
            "--report: a page cannot show photos in a store",
            "name a file that ends in .csv, or run `photochrom manifest`",
        )
    output = Store(options.output)
    if output.is_read_only:
        raise ConfigError(
            f"-o {output.name}: nothing can be written there", "name a folder or a bucket"
        )
    inputs: dict[str, Store] = {}
    for item in options.inputs:
        store = Store(item)
        _check_apart(store, output)
        inputs.setdefault(store.name, store)
    engine = engine_of(options, options.threads or 1)
    settings = settings_of(options, engine)
    stores = list(inputs.values())
    return Wish(stores, output, settings, engine, rules_of(options), options.exclude)


def _check_apart(store: Store, output: Store) -> None:
    """Refuse an output from which a result could overwrite a photo."""
    from photochrom.archive.manifest import PARTS

    if store.name == output.name or store.name.startswith(output.name.rstrip("/") + "/"):
        raise ConfigError(
            f"-o {output.name}: the results would lie among the photos of {store.name}",
            "name an output of its own",
        )
    if not store.is_read_only and store.below(PARTS).is_folder():
        raise ConfigError(
            f"{store.name}: has the results of an earlier run",
            "name the photos; to color these, copy them elsewhere",
        )


def _colorize(
    options: argparse.Namespace, wish: Wish, scratch: str, stop: Callable[[], int]
) -> int:
    from photochrom.archive.lease import Lease
    from photochrom.archive.run import Archive, planned

    with Lease(wish.output, say) as lease, contextlib.ExitStack() as stack:
        say("comparing the photos with the results that are there")
        compared = planned(wish, scratch, lease.number, say)
        _tell(compared, options)
        if number := stop():
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if not compared.photos:
            return fail("no photos found at the given addresses")
        counts = compared.counts
        skipped = Counter({name: counts[name] for name in _SKIPPED if counts[name]})
        left = counts["color"] + counts["fail"]
        progress = stack.enter_context(Progress(left, skipped=skipped))
        archive = Archive(wish, compared, lease, stop)
        if left or counts["passed"]:
            _work(options, archive, progress)
    say(f"{progress.summary()}; the results are in {wish.output.name}")
    if options.report is not None:
        from photochrom.archive.query import Query, write_csv

        write_csv(options.report, Query(wish.output))
        print(shown(options.report))
    if archive.ended:
        return fail(f"{archive.ended}; run the same command again to resume")
    if progress.left:
        say(f"stopped with {progress.left} left; run the same command again to resume")
        return 128 + (stop() or signal.SIGINT)
    return 1 if progress.failed else 0


_SKIPPED = ("done", "failed before", "color photos", "need an extra")


def _work(options: argparse.Namespace, archive: Archive, progress: Progress) -> None:
    """Color, and bring the manifest together at the end."""
    output = archive.wish.output
    with (
        _workers(options, archive.counts["color"]) as workers,
        closing(archive.color(workers)) as results,
    ):
        for task, outcome in results:
            progress.count(outcome, output.name_of(task.result), options.verbose)
    if not archive.lease.lost:
        archive.compact()


@contextlib.contextmanager
def _workers(options: argparse.Namespace, photos: int) -> Iterator[Workers]:
    """Those of the cluster, or processes of this machine."""
    from photochrom.pool import cpus

    seconds = MOST_SECONDS if options.timeout is None else options.timeout
    timeout = None if seconds == math.inf else seconds
    threads = options.threads or 1
    if options.workers is not None and options.workers < 1:
        raise ConfigError(f"--workers {options.workers}: must be at least 1")
    workers: Workers
    if options.cluster is None:
        from photochrom.archive.crew import Local

        count = options.workers or cpus() // threads + 1
        size = max(1, min(8, photos // (2 * count)))
        workers = Local(min(count, max(1, photos)), threads, timeout, size)
    else:
        from photochrom.archive.cluster import Cluster, Share

        share = Share(options.workers, threads, timeout, max(1, min(8, photos // 8)))
        workers = Cluster(options.cluster, share, say)
    with closing(workers):
        yield workers


def _tell(compared: Compared, options: argparse.Namespace) -> None:
    """What else is to be said of the plan."""
    if compared.altered:
        say(f"{compared.altered} results have changed since they were made; leaving them alone")
    if compared.passed:
        counts = ", ".join(f"{n} {kind}" for kind, n in compared.passed.most_common())
        say(f"skipped files that cannot be read ({counts}); convert them to TIFF or PNG")


def _dry_run(wish: Wish, scratch: str) -> int:
    """Print what would be done; returns 1 if some of it is sure to fail."""
    from photochrom.archive.run import planned

    compared = planned(wish, scratch, 0, say)
    for row in compared.rows():
        if not row.passed:
            source = wish.inputs[row.task.root].name_of(row.task.key)
            place = wish.output.name_of(row.task.result)
            print(shown(f"{row.do:5}  {source} -> {place}  ({row.why})"))
    counts = compared.counts
    say(
        f"{counts['color']} to color, {counts['fail']} that will fail, {counts['done']} already "
        f"done, {counts['failed before']} failed before (--retry tries them again)"
    )
    return 1 if counts["fail"] else 0
