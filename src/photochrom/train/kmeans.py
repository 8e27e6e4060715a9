"""The start of the paper's network: filters that are clusters of what each layer sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photochrom.train.eccv16 import ECCV16

__all__ = ["kmeans_start"]

PATCHES = 8192
"""Patches that a layer's filters are clustered from."""
ROUNDS = 10
"""Of k-means."""
FLOOR = 0.1
"""Directions with less than this share of the mean variance are not whitened further: they hold
rounding errors."""


@torch.no_grad()
def kmeans_start(network: ECCV16, x: Tensor, seed: int = 0) -> None:
    """Start the convolutions of a network from clusters of the patches they see, layer by layer.

    The patches are whitened before they are clustered. Each filter is then scaled, and its bias
    set, so that its response to these photos has a mean of 0 and a variance of 1. The transposed
    convolution and the last layer, which gives the logits, keep their start.

    Parameters
    ----------
    x : (B, 1, H, W), what the network sees of some photos
    seed : equal seeds give equal filters

    Sources: P. Krähenbühl et al., "Data-dependent initializations of convolutional neural
    networks", 2016 (which the paper starts from); A. Coates, A. Y. Ng, "Learning feature
    representations with k-means", 2012 (whitening, unit centers).
    """
    generator = torch.Generator().manual_seed(seed)
    layers = [layer for part in network.children() for layer in part.children()]
    was = network.training
    network.train()  # the norms take these photos' statistics: they have no others yet
    for layer in layers[:-1]:
        if isinstance(layer, nn.Conv2d):
            _start(layer, x, generator)
        x = layer(x)
    network.train(was)


def _start(layer: nn.Conv2d, x: Tensor, generator: torch.Generator) -> None:
    patches = _patches(layer, x, generator)
    centered = patches - patches.mean(dim=0)
    values, axes = torch.linalg.eigh(centered.T @ centered / len(centered))
    least = FLOOR * values.clamp_min(0).mean() + 1e-12
    whitening = axes / torch.sqrt(values.clamp_min(0) + least)
    centers = _clusters(centered @ whitening, layer.out_channels, generator)
    filters = centers @ whitening.T
    response = patches @ filters.T
    spread = response.std(dim=0).clamp_min(1e-8)
    filters = filters / spread[:, None]
    layer.weight.copy_(filters.view_as(layer.weight))
    assert layer.bias is not None
    layer.bias.copy_(-response.mean(dim=0) / spread)


def _patches(layer: nn.Conv2d, x: Tensor, generator: torch.Generator) -> Tensor:
    """What the layer's filters see at random places, (patches, inputs of a filter)."""
    each = max(1, PATCHES // len(x))
    found = []
    for one in x:
        columns = F.unfold(
            one[None],
            layer.kernel_size,
            dilation=layer.dilation,
            padding=layer.padding,  # type: ignore[arg-type]
            stride=layer.stride,
        )[0]
        chosen = torch.randperm(columns.shape[1], generator=generator)[:each]
        found.append(columns[:, chosen.to(columns.device)].T)
    return torch.cat(found)


def _clusters(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Unit vectors (count, n) near which the directions of the points lie."""
    centers = torch.randn(count, points.shape[1], generator=generator).to(points)
    centers = F.normalize(centers)
    for _ in range(ROUNDS):
        nearness = points @ centers.T
        best, nearest = nearness.max(dim=1)
        moved = torch.zeros_like(centers).index_add_(0, nearest, points * best[:, None])
        # A center that no point is near to stays where it is.
        empty = moved.norm(dim=1, keepdim=True) < 1e-8
        centers = F.normalize(torch.where(empty, centers, moved + centers))
    return centers
