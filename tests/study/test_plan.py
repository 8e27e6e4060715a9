"""Plans: balanced, and no photo twice."""

from collections import Counter

import numpy as np
import pytest

from photochrom import ConfigError
from photochrom.study.plan import StudySettings, plan


def test_a_plan_balances_methods_and_never_repeats_a_photo() -> None:
    settings = StudySettings(trials=41, practice=5, catch=4)
    left = []
    for seed in range(40):
        trials = plan(seed, range(1, 61), [1, 2, 3], settings)
        assert [t.kind for t in trials[:5]] == ["practice"] * 5
        assert len({t.photo for t in trials}) == len(trials) == 50
        kinds = Counter((t.kind, t.method) for t in trials[5:])
        assert sorted(kinds[("counted", m)] for m in (1, 2, 3)) == [13, 14, 14]
        assert kinds[("catch", None)] == 4
        left += [t.fake_left for t in trials]
    assert 0.45 < np.mean(left) < 0.55
    assert plan(7, range(60), [1, 2], settings) == plan(7, range(60), [1, 2], settings)
    assert plan(7, range(60), [1, 2], settings) != plan(8, range(60), [1, 2], settings)


def test_catch_trials_are_a_tenth_unless_said_otherwise() -> None:
    assert StudySettings.of({"trials": 20, "practice": None}).catch == 2
    assert StudySettings.of({"trials": 20, "catch": 0}).catch == 0
    for wrong in ({"trials": 0}, {"practice": -1}, {"exposure": 0.0}, {"side": 4096}):
        with pytest.raises(ConfigError, match=f"--{next(iter(wrong))}"):
            StudySettings(**wrong)
