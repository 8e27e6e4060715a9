"""A study: its file, and the answers of those who take part."""

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import PIL.Image
import pytest

from photochrom import StudyError
from photochrom.study.plan import StudySettings
from photochrom.study.report import report
from photochrom.study.study import Study
from tests.study.taking_part import SMALL, pairs_of, respond, trials_of

# --- the database ---------------------------------------------------------------------------------


@pytest.mark.slow
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


@pytest.mark.slow
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
