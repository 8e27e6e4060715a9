from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from photochrom.color import bins
from photochrom.train.config import TrainConfig
from photochrom.train.lab import soft_encode
from photochrom.train.losses import Criterion, sparse_cross_entropy


def colors(*shape: int, seed: int = 0) -> Tensor:
    """ab (*shape, 2), centers of the cells of the table, over the range of sRGB."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(-90, 91, (*shape, 2)).astype(np.float32) + 0.5)


def dense_target(ab: Tensor, k: int, sigma: float) -> Tensor:
    """The soft-encoded target of ab (B, 2, H, W) with all 313 channels, pixel by pixel."""
    out = torch.zeros(ab.shape[0], bins.Q, *ab.shape[2:], dtype=torch.float64)
    centers = torch.tensor(bins.BINS, dtype=torch.float64)
    for b in range(ab.shape[0]):
        for y in range(ab.shape[2]):
            for x in range(ab.shape[3]):
                d2 = ((centers - ab[b, :, y, x].double()) ** 2).sum(dim=1)
                near = torch.sort(d2, stable=True).indices[:k]
                w = torch.exp(-d2[near] / (2 * sigma**2))
                out[b, near, y, x] = w / w.sum()
    return out


def smooth_prior() -> Tensor:
    p = np.exp(-np.linalg.norm(bins.BINS, axis=1) / 15)
    return torch.tensor(p / p.sum(), dtype=torch.float32)


@pytest.mark.parametrize(("k", "sigma"), [(5, 5.0), (10, 5.0), (1, 3.0)])
def test_equals_the_dense_formula_in_value_and_gradient(k: int, sigma: float) -> None:
    torch.manual_seed(0)
    ab = colors(2, 3, 4).movedim(-1, 1)
    logits = (4 * torch.randn(2, bins.Q, 3, 4, dtype=torch.float64)).requires_grad_()
    per_pixel = torch.rand(2, 3, 4, dtype=torch.float64)  # a gradient of its own for each pixel

    target = dense_target(ab, k, sigma)
    dense = -(target * F.log_softmax(logits, dim=1)).sum(dim=1)
    (expected,) = torch.autograd.grad((dense * per_pixel).sum(), logits)

    indices, weights = soft_encode(ab, k, sigma)
    sparse = sparse_cross_entropy(logits, indices, weights.double())
    (gradient,) = torch.autograd.grad((sparse * per_pixel).sum(), logits)

    assert sparse.shape == (2, 3, 4)
    # The weights come from a float32 table.
    torch.testing.assert_close(sparse, dense, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-7)


def test_gradcheck() -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, 7, 2, 3, dtype=torch.float64, requires_grad=True)
    indices = torch.stack([torch.randperm(7)[:3] for _ in range(12)]).reshape(2, 2, 3, 3)
    weights = torch.rand(2, 2, 3, 3, dtype=torch.float64)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    assert torch.autograd.gradcheck(lambda z: sparse_cross_entropy(z, indices, weights), [logits])


def test_large_logits_do_not_overflow() -> None:
    logits = torch.zeros(1, 3, 1, 1)
    logits[0, 0] = 1e4
    index = torch.tensor([[[[0]]], [[[2]]]])
    one = torch.ones(1, 1, 1, 1)
    assert float(sparse_cross_entropy(logits, index[:1], one)) == 0
    assert float(sparse_cross_entropy(logits, index[1:], one)) == 1e4


def test_full_weighs_each_pixel_by_its_nearest_bin() -> None:
    torch.manual_seed(2)
    prior = smooth_prior()
    config = TrainConfig(steps=1, objective="full", rebalance=0.3)
    ab = colors(2, 4, 4, seed=3).movedim(-1, 1)
    logits = torch.randn(2, bins.Q, 4, 4, dtype=torch.float64)

    p = prior.double()
    w = 1 / (0.7 * p + 0.3 / bins.Q)
    w = w / (p * w).sum()
    target = dense_target(ab, config.neighbors, config.sigma)
    pixel = -(target * F.log_softmax(logits, dim=1)).sum(dim=1)
    expected = (w[target.argmax(dim=1)] * pixel).mean()

    loss = Criterion(config, prior)(logits.float(), ab)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    # The weights matter here, or the test would not see them.
    assert abs(float(pixel.mean() / expected) - 1) > 0.1


def test_classification_is_the_plain_mean_and_uses_the_settings() -> None:
    torch.manual_seed(4)
    ab = colors(1, 4, 4, seed=5).movedim(-1, 1)
    logits = torch.randn(1, bins.Q, 4, 4)
    for k, sigma in ((5, 5.0), (10, 12.0)):
        config = TrainConfig(steps=1, objective="classification", neighbors=k, sigma=sigma)
        target = dense_target(ab, k, sigma)
        expected = -(target * F.log_softmax(logits.double(), dim=1)).sum(dim=1).mean()
        loss = Criterion(config, None)(logits, ab)
        torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)


def test_regression_is_half_the_squared_distance() -> None:
    config = TrainConfig(steps=1, objective="regression")
    ab = torch.zeros(1, 2, 1, 2)
    ab[0, :, 0, 0] = torch.tensor([55.0, 110.0])
    output = torch.zeros(1, 2, 1, 2)
    output[0, :, 0, 1] = torch.tensor([0.3, -0.4])
    # (0.5^2 + 1^2) / 2 and (0.3^2 + 0.4^2) / 2, averaged over two pixels.
    assert float(Criterion(config, None)(output, ab)) == pytest.approx((0.625 + 0.125) / 2)


def test_sixteen_bit_logits_are_summed_in_32() -> None:
    torch.manual_seed(6)
    ab = colors(1, 8, 8).movedim(-1, 1)
    logits = torch.randn(1, bins.Q, 8, 8).bfloat16()
    criterion = Criterion(TrainConfig(steps=1, objective="classification"), None)
    loss = criterion(logits, ab)
    assert loss.dtype == torch.float32
    assert float(loss) == float(criterion(logits.float(), ab))


@pytest.mark.parametrize("objective", ["full", "classification", "regression"])
def test_a_crop_without_color_of_its_own_teaches_nothing(objective: str) -> None:
    torch.manual_seed(7)
    ab = colors(3, 4, 4, seed=8).movedim(-1, 1)
    ab[1] = 5 * torch.rand(2, 4, 4)  # no |a| or |b| above 5
    criterion = Criterion(TrainConfig(steps=1, objective=objective), smooth_prior())
    output = torch.randn(3, 2 if objective == "regression" else bins.Q, 4, 4, requires_grad=True)
    loss = criterion(output, ab)
    (gradient,) = torch.autograd.grad(loss, output)
    assert not gradient[1].any()
    assert gradient[0].any() and gradient[2].any()
    # The other two add what they would alone, as a share of the batch of three.
    alone = criterion(output[[0, 2]], ab[[0, 2]])
    assert loss.item() == pytest.approx(alone.item() * 2 / 3, rel=1e-5)


def test_full_without_a_prior_is_refused() -> None:
    with pytest.raises(ValueError, match="prior"):
        Criterion(TrainConfig(steps=1, objective="full"), None)
