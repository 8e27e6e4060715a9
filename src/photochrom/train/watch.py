"""Validation while a run goes on: figures of photos that it does not learn from."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from photochrom.color import bins
from photochrom.dataset.store import PhotoStore
from photochrom.train.validate import validate

if TYPE_CHECKING:
    from photochrom.train.loop import Trainer

__all__ = ["VALIDATION", "Watch"]

VALIDATION = "validation.jsonl"
"""In the run's folder: one JSON object for each validation and set of photos."""
PHOTOS, EVERY, SIZE = 300, 3, 160
"""At most so many photos, every third of a set, so that figures can be given on the others; the
short side that the network sees."""
KEPT = 0.75
"""All runs are decoded alike: with this share of the rebalancing of the default lambda."""


@dataclass(frozen=True)
class Watch:
    """What to validate on, and how often.

    Parameters
    ----------
    photos : sets of photos by name
    every : seconds of training between two validations; the last one comes at the end
    """

    photos: Mapping[str, PhotoStore]
    every: float = 1800.0

    @classmethod
    def of(cls, sources: Mapping[str, str], every: float = 1800.0) -> Watch:
        """Open the shards or folders of each name."""
        return cls({name: PhotoStore([source]) for name, source in sources.items()}, every)

    def validate(self, trainer: Trainer) -> list[dict[str, Any]]:
        """Print and store the figures of the averaged weights.

        Whatever the run's lambda, it is taken off, and `KEPT` of the default one put back, so that
        the figures of any two runs can be compared. NLL is that of the distribution without it.
        """
        rows: list[dict[str, Any]] = []
        own = trainer.log_class_weights()
        default = np.log(bins.rebalancing_weights(trainer.prior, bins.REBALANCE))
        network = trainer.averaged().cpu()
        for name, store in self.photos.items():
            gray, plain, decoded = validate(
                network,
                store,
                trainer.prior,
                photos=PHOTOS,
                every=EVERY,
                size=SIZE,
                shifts=(-own, KEPT * default - own),
            )
            row = decoded | ({"nll": plain["nll"]} if "nll" in plain else {})
            rows.append({"step": trainer.step, "seconds": trainer.seconds, "name": name} | row)
            print(f"\n{_line(name, trainer.step, row, gray)}", file=sys.stderr, flush=True)
        with (trainer.run / VALIDATION).open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        return rows


def _line(name: str, step: int, row: Mapping[str, float], gray: Mapping[str, float]) -> str:
    nll = f"NLL {row['nll']:.3f} bits, " if "nll" in row else ""
    return (
        f"{name}: step {step}: {nll}AuC raw {row['auc_raw']:.2f} (gray {gray['auc_raw']:.2f}), "
        f"rebalanced {row['auc_rebalanced_0']:.2f} (λ = 0), {row['auc_rebalanced_0.5']:.2f} "
        f"(λ = 1/2), chroma {row['chroma_share']:.2f}, inventions {row['inventions']:.2f} % "
        f"(worst tenth {row['inventions_worst']:.2f} %)"
    )
