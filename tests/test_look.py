from __future__ import annotations

import pytest

from photochrom import ConfigError
from photochrom.look import Look


@pytest.mark.parametrize("name", ["temperature", "saturation", "keep_color"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_value_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} = "):
        Look(**{name: value})


def test_more_than_all_of_a_color_cannot_be_kept() -> None:
    assert Look(keep_color=1.0).keep_color == 1
    with pytest.raises(ConfigError, match="from 0 to 1"):
        Look(keep_color=1.01)


def test_a_percentage_is_no_temperature() -> None:
    Look(temperature=10.0)
    with pytest.raises(ConfigError, match=r"temperature = 38: must be at most 10.*0\.38"):
        Look(temperature=38)
