"""What the options of `photochrom colorize` ask for, in the terms of the batch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from photochrom.cli.values import hint_value

if TYPE_CHECKING:
    from photochrom.batch.job import OwnColor, Settings
    from photochrom.batch.plan import Rules
    from photochrom.batch.work import Engine

__all__ = ["engine_of", "rules_of", "settings_of"]


def engine_of(options: argparse.Namespace, threads: int) -> Engine:
    """The network that is asked for."""
    from photochrom.batch.work import Engine

    return Engine(options.model, options.device, threads, options.size, options.margins)


def settings_of(options: argparse.Namespace, engine: Engine) -> Settings:
    """The settings that decide the pixels; loads the model.

    Raises
    ------
    ConfigError, HintError, ModelError
        A value is out of range, or the model cannot be used.
    """
    from photochrom.batch.job import Settings
    from photochrom.look import Look

    hints = [hint_value(text) for text in options.hint]
    colorizer = engine.colorizer
    look = Look(options.temperature, options.saturation, options.keep_color)
    return Settings.of(colorizer, look, hints, options.quality)


def rules_of(options: argparse.Namespace, alone: bool = False) -> Rules:
    """What else decides; a photo that is named `alone` is always tried."""
    from photochrom.batch.plan import Rules

    default: OwnColor = "recolor" if alone or options.keep_color else "skip"
    return Rules(
        shard=options.shard or (1, 1),
        force=options.force,
        retry=options.retry or alone,
        color=options.color or default,
    )
