"""What is recorded of a photo, and what of many records counts.

A record is a row of a Parquet file. Of the records about one result, two count: the last one that
made it, and the last failure if that came later.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from photochrom._version import __version__
from photochrom.batch.history import manifest_parts, places_of
from photochrom.batch.job import Attempt, Settings, settings_key

__all__ = ["SCHEMA", "counting", "last_of", "local_records", "record"]

SCHEMA = pa.schema([
    ("result", pa.string()),  # its path in the output
    ("source", pa.string()),  # its address, without secrets
    ("outcome", pa.string()),  # done, left (a color photo), passed (no photo), failed
    ("run", pa.int32()),
    ("time", pa.timestamp("ms", tz="UTC")),
    ("error", pa.string()),
    ("notes", pa.list_(pa.string())),
    ("own_color", pa.string()),
    ("extra", pa.bool_()),  # it failed because an extra was missing
    ("passed", pa.string()),  # the kind of a file that cannot be colored
    ("seconds", pa.float32()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("bits", pa.float32()),
    ("weak", pa.float32()),
    ("inventions", pa.float32()),
    ("settings", pa.string()),  # those of the run, see `settings_key`
    ("own_settings", pa.string()),  # those of the photo, if a sidecar changed them
    ("model", pa.string()),
    ("version", pa.string()),
    ("source_size", pa.int64()),  # null if a failure is not to be remembered
    ("source_mark", pa.string()),
    ("source_sha256", pa.string()),
    ("sidecar", pa.string()),  # the mark of its sidecar
    ("result_size", pa.int64()),
    ("result_sha256", pa.string()),
    ("was", pa.string()),  # what lay there before, see `plan`
])  # fmt: skip


def record(result: str, source: str, settings: Settings, attempt: Attempt) -> dict[str, Any]:
    """What an attempt says, as a row; the caller adds what only it knows."""
    outcome = "done"
    if attempt.error:
        outcome = "failed"
    elif attempt.passed:
        outcome = "passed"
    elif attempt.result is None:
        outcome = "left"
    width, height = attempt.size or (None, None)
    sure = attempt.certainty
    return {
        "result": result,
        "source": source,
        "outcome": outcome,
        "time": datetime.now(UTC),
        "error": attempt.error or "",
        "notes": list(attempt.notes),
        "own_color": attempt.own_color,
        "extra": attempt.extra,
        "passed": attempt.passed,
        "seconds": attempt.seconds,
        "width": width,
        "height": height,
        **(sure._asdict() if sure else {}),
        "settings": settings.key,
        "own_settings": "",
        "model": settings.model,
        "version": __version__,
        "source_size": attempt.source and attempt.source.size,
        "source_mark": "",
        "source_sha256": attempt.source and attempt.source.sha256,
        "sidecar": "",
        "result_size": attempt.result and attempt.result.size,
        "result_sha256": attempt.result and attempt.result.sha256,
        "was": "",
    }


def last_of(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The last row of each group of equal neighbours in these columns."""
    if len(table) < 2:
        return table
    differs = None
    for name in names:
        column = table[name]
        change = pc.not_equal(column[:-1], column[1:])
        differs = change if differs is None else pc.or_(differs, change)
    assert differs is not None
    flags = [*differs.chunks, pa.array([True])]
    return table.filter(pa.chunked_array(flags))


def counting(table: pa.Table) -> pa.Table:
    """Of many records, those that count, by result.

    A result that was made more than once in the same run, because a worker was taken for dead,
    keeps a record of each, as long as they differ: one of them is about the file that is there.
    """
    if not len(table):
        return table
    made = pc.equal(table["outcome"], "done")
    done = table.filter(made).sort_by(
        [(name, "ascending") for name in ("result", "run", "result_sha256", "time")]
    )
    done = last_of(done, ("result", "run", "result_sha256"))
    newest = done.group_by("result").aggregate([("run", "max")])
    place = pc.index_in(done["result"], value_set=newest["result"].combine_chunks())
    done = done.filter(pc.equal(done["run"], newest["run_max"].take(place)))
    rest = table.filter(pc.invert(made)).sort_by(
        [(name, "ascending") for name in ("result", "run", "time")]
    )
    rest = last_of(rest, ("result",))
    if len(done) and len(rest):
        at = pc.index_in(rest["result"], value_set=done["result"].combine_chunks())
        run, time = done["run"].take(at), done["time"].take(at)
        same = pc.equal(rest["run"], run)
        later = pc.or_(pc.greater(rest["run"], run), pc.and_(same, pc.greater(rest["time"], time)))
        rest = rest.filter(pc.or_(pc.is_null(at), pc.fill_null(later, True)))
    return pa.concat_tables([done, rest]).sort_by([("result", "ascending"), ("time", "ascending")])


# --- manifests of local runs ----------------------------------------------------------------------


def local_records(folder: str, size: int = 20_000) -> Iterator[pa.Table]:
    """The lines of the JSON manifests in a folder as records, some at a time.

    Raises
    ------
    PhotoError
        A manifest cannot be read.
    """
    rows: list[dict[str, Any]] = []
    for part in manifest_parts(folder):
        for _, line in places_of(part):
            try:
                rows.append(_of_line(json.loads(line)))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                continue  # a damaged line says nothing
            if len(rows) >= size:
                yield pa.Table.from_pylist(rows, SCHEMA)
                rows = []
    if rows:
        yield pa.Table.from_pylist(rows, SCHEMA)


def _of_line(fields: Mapping[str, Any]) -> dict[str, Any]:
    source, result = fields.get("source_file"), fields.get("result_file")
    width, height = fields.get("size") or (None, None)
    outcome = "done" if result else "left"
    if fields.get("error"):
        outcome = "failed"
    elif fields.get("passed"):
        outcome = "passed"
    return {
        "result": str(fields["result"]),
        "source": os.path.abspath(fields["source"]),
        "outcome": outcome,
        "run": 0,
        "time": datetime.fromisoformat(fields["time"]),
        "error": fields.get("error") or "",
        "notes": [str(note) for note in fields.get("notes", [])],
        "own_color": fields.get("own_color", ""),
        "extra": bool(fields.get("extra")),
        "passed": fields.get("passed", ""),
        "seconds": fields.get("seconds"),
        "width": width,
        "height": height,
        **(fields.get("certainty") or {}),
        "settings": settings_key(dict(fields)),
        "own_settings": "",
        "model": str(fields["model"]["name"]),
        "version": str(fields["version"]),
        "source_size": source and source["size"],
        # As the store tells the time of a file, see `store`.
        "source_mark": source and f"{source['mtime_ns'] / 1e9:.6f}",
        "source_sha256": source and source["sha256"],
        "sidecar": "",
        "result_size": result and result["size"],
        "result_sha256": result and result["sha256"],
        "was": "",
    }
