from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from photochrom import Prediction
from photochrom.color import bins
from photochrom.distribution import (
    DRAWS,
    FADED,
    GROUPS,
    TILT,
    annealed_means,
    color_fields,
    covering,
)


def line(*places: float) -> np.ndarray:
    """Distances between places on a line, float32 (N, N)."""
    at = np.array(places, np.float32)
    return np.abs(at[:, None] - at)


def test_each_group_of_like_things_is_covered_by_one_of_them() -> None:
    places = (1.0, 10, 11, 12, 30, 31, 32, 50, 51, 70, 71, 72)
    chosen = covering(np.abs(np.array(places, np.float32)), line(*places), 4)
    # 1.0 is near to the one at 0, which is there already.
    assert sorted(places[i] // 10 for i in chosen) == [1, 3, 5, 7]
    assert {11, 31, 71} <= {places[i] for i in chosen}, "the middle ones"


def test_nothing_is_chosen_twice_and_more_begin_like_fewer() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 100, 30)
    first = np.abs(places).astype(np.float32)
    found = [covering(first, line(*places), n) for n in (4, 6, 30)]
    assert found[2][:4] == found[1][:4] == found[0] and found[2][:6] == found[1]
    assert sorted(found[2]) == list(range(30))


@pytest.mark.slow
def test_fewer_candidates_are_the_first_of_more(prediction: Prediction) -> None:
    _, six = prediction.distribution.leanings(6, seed=3)
    for n in (1, 3, GROUPS, 5):
        np.testing.assert_array_equal(prediction.distribution.leanings(n, seed=3)[1], six[:n])
    assert len(np.unique(six, axis=0)) == 6


def test_a_candidate_states_honest_probabilities_of_its_own(prediction: Prediction) -> None:
    plain = prediction.distribution
    logits, _ = plain.leanings(1)
    unmoved = plain.leaning(logits, np.zeros(bins.Q, np.float32))
    assert not unmoved.info.log_weights.any()
    # Without a field and within the nucleus, it states what the model does, but for a factor.
    for y, x in ((0.3, 0.3), (0.7, 0.6)):
        ours, theirs = unmoved.at(x, y), plain.at(x, y)
        top = np.argsort(theirs)[-3:]
        np.testing.assert_allclose(
            ours[top] / ours[top[-1]], theirs[top] / theirs[top[-1]], rtol=1e-3
        )


def test_caution_is_not_applied_to_a_candidate_once_more(prediction: Prediction) -> None:
    careful = replace(prediction.distribution, info=replace(prediction.info, caution=(0.0, 1e-3)))
    logits, fields = careful.leanings(1)
    expected = bins.annealed_mean(logits + fields[0][:, None, None], 0.38, prediction.info.bins)
    np.testing.assert_allclose(careful.leaning(logits, fields[0]).ab(), expected, atol=1e-4)


def test_a_coloring_that_only_fades_comes_last(prediction: Prediction) -> None:
    found = prediction.distribution
    logits, fields = found.leanings(GROUPS)
    step = max(1, round(min(found.size) / 9))
    colors = annealed_means(logits[:, ::step, ::step], fields, found.info.bins)[1:]
    plain = np.linalg.norm(found.ab()[::step, ::step], axis=-1).mean()
    faded = (np.linalg.norm(colors, axis=-1).mean(axis=1) < FADED * plain).tolist()
    assert faded == sorted(faded) and not faded[0]


def test_fields_tilt_as_strongly_as_stated_and_the_first_are_those_of_fewer() -> None:
    many = color_fields(bins.BINS, 2000, 0)
    np.testing.assert_allclose(color_fields(bins.BINS, 10, 0), many[:10], rtol=1e-5, atol=1e-5)
    # The slope along a of fields that are else smooth noise of mean 0.
    slopes = np.linalg.lstsq(
        np.column_stack([bins.BINS, np.linalg.norm(bins.BINS, axis=1), np.ones(bins.Q)]),
        many.T,
        rcond=None,
    )[0]
    assert np.abs(40 * slopes[:3].std(axis=1) / TILT - 1).max() < 0.15
    assert DRAWS % 6 == 0
