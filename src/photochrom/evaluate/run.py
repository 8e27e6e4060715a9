"""How good colorings are, measured as in the paper and beyond.

Every photo is made gray, colored by each model through the whole product, and compared with the
original in the pixels that a user gets. Each photo leaves a row of sums, so that every
figure, and its bootstrap interval, is a function of sums over photos:

    photos ──scoring──▶ parts (sums of a few photos, on disk) ──collect──▶ Result ──▶ figures

Parts are scored in parallel and are the unit of resuming. `report` turns the result into files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from photochrom.arrays import Float64
from photochrom.errors import ConfigError, DataError, ModelError
from photochrom.evaluate.judges import frechet_distances
from photochrom.evaluate.part import Part
from photochrom.evaluate.photos import open_store, photos_of
from photochrom.evaluate.prior import PART, given_prior, mapped_figures, measured_prior
from photochrom.evaluate.question import Evaluation
from photochrom.evaluate.result import Result
from photochrom.evaluate.scoring import Scorer
from photochrom.evaluate.work import forget, open_work, sources_of_work
from photochrom.naming import label_of, subject_of
from photochrom.pool import cpus

__all__ = ["evaluate"]


def evaluate(
    asked: Evaluation,
    work: Path,
    *,
    workers: int = 0,
    progress: bool = True,
    force: bool = False,
) -> Result:
    """Score all photos; an earlier run of the same evaluation is resumed.

    Parameters
    ----------
    asked : what to measure
    work : folder for the parts; created, and kept for the next run
    workers : processes; 0 for one per core
    force : start over: remove what an earlier run left there, once all settings are checked

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
        raise ConfigError(f"--skip {asked.skip} leaves none of the {len(photos)} photos")
    hidden = None if progress else True  # None hides it where there is no terminal
    # Find everything that can be wrong before the work starts and before anything is removed.
    given, name = given_prior(asked)
    scorer = Scorer(asked, given)
    names = [row.name for row in scorer.rows]
    if asked.compare is not None and asked.compare not in names:
        raise ConfigError(
            f"--compare {asked.compare}: no such row", f"the rows are {'; '.join(names)}"
        )
    if workers < 0:
        raise ConfigError(f"workers = {workers}: must not be negative")
    _check_labels(scorer, chosen)
    sources = sources_of_work(scorer, given)
    if force:
        forget(work)
    open_work(asked, work, sources)
    workers = workers or cpus()
    prior = given
    if prior is None:
        prior = measured_prior(asked, store, chosen, work, workers, hidden)
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
        for (group, _), part in mapped_figures(score, tasks, min(workers, len(todo))):
            part.save(order[group[0]])
            left_out += len(part.skipped)
            bar.set_postfix(left_out=left_out, refresh=False)
            bar.update(len(group))
    return _collect(scorer, paths, name, sources)


class _Score:
    """Scores the photos of a part; opens the models for the first one."""

    def __init__(self, asked: Evaluation, prior: Float64, scorer: Scorer | None) -> None:
        self.asked, self.prior, self.scorer = asked, prior, scorer

    def __call__(self, task: tuple[list[int], frozenset[int]]) -> Part:
        if self.scorer is None:
            self.scorer = Scorer(self.asked, self.prior)
        return self.scorer.part(*task)


def _check_labels(scorer: Scorer, chosen: Sequence[int]) -> None:
    """Raise ModelError if the classifier knows none of the photos' classes."""
    classifier, store = scorer.classifier, scorer.store
    if classifier is None:
        return
    labels = {label_of(store.key(i), store.in_shard(i)) for i in chosen}
    if not any(classifier.label(label) is not None for label in labels):
        raise ModelError(
            f"{classifier.path}: knows none of the photos' classes, such as {max(labels)!r} (a "
            "photo's folder, or the WordNet id that ends its key); it knows classes such as "
            f"{classifier.classes[0]!r}"
        )


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
        raise DataError(f"no photo could be measured; the first failed with: {skipped[0][1]}")
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
        tuple(re.sub(r"-n\d{8}$", "", name) for name in subjects),  # a WordNet id is not a subject
        tuple(skipped),
        prior,
        fid,
        sources,
        scorer,
    )


def _part(path: Path) -> Part:
    part = Part.load(path)
    if part is None:
        raise DataError(f"{path}: is damaged", "run the same command again to redo it")
    return part


def _readable(name: str) -> str:
    """A name as text, even if its bytes are not valid text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
