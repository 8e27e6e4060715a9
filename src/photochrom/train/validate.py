"""Quick figures of a network on validation photos, the same for every run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from photochrom.color import bins, metrics
from photochrom.dataset.decode import decode
from photochrom.dataset.store import PhotoStore
from photochrom.train.config import AB_SCALE
from photochrom.train.lab import annealed_mean, rgb_to_lab, soft_encode
from photochrom.train.losses import sparse_cross_entropy

__all__ = ["Tally", "validate"]


class Tally:
    """Sums over photos that end in one row of figures."""

    def __init__(self, prior: ArrayLike) -> None:
        self.weights = {f"{x:g}": metrics.class_weights(prior, x) for x in (0, 0.5)}
        cells = metrics.THRESHOLDS * 10 + 1
        self.raw = np.zeros(cells)
        self.rebalanced = {name: np.zeros(cells) for name in self.weights}
        self.chroma = self.true_chroma = 0.0
        self.invented: list[float] = []

    def add(self, ab: ArrayLike, truth: ArrayLike, nearest: ArrayLike) -> None:
        """One photo: predicted and true ab (h, w, 2), and the nearest bin of the truth (h, w)."""
        self.raw += metrics.error_histogram(ab, truth)
        for name, w in self.weights.items():
            self.rebalanced[name] += metrics.error_histogram(ab, truth, w[np.asarray(nearest)])
        self.chroma += float(np.linalg.norm(ab, axis=-1).sum())
        self.true_chroma += float(np.linalg.norm(truth, axis=-1).sum())
        self.invented.append(metrics.invented(ab, truth))

    def figures(self) -> dict[str, float]:
        return {
            "auc_raw": metrics.auc(self.raw),
            "auc_rebalanced_0": metrics.auc(self.rebalanced["0"]),
            "auc_rebalanced_0.5": metrics.auc(self.rebalanced["0.5"]),
            "chroma_share": self.chroma / max(self.true_chroma, 1e-9),
            "inventions": 100 * float(np.mean(self.invented)),
            "inventions_worst": 100 * metrics.worst_tenth(self.invented),
        }


def _square(data: bytes, size: int, name: str) -> NDArray[np.uint8]:
    from PIL import Image

    rgb = decode(data, name)
    height, width = rgb.shape[:2]
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(rgb).resize((size, size), Image.Resampling.BICUBIC, box=box))


@torch.no_grad()
def validate(
    network: nn.Module,
    store: PhotoStore,
    prior: ArrayLike,
    *,
    photos: int = 512,
    every: int = 1,
    size: int = 128,
    temperatures: Iterable[float] = (bins.TEMPERATURE,),
    shifts: Iterable[ArrayLike | None] = (None,),
    batch: int = 32,
) -> list[dict[str, float]]:
    """Figures of a network on the central squares of photos of a store.

    Parameters
    ----------
    network : logits (B, 313, h, w) or regressed ab / 110 (B, 2, h, w), in evaluation mode
    prior : (313,), for AuC rebalanced
    photos : at most so many
    every : the first photo and every so manieth after it
    temperatures : one row of figures for each
    shifts : (313,) added to the logits, or None; one row for each and temperature

    Returns
    -------
    rows : the first is gray (ab = 0); then one for each shift and temperature. `nll` is in bits a
        pixel and is that of the soft-encoded truth.
    """
    rows = [(s, t) for s in shifts for t in temperatures]
    tallies = [Tally(prior) for _ in range(len(rows) + 1)]
    bits: list[list[float]] = [[] for _ in tallies]
    network.eval()
    channels, scale = int(network.in_channels), float(network.L_scale)  # type: ignore[arg-type]
    wanted = range(0, len(store), every)[:photos]
    for first in range(0, len(wanted), batch):
        chosen = wanted[first : first + batch]
        rgb = np.stack([_square(store.read(i), size, store.name(i)) for i in chosen])
        lab = rgb_to_lab(torch.from_numpy(rgb).permute(0, 3, 1, 2))
        x = torch.zeros(len(chosen), channels, size, size)
        x[:, :1] = (lab[:, :1] - 50) / scale
        output = network(x).float()
        truth = lab[:, 1:]
        nearest = bins.nearest_bin(truth.movedim(1, -1).numpy())
        gray = torch.zeros_like(truth)
        _tally(tallies[0], gray, truth, nearest)
        small = soft_encode(F.avg_pool2d(truth, 4))
        for tally, nll, (shift, t) in zip(tallies[1:], bits[1:], rows, strict=True):
            if output.shape[1] == 2:
                ab = output * AB_SCALE
            else:
                z = output
                if shift is not None:
                    z = z + torch.as_tensor(shift, dtype=torch.float32)[:, None, None]
                ab = annealed_mean(z, t)
                photo = sparse_cross_entropy(z, *small).mean(dim=(1, 2)) / np.log(2)
                nll.extend(photo.tolist())
            ab = F.interpolate(ab, size=(size, size), mode="bilinear", align_corners=False)
            _tally(tally, ab, truth, nearest)
    out = []
    for tally, nll in zip(tallies, bits, strict=True):
        out.append(tally.figures() | ({"nll": float(np.mean(nll))} if nll else {}))
    return out


def _tally(tally: Tally, ab: Tensor, truth: Tensor, nearest: NDArray[np.int64]) -> None:
    ours, theirs = ab.movedim(1, -1).numpy(), truth.movedim(1, -1).numpy()
    for a, b, n in zip(ours, theirs, nearest, strict=True):
        tally.add(a, b, n)
