"""From photographs to the table: split, prepare, train each objective, export, evaluate.

Each step finishes what an interrupted one has left, so the same command goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from photochrom._version import __version__
from photochrom.dataset.prepare import prepare
from photochrom.dataset.store import PhotoStore, write_shard
from photochrom.errors import ConfigError, DataError
from photochrom.evaluate.question import Evaluation
from photochrom.evaluate.report import write_report
from photochrom.evaluate.run import evaluate
from photochrom.evaluate.summary import finite, summary
from photochrom.naming import subject_of
from photochrom.reproduce.recipe import Recipe
from photochrom.reproduce.table import joined, markdown

__all__ = ["Asked", "reproduce"]

STATE = "reproduce.json"
LEAST = 10
"""Photos to train on, and to measure on: with fewer, the steps fail one after the other."""


@dataclass(frozen=True)
class Asked:
    """What to reproduce, and from what."""

    recipe: Recipe
    photos: tuple[str, ...]
    """Folders or shards of color photos."""
    validation: tuple[str, ...] = ()
    """Those to measure on; if empty, some of `photos` are kept back for it."""
    share: float = 1.0
    """Of the recipe's training steps: less than 1 is a rehearsal."""
    workers: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"share = {self.share:g}: must be above 0, and 1 at most")
        if self.workers < 0:
            raise ConfigError(f"workers = {self.workers}: must not be negative")


def reproduce(
    asked: Asked, output: Path, *, progress: bool = True, say: Callable[[str], None] = print
) -> dict[str, Any] | None:
    """Make the table, or go on with making it.

    Parameters
    ----------
    asked : the recipe and the photos
    output : folder for everything: photos/, shards/, runs/, models/, report/, table.md, table.json
    progress : show bars on stderr
    say : gets a line at the start of each step

    Returns
    -------
    What table.json holds; None if training was interrupted.

    Raises
    ------
    ConfigError
        The folder holds another reproduction.
    DataError, ModelError, DependencyError
        A step failed; the ones before it are kept.
    """
    recipe = asked.recipe
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: is a file", "give a folder")
    _claim(asked, output)
    sources = _split(asked, output)
    shards = {}
    for part, photos in sources.items():
        say(f"prepare: {part}")
        shards[part] = output / "shards" / part
        prepare(
            photos,
            shards[part],
            recipe.prepare,
            workers=asked.workers or None,
            progress=progress,
        )
    models = []
    for objective in recipe.objectives:
        for seed in recipe.seeds:
            name = f"{objective}-{seed}"
            model = output / "models" / f"{name}.onnx"
            if not model.exists():
                say(f"train: {name}")
                if not _train(asked, objective, seed, shards, output, progress):
                    return None
            models.append((name, str(model)))
    say("evaluate")
    question = Evaluation(
        photos=(str(shards["validation"]),),
        models=tuple(models),
        temperatures=recipe.measure.temperatures,
        short_side=recipe.measure.short_side,
        limit=recipe.measure.limit,
        sweep=recipe.measure.sweep,
        working_size=recipe.working_size,
    )
    report = output / "report"
    result = evaluate(question, report / ".work", workers=asked.workers, progress=progress)
    facts = summary(result)
    write_report(result, facts, report)
    table = joined(result, recipe) | {
        "photochrom": __version__,
        "recipe": recipe.name,
        "share_of_steps": asked.share,
        "notes": facts["notes"],
        "prior": facts["prior"],
    }
    (output / "table.md").write_text(markdown(table), encoding="utf-8")
    text = json.dumps(finite(table), indent=1, ensure_ascii=False)
    (output / "table.json").write_text(text + "\n", encoding="utf-8")
    return table


def _claim(asked: Asked, output: Path) -> None:
    """Take the folder for this recipe and these photos."""
    stores = [PhotoStore(photos) for photos in (asked.photos, asked.validation) if photos]
    values = {
        "recipe": asdict(asked.recipe),
        "share": asked.share,
        "photos": [store.fingerprint() for store in stores],
    }
    text = json.dumps(values, indent=1)
    path = output / STATE
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise ConfigError(
                f"{output}: holds a reproduction of another recipe, or of other photos",
                "give another folder",
            )
        return
    if output.exists() and any(output.iterdir()):
        raise ConfigError(f"{output}: is not empty", "give a new folder")
    output.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _split(asked: Asked, output: Path) -> dict[str, Sequence[str]]:
    """The photos to train on and to measure on, as what `prepare` takes."""
    recipe = asked.recipe
    if asked.validation:
        return {"training": asked.photos, "validation": asked.validation}
    store = PhotoStore(asked.photos)
    names = sorted(
        (store.key(i), i)
        for i in range(len(store))
        if any(fnmatchcase(store.key(i), pattern) for pattern in recipe.photos)
    )
    chosen = [i for _, i in names]
    kept_back = chosen[:: recipe.validation_every]
    training = sorted(set(chosen) - set(kept_back), key=chosen.index)
    if min(len(kept_back), len(training)) < LEAST:
        raise DataError(
            f"{', '.join(asked.photos)}: holds {len(chosen)} of the recipe's photos, too few",
            f"the recipe {recipe.name} takes {', '.join(recipe.photos)}: {recipe.about}",
        )
    out: dict[str, Sequence[str]] = {}
    for part, numbers in (("training", training), ("validation", kept_back)):
        path = output / "photos" / f"{part}.tar"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_shard(path, ((_name(store, n, i), store.read(i)) for n, i in enumerate(numbers)))
        out[part] = [str(path)]
    return out


def _name(store: PhotoStore, n: int, i: int) -> str:
    suffix = Path(store.name(i)).suffix
    return f"{n:06}-{subject_of(store.key(i), store.in_shard(i))}{suffix}"


def _train(
    asked: Asked,
    objective: str,
    seed: int,
    shards: dict[str, Path],
    output: Path,
    progress: bool,
) -> bool:
    """Train one run to its end and export it; False if it was interrupted."""
    from photochrom.train.checkpoint import CHECKPOINT
    from photochrom.train.export import ExportOptions, export_run
    from photochrom.train.loop import Session, train

    name = f"{objective}-{seed}"
    run, model = output / "runs" / name, output / "models" / f"{name}.onnx"
    done = train(
        asked.recipe.config(objective, seed, asked.share),
        [str(shards["training"])],
        run,
        resume=(run / CHECKPOINT).exists(),
        session=Session(asked.device, progress=progress),
    )
    if not done:
        return False
    model.parent.mkdir(parents=True, exist_ok=True)
    export_run(
        run,
        model,
        photos=[str(shards["validation"])],
        options=ExportOptions(name=name, working_size=asked.recipe.working_size, bits=32),
    )
    return True
