"""The manifest of an output in a store: Parquet files, written by many, read as one.

::

    .photochrom/manifest/base-000007-….parquet    what counted when run 7 brought parts together
                         part-000008-….parquet    what a worker of run 8 has added

A file is never changed. Each worker writes parts of its own, and only the run that holds the lease
brings parts together: it writes a new base, and then removes the files in it. If it is killed in
between, the same records are there twice, and still count once.
"""

from __future__ import annotations

import collections
import io
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from photochrom.archive.record import SCHEMA, counting
from photochrom.archive.spool import Buckets
from photochrom.archive.store import NoFolder, Store, StoreError

__all__ = ["FOLDER", "PARTS", "Parts", "Writer", "tables_of"]

FOLDER = ".photochrom"
PARTS = f"{FOLDER}/manifest"
_THREADS = 8
_ROWS = 250_000
"""Rows of a file of the base."""
_HAS_ROWS = re.compile(r"-(\d+)\.parquet$")


class Writer:
    """Writes the parts of one worker.

    Parameters
    ----------
    output : where the results go
    run : the number of the run
    """

    def __init__(self, output: Store, run: int) -> None:
        self._output, self._run = output, run
        self._name = secrets.token_hex(8)
        self._count = 0

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a part with these records; it is in the store when this returns."""
        if not rows:
            return
        self._count += 1
        key = f"{PARTS}/part-{self._run:06}-{self._name}-{self._count:06}.parquet"
        table = pa.Table.from_pylist([{**row, "run": self._run} for row in rows], SCHEMA)
        self._output.write(key, _packed(table), self._run)


def _packed(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


class Parts:
    """All files of a manifest."""

    def __init__(self, output: Store) -> None:
        self._output = output

    def files(self) -> list[str]:
        """The files, in the order of their names."""
        try:
            listed = [one.key for page in _below(self._output).listing() for one in page]
        except NoFolder:
            return []
        return sorted(f"{PARTS}/{key}" for key in listed if key.endswith(".parquet"))

    def read(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """All records, some at a time.

        Raises
        ------
        StoreError
            A file is damaged, or the store does not answer.
        """
        yield from tables_of(self._output, self.files(), columns)

    def buckets(self, size: int) -> int:
        """In how many buckets of about this many rows the records go."""
        keys = self.files()
        return 1 + (_rows(keys) + sum("/part-" in key for key in keys) * 16) // size

    def compact(self, run: int) -> None:
        """Bring parts together; and also the base, once it is in too many files.

        Only the holder of the lease may do so.
        """
        keys = self.files()
        parts = [key for key in keys if "/part-" in key]
        bases = [key for key in keys if "/base-" in key]
        rows = _rows(bases)
        if len(bases) > 4 + 2 * -(-rows // _ROWS):
            parts = keys
        if not parts:
            return
        name = secrets.token_hex(4)
        with tempfile.TemporaryDirectory(prefix="photochrom-") as scratch:
            count = 1 + (rows if parts is keys else 0) // _ROWS + len(parts) * 16 // _ROWS
            buckets = Buckets(f"{scratch}/records", count, SCHEMA)
            for table in tables_of(self._output, parts):
                buckets.add(table)
            for number, spool in enumerate(buckets.spools):
                table = counting(spool.table())
                if len(table):
                    key = f"{PARTS}/base-{run:06}-{name}-{number:04}-{len(table)}.parquet"
                    self._output.write(key, _packed(table), run)
        self._output.remove(parts)


def _rows(keys: Iterable[str]) -> int:
    """Rows in the files of the base, by their names."""
    bases = (key for key in keys if "/base-" in key)
    return sum(int(found[1]) for key in bases if (found := _HAS_ROWS.search(key)))


def _below(output: Store) -> Store:
    """The folder of the manifest as a store of its own."""
    return output.below(PARTS)


def tables_of(
    output: Store, keys: Iterable[str], columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """The records in these files, some at a time; several files are read at once.

    Raises
    ------
    StoreError
        A file is damaged, or the store does not answer.
    """

    def read(key: str) -> pa.Table:
        try:
            content = output.read(key)
        except FileNotFoundError:  # brought together with others since the listing
            raise StoreError(f"{output.name_of(key)}: has gone", "try again", retry=True) from None
        try:
            table = pq.read_table(io.BytesIO(content), columns=columns and list(columns))
        except (pa.ArrowException, OSError, ValueError) as error:
            why = " ".join(str(error).split())
            raise StoreError(
                f"{output.name_of(key)}: is no part of a manifest: {why}", "move it away"
            ) from None
        return table.select(columns) if columns else table.cast(SCHEMA)

    with ThreadPoolExecutor(_THREADS) as pool:
        names = iter(keys)
        waiting = collections.deque(pool.submit(read, key) for key in islice(names, _THREADS))
        while waiting:
            table = waiting.popleft().result()
            waiting.extend(pool.submit(read, key) for key in islice(names, 1))
            yield table
