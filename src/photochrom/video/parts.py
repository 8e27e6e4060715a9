"""The parts of an unfinished film, in a folder next to the result, so that a run can be resumed.

A part holds the packets of one stretch. It gets its name only when it is complete and on disk, so
only complete parts remain, whatever ends the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Any

import numpy as np
from filelock import lock_descriptor

from photochrom.errors import FilmError
from photochrom.files import whole, write_whole
from photochrom.video.encode import Piece
from photochrom.video.motion import Seen
from photochrom.video.steady import Gathered
from photochrom.video.stretch import Carried, Stretch

__all__ = ["Part", "Work"]

_PIECE = struct.Struct("<qqBI")  # pts, duration, whether a key, bytes
_JOURNAL, _LOCK, _STATE = "film.json", "lock", "state.npz"


class Part:
    """A part being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, piece: Piece) -> None:
        """Append a packet."""
        self._file.write(_PIECE.pack(piece.pts, piece.duration, piece.key, len(piece.data)))
        self._file.write(piece.data)


class Work:
    """The folder of parts of one result.

    Parameters
    ----------
    target : path of the result
    key : everything that the parts depend on, as JSON; parts with another key are deleted

    Attributes
    ----------
    folder : its path
    done : frames in the parts that are there
    shots : shots that have begun in them
    carried : where the last part ends amid a shot or before a dissolve, what is known there
    mixed : frames of the dissolve that follows

    Raises
    ------
    FilmError
        Another process is writing it, or it cannot be written.
    """

    def __init__(self, target: str, key: dict[str, Any]) -> None:
        folder, name = os.path.split(os.path.abspath(target))
        self.folder = os.path.join(folder, f".{name}.photochrom")
        self._lock: IO[bytes] | None = None
        self.done = self.shots = 0
        self.carried: Carried | None = None
        self.mixed = 0
        self._parts: list[dict[str, Any]] = []
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._take_lock(target)
            self._take_up(key)
        except OSError as error:
            raise FilmError(
                f"{target}: its folder cannot be written to: {error.strerror}",
                "choose another place with -o",
            ) from None

    def __enter__(self) -> Work:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            self._lock.close()

    @contextlib.contextmanager
    def part(self, stretch: Stretch) -> Iterator[Part]:
        """A new part, to be filled with a stretch; if that fails, there is no such part."""
        name = os.path.join(self.folder, f"{len(self._parts):06}.part")
        with whole(name, force=True) as draft, open(draft, "xb") as file:
            yield Part(file)
        self._note(stretch)

    def _note(self, stretch: Stretch) -> None:
        """Its part is whole; where the shot goes on, keep what is known of it."""
        state = os.path.join(self.folder, _STATE)
        if (stretch.goes_on or stretch.dissolves) and stretch.last is not None:
            _save_state(state, stretch.last)
        self._parts.append(
            {
                "count": stretch.count,
                "begins": stretch.begins,
                "goes_on": stretch.goes_on,
                "dissolves": stretch.dissolves,
            }
        )
        self._write_journal()

    def pieces(self, headers: bool = False) -> Iterator[Piece]:
        """All packets in the order of the parts; with `headers`, without their bytes."""
        for number in range(len(self._parts)):
            with open(os.path.join(self.folder, f"{number:06}.part"), "rb") as file:
                while head := file.read(_PIECE.size):
                    pts, duration, key, size = _PIECE.unpack(head)
                    if headers:
                        file.seek(size, os.SEEK_CUR)
                        yield Piece(pts, duration, bool(key), b"")
                    else:
                        yield Piece(pts, duration, bool(key), file.read(size))

    def remove(self) -> None:
        """The film is finished: the folder goes."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take_lock(self, target: str) -> None:
        self._lock = open(os.path.join(self.folder, _LOCK), "wb")  # noqa: SIM115 - held
        if not lock_descriptor(self._lock.fileno(), blocking=False):
            self._lock.close()
            raise FilmError(f"{target}: another process is writing this film", retry=True)

    def _take_up(self, key: dict[str, Any]) -> None:
        self._key = json.loads(json.dumps(key))
        journal = os.path.join(self.folder, _JOURNAL)
        try:
            with open(journal, encoding="utf-8") as file:
                found = json.load(file)
        except (FileNotFoundError, ValueError):
            found = {}
        if found.get("key") == self._key:
            self._parts = found["parts"]
        else:
            for name in os.listdir(self.folder):
                if name != _LOCK:
                    os.unlink(os.path.join(self.folder, name))
        self.done = sum(part["count"] for part in self._parts)
        self.shots = sum(part["begins"] for part in self._parts)
        last = self._parts[-1] if self._parts else {}
        if last.get("goes_on") or last.get("dissolves"):
            self.carried = _load_state(os.path.join(self.folder, _STATE))
        if self.carried is not None:
            self.mixed = last.get("dissolves", 0)

    def _write_journal(self) -> None:
        text = json.dumps({"key": self._key, "parts": self._parts}, indent=1)
        write_whole(os.path.join(self.folder, _JOURNAL), text)


def _save_state(path: str, carried: Carried) -> None:
    seen, known = carried.seen, carried.known
    arrays: dict[str, Any] = {
        "image": seen.image,
        "small": seen.small,
        "logits": known.logits.astype(np.float16),
        "weight": known.weight,
    }
    if carried.shift is not None:
        arrays["shift"] = carried.shift
    with whole(path, force=True) as draft:
        np.savez(draft, **arrays)


def _load_state(path: str) -> Carried | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            small = kept["small"]
            seen = Seen(small, kept["image"], small)
            known = Gathered(kept["logits"].astype(np.float32), kept["weight"])
            return Carried(seen, known, kept.get("shift"))
    except (OSError, ValueError, KeyError):
        return None  # the shot goes on without what was known
