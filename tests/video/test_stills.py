"""Stills stand for their shots, and their colors spread over them and no further."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from photochrom.color.lab import rgb_to_lab
from photochrom.errors import FilmError
from photochrom.video.film import Settings, color_film, frames
from photochrom.video.source import Film
from photochrom.video.stills import Stills, write_stills

COUNT = 8


@pytest.fixture(scope="module")
def old(tmp_path_factory, draw_scene):
    """Two shots, each a pan over a scene."""
    path = tmp_path_factory.mktemp("film") / "old.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "gray"
        for seed in (1, 2):
            scene = (draw_scene(seed) * 2.5).astype(np.uint8)
            for i in range(COUNT):
                part = np.ascontiguousarray(scene[20:116, 4 + i : 132 + i])
                out.mux(stream.encode(av.VideoFrame.from_ndarray(part, "gray")))
        out.mux(stream.encode())
    return str(path)


@pytest.fixture
def stills(tmp_path, old, colorizer):
    return write_stills(old, str(tmp_path / "stills"), colorizer)


def mean_ab(rgb, part=np.s_[:, :]):
    return rgb_to_lab(rgb)[..., 1:][part].mean(axis=(0, 1))


def test_each_shot_has_one_still(old, stills):
    names = [os.path.basename(path) for path in stills]
    assert [name[:8] for name in names] == ["shot-000", "shot-001"]
    numbers = [int(name[9:15]) for name in names]
    assert 0 <= numbers[0] < COUNT <= numbers[1] < 2 * COUNT
    for path, number in zip(stills, numbers, strict=True):
        luma = list(Film(old).pictures())[number].luma
        np.testing.assert_array_equal(cv2.imread(path, cv2.IMREAD_UNCHANGED), luma)


@pytest.mark.slow
def test_a_colored_picture_colors_its_whole_shot_and_no_other(old, stills, colorizer):
    gray = cv2.imread(stills[0], cv2.IMREAD_GRAYSCALE)
    blue = np.stack([gray, gray // 2, gray // 3], axis=-1)
    cv2.imwrite(stills[0].replace(".png", ".color.png"), blue)
    folder = os.path.dirname(stills[0])
    wanted = mean_ab(blue[..., ::-1])
    plain = [mean_ab(f.rgb) for f in frames(old, colorizer)]
    used = [mean_ab(f.rgb) for f in frames(old, colorizer, Settings(stills=folder))]
    assert np.linalg.norm(plain[0] - wanted) > 15
    for i in range(COUNT):
        assert np.linalg.norm(used[i] - wanted) < 8
        # The network looks once more, but colors of the other shot don't change by hand.
        assert np.linalg.norm(used[COUNT + i] - plain[COUNT + i]) < 1


@pytest.mark.slow
def test_hints_of_a_session_follow_what_they_color(old, stills, colorizer):
    gray = Path(stills[1]).read_bytes()
    words = {
        "photochrom": "session", "version": 1, "photo": "still.png",
        "hints": [{"x": 64, "y": 48, "color": [200, 40, 40], "gray": False}],
        "settings": {"temperature": 0.38, "saturation": 1, "candidate": None, "seed": 0},
    }  # fmt: skip
    with zipfile.ZipFile(stills[1].replace(".png", ".photochrom"), "w") as archive:
        archive.writestr("session.json", json.dumps(words))
        archive.writestr("photo/still.png", gray)
    folder = os.path.dirname(stills[1])
    number = int(os.path.basename(stills[1])[9:15]) - COUNT
    used = [f.rgb for f in frames(old, colorizer, Settings(stills=folder))][COUNT:]
    for i, rgb in enumerate(used):
        x = 64 - (i - number)  # the camera moves to the right by one pixel a picture
        assert mean_ab(rgb, np.s_[45:52, x - 3 : x + 4])[0] > 25


@pytest.mark.slow
def test_a_film_in_file_uses_them_too(tmp_path, old, stills, colorizer):
    gray = cv2.imread(stills[0], cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(stills[0], np.stack([gray // 3, gray // 2, gray], axis=-1))
    target = tmp_path / "new.mp4"
    color_film(old, target, colorizer, Settings(stills=os.path.dirname(stills[0])))
    with av.open(str(target)) as result:
        rgb = next(result.decode(video=0)).to_ndarray(format="rgb24")
    assert mean_ab(rgb)[0] > 20  # red


def test_gray_stills_and_damaged_ones_are_told(tmp_path, old, stills, colorizer):
    folder = os.path.dirname(stills[0])
    with pytest.raises(FilmError, match="no still in it is colored"):
        Stills(folder, colorizer)
    with pytest.raises(FilmError, match="no such folder"):
        Stills(str(tmp_path / "none"), colorizer)
    Path(stills[0].replace(".png", ".photochrom")).write_bytes(b"PK no zip")
    with pytest.raises(FilmError, match=r"shot-000-\d+\.photochrom: is damaged"):
        list(frames(old, colorizer, Settings(stills=folder)))
