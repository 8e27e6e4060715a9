"""A recipe: everything between photographs and the table, in one TOML file.

`small.toml` and `paper.toml` beside this module are recipes, and their comments explain the keys.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from photochrom.dataset.examine import Settings
from photochrom.errors import ConfigError
from photochrom.train.config import OBJECTIVES, TrainConfig

__all__ = ["RECIPES", "Measure", "Recipe", "load_recipe"]

FOLDER = Path(__file__).parent / "recipes"
RECIPES = ("small", "paper")
"""The recipes that come with photochrom; `load_recipe` also takes a file."""


@dataclass(frozen=True)
class Measure:
    """How the models are measured."""

    short_side: int = 256
    temperatures: tuple[float, ...] = (0.0, 0.38, 1.0)
    limit: int = 0
    """At most this many validation photos; 0 for all."""
    sweep: int = 0
    """Of them, in the temperature sweep."""


@dataclass(frozen=True)
class Recipe:
    """What to do with the photos; equal recipes, photos and machines give equal tables."""

    name: str
    about: str
    photos: tuple[str, ...]
    """Which files of the given folders to take, as patterns such as *.webp or animals/*."""
    validation_every: int
    """Every so many-th of them, in the order of their names, is measured on and not trained on,
    unless there are photos for that alone."""
    prepare: Settings
    train: TrainConfig
    """Of all runs but for objective and seed."""
    objectives: tuple[str, ...]
    seeds: tuple[int, ...]
    working_size: int
    """Short side that the networks see when they are measured, in pixels."""
    measure: Measure

    def config(self, objective: str, seed: int, share: float = 1.0) -> TrainConfig:
        """The settings of one run, with a share of the recipe's steps."""
        steps = max(1, round(share * self.train.steps))
        warmup = min(self.train.warmup, max(1, round(share * self.train.warmup)))
        return dataclasses.replace(
            self.train, objective=objective, seed=seed, steps=steps, warmup=warmup
        )


def load_recipe(source: str) -> Recipe:
    """A recipe that comes with photochrom, by its name, or a file.

    Raises
    ------
    ConfigError
        There is no such recipe, or a key or value in it is wrong.
    """
    path = FOLDER / f"{source}.toml" if source in RECIPES else Path(source)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{source}: is not a recipe ({error})",
            f"give one of {', '.join(RECIPES)}, or a TOML file like them",
        ) from error
    try:
        return _recipe(path.stem, values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{source}: {error}") from error


def _recipe(name: str, values: dict[str, Any]) -> Recipe:
    _known(
        "the recipe",
        values,
        ("about", "photos", "prepare", "train", "runs", "measure"),
    )
    photos, runs = values.get("photos", {}), values.get("runs", {})
    _known("[photos]", photos, ("take", "validation_every"))
    _known("[runs]", runs, ("objectives", "seeds", "working_size"))
    train = values.get("train", {})
    _known("[train]", train, [f.name for f in dataclasses.fields(TrainConfig)])
    for key in ("objective", "seed", "minutes"):
        if key in train:
            raise ConfigError(f"{name}: [train] must not have {key}; [runs] says what differs")
    measure = values.get("measure", {})
    _known("[measure]", measure, [f.name for f in dataclasses.fields(Measure)])
    prepare = values.get("prepare", {})
    _known("[prepare]", prepare, [f.name for f in dataclasses.fields(Settings)])
    objectives = tuple(runs.get("objectives", ("regression", "classification", "full")))
    for objective in objectives:
        if objective not in OBJECTIVES:
            raise ConfigError(
                f"{name}: objective {objective!r}: must be one of {', '.join(OBJECTIVES)}"
            )
    seeds = tuple(runs.get("seeds", (0, 1)))
    every = photos.get("validation_every", 5)
    if not objectives or not seeds or not all(type(s) is int and s >= 0 for s in (*seeds, every)):
        raise ConfigError(f"{name}: needs objectives, seeds, and whole numbers")
    if every < 2:
        raise ConfigError(f"{name}: validation_every = {every}: must be 2 or more")
    measured: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in measure.items()
    }
    return Recipe(
        name,
        str(values.get("about", "")),
        tuple(photos.get("take", ("*",))),
        every,
        Settings(**prepare),
        TrainConfig.from_dict(train),
        objectives,
        seeds,
        int(runs.get("working_size", 128)),
        Measure(**measured),
    )


def _known(where: str, values: Mapping[str, Any], keys: Any) -> None:
    for key in values:
        if key not in keys:
            near = difflib.get_close_matches(key, list(keys), n=1, cutoff=0.0)
            raise ConfigError(f"{where}: unknown key {key!r}: did you mean {near[0]!r}?")
