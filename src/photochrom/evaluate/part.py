"""A part of an evaluation: sums over some photos."""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float64
from photochrom.color import metrics
from photochrom.evaluate.figures import COLUMNS, STRENGTHS
from photochrom.evaluate.question import TEMPERATURES
from photochrom.files import write_whole

__all__ = ["Part", "T", "Tally"]

T = metrics.THRESHOLDS + 1


@dataclass(frozen=True)
class Part:
    """The scores of some photos; everything adds up over parts."""

    sums: Float64  # (photos, rows, columns)
    errors: Float64  # (rows, 1 + strengths, thresholds): histogram of ab errors in whole units
    sweep: Float64  # (models, temperatures, columns), and the originals' in the last row
    used: NDArray[np.int64]  # (photos,) which photo each of `sums` is
    skipped: tuple[tuple[str, str], ...]  # (photo, reason)
    features: NDArray[np.float32]  # (photos, rows, width); width 0 without a feature network

    def save(self, path: Path) -> None:
        """Write the part; a kill leaves a whole part or none."""
        file = io.BytesIO()
        arrays = {k: v for k, v in vars(self).items() if k != "skipped"}
        np.savez_compressed(file, skipped=json.dumps(self.skipped), **arrays)
        write_whole(path, file.getvalue())

    @classmethod
    def load(cls, path: Path) -> Part | None:
        """Read a part; None if it is missing or damaged, so that it is scored again."""
        try:
            # We open the file: NumPy would leave a damaged one open.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                values = dict(arrays)
            skipped = tuple((a, b) for a, b in json.loads(str(values.pop("skipped"))))
            return cls(skipped=skipped, **values)
        except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile, zlib.error):
            return None


@dataclass
class Tally:
    """Collects the photos of a part."""

    rows: int
    models: int
    swept: frozenset[int]
    sums: list[Float64] = field(default_factory=list)
    features: list[NDArray[np.float32]] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.errors = np.zeros((self.rows, 1 + len(STRENGTHS), T))
        self.sweep = np.zeros((self.models + 1, len(TEMPERATURES), len(COLUMNS)))

    def add(
        self,
        i: int,
        sums: Float64,
        errors: Float64,
        sweep: Float64 | None,
        features: NDArray[np.float32] | None,
    ) -> None:
        """Add the sums of photo `i`, a row each, and everything else about it."""
        self.used.append(i)
        self.sums.append(sums)
        self.errors += errors
        if sweep is not None:
            self.sweep += sweep
        if features is not None:
            self.features.append(features)

    def part(self) -> Part:
        """Everything that was added."""
        n = len(self.used)
        width = self.features[0].shape[1] if self.features else 0
        return Part(
            np.array(self.sums).reshape(n, self.rows, len(COLUMNS)),
            self.errors,
            self.sweep,
            np.array(self.used, np.int64),
            tuple(self.skipped),
            np.array(self.features, np.float32).reshape(n, self.rows, width),
        )
