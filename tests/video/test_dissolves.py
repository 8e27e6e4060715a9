"""Dissolves are found where clips dissolve, and the colors of both shots are mixed in them."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from photochrom.look import Look
from photochrom.video.dissolves import shots
from photochrom.video.motion import Motion, Seen
from photochrom.video.stretch import Pace, stretches

SIZE = (96, 128)


def pan(scene, count, step=1):
    return [scene[20 : 20 + SIZE[0], 4 + step * i : 4 + step * i + SIZE[1]] for i in range(count)]


def dissolve(one, other, mixed):
    """Two shots whose last and first pictures lie over each other."""
    clip = one[:-mixed]
    for i in range(mixed):
        share = (i + 1) / (mixed + 1)
        clip.append((1 - share) * one[len(one) - mixed + i] + share * other[i])
    return clip + other[mixed:]


def found(clip, grain=2.0):
    rng = np.random.default_rng(1)
    seen = [
        Seen.of(np.clip(p + rng.normal(0, grain, p.shape), 0, 100).astype(np.float32)) for p in clip
    ]
    told = list(shots(seen, Motion()))
    assert len(told) == len(clip)
    return [(i, mixed) for i, (_, begins, mixed) in enumerate(told) if begins][1:]


@pytest.mark.parametrize("mixed", [5, 12, 24])
@pytest.mark.parametrize("step", [0, 1])
def test_a_dissolve_is_found_with_its_length(draw_scene, mixed, step):
    one, other = (pan(draw_scene(seed), 32, step) for seed in (1, 2))
    ((start, length),) = found(dissolve(one, other, mixed))
    assert abs(start - (32 - mixed)) <= 2
    assert abs(length - mixed) <= 1 + 0.25 * mixed  # the ends of a long one are hardly mixed


@pytest.mark.parametrize("step", [1, 3])
def test_a_pan_is_no_dissolve(draw_scene, step):
    assert found(pan(draw_scene(3), 40, step)) == []


def test_cuts_and_fades_stay_what_they_are(draw_scene):
    one, other = (pan(draw_scene(seed), 20) for seed in (1, 2))
    assert found([*one, *other]) == [(20, 0)]
    out = [p * f for p, f in zip(one, np.linspace(1, 0, 20), strict=True)]
    into = [p * f for p, f in zip(other, np.linspace(0, 1, 20), strict=True)]
    ((start, mixed),) = found([*out, *into], grain=0.3)
    assert mixed == 0 and 18 <= start <= 30


def test_a_disk_that_crosses_the_picture_is_no_dissolve(draw_scene):
    ground, other = draw_scene(1)[:96, :128], draw_scene(2)[:96, :128]
    rows, columns = np.mgrid[:96, :128]
    clip = []
    for i in range(40):
        inside = np.hypot(rows - 48, columns - 4 * i + 16) < 34
        clip.append(np.where(inside, other, ground))
    assert found(clip) == []


class Sure:
    """Stands where the network stands: red in the first shot, blue in the second."""

    def __init__(self, until):
        self.until, self.looked = until, -1

    def see(self, luma):
        return Seen.of(luma.astype(np.float32))

    def logits(self, seen):
        self.looked += 1
        return np.full((2, SIZE[0] // 4, SIZE[1] // 4), self.looked >= self.until, np.float32)

    def upright_ab(self, logits, look, shift=None):
        return np.ascontiguousarray(np.moveaxis(logits, 0, -1))

    def stored(self, ab):
        return ab


def test_colors_are_mixed_as_the_pictures_are(draw_scene):
    one, other = (pan(draw_scene(seed), 24, 0) for seed in (1, 2))
    clip = dissolve(one, other, 11)
    eye = Sure(13)  # the network looks at each of the 13 pictures before the mixed ones
    colors, begins = [], []
    for stretch in stretches(clip, eye, Pace(every=1)):
        with closing(stretch):
            begins.append((stretch.first, stretch.mixed))
            stretch.look = Look()
            colors += [ab.mean() for ab in stretch.colors(clip[stretch.first :], eye)]
    ((_, none), (first, mixed)) = begins
    assert none == 0 and abs(first - 13) <= 1 and abs(mixed - 11) <= 2
    eye.until = first
    np.testing.assert_allclose(colors[:first], 0, atol=1e-6)
    np.testing.assert_allclose(colors[first + mixed :], 1, atol=1e-6)
    middle = colors[first : first + mixed]
    assert np.diff(middle).min() > 0
    assert 0.3 < middle[mixed // 2] < 0.7
