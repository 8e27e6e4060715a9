import csv
import dataclasses
import io
import json
import os
import shutil
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from photochrom import ConfigError, StudyError
from photochrom.cli.main import main
from photochrom.color.lab import rgb_to_lab
from photochrom.intervals import pigeonhole_interval
from photochrom.study.pairs import find_pairs
from photochrom.study.pictures import obvious_fake
from photochrom.study.plan import StudySettings, plan
from photochrom.study.report import answers_csv, report, write_export
from photochrom.study.study import Study

SMALL = StudySettings(trials=4, practice=1, catch=1)


def pairs_of(root: Path, *methods: str):
    return find_pairs(root / "real", [(name, root / name) for name in methods])


@pytest.fixture
def study(new_study: Path, tmp_path: Path):
    with Study.open(shutil.copy(new_study, tmp_path)) as study:
        yield study


def trials_of(study: Study, participant: str | None = None) -> list[sqlite3.Row]:
    with sqlite3.connect(study.path) as db:
        db.row_factory = sqlite3.Row
        rows = db.execute(
            "SELECT trial.*, participant.token AS who FROM trial"
            " JOIN participant ON participant.id = participant ORDER BY position, trial.id"
        ).fetchall()
    db.close()
    return [row for row in rows if participant in (None, row["who"])]


def respond(study: Study, participant: str, fooled, exposure=lambda row: 1000) -> None:
    """Take part to the end; fooled(row) says of each trial whether the answer is wrong."""
    while trial := study.next_trial(participant):
        row = next(r for r in trials_of(study) if r["token"] == trial.token)
        assert study.start(participant, trial.token)
        wrong = bool(fooled(row))
        left = bool(row["fake_left"]) != wrong
        side = "left" if left else "right"
        answer = study.answer(participant, trial.token, side, 300, exposure(row))
        assert answer is not None and answer.right != wrong


# --- pairs ----------------------------------------------------------------------------------------


def test_photos_pair_by_path_without_extension(study_folders: Path) -> None:
    pairs = pairs_of(study_folders, "ours", "calm")
    assert len(pairs.files) == 14 and "trip/03" in pairs.files and "01" in pairs.files
    real, ours, calm = pairs.files["trip/03"]
    assert (real.suffix, ours.suffix, calm.suffix) == (".jpg", ".png", ".webp")
    assert pairs.unpaired == {"real": (), "ours": (), "calm": ()}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_only_photos_of_every_method_are_used(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg", "real/b.jpg", "real/c.jpg", "real/notes.txt", "real/.d.jpg")
    touch(tmp_path, "one/a.png", "one/b.png", "one/.d.jpg", "two/b.tif", "two/sub/a.tif")
    pairs = pairs_of(tmp_path, "one", "two")
    assert list(pairs.files) == ["b"]
    assert pairs.unpaired == {"real": ("a", "c"), "one": ("a",), "two": ("sub/a",)}


def test_results_beside_their_photos_pair_too(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.color.jpg", "b/c.png", "b/c.color.png")
    pairs = find_pairs(tmp_path, [("ours", tmp_path)])
    assert {k: [p.name for p in v] for k, v in pairs.files.items()} == {
        "a": ["a.jpg", "a.color.jpg"],
        "b/c": ["c.png", "c.color.png"],
    }


def test_folders_that_make_no_sense_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg", "one/b.jpg", "two/a.jpg", "two/a.png", "same/a.jpg")
    (tmp_path / "same/a.jpg").unlink()
    (tmp_path / "same/a.jpg").hardlink_to(tmp_path / "real/a.jpg")
    real = tmp_path / "real"
    for fakes, error, text in (
        ([], ConfigError, "NAME=DIR"),
        ([("x", tmp_path / "none")], ConfigError, "no such folder"),
        ([("real", real)], ConfigError, "another name"),
        ([("x", real), ("x", real)], ConfigError, "twice"),
        ([("x", tmp_path / "one")], StudyError, "none of its 1 photos"),
        ([("x", tmp_path / "two")], StudyError, "a.png: stands for the same photo"),
        ([("x", tmp_path / "same")], StudyError, "is the original itself"),
    ):
        with pytest.raises(error, match=text):
            find_pairs(real, fakes)


# --- what is shown --------------------------------------------------------------------------------


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


# --- plans ----------------------------------------------------------------------------------------


def test_a_plan_balances_methods_and_never_repeats_a_photo() -> None:
    settings = StudySettings(trials=41, practice=5, catch=4)
    left = []
    for seed in range(40):
        trials = plan(seed, range(1, 61), [1, 2, 3], settings)
        assert [t.kind for t in trials[:5]] == ["practice"] * 5
        assert len({t.photo for t in trials}) == len(trials) == 50
        kinds = Counter((t.kind, t.method) for t in trials[5:])
        assert sorted(kinds[("counted", m)] for m in (1, 2, 3)) == [13, 14, 14]
        assert kinds[("catch", None)] == 4
        left += [t.fake_left for t in trials]
    assert 0.45 < np.mean(left) < 0.55
    assert plan(7, range(60), [1, 2], settings) == plan(7, range(60), [1, 2], settings)
    assert plan(7, range(60), [1, 2], settings) != plan(8, range(60), [1, 2], settings)


def test_catch_trials_are_a_tenth_unless_said_otherwise() -> None:
    assert StudySettings.of({"trials": 20, "practice": None}).catch == 2
    assert StudySettings.of({"trials": 20, "catch": 0}).catch == 0
    for wrong in ({"trials": 0}, {"practice": -1}, {"exposure": 0.0}, {"side": 4096}):
        with pytest.raises(ConfigError, match=f"--{next(iter(wrong))}"):
            StudySettings(**wrong)


# --- the database ---------------------------------------------------------------------------------


def test_unusable_photos_are_left_out_and_named(study_folders: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(study_folders, root)
    (root / "ours/01.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    PIL.Image.open(root / "real/02.jpg").convert("L").save(root / "real/02.jpg")
    pairs = pairs_of(root, "ours", "calm")
    with Study.create(tmp_path / "s.db", pairs, SMALL) as study:
        assert len(study.photos) == 12
        first, second = study.problems()
        assert "ours/01.png: cannot be read" in first and "real/02.jpg: has no color" in second
        study.check_same(pairs)  # the unusable ones are known as well
    with pytest.raises(StudyError, match=r"12 pairs.* lower --trials(.|\n)*skipped: .*01.png"):
        Study.create(tmp_path / "t.db", pairs, StudySettings(trials=13, practice=0, catch=0))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy", "s.db"]


def test_a_study_needs_enough_photos_before_any_is_read(
    study_folders: Path, tmp_path: Path
) -> None:
    def nothing_is_read(names):
        raise AssertionError

    with pytest.raises(StudyError, match=r"there are 14 pairs, .* needs 50"):
        Study.create(
            tmp_path / "s.db", pairs_of(study_folders, "ours"), StudySettings(), nothing_is_read
        )


def test_an_existing_file_is_never_replaced(study_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"precious")
    with pytest.raises(StudyError, match=r"s\.db: already exists"):
        Study.create(tmp_path / "s.db", pairs_of(study_folders, "ours"), SMALL)
    assert (tmp_path / "s.db").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(StudyError, match="its folder does not exist"):
        Study.create(tmp_path / "no/s.db", pairs_of(study_folders, "ours"), SMALL)


def test_going_on_with_other_photos_methods_or_settings_is_refused(
    study: Study, study_folders: Path, tmp_path: Path
) -> None:
    study.check_same(pairs_of(study_folders, "ours", "calm"))
    study.check_same(pairs_of(study_folders, "calm", "ours"))
    with pytest.raises(StudyError, match="the methods ours, calm, not ours"):
        study.check_same(pairs_of(study_folders, "ours"))
    root = tmp_path / "copy"
    shutil.copytree(study_folders, root)
    study.check_same(pairs_of(root, "ours", "calm"))  # moved, but the same
    shutil.copy(root / "ours/01.png", root / "ours/02.png")
    with pytest.raises(StudyError, match="1 files differ, such as 02 of ours"):
        study.check_same(pairs_of(root, "ours", "calm"))
    study.check_settings({"trials": 4, "side": None})
    with pytest.raises(StudyError, match="--trials 4, not 5"):
        study.check_settings({"trials": 5})


def test_files_that_are_no_study_are_told_apart(study: Study, tmp_path: Path) -> None:
    study.join()
    study.close()
    good = study.path.read_bytes()
    (tmp_path / "text.db").write_text("not a database at all, just some words\n" * 50)
    (tmp_path / "empty.db").write_bytes(b"")
    (tmp_path / "cut.db").write_bytes(good[: len(good) // 2])
    (tmp_path / "torn.db").write_bytes(good[:4096] + bytes(4096) + good[8192:])
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE x (y)").connection.close()
    shutil.copy(study.path, tmp_path / "newer.db")
    db = sqlite3.connect(tmp_path / "newer.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    for name, text in (
        ("missing.db", "no such study"),
        ("text.db", "is not a database, or is damaged"),
        ("empty.db", "not a study's database"),
        ("cut.db", "damaged"),
        ("torn.db", "damaged"),
        ("other.db", "not a study's database"),
        ("newer.db", "version 99"),
    ):
        for use in (Study.open, report):
            with pytest.raises(StudyError, match=f"{name}: .*{text}"):
                use(tmp_path / name)


# --- taking part ----------------------------------------------------------------------------------


def test_a_session_goes_through_practice_and_counts_to_the_end(study: Study) -> None:
    who = study.join()
    seen = []
    while trial := study.next_trial(who):
        seen.append((trial.practice, trial.number, trial.total))
        study.start(who, trial.token)
        answer = study.answer(who, trial.token, "left", 400, 1001.5)
        assert answer is not None and answer.practice == trial.practice
    assert seen == [(True, 1, 1), *((False, n, 5) for n in range(1, 6))]
    progress = study.progress(who)
    rows = [r for r in trials_of(study, who) if r["kind"] == "counted"]
    assert progress is not None and (progress.answered, progress.total) == (6, 6)
    assert (progress.right, progress.counted) == (sum(r["fake_left"] for r in rows), 4)
    assert {(r["response_ms"], r["exposure_ms"]) for r in rows} == {(400, 1001.5)}


def test_the_first_answer_is_the_one_that_counts(study: Study) -> None:
    who = study.join()
    trial = study.next_trial(who)
    assert trial is not None
    assert study.start(who, trial.token)
    first = study.answer(who, trial.token, "left", 300, 1000)
    assert study.answer(who, trial.token, "right", 9, 9) == first
    (row,) = [r for r in trials_of(study) if r["token"] == trial.token]
    assert row["answer_left"] == 1 and row["response_ms"] == 300
    assert not study.start(who, trial.token)
    progress = study.progress(who)
    assert progress is not None and progress.answered == 1


def test_tokens_that_do_not_belong_here_change_nothing(study: Study) -> None:
    me, other = study.join(), study.join()
    trial = study.next_trial(me)
    assert trial is not None
    assert study.answer(me, trial.token, "left", 1, 1) is None  # not shown yet
    assert not study.start(other, trial.token) and not study.start(me, "x")
    assert study.start(me, trial.token)
    assert study.answer(other, trial.token, "left", 1, 1) is None
    assert study.answer("", trial.token, "left", 1, 1) is None
    assert study.picture(other, trial.left) is None and study.picture("", trial.left) is None
    assert study.picture(me, trial.token) is None
    assert study.next_trial("x") is None and study.progress("x") is None
    assert {r["state"] for r in trials_of(study)} == {"planned", "shown"}


def test_a_reopened_study_goes_on_at_the_same_trial(study: Study) -> None:
    who = study.join()
    respond_once = study.next_trial(who)
    assert respond_once is not None
    study.start(who, respond_once.token)
    study.answer(who, respond_once.token, "left", 1, 1)
    waiting = study.next_trial(who)
    study.close()
    with Study.open(study.path) as again:
        assert again.next_trial(who) == waiting
        assert (again.settings, again.key, again.id) == (study.settings, study.key, study.id)


def test_a_pair_seen_but_not_answered_gives_way_to_an_unseen_one(study: Study) -> None:
    who = study.join()
    for _ in range(2):
        trial = study.next_trial(who)
        assert trial is not None
        study.start(who, trial.token)
        study.answer(who, trial.token, "left", 1, 1)
    seen = study.next_trial(who)
    assert seen is not None
    assert study.next_trial(who) == seen  # not shown yet: nothing was seen
    study.start(who, seen.token)
    instead = study.next_trial(who)
    assert instead is not None and instead.token != seen.token
    assert (instead.number, instead.total) == (seen.number, seen.total)
    rows = {r["token"]: r for r in trials_of(study, who)}
    old, new = rows[seen.token], rows[instead.token]
    assert old["state"] == "abandoned"
    assert (new["kind"], new["method"]) == (old["kind"], old["method"])
    assert len({r["photo"] for r in rows.values()}) == len(rows)
    assert study.answer(who, seen.token, "left", 1, 1) is None
    assert study.picture(who, seen.left) is None


def test_a_pair_starts_once_however_often_it_is_asked_for(study: Study) -> None:
    who = study.join()
    trial = study.next_trial(who)
    assert trial is not None and study.next_trial(who) == trial  # on a second page
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: study.start(who, trial.token), range(8))) == 1
    instead = study.next_trial(who)
    assert instead is not None and instead.token != trial.token
    assert not study.start(who, trial.token) and study.start(who, instead.token)
    assert study.answer(who, trial.token, "left", 1, 1) is None
    assert study.answer(who, instead.token, "left", 1, 1) is not None


def test_without_a_spare_photo_an_abandoned_pair_is_lost(
    study_folders: Path, tmp_path: Path
) -> None:
    settings = StudySettings(trials=14, practice=0, catch=0)
    with Study.create(tmp_path / "s.db", pairs_of(study_folders, "ours"), settings) as study:
        who = study.join()
        trial = study.next_trial(who)
        assert trial is not None and trial.total == 14
        study.start(who, trial.token)
        trial = study.next_trial(who)
        assert trial is not None and (trial.number, trial.total) == (1, 13)
        respond(study, who, lambda row: False)
        progress = study.progress(who)
        assert progress is not None and progress.answered == progress.total == 13


def test_several_take_part_at_once_without_losing_an_answer(study: Study) -> None:
    def take_part(_: int) -> str:
        who = study.join()
        respond(study, who, lambda row: row["photo"] % 2)
        return who

    with ThreadPoolExecutor(4) as pool:
        people = list(pool.map(take_part, range(8)))
    assert len(set(people)) == 8
    rows = trials_of(study)
    assert len(rows) == 8 * SMALL.photos and {r["state"] for r in rows} == {"answered"}


# --- the report -----------------------------------------------------------------------------------


def test_rates_are_those_counted_by_hand(study: Study) -> None:
    # Two counted trials of each method a person: ours fools A twice, B once, C never; calm nobody.
    for fooled in ([True, True], [True, False], [False, False]):
        ours = iter(fooled)
        respond(study, study.join(), lambda row, ours=ours: row["method"] == 1 and next(ours))
    found = report(study.path)
    ours, calm = found.methods
    assert (ours.method, ours.answers, ours.fooled, ours.participants) == ("ours", 6, 3, 3)
    assert ours.rate == 0.5 and calm.rate == 0 and (calm.low, calm.high) == (0, 0)
    assert (found.participants, found.finished, found.abandoned) == (3, 3, 0)
    rows = [r for r in trials_of(study) if (r["kind"], r["method"]) == ("counted", 1)]
    assert ours.photos == len({r["photo"] for r in rows})
    wrong = [r["answer_left"] != r["fake_left"] for r in rows]
    people, photos = ([r[unit] for r in rows] for unit in ("participant", "photo"))
    assert (ours.low, ours.high) == pigeonhole_interval(wrong, people, photos)
    assert ours.resampled == "participants and photos"
    text = found.text()
    for part in ("3 participants", "50.0%", "bootstrap over participants and photos", "too narrow"):
        assert part in text
    assert "zero width" in text and "shown for 1.00 s" in text


def test_of_one_participant_the_photos_are_resampled_and_the_report_says_so(study: Study) -> None:
    ours = iter([True, False])
    respond(study, study.join(), lambda row: row["method"] == 1 and next(ours))
    found = report(study.path)
    assert {m.resampled for m in found.methods} == {"photos"}
    assert "the bootstrap is over photos and says nothing about other people" in found.text()
    assert "participants and photos. They show" not in found.text()
    assert (found.methods[0].low, found.methods[0].rate, found.methods[0].high) == (0, 0.5, 1)


def test_who_fails_catch_trials_is_named_and_left_out(study: Study) -> None:
    respond(study, study.join(), lambda row: False)
    respond(study, study.join(), lambda row: row["kind"] != "practice")
    half_way = study.join()  # answers nothing, so is not counted among the participants
    assert study.next_trial(half_way)
    found = report(study.path)
    assert [(p.participant, p.failed, p.catch) for p in found.careless] == [(2, 1, 1)]
    assert sum(m.answers for m in found.methods) == 4 and found.participants == 2
    assert "left out: participant 2 failed 1 of 1 catch trials (more than 25%" in found.text()
    everyone = report(study.path, everyone=True)
    assert sum(m.answers for m in everyone.methods) == 8
    assert sum(m.fooled for m in everyone.methods) == 4
    assert "kept: participant 2" in everyone.text()
    assert report(study.path, catch_limit=1).careless == ()
    with pytest.raises(ConfigError, match="--catch-limit 2"):
        report(study.path, catch_limit=2)


def test_of_one_photo_the_participants_are_resampled_and_the_report_says_so(
    study_folders: Path, tmp_path: Path
) -> None:
    pairs = pairs_of(study_folders, "ours")
    pairs = dataclasses.replace(pairs, files={"01": pairs.files["01"]})
    settings = StudySettings(trials=1, practice=0, catch=0)
    with Study.create(tmp_path / "s.db", pairs, settings) as study:
        for fooled in (True, False):
            respond(study, study.join(), lambda row, fooled=fooled: fooled)
        found = report(study.path)
    (ours,) = found.methods
    assert (ours.resampled, ours.low, ours.high) == ("participants", 0, 1)
    assert "says nothing about other photos" in found.text()


def test_answers_to_pairs_shown_too_long_or_too_short_are_left_out(study: Study) -> None:
    times = {1: 499, 2: 500, 3: 1500, 4: 1501}
    counted = iter(times)
    respond(
        study,
        study.join(),
        lambda row: row["kind"] == "counted",
        lambda row: times[next(counted)] if row["kind"] == "counted" else 1000,
    )
    found = report(study.path)
    assert (found.exposure, found.mistimed, found.to_dict()["mistimed"]) == (1, 2, 2)
    assert sum(m.answers for m in found.methods) == 2
    part = "2 answers to pairs shown for less than 0.5 s or more than 1.5 s"
    assert f"left out: {part} (--all keeps them)" in found.text()
    everyone = report(study.path, everyone=True)
    assert sum(m.answers for m in everyone.methods) == 4
    assert f"kept: {part} (kept by --all)" in everyone.text()
    rows = csv.DictReader(io.StringIO(answers_csv(study.path)))
    assert [r["mistimed"] for r in rows if r["kind"] == "counted"] == ["1", "0", "0", "1"]


def test_a_catch_trial_that_was_hardly_shown_is_held_against_nobody(study: Study) -> None:
    def catch(row) -> bool:
        return row["kind"] == "catch"

    respond(study, study.join(), catch, lambda row: 20 if catch(row) else 1000)
    found = report(study.path)
    assert found.careless == () and found.mistimed == 0
    assert "shown for less" not in found.text()


@pytest.mark.slow
def test_photos_are_smoothed_towards_the_rate_of_their_method(
    study_folders: Path, tmp_path: Path
) -> None:
    settings = StudySettings(trials=14, practice=0, catch=0)
    with Study.create(tmp_path / "s.db", pairs_of(study_folders, "ours"), settings) as study:
        for person in range(4):  # photo 1 fools all, photo 2 fools one, the others nobody
            respond(
                study,
                study.join(),
                lambda row, person=person: row["photo"] == 1 or (row["photo"], person) == (2, 0),
            )
        found = report(study.path)
    rate = 5 / 56
    assert found.methods[0].rate == pytest.approx(rate)
    assert len(found.photos) == 14
    best, second = found.photos[:2]
    assert (best.photo, best.fooled, best.answers) == ("01", 4, 4)
    assert best.smoothed == pytest.approx((4 + 4 * rate) / 8)
    assert second.smoothed == pytest.approx((1 + 4 * rate) / 8)
    text = found.text(most=1)
    assert "fooled most" in text and "4 of 4" in text and "0 of 4" in text
    assert report(study.path, min_answers=5).photos == ()


def test_a_study_without_answers_says_so(study: Study) -> None:
    with pytest.raises(StudyError, match="no counted answers yet"):
        report(study.path)
    respond(study, study.join(), lambda row: row["kind"] == "catch")
    with pytest.raises(StudyError, match="every participant failed"):
        report(study.path)
    respond(study, study.join(), lambda row: False, lambda row: 10)
    with pytest.raises(StudyError, match="no pair was shown for about 1 s"):
        report(study.path)
    assert report(study.path, everyone=True).mistimed == 4


def test_the_report_reads_a_study_that_is_still_running(study: Study) -> None:
    respond(study, study.join(), lambda row: False)
    who = study.join()
    trial = study.next_trial(who)
    assert trial is not None
    study.start(who, trial.token)
    found = report(study.path)
    assert (found.participants, found.finished) == (1, 1)
    assert study.answer(who, trial.token, "left", 1, 1) is not None
    study.close()
    assert report(study.path).participants == 1  # closed, and with a practice answer more


def test_a_photo_whose_name_is_no_text_is_left_out_or_shown(
    study_folders: Path, tmp_path: Path
) -> None:
    for folder, suffix in (("real", "jpg"), ("ours", "png")):
        (tmp_path / folder).mkdir()
        for name, data in ((b"good\xff", None), (b"bad\xff", b"x")):
            path = tmp_path / folder / os.fsdecode(name + b"." + suffix.encode())
            path.write_bytes(data or (study_folders / folder / f"01.{suffix}").read_bytes())
    settings = StudySettings(trials=1, practice=0, catch=0)
    with Study.create(tmp_path / "s.db", pairs_of(tmp_path, "ours"), settings) as study:
        assert len(study.photos) == 1
        (problem,) = study.problems()
        assert "real/bad?.jpg" in problem
        study.check_same(pairs_of(tmp_path, "ours"))


def test_names_that_strangers_chose_do_no_harm(study_folders: Path, tmp_path: Path, capsys) -> None:
    for folder, suffix in (("real", "jpg"), ("ours", "png")):
        (tmp_path / folder).mkdir()
        for name, original in (("=1+1", "01"), ("a\x1b[31mb", "02"), ("bad\x1b[2J", None)):
            source = study_folders / folder / f"{original}.{suffix}"
            data = source.read_bytes() if original else b"x"
            (tmp_path / folder / f"{name}.{suffix}").write_bytes(data)
    (tmp_path / "real/alone\x1b[0m.jpg").write_bytes(b"x")
    pairs = find_pairs(tmp_path / "real", [("@x", tmp_path / "ours")])
    settings = StudySettings(trials=2, practice=0, catch=0)
    with Study.create(tmp_path / "t.db", pairs, settings) as study:
        respond(study, study.join(), lambda row: False)
        rows = list(csv.DictReader(io.StringIO(answers_csv(study.path))))
        # As they are: a terminal obeys no cell.
        assert {r["photo"] for r in rows} == {"'=1+1", "a\x1b[31mb"}
        assert {r["method"] for r in rows} == {"'@x"}
        text = report(study.path, min_answers=1).text()
    assert "\x1b" not in text and "a\\x1b[31mb" in text and "=1+1" in text
    options = ["--fake", f"@x={tmp_path / 'ours'}", "-o", str(tmp_path / "new.db"), "--port", "0"]
    assert main(["study", "serve", "--real", str(tmp_path / "real"), *options]) == 1
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert "such as alone\\x1b[0m" in error and "there are 3 pairs" in error
    with pytest.raises(StudyError) as raised:
        Study.create(tmp_path / "u.db", pairs, StudySettings(trials=3, practice=0, catch=0))
    (note,) = raised.value.__notes__
    assert "\x1b" not in note and "bad\\x1b[2J" in note


def test_exports_hold_every_answer_and_replace_nothing(study: Study, tmp_path: Path) -> None:
    respond(study, study.join(), lambda row: row["kind"] == "catch")
    respond(study, study.join(), lambda row: False)
    rows = list(csv.DictReader(io.StringIO(answers_csv(study.path))))
    assert len(rows) == 2 * SMALL.photos
    assert Counter(r["method"] for r in rows) == {"ours": 4, "calm": 4, "obvious": 4}
    for row in rows:
        assert row["right"] == str(int(row["recolored"] == row["answer"]))
        assert row["careless"] == ("1" if row["participant"] == "1" else "0")
    values = json.loads(json.dumps(report(study.path).to_dict(), allow_nan=False))
    assert [m["method"] for m in values["methods"]] == ["ours", "calm"]
    target = tmp_path / "out.json"
    write_export(target, "one\n")
    with pytest.raises(StudyError, match=r"out\.json: already exists"):
        write_export(target, "two\n")
    assert target.read_text() == "one\n"
    write_export(target, "two\n", force=True)
    assert target.read_text() == "two\n"
    with pytest.raises(StudyError, match="its folder does not exist"):
        write_export(tmp_path / "no/out.json", "x")
    assert sorted(p.suffix for p in tmp_path.iterdir() if p.name.startswith(".")) == []
