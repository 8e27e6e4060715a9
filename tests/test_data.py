from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from photochrom.color import bins
from photochrom.color.lab import rgb_to_lab
from photochrom.dataset.store import PhotoStore, write_shard
from photochrom.errors import ConfigError, DataError, PhotoError
from photochrom.train.config import TrainConfig
from photochrom.train.data import (
    Loader,
    Sample,
    draw_hints,
    make_batch,
    make_sample,
    measure_prior,
    quotas,
    require_color,
)

Picture = NDArray[np.uint8]


def same(one: Sample, other: Sample) -> bool:
    if one.noise is None or other.noise is None:
        alike = one.noise is other.noise
    else:
        alike = np.array_equal(one.noise, other.noise)
    drawn = one.tone == other.tone and one.hints == other.hints
    return alike and drawn and np.array_equal(one.rgb, other.rgb)


def plain(rgb: Picture, **values: Any) -> Sample:
    """A sample without any change of tone, noise or hint, but for those given."""
    return dataclasses.replace(Sample(rgb, (1.0, 0.0, 100.0, 0.0), None, ()), **values)


# --- order ----------------------------------------------------------------------------------------


def test_a_sample_depends_on_seed_and_number_alone(shard: Path) -> None:
    config = TrainConfig(steps=1, batch=5, seed=3)
    steps = [0, 1, 2, 3, 4, 5, 6]
    forward = Loader(PhotoStore([shard]), config)
    first = {step: forward.samples(step, 32) for step in steps}
    # Another loader, other batches before, in another order, over epoch ends and back.
    backward = Loader(PhotoStore([shard]), config)
    for step in reversed(steps):
        assert all(map(same, backward.samples(step, 32), first[step]))
    # Sample 7 is the same whatever the size of the batch that it falls into.
    single = Loader(PhotoStore([shard]), TrainConfig(steps=1, batch=1, seed=3))
    assert same(single.samples(7, 32)[0], first[1][2])
    # Another seed is another order and other draws.
    other = Loader(PhotoStore([shard]), TrainConfig(steps=1, batch=5, seed=4))
    assert not any(map(same, other.samples(0, 32), first[0]))
    assert [other.index(n) for n in range(12)] != [forward.index(n) for n in range(12)]


def test_a_photo_looks_different_in_every_epoch(shard: Path) -> None:
    loader = Loader(PhotoStore([shard]), TrainConfig(steps=1, batch=12))
    seen = {loader.index(n): s for n, s in enumerate(loader.samples(0, 32))}
    again = {loader.index(12 + n): s for n, s in enumerate(loader.samples(1, 32))}
    assert seen.keys() == again.keys() == set(range(12))
    assert not any(same(seen[i], again[i]) for i in seen)


@pytest.mark.parametrize("world", [2, 3])
def test_the_processes_parts_make_up_the_joint_batch(shard: Path, world: int) -> None:
    config = TrainConfig(steps=1, batch=6)
    store = PhotoStore([shard])
    parts = [Loader(store, config, rank, world) for rank in range(world)]
    for step in range(3):
        joint = Loader(store, config).samples(step, 32)
        union = [sample for part in parts for sample in part.samples(step, 32)]
        assert len(union) == 6
        assert all(map(same, union, joint))


def test_a_batch_that_cannot_be_shared_is_refused(shard: Path) -> None:
    with pytest.raises(ConfigError, match="batch 5 cannot be shared evenly by 2 processes"):
        Loader(PhotoStore([shard]), TrainConfig(steps=1, batch=5), 0, 2)


def test_every_epoch_is_another_permutation(shard: Path) -> None:
    loader = Loader(PhotoStore([shard]), TrainConfig(steps=1))
    epochs = [[loader.index(12 * e + n) for n in range(12)] for e in range(5)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5


# --- sources --------------------------------------------------------------------------------------


def test_quotas_by_hand() -> None:
    # Square roots 10, 5, 1: of 126 photos 126 * 10 / 16 = 78.75, 39.375 and 7.875.
    assert quotas([100, 25, 1], 0.5).tolist() == [79, 39, 8]
    assert quotas([100, 25, 1], 1).tolist() == [100, 25, 1]
    assert quotas([100, 25, 1], 0).tolist() == [42, 42, 42]
    for balance in (0, 0.3, 0.7):
        counts = quotas([70_001, 13, 5_000, 2], balance)
        assert counts.sum() == 75_016 and counts.min() >= 2
        shares = np.array([70_001, 13, 5_000, 2]) ** balance
        assert np.abs(counts / counts.sum() - shares / shares.sum()).max() < 1 / 75_016


@pytest.fixture
def three_sources(tmp_path: Path, encode_picture: Callable[[Picture], bytes]) -> Path:
    """16 photos of places, 4 of dogs in two classes, 1 of the sea, mixed, all of one color."""
    data = encode_picture(np.full((8, 8, 3), (200, 60, 60), np.uint8))
    subjects = [*["places"] * 16, *["dogs-n02085620", "dogs-n02099601"] * 2, "sea"]
    order = np.random.default_rng(0).permutation(len(subjects))
    path = tmp_path / "three.tar"
    write_shard(path, [(f"{n:06}-{subjects[i]}.webp", data) for n, i in enumerate(order)])
    return path


def drawn(loader: Loader, numbers: range) -> list[int]:
    return [loader.index(n) for n in numbers]


def test_sources_share_the_samples_by_their_quotas(three_sources: Path) -> None:
    store = PhotoStore([three_sources])
    subject = [store.key(i)[7:].partition("-")[0] for i in range(21)]
    loader = Loader(store, TrainConfig(steps=1, balance=0.5))
    # Square roots 4, 2, 1: 12, 6 and 3 of 21.
    for epoch in range(9):
        seen = Counter(subject[i] for i in drawn(loader, range(21 * epoch, 21 * (epoch + 1))))
        assert seen == {"places": 12, "dogs": 6, "sea": 3}
    # Within a source no photo comes again before all others have come: 4 epochs are 48 and 24.
    seen = Counter(drawn(loader, range(4 * 21)))
    assert {seen[i] for i in range(21) if subject[i] == "places"} == {3}
    assert {seen[i] for i in range(21) if subject[i] == "dogs"} == {6}
    # In an order of its own: sources are not in one piece.
    order = [subject[i] for i in drawn(loader, range(21))]
    assert sum(one != other for one, other in pairwise(order)) > 4


def test_balanced_samples_depend_on_seed_and_number_alone(three_sources: Path) -> None:
    store = PhotoStore([three_sources])
    config = TrainConfig(steps=1, balance=0.5, seed=3)
    order = drawn(Loader(store, config), range(100))
    again = Loader(store, config)
    assert [again.index(n) for n in reversed(range(100))] == order[::-1]
    other = Loader(store, dataclasses.replace(config, seed=4))
    assert drawn(other, range(100)) != order


def test_an_epoch_without_balance_is_each_photo_once(three_sources: Path) -> None:
    loader = Loader(PhotoStore([three_sources]), TrainConfig(steps=1))
    for epoch in range(3):
        assert sorted(drawn(loader, range(21 * epoch, 21 * (epoch + 1)))) == list(range(21))


# --- one sample -----------------------------------------------------------------------------------


def test_crops_lie_inside_are_square_and_go_everywhere(
    encode_picture: Callable[[Picture], bytes],
) -> None:
    # Red tells the column and green the row, in steps of 2 and 3.
    rows, columns = np.mgrid[0:80, 0:120]
    picture = np.stack([2 * columns, 3 * rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    data = encode_picture(picture)
    config = TrainConfig(steps=1, crop=0.5, tone=0.0, hints=0.0)
    sides, lefts, tops, flips = [], [], [], []
    for n in range(200):
        rgb = make_sample(data, 32, config, np.random.default_rng(n)).rgb.astype(np.float64)
        assert rgb.shape == (32, 32, 3)
        x, y = rgb[16, :, 0] / 2, rgb[:, 16, 1] / 3
        flips.append(x[0] > x[-1])
        x = np.sort(x)
        # The outer pixels' centers lie half a pixel of the crop inside its edges.
        side = (x[-2] - x[1]) / 29 * 32
        assert side == pytest.approx((y[-2] - y[1]) / 29 * 32, abs=1.5)
        sides.append(side)
        lefts.append(x.mean() + 0.5 - side / 2)
        tops.append(y.mean() + 0.5 - side / 2)
    left, top, side = np.array(lefts), np.array(tops), np.array(sides)
    assert 39 < side.min() < 44 and 76 < side.max() < 81  # half to all of the short side, 80
    assert left.min() > -1 and (left + side).max() < 121
    assert top.min() > -1 and (top + side).max() < 81
    assert left.min() < 5 and (left + side).max() > 115
    assert top.min() < 3 and (top + side).max() > 77
    assert 70 < sum(flips) < 130


def test_a_crop_of_all_is_the_photo_or_its_mirror_image(
    encode_picture: Callable[[Picture], bytes], draw_picture: Callable[..., Picture]
) -> None:
    picture = draw_picture(1, 32, 32)
    config = TrainConfig(steps=1, crop=1.0)
    for n in range(6):
        rgb = make_sample(encode_picture(picture), 32, config, np.random.default_rng(n)).rgb
        assert np.array_equal(rgb, picture) or np.array_equal(rgb, picture[:, ::-1])


def test_the_shares_of_hints_and_tones_are_those_of_the_config(
    encode_picture: Callable[[Picture], bytes], draw_picture: Callable[..., Picture]
) -> None:
    data = encode_picture(draw_picture(2, 32, 32))
    config = TrainConfig(steps=1, hints=0.5, tone=0.25)
    samples = [make_sample(data, 32, config, np.random.default_rng(n)) for n in range(800)]
    # Four standard deviations of a binomial share: 0.5 +- 0.07, 0.25 +- 0.06.
    assert np.mean([len(s.hints) > 0 for s in samples]) == pytest.approx(0.5, abs=0.07)
    toned = [s for s in samples if s.tone != (1.0, 0.0, 100.0, 0.0)]
    assert len(toned) / len(samples) == pytest.approx(0.25, abs=0.06)
    assert all(s.noise is None for s in samples if s.tone == (1.0, 0.0, 100.0, 0.0))
    for gamma, black, white, blur in (s.tone for s in toned):
        assert 0.3 < gamma < 3 and 0 <= black <= 12 and 88 <= white <= 100 and 0 <= blur <= 1
    for share in (0.0, 1.0):
        config = TrainConfig(steps=1, hints=share, tone=share)
        some = [make_sample(data, 32, config, np.random.default_rng(n)) for n in range(20)]
        assert {len(s.hints) > 0 for s in some} == {share == 1}
        assert {s.tone != (1.0, 0.0, 100.0, 0.0) for s in some} == {share == 1}


def test_hints_are_geometric_in_number_gaussian_in_place_and_even_in_size() -> None:
    rng = np.random.default_rng(0)
    draws = [draw_hints(rng, 128) for _ in range(4000)]
    counts = np.array([len(d) for d in draws])
    # Geometric with p = 1/8: mean 8, standard deviation sqrt(56); bounds are four standard errors.
    assert counts.min() == 1
    assert counts.mean() == pytest.approx(8, abs=4 * 7.48 / 63)
    for n in (1, 2, 5, 12):
        share = (7 / 8) ** (n - 1) / 8
        assert np.mean(counts == n) == pytest.approx(share, abs=4 * np.sqrt(share / 4000))
    places = np.array([hint for d in draws for hint in d])
    rows, columns, radii = places.T
    for axis in (rows, columns):
        assert axis.min() >= 0 and axis.max() <= 127
        assert axis.mean() == pytest.approx(63.5, abs=1)
        # Gaussian with sigma size / 4: 68.3 % within one sigma, 4.55 % pressed to the borders.
        assert np.mean(np.abs(axis + 0.5 - 64) < 32) == pytest.approx(0.683, abs=0.015)
        assert np.mean((axis == 0) | (axis == 127)) == pytest.approx(0.0475, abs=0.008)
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.03
    shares = {radius: count / len(radii) for radius, count in Counter(radii.tolist()).items()}
    assert shares == {radius: pytest.approx(0.25, abs=0.015) for radius in range(4)}


# --- a batch --------------------------------------------------------------------------------------


def test_color_is_the_mean_of_each_4_by_4_square_and_lightness_is_scaled(
    draw_picture: Callable[..., Picture],
) -> None:
    pictures = [draw_picture(seed, 32, 32) for seed in range(3)]
    lab = rgb_to_lab(np.stack(pictures))
    truth = lab[..., 1:].reshape(3, 8, 4, 8, 4, 2).mean(axis=(2, 4))
    ours = make_batch([plain(p) for p in pictures], 4)
    assert ours.x.shape == (3, 4, 32, 32) and ours.ab.shape == (3, 2, 8, 8)
    np.testing.assert_allclose(ours.ab.movedim(1, -1).numpy(), truth, atol=2e-3)
    np.testing.assert_allclose(ours.x[:, 0].numpy(), (lab[..., 0] - 50) / 50, atol=2e-5)
    assert not ours.x[:, 1:].any()
    published = make_batch([plain(p) for p in pictures], 1)
    assert published.x.shape == (3, 1, 32, 32)
    np.testing.assert_allclose(published.x[:, 0].numpy(), (lab[..., 0] - 50) / 100, atol=2e-5)
    assert torch.equal(published.ab, ours.ab)


def test_only_lightness_ages(draw_picture: Callable[..., Picture]) -> None:
    picture = draw_picture(4, 32, 32)
    L = rgb_to_lab(picture)[..., 0]
    clean = make_batch([plain(picture)], 4)

    def aged(**values: Any) -> tuple[NDArray[np.float32], torch.Tensor]:
        batch = make_batch([plain(picture, **values)], 4)
        return 50 + 50 * batch.x[0, 0].numpy(), batch.ab

    faded, ab = aged(tone=(1.3, 10.0, 90.0, 0.0))
    np.testing.assert_allclose(faded, 10 + 80 * (L / 100) ** 1.3, atol=2e-3)
    assert torch.equal(ab, clean.ab)

    noise = np.random.default_rng(0).normal(0, 4, (32, 32)).astype(np.float32)
    noisy, ab = aged(noise=noise)
    np.testing.assert_allclose(noisy, np.clip(L + noise, 0, 100), atol=2e-3)
    assert torch.equal(ab, clean.ab)

    soft, ab = aged(tone=(1.0, 0.0, 100.0, 0.5))
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    wide = np.pad(L, 2, mode="reflect").astype(np.float64)
    wide = sum(kernel[i] * wide[i : i + 32] for i in range(5))
    wide = sum(kernel[i] * wide[:, i : i + 32] for i in range(5))
    np.testing.assert_allclose(soft, 0.5 * L + 0.5 * wide, atol=2e-3)
    assert torch.equal(ab, clean.ab)


def test_each_sample_of_a_batch_ages_by_itself(draw_picture: Callable[..., Picture]) -> None:
    samples = [
        plain(draw_picture(0, 32, 32), tone=(0.8, 5.0, 95.0, 0.3), hints=((3, 4, 1),)),
        plain(draw_picture(1, 32, 32)),
        plain(draw_picture(2, 32, 32), noise=np.full((32, 32), 3, np.float32)),
    ]
    joint = make_batch(samples, 4)
    for i, sample in enumerate(samples):
        alone = make_batch([sample], 4)
        torch.testing.assert_close(joint.x[i], alone.x[0], rtol=0, atol=1e-6)
        assert torch.equal(joint.ab[i], alone.ab[0])


def test_hints_show_the_mean_color_of_their_patch_and_nothing_beside(
    draw_picture: Callable[..., Picture],
) -> None:
    picture = draw_picture(5, 32, 32)
    hints = ((0, 31, 3), (10, 12, 0), (20, 8, 2), (31, 0, 1))  # two of them cut by a corner
    x = make_batch([plain(picture, hints=hints)], 4).x[0].numpy()
    ab = rgb_to_lab(picture)[..., 1:]
    expected = np.zeros((3, 32, 32))
    for row, column, radius in hints:
        inside = [
            (y, z)
            for y in range(row - radius, row + radius + 1)
            for z in range(column - radius, column + radius + 1)
            if 0 <= y < 32 and 0 <= z < 32
        ]
        mean = np.mean([ab[place] for place in inside], axis=0) / 110
        for y, z in inside:
            expected[:, y, z] = [*mean, 1]
    np.testing.assert_allclose(x[1:], expected, atol=2e-5)


# --- the thread and the prior ---------------------------------------------------------------------


def loader_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "photochrom-loader"]


def test_prefetch_gives_what_was_asked_for_in_order(shard: Path) -> None:
    loader = Loader(PhotoStore([shard]), TrainConfig(steps=1, batch=3))
    asked = [(4, 32), (5, 64), (9, 32), (0, 64), (1, 32)]
    got = list(loader.prefetch(iter(asked)))
    again = Loader(PhotoStore([shard]), TrainConfig(steps=1, batch=3))
    assert len(got) == len(asked)
    for samples, (step, size) in zip(got, asked, strict=True):
        assert all(map(same, samples, again.samples(step, size)))
    assert not loader_threads()


def test_prefetch_stops_its_thread_when_no_longer_wanted(shard: Path) -> None:
    loader = Loader(PhotoStore([shard]), TrainConfig(steps=1, batch=2))

    def without_end() -> Iterator[tuple[int, int]]:
        step = 0
        while True:
            yield step, 32
            step += 1

    batches = loader.prefetch(without_end())
    next(batches)
    assert loader_threads()
    batches.close()
    assert not loader_threads()


def test_prefetch_raises_the_readers_error_with_the_files_name(
    tmp_path: Path, pictures: list[Picture], encode_picture: Callable[[Picture], bytes]
) -> None:
    good = encode_picture(pictures[0])
    write_shard(tmp_path / "a.tar", [("good.webp", good), ("torn.webp", good[: len(good) // 3])])
    loader = Loader(PhotoStore([tmp_path / "a.tar"]), TrainConfig(steps=1, batch=1))
    with pytest.raises(PhotoError, match=r"a\.tar: torn\.webp: cannot be decoded"):
        list(loader.prefetch((step, 32) for step in range(2)))
    assert not loader_threads()


def test_measured_prior_is_that_of_the_photos(shard: Path, pictures: list[Picture]) -> None:
    colors = []
    for picture in pictures:
        h, w = (side // 4 * 4 for side in picture.shape[:2])
        ab = rgb_to_lab(picture[:h, :w])[..., 1:]
        colors.append(ab.reshape(h // 4, 4, w // 4, 4, 2).mean(axis=(1, 3)))
    prior = measure_prior(PhotoStore([shard]), TrainConfig(steps=1))
    assert prior.dtype == np.float32 and prior.sum() == pytest.approx(1, abs=1e-5)
    # A mean on the edge between two cells may fall into either.
    cells = [np.floor(ab) + np.float32(0.5) for ab in colors]
    np.testing.assert_allclose(prior, bins.prior_of(cells), atol=1e-3)


def test_gray_photos_have_no_part_in_the_prior(
    tmp_path: Path, pictures: list[Picture], encode_picture: Callable[[Picture], bytes]
) -> None:
    gray = np.repeat(pictures[0][..., :1], 3, axis=2)
    write_shard(tmp_path / "a.tar", [("a.webp", encode_picture(pictures[1]))])
    write_shard(
        tmp_path / "b.tar",
        [("a.webp", encode_picture(pictures[1])), ("b.webp", encode_picture(gray))],
    )
    alone, beside = (
        measure_prior(PhotoStore([tmp_path / name]), TrainConfig(steps=1))
        for name in ("a.tar", "b.tar")
    )
    np.testing.assert_array_equal(alone, beside)


def test_photos_without_any_color_are_refused(
    tmp_path: Path, pictures: list[Picture], encode_picture: Callable[[Picture], bytes]
) -> None:
    gray = [encode_picture(np.repeat(p[..., :1], 3, axis=2)) for p in pictures[:3]]
    samples = [(f"{i}.webp", data) for i, data in enumerate(gray)]
    write_shard(tmp_path / "gray.tar", samples)
    write_shard(tmp_path / "one.tar", [*samples, ("z.webp", encode_picture(pictures[3]))])
    store = PhotoStore([tmp_path / "gray.tar"])
    with pytest.raises(DataError, match="none of the 3 photos looked at has color"):
        require_color(store)
    with pytest.raises(DataError, match="none of the 3 photos looked at has color"):
        measure_prior(store, TrainConfig(steps=1))
    require_color(PhotoStore([tmp_path / "one.tar"]))
