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

__all__ = ["PART", "PRIOR_PHOTOS", "given_prior", "mapped_figures", "measured_prior"]

PART = 8
"""Photos scored together; an interruption loses the part that a worker is working on."""
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


def given_prior(asked: Evaluation) -> tuple[Float64 | None, str]:
    """The prior that was given or lies beside the photos, and its name in the report."""
    path = asked.prior
    if path is None:
        for photos in asked.photos:
            folder = Path(photos) if Path(photos).is_dir() else Path(photos).parent
            if (folder / "prior.npy").is_file():
                path = str(folder / "prior.npy")
                break
    if path is None:
        return None, "measured on these photos"
    prior = _load_prior(Path(path))
    return prior, f"{Path(path).name}, sha256 {hashlib.sha256(prior.tobytes()).hexdigest()[:12]}"


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
