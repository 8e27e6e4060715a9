"""An evaluation, and its figures by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photochrom.evaluate.figures import figures_of
from photochrom.evaluate.question import Evaluation
from photochrom.evaluate.result import Result
from photochrom.evaluate.run import evaluate

Picture = NDArray[np.uint8]


def measured(asked: Evaluation, work: Path, workers: int = 1) -> Result:
    return evaluate(asked, work, workers=workers, progress=False)


def row_of(result: Result, name: str) -> int:
    return [row.name for row in result.rows].index(name)


def figures(result: Result, name: str) -> dict[str, float]:
    totals = result.totals()
    return figures_of(totals[row_of(result, name)], totals[0])
