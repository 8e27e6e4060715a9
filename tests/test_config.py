from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from photochrom.errors import ConfigError
from photochrom.train.config import TrainConfig


def test_is_frozen() -> None:
    config = TrainConfig(steps=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.steps = 2  # type: ignore[misc]
    assert hash(config) == hash(TrainConfig(steps=1))


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("step", "steps"),
        ("encoder-lr", "encoder_lr"),
        ("objektive", "objective"),
        ("em", "ema"),
    ],
)
def test_an_unknown_key_names_the_nearest_valid_one(key: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown setting '{key}': did you mean '{nearest}'"):
        TrainConfig.from_dict({"steps": 1, key: 1})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 1.5),
        ("steps", "10"),
        ("steps", True),
        ("lr", "0.001"),
        ("lr", None),
        ("lr", True),
        ("pretrained", 1),
        ("arch", 3),
        ("sizes", 64),
        ("sizes", [64]),
        ("sizes", [[0.0, 64.5]]),
        ("sizes", [["0", 64]]),
        ("sizes", [[0.0, 64, 1]]),
    ],
)
def test_wrong_types_are_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{key} = "):
        TrainConfig.from_dict({"minutes": 1.0, key: value})


def test_whole_numbers_and_lists_are_taken_where_they_mean_the_same() -> None:
    config = TrainConfig.from_dict({"minutes": 3, "sizes": [[0, 64], [1, 96]]})
    assert config == TrainConfig(minutes=3.0, sizes=((0.0, 64), (1.0, 96)))
    assert type(config.minutes) is float


@pytest.mark.parametrize(
    "budget", [{}, {"steps": 1, "minutes": 1.0}, {"steps": 0, "minutes": 0.0}, {"minutes": -1.0}]
)
def test_the_budget_is_steps_or_minutes_and_not_both(budget: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"steps|minutes"):
        TrainConfig(**budget)


def test_a_negative_budget_does_not_hide_behind_a_positive_one() -> None:
    with pytest.raises(ConfigError, match="steps = -5"):
        TrainConfig(steps=-5, minutes=2.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("arch", "resnet"),
        ("encoder", "lite9"),
        ("objective", "best"),
        ("schedule", "linear"),
        ("cooldown", 1.5),
        ("balance", -0.1),
        ("balance", 1.1),
        ("freeze", -1),
        ("batch", 0),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("encoder_lr", -0.1),
        ("warmup", -1),
        ("weight_decay", -0.1),
        ("clip", 0.0),
        ("ema", 1.0),
        ("neighbors", 0),
        ("neighbors", 314),
        ("sigma", 0.0),
        ("rebalance", 1.1),
        ("crop", 0.0),
        ("crop", 1.5),
        ("tone", -0.1),
        ("hints", 2.0),
        ("seed", -1),
        ("save_every", float("nan")),
        ("sizes", ()),
        ("sizes", ((0.1, 64),)),
        ("sizes", ((0.0, 64), (0.6, 96), (0.5, 128))),
        ("sizes", ((0.0, 48),)),
        ("sizes", ((0.0, 0),)),
    ],
)
def test_values_out_of_range_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=key.removesuffix("s")):
        TrainConfig(**{"steps": 1, key: value})


def test_only_our_network_has_an_encoder_to_freeze() -> None:
    TrainConfig(steps=1, freeze=3)
    with pytest.raises(ConfigError, match="freeze = 3: arch eccv16 has no encoder"):
        TrainConfig(steps=1, freeze=3, arch="eccv16")


def test_size_follows_the_share_of_the_budget() -> None:
    config = TrainConfig(steps=10, sizes=((0.0, 32), (0.5, 64), (0.9, 96)))
    shares = [0.0, 0.49, 0.5, 0.89, 0.9, 1.0]
    assert [config.size_at(share) for share in shares] == [32, 32, 64, 64, 96, 96]


def test_json_and_back(tmp_path: Path) -> None:
    config = TrainConfig(
        minutes=7.5, arch="eccv16", objective="regression", sizes=((0.0, 64),), lr=3e-4, amp=True
    )
    config.save(tmp_path / "config.json")
    assert TrainConfig.load(tmp_path / "config.json") == config
    # What stands in the file is plain JSON of all fields.
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored.keys() == {field.name for field in dataclasses.fields(TrainConfig)}


@pytest.mark.parametrize("text", [None, "", "{", "[1, 2]", "null"])
def test_what_is_no_config_file_is_refused_by_name(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json: not a run's config"):
        TrainConfig.load(path)


def test_of_several_sizes_each_step_draws_one() -> None:
    config = TrainConfig(steps=10, sizes=((0.0, 64), (0.5, 96), (0.5, 128), (0.5, 160)))
    assert {config.size_at(0.2, step) for step in range(50)} == {64}
    drawn = [config.size_at(0.7, step) for step in range(300)]
    assert {size: round(drawn.count(size) / 300, 1) for size in (96, 128, 160)} == {
        96: 0.3, 128: 0.3, 160: 0.3,
    }  # fmt: skip
    assert drawn == [config.size_at(0.9, step) for step in range(300)]
    assert config.size_at(1.0) == 160
