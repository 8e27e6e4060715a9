from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from photochrom import ConfigError
from photochrom.dataset.store import PhotoStore, write_shard
from photochrom.train.config import AB_SCALE, TrainConfig
from photochrom.train.data import HINT_MEAN
from photochrom.train.lab import rgb_to_lab
from photochrom.train.loop import Trainer
from photochrom.train.resident import ResidentLoader, _Draw

Picture = NDArray[np.uint8]
CPU = torch.device("cpu")
PLAIN = TrainConfig(steps=9, batch=4, sizes=((0.0, 32),), tone=0.0, hints=0.0, resident=True)


@pytest.fixture(scope="module")
def store(shard: Path) -> PhotoStore:
    return PhotoStore([shard])


def test_a_batch_is_shaped_as_the_other_loader_makes_it(store: PhotoStore) -> None:
    loader = ResidentLoader(store, PLAIN, CPU)
    for size, channels in ((32, 4), (64, 4), (128, 4), (32, 1)):
        batch = loader.batch(0, size, channels)
        assert batch.x.shape == (4, channels, size, size)
        assert batch.ab.shape == (4, 2, size // 4, size // 4)
        assert batch.x[:, :1].abs().max() <= 1 and batch.ab.abs().max() <= 110
    assert (loader.batch(0, 32, 4).x[:, 1:] == 0).all(), "no hints were asked for"


def test_pixels_are_those_of_the_photos(
    tmp_path: Path, draw_picture: Callable[..., Picture], encode_picture: Callable[[Picture], bytes]
) -> None:
    # Squares, cropped whole and to their own size: each is the photo itself or its mirror image.
    pictures = [draw_picture(n, 128, 128) for n in range(4)]
    path = tmp_path / "squares.tar"
    write_shard(path, [(f"{n}.webp", encode_picture(p)) for n, p in enumerate(pictures)])
    loader = ResidentLoader(PhotoStore([path]), replace(PLAIN, crop=1.0), CPU)
    seen = set()
    mirrored = 0
    for step in range(4):
        photos = torch.tensor([loader._index(step * 4 + k) for k in range(4)])
        crops = loader._crops(photos, 128, _Draw(CPU, 0, step, 4))
        for photo, crop in zip(photos.tolist(), crops, strict=True):
            truth = torch.from_numpy(pictures[photo]).permute(2, 0, 1).float() / 255
            same = [(crop - t).abs().max() < 1e-5 for t in (truth, truth.flip(2))]
            assert sum(same) == 1
            mirrored += int(same[1])
            seen.add(photo)
    assert seen == {0, 1, 2, 3} and 3 < mirrored < 13


def test_crops_of_flat_photos_are_flat_and_nothing_bleeds_from_the_next_photo(
    tmp_path: Path, encode_picture: Callable[[Picture], bytes]
) -> None:
    colors = [[250, 10, 10], [10, 250, 10], [10, 10, 250], [250, 250, 10]]
    shapes = [(40, 60), (60, 40), (33, 33), (70, 35)]
    path = tmp_path / "flat.tar"
    write_shard(
        path,
        [
            (f"{n}.webp", encode_picture(np.broadcast_to(np.array(c, np.uint8), (*s, 3))))
            for n, (c, s) in enumerate(zip(colors, shapes, strict=True))
        ],
    )
    loader = ResidentLoader(PhotoStore([path]), PLAIN, CPU)
    for step in range(6):
        photos = torch.tensor([0, 1, 2, 3])
        crops = loader._crops(photos, 32, _Draw(CPU, 1, step, 4))
        expected = torch.tensor(colors).float()[:, :, None, None] / 255
        torch.testing.assert_close(crops, expected.expand_as(crops))


def test_a_step_is_the_same_again_and_another_step_is_not(store: PhotoStore) -> None:
    config = replace(PLAIN, tone=0.5, hints=0.5)
    one, other = (ResidentLoader(store, config, CPU) for _ in range(2))
    again = other.batch(3, 64, 4)
    torch.testing.assert_close(one.batch(3, 64, 4).x, again.x, rtol=0, atol=0)
    assert (one.batch(2, 64, 4).x != again.x).any()


def test_an_epoch_takes_every_photo_once(store: PhotoStore) -> None:
    loader = ResidentLoader(store, PLAIN, CPU)
    steps = len(store) // 4
    taken = [loader._index(k) for k in range(4 * steps)]
    assert sorted(taken) == list(range(len(store)))


def test_only_lightness_is_aged(store: PhotoStore) -> None:
    clean = ResidentLoader(store, PLAIN, CPU).batch(1, 64, 4)
    aged = ResidentLoader(store, replace(PLAIN, tone=1.0), CPU).batch(1, 64, 4)
    torch.testing.assert_close(aged.ab, clean.ab)
    assert ((aged.x[:, 0] - clean.x[:, 0]).abs().amax(dim=(1, 2)) > 0.02).all()


def test_hints_are_true_colors_in_squares(store: PhotoStore) -> None:
    config = replace(PLAIN, hints=1.0, batch=12, crop=1.0)
    batch = ResidentLoader(store, config, CPU).batch(0, 64, 4)
    mask = batch.x[:, 3]
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert (mask.sum(dim=(1, 2)) > 0).all()
    assert (batch.x[:, 1:3] * (1 - mask[:, None]) == 0).all()
    # A hint is the mean of its square, so on average as far from the truth as a photo varies there.
    truth = F.interpolate(batch.ab, scale_factor=4)
    hinted = batch.x[:, 1:3] * AB_SCALE
    error = ((hinted - truth).norm(dim=1) * mask).sum() / mask.sum()
    spread = (truth - truth.mean(dim=(2, 3), keepdim=True)).norm(dim=1).mean()
    assert error < 0.6 * spread


def test_how_many_hints_follows_the_geometric_law() -> None:
    count = _Draw(CPU, 0, 0, 40_000).geometric(1 / HINT_MEAN).double()
    assert count.min() == 1
    assert count.mean() == pytest.approx(HINT_MEAN, rel=0.03)
    assert (count == 1).double().mean() == pytest.approx(1 / HINT_MEAN, rel=0.05)


def test_the_colors_are_those_of_the_whole_batch(store: PhotoStore) -> None:
    loader = ResidentLoader(store, PLAIN, CPU)
    photos = torch.tensor([loader._index(k) for k in range(4)])
    lab = rgb_to_lab(loader._crops(photos, 32, _Draw(CPU, PLAIN.seed, 0, 4)))
    batch = loader.batch(0, 32, 4)
    torch.testing.assert_close(batch.x[:, :1], (lab[:, :1] - 50) / 50)
    torch.testing.assert_close(batch.ab, F.avg_pool2d(lab[:, 1:], 4))


def test_several_processes_are_refused(store: PhotoStore, run: Path) -> None:
    run.mkdir()
    trainer = Trainer(
        replace(PLAIN, pretrained=False, encoder="lite0"),
        store,
        np.full(313, 1 / 313, np.float32),
        run,
    )
    assert trainer.world == 1
    trainer.world = 2
    with pytest.raises(ConfigError, match="one process"):
        trainer._batches(4)
