"""`photochrom video`, as a user gives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import av
import numpy as np
import pytest

from photochrom.cli.main import main
from photochrom.video.source import Film

SMALL = ["-m", "photochrom-1-small", "--size", "64", "--threads", "1"]


def write(path, draw_scene, seeds, count=5):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "gray"
        for seed in seeds:
            scene = (draw_scene(seed, 120, 200) * 2.5).astype(np.uint8)
            for i in range(count):
                part = np.ascontiguousarray(scene[20:84, i : 80 + i])
                out.mux(stream.encode(av.VideoFrame.from_ndarray(part, "gray")))
        out.mux(stream.encode())
    return path


@pytest.mark.slow
def test_a_film_lands_beside_its_source_or_where_it_is_told(tmp_path, draw_scene, capsys):
    old = write(tmp_path / "old.mkv", draw_scene, [1])
    assert main(["video", str(old), *SMALL]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'old.color.mkv'}\n"
    assert main(["video", str(old), "-o", str(tmp_path / "new.mp4"), "--crf", "30", *SMALL]) == 0
    assert len(list(Film(tmp_path / "new.mp4").pictures())) == 5
    assert main(["video", str(old), *SMALL]) == 1
    assert "exists; use --force" in capsys.readouterr().err
    assert main(["video", str(old), "--force", *SMALL]) == 0


@pytest.mark.slow
def test_a_folder_keeps_its_structure_and_one_failure_stops_nothing(tmp_path, draw_scene, capsys):
    reels = tmp_path / "reels" / "1931"
    reels.mkdir(parents=True)
    write(reels / "a.mkv", draw_scene, [1], 2)
    (reels / "b.mp4").write_text("nothing")
    write(reels.parent / "c.mkv", draw_scene, [2], 2)
    (reels / "notes.txt").write_text("no film")
    out = tmp_path / "color"
    command = ["video", str(reels.parent), "-o", str(out), *SMALL]
    assert main(command) == 1
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.mkv")) == ["1931/a.mkv", "c.mkv"]
    assert "b.mp4: cannot be read as a film" in capsys.readouterr().err
    assert main(command) == 1
    assert "0 done, 1 failed, 2 already done" in capsys.readouterr().err
    lines = [json.loads(line) for line in (out / "photochrom.jsonl").read_text().splitlines()]
    assert {line["result"]: line["error"] is None for line in lines} == {
        "1931/a.mkv": True, "1931/b.mp4": False, "c.mkv": True
    }  # fmt: skip
    (out / "c.mkv").write_text("mine")
    assert main([*command, "--saturation", "0.5"]) == 1
    said = capsys.readouterr().err
    assert "c.mkv exists but is not a known result" in said and "1 done, 2 failed" in said
    assert (out / "c.mkv").read_text() == "mine"


@pytest.mark.slow
def test_stills_are_written_and_told(tmp_path, draw_scene, capsys):
    old = write(tmp_path / "old.mkv", draw_scene, [1, 2])
    assert main(["video", str(old), "--stills", str(tmp_path / "stills"), *SMALL]) == 0
    told = capsys.readouterr().out.split()
    assert sorted(os.listdir(tmp_path / "stills")) == [os.path.basename(path) for path in told]
    assert len(told) == 2


@pytest.mark.parametrize(
    "wrong, said",
    [
        (["--codec", "ffv1", "--crf", "20"], "--crf has no meaning for ffv1"),
        (["--every", "0"], "--every 0: must be auto, or 1 or more"),
        (["-s", "-1"], "saturation = -1"),
    ],
)
def test_wrong_usage_is_told(tmp_path, draw_scene, capsys, wrong, said):
    assert main(["video", "old.mkv", *wrong]) == 2
    assert said in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install():
    code = (
        "import sys; sys.modules['av'] = None\n"
        "from photochrom.cli.main import main\n"
        "sys.exit(main(['video', 'old.mp4']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'photochrom[video]'" in done.stderr and "Traceback" not in done.stderr


def test_a_pipe_in_and_out(tmp_path, draw_scene):
    old = write(tmp_path / "old.mkv", draw_scene, [1], 3)
    command = [sys.executable, "-m", "photochrom", "video", "-", "-o", "-", *SMALL]
    done = subprocess.run(command, input=old.read_bytes(), capture_output=True, check=True)
    new = tmp_path / "new.mkv"
    new.write_bytes(done.stdout)
    assert len(list(Film(new).pictures())) == 3


def test_kill_9_leaves_whole_parts_that_the_next_run_takes_up(tmp_path, draw_scene):
    old = write(tmp_path / "old.mkv", draw_scene, [1, 2, 3, 4], 12)
    new, work = tmp_path / "new.mkv", tmp_path / ".new.mkv.photochrom"
    command = [sys.executable, "-m", "photochrom", "video", str(old), "-o", str(new), *SMALL]
    process = subprocess.Popen([*command, "--every", "1"], stderr=subprocess.DEVNULL)
    while process.poll() is None and not (work / "film.json").exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    parts = {p.name: p.read_bytes() for p in work.glob("*.part")}
    assert parts and not new.exists()
    subprocess.run([*command, "--every", "1"], check=True, stderr=subprocess.DEVNULL)
    assert len(list(Film(new).pictures())) == 48
    assert not work.exists()
