"""The result of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float64
from photochrom.evaluate.figures import FIGURES, Figure, Sums
from photochrom.evaluate.question import Evaluation, Row
from photochrom.evaluate.scoring import Scorer
from photochrom.intervals import bootstrap_sums, percentile_interval

__all__ = ["FEWEST", "Result"]

FEWEST = 5
"""No intervals for fewer photos: resamples of so few mean nothing."""


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
        """95 % bootstrap interval over photos of each figure, of each row."""
        drawn = self._drawn(photos, resamples)
        return [
            {f.key: self._interval(f, drawn[:, r], drawn[:, 0]) for f in FIGURES}
            for r in range(len(self.rows))
        ]

    def differences(self, resamples: int = 1000) -> list[dict[str, tuple[float, float]]]:
        """The same for the difference of each row from the reference row, on the same photos."""
        drawn = self._drawn(None, resamples)
        other = drawn[:, self.reference]
        return [
            {f.key: self._interval(f, drawn[:, r], drawn[:, 0], other) for f in FIGURES}
            for r in range(len(self.rows))
        ]

    def _chosen(self, photos: NDArray[np.bool_] | None) -> Float64:
        return self.sums if photos is None else self.sums[photos]

    def _drawn(self, photos: NDArray[np.bool_] | None, resamples: int) -> Float64:
        """Sums of resampled sets of photos, (resamples, rows, columns)."""
        sums = self._chosen(photos)
        if len(sums) < FEWEST:
            return np.full((1, *sums.shape[1:]), np.nan)
        flat = bootstrap_sums(
            sums.reshape(len(sums), -1), resamples=resamples, seed=self.asked.seed
        )
        return flat.reshape(resamples, *sums.shape[1:])

    @staticmethod
    def _interval(
        figure: Figure, row: Float64, truth: Float64, other: Float64 | None = None
    ) -> tuple[float, float]:
        with np.errstate(all="ignore"):
            value = figure.of(Sums(row), Sums(truth))
            if other is not None:
                value = value - figure.of(Sums(other), Sums(truth))
        return percentile_interval(value)
