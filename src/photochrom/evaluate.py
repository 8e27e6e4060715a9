"""`photochrom evaluate`: how good are colorings, measured as the paper does, and more.

Every photo is made gray, colored by each model through the whole product, and compared with the
original in the pixels that a user gets. What is kept of a photo is a row of sums, so that every
figure, and its bootstrap interval, is a function of sums over photos:

    photos ──scoring──▶ parts (sums of a few photos, on disk) ──collect──▶ Result ──▶ figures

Parts are scored in parallel and are the unit of resuming. `report` turns the result into files.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photochrom import bins, color, metrics
from photochrom._version import __version__
from photochrom.errors import ConfigError, DataError, ModelError, PhotoError
from photochrom.figures import COLUMNS, FIGURES, Figure, Sums, figures_of
from photochrom.judges import frechet_distances, judge_digest
from photochrom.pool import Died, cpus, spread
from photochrom.scoring import (
    Evaluation,
    Part,
    Row,
    Scorer,
    label_of,
    open_store,
    original,
    photos_of,
)
from photochrom.train.prepare import is_gray, subject_of
from photochrom.train.shards import PhotoStore

__all__ = ["Evaluation", "Result", "evaluate", "figures_of", "forget"]

Float64 = NDArray[np.float64]

PART = 8
"""Photos scored together: what a worker is at is lost when the work is interrupted."""
PRIOR_PHOTOS = 4000
"""The prior is measured on at most so many of the photos, evenly spread."""
FEWEST = 5
"""No intervals for fewer photos: resamples of so few say nothing."""
SETTINGS = "settings.json"


# --- what comes out -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """The figures' raw material, over all photos."""

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
    """Makes the pictures again that a report shows."""

    @cached_property
    def reference(self) -> int:
        """The row that the others are compared with."""
        if self.asked.compare is not None:
            return [row.name for row in self.rows].index(self.asked.compare)
        kinds = [row.kind for row in self.rows]
        return kinds.index("model") if "model" in kinds else kinds.index("gray")

    def totals(self, photos: NDArray[np.bool_] | None = None) -> Float64:
        """Sums over all photos, or those chosen: (rows, columns)."""
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
        """The same of each row's difference from the reference row, on the same photos."""
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
        flat = metrics.bootstrap_sums(
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
        return metrics.percentile_interval(value)


# --- the whole evaluation -------------------------------------------------------------------------


def evaluate(
    asked: Evaluation,
    work: Path,
    *,
    workers: int = 0,
    progress: bool = True,
    anew: bool = False,
) -> Result:
    """Score all photos, going on where an earlier run of the same evaluation stopped.

    Parameters
    ----------
    asked : what to measure
    work : folder for the parts; made, and kept for the next run
    workers : processes; 0 for one a core
    anew : forget what an earlier run has left there, once all is found to be in order

    Raises
    ------
    ConfigError
        The folder holds the parts of another evaluation, or there is no row to compare with.
    ModelError, DataError
        A model or the photos cannot be used, or no photo could be measured.
    """
    from tqdm import tqdm

    store = open_store(asked.photos)
    photos = photos_of(store)
    chosen = photos[asked.skip :][: asked.limit or None]
    if not chosen:
        raise ConfigError(f"no photo is left of {len(photos)} after --skip {asked.skip}")
    hidden = None if progress else True  # None: where there is no terminal
    # All that can be wrong is found before the work, and before anything is forgotten.
    given, name = _given_prior(asked)
    scorer = Scorer(asked, given)
    names = [row.name for row in scorer.rows]
    if asked.compare is not None and asked.compare not in names:
        raise ConfigError(f"--compare {asked.compare}: no such row; there are {'; '.join(names)}")
    if workers < 0:
        raise ConfigError(f"workers = {workers}: must not be negative")
    _check_labels(scorer, chosen)
    sources = _sources(scorer, given)
    if anew:
        forget(work)
    _open_work(asked, work, sources)
    workers = workers or cpus()
    prior = given
    if prior is None:
        prior = _measured_prior(asked, store, chosen, work, workers, hidden)
        scorer.weigh(prior)

    swept = frozenset(chosen[: asked.sweep]) if asked.models else frozenset()
    groups = [chosen[at : at + PART] for at in range(0, len(chosen), PART)]
    paths = [work / f"part-{n:06}.npz" for n in range(len(groups))]
    with tqdm(total=len(chosen), desc="evaluate", unit="photo", disable=hidden) as bar:
        todo = [n for n, path in enumerate(paths) if Part.load(path) is None]
        bar.update(len(chosen) - sum(len(groups[n]) for n in todo))
        bar.unpause()
        left_out = 0
        tasks = ((groups[n], swept.intersection(groups[n])) for n in todo)
        score = _Score(asked, prior, scorer if workers == 1 or len(todo) == 1 else None)
        order = dict(zip((g[0] for g in groups), paths, strict=True))
        for (group, _), part in _mapped(score, tasks, min(workers, len(todo))):
            part.save(order[group[0]])
            left_out += len(part.skipped)
            bar.set_postfix(left_out=left_out, refresh=False)
            bar.update(len(group))
    return _collect(scorer, paths, name, sources)


class _Score:
    """Scores the photos of a part; opens the models when the first one comes."""

    def __init__(self, asked: Evaluation, prior: Float64, scorer: Scorer | None) -> None:
        self.asked, self.prior, self.scorer = asked, prior, scorer

    def __call__(self, task: tuple[list[int], frozenset[int]]) -> Part:
        if self.scorer is None:
            self.scorer = Scorer(self.asked, self.prior)
        return self.scorer.part(*task)


def _mapped(work: Callable[[Any], Any], tasks: Any, workers: int) -> Iterator[tuple[Any, Any]]:
    """(task, result) as they come, by that many processes, each with its own copy of `work`.

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
                    f"a worker died (exit code {result.exit_code}); out of memory? Call again with "
                    "fewer --workers: what is done is kept"
                )
            yield task, result


# --- what enters ----------------------------------------------------------------------------------


def _sources(scorer: Scorer, prior: Float64 | None) -> dict[str, str]:
    """What enters, by content: another model, photo or prior is another evaluation."""
    asked = scorer.asked
    sources = {
        "photos": scorer.store.stamp(),
        "prior": "measured" if prior is None else hashlib.sha256(prior.tobytes()).hexdigest(),
    }
    for (name, _), colorizer in zip(asked.models, scorer.colorizers, strict=True):
        sources[f"model {name}"] = colorizer.model.sha256
    for folder in scorer.folders:
        sources[f"folder {folder.name}"] = folder.store.stamp()
    for what, path in (("classifier", asked.classifier), ("features", asked.features)):
        if path is not None:
            sources[what] = judge_digest(path)
    return sources


def _check_labels(scorer: Scorer, chosen: Sequence[int]) -> None:
    """Say before the work if a classifier knows none of the photos' classes."""
    classifier, store = scorer.classifier, scorer.store
    if classifier is None:
        return
    labels = {label_of(store.key(i), store.in_shard(i)) for i in chosen}
    if not any(classifier.label(label) is not None for label in labels):
        raise ModelError(
            f"{classifier.path}: knows none of the photos' classes, such as "
            f"{max(labels)!r} (a photo's folder, or the WordNet id that ends its key); its "
            f"own are such as {classifier.classes[0]!r}"
        )


def _given_prior(asked: Evaluation) -> tuple[Float64 | None, str]:
    """The prior that was asked for or lies beside the photos, and what to call it."""
    path = asked.prior
    if path is None:
        for photos in asked.photos:
            folder = Path(photos) if Path(photos).is_dir() else Path(photos).parent
            if (folder / "prior.npy").is_file():
                path = str(folder / "prior.npy")
                break
    if path is None:
        return None, "that of the photos measured"
    prior = _load_prior(Path(path))
    return prior, f"{Path(path).name}, sha256 {hashlib.sha256(prior.tobytes()).hexdigest()[:12]}"


def _load_prior(path: Path) -> Float64:
    try:
        prior = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        metrics.class_weights(prior, 0.5)  # refuses what is no distribution
    except (OSError, EOFError, ValueError, TypeError, ConfigError) as error:
        raise DataError(
            f"{path}: is no prior ({error}); give the prior.npy that `photochrom prepare` writes"
        ) from error
    return prior


def _measured_prior(
    asked: Evaluation,
    store: PhotoStore,
    chosen: Sequence[int],
    work: Path,
    workers: int,
    hidden: bool | None,
) -> Float64:
    """The prior over the pixels that are scored, kept in the work folder.

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
        for group, (counts, why) in _mapped(work_on, groups, min(workers, len(groups))):
            total += counts
            reason = reason or why
            bar.update(len(group))
    if not total.any():
        raise DataError(f"no photo can be measured, the first: {reason}")
    prior = bins.smooth_prior(total)
    beside = work / f".prior.{secrets.token_hex(4)}.npy"
    np.save(beside, prior)
    beside.replace(kept)
    return prior.astype(np.float64)


class _Count:
    """Counts the colors of some photos; opens the store when the first ones come."""

    def __init__(self, asked: Evaluation) -> None:
        self.asked = asked
        self.store: PhotoStore | None = None

    def __call__(self, photos: list[int]) -> tuple[NDArray[np.int64], str]:
        """How often each whole-numbered ab occurs, and why the first photo that failed did."""
        self.store = self.store or open_store(self.asked.photos)
        counts, reason = np.zeros((221, 221), np.int64), ""
        for i in photos:
            try:
                lab = color.rgb_to_lab(original(self.asked, self.store, i))
            except (PhotoError, DataError) as error:  # it will be named when it is scored
                reason = reason or str(error)
                continue
            if not is_gray(lab):
                counts += bins.count_colors(lab[..., 1:])
        return counts, reason or "they have no colors"


# --- the work folder ------------------------------------------------------------------------------


def _open_work(asked: Evaluation, work: Path, sources: dict[str, str]) -> None:
    """Make the folder for the parts, or check that it holds those of this very evaluation."""
    values = asdict(asked) | {"sources": sources, "version": __version__, "columns": COLUMNS}
    # Where the photos lie does not matter, only what they are.
    for key in ("photos", "classifier", "features", "prior", "compare"):
        values.pop(key)
    for key in ("models", "against"):
        values[key] = [name for name, _ in values[key]]
    text = json.dumps(values, sort_keys=True, indent=1)
    path = work / SETTINGS
    if path.exists() and path.read_bytes() == text.encode():
        return
    if any(work.glob("part-*.npz")):
        raise ConfigError(
            f"{work.parent}: holds an evaluation with other settings, models or photos; give "
            "another folder, or --force to start anew"
        )
    work.mkdir(parents=True, exist_ok=True)
    (work / "prior.npy").unlink(missing_ok=True)
    beside = work / f".settings.{secrets.token_hex(4)}"
    beside.write_text(text)
    beside.replace(path)


def forget(work: Path) -> None:
    """Remove the parts of an earlier evaluation; nothing if the folder is not one."""
    if (work / SETTINGS).exists() and not work.is_symlink():
        shutil.rmtree(work)


def _collect(scorer: Scorer, paths: Sequence[Path], prior: str, sources: dict[str, str]) -> Result:
    """Add up all parts, one at a time."""
    sums, used = [], []
    skipped: list[tuple[str, str]] = []
    errors: Any = 0.0
    sweep: Any = 0.0
    for path in paths:
        part = _part(path)
        sums.append(part.sums)
        used.append(part.used)
        skipped += [(_readable(name), _readable(reason)) for name, reason in part.skipped]
        errors, sweep = errors + part.errors, sweep + part.sweep
    index = np.concatenate(used)
    if not len(index):
        raise DataError(f"no photo could be measured, the first: {skipped[0][1]}")
    store = scorer.store
    keys = [store.key(int(i)) for i in index]
    subjects = [subject_of(k, store.in_shard(int(i))) for k, i in zip(keys, index, strict=True)]
    fid: tuple[float, ...] = ()
    if scorer.features is not None:
        fid = frechet_distances(lambda: (_part(path).features for path in paths))
    return Result(
        scorer.asked,
        tuple(scorer.rows),
        np.concatenate(sums),
        errors,
        sweep,
        tuple(_readable(key) for key in keys),
        index,
        tuple(re.sub(r"-n\d{8}$", "", name) for name in subjects),  # a WordNet id is no subject
        tuple(skipped),
        prior,
        fid,
        sources,
        scorer,
    )


def _part(path: Path) -> Part:
    part = Part.load(path)
    if part is None:
        raise DataError(f"{path}: a part is damaged; run the same command again")
    return part


def _readable(name: str) -> str:
    """A name whose bytes are no text, as text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
