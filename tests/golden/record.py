"""Record what photochrom makes, for the golden test, or for a comparison byte by byte.

``python -m tests.golden.record``
    Makes the inputs and the results, and writes `data/`: what `test_golden.py` compares with.
    It accepts whatever comes out, so look at the changes (`git diff --stat`, `expected.json` is
    text) before they are committed. Two runs on one machine write the same bytes. With
    ``--keep-inputs`` the inputs stay as they are: use it when results are meant to change, and the
    encoders of this machine have other versions than those that the inputs were made with.

``python -m tests.golden.record --bytes DIR``
    Writes every result into DIR, and DIR/SHA256SUMS: the cases of the golden test, the examples in
    full size with several settings, large photos, what a prediction answers besides, folders and
    single photos through the command, with the manifest and all that it says, and its help. On one
    machine the code before a change and after it write the same; ``diff`` of the two SHA256SUMS
    proves it. What is left out of a manifest is what two runs do not have in common: times, and
    where the folder is.

Only public names of photochrom are used, so that it runs with whatever is inside the package.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in the tests: sums are rounded in one order

import numpy as np
import PIL.Image
import tifffile

from photochrom import Colorizer, __version__
from tests.golden.cases import COMMANDED, DATA, INPUTS, SIZE, cases
from tests.golden.description import describe
from tests.golden.make_inputs import EXAMPLES, deep, luma, make_inputs, scene

EXPECTED, PIXELS = DATA / "expected.json", DATA / "expected.npz.xz"


# --- the command ----------------------------------------------------------------------------------


def command(folder: Path, *arguments: str, stdin: bytes = b"") -> tuple[dict[str, Any], bytes]:
    """Run `photochrom` in a folder: what it said, and what came out where that is a photo."""
    environment = {**os.environ, "COLUMNS": "100", "TZ": "UTC"}
    done = subprocess.run(
        [sys.executable, "-m", "photochrom", *arguments],
        cwd=folder, input=stdin, capture_output=True, env=environment, check=False,
    )  # fmt: skip
    is_photo = arguments[-1:] == ("-",)
    said = {"arguments": list(arguments), "exit code": done.returncode}
    said["stdout"] = "a photo" if is_photo else _without(folder, done.stdout.decode())
    said["stderr"] = _without(folder, done.stderr.decode())
    return said, done.stdout if is_photo else b""


def _without(folder: Path, text: str) -> str:
    for name in {str(folder), os.path.realpath(folder)}:
        text = text.replace(name, "FOLDER")
    return text


def copy_commanded(folder: Path) -> None:
    """Photos for the command to color."""
    for n, name in enumerate(COMMANDED):
        path = folder / ("album" if n == 1 else "") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(INPUTS / name, path)


def manifest_lines(path: Path, root: Path, *, pixels: bool) -> list[dict[str, Any]]:
    """The lines of a manifest, by result, without times; `pixels`: with hashes of the results."""
    lines = []
    for text in path.read_text().splitlines():
        line = json.loads(_without(root, text))
        names = list(line)
        assert line.pop("time") and line.pop("seconds") >= 0
        assert line.pop("version") == __version__
        if (certainty := line.pop("certainty", None)) is not None:  # of the network: not to the bit
            assert 0 <= certainty["bits"] <= 8.3 and 0 <= certainty["weak"] <= 1
        for file in ("source_file", "result_file"):
            if line[file] is not None:
                assert line[file].pop("mtime_ns") > 0
        if line["result_file"] is not None and not pixels:
            assert line["result_file"].pop("size") > 0
            assert len(line["result_file"].pop("sha256")) == 64
        lines.append({**line, "fields": names})
    return sorted(lines, key=lambda line: line["result"])


def command_on_folder(folder: Path, *, pixels: bool = False) -> dict[str, Any]:
    """Color a folder by the command; the results are left in `folder`/out."""
    copy_commanded(folder / "in")
    options = ("--workers", "1", "--size", str(SIZE), "--color", "recolor", "-v")
    said, _ = command(folder, "colorize", "in", "-o", "out", *options)
    said["stderr"] = sorted(said["stderr"].splitlines())
    said["stdout"] = sorted(said["stdout"].splitlines())
    manifest = folder / "out" / "photochrom.jsonl"
    said["manifest"] = manifest_lines(manifest, folder, pixels=pixels)
    manifest.unlink()
    said["files"] = sorted(
        path.relative_to(folder / "out").as_posix()
        for path in (folder / "out").rglob("*")
        if path.is_file()
    )
    return said


# --- for the golden test --------------------------------------------------------------------------


def record(keep_inputs: bool, scratch: Path) -> None:
    if not keep_inputs:
        shutil.rmtree(INPUTS, ignore_errors=True)
        INPUTS.mkdir(parents=True)
        for name, data in make_inputs().items():
            (INPUTS / name).write_bytes(data)
    said: dict[str, Any] = {}
    pixels: dict[str, np.ndarray] = {}
    for case in cases():
        result = case.run(scratch)
        if isinstance(result, str):
            said[case.name] = result
            continue
        said[case.name], found = describe(result)
        pixels |= {f"{case.name}/{page}": samples for page, samples in found.items()}
    said["photochrom colorize"] = command_on_folder(scratch / "command")
    write_json(EXPECTED, said)
    file = io.BytesIO()
    np.savez(file, **pixels)
    # One stream for all: many results have the same pixels, or nearly.
    PIXELS.write_bytes(lzma.compress(file.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def write_json(path: Path, said: Any) -> None:
    path.write_text(json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


# --- byte by byte ---------------------------------------------------------------------------------

_EXAMPLE_SETTINGS: dict[str, dict[str, Any]] = {
    "plain.jpg": {},
    "vivid.jpg": {"temperature": 0.1, "saturation": 1.3, "quality": 90},
    "hints.png": {"hints": ((100, 120, (180, 60, 40)), (300, 250, (60, 110, 50)))},
    "half.webp": {"keep_color": 0.5, "saturation": 0.8},
}


def write_bytes(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("cases", "examples", "large", "answers", "command"):
        (folder / part).mkdir(parents=True)
    shutil.copytree(INPUTS, folder / "inputs")
    for case in cases():
        result = case.run(folder / "cases")
        path = folder / "cases" / case.name
        if isinstance(result, str):
            Path(f"{path}.error.txt").write_text(result + "\n", "utf-8")
            continue
        said, pixels = describe(result)
        write_json(Path(f"{path}.json"), said)
        if not case.suffix:
            np.save(f"{path}.npy", pixels[""])
    _write_examples(folder / "examples")
    _write_large(folder / "large")
    _write_answers(folder / "answers")
    _write_commands(folder / "command")
    write_sums(folder)


def _write_examples(folder: Path) -> None:
    colorizer = Colorizer(threads=1)
    for photo in sorted(EXAMPLES.glob("*.jpg")):
        for label, settings in _EXAMPLE_SETTINGS.items():
            colorizer.color_file(photo, folder / f"{photo.stem}.{label}", **settings)
    castle = EXAMPLES / "castle.jpg"
    for suffix in (".tif", ".avif", ".heic"):
        colorizer.predict(castle).save(folder / f"castle.plain{suffix}")
    small = Colorizer("photochrom-1-small", threads=1)
    small.color_file(castle, folder / "castle.small-model.png", temperature=0.3)
    Colorizer(working_size=320, threads=1).color_file(castle, folder / "castle.320.png")
    two = Colorizer(threads=2)  # rendered by strips, the same for any number of threads
    two.predict(castle).save(folder / "castle.two-threads.jpg")


def _write_large(folder: Path) -> None:
    """Photos that are not held in memory, of over 16 megapixels."""
    rgb = np.kron(scene("canyon", 150, 180), np.ones((28, 24, 1), np.uint8))
    gray = luma(rgb)
    PIL.Image.fromarray(gray).save(folder / "gray.in.jpg", quality=90, dpi=(600, 600))
    PIL.Image.fromarray(rgb).save(folder / "rgb.in.png", compress_level=1)
    tifffile.imwrite(
        folder / "deep.in.tif", deep(gray // 32 * 32) // 512 * 512, tile=(256, 256),
        compression="zlib", photometric="minisblack", metadata=None, software=False,
    )  # fmt: skip
    colorizer = Colorizer(threads=1)
    colorizer.color_file(folder / "gray.in.jpg", folder / "gray.jpg", quality=75)
    colorizer.color_file(folder / "rgb.in.png", folder / "rgb.jpg", keep_color=0.5, quality=75)
    colorizer.color_file(folder / "deep.in.tif", folder / "deep.tif")


def _write_answers(folder: Path) -> None:
    """What a prediction says besides its colors."""
    said: dict[str, Any] = {}
    colorizer = Colorizer(threads=1)
    hints = ((20, 20, (30, 60, 210)),)
    for name in ("gray.png", "rgba-16.png", "everything.jpg"):
        for label, given in (("plain", ()), ("hint", hints)):
            prediction = colorizer.predict(INPUTS / name, given)
            key = f"{name}.{label}"
            arrays = {"ab": prediction.ab(), "uncertainty": prediction.uncertainty()}
            for n, pixels in enumerate(prediction.candidates(4, seed=1)):
                arrays[f"candidate-{n}"] = pixels
            for what, array in arrays.items():
                np.save(folder / f"{key}.{what}.npy", array)
            said[key] = repr(prediction.palette(10, 12))
    said["info"] = colorizer.info.to_json()
    write_json(folder / "palettes.json", said)


def _write_commands(folder: Path) -> None:
    said = [command_on_folder(folder, pixels=True)]
    again = command(folder, "colorize", "in", "-o", "out-2", "--workers", "2", "--saturation", "2")
    said += [_sorted(again[0])]
    manifest = folder / "out-2" / "photochrom.jsonl"
    said += [{"manifest": manifest_lines(manifest, folder, pixels=True)}]
    said += [_sorted(command(folder, "colorize", "in", "-o", "out-2", "--dry-run")[0])]
    manifest.unlink()
    hint = ("--hint", "8,6,c8281e")
    single: list[tuple[str, ...]] = [
        ("colorize", "in/gray.jpg"),
        ("colorize", "in/gray.jpg"),  # there is one already
        ("colorize", "in/gray.jpg", "-o", "gray.png", *hint, "--temperature", "0.2"),
        ("colorize", "in/everything.webp", "-o", "everything.jpg", "--quality", "80"),
        ("colorize", "in/album/rgba-16.png", "-o", "rgba.jpg", "--keep-color", "0.5"),
        ("colorize", "in/pages.tif", "-o", "pages.jpg"),
        ("colorize", "in/gray.jpg", "-o", "gray.gif"),
        ("colorize", "in/missing.jpg"),
        ("colorize", "in/gray.jpg", "--hint", "none"),
        ("colorize", "in/gray.jpg", "--size", "100", "--force"),
        (),
        ("--version",),
        ("--help",),
        ("colorise",),
        *((*names, "--help") for names in _subcommands(folder)),
    ]
    said += [command(folder, *arguments)[0] for arguments in single]
    photo = (INPUTS / "gray.jpg").read_bytes()
    talk, result = command(folder, "colorize", "-", "-o", "-", stdin=photo)
    (folder / "stdout.jpg").write_bytes(result)
    write_json(folder / "said.json", [*said, talk])


def _subcommands(folder: Path, *above: str) -> Iterator[tuple[str, ...]]:
    """As the help lists them, and theirs."""
    text = command(folder, *above, "--help")[0]["stdout"]
    for name in re.findall(r"^    ([a-z]+)(?:  |$)", text, re.MULTILINE):
        yield *above, name
        if not above:
            yield from _subcommands(folder, name)


def _sorted(said: dict[str, Any]) -> dict[str, Any]:
    """Workers are done in any order."""
    return {k: sorted(v.splitlines()) if k.startswith("std") else v for k, v in said.items()}


def write_sums(folder: Path) -> None:
    """As `sha256sum` does."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / "SHA256SUMS").write_text("".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description="Record what the golden test compares with.")
    parser.add_argument("--bytes", type=Path, metavar="DIR", help="write all results, with hashes")
    parser.add_argument("--keep-inputs", action="store_true", help="leave the inputs as they are")
    options = parser.parse_args()
    if options.bytes is not None:
        write_bytes(options.bytes)
        return
    with tempfile.TemporaryDirectory() as scratch:
        record(options.keep_inputs, Path(scratch))


if __name__ == "__main__":
    main()
