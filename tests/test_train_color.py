from __future__ import annotations

import numpy as np
import pytest
import torch

from photochrom.color import bins
from photochrom.color import lab as color
from photochrom.errors import ConfigError
from photochrom.train import lab as twin


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
def test_soft_encode_equals_numpy_on_whole_numbers(k: int, sigma: float) -> None:
    ab = np.random.default_rng(3).uniform(-110, 110, (2, 6, 9, 2)).astype(np.float32)
    indices, weights = twin.soft_encode(torch.from_numpy(ab).permute(0, 3, 1, 2), k, sigma)
    assert (indices.dtype, weights.dtype) == (torch.int64, torch.float32)
    exact = bins.soft_encode(np.rint(ab), k, sigma)
    assert indices.shape == (2, 6, 9, k)
    np.testing.assert_array_equal(indices, exact[0])
    np.testing.assert_array_equal(weights, exact[1])


def test_soft_encode_of_real_colors_is_near_the_exact_one(cube: np.ndarray) -> None:
    # What rounding ab costs: the target's mean color moves by less than a unit or so.
    ab = color.rgb_to_lab(cube[::31])[:, 1:]
    indices, weights = twin.soft_encode(as_batch(ab))
    mean = (weights[0, :, 0, :, None].numpy() * bins.BINS[indices[0, :, 0].numpy()]).sum(axis=1)
    exact_indices, exact_weights = bins.soft_encode(ab)
    exact = (exact_weights[..., None] * bins.BINS[exact_indices]).sum(axis=1)
    off = np.linalg.norm(mean - exact, axis=1)
    assert off.mean() < 0.6
    assert np.percentile(off, 99) < 2


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
