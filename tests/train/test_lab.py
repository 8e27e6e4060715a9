from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from photochrom.color import bins
from photochrom.color import lab as color
from photochrom.dataset import decode as shards
from photochrom.errors import ConfigError
from photochrom.train import lab as twin

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def as_batch(pixels: np.ndarray) -> torch.Tensor:
    """(N, C) to (1, C, N, 1)."""
    return torch.from_numpy(np.ascontiguousarray(pixels.T))[None, ..., None]


def as_pixels(batch: torch.Tensor) -> np.ndarray:
    return batch[0, ..., 0].T.numpy()


@pytest.fixture(scope="module")
def cube() -> np.ndarray:
    levels = np.unique(np.r_[0:12, 0:256:6, 255]).astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)


# --- L*a*b* ---------------------------------------------------------------------------------------


def test_lab_equals_numpy_over_the_cube(cube: np.ndarray) -> None:
    lab = twin.rgb_to_lab(as_batch(cube))
    assert lab.dtype == torch.float32
    # 500 times what two float32 cube roots of about 1 differ by.
    np.testing.assert_allclose(as_pixels(lab), color.rgb_to_lab(cube), atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_lab_of_a_batch_in_any_memory_format(dtype: torch.dtype) -> None:
    rgb = np.random.default_rng(1).random((2, 9, 7, 3)).astype(np.float32)
    rgb = np.rint(rgb * 255).astype(np.uint8) if dtype == torch.uint8 else rgb
    batch = torch.from_numpy(rgb).permute(0, 3, 1, 2).to(dtype)
    for x in (batch, batch.contiguous()):
        lab = twin.rgb_to_lab(x)
        assert lab.dtype == torch.float32
        np.testing.assert_allclose(lab.permute(0, 2, 3, 1), color.rgb_to_lab(rgb), atol=2e-4)


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (33, 31), (64, 64)])
def test_gray_is_exactly_gray_at_any_size(size: tuple[int, int]) -> None:
    # Sizes that fill no whole vectors: torch computes their ends with another power function.
    gray = torch.rand(3, 1, *size, generator=torch.Generator().manual_seed(2)).repeat(1, 3, 1, 1)
    for x in (gray, gray.to(memory_format=torch.channels_last), gray[:, :1].expand(-1, 3, -1, -1)):
        assert not twin.rgb_to_lab(x)[:, 1:].any()
    levels = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    assert not twin.rgb_to_lab(levels)[:, 1:].any()


def test_black_and_white_are_exact() -> None:
    ends = torch.tensor([0, 255], dtype=torch.uint8).expand(1, 3, 1, 2)
    assert twin.rgb_to_lab(ends)[0, 0].tolist() == [[0, 100]]


def test_L_to_gray_is_the_inverse_of_gray_to_L() -> None:
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        levels = np.arange(top + 1)
        L = torch.from_numpy(color.gray_to_L(levels.astype(dtype)))
        np.testing.assert_allclose(twin.L_to_gray(L), levels / top, atol=1e-6)


def test_L_to_gray_equals_numpy_and_stays_in_range() -> None:
    L = np.linspace(0, 100, 3003, dtype=np.float32).reshape(3, 1, 7, 143)
    expected = color.linear_to_srgb(color.L_to_luminance(L))
    np.testing.assert_allclose(twin.L_to_gray(torch.from_numpy(L)), expected, atol=1e-6)
    assert twin.L_to_gray(torch.tensor([-3.0, 103.0])).tolist() == pytest.approx([0, 1], abs=1e-6)


# --- targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "sigma"), [(5, 5.0), (10, 5.0), (1, 5.0)])
def test_soft_encode_equals_numpy_at_the_centers_of_cells(k: int, sigma: float) -> None:
    ab = np.random.default_rng(3).uniform(-110, 110, (2, 6, 9, 2)).astype(np.float32)
    indices, weights = twin.soft_encode(torch.from_numpy(ab).permute(0, 3, 1, 2), k, sigma)
    assert (indices.dtype, weights.dtype) == (torch.int64, torch.float32)
    exact = bins.soft_encode(np.floor(ab) + np.float32(0.5), k, sigma)
    assert indices.shape == (2, 6, 9, k)
    np.testing.assert_array_equal(indices, exact[0])
    np.testing.assert_array_equal(weights, exact[1])


@pytest.fixture(scope="module")
def real_colors() -> np.ndarray:
    """ab (1, 2, 1, N) of the example photos, averaged over 4 x 4 pixels as targets are."""
    found = []
    for path in sorted(EXAMPLES.glob("*.jpg")):
        rgb = shards.decode(path.read_bytes(), path.name)
        h, w = (side // 4 * 4 for side in rgb.shape[:2])
        ab = color.rgb_to_lab(rgb[:h, :w])[..., 1:]
        small = ab.reshape(h // 4, 4, w // 4, 4, 2).mean(axis=(1, 3)).reshape(-1, 2)
        if np.abs(small).max() > 5:
            found.append(small)
    assert len(found) >= 8
    pixels = np.concatenate(found)
    chosen = np.random.default_rng(8).choice(len(pixels), 60_000, replace=False)
    return np.ascontiguousarray(pixels[chosen].T.reshape(1, 2, 1, -1))


def test_soft_encode_of_real_photos_has_the_right_nearest_bin(real_colors: np.ndarray) -> None:
    indices, _ = twin.soft_encode(torch.from_numpy(real_colors))
    ab = real_colors[0, :, 0].T
    ours, exact = indices[0, 0, :, 0].numpy(), bins.soft_encode(ab)[0][:, 0]
    d = [((bins.BINS[bin_] - ab.astype(np.float64)) ** 2).sum(axis=1) for bin_ in (ours, exact)]
    wrong = ours != exact
    assert (d[0][wrong] - d[1][wrong] < 1e-3).all(), "a tie is no error"
    assert wrong.mean() < 1e-3


@pytest.mark.parametrize(
    ("k", "sigma", "most"),
    # A wider Gaussian gives more to the last of the k, and which bin that is changes in a cell.
    [(5, 5.0, 0.06), (10, 5.0, 0.06), (10, 10.0, 0.08)],
)
def test_gradient_of_real_photos_is_that_of_exact_targets(
    real_colors: np.ndarray, k: int, sigma: float, most: float
) -> None:
    # With respect to the logits of a network that knows the photos' share of each bin; the weights
    # of the class rebalancing included, which a wrong nearest bin would change.
    ab = real_colors[0, :, 0].T
    exact = bins.soft_encode(ab, k, sigma)
    prior = bins.prior_of([ab], k, sigma)
    w = bins.rebalancing_weights(prior)
    indices, weights = twin.soft_encode(torch.from_numpy(real_colors), k, sigma)
    ours = indices[0, 0].numpy(), weights[0, 0].numpy()
    gradients = []
    for chosen, shares in (ours, exact):
        target = np.zeros((len(ab), bins.Q), dtype=np.float32)
        np.put_along_axis(target, chosen, shares, axis=1)
        gradients.append((prior - target) * w[chosen[:, :1]])
    off = np.linalg.norm(gradients[0] - gradients[1]) / np.linalg.norm(gradients[1])
    assert off < most


def test_color_of_its_own() -> None:
    ab = torch.zeros(4, 2, 3, 3)
    ab[1, 0, 2, 2], ab[2, 1, 0, 1], ab[3] = 5.1, -5.1, 5.0
    assert twin.has_color(ab).tolist() == [False, True, True, False]


def test_soft_encode_beyond_the_table_takes_its_border() -> None:
    far = torch.tensor([[-300.0, 110.4], [300.0, -110.4]]).T[None, :, None, :]
    border = torch.tensor([[-110.0, 110.0], [110.0, -110.0]]).T[None, :, None, :]
    for one, other in zip(twin.soft_encode(far), twin.soft_encode(border), strict=True):
        assert torch.equal(one, other)


def test_soft_encode_refuses_what_numpy_refuses() -> None:
    with pytest.raises(ConfigError, match="k = 0"):
        twin.soft_encode(torch.zeros(1, 2, 1, 1), k=0)


# --- readout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0, 0.05, 0.38, 1, 3])
def test_annealed_mean_equals_numpy(temperature: float) -> None:
    z = np.random.default_rng(4).normal(0, 4, (2, 313, 5, 3)).astype(np.float32)
    ab = twin.annealed_mean(torch.from_numpy(z), temperature)
    assert ab.shape == (2, 2, 5, 3)
    assert ab.dtype == torch.float32
    for one, logits in zip(ab, z, strict=True):
        expected = bins.annealed_mean(logits, temperature)
        np.testing.assert_allclose(one.permute(1, 2, 0), expected, atol=1e-3)


def test_default_temperature_is_that_of_numpy() -> None:
    z = torch.randn(1, 313, 2, 2, generator=torch.Generator().manual_seed(5))
    assert torch.equal(twin.annealed_mean(z), twin.annealed_mean(z, bins.TEMPERATURE))


def test_mode_of_16_bit_logits_with_equal_tops() -> None:
    z = np.random.default_rng(6).normal(0, 4, (1, 313, 40, 40)).astype(np.float32)
    half = torch.from_numpy(z).bfloat16()
    top = (half == half.amax(dim=1, keepdim=True)).sum(dim=1)
    assert (top > 1).any()  # without ties there is nothing to see here
    expected = bins.annealed_mean(half.float().numpy()[0], 0)
    np.testing.assert_allclose(twin.annealed_mean(half, 0)[0].permute(1, 2, 0), expected, atol=1e-3)


@pytest.mark.parametrize("temperature", [-1, float("nan")])
def test_annealed_mean_refuses_what_numpy_refuses(temperature: float) -> None:
    with pytest.raises(ConfigError, match="must not be negative"):
        twin.annealed_mean(torch.zeros(1, 313, 1, 1), temperature)
