"""The prior that the figures are weighted by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom.arrays import Float64
from photochrom.color import bins, metrics
from photochrom.color.lab import is_gray, rgb_to_lab
from photochrom.dataset.store import PhotoStore
from photochrom.errors import ConfigError, DataError, PhotoError
from photochrom.evaluate.photos import open_store, original
from photochrom.evaluate.question import Evaluation
from photochrom.files import whole
from photochrom.pool import Died, spread

__all__ = [
    "MEASURED",
    "PART",
    "PRIOR_PHOTOS",
    "given_prior",
    "mapped_figures",
    "measured_prior",
    "published_prior",
]

PART = 8
"""Photos scored together; an interruption loses the part that a worker is working on."""
MEASURED = "measured"
"""In place of a file: the prior of the photos that are measured."""
PUBLISHED = Path(__file__).parent / "prior.csv"
"""How often each color occurs in the training photos of photochrom-1; `benchmarks/prior.py` wrote
it. A prior of few photos of one's own makes AuC rebalanced too high, by 4.3 with 50 photos and
lambda = 0."""
PRIOR_PHOTOS = 4000
"""The prior is measured on at most this many photos, evenly spread."""


def mapped_figures(
    work: Callable[[Any], Any], tasks: Any, workers: int
) -> Iterator[tuple[Any, Any]]:
    """(task, result) in any order, by that many processes, each with its own copy of `work`.

    Raises
    ------
    DataError
        A worker died.
    """
    if workers <= 1:
        for task in tasks:
            yield task, work(task)
        return
    with closing(spread(work, tasks, workers)) as results:
        for task, result in results:
            if isinstance(result, Died):
                raise DataError(
                    f"a worker died (exit code {result.exit_code}), perhaps out of memory",
                    "run this again with fewer --workers, and it resumes",
                )
            yield task, result


def published_prior() -> Float64:
    """The prior that figures are weighted by unless another is given: float64 (313,), sum 1."""
    table = np.loadtxt(PUBLISHED, delimiter=",", skiprows=_head(PUBLISHED), dtype=np.float64)
    if not np.array_equal(table[:, :2], bins.BINS):
        raise DataError(f"{PUBLISHED}: has other colors than the 313", "install photochrom again")
    prior: Float64 = table[:, 2] / table[:, 2].sum()
    return prior


def _head(path: Path) -> int:
    """Lines before the numbers: comments, and the names of the columns."""
    lines = path.read_text().splitlines()
    return next(n for n, line in enumerate(lines) if line[:1] in "-0123456789")


def given_prior(asked: Evaluation) -> tuple[Float64 | None, str]:
    """The prior, and its name in the report; None if it is that of the photos."""
    if asked.prior == MEASURED:
        return None, "measured on these photos"
    if asked.prior is None:
        prior, name = published_prior(), "that of photochrom-1's training photos"
    else:
        path = Path(asked.prior)
        prior, name = _load_prior(path), path.name
    return prior, f"{name}, sha256 {hashlib.sha256(prior.tobytes()).hexdigest()[:12]}"


def _load_prior(path: Path) -> Float64:
    try:
        prior = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        metrics.class_weights(prior, 0.5)  # raises if it is not a distribution
    except (OSError, EOFError, ValueError, TypeError, ConfigError) as error:
        raise DataError(
            f"{path}: is not a prior ({error})",
            "give the prior.npy that `photochrom prepare` writes",
        ) from error
    return prior


def measured_prior(
    asked: Evaluation,
    store: PhotoStore,
    chosen: Sequence[int],
    work: Path,
    workers: int,
    hidden: bool | None,
) -> Float64:
    """The prior of the photos, kept in the work folder.

    Raises
    ------
    DataError
        No photo can be read; the first reason is named.
    """
    from tqdm import tqdm

    kept = work / "prior.npy"
    if kept.exists():
        return _load_prior(kept)
    picked = np.unique(np.linspace(0, len(chosen) - 1, min(PRIOR_PHOTOS, len(chosen))).astype(int))
    photos = [chosen[int(n)] for n in picked]
    groups = [photos[at : at + 4 * PART] for at in range(0, len(photos), 4 * PART)]
    total = np.zeros((221, 221), dtype=np.int64)
    reason = ""
    with tqdm(total=len(photos), desc="prior", unit="photo", disable=hidden) as bar:
        work_on = _Count(asked)
        for group, (counts, why) in mapped_figures(work_on, groups, min(workers, len(groups))):
            total += counts
            reason = reason or why
            bar.update(len(group))
    if not total.any():
        raise DataError(f"no photo can be measured; the first failed with: {reason}")
    prior = bins.smooth_prior(total)
    with whole(kept, force=True) as draft:
        np.save(draft, prior)
    return prior.astype(np.float64)


class _Count:
    """Counts the colors of some photos; opens the store for the first ones."""

    def __init__(self, asked: Evaluation) -> None:
        self.asked = asked
        self.store: PhotoStore | None = None

    def __call__(self, photos: list[int]) -> tuple[NDArray[np.int64], str]:
        """How often each whole-numbered ab occurs, and why the first bad photo failed."""
        self.store = self.store or open_store(self.asked.photos)
        counts, reason = np.zeros((221, 221), np.int64), ""
        for i in photos:
            try:
                lab = rgb_to_lab(original(self.asked, self.store, i))
            except (PhotoError, DataError) as error:  # scoring will name it
                reason = reason or str(error)
                continue
            if not is_gray(lab):
                counts += bins.count_colors(lab[..., 1:])
        return counts, reason or "they have no colors"
