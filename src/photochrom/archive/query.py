"""Questions to a manifest: which photos, and what became of them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc

from photochrom.archive.manifest import Parts
from photochrom.archive.record import SCHEMA, counting, local_records
from photochrom.archive.spool import Buckets
from photochrom.archive.store import Store
from photochrom.errors import PhotoError
from photochrom.files import whole
from photochrom.text import spreadsheet_cell

__all__ = ["COLUMNS", "Query", "write_csv", "write_rows"]

COLUMNS = (
    "result", "source", "outcome", "error", "width", "height", "model", "bits", "weak",
    "inventions", "notes", "seconds", "time", "run", "settings", "own_settings", "version",
    "source_size", "source_sha256", "result_size", "result_sha256",
)  # fmt: skip
_ROWS = 200_000


@dataclass(frozen=True)
class Query:
    """Which records are wanted: of each photo the last one, or all there are.

    Attributes
    ----------
    output : where the results are
    outcome : done, left, passed or failed; "" for all
    path : a pattern for the path of the result; "" for all
    since : only records from then on; None for all
    uncertain : only photos of at least this many bits of mean entropy
    every : all records, not only those that count
    """

    output: Store
    outcome: str = ""
    path: str = ""
    since: datetime | None = None
    uncertain: float = 0.0
    every: bool = False

    def tables(self) -> Iterator[pa.Table]:
        """The records, some at a time, in the order of their results within each.

        Raises
        ------
        PhotoError
            The manifest cannot be read.
        """
        parts = Parts(self.output)
        with TemporaryDirectory(prefix="photochrom-") as scratch:
            local = self.output.path("") if self.output.is_local else ""
            buckets = Buckets(os.path.join(scratch, "records"), parts.buckets(_ROWS), SCHEMA)
            for table in parts.read():
                buckets.add(table)
            for table in local_records(local) if local else ():
                buckets.add(table)
            if not any(spool.rows for spool in buckets.spools):
                raise PhotoError(f"{self.output.name}: has no manifest", "name the output of a run")
            for spool in buckets.spools:
                table = spool.table()
                table = table if self.every else _last(counting(table))
                yield self._filtered(
                    table.sort_by([("result", "ascending"), ("time", "ascending")])
                )

    def _filtered(self, table: pa.Table) -> pa.Table:
        if self.outcome:
            table = table.filter(pc.equal(table["outcome"], self.outcome))
        if self.since is not None:
            since = pa.scalar(self.since.astimezone(UTC), SCHEMA.field("time").type)
            table = table.filter(pc.greater_equal(table["time"], since))
        if self.uncertain:
            enough = pc.greater_equal(table["bits"], self.uncertain)
            table = table.filter(pc.fill_null(enough, False))
        if self.path:
            names = table["result"].to_pylist()
            table = table.filter(pa.array([fnmatch(name, self.path) for name in names], pa.bool_()))
        return table


def _last(table: pa.Table) -> pa.Table:
    """One record for each result: the last of those that count."""
    from photochrom.archive.record import last_of

    order = [("result", "ascending"), ("run", "ascending"), ("time", "ascending")]
    return last_of(table.sort_by(order), ("result",))


def write_csv(path: str, query: Query) -> int:
    """Write the records to a CSV file, and return how many there are.

    Raises
    ------
    PhotoError
        The manifest cannot be read, or the file not written.
    """
    with (
        whole(path, PhotoError, force=True) as draft,
        open(draft, "x", encoding="utf-8", newline="") as file,
    ):
        return write_rows(file, query)


def write_rows(file: TextIO, query: Query) -> int:
    """Write the records as CSV, and return how many there are."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for table in query.tables():
        for row in table.select(COLUMNS).to_pylist():
            writer.writerow([_cell(row[name]) for name in COLUMNS])
            count += 1
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, str):
        return spreadsheet_cell(value).encode("utf-8", "backslashreplace").decode()
    return value
