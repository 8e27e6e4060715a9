from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from photochrom.color import bins
from photochrom.color.lab import rgb_to_lab
from photochrom.errors import ConfigError

relaxed = settings(deadline=None, max_examples=100)

# a: number of bins, first b, last b. Typed from the released model's list of 313 cluster centers.
RELEASED = """
-90  5   50  90 | -80  8   20  90 | -70 10    0  90 | -60 12  -20  90 | -50 14  -30 100
-40 15  -40 100 | -30 16  -50 100 | -20 16  -50 100 | -10 17  -60 100 |   0 18  -70 100
 10 18  -80  90 |  20 18  -80  90 |  30 19  -90  90 |  40 20 -100  90 |  50 19 -100  80
 60 20 -110  80 |  70 20 -110  80 |  80 19 -110  70 |  90 19 -110  70 | 100 10  -90   0
"""


def index(a: float, b: float) -> int:
    return bins.BINS.tolist().index([a, b])


# --- the table ------------------------------------------------------------------------------------


def test_the_313_bins_and_their_order() -> None:
    assert bins.Q == 313
    assert bins.BINS.shape == (313, 2)
    assert bins.BINS.dtype == np.float32
    rows = [
        tuple(map(int, row.split()))
        for row in RELEASED.replace("\n", "|").split("|")
        if row.strip()
    ]
    assert len(rows) == 20
    assert sum(count for _, count, _, _ in rows) == 313
    start = 0
    for a, count, first, last in rows:
        part = bins.BINS[start : start + count]
        assert (part[:, 0] == a).all()
        assert (part[0, 1], part[-1, 1]) == (first, last)
        assert (np.diff(part[:, 1]) == bins.GRID).all()
        start += count
    # a ascending, then b ascending: the order of tuples.
    listed = [tuple(center) for center in bins.BINS.tolist()]
    assert all(one < other for one, other in pairwise(listed))


@pytest.mark.slow
def test_the_bins_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        bins.BINS[0, 0] = 1
    for part in bins.soft_table():
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 0


def cells_of_all_colors() -> set[tuple[int, int]]:
    """The cells of the grid that the 16.7 million 8-bit colors fall into."""
    seen = np.zeros((25, 25), dtype=bool)  # cells -120..120
    rgb = np.empty((256, 256, 3), dtype=np.uint8)
    rgb[..., 1], rgb[..., 2] = np.indices((256, 256))
    for red in range(256):
        rgb[..., 0] = red
        cell = np.rint(rgb_to_lab(rgb)[..., 1:] / np.float32(bins.GRID)).astype(np.int8) + 12
        seen[cell[..., 0], cell[..., 1]] = True
    return {(10 * (int(a) - 12), 10 * (int(b) - 12)) for a, b in np.argwhere(seen)}


@pytest.mark.slow
def test_every_8_bit_color_has_its_bin_and_the_others_are_a_margin_of_one_cell() -> None:
    reached = cells_of_all_colors()
    kept = {(int(a), int(b)) for a, b in bins.BINS}
    assert len(reached) == 261
    assert reached <= kept
    for a, b in kept - reached:
        beside = {(a - 10, b), (a + 10, b), (a, b - 10), (a, b + 10)}
        assert beside & reached, (a, b)


# --- nearest --------------------------------------------------------------------------------------


def test_a_bin_is_nearest_to_itself() -> None:
    nearest = bins.nearest_bin(bins.BINS)
    assert nearest.dtype == np.int64
    np.testing.assert_array_equal(nearest, np.arange(313))


def test_nearest_is_rounding_to_the_grid_for_real_colors() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (100, 200, 3)).astype(np.uint8)
    ab = rgb_to_lab(rgb)[..., 1:]
    nearest = bins.nearest_bin(ab)
    assert nearest.shape == (100, 200)
    np.testing.assert_array_equal(bins.BINS[nearest], 10 * np.rint(ab / 10))


def test_nearest_beyond_the_table() -> None:
    assert bins.nearest_bin([-1000, 1000]) == index(-90, 90)
    assert bins.nearest_bin([110, -110]) == index(90, -110)


def test_nearest_equals_a_search_of_all_bins() -> None:
    rng = np.random.default_rng(2)
    whole = np.stack(np.meshgrid(*[np.arange(-130, 131, 5.0)] * 2, indexing="ij"), -1)
    for ab in (rng.uniform(-140, 140, (3000, 2)).astype(np.float32), whole.astype(np.float32)):
        distance = ((ab[..., None, :] - bins.BINS) ** 2).sum(axis=-1)
        np.testing.assert_array_equal(bins.nearest_bin(ab), distance.argmin(axis=-1))
    assert bins.nearest_bin(np.empty((0, 4, 2))).shape == (0, 4)


def test_colors_are_counted_in_cells_of_side_1() -> None:
    counts = bins.count_colors([[[0.4, -0.4], [-110, 110]], [[5.6, 3], [-200, 300]]])
    assert counts.shape == (221, 221) and counts.sum() == 4
    assert counts[110, 109] == 1 and counts[115, 113] == 1
    assert counts[0, 220] == 2, "beyond the border counts at the border"


# --- soft encoding --------------------------------------------------------------------------------


def test_soft_encoding_by_hand_inside() -> None:
    # From (3, 4): squared distances 25, 45, 65, 85 to its cell's corners, then 13^2 + 4^2 = 185.
    indices, weights = bins.soft_encode([3, 4])
    expected = [(0, 0), (0, 10), (10, 0), (10, 10), (-10, 0)]
    assert [tuple(center) for center in bins.BINS[indices].tolist()] == expected
    # exp(-d^2 / 50) = 0.606531, 0.406570, 0.272532, 0.182684, 0.024724; their sum is 1.493040.
    np.testing.assert_allclose(weights, [0.40624, 0.27231, 0.18254, 0.12236, 0.01656], atol=6e-6)


def test_soft_encoding_by_hand_at_the_border() -> None:
    # (-90, 50) is the first bin of all: nothing below it nor left of it. 0, 100, 100, 200, 200.
    indices, weights = bins.soft_encode([-90, 50])
    assert indices[0] == 0
    assert set(indices[1:3]) == {index(-90, 60), index(-80, 50)}
    assert set(indices[3:]) == {index(-80, 40), index(-80, 60)}
    # 1 / (1 + 2 e^-2 + 2 e^-4) = 0.764934
    top = 0.764934
    expected = [top, *[top * np.exp(-2)] * 2, *[top * np.exp(-4)] * 2]
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_soft_encoding_of_ten_bins_by_hand() -> None:
    # From a bin's center: itself, 4 at 10, 4 at 14.14, then one of 4 at 20.
    indices, weights = bins.soft_encode([0, 0], k=10)
    d2 = (bins.BINS[indices] ** 2).sum(axis=1)
    assert d2.tolist() == [0, 100, 100, 100, 100, 200, 200, 200, 200, 400]
    e = np.exp(-d2 / 50.0)
    # 1 + 4 e^-2 + 4 e^-4 + e^-8 = 1.614939
    np.testing.assert_allclose(weights, e / 1.614939, rtol=1e-6)


def test_sigma_is_the_width_of_the_gaussian() -> None:
    _, weights = bins.soft_encode([3, 4], sigma=10)
    assert weights[1] / weights[0] == pytest.approx(np.exp(-20 / 200), rel=1e-5)
    _, weights = bins.soft_encode([3, 4], sigma=2.5)
    assert weights[1] / weights[0] == pytest.approx(np.exp(-20 / 12.5), rel=1e-5)


@pytest.mark.slow
@relaxed
@given(
    hnp.arrays(np.float32, (4, 2), elements=st.floats(-110, 110, width=32)),
    st.integers(1, 20),
    st.floats(0.5, 50),
)
def test_soft_encoding_properties(ab: np.ndarray, k: int, sigma: float) -> None:
    indices, weights = bins.soft_encode(ab, k, sigma)
    assert (indices.shape, weights.shape) == ((4, k), (4, k))
    assert (indices.dtype, weights.dtype) == (np.int64, np.float32)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert (np.diff(weights, axis=1) <= 0).all()
    np.testing.assert_array_equal(indices[:, 0], bins.nearest_bin(ab))
    # Against the definition, written out in double precision over all 313 bins.
    d2 = ((ab[:, None, :].astype(np.float64) - bins.BINS) ** 2).sum(-1)
    for row, chosen, share in zip(d2, indices, weights, strict=True):
        assert len(set(chosen)) == k
        np.testing.assert_allclose(np.sort(row[chosen]), np.sort(row)[:k], atol=0.02)
        w = np.exp(-(row[chosen] - row.min()) / (2 * sigma**2))
        # Float32 distances are good to 0.004; a narrow Gaussian magnifies that.
        np.testing.assert_allclose(share, w / w.sum(), atol=1e-5 + 0.002 / sigma**2)


def test_soft_encoding_of_an_image_equals_that_of_its_pixels() -> None:
    # More pixels than one block holds, in an image's shape.
    ab = np.random.default_rng(2).uniform(-100, 100, (70, 130, 2)).astype(np.float32)
    indices, weights = bins.soft_encode(ab)
    assert (indices.shape, weights.shape) == ((70, 130, 5), (70, 130, 5))
    for y, x in ((0, 0), (63, 2), (69, 129)):
        one = bins.soft_encode(ab[y, x])
        np.testing.assert_array_equal(one[0], indices[y, x])
        np.testing.assert_array_equal(one[1], weights[y, x])


def test_far_outside_nothing_underflows() -> None:
    for ab in ([-500, 500], [1e4, -1e4]):
        indices, weights = bins.soft_encode(ab)
        assert np.isfinite(weights).all()
        assert weights.sum() == pytest.approx(1, abs=1e-6)
        assert indices[0] == bins.nearest_bin(ab)


def test_one_neighbor_is_a_hard_target_and_313_are_allowed() -> None:
    indices, weights = bins.soft_encode([[3, 4], [55, -55]], k=1)
    assert weights.tolist() == [[1], [1]]
    assert indices[0, 0] == index(0, 0)
    indices, _ = bins.soft_encode([3, 4], k=313)
    assert sorted(indices) == list(range(313))


@pytest.mark.parametrize("k", [0, -1, 314])
def test_k_out_of_range(k: int) -> None:
    with pytest.raises(ConfigError, match=rf"k = {k}: must be from 1 to 313"):
        bins.soft_encode([0, 0], k=k)
    with pytest.raises(ConfigError, match="k = "):
        bins.soft_table(k)


@pytest.mark.parametrize("sigma", [0, -5.0, float("nan")])
def test_sigma_out_of_range(sigma: float) -> None:
    with pytest.raises(ConfigError, match=r"sigma = .*: must be positive"):
        bins.soft_encode([0, 0], sigma=sigma)


@pytest.mark.slow
@pytest.mark.parametrize(("k", "sigma"), [(5, 5.0), (10, 5.0)])
def test_the_table_is_the_exact_encoding_of_the_centers_of_cells(k: int, sigma: float) -> None:
    indices, weights = bins.soft_table(k, sigma)
    assert (indices.shape, weights.shape) == ((221 * 221, k), (221 * 221, k))
    assert (indices.dtype, weights.dtype) == (np.int16, np.float32)
    rng = np.random.default_rng(3)
    ab = np.concatenate([rng.integers(-110, 111, (500, 2)), [[-110, -110], [110, 110], [0, 0]]])
    rows = (ab[:, 0] + 110) * 221 + (ab[:, 1] + 110)
    np.testing.assert_array_equal(bins.cell_of(ab), rows)
    np.testing.assert_array_equal(bins.cell_of(ab + 0.99), rows)
    exact = bins.soft_encode(ab + 0.5, k, sigma)
    np.testing.assert_array_equal(indices[rows], exact[0])
    np.testing.assert_array_equal(weights[rows], exact[1])


@pytest.mark.slow
def test_the_table_gives_every_8_bit_color_its_nearest_bin() -> None:
    rgb = np.stack(np.meshgrid(*[np.arange(0, 256, 3, dtype=np.uint8)] * 3), -1).reshape(-1, 3)
    ab = rgb_to_lab(rgb)[:, 1:]
    found = bins.soft_table()[0][bins.cell_of(ab), 0]
    exact = bins.nearest_bin(ab)
    # But for colors on a border between two bins, as near as float32 tells.
    for color, one, other in zip(ab, found, exact, strict=True):
        if one != other:
            far = np.linalg.norm(bins.BINS[[one, other]].astype(np.float64) - color, axis=1)
            assert far[0] == pytest.approx(far[1], abs=1e-3)
    assert np.mean(found != exact) < 1e-4


# --- prior and weights ----------------------------------------------------------------------------


def test_prior_by_hand() -> None:
    # Three pixels at a bin's center, one at the corner bin; the photos' sizes differ.
    p = bins.prior_of(iter([np.zeros((1, 2, 2)), np.array([[0, 0], [-90, 50]])]))
    assert p.dtype == np.float32
    assert p.sum() == pytest.approx(1, abs=1e-6)
    # 3/4 of 1 / (1 + 4 e^-2) = 0.648785; 1/4 of 0.764934.
    assert p[index(0, 0)] == pytest.approx(0.75 * 0.648785, abs=1e-6)
    assert p[index(0, -10)] == pytest.approx(0.75 * 0.648785 * np.exp(-2), abs=1e-6)
    assert p[index(-90, 50)] == pytest.approx(0.25 * 0.764934, abs=1e-6)
    assert np.count_nonzero(p) == 10


def test_prior_is_the_mean_of_dense_targets() -> None:
    ab = np.random.default_rng(4).normal(0, 25, (400, 2))
    dense = np.zeros((400, 313))
    np.put_along_axis(dense, *bins.soft_encode(ab, 10, 4.0), axis=1)
    np.testing.assert_allclose(bins.prior_of([ab], 10, 4.0), dense.mean(axis=0), atol=1e-7)


@pytest.mark.slow
def test_prior_from_a_histogram_is_that_of_its_pixels() -> None:
    cells = np.clip(np.random.default_rng(5).normal(0, 30, (3000, 2)).round(), -110, 110)
    counts = np.zeros((221, 221), dtype=np.int64)
    np.add.at(counts, tuple(cells.astype(int).T + 110), 1)
    for k in (5, 10):
        np.testing.assert_allclose(
            bins.smooth_prior(counts, k), bins.prior_of([cells + 0.5], k), rtol=1e-5, atol=1e-9
        )


def test_a_prior_needs_pixels() -> None:
    with pytest.raises(ConfigError, match="at least one pixel"):
        bins.prior_of([])
    with pytest.raises(ConfigError, match="at least one pixel"):
        bins.smooth_prior(np.zeros((221, 221)))


def test_rebalancing_weights_by_hand() -> None:
    # p = 3/4, 1/4, 0 ...: mixed with lambda = 1/2 and times 626 that is 235.75, 79.25, 1, 1 ...
    # The mean of 1/m under p is (3/4) / 235.75 + (1/4) / 79.25 = 118.375 / (235.75 * 79.25).
    p = np.zeros(313)
    p[:2] = 0.75, 0.25
    w = bins.rebalancing_weights(p)
    assert w.dtype == np.float32
    expected = np.full(313, 235.75 * 79.25 / 118.375)
    expected[:2] = 79.25 / 118.375, 235.75 / 118.375
    np.testing.assert_allclose(w, expected, rtol=1e-6)


def test_lambda_at_its_ends() -> None:
    p = np.random.default_rng(6).dirichlet(np.ones(313))
    np.testing.assert_allclose(bins.rebalancing_weights(p, 1), 1, rtol=1e-6)
    # Without the uniform part each bin weighs the same in all: p w = 1 / 313.
    np.testing.assert_allclose(bins.rebalancing_weights(p, 0), 1 / (313 * p), rtol=1e-6)
    np.testing.assert_allclose(bins.rebalancing_weights(np.full(313, 1 / 313), 0.5), 1, rtol=1e-6)


@pytest.mark.slow
@relaxed
@given(st.integers(0, 2**32 - 1), st.floats(0.001, 1), st.floats(0.05, 5))
def test_rebalancing_weights_properties(seed: int, strength: float, spread: float) -> None:
    p = np.random.default_rng(seed).dirichlet(np.full(313, spread))
    w = bins.rebalancing_weights(p, strength).astype(np.float64)
    assert (p * w).sum() == pytest.approx(1, abs=1e-5)
    assert (w > 0).all()
    # The rarer, the heavier; and no more than the uniform part allows.
    assert (np.diff(w[np.argsort(p)]) <= 1e-6 * w.max()).all()
    assert w.max() / w.min() <= ((1 - strength) * p.max() + strength / 313) / (strength / 313) * (
        1 + 1e-5
    )


def test_weights_refuse_what_is_no_prior() -> None:
    flat = np.full(313, 1 / 313)
    for wrong in (
        flat[:-1],
        flat * 2,
        np.full(313, np.nan),
        np.r_[-flat[0], 3 * flat[0], flat[2:]],
    ):
        with pytest.raises(ConfigError, match="a prior must be 313 shares that sum to 1"):
            bins.rebalancing_weights(wrong)
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match=r"lambda = .*: must be from 0 to 1"):
            bins.rebalancing_weights(flat, strength)
    empty = np.r_[0.0, 2 * flat[0], flat[2:]]
    with pytest.raises(ConfigError, match="every bin"):
        bins.rebalancing_weights(empty, 0)
    assert np.isfinite(bins.rebalancing_weights(empty, 0.5)).all()


# --- from distribution to color -------------------------------------------------------------------


def logits_of(shares: dict[tuple[int, int], float]) -> np.ndarray:
    """Logits (313,) of a distribution over some bins; the others practically never."""
    z = np.full(313, -1e4, dtype=np.float32)
    for center, share in shares.items():
        z[index(*center)] = np.log(share)
    return z


def test_annealed_mean_by_hand() -> None:
    z = logits_of({(60, 20): 0.75, (-40, 80): 0.25})
    # T = 1 is the plain mean.
    np.testing.assert_allclose(bins.annealed_mean(z, 1), [35, 35], atol=1e-4)
    # T = 0.38: odds of 3 become 3^(1/0.38) = e^2.891085 = 18.0128, a share of 0.947404.
    expected = [60 - 100 * (1 - 0.947404), 20 + 60 * (1 - 0.947404)]
    np.testing.assert_allclose(bins.annealed_mean(z), expected, atol=1e-3)
    np.testing.assert_allclose(bins.annealed_mean(z, 0.38), expected, atol=1e-3)
    # T = 2: odds of 3^(1/2), a share of 0.633975.
    np.testing.assert_allclose(bins.annealed_mean(z, 2), [23.3975, 41.9615], atol=1e-3)
    # T -> 0 is the mode.
    for temperature in (0, 1e-9, 0.01):
        np.testing.assert_allclose(bins.annealed_mean(z, temperature), [60, 20], atol=1e-4)


def test_annealed_mean_is_the_papers_formula() -> None:
    # exp(log z / T) / sum exp(log z / T), literally, on probabilities and in double precision.
    rng = np.random.default_rng(7)
    z = rng.dirichlet(np.full(313, 0.3), (6, 5)) + 1e-12
    for temperature in (0.2, 0.38, 1.0):
        f = np.exp(np.log(z) / temperature)
        f /= f.sum(axis=-1, keepdims=True)
        got = bins.annealed_mean(np.moveaxis(np.log(z), -1, 0) + 3, temperature)
        assert got.shape == (6, 5, 2)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, f @ bins.BINS, atol=2e-3)


def test_annealed_mean_of_one_certain_bin_is_that_bin() -> None:
    z = np.where(np.eye(313), 0, -1e4)
    for temperature in (0, 0.38, 1):
        np.testing.assert_allclose(bins.annealed_mean(z, temperature), bins.BINS, atol=1e-4)


def test_annealed_mean_takes_other_bins() -> None:
    own = np.array([[0, 0], [10, -20]], np.float32)
    np.testing.assert_allclose(bins.annealed_mean([0.0, 0.0], 1, own), [5, -10], atol=1e-5)


def test_vividness_falls_with_temperature() -> None:
    # The reason for T: on a distribution with opposite modes the mean is gray, the mode is vivid.
    z = logits_of({(60, 0): 0.5, (-60, 0): 0.3, (0, 60): 0.2})
    chroma = [float(np.hypot(*bins.annealed_mean(z, t))) for t in (0, 0.2, 0.38, 0.6, 1)]
    assert all(one > other for one, other in pairwise(chroma))


def test_mode_shares_between_equal_tops() -> None:
    z = logits_of({(60, 0): 0.4, (0, 60): 0.4, (0, 0): 0.2})
    np.testing.assert_allclose(bins.annealed_mean(z, 0), [30, 30], atol=1e-4)


@pytest.mark.parametrize("temperature", [-0.1, float("nan")])
def test_temperature_must_not_be_negative(temperature: float) -> None:
    with pytest.raises(ConfigError, match=r"temperature = .*: must not be negative"):
        bins.annealed_mean(np.zeros(313), temperature)


@pytest.mark.parametrize("temperature", [0, 1e-3, 0.38, 1, 100])
def test_softmax_stands_huge_logits(temperature: float) -> None:
    for z in ([1e4, 1e4 - 1, 0], [-1e30, -2e30, -3e30], [1e30, 0, -1e30], [0, -np.inf, -np.inf]):
        p = bins.softmax(z, temperature)
        assert np.isfinite(p).all()
        assert p.sum() == pytest.approx(1, abs=1e-6)
        assert p.argmax() == 0


@pytest.mark.slow
@relaxed
@given(
    hnp.arrays(np.float32, (9, 3), elements=st.floats(-50, 50, width=32)),
    st.floats(0.05, 5),
    st.floats(-100, 100, width=32),
)
def test_softmax_properties(z: np.ndarray, temperature: float, shift: float) -> None:
    before = z.copy()
    p = bins.softmax(z, temperature)
    assert p.dtype == np.float32
    np.testing.assert_array_equal(z, before)
    exact = np.exp((z.astype(np.float64) - z.max(axis=0)) / temperature)
    np.testing.assert_allclose(p, exact / exact.sum(axis=0), atol=5e-5)
    np.testing.assert_allclose(p.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(bins.softmax(z.T, temperature, axis=1), p.T, atol=1e-6)
    # Only differences count. (Adding the shift rounds logits by up to 4e-6.)
    moved = bins.softmax(z + np.float32(shift), temperature)
    np.testing.assert_allclose(moved, p, atol=1e-5 + 1e-5 / temperature)


def test_entropy_by_hand() -> None:
    z = np.stack(
        [
            np.zeros(313),
            logits_of({(0, 0): 1}),
            logits_of({(0, 0): 0.5, (10, 0): 0.5}),
            logits_of({(0, 0): 0.5, (10, 0): 0.25, (20, 0): 0.25}),
        ],
        axis=1,
    )
    bits = bins.entropy(z)
    assert bits.dtype == np.float32
    np.testing.assert_allclose(bits, [np.log2(313), 0, 1, 1.5], atol=1e-4)


@pytest.mark.slow
@relaxed
@given(hnp.arrays(np.float32, (313, 2), elements=st.floats(-1e4, 1e4, width=32)))
def test_entropy_lies_between_certain_and_uniform(z: np.ndarray) -> None:
    bits = bins.entropy(z)
    assert bits.shape == (2,)
    assert (bits >= 0).all()
    assert (bits <= np.log2(313) + 1e-4).all()
