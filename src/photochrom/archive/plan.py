"""The plan for a million photos: their listing, that of the results, and the manifest, compared.

The rules are those of `batch.plan`, but whole columns are compared at once, and what does not fit
into the memory lies in files: all rows about a result in the same one.

A record is in the manifest before its result is in its place. So what is killed in between leaves
a record without a result, which is colored again, or with the one from before: the record tells
what that was, and if it is still there, the photo is colored again as well.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from photochrom._version import __version__
from photochrom.archive.listing import PLACED, RESULTS, Inputs, results_of
from photochrom.archive.manifest import Parts
from photochrom.archive.record import SCHEMA, counting, local_records
from photochrom.archive.spool import Buckets, Spool
from photochrom.archive.store import Store
from photochrom.batch.find import target_of
from photochrom.batch.job import Job, Settings
from photochrom.batch.plan import ALTERED, MOST_NAME, Rules, lacking

__all__ = ["Compared", "Planned", "Task", "compare"]

_ROWS = 200_000
"""Rows that are compared at once."""
_USED = (
    "result", "source", "outcome", "run", "time", "error", "own_color", "extra", "settings",
    "version", "source_size", "source_mark", "source_sha256", "sidecar", "result_size",
    "result_sha256", "was",
)  # fmt: skip


class Task(NamedTuple):
    """A photo to color, and what a worker has to know of it."""

    root: int
    """Number of the input."""
    key: str
    result: str
    size: int
    mark: str
    sidecar: str
    """The mark of its sidecar; "" if it has none."""
    token: str
    """Of the file in the place of the result; "" if there is none."""
    deaths: int = 0
    """How many workers died on it."""
    source_sha256: str = ""
    """Of the photo from which the known result was made; "" if none is known."""
    source: str = ""
    settings: str = ""
    own_color: str = ""
    result_size: int = -1
    result_sha256: str = ""
    known_sidecar: str = ""
    finished: bool = False
    """Whether the file that is there is the known result."""


class Planned(NamedTuple):
    """What to do with a photo, and why."""

    do: Literal["color", "skip", "fail"]
    why: str
    tally: str
    task: Task
    passed: str = ""
    """The kind of a file that cannot be colored."""


@dataclass
class Compared:
    """All that is planned: the counts, and the rows in a file.

    Attributes
    ----------
    counts : how many photos are to "color", "fail", or are skipped, by `Step.tally`
    altered : results that have changed since they were made
    passed : files of kinds that cannot be colored
    photos : all of them
    """

    spool: Spool
    counts: Counter[str] = field(default_factory=Counter)
    altered: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    photos: int = 0

    def rows(self) -> Iterator[Planned]:
        """What is to be done, or is new to the manifest."""
        for table in self.spool.parts():
            for row in table.to_pylist():
                do, why, tally, passed = (row.pop(n) for n in ("do", "why", "tally", "passed"))
                yield Planned(do, why, tally, Task(**row), passed)


_PLAN = pa.schema([
    *((name, pa.string()) for name in ("do", "why", "tally", "passed")),
    ("root", pa.int32()), ("key", pa.string()), ("result", pa.string()), ("size", pa.int64()),
    *((name, pa.string()) for name in ("mark", "sidecar", "token", "source_sha256", "source",
                                       "settings", "own_color")),
    ("result_size", pa.int64()), ("result_sha256", pa.string()), ("known_sidecar", pa.string()),
    ("finished", pa.bool_()),
])  # fmt: skip


def compare(
    inputs: Inputs,
    stores: tuple[Sequence[Store], Store],
    settings: Settings,
    rules: Rules,
    scratch: str,
    run: int,
) -> Compared:
    """Compare photos with existing results; nothing is written, and no photo is read.

    Parameters
    ----------
    inputs : finds the photos
    stores : those of the photos, and that of the results
    settings : of the run
    rules : what else decides; the shard is not used
    scratch : an empty folder of this machine
    run : number of the run; 0 to remove nothing, and to keep the rows of photos that are done, too

    Raises
    ------
    StoreError
        A store does not answer.
    """
    found = Spool(os.path.join(scratch, "photos.arrow"), PLACED)
    inputs.into(found)
    count = 1 + found.rows // _ROWS
    placed, there, known = (
        Buckets(os.path.join(scratch, name), count, schema)
        for name, schema in (("placed", PLACED), ("there", RESULTS), ("known", _used()))
    )
    besides = _besides(found)
    for table in found.parts():
        placed.add(_without_results(table, besides))
    sources, output = stores
    results_of(output, run, there.add)
    for table in Parts(output).read(_USED):
        known.add(table)
    if output.is_local:
        for table in local_records(output.path("")):
            known.add(table.select(_USED))
    compared = Compared(Spool(os.path.join(scratch, "plan.arrow"), _PLAN))
    compared.photos = inputs.photos
    bucket = _Bucket([store.name_of("") for store in sources], inputs.sidecars, settings, rules)
    for one, two, three in zip(placed.spools, there.spools, known.spools, strict=True):
        bucket.compare(one.table(), two.table(), three.table(), compared, not run)
    compared.spool.close()
    return compared


def _used() -> pa.Schema:
    return pa.schema([SCHEMA.field(name) for name in _USED])


def _besides(found: Spool) -> set[tuple[int, str]]:
    """(root, key) of files that lie beside their photos, as results of a local run do."""
    wanted: dict[tuple[int, str], list[str]] = {}
    for table in found.parts():
        for row in table.filter(pc.not_equal(table["beside"], "")).to_pylist():
            wanted.setdefault((row["root"], row["beside"]), []).append(row["key"])
    besides = set()
    for table in found.parts() if wanted else ():
        for row in table.select(["root", "key"]).to_pylist():
            key = row["key"]
            for other in wanted.get((row["root"], os.path.splitext(key)[0]), ()):
                folder, _, name = key.rpartition("/")
                if target_of(name, folder, True) == other:
                    besides.add((row["root"], other))
    return besides


def _without_results(table: pa.Table, besides: set[tuple[int, str]]) -> pa.Table:
    if not besides:
        return table
    names = zip(table["root"].to_pylist(), table["key"].to_pylist(), strict=True)
    return table.filter(pa.array([name not in besides for name in names]))


@dataclass
class _Bucket:
    """Compares all that is about some results."""

    roots: Sequence[str]
    sidecars: dict[tuple[int, str], str]
    settings: Settings
    rules: Rules

    def compare(
        self, placed: pa.Table, there: pa.Table, known: pa.Table, into: Compared, every: bool
    ) -> None:
        """Add what is to be done to the plan."""
        if not len(placed):
            return
        order = [("result", "ascending"), ("same", "descending"), ("key", "ascending")]
        placed = placed.sort_by(order).combine_chunks()
        columns = self._columns(placed, there, counting(known))
        table = self._decided(placed, columns)
        for row in (
            table.group_by(["do", "tally", "why"]).aggregate([([], "count_all")]).to_pylist()
        ):
            into.counts[row["tally"] or row["do"]] += row["count_all"]
            into.altered += row["count_all"] * (row["why"] == ALTERED)
        for row in table.group_by(["passed"]).aggregate([([], "count_all")]).to_pylist():
            if row["passed"]:
                into.passed[row["passed"]] += row["count_all"]
        if not every:
            table = table.filter(pc.not_equal(table["do"], "skip"))
        into.spool.add(table)

    def _columns(self, placed: pa.Table, there: pa.Table, known: pa.Table) -> dict[str, Any]:
        """What is there and known, a row for each photo."""
        made = known.filter(pc.equal(known["outcome"], "done"))
        at = pc.index_in(made["result"], value_set=_values(there, "result"))
        fits = pc.fill_null(pc.equal(there["there"].take(at), made["result_size"]), False)
        made = made.append_column("fits", fits).sort_by(
            # Of several records about a result, that which is about the file that is there.
            [("result", "ascending"), ("fits", "descending"), ("time", "descending")]
        )
        past = known.filter(pc.not_equal(known["outcome"], "done"))
        columns = {}
        for start, table in ("", there), ("made_", made), ("past_", past):
            at = pc.index_in(placed["result"], value_set=_values(table, "result"))
            for name in table.column_names:
                columns[start + name] = table[name].take(at)
        roots = pa.array([root.rstrip("/") + "/" for root in self.roots])
        source = pc.binary_join_element_wise(roots.take(placed["root"]), placed["key"], "")
        columns["place"] = source
        if self.sidecars:
            pairs = zip(placed["root"].to_pylist(), placed["key"].to_pylist(), strict=True)
            columns["sidecar"] = pa.array([self.sidecars.get(pair, "") for pair in pairs])
        else:
            columns["sidecar"] = pa.array([""] * len(placed))
        return columns

    def _decided(self, placed: pa.Table, c: dict[str, Any]) -> pa.Table:
        """The plan's rows."""
        photo = pc.equal(placed["passed"], "")
        is_known = pc.is_valid(c["made_source"])
        empty = pc.and_(pc.fill_null(pc.equal(c["there"], 0), False), is_known)
        is_there = pc.and_(pc.is_valid(c["there"]), pc.invert(empty))
        as_asked = pc.and_(
            pc.equal(c["made_settings"], self.settings.key),
            pc.equal(c["made_sidecar"], c["sidecar"]),
        )
        if self.rules.color != "skip":
            done = pc.and_(pc.not_equal(c["made_own_color"], ""),
                           pc.not_equal(c["made_own_color"], self.rules.color))  # fmt: skip
            as_asked = pc.and_(as_asked, pc.invert(done))
        same = self._same(placed, c, "made_")
        late = pc.and_(pc.not_equal(c["made_was"], ""), pc.equal(c["made_was"], c["token"]))
        whole = pc.equal(c["made_result_size"], c["there"])
        cases = [
            (pc.invert(photo), "fail", "passed", "passed"),
            *self._refused(placed),
            *self._past(placed, c),
            (pc.and_(pc.invert(is_there), is_known), "color", "its result is missing", ""),
            (pc.invert(is_there), "color", "new", ""),
            *([(photo, "color", "forced", "")] if self.rules.force else []),
            (pc.invert(is_known), "fail", "exists but is not a known result", ""),
            (pc.invert(as_asked), "color", "other settings", ""),
            (pc.invert(same), "color", "may be another photo", ""),
            (late, "color", "an earlier run was interrupted", ""),
            (whole, "skip", "done", "done"),
            (photo, "skip", ALTERED, "done"),
        ]
        open_ = pc.and_(pc.fill_null(pc.invert(late), True), is_there)
        finished = pc.and_(open_, is_known)
        columns = [_chosen(cases, part, len(placed)) for part in (1, 2, 3)]
        columns += [placed[name] for name in ("passed", "root", "key", "result", "size", "mark")]
        columns += [c["sidecar"], c["token"]]
        columns += [c["made_" + name] for name in _PLAN.names[11:17]]
        columns += [c["made_sidecar"], finished]
        filled = [
            pc.fill_null(column, {"int64": -1, "int32": -1, "bool": False}.get(str(f.type), ""))
            for column, f in zip(columns, _PLAN, strict=True)
        ]
        table = pa.Table.from_arrays(filled, names=_PLAN.names).cast(_PLAN)
        return table.filter(self._wanted(table, c))

    def _wanted(self, table: pa.Table, c: dict[str, Any]) -> Any:
        """All but the files that cannot be colored and are in the manifest already."""
        before = pc.fill_null(pc.equal(c["past_outcome"], "passed"), False)
        return pc.invert(pc.and_(pc.not_equal(table["passed"], ""), before))

    def _same(self, placed: pa.Table, c: dict[str, Any], start: str) -> Any:
        """Whether a record is about the photo as it is now."""
        parts = [
            pc.equal(c[start + "source"], c["place"]),
            pc.or_(pc.equal(c[start + "source_size"], placed["size"]), pc.less(placed["size"], 0)),
            pc.or_(
                pc.equal(c[start + "source_mark"], placed["mark"]), pc.equal(placed["mark"], "")
            ),
        ]
        return pc.fill_null(reduce(pc.and_, parts), False)

    def _past(self, placed: pa.Table, c: dict[str, Any]) -> list[tuple[Any, str, str, str]]:
        """What an earlier try has settled."""
        if self.rules.force:
            return []
        then = pc.and_(self._same(placed, c, "past_"), pc.equal(c["past_sidecar"], c["sidecar"]))
        cases = []
        if self.rules.color == "skip":
            left = pc.and_(then, pc.equal(c["past_outcome"], "left"))
            cases.append((left, "skip", "a color photo", "color photos"))
        if not self.rules.retry:
            parts = [
                then,
                pc.equal(c["past_outcome"], "failed"),
                pc.equal(c["past_settings"], self.settings.key),
                pc.equal(c["past_version"], __version__),
            ]
            failed = reduce(pc.and_, parts)
            extra = _still_lacking(placed, pc.and_(failed, pc.equal(c["past_extra"], True)))
            failed = pc.and_(failed, pc.invert(pc.equal(c["past_extra"], True)))
            cases.append((extra, "skip", "an extra was missing", "need an extra"))
            cases.append((failed, "skip", "failed before", "failed before"))
        return cases

    def _refused(self, placed: pa.Table) -> list[tuple[Any, str, str, str]]:
        """Photos that cannot have the result that is asked for."""
        results = placed["result"]
        first = pc.not_equal(results[1:], results[:-1])
        owner = pa.chunked_array([pa.array([True]), *first.chunks])
        name = pc.replace_substring_regex(results, ".*/", "")
        return [
            (pc.invert(owner), "fail", "another photo would have the same result", ""),
            (pc.greater(pc.binary_length(name), MOST_NAME), "fail", "its name is too long", ""),
        ]


def _values(table: pa.Table, name: str) -> pa.Array:
    column = table[name].combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _chosen(cases: Sequence[tuple[Any, str, str, str]], part: int, rows: int) -> Any:
    """Of the cases, the word of the first that is true, in each row."""
    word = pa.array([""] * rows)
    for case in reversed(cases):
        word = pc.if_else(pc.fill_null(case[0], False), str(case[part]), word)
    return word


def _still_lacking(placed: pa.Table, lacked: Any) -> Any:
    """Of the photos that lacked an extra, those that would lack it here and now."""
    flags = pc.fill_null(lacked, False).to_pylist()
    if not any(flags):
        return pa.array(flags)
    names = zip(placed["key"].to_pylist(), placed["result"].to_pylist(), flags, strict=True)
    return pa.array([flag and lacking(Job(key, to, to)) is not None for key, to, flag in names])
