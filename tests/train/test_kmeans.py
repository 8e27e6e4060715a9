from __future__ import annotations

import torch
from torch import nn

from photochrom.train.config import TrainConfig
from photochrom.train.eccv16 import conv_block
from photochrom.train.kmeans import _clusters, kmeans_start
from photochrom.train.loop import DROPS, Trainer


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        conv_block([1, 6, 8], stride=2), nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 5, 1))
    )


def photos() -> torch.Tensor:
    """Smooth noise: neighbors are alike, as in photos."""
    noise = torch.randn(4, 1, 48, 48, generator=torch.Generator().manual_seed(1))
    return nn.functional.avg_pool2d(noise, 5, stride=1, padding=2)


def test_each_filter_responds_with_mean_0_and_variance_1() -> None:
    network, x = small(), photos()
    before = network[1][1].weight.clone()
    kmeans_start(network, x)  # type: ignore[arg-type]
    assert torch.equal(network[1][1].weight, before), "the last layer keeps its start"
    first = network[0][0](x)
    assert first.mean(dim=(0, 2, 3)).abs().max() < 0.05
    assert (first.std(dim=(0, 2, 3)) - 1).abs().max() < 0.05
    second = network[0][2](network[0][1](first))
    assert (second.std(dim=(0, 2, 3)) - 1).abs().max() < 0.1


def test_equal_seeds_give_equal_filters_and_all_differ() -> None:
    weights = []
    for seed in (0, 0, 1):
        network = small()
        kmeans_start(network, photos(), seed)  # type: ignore[arg-type]
        weights.append(network[0][0].weight.flatten(1))
    assert torch.equal(weights[0], weights[1])
    assert not torch.allclose(weights[0], weights[2])
    unit = nn.functional.normalize(weights[0])
    alike = (unit @ unit.T - torch.eye(len(unit))).abs().max()
    assert alike < 0.999


def test_clusters_find_the_directions_that_points_lie_in() -> None:
    generator = torch.Generator().manual_seed(2)
    directions = torch.eye(5)[:3]
    points = directions.repeat(100, 1) * 3 + 0.05 * torch.randn(300, 5, generator=generator)
    centers = _clusters(points, 12, torch.Generator().manual_seed(0))
    assert (centers @ directions.T).max(dim=0).values.min() > 0.9


def test_the_rate_drops_as_the_papers() -> None:
    config = TrainConfig(steps=450, lr=3e-5, schedule="drops", warmup=0)
    trainer = Trainer.__new__(Trainer)
    trainer.config = config
    rates = []
    for step in (0, 199, 200, 374, 375, 449):
        trainer.step = step
        rates.append(round(trainer.learning_rate() / 1e-6, 3))
    assert rates == [30, 30, 10, 10, 3, 3]
    assert DROPS == (200 / 450, 375 / 450)
