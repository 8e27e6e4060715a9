"""The folder of an evaluation, which keeps what was computed."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from photochrom._version import __version__
from photochrom.arrays import Float64
from photochrom.errors import ConfigError
from photochrom.evaluate.figures import COLUMNS
from photochrom.evaluate.judges import judge_digest
from photochrom.evaluate.question import Evaluation
from photochrom.evaluate.scoring import Scorer
from photochrom.files import write_whole

__all__ = ["SETTINGS", "forget", "open_work", "sources_of_work"]

SETTINGS = "settings.json"


def sources_of_work(scorer: Scorer, prior: Float64 | None) -> dict[str, str]:
    """Digests of all input: with another model, photo or prior, it is another evaluation."""
    asked = scorer.asked
    sources = {
        "photos": scorer.store.stamp(),
        "prior": "measured" if prior is None else hashlib.sha256(prior.tobytes()).hexdigest(),
    }
    for (name, _), colorizer in zip(asked.models, scorer.colorizers, strict=True):
        sources[f"model {name}"] = colorizer.model.sha256
    for folder in scorer.folders:
        sources[f"folder {folder.name}"] = folder.store.stamp()
    for what, path in (
        ("classifier", asked.classifier),
        ("features", asked.features),
        ("distance", asked.distance),
    ):
        if path is not None:
            sources[what] = judge_digest(path)
    return sources


def open_work(asked: Evaluation, work: Path, sources: dict[str, str]) -> None:
    """Create the folder for the parts, or check that its parts are of this evaluation."""
    values = asdict(asked) | {"sources": sources, "version": __version__, "columns": COLUMNS}
    # It does not matter where the photos are, only what they are.
    for key in ("photos", "classifier", "features", "distance", "prior", "compare"):
        values.pop(key)
    for key in ("models", "against"):
        values[key] = [name for name, _ in values[key]]
    text = json.dumps(values, sort_keys=True, indent=1)
    path = work / SETTINGS
    if path.exists() and path.read_bytes() == text.encode():
        return
    if any(work.glob("part-*.npz")):
        raise ConfigError(
            f"{work.parent}: holds an evaluation with other settings, models or photos",
            "name another folder, or use --force to start over",
        )
    work.mkdir(parents=True, exist_ok=True)
    (work / "prior.npy").unlink(missing_ok=True)
    write_whole(path, text)


def forget(work: Path) -> None:
    """Remove the parts of an earlier evaluation; do nothing if the folder has none."""
    if (work / SETTINGS).exists() and not work.is_symlink():
        shutil.rmtree(work)
