"""The result of an evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float64
from photochrom.evaluate.figures import FIGURES, Figure, Sums
from photochrom.evaluate.question import Evaluation, Row
from photochrom.evaluate.scoring import Scorer
from photochrom.intervals import folded, studentized_intervals

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """Sums over all photos, which all figures are computed from."""

    asked: Evaluation
    rows: tuple[Row, ...]
    sums: Float64  # (photos, rows, columns)
    errors: Float64  # (rows, 1 + strengths, thresholds): histogram of ab errors in whole units
    sweep: Float64  # (models + 1, temperatures, columns), the originals last
    keys: tuple[str, ...]
    used: NDArray[np.int64]
    subjects: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    prior: str
    fid: tuple[float, ...]  # of each row; empty without a feature network
    sources: dict[str, str]
    """What was measured: SHA-256 of each model, and of the list of photos."""
    scorer: Scorer
    """Colors the pictures of a report again."""

    @cached_property
    def reference(self) -> int:
        """The row that the others are compared with."""
        if self.asked.compare is not None:
            return [row.name for row in self.rows].index(self.asked.compare)
        kinds = [row.kind for row in self.rows]
        return kinds.index("model") if "model" in kinds else kinds.index("gray")

    def totals(self, photos: NDArray[np.bool_] | None = None) -> Float64:
        """Sums over all photos, or over chosen ones: (rows, columns)."""
        total: Float64 = self._chosen(photos).sum(axis=0)
        return total

    def intervals(
        self, photos: NDArray[np.bool_] | None = None, resamples: int = 1000
    ) -> list[dict[str, tuple[float, float]]]:
        """95 % interval over photos of each figure, of each row; NaN where none would hold."""
        return [self._intervals(r, photos, resamples) for r in range(len(self.rows))]

    def differences(self, resamples: int = 1000) -> list[dict[str, tuple[float, float]]]:
        """The same for the difference of each row from the reference row, on the same photos."""
        return [self._intervals(r, None, resamples, self.reference) for r in range(len(self.rows))]

    def _chosen(self, photos: NDArray[np.bool_] | None) -> Float64:
        return self.sums if photos is None else self.sums[photos]

    def _intervals(
        self, r: int, photos: NDArray[np.bool_] | None, resamples: int, other: int | None = None
    ) -> dict[str, tuple[float, float]]:
        """Of row `r`, or of its difference from row `other`."""
        sums = self._chosen(photos)
        rows = [r, 0] if other is None else [r, 0, other]
        held = [f for f in FIGURES if (Sums(sums[:, r])[f.units] > 0).sum() >= f.fewest]
        # A row has the same limits whatever is measured beside it: they share the seed, not a draw.
        limits = studentized_intervals(
            [_Statistic(f, other is not None) for f in held],
            np.hstack([sums[:, row] for row in rows]),
            resamples=resamples,
            seed=self.asked.seed,
        )
        out = {f.key: (math.nan, math.nan) for f in FIGURES}
        for f, (low, high) in zip(held, limits, strict=True):
            fold = f.absolute and other is None
            out[f.key] = folded(low, high) if fold else (low, high)
        return out


@dataclass(frozen=True)
class _Statistic:
    """A figure as a function of the sums of a row, of the originals, and of the reference."""

    figure: Figure
    apart: bool

    def __call__(self, sums: Float64) -> Float64:
        row, truth, *other = (Sums(part) for part in np.split(sums, 2 + self.apart, axis=1))
        if not other:
            # An absolute value has no slope at 0, so its limits are folded afterwards.
            alone: Float64 = self.figure.of(row, truth)
            return alone
        difference: Float64 = self.figure.value(row, truth) - self.figure.value(other[0], truth)
        return difference
