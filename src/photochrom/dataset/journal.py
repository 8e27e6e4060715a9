"""The journal of a preparation, so that it can be resumed."""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photochrom.dataset.examine import SHARES, Outcome
from photochrom.dataset.store import JOURNAL
from photochrom.errors import ConfigError

__all__ = ["Journal", "refuse_other_work"]


class _Record(NamedTuple):
    """One line of the journal: the outcome of one photo, its data in the payload file."""

    kind: str
    reason: str
    hashes: tuple[int, int]
    offset: int  # of the WebP in the payload file
    webp: int  # its bytes
    shares: int  # bytes of the shares, right behind it
    crc: int  # of both

    def line(self) -> bytes:
        # No offset: it follows from the lines before.
        fields = self._asdict()
        del fields["offset"]
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes, offset: int) -> _Record | None:
        """The record of a line, None if the line is not whole."""
        fields = _parse(line)
        try:
            return None if fields is None else cls(offset=offset, **fields)
        except TypeError:
            return None


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


class Journal:
    """Outcomes in the order of the photos, on disk.

    `journal.jsonl` has one line for all (whose work this is), then one a photo; `payload.bin` the
    data of the kept ones. Payload goes first, its checksum stands in the line: whatever a kill or a
    crash leaves behind, the longest intact beginning is found again.
    """

    def __init__(self, output: Path, identity: dict[str, Any]) -> None:
        path = output / JOURNAL
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records: list[_Record] = []
        self._end = 0
        # In append mode, so that a truncation needs no seek.
        self._lines = path.open("ab+")
        try:
            fcntl.flock(self._lines, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lines.close()
            raise ConfigError(
                f"{output}: is in use by another photochrom prepare; wait for "
                "it, or use another output folder"
            ) from error
        self._payload = path.with_name("payload.bin").open("ab+")
        try:
            self._recover(output, identity)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._payload.close()
        self._lines.close()

    def _recover(self, output: Path, identity: dict[str, Any]) -> None:
        self._lines.seek(0)
        self._payload.seek(0)
        head = self._lines.readline()
        intact = 0
        theirs = _parse(head)
        if theirs is not None:
            refuse_other_work(output, theirs, identity)
            intact = len(head)
            for line in self._lines:
                record = _Record.parse(line, self._end)
                if record is None:
                    break
                data = self._payload.read(record.webp + record.shares)
                if zlib.crc32(data) != record.crc:
                    break
                self._add(record)
                intact += len(line)
        self._lines.truncate(intact)
        self._payload.truncate(self._end)
        if not intact:
            self._lines.write(json.dumps(identity).encode() + b"\n")
            self._lines.flush()

    def _add(self, record: _Record) -> None:
        self.records.append(record)
        self._end += record.webp + record.shares

    def append(self, outcome: Outcome) -> None:
        data = outcome.webp + outcome.shares
        record = _Record(
            outcome.kind,
            outcome.reason,
            outcome.hashes,
            self._end,
            len(outcome.webp),
            len(outcome.shares),
            zlib.crc32(data),
        )
        self._payload.write(data)
        self._payload.flush()
        self._lines.write(record.line())
        self._lines.flush()
        self._add(record)

    def payload(self, index: int) -> tuple[bytes, NDArray[np.void]]:
        """WebP and shares of a kept photo."""
        record = self.records[index]
        data = os.pread(self._payload.fileno(), record.webp + record.shares, record.offset)
        return data[: record.webp], np.frombuffer(data[record.webp :], dtype=SHARES)


def refuse_other_work(output: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raise ConfigError, naming the difference, if the output was begun for another call."""
    if theirs == ours:
        return
    was, now = theirs.get("settings", {}), ours["settings"]
    changed = [f"{k} was {was.get(k)}, is {v}" for k, v in now.items() if was.get(k) != v]
    if theirs.get("inputs") != ours["inputs"]:
        changed.append("the photos differ")
    raise ConfigError(
        f"{output}: holds the work of another run ({'; '.join(changed) or 'another version'}); "
        "use another output folder, or --force to start over"
    )
