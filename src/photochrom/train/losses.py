"""Losses on sparse targets: a dense target of 313 channels is never made."""

from __future__ import annotations

import torch
from torch import Tensor

from photochrom.color import bins
from photochrom.train.config import AB_SCALE, TrainConfig
from photochrom.train.lab import has_color, soft_encode

__all__ = ["Criterion", "sparse_cross_entropy"]


def sparse_cross_entropy(logits: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy of each pixel against a soft target of k bins: logsumexp(z) - sum_k w_k z_k.

    Parameters
    ----------
    logits : (B, Q, H, W)
    indices : int64 (B, H, W, k)
    weights : (B, H, W, k), sum 1

    Returns
    -------
    (B, H, W), nats

    Source: the paper, equation 2, with the target's zeros left out.
    """
    chosen = logits.gather(1, indices.movedim(-1, 1))
    return torch.logsumexp(logits, dim=1) - (weights.movedim(-1, 1) * chosen).sum(dim=1)


class Criterion:
    """The loss of a run.

    full            cross entropy x rebalancing weight of the nearest bin (equations 2 to 4)
    classification  cross entropy
    regression      half the squared Euclidean distance of ab (equation 1), in units of AB_SCALE

    The mean over all pixels, where the released code sums over a photo's: with AdamW, whose decay
    is decoupled, only the clipping of the gradient sees the difference. Photos of the batch without
    color of their own add nothing to the sum (nor to the gradient), as in the released code.
    """

    def __init__(self, config: TrainConfig, prior: Tensor | None) -> None:
        self.config = config
        self.class_weights: Tensor | None = None
        if config.objective == "full":
            if prior is None:
                raise ValueError("the full objective needs the prior")
            w = bins.rebalancing_weights(prior.cpu().numpy(), config.rebalance)
            self.class_weights = torch.from_numpy(w).to(prior.device)

    def __call__(self, output: Tensor, ab: Tensor) -> Tensor:
        """Mean loss of the network's output (B, 313 or 2, h, w) for the true ab (B, 2, h, w)."""
        output = output.float()
        colored = has_color(ab)[:, None, None]
        if self.config.objective == "regression":
            distance = ((output - ab / AB_SCALE) ** 2).sum(dim=1)
            return 0.5 * (distance * colored).mean()
        indices, weights = soft_encode(ab, self.config.neighbors, self.config.sigma)
        loss = sparse_cross_entropy(output, indices, weights)
        if self.class_weights is not None:
            loss = loss * self.class_weights[indices[..., 0]]
        return (loss * colored).mean()
