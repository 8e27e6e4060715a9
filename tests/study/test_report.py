"""The report of a study, and its exports."""

import csv
import dataclasses
import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from photochrom import ConfigError, StudyError
from photochrom.cli.main import main
from photochrom.intervals import pigeonhole_interval
from photochrom.study.pairs import find_pairs
from photochrom.study.plan import StudySettings
from photochrom.study.report import answers_csv, report, write_export
from photochrom.study.study import Study
from tests.study.taking_part import SMALL, pairs_of, respond, trials_of


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
