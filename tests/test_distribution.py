from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from photochrom import Colorizer, ConfigError, Prediction
from photochrom.color import bins
from photochrom.distribution import Distribution
from photochrom.models import load_model

BLOCK, OTHER = (slice(4, 10), slice(5, 11)), (slice(12, 20), slice(22, 30))


def distribution(h: int = 24, w: int = 36) -> Distribution:
    """Sure of one color everywhere, except for two blocks that know nothing."""
    logits = np.full((313, h, w), -20.0, dtype=np.float32)
    logits[120] = 20
    info = load_model(threads=1).info
    for rows, columns in (BLOCK, OTHER):
        logits[:, rows, columns] = info.log_weights[:, None, None]
    return Distribution(logits, info)


def inside(block: tuple[slice, slice], spot: tuple[int, int, float]) -> bool:
    rows, columns = block
    return rows.start <= spot[0] < rows.stop and columns.start <= spot[1] < columns.stop


@pytest.mark.slow
def test_it_answers_without_a_photo() -> None:
    found = distribution()
    assert found.size == (24, 36)
    assert found.ab().shape == (24, 36, 2)
    assert len(found.candidates(2)) == 2
    p = found.at(0.99, 0.99)
    assert p.shape == (313,) and p[120] > 0.999
    ((_, ab, share),) = found.swatches(1.0, 1.0, 50)
    np.testing.assert_allclose(ab, found.info.bins[120], atol=1e-3)
    assert share > 0.999


def test_weak_spots_are_in_the_unsure_blocks_the_larger_first() -> None:
    first, second = distribution().weak_spots(2)
    assert inside(OTHER, first) and inside(BLOCK, second)
    assert first[2] == pytest.approx(np.log2(313), abs=1e-3)


@pytest.mark.slow
def test_a_hint_leaves_no_weak_spot_near_it() -> None:
    found = distribution()
    row, column, _ = found.weak_spots(1)[0]
    (spot,) = found.weak_spots(1, [((column + 0.5) / 36, (row + 0.5) / 24)])
    assert inside(BLOCK, spot)


@pytest.mark.slow
def test_more_weak_spots_than_there_is_room_for_are_still_apart() -> None:
    spots = distribution().weak_spots(50)
    assert len({(row, column) for row, column, _ in spots}) == 50


def test_caution_mutes_what_the_model_guesses_and_nothing_else() -> None:
    found = distribution()
    # Of the two blocks without knowledge one is given some: two colors, one bit.
    found.logits[:, OTHER[0], OTHER[1]] = -20
    for bin_ in (120, 200):
        found.logits[bin_, OTHER[0], OTHER[1]] = 20 + found.info.log_weights[bin_]
    bits = found.uncertainty()
    assert bits[BLOCK].min() > 8.2 and bits[OTHER] == pytest.approx(1, abs=1e-3)
    whole, honest = found.ab(), bins.annealed_mean(found._honest(), 0.38)

    careful = replace(found, info=replace(found.info, caution=(4.0, 6.0)))
    ab = careful.ab()
    np.testing.assert_array_equal(ab[bits < 4], whole[bits < 4])
    np.testing.assert_allclose(ab[BLOCK], honest[BLOCK], atol=1e-3)
    assert np.linalg.norm(honest[BLOCK] - whole[BLOCK], axis=-1).min() > 3, "it makes a difference"
    # In between a part of it is left.
    careful = replace(found, info=replace(found.info, caution=(0.0, 2.0)))
    half = found.logits - 0.5 * found.info.log_weights[:, None, None]
    expected = bins.annealed_mean(half, 0.38)[OTHER]
    np.testing.assert_allclose(careful.ab()[OTHER], expected, atol=0.05)
    # What the model says of itself stays as it is.
    np.testing.assert_array_equal(careful.uncertainty(), bits)
    np.testing.assert_array_equal(careful.log_probabilities(), found.log_probabilities())


def test_a_regression_says_what_it_lacks(colorizer: Colorizer) -> None:
    info = replace(
        colorizer.info,
        bins=np.empty((0, 2), np.float32),
        log_weights=np.empty(0, np.float32),
    )
    found = Distribution(np.full((2, 4, 4), 0.1, np.float32), info)
    np.testing.assert_allclose(found.ab(), 0.1 * info.ab_scale, rtol=1e-6)
    for ask in (found.uncertainty, found.candidates, found.log_probabilities):
        with pytest.raises(ConfigError, match="is a regression, so it has no"):
            ask()


# --- of a real photo ---


def test_candidates_are_smooth_where_the_prediction_is(prediction: Prediction) -> None:
    def roughness(p: Prediction) -> float:
        ab = p.ab()
        return float(
            np.abs(np.diff(ab, axis=0)).mean() + np.abs(np.diff(ab, axis=1)).mean()
        ) / float(np.linalg.norm(ab, axis=-1).mean())

    # Independent draws per pixel would be rougher by an order of magnitude.
    for variant in prediction.candidate_predictions(4):
        assert roughness(variant) < 3 * roughness(prediction)


def test_candidate_of_a_sure_pixel_is_its_color(prediction: Prediction) -> None:
    logits = np.full((313, 8, 8), -20.0, dtype=np.float32)
    logits[120] = 20
    sure = replace(prediction.distribution, logits=logits)
    for variant in sure.candidates(3):
        np.testing.assert_allclose(variant.ab(), sure.ab(), atol=1e-3)


def test_uncertainty_is_entropy_in_bits(prediction: Prediction) -> None:
    u = prediction.uncertainty()
    assert u.shape == prediction.logits.shape[1:] and u.dtype == np.float32
    assert (u >= 0).all() and (u <= np.log2(313) + 1e-3).all()
    flat = replace(
        prediction.distribution,
        logits=np.broadcast_to(prediction.info.log_weights[:, None, None], (313, 4, 4)).copy(),
    )
    np.testing.assert_allclose(flat.uncertainty(), np.log2(313), rtol=1e-4)


def test_log_probabilities_are_honest_and_sum_to_one(prediction: Prediction) -> None:
    log_p = prediction.log_probabilities()
    assert log_p.shape == prediction.logits.shape and log_p.dtype == np.float32
    np.testing.assert_allclose(np.exp(log_p).sum(axis=0), 1, rtol=1e-4)
    # Entropy by another road.
    p = np.exp(log_p.astype(np.float64))
    np.testing.assert_allclose(
        -(p * log_p).sum(axis=0) / np.log(2), prediction.uncertainty(), atol=1e-3
    )
    # Rebalancing raised rare colors; it is taken off, up to a constant for each pixel.
    raised = prediction.logits - log_p - prediction.info.log_weights[:, None, None]
    np.testing.assert_allclose(raised - raised[:1], 0, atol=1e-3)
