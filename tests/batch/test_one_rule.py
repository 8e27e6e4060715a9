"""A folder, a pattern and a name: what is a photo, a result, and known, is the same for all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from photochrom import Colorizer
from photochrom.batch.find import Asked, Teller, find
from photochrom.batch.history import MANIFEST, home_of, read_history
from photochrom.batch.job import Attempt, FileState, Job, Settings
from photochrom.batch.manifest import Manifest, Manifests
from photochrom.batch.plan import Rules, Step, plan
from photochrom.batch.work import Coloring, Engine
from photochrom.errors import PhotoError
from tests.batch.scans import draw, lines

Did = dict[str, tuple[str, str]]


@pytest.fixture
def run(colorizer: Colorizer, settings: Settings) -> Callable[..., Did]:
    """Colors inputs as the command does, in this process: (what was done, why) by source."""
    engine = Engine()
    vars(engine)["colorizer"] = colorizer

    def go(*inputs: Path, output: Path | None = None, rules: Rules | None = None) -> Did:
        rules = rules or Rules()
        asked = Asked([str(path) for path in inputs], None if output is None else str(output))
        found = find(asked)
        alone = len(inputs) == 1 and inputs[0].is_dir()
        folder = asked.output or (str(inputs[0]) if alone else None)
        did: Did = {}
        manifest = Manifests() if folder is None else Manifest(folder)
        work = Coloring(settings, manifest, engine, rules.color)
        for step in list(plan(found.photos, settings, folder, rules, found.history)):
            did[os.path.basename(step.job.source)] = step.do, step.why
            if step.do == "color":
                outcome = work(step.job)
                did[os.path.basename(step.job.source)] = outcome.kind, outcome.error or step.why
        if isinstance(manifest, Manifest):
            manifest.close()
        return did

    return go


def named(folder: Path) -> list[Path]:
    """What `folder/*` stands for in a shell."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def test_a_pattern_twice_does_not_color_its_own_results(
    run: Callable[..., Did], tmp_path: Path
) -> None:
    for name in ("a.png", "b.png"):
        draw(tmp_path / name, 1)
    assert run(*named(tmp_path)) == {"a.png": ("done", "new"), "b.png": ("done", "new")}
    assert run(*named(tmp_path)) == {"a.png": ("skip", "done"), "b.png": ("skip", "done")}
    assert {path.name for path in named(tmp_path)} == {
        "a.png", "a.color.png", "b.png", "b.color.png", MANIFEST,
    }  # fmt: skip
    # So does a folder, and a name.
    assert run(tmp_path) == {"a.png": ("skip", "done"), "b.png": ("skip", "done")}
    assert run(tmp_path / "a.png") == {"a.png": ("skip", "done")}
    assert run(tmp_path / "a.color.png") == {}


def test_results_are_told_apart_by_name_even_where_no_manifest_is(
    run: Callable[..., Did], tmp_path: Path
) -> None:
    draw(tmp_path / "a.png", 1)
    draw(tmp_path / "a.color.png", 2)
    (tmp_path / MANIFEST).unlink(missing_ok=True)
    for inputs in ([tmp_path], named(tmp_path), [tmp_path / "a.png", tmp_path / "a.color.png"]):
        assert [source for source, _ in find(Asked([str(p) for p in inputs])).photos] == [
            str(tmp_path / "a.png")
        ]


def test_one_by_name_and_then_the_folder(run: Callable[..., Did], tmp_path: Path) -> None:
    draw(tmp_path / "sub" / "a.png", 1)
    draw(tmp_path / "sub" / "b.png", 2)
    assert run(tmp_path / "sub" / "a.png") == {"a.png": ("done", "new")}
    assert run(tmp_path) == {"a.png": ("skip", "done"), "b.png": ("done", "new")}


def test_a_folder_and_then_one_by_name_and_the_folder_again(
    run: Callable[..., Did], tmp_path: Path
) -> None:
    photo = draw(tmp_path / "sub" / "a.png", 1)
    assert run(tmp_path) == {"a.png": ("done", "new")}
    assert run(photo, rules=Rules(force=True)) == {"a.png": ("done", "forced")}
    assert run(tmp_path) == {"a.png": ("skip", "done")}
    # It is recorded where the folder's run has its manifest, and not in one more.
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jsonl")] == [MANIFEST]
    assert [line["result"] for line in lines(tmp_path)] == ["sub/a.color.png"] * 2


def test_results_in_another_folder_are_known_there_too(
    run: Callable[..., Did], tmp_path: Path
) -> None:
    photo, out = draw(tmp_path / "in" / "a.png", 1), tmp_path / "out"
    assert run(photo, output=out) == {"a.png": ("done", "new")}
    assert run(tmp_path / "in", output=out) == {"a.png": ("skip", "done")}
    assert run(out, output=tmp_path / "more") == {}  # results are no photos


def test_a_file_that_is_no_result_is_still_not_replaced(
    run: Callable[..., Did], tmp_path: Path
) -> None:
    photo = draw(tmp_path / "a.png", 1)
    (tmp_path / "a.color.png").write_bytes(b"precious")
    for inputs in ([photo], [tmp_path]):
        do, why = run(*inputs)["a.png"]
        assert do == "fail" and "not a known result" in why
    assert (tmp_path / "a.color.png").read_bytes() == b"precious"


def test_a_manifest_that_may_not_be_written_does_not_keep_a_named_photo_from_its_color(
    run: Callable[..., Did], colorizer: Colorizer, settings: Settings, tmp_path: Path
) -> None:
    photo = draw(tmp_path / "a.png", 1)
    (tmp_path / MANIFEST).symlink_to(tmp_path / "nowhere" / "x")
    engine = Engine()
    vars(engine)["colorizer"] = colorizer
    (step,) = plan([(str(photo), str(tmp_path / "b.png"))], settings, None)
    outcome = Coloring(settings, Manifests(), engine)(step.job)
    assert outcome.kind == "done" and "cannot be written" in outcome.notes[0]
    assert (tmp_path / "b.png").exists()


def test_the_nearest_manifest_above_is_home(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b" / "c"
    below.mkdir(parents=True)
    assert home_of(str(below)) == str(below)
    (tmp_path / "a" / MANIFEST).touch()
    assert home_of(str(below)) == str(tmp_path / "a")
    (tmp_path / "a" / "b" / "photochrom-2-of-3.jsonl").touch()
    assert home_of(str(below)) == str(tmp_path / "a" / "b")


def test_of_manifests_at_several_heights_the_latest_line_counts(
    settings: Settings, tmp_path: Path
) -> None:
    old, new = FileState(1, 1, "1"), FileState(2, 2, "2")
    target = tmp_path / "sub" / "a.png"
    for folder, name, state, time in (
        (tmp_path / "sub", "a.png", new, "2030"),
        (tmp_path, "sub/a.png", old, "2020"),
    ):
        with Manifest(folder) as manifest:
            manifest.append(Job("a", str(target), name), settings, Attempt(1.0, state, state))
        line = json.loads((folder / MANIFEST).read_bytes())
        (folder / MANIFEST).write_text(json.dumps(line | {"time": time}) + "\n")
    known = read_history([str(target)]).known
    assert known[str(target)].result_file == new


# --- what is passed over --------------------------------------------------------------------------


def test_files_of_kinds_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for name in ("a.psd", "b.PSB", "c.crw", "d.tga", "notes.txt", "page.html", ".e.psd"):
        (tmp_path / name).touch()
    draw(tmp_path / "f.png", 1)
    found = find(Asked([str(tmp_path)]))
    assert [(os.path.basename(p.source), p.kind) for p in found.passed] == [
        ("a.psd", "Photoshop"), ("b.PSB", "Photoshop"), ("c.crw", "camera raw"), ("d.tga", "Targa"),
    ]  # fmt: skip
    assert len(found.photos) == 1


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["*.tif"], ["a.png", "1923/c.png", "1923/may/d.png"]),
        (["1923/*"], ["a.png", "b.tif"]),
        (["1923"], ["a.png", "b.tif"]),
        (["may", "*.tif"], ["a.png", "1923/c.png"]),
        (["[ab].*"], ["1923/c.png", "1923/may/d.png"]),
    ],
)
def test_patterns_leave_out_files_and_folders(
    tmp_path: Path, patterns: Sequence[str], left: Sequence[str]
) -> None:
    for name in ("a.png", "b.tif", "1923/c.png", "1923/may/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find(Asked([str(tmp_path)], exclude=patterns))
    assert sorted(os.path.relpath(source, tmp_path) for source, _ in found.photos) == sorted(left)


def test_a_pattern_of_the_shell_names_our_own_files_too_and_they_are_left_out(
    tmp_path: Path,
) -> None:
    draw(tmp_path / "a.png", 1)
    (tmp_path / MANIFEST).touch()
    (tmp_path / "a.png.photochrom.json").write_text("{}")
    told: list[str] = []
    found = find(Asked([str(p) for p in named(tmp_path)]), Teller(note=told.append))
    assert [source for source, _ in found.photos] == [str(tmp_path / "a.png")]
    assert told == []


# --- what failed before ---------------------------------------------------------------------------


def steps(folder: Path, settings: Settings, **rules: bool) -> list[Step]:
    found = find(Asked([str(folder)], str(folder.parent / "out")))
    out = str(folder.parent / "out")
    return list(plan(found.photos, settings, out, Rules(**rules), found.history))


def test_a_photo_that_failed_is_tried_again_only_if_it_changes_or_on_demand(
    run: Callable[..., Did], settings: Settings, tmp_path: Path
) -> None:
    scans, out = tmp_path / "in", tmp_path / "out"
    scans.mkdir()
    (scans / "a.png").write_bytes(b"no photo")
    assert run(scans, output=out)["a.png"][0] == "failed"
    (step,) = steps(scans, settings)
    assert (step.do, step.tally) == ("skip", "failed before") and "not a JPEG" in step.why
    assert len(lines(out)) == 1
    (step,) = steps(scans, settings, retry=True)
    assert step.do == "color"
    os.utime(scans / "a.png", (1, 1))
    (step,) = steps(scans, settings)
    assert step.do == "color"
    draw(scans / "a.png", 1)
    assert run(scans, output=out) == {"a.png": ("done", "new")}
    assert run(scans, output=out) == {"a.png": ("skip", "done")}


def test_what_another_version_could_not_read_is_tried_again(
    run: Callable[..., Did], settings: Settings, tmp_path: Path
) -> None:
    scans, out = tmp_path / "in", tmp_path / "out"
    scans.mkdir()
    (scans / "a.png").write_bytes(b"no photo")
    run(scans, output=out)
    line = json.loads((out / MANIFEST).read_bytes())
    (out / MANIFEST).write_text(json.dumps(line | {"version": "0.0.1"}) + "\n")
    assert [step.do for step in steps(scans, settings)] == ["color"]


def test_a_failure_that_the_photo_does_not_cause_is_not_remembered(
    run: Callable[..., Did],
    colorizer: Colorizer,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scans, out = tmp_path / "in", tmp_path / "out"
    draw(scans / "a.png", 1)

    def full(*arguments: object) -> None:
        raise PhotoError("a.png: the temporary folder is full", "make room", retry=True)

    monkeypatch.setattr(colorizer, "predict", full)
    assert run(scans, output=out)["a.png"][0] == "failed"
    assert [step.do for step in steps(scans, settings)] == ["color"]


def test_what_needs_an_extra_is_tried_again_once_it_is_there(
    run: Callable[..., Did], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from photochrom.batch.run import lasting

    scans, out = tmp_path / "in", tmp_path / "out"
    scans.mkdir()
    (scans / "a.heic").write_bytes(b"a photo")
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        (step,) = steps(scans, settings)
        assert (step.do, step.tally) == ("fail", "need an extra") and "photochrom[heif]" in step.why
        with Manifest(out) as manifest:
            attempt = lasting(step.job, step.why)._replace(extra=True)
            Coloring(settings, manifest).failed(step.job, step.why, attempt)
        (step,) = steps(scans, settings)
        assert (step.do, step.tally) == ("skip", "need an extra")
    (step,) = steps(scans, settings)
    assert step.do == "color"


# --- color photos ---------------------------------------------------------------------------------


@pytest.fixture
def colored(tmp_path: Path) -> Path:
    """A folder with a gray photo, and one in color."""
    draw(tmp_path / "in" / "gray.png", 1)
    coarse = np.random.default_rng(2).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(coarse).resize((64, 48), PIL.Image.Resampling.BICUBIC)
    image.save(tmp_path / "in" / "own.png")
    return tmp_path / "in"


def test_color_photos_are_left_alone_copied_or_given_new_colors(
    run: Callable[..., Did], colored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    did = run(colored, output=out, rules=Rules(color="skip"))
    assert did["gray.png"] == ("done", "new") and did["own.png"][0] == "left"
    assert not (out / "own.png").exists()
    # It is not read again to find that out.
    again = run(colored, output=out, rules=Rules(color="skip"))
    assert again == {"gray.png": ("skip", "done"), "own.png": ("skip", "a color photo")}
    kept = run(colored, output=out, rules=Rules(color="keep"))
    assert kept == {"gray.png": ("skip", "done"), "own.png": ("done", "new")}
    assert (out / "own.png").read_bytes() == (colored / "own.png").read_bytes()
    new = run(colored, output=out, rules=Rules(color="recolor"))
    assert new == {"gray.png": ("skip", "done"), "own.png": ("done", "other settings")}
    assert (out / "own.png").read_bytes() != (colored / "own.png").read_bytes()
    # What was asked for once stays.
    left = run(colored, output=out, rules=Rules(color="skip"))
    assert left == {"gray.png": ("skip", "done"), "own.png": ("skip", "done")}
    assert [line.get("own_color") for line in lines(out) if "own" in line["result"]] == [
        "skip", "keep", "recolor",
    ]  # fmt: skip


def test_own_colors_are_not_copied_into_a_file_of_another_kind(
    run: Callable[..., Did], colored: Path, tmp_path: Path
) -> None:
    shutil.copy(colored / "own.png", colored / "own.bmp.png")
    (colored / "own.bmp.png").rename(colored / "own.ppm")
    did = run(colored / "own.ppm", output=tmp_path / "out", rules=Rules(color="keep"))
    assert did["own.ppm"][0] == "failed" and "--color recolor" in did["own.ppm"][1]


# --- names that are too long ----------------------------------------------------------------------


def test_a_name_that_is_too_long_for_its_result_is_told_before_the_work(
    settings: Settings, tmp_path: Path
) -> None:
    photo = draw(tmp_path / ("n" * 251 + ".png"), 1)
    (step,) = plan(find(Asked([str(photo)])).photos, settings, None)
    assert step.do == "fail" and "has 261 bytes" in step.why and "-o" in step.why
    (step,) = plan(find(Asked([str(photo)], str(tmp_path / "out"))).photos, settings, None)
    assert step.do == "color"
