"""Cuts are found where clips were cut, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from photochrom.video.motion import Motion, Seen
from photochrom.video.shots import marked

SIZE = (96, 128)


def window(scene, top, left):
    return scene[top : top + SIZE[0], left : left + SIZE[1]]


def pan(scene, count, step=2, top=20):
    return [window(scene, top, 4 + step * i) for i in range(count)]


def cuts(pictures, grain=3.0):
    rng = np.random.default_rng(1)
    seen = [
        Seen.of(np.clip(p + rng.normal(0, grain, p.shape), 0, 100).astype(np.float32))
        for p in pictures
    ]
    found = [begins for _, begins in marked(seen, Motion())]
    assert len(found) == len(pictures)
    assert found[0]
    return [i for i, begins in enumerate(found) if begins][1:]


def test_cuts_are_found_to_the_picture(draw_scene):
    clip, expected = [], []
    for seed, count in enumerate([9, 5, 12, 7, 6, 8]):
        expected.append(len(clip))
        clip += pan(draw_scene(seed), count, step=seed % 4)
    assert cuts(clip) == expected[1:]


def test_a_cut_between_dark_scenes_is_found(draw_scene):
    dark = [0.25 * p for seed in (1, 2) for p in pan(draw_scene(seed), 8)]
    assert cuts(dark, grain=1.0) == [8]


@pytest.mark.parametrize("step", [0, 1, 4, 8])
def test_a_pan_is_no_cut(draw_scene, step):
    assert cuts(pan(draw_scene(3), 20, step)) == []


@pytest.mark.parametrize("length", [1, 3])
def test_a_flash_is_no_cut(draw_scene, length):
    clip = pan(draw_scene(4), 20)
    for i in range(8, 8 + length):
        clip[i] = np.clip(clip[i] * 1.5 + 50, 0, 100)
    assert cuts(clip) == []


def test_a_torn_picture_is_no_cut(draw_scene):
    clip = pan(draw_scene(4), 20)
    clip[9] = window(draw_scene(77), 0, 0)
    assert cuts(clip) == []


def test_flicker_is_no_cut(draw_scene):
    rng = np.random.default_rng(2)
    clip = [np.clip(p * rng.uniform(0.6, 1.3), 0, 100) for p in pan(draw_scene(5), 24, 1)]
    assert cuts(clip) == []


def test_static_pictures_are_one_shot(draw_scene):
    assert cuts(pan(draw_scene(6), 30, 0)) == []
    assert cuts([np.full(SIZE, 40.0)] * 12) == []


def test_a_fade_through_black_parts_two_scenes_once(draw_scene):
    out = [p * f for p, f in zip(pan(draw_scene(1), 12, 1), np.linspace(1, 0, 12), strict=True)]
    into = [p * f for p, f in zip(pan(draw_scene(2), 12, 1), np.linspace(0, 1, 12), strict=True)]
    found = cuts([*out, *[np.zeros(SIZE)] * 5, *into], grain=0.3)
    assert len(found) == 1 and 12 <= found[0] <= 21


def test_a_blink_to_black_is_no_cut(draw_scene):
    clip = pan(draw_scene(8), 20, 1)
    clip[9:13] = [np.zeros(SIZE)] * 4
    assert cuts(clip) == []
