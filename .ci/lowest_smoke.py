"""Use what `.ci/lowest` has installed: a command, a library call or a request for each extra."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PHOTO = EXAMPLES / "castle.jpg"
COMMAND = [sys.executable, "-m", "photochrom"]


def photochrom(*arguments: object) -> str:
    """Run the command; it must succeed."""
    line = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}\n{done.stdout}{done.stderr}")
    return done.stdout


def colors() -> None:
    """One photo in several formats, a folder twice, a report, an array, the scripts of shells."""
    for name in ("a.jpg", "a.png", "a.tif", "a.webp", "a.avif"):
        photochrom("colorize", PHOTO, "-o", name, "--color", "recolor")
    Path("scans").mkdir()
    shutil.copy(PHOTO, "scans")
    for _ in range(2):
        photochrom("colorize", "scans", "-o", "out/", "--color", "recolor", "--report", "r.html")
    from photochrom import Colorizer

    result = Colorizer().predict(np.zeros((40, 50), np.uint8), [(3, 4, "navy")])
    assert result.render().shape == (40, 50, 3) and result.candidates(2)
    for shell in ("bash", "zsh", "fish"):
        assert "photochrom" in photochrom("completion", shell)
    photochrom("models")


def evaluate(report: str, *more: object) -> None:
    """Measure one photo."""
    more = ("--sweep", 0, "--workers", 1, "--no-baselines", *more)
    photochrom("evaluate", "scans", "-o", report, *more)


def evaluates() -> None:
    """A report about a photo."""
    evaluate("report")
    assert Path("report/report.html").stat().st_size


def web() -> None:
    """The studio: its page, a photo sent, a preview, a download."""
    line = [*COMMAND, "studio", "--port", "0", "--no-browser"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as studio:
        try:
            assert studio.stdout is not None
            url = next(said for said in studio.stdout if said.startswith("http://")).split()[0]
            base = url.rstrip("/")
            assert b"<html" in urllib.request.urlopen(base + "/").read()
            send = urllib.request.Request(f"{base}/api/photos", PHOTO.read_bytes(), method="POST")
            photo = json.load(urllib.request.urlopen(send))
            at = f"{base}/api/photos/{photo['photo']}"
            made = f"{at}/predictions/{photo['prediction']}"
            for path in ("preview", "download"):
                assert urllib.request.urlopen(f"{made}/{path}").read(2) == b"\xff\xd8"
            gone = urllib.request.Request(at, method="DELETE")
            assert urllib.request.urlopen(gone).status == 204
        finally:
            studio.terminate()


def in_format(suffix: str) -> None:
    """Written and read again."""
    photochrom("colorize", PHOTO, "-o", f"b.{suffix}", "--color", "recolor")
    Path("again").mkdir(exist_ok=True)
    moved = shutil.move(f"b.{suffix}", "again")  # where it is not known as a result
    photochrom("colorize", moved, "-o", f"{suffix}.png", "--color", "recolor")


def video() -> None:
    """Ten frames."""
    import av

    with av.open("film.mp4", "w") as film:
        stream = film.add_stream("libx264", 10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for n in range(10):
            gray = np.full((64, 96, 3), 40 + 10 * n, np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(gray)))
        film.mux(stream.encode())
    photochrom("video", "film.mp4", "-o", "color.mp4")
    assert Path("color.mp4").stat().st_size


def ssim() -> None:
    """The structural similarity, in a report."""
    evaluate("ssim", "--ssim")


EXTRAS = {
    "web": web,
    "video": video,
    "ssim": ssim,
    "heif": lambda: in_format("heic"),
    "jxl": lambda: in_format("jxl"),
    "jp2": lambda: in_format("jp2"),
}


def main(extras: list[str]) -> None:
    """Try the package itself, and these extras."""
    for name, work in (("colorize", colors), ("evaluate", evaluates)):
        work()
        print(name, "works", flush=True)
    for extra in extras:
        EXTRAS[extra]()
        print(extra, "works", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
