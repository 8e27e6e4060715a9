"""Networks to export, and what their files compute."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from photochrom.color import bins
from photochrom.train.eccv16 import ECCV16

Picture = NDArray[np.uint8]


def prior() -> NDArray[np.float32]:
    p = np.exp(-np.linalg.norm(bins.BINS, axis=1) / 20)
    shares: NDArray[np.float32] = (p / p.sum()).astype(np.float32)
    return shares


def published_network(outputs: int, seed: int = 0) -> ECCV16:
    """ECCV16 with random weights and statistics under which signals keep a natural size."""
    torch.manual_seed(seed)
    network = ECCV16(outputs)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 1.0, 2.0)
            nn.init.normal_(module.bias, std=0.2)
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.running_mean, 0.0, 1.0)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


def inputs(batch: int, height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Input of our network: pictures in three degrees of detail, every other one with hints."""
    rng = np.random.default_rng(seed)
    x = np.zeros((batch, 4, height, width), dtype=np.float32)
    for i in range(batch):
        block = (4, 16, 32)[i % 3]
        cells = rng.uniform(-1, 1, (height // block, width // block))
        x[i, 0] = np.kron(cells, np.ones((block, block)))
        if i % 2 == 0:
            x[i, 1:, 5:9, 11:18] = np.array([0.5, -0.3, 1.0])[:, None, None]
            x[i, 1:, 28:31, 2:4] = np.array([-0.2, 0.6, 1.0])[:, None, None]
    return x
