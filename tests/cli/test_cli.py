import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from photochrom.cli.main import main
from photochrom.photo.read import read_photo

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "old.jpg"
    with PIL.Image.open(EXAMPLES / "castle.jpg") as image:
        image.convert("L").resize((150, 100)).save(path, quality=95)
    return path


def test_as_a_real_process(photo: Path) -> None:
    command = [sys.executable, "-m", "photochrom", "colorize", str(photo)]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    target = photo.with_name("old.color.jpg")
    assert target.exists() and str(target) in first.stdout
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 1
    assert "old.jpg" in second.stderr and "--force" in second.stderr
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
        assert main(["colorize", str(photo.parent), "-o", str(photo.parent), *flags]) == 1
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
    code = main(["colorize", str(photo), str(bad), "missing.jpg", str(last), "-o", str(out)])
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
    assert main(["colorize", str(scans), "-o", str(out)]) == 0
    found = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert found == ["1923/b.jpg", "a.jpg", "c.color.jpg", "photochrom.jsonl"]


@pytest.mark.process
def test_an_output_folder_inside_the_input_is_not_read_again(photo: Path) -> None:
    folder = photo.parent
    assert main(["colorize", str(folder), "-o", str(folder / "out")]) == 0
    assert main(["colorize", str(folder), "-o", str(folder / "out"), "--force"]) == 0
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
    for bad in ("75,10", "75,10,red", "a,b,ff0000", "75,10,ff0000,1"):
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
    assert main(["colorize", str(photo), str(other), "-o", str(out), "--force"]) == 1
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


# --- streams --------------------------------------------------------------------------------------


def stream(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "photochrom", "colorize", *arguments]
    return subprocess.run(command, capture_output=True, input=stdin)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_stdin_to_stdout_is_the_image_and_nothing_else_in_the_same_format(
    photo: Path, tmp_path: Path, kind: str
) -> None:
    source, expected = tmp_path / f"s.{kind}", tmp_path / f"e.{kind}"
    with PIL.Image.open(photo) as image:
        image.save(source)
    assert main(["colorize", str(source), "-o", str(expected)]) == 0
    for arguments, data in (
        (["-"], source.read_bytes()),
        (["-", "-o", "-"], source.read_bytes()),
        ([str(source), "-o", "-"], b""),
    ):
        done = stream(*arguments, stdin=data)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == expected.read_bytes()


def test_stdin_to_a_file(photo: Path, tmp_path: Path) -> None:
    done = stream("-", "-o", str(tmp_path / "new.png"), stdin=photo.read_bytes())
    assert done.returncode == 0
    assert read_photo(tmp_path / "new.png").pixels.shape == (100, 150, 3)


@pytest.mark.parametrize("data", [b"", b"no photo", b"\xff\xd8\xff broken"])
def test_bad_bytes_on_stdin_are_a_named_error(data: bytes) -> None:
    done = stream("-", stdin=data)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"photochrom: stdin: ")
    assert b"Traceback" not in done.stderr


def test_a_stream_is_one_photo(photo: Path, tmp_path: Path) -> None:
    for arguments in (
        ["-", str(photo)],
        [str(photo), "-", "-o", "out/"],
        [str(tmp_path), "-o", "-"],
        ["-", "-o", f"{tmp_path}/"],
        ["-", "--dry-run"],
    ):
        done = stream(*arguments, stdin=photo.read_bytes())
        assert (done.returncode, done.stdout) == (2, b"")
    assert list(tmp_path.iterdir()) == [photo]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    ("arguments", "closed", "code", "said"),
    [
        ("- -o {out}", "<&-", 2, "photochrom: -: stdin is closed; use < photo.jpg, or a pipe\n"),
        ("{photo} -o -", ">&-", 2, "photochrom: -: stdout is closed; use > color.jpg, or a pipe\n"),
        ("{photo} -o {out}", "<&- >&-", 0, ""),
        ("{photo} {photo} -o {folder}/", "2>&-", 0, ""),
    ],
)
def test_closed_streams_are_told_or_not_needed(
    photo: Path, tmp_path: Path, arguments: str, closed: str, code: int, said: str
) -> None:
    names = {"photo": photo, "out": tmp_path / "new.png", "folder": tmp_path / "new"}
    command = f"{sys.executable} -m photochrom colorize {arguments.format(**names)} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)
    assert names["out"].exists() == (said == "" and "{out}" in arguments)
    assert (names["folder"] / photo.name).exists() == ("{folder}" in arguments)


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_one_photo_has_no_shards(
    photo: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for source in (str(photo), "-"):
        assert main(["colorize", source, "--shard", "1/2", *more]) == 2
        assert "photochrom: -" in capsys.readouterr().err
    assert not photo.with_name("old.color.jpg").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_an_image_is_not_poured_into_a_terminal(photo: Path) -> None:
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "photochrom", "colorize"]
    with os.fdopen(master, "rb", buffering=0), os.fdopen(slave, "rb+", buffering=0) as terminal:
        out = subprocess.run(
            [*command, str(photo), "-o", "-"], stdout=terminal, stderr=subprocess.PIPE
        )
        into = subprocess.run([*command, "-"], stdin=terminal, capture_output=True)
    assert (out.returncode, into.returncode) == (2, 2)
    assert b"terminal" in out.stderr and b"stdin is a terminal" in into.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_or_closed_stdout_is_an_error_without_traceback(photo: Path) -> None:
    command = [sys.executable, "-m", "photochrom", "colorize", str(photo), "-o", "-"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.decode() == f"photochrom: {photo}: No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


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


# --- one photo that does not come to its end ------------------------------------------------------

AMID = """
import os, signal, sys, time
import photochrom.photo.write as writing
from photochrom.cli.main import main
put = writing._put
def amid(*arguments):
    put(*arguments)  # the draft is there
    %s
writing._put = amid
sys.exit(main(sys.argv[1:]))
"""


def stopped(
    action: str, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AMID % action, "colorize", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal")
@pytest.mark.parametrize("to_stdout", [False, True])
def test_sigterm_leaves_nothing(photo: Path, tmp_path: Path, to_stdout: bool) -> None:
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    out.mkdir()
    target = "-" if to_stdout else out / "a.jpg"
    action = "os.kill(os.getpid(), signal.SIGTERM)"
    done = stopped(action, photo, "-o", target, TMPDIR=str(scratch))
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "photochrom: interrupted\n")
    assert not list(scratch.iterdir()) and not list(out.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal")
def test_what_a_killed_run_left_is_removed_by_the_next(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    done = stopped("os.kill(os.getpid(), signal.SIGKILL)", photo, "-o", out / "a.jpg")
    (draft,) = out.iterdir()
    assert done.returncode == -signal.SIGKILL and draft.name.startswith(".photochrom-")
    parts = draft.name.split("-")
    kept = [
        draft.with_name("-".join([*parts[:2], str(os.getpid()), parts[3]])),  # of one at work
        draft.with_name("-".join([parts[0], "01234567", *parts[2:]])),  # on another machine
        draft.with_name(".photochrom-0123456789abcdef.jpg"),
    ]
    for path in kept:
        path.write_bytes(b"")
        os.utime(path, (1, 1))
    assert main(["colorize", str(photo), "-o", str(out / "a.jpg")]) == 0
    assert draft.exists()  # it is too new
    os.utime(draft, (1, 1))
    assert main(["colorize", str(photo), "-o", str(out / "b.jpg")]) == 0
    assert sorted(out.iterdir()) == sorted([out / "a.jpg", out / "b.jpg", *kept])


LOGGED = """
import logging, os, signal, sys
import photochrom.photo.write as writing
from photochrom.cli.main import main
class Ends(logging.Handler):
    def emit(self, record):
        if "threadpool" in record.getMessage() and (saving or sys.argv[1] == "read"):
            os.kill(os.getpid(), int(sys.argv[2]))
saving = []
put = writing._put
def amid(*arguments):
    saving.append(True)
    put(*arguments)
writing._put = amid
log = logging.getLogger("pyvips")
log.setLevel(logging.DEBUG)
log.addHandler(Ends())
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal")
@pytest.mark.parametrize("when", ["read", "save"])
@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_heard_while_libvips_reports(
    photo: Path, tmp_path: Path, when: str, sign: int, code: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-c", LOGGED, when, str(int(sign)), "colorize", str(photo)]
    done = subprocess.run([*command, "-o", str(out / "a.png")], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "photochrom: interrupted\n")
    assert not list(out.iterdir())


@pytest.mark.parametrize("to_stdout", [False, True])
def test_the_time_of_a_single_photo_is_limited(
    photo: Path, tmp_path: Path, to_stdout: bool
) -> None:
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    out.mkdir()
    target = "-" if to_stdout else out / "a.jpg"
    # In one call that no signal ends early, as one into a library would be.
    action = "import threading; threading.Lock().acquire() and time.sleep(500)"
    done = stopped(action, photo, "-o", target, "--timeout", "2", TMPDIR=str(scratch))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        f"photochrom: {photo}: took longer than 2 seconds; allow more time with --timeout\n"
    )
    assert not list(scratch.iterdir()) and not list(out.iterdir())


def test_a_photo_that_is_done_in_time_is_there(photo: Path, tmp_path: Path) -> None:
    done = stopped("pass", photo, "-o", tmp_path / "a.jpg", "--timeout", "1000")
    assert done.returncode == 0 and (tmp_path / "a.jpg").exists()


# --- no temporary folder --------------------------------------------------------------------------


@pytest.mark.slow
def test_without_a_temporary_folder_it_is_said_what_to_do(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    monkeypatch.setenv("TMPDIR", str(gone))
    monkeypatch.setattr("tempfile.tempdir", str(gone))
    wanted = f"the temporary folder {gone} cannot be used: "
    with photo.open("r") as stdin, monkeypatch.context() as m:
        m.setattr("sys.stdin", stdin)
        assert main(["colorize", "-", "-o", str(tmp_path / "a.jpg")]) == 1
        said = capsys.readouterr().err
        assert wanted in said and "stdin: " in said and "TMPDIR" in said
    with (tmp_path / "result").open("w") as stdout, monkeypatch.context() as m:
        m.setattr("sys.stdout", stdout)
        assert main(["colorize", str(photo), "-o", "-"]) == 1
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "result").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of files")
def test_a_full_temporary_folder_is_named(photo: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from photochrom.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "colorize"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    wanted = f"the temporary folder {tmp_path} cannot be used: "
    for arguments in (["-", "-o", str(tmp_path / "a.jpg")], [str(photo), "-o", "-"]):
        with photo.open("rb") as stream:
            done = subprocess.run(
                [*command, *arguments], stdin=stream, capture_output=True, env=environment
            )
        assert done.returncode == 1 and done.stdout == b""
        assert wanted in done.stderr.decode() and "TMPDIR" in done.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == [photo.name]


@pytest.mark.skipif(sys.platform == "win32", reason="TMPDIR is not asked there")
def test_a_large_photo_that_cannot_be_turned_names_the_temporary_folder(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[274] = 6
    PIL.Image.new("L", (4200, 4000), 90).save(tmp_path / "a.jpg", exif=exif)
    gone = tmp_path / "gone"
    done = subprocess.run(
        [sys.executable, "-m", "photochrom", "colorize", str(tmp_path / "a.jpg")],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(gone), "VIPS_DISC_THRESHOLD": "1k"},
    )
    assert done.returncode == 1
    assert f"a.jpg: the temporary folder {gone} cannot be used: " in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]
