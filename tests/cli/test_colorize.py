"""`photochrom colorize`: where results go, and what becomes of settings."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from photochrom.cli.main import main
from photochrom.photo.read import read_photo

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_as_a_real_process(photo: Path) -> None:
    command = [sys.executable, "-m", "photochrom", "colorize", str(photo)]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    target = photo.with_name("old.color.jpg")
    assert target.exists() and str(target) in first.stdout
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 0
    assert "is already done" in second.stderr and "--force" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.slow
def test_default_output_lies_beside_the_input(photo: Path) -> None:
    before = photo.read_bytes()
    assert main(["colorize", str(photo)]) == 0
    assert photo.read_bytes() == before
    assert read_photo(photo.with_name("old.color.jpg")).pixels.shape == (100, 150, 3)


@pytest.mark.slow
def test_output_as_file_and_as_folder(photo: Path, tmp_path: Path) -> None:
    assert main(["colorize", str(photo), "-o", str(tmp_path / "new.png")]) == 0
    assert main(["colorize", str(photo), "-o", str(tmp_path / "out")]) == 0
    assert main(["colorize", str(photo), "-o", str(tmp_path / "v1.0") + "/"]) == 0
    for path in ("new.png", "out/old.jpg", "v1.0/old.jpg"):
        assert read_photo(tmp_path / path).pixels.shape == (100, 150, 3)


@pytest.mark.slow
def test_existing_result_needs_force(photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "old.color.jpg"
    target.write_bytes(b"precious")
    assert main(["colorize", str(photo)]) == 1
    assert target.read_bytes() == b"precious"
    assert main(["colorize", str(photo), "--force"]) == 0
    assert target.read_bytes() != b"precious"


@pytest.mark.slow
def test_an_original_is_never_overwritten(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = photo.read_bytes()
    assert main(["colorize", str(photo), "-o", str(photo), "--force"]) == 1
    assert main(["colorize", str(photo), "-o", str(photo.parent), "--force"]) == 1
    assert photo.read_bytes() == before
    assert "old.jpg" in capsys.readouterr().err


@pytest.mark.process
def test_a_folder_is_no_place_for_its_own_results(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = photo.read_bytes()
    for flags in ([], ["--force"]):
        assert main(["colorize", str(photo.parent), "-o", str(photo.parent), *flags]) == 2
        err = capsys.readouterr().err
        assert "the result would overwrite the photo" in err and "--force" not in err
    assert photo.read_bytes() == before


@pytest.mark.process
def test_one_bad_file_fails_alone(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    last = tmp_path / "last.jpg"
    shutil.copy(photo, last)
    out = tmp_path / "out"
    code = main(
        [
            "colorize",
            str(photo),
            str(bad),
            "missing.jpg",
            str(last),
            "-o",
            str(out),
            "--workers",
            "1",
        ]
    )
    assert code == 1
    assert sorted(p.name for p in out.iterdir()) == ["last.jpg", "old.jpg", "photochrom.jsonl"]
    err = capsys.readouterr().err
    assert "bad.png" in err and "missing.jpg" in err and "2 done, 2 failed" in err


@pytest.mark.process
def test_a_folder_keeps_its_structure(photo: Path, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    for name in ("a.jpg", "1923/b.jpg", "1923/notes.txt", ".hidden.jpg", "c.color.jpg"):
        (scans / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, scans / name)
    out = tmp_path / "color"
    assert main(["colorize", str(scans), "-o", str(out), "--workers", "1"]) == 0
    found = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert found == ["1923/b.jpg", "a.jpg", "c.color.jpg", "photochrom.jsonl"]


@pytest.mark.process
def test_an_output_folder_inside_the_input_is_not_read_again(photo: Path) -> None:
    folder = photo.parent
    command = ["colorize", str(folder), "-o", str(folder / "out"), "--workers", "1"]
    assert main(command) == 0
    assert main([*command, "--force"]) == 0
    assert [p.name for p in (folder / "out").rglob("*.jpg")] == ["old.jpg"]


def test_several_photos_need_a_folder(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["colorize", str(photo), str(photo), "-o", str(tmp_path / "x.jpg")]) != 0
    assert "folder" in capsys.readouterr().err


@pytest.mark.slow
def test_settings_reach_the_result(photo: Path, tmp_path: Path) -> None:
    gray = tmp_path / "gray.png"
    assert main(["colorize", str(photo), "-o", str(gray), "--saturation", "0"]) == 0
    pixels = read_photo(gray).pixels
    assert (pixels == pixels[..., :1]).all()
    vivid, muted = tmp_path / "vivid.png", tmp_path / "muted.png"
    assert main(["colorize", str(photo), "-o", str(vivid), "-t", "0.1"]) == 0
    assert main(["colorize", str(photo), "-o", str(muted), "-t", "1"]) == 0
    assert (read_photo(vivid).pixels != read_photo(muted).pixels).any()
    hinted = tmp_path / "hinted.png"
    assert main(["colorize", str(photo), "-o", str(hinted), "--hint", "75,10,ff0000"]) == 0
    for bad in ("75,10", "75,10,rde", "a,b,ff0000", "75,10,ff0000,1"):
        assert main(["colorize", str(photo), "-o", str(tmp_path / "h.png"), "--hint", bad]) == 1
    assert not (tmp_path / "h.png").exists()


@pytest.mark.slow
def test_senseless_settings_are_wrong_usage(photo: Path) -> None:
    for flag in ("--temperature", "--saturation"):
        for value in ("-1", "nan", "inf"):
            assert main(["colorize", str(photo), f"{flag}={value}"]) == 2
    assert main(["colorize", str(photo), "--size", "100"]) == 2
    assert list(photo.parent.iterdir()) == [photo]


@pytest.mark.process
def test_two_photos_of_one_name_do_not_overwrite_each_other(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "b" / photo.name
    other.parent.mkdir()
    shutil.copy(photo, other)
    out = tmp_path / "out"
    assert (
        main(["colorize", str(photo), str(other), "-o", str(out), "--force", "--workers", "1"]) == 1
    )
    assert "would have the same result" in capsys.readouterr().err


def test_bad_model_and_device(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["colorize", str(photo), "-m", "nowhere.onnx"]) == 1
    assert "nowhere.onnx" in capsys.readouterr().err
    assert main(["colorize", str(photo), "--device", "tpu"]) == 1
    assert "tpu" in capsys.readouterr().err
    assert list(photo.parent.iterdir()) == [photo]


@pytest.mark.slow
def test_models_lists_the_bundled_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "photochrom-1" in out and "(default)" in out and "Apache-2.0" in out


@pytest.mark.slow
def test_names_in_any_script(photo: Path) -> None:
    odd = photo.with_name("été 写真\nнить.jpg")
    shutil.copy(photo, odd)
    assert main(["colorize", str(odd)]) == 0
    assert odd.with_name("été 写真\nнить.color.jpg").exists()


@pytest.mark.slow
def test_deep_photos_stay_deep(tmp_path: Path) -> None:
    source = tmp_path / "scan.png"
    deep = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    PIL.Image.fromarray(deep).save(source)
    assert main(["colorize", str(source)]) == 0
    assert read_photo(tmp_path / "scan.color.png").pixels.dtype == np.uint16


def test_training_commands_without_torch_say_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from photochrom.cli.main import main\n"
        f"sys.exit(main(['train', 'x.tar', '-o', {str(tmp_path / 'run')!r}, '--steps', '1']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "photochrom[train]" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_prepare_from_folder_to_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("castle", "horses", "cameraman"):
        shutil.copy(EXAMPLES / f"{name}.jpg", photos)
    shutil.copy(EXAMPLES / "castle.jpg", photos / "again.jpg")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    shards = tmp_path / "shards"
    command = ["prepare", str(photos), "-o", str(shards), "--workers", "1"]
    assert main(command) == 0
    names = {p.name for p in shards.iterdir()}
    assert {"shard-00000.tar", "prior.npy", "report.json"} <= names
    assert abs(float(np.load(shards / "prior.npy").sum()) - 1) < 1e-4
    assert "2" in capsys.readouterr().out
    assert main([*command, "--short-side", "96"]) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_one_photo_has_no_shards(
    photo: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for source in (str(photo), "-"):
        assert main(["colorize", source, "--shard", "1/2", *more]) == 2
        assert "photochrom: -" in capsys.readouterr().err
    assert not photo.with_name("old.color.jpg").exists()


@pytest.mark.slow
def test_quality_and_own_color_reach_the_result(photo: Path, tmp_path: Path) -> None:
    sizes = []
    for quality in ("30", "75", "98"):
        target = tmp_path / f"{quality}.jpg"
        assert main(["colorize", str(photo), "-o", str(target), "-q", quality]) == 0
        assert read_photo(target).quality == int(quality)
        sizes.append(target.stat().st_size)
    assert sizes == sorted(set(sizes))
    rgb = np.asarray(PIL.Image.open(EXAMPLES / "castle.jpg").resize((150, 100)))
    PIL.Image.fromarray(rgb).save(tmp_path / "color.png")
    run = ["colorize", str(tmp_path / "color.png"), "-o", str(tmp_path / "kept.png")]
    assert main([*run, "--keep-color", "1"]) == 0
    kept = read_photo(tmp_path / "kept.png").pixels
    assert np.abs(kept.astype(int) - rgb).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "option", [["-q", "0"], ["-q", "101"], ["--keep-color", "2"], ["--timeout", "-1"]]
)
def test_senseless_quality_color_or_time_is_wrong_usage(photo: Path, option: list[str]) -> None:
    try:
        assert main(["colorize", str(photo), *option]) == 2
    except SystemExit as stop:
        assert stop.code == 2
    assert not photo.with_name("old.color.jpg").exists()
