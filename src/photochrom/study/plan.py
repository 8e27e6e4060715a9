"""Which trials a participant sees, and in what order."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from photochrom.errors import ConfigError, StudyError

__all__ = ["Planned", "StudySettings", "check_enough", "plan"]


@dataclass(frozen=True)
class StudySettings:
    """The settings of a study, the same for all participants."""

    trials: int = 40  # counted trials, as in the paper
    practice: int = 6  # trials before those, with feedback
    catch: int = 4  # trials among those, with an obvious fake
    exposure: float = 1.0  # seconds for which a pair is shown
    side: int = 512  # pixels: longest side shown

    def __post_init__(self) -> None:
        """Raise ConfigError for a value out of range."""
        limits = {
            "trials": (1, 1000), "practice": (0, 100), "catch": (0, 1000),
            "exposure": (0.05, 60), "side": (32, 2048),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"--{name} {getattr(self, name):g}: must be from {low} to {high}")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> StudySettings:
        """Settings from given values; None is the default, for catch a tenth of the trials."""
        values = {name: value for name, value in given.items() if value is not None}
        trials = values.get("trials", cls.trials)
        return cls(**{"catch": math.ceil(trials / 10)} | values)

    @property
    def photos(self) -> int:
        """How many photos a participant sees, each once."""
        return self.practice + self.trials + self.catch


@dataclass(frozen=True)
class Planned:
    """One trial of a plan."""

    kind: Literal["practice", "counted", "catch"]
    photo: int
    method: int | None  # None: an obvious fake
    fake_left: bool


def plan(
    seed: int, photos: Sequence[int], methods: Sequence[int], settings: StudySettings
) -> list[Planned]:
    """The trials of one participant in order: practice, then counted and catch trials mixed.

    Methods come equally often, up to one; no photo comes twice; sides are fair coins. Equal seeds
    give equal plans.
    """
    rng = random.Random(seed)
    chosen = iter(rng.sample(photos, settings.photos))
    some = rng.sample(methods, len(methods))  # the first ones get one more if it does not divide
    kinds: list[tuple[Literal["counted", "catch"], int | None]] = [
        ("counted", some[i % len(some)]) for i in range(settings.trials)
    ]
    kinds += [("catch", None)] * settings.catch
    rng.shuffle(kinds)
    practice = [
        Planned("practice", next(chosen), None, rng.random() < 0.5)
        for _ in range(settings.practice)
    ]
    return practice + [
        Planned(kind, next(chosen), method, rng.random() < 0.5) for kind, method in kinds
    ]


def check_enough(photos: int, settings: StudySettings) -> None:
    """Raise StudyError if there are too few photos for one participant."""
    if photos < settings.photos:
        raise StudyError(
            f"there are {photos} pairs, and a participant needs {settings.photos} different ones "
            f"(practice {settings.practice}, counted {settings.trials}, catch {settings.catch})",
            "lower --trials, or give more photos",
        )
