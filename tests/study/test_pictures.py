"""What a participant is shown."""

import io
import sqlite3
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from photochrom.color.lab import rgb_to_lab
from photochrom.study.pictures import obvious_fake
from photochrom.study.plan import StudySettings
from photochrom.study.study import Study
from tests.study.taking_part import SMALL, pairs_of


def test_the_obvious_fake_keeps_lightness_and_turns_every_color(draw_picture) -> None:
    picture = draw_picture(3)
    lab, fake = rgb_to_lab(picture), rgb_to_lab(obvious_fake(picture))
    np.testing.assert_allclose(fake[..., 0], lab[..., 0], atol=0.6)  # half a step of 8 bits
    strong = np.linalg.norm(lab[..., 1:], axis=-1) > 20
    turn = (fake[strong, 1:] * lab[strong, 1:]).sum(axis=-1)
    assert (turn < 0).mean() > 0.99
    # A pale photo gets strong colors all the same.
    pale = np.clip(
        128 + (picture.astype(float) - picture.mean(axis=2, keepdims=True)) * 0.1, 0, 255
    )
    chroma = np.linalg.norm(rgb_to_lab(obvious_fake(pale.astype(np.uint8)))[..., 1:], axis=-1)
    assert chroma.mean() > 20


def test_both_pictures_are_alike_in_all_but_their_colors(study: Study) -> None:
    who = study.join()
    for _ in range(SMALL.photos):
        trial = study.next_trial(who)
        assert trial is not None
        left, right = (study.picture(who, token) for token in (trial.left, trial.right))
        assert left is not None and right is not None and left != right
        assert len(left) == len(right)
        images = [PIL.Image.open(io.BytesIO(data)) for data in (left, right)]
        assert images[0].size == images[1].size
        for image in images:
            assert image.format == "JPEG" and not image.getexif()
            assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert images[0].info == images[1].info
        study.start(who, trial.token)
        study.answer(who, trial.token, "left", 1, 1)
        assert study.picture(who, trial.left) is None  # no second look


@pytest.mark.slow
def test_the_smallest_version_sets_the_size_up_to_the_limit(draw_picture, tmp_path: Path) -> None:
    for folder, size in (("real", (300, 200)), ("one", (300, 200)), ("two", (120, 80))):
        (tmp_path / folder).mkdir()
        for name in ("big", "small"):
            image = PIL.Image.fromarray(draw_picture(1, 400, 600))
            factor = 1 if name == "big" else 0.2
            image.resize([round(factor * side) for side in size]).save(
                tmp_path / folder / f"{name}.png"
            )
    settings = StudySettings(trials=2, practice=0, catch=0, side=100)
    with Study.create(tmp_path / "s.db", pairs_of(tmp_path, "one", "two"), settings) as study:
        with sqlite3.connect(study.path) as db:
            rows = db.execute(
                "SELECT photo.name, jpeg FROM picture JOIN photo ON id = photo ORDER BY photo"
            ).fetchall()
        db.close()
        sizes = {(name, PIL.Image.open(io.BytesIO(jpeg)).size) for name, jpeg in rows}
    assert sizes == {("big", (100, 67)), ("small", (24, 16))}


def test_deep_gray_and_transparent_files_are_shown(draw_picture, tmp_path: Path) -> None:
    for folder in ("real", "ours"):
        (tmp_path / folder).mkdir()
    picture = draw_picture(2)
    clear = np.dstack([picture, np.zeros(picture.shape[:2], np.uint8)])
    PIL.Image.fromarray(picture).save(tmp_path / "real/a.png")
    PIL.Image.fromarray(clear).save(tmp_path / "ours/a.png")
    PIL.Image.fromarray(picture).save(tmp_path / "real/b.png")
    deep = picture.mean(axis=2).astype(np.uint16) * 257
    PIL.Image.fromarray(deep).save(tmp_path / "ours/b.png")
    settings = StudySettings(trials=2, practice=0, catch=0)
    Study.create(tmp_path / "s.db", pairs_of(tmp_path, "ours"), settings).close()
    with sqlite3.connect(tmp_path / "s.db") as db:
        rows = db.execute("SELECT jpeg FROM picture WHERE method = 1 ORDER BY photo").fetchall()
    db.close()
    white, gray = (np.asarray(PIL.Image.open(io.BytesIO(jpeg))) for (jpeg,) in rows)
    assert white.min() >= 254
    assert np.abs(gray.mean(axis=2) - deep / 257).mean() < 2  # JPEG
