"""Colors stay steady along the motion, and go neither over a cut nor with what hid them."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction

import numpy as np
import pytest

from photochrom.look import Look
from photochrom.video.luma import Scale
from photochrom.video.motion import Match, Motion, Seen, carry
from photochrom.video.source import Facts
from photochrom.video.steady import Spool, between, carried, said, together
from photochrom.video.stretch import Pace, stretches

SIZE = (96, 128)
Q = 5


class Unsure:
    """Stands where the network stands: says what it is told for each picture, in turn."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.asked = 0

    def see(self, luma):
        return Seen.of(luma.astype(np.float32))

    def logits(self, seen):
        self.asked += 1
        return self.answers[self.asked - 1]

    def upright_ab(self, logits, look, shift=None):
        return np.ascontiguousarray(np.moveaxis(logits[:2], 0, -1))

    def stored(self, ab):
        return ab


def pan(scene, count, step=2):
    return [scene[20 : 20 + SIZE[0], 4 + step * i : 4 + step * i + SIZE[1]] for i in range(count)]


def noise(count, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1, (Q, SIZE[0] // 4, SIZE[1] // 4)).astype(np.float32)
            for _ in range(count)]  # fmt: skip


def colors(lumas, eye, pace):
    maps = []
    for stretch in stretches(lumas, eye, pace):
        with closing(stretch):
            maps += stretch.colors(lumas[stretch.first :], eye)
    return maps


def test_the_match_of_a_pan_is_the_pan(draw_scene):
    scene = draw_scene(1)
    here, there = (Seen.of(p) for p in (pan(scene, 3, 4)[2], pan(scene, 3, 4)[0]))
    match = Motion().match(here, there)
    columns = np.arange(SIZE[1] // 4)
    moved = (match.x - columns)[4:-4, 4:-6]
    assert abs(np.median(moved) - 2.0) < 0.15  # 8 pixels of the input
    assert match.certainty[4:-4, 4:-6].mean() > 0.8
    assert match.certainty[:, -1].max() < 0.3  # it was outside


def test_another_scene_is_not_matched(draw_scene):
    here, there = (Seen.of(pan(draw_scene(seed), 1)[0]) for seed in (1, 2))
    assert Motion().match(here, there).certainty.mean() < 0.25


@pytest.mark.parametrize("passes, least", [(1, 2.0), (2, 3.0)])
def test_noise_of_the_network_is_averaged_along_the_motion(draw_scene, passes, least):
    lumas = pan(draw_scene(3), 16)
    alone = colors(lumas, Unsure(noise(16)), Pace(1, 0))
    steady = colors(lumas, Unsure(noise(16)), Pace(1, passes))
    inner = np.s_[4:-4, 4:-8]

    def change(maps):
        step = 0.5  # of the network's output a picture
        x, y = np.meshgrid(np.arange(SIZE[1] // 4, dtype=np.float32) + np.float32(step),
                           np.arange(SIZE[0] // 4, dtype=np.float32))  # fmt: skip
        moved = [carry(np.moveaxis(m, -1, 0).copy(), x, y, 1) for m in maps]
        pairs = zip(maps[9:], moved[8:], strict=False)
        return np.mean([np.abs(np.moveaxis(b, 0, -1) - a)[inner].mean() for a, b in pairs])

    assert change(alone) > least * change(steady)


def test_two_passes_make_the_beginning_agree_with_the_end(draw_scene):
    lumas = pan(draw_scene(3), 12, step=0)
    answers = [np.full((Q, *(n // 4 for n in SIZE)), float(i < 6), np.float32) for i in range(12)]
    ends = {}
    for passes in (1, 2):
        maps = colors(lumas, Unsure(answers), Pace(1, passes))
        ends[passes] = abs(float(maps[0].mean() - maps[-1].mean()))
    assert ends[1] > 0.4
    assert ends[2] < 0.1


def test_nothing_goes_over_a_cut(draw_scene):
    lumas = [*pan(draw_scene(1), 6), *pan(draw_scene(2), 6)]
    answers = [np.full((Q, *(n // 4 for n in SIZE)), float(i < 6), np.float32) for i in range(12)]
    maps = colors(lumas, Unsure(answers), Pace(1, 2))
    assert [float(np.round(m.mean(), 6)) for m in maps] == [1.0] * 6 + [0.0] * 6


def test_what_an_object_hid_does_not_take_its_color(draw_scene):
    ground, other = draw_scene(1)[:96, :128] * 0.4 + 55, draw_scene(2)[:96, :128] * 0.4 + 5
    lumas, answers = [], []
    for i in range(10):
        mask = np.zeros(SIZE, bool)
        mask[24:72, 8 + 8 * i : 48 + 8 * i] = True
        moved = np.roll(other, 8 * i, axis=1)
        lumas.append(np.where(mask, moved, ground).astype(np.float32))
        answers.append(np.repeat(mask[None, ::4, ::4], Q, 0).astype(np.float32))
    last = colors(lumas, Unsure(answers), Pace(1, 1))[-1][..., 0]
    assert last[8:16, 2:16].mean() < 0.1  # where it had been
    assert last[8:16, 23:29].mean() > 0.8  # where it is


@pytest.mark.slow
def test_the_network_is_asked_less_where_little_moves(draw_scene):
    asked = {}
    for step in (0, 4):
        lumas = pan(draw_scene(3), 17, step)
        eye = Unsure(noise(17))
        assert len(colors(lumas, eye, Pace())) == 17
        asked[step] = eye.asked
    assert asked[0] == 3
    assert asked[4] > 5


def test_between_two_keys_the_nearer_counts_more(draw_scene):
    still = Seen.of(pan(draw_scene(3), 1)[0])
    size = still.small.shape
    ab = np.zeros((*size, 2), np.float32), np.ones((*size, 2), np.float32)
    mixed = between(still, (still, still), ab, 0.25, Motion())
    np.testing.assert_allclose(mixed, 0.25, atol=1e-5)


def test_what_is_known_weighs_as_much_as_was_said():
    size = (6, 8)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    sure = Match(x, y, np.ones(size, np.float32))
    known = said(np.zeros((Q, *size), np.float32))
    for _ in range(3):
        known = together(said(np.ones((Q, *size), np.float32)), carried(known, sure))
    np.testing.assert_allclose(known.logits, 0.75, atol=1e-6)
    np.testing.assert_allclose(known.weight, 4)
    lost = Match(x, y, np.zeros(size, np.float32))
    fresh = together(said(np.full((Q, *size), 7, np.float32)), carried(known, lost))
    np.testing.assert_allclose(fresh.logits, 7)


def test_a_spool_gives_back_what_it_got():
    spool = Spool()
    planes = [np.full((3, 4, 5), i, np.float32) for i in range(4)]
    for i in (2, 0, 3, 1):
        spool[i] = planes[i]
    for i in range(4):
        np.testing.assert_array_equal(spool[i], planes[i])
    spool.close()


def test_a_picture_on_its_side_is_shown_upright(draw_scene, colorizer):
    from photochrom.video.eye import Eye

    luma = (pan(draw_scene(4), 1)[0] * 2.5).astype(np.uint8)

    def seen(stored, turns):
        height, width = stored.shape
        facts = Facts("", height, width, Scale(8, True), 1, 1, Fraction(1, 24), None,
                      Fraction(1), None, turns, False, False, 1)  # fmt: skip
        eye = Eye(colorizer, facts)
        look = eye.see(stored)
        return look, eye.stored(eye.upright_ab(eye.logits(look), Look()))

    straight, ab = seen(luma, 0)
    lying, turned = seen(np.ascontiguousarray(np.rot90(luma, -1)), 1)
    np.testing.assert_allclose(lying.L, straight.L, atol=1e-3)
    np.testing.assert_allclose(np.rot90(turned, 1), ab, atol=0.05)
