"""Tables that are too large for the memory, kept in files: all in one, or by their results."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

__all__ = ["Buckets", "Spool"]


class Spool:
    """A table in a file, written once and then read.

    Parameters
    ----------
    path : the file, a new one
    schema : of the table
    """

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self.rows = 0

    def add(self, table: pa.Table) -> None:
        """Add rows."""
        if not len(table):
            return
        if self._writer is None:
            self._writer = pa.ipc.new_file(self._path, self._schema)
        self._writer.write_table(table.select(self._schema.names).cast(self._schema))
        self.rows += len(table)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def parts(self) -> Iterator[pa.Table]:
        """All rows, some at a time, in their order."""
        self.close()
        if self.rows:
            with pa.OSFile(self._path) as file, pa.ipc.open_file(file) as reader:
                for number in range(reader.num_record_batches):
                    yield pa.Table.from_batches([reader.get_batch(number)], self._schema)

    def table(self) -> pa.Table:
        """All rows at once."""
        return pa.concat_tables([self._schema.empty_table(), *self.parts()]).combine_chunks()


class Buckets:
    """A table in several spools; all rows about a result are in the same one.

    Parameters
    ----------
    folder : for the files, a new one of its own
    count : how many spools
    schema : of the table; its column `result` decides
    """

    def __init__(self, folder: str, count: int, schema: pa.Schema) -> None:
        os.mkdir(folder)
        self.spools = [
            Spool(os.path.join(folder, f"{number}.arrow"), schema) for number in range(count)
        ]

    def add(self, table: pa.Table) -> None:
        """Add rows, each to its spool."""
        count = len(self.spools)
        if count == 1:
            self.spools[0].add(table)
            return
        keys = (zlib.crc32(name.encode()) % count for name in table["result"].to_pylist())
        bucket = np.fromiter(keys, np.int32, len(table))
        for number, spool in enumerate(self.spools):
            spool.add(table.filter(pa.array(bucket == number)))
