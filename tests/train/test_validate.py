from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.color import rgb2lab
from torch import Tensor, nn

from photochrom.color import bins
from photochrom.color.lab import rgb_to_lab
from photochrom.dataset.store import PhotoStore, write_shard
from photochrom.train.validate import Take, validate

Picture = NDArray[np.uint8]
FLAT = np.array([[200, 60, 60], [40, 140, 60], [60, 80, 190], [220, 200, 90]], dtype=np.uint8)
"""Four colors of different lightness."""


def prior() -> NDArray[np.float32]:
    p = np.exp(-np.linalg.norm(bins.BINS, axis=1) / 20)
    shares: NDArray[np.float32] = (p / p.sum()).astype(np.float32)
    return shares


@pytest.fixture
def flat_photos(tmp_path: Path, encode_picture: Callable[[Picture], bytes]) -> PhotoStore:
    """Photos of one color each."""
    photos = [np.broadcast_to(c, (40, 48, 3)) for c in FLAT]
    path = tmp_path / "flat.tar"
    write_shard(path, [(f"{i}.webp", encode_picture(p)) for i, p in enumerate(photos)])
    return PhotoStore([path])


class Oracle(nn.Module):
    """Knows the true color of each lightness in FLAT."""

    in_channels, L_scale = 4, 50.0

    def __init__(self, as_logits: bool) -> None:
        super().__init__()
        self.as_logits = as_logits
        lab = rgb_to_lab(FLAT)
        self.L, self.ab = torch.from_numpy(lab[:, 0]), torch.from_numpy(lab[:, 1:])

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        L = 50 + 50 * x[:, 0, ::4, ::4]
        ab = self.ab[(L[..., None] - self.L).abs().argmin(dim=-1)]
        if not self.as_logits:
            regressed: Tensor = ab.movedim(-1, 1) / 110
            return regressed
        distance = (ab[..., None, :] - torch.tensor(bins.BINS)).norm(dim=-1)
        logits: Tensor = -50 * distance.movedim(-1, 1)
        return logits


def area(error: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """AuC by its definition: the share of errors up to t, for t from 0 to 150."""
    thresholds = np.linspace(0, 150, 1501)
    curve = [weights[error <= t].sum() / weights.sum() for t in thresholds]
    return float(100 * np.trapezoid(curve, thresholds) / 150)


def centers(pictures: list[Picture]) -> NDArray[np.uint8]:
    """The middle 64 x 64 of pictures whose short side is 64."""
    out = []
    for p in pictures:
        top, left = (p.shape[0] - 64) // 2, (p.shape[1] - 64) // 2
        out.append(p[top : top + 64, left : left + 64])
    return np.stack(out)


def test_the_gray_row_equals_a_calculation_by_hand(
    tmp_path: Path,
    draw_picture: Callable[..., Picture],
    encode_picture: Callable[[Picture], bytes],
) -> None:
    pictures = [
        draw_picture(seed, *size) for seed, size in enumerate([(64, 64), (64, 80), (90, 64)])
    ]
    path = tmp_path / "photos.tar"
    write_shard(path, [(f"{i}.webp", encode_picture(p)) for i, p in enumerate(pictures)])
    network = Oracle(as_logits=False)
    rows = validate(network, PhotoStore([path]), prior(), take=Take(photos=9, size=64, batch=2))

    ab = rgb2lab(centers(pictures))[..., 1:].reshape(-1, 2)
    error = np.linalg.norm(ab, axis=1)
    distance = np.linalg.norm(ab[:, None] - bins.BINS[None], axis=-1)
    p = prior().astype(np.float64)[distance.argmin(axis=1)]
    gray = rows[0]
    assert gray["auc_raw"] == pytest.approx(area(error, np.ones_like(error)), abs=0.02)
    assert gray["auc_rebalanced_0"] == pytest.approx(area(error, 1 / p), abs=0.05)
    half = 1 / (0.5 * p + 0.5 / 313)
    assert gray["auc_rebalanced_0.5"] == pytest.approx(area(error, half), abs=0.05)
    assert gray["chroma_share"] == 0
    assert 40 < gray["auc_raw"] < 95 and gray["auc_rebalanced_0"] < gray["auc_raw"] - 1


def test_a_perfect_network_has_all_of_the_area(flat_photos: PhotoStore) -> None:
    gray, perfect = validate(Oracle(as_logits=False), flat_photos, prior(), take=Take(size=32))
    for name in ("auc_raw", "auc_rebalanced_0", "auc_rebalanced_0.5"):
        # Rounding puts an error of 1e-5 into the second of 1501 cells.
        assert perfect[name] == pytest.approx(100, abs=0.05)
        assert gray[name] < 80
    assert perfect["chroma_share"] == pytest.approx(1, abs=1e-4)
    assert "nll" not in perfect


def test_logits_are_read_at_each_temperature_and_shift(flat_photos: PhotoStore) -> None:
    shift = np.zeros(313)
    shift[bins.nearest_bin([0.0, 0.0])] = 1e6  # whatever the network says, gray
    rows = validate(
        Oracle(as_logits=True),
        flat_photos,
        prior(),
        temperatures=(0.38, 1.0),
        shifts=(None, shift),
        take=Take(size=32),
    )
    assert len(rows) == 5
    gray, sharp, soft, shifted, _ = rows
    for row in (sharp, soft):  # only the nearest bin's center: at most 7.1 away, of 150
        assert row["auc_raw"] > 95
    assert shifted["auc_raw"] == pytest.approx(gray["auc_raw"], abs=1e-3)
    assert shifted["nll"] > 1e5


def test_nll_is_in_bits_and_counts_every_photo_alike(flat_photos: PhotoStore) -> None:
    class Same(nn.Module):
        in_channels, L_scale = 1, 100.0

        def forward(self, x: Tensor) -> Tensor:
            z = torch.zeros(len(x), 313, x.shape[2] // 4, x.shape[3] // 4)
            z[:, 7] = 3.0
            return z

    z = np.zeros(313)
    z[7] = 3.0
    log_p = (z - np.log(np.exp(z).sum())) / np.log(2)
    indices, weights = bins.soft_encode(np.floor(rgb_to_lab(FLAT)[:, 1:]) + 0.5)
    expected = -(weights * log_p[indices]).sum(axis=1).mean()
    for batch in (1, 3, 4):  # 3: batches of three photos and of one
        rows = validate(Same(), flat_photos, prior(), take=Take(size=32, batch=batch))
        assert rows[1]["nll"] == pytest.approx(expected, rel=1e-5)


def test_inventions_are_counted_by_photo(
    tmp_path: Path, encode_picture: Callable[[Picture], bytes]
) -> None:
    # A gray photo, and one whose upper half is gray and whose lower half is red.
    half = np.full((32, 32, 3), 128, np.uint8)
    half[16:] = (200, 60, 60)
    photos = [np.full((32, 32, 3), 90, np.uint8), half]
    path = tmp_path / "gray.tar"
    write_shard(path, [(f"{i}.webp", encode_picture(p)) for i, p in enumerate(photos)])

    class Blue(nn.Module):
        in_channels, L_scale = 1, 100.0

        def forward(self, x: Tensor) -> Tensor:
            ab = torch.tensor([0.1, -0.4]).view(1, 2, 1, 1)  # a chroma of 45
            return ab.expand(len(x), 2, x.shape[2] // 4, x.shape[3] // 4)

    gray, blue = validate(Blue(), PhotoStore([path]), prior(), take=Take(size=32))
    assert gray["inventions"] == gray["inventions_worst"] == 0
    assert blue["inventions"] == pytest.approx(75, abs=2)  # the resized edge is neither
    assert blue["inventions_worst"] == 100


def test_every_so_manieth_photo_is_taken(flat_photos: PhotoStore) -> None:
    rows = validate(Oracle(as_logits=False), flat_photos, prior(), take=Take(every=2, size=32))
    ab = rgb_to_lab(FLAT[::2])[:, 1:].astype(np.float64)
    expected = area(np.linalg.norm(ab, axis=1), np.ones(2))
    assert rows[0]["auc_raw"] == pytest.approx(expected, abs=0.05)


def test_only_the_first_photos_are_taken(flat_photos: PhotoStore, tmp_path: Path) -> None:
    one = validate(Oracle(as_logits=False), flat_photos, prior(), take=Take(photos=1, size=32))
    ab = rgb_to_lab(FLAT[:1])[:, 1:].astype(np.float64)
    expected = area(np.linalg.norm(ab, axis=1), np.ones(1))
    assert one[0]["auc_raw"] == pytest.approx(expected, abs=0.05)
