"""Results: complete or absent, as other libraries read them, and no original replaced."""

from __future__ import annotations

import os
import stat
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from photochrom.errors import PhotoError
from photochrom.photo.formats.table import EXTENSIONS
from photochrom.photo.open import open_photo
from photochrom.photo.read import read_photo
from photochrom.photo.write import Output, write_photo
from tests.photo.material import (
    IS_ROOT,
    assert_only,
    colored,
    exif_with,
    photo_of,
    png_bytes,
    python,
    refusal,
    refused,
    smooth,
    to_pil,
)

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".jpe": "JPEG",
    ".jif": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".avif": "AVIF",
}


def test_the_list_of_extensions_is_what_is_written() -> None:
    assert set(EXTENSIONS) == set(FORMATS)


@pytest.mark.parametrize("extension", [*FORMATS, ".JPG", ".Tiff"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_each_format_is_written_and_read_back(
    tmp_path: Path, extension: str, alpha: bool, dtype: Any
) -> None:
    scale = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    rgb = (smooth().astype(np.float64) * scale).astype(dtype)
    gray = rgb[..., :1]
    source = np.concatenate([gray, gray[::-1]], axis=2) if alpha else gray
    photo = photo_of(source)
    path = tmp_path / f"out{extension}"
    write_photo(path, rgb, photo)
    assert_only(tmp_path, path.name)

    kind = FORMATS[extension.lower()]
    if kind != "TIFF" or dtype == np.uint8:  # Pillow has no deeper color
        with PIL.Image.open(path) as image:
            assert image.format == kind
            assert "icc_profile" not in image.info  # the source had none
            keeps_alpha = alpha and kind != "JPEG"
            assert image.mode == ("RGBA" if keeps_alpha else "RGB")
            eight = np.asarray(image).astype(int)
            assert np.abs(eight[..., :3] - smooth()).max() <= (1 if kind in ("PNG", "TIFF") else 9)

    again = read_photo(path)
    deep = {"PNG": [np.uint8, np.uint16], "TIFF": [np.uint8, np.uint16, np.float32]}
    if kind in deep and dtype in deep[kind]:
        assert again.pixels.dtype == dtype
        np.testing.assert_array_equal(again.pixels, rgb)
        if alpha:
            np.testing.assert_array_equal(again.alpha, photo.alpha)
    else:
        assert again.pixels.dtype == (np.uint16 if kind == "PNG" else np.uint8)
    assert (again.alpha is not None) == (alpha and kind != "JPEG")
    if alpha and again.alpha is not None and photo.alpha is not None:
        top = 1 if again.alpha.dtype == np.float32 else np.iinfo(again.alpha.dtype).max
        low = 1 if dtype == np.float32 else np.iinfo(dtype).max
        np.testing.assert_allclose(again.alpha / top, photo.alpha / low, atol=0.02)


@pytest.mark.parametrize("extension", [".png", ".tif", ".webp"])
def test_the_color_below_transparent_parts_is_kept(tmp_path: Path, extension: str) -> None:
    clear = np.zeros((48, 64, 1), np.uint8)
    photo = photo_of(np.concatenate([smooth(), clear], axis=2))
    write_photo(tmp_path / f"out{extension}", smooth(), photo)
    again = read_photo(tmp_path / f"out{extension}")
    assert again.alpha is not None
    assert not again.alpha.any()
    assert np.abs(again.pixels.astype(int) - smooth()).max() <= (9 if extension == ".webp" else 0)


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    for name, width in [("a.jpg", 65_501), ("a.webp", 16_384), ("a.avif", 16_385)]:
        rgb = np.zeros((1, width, 3), np.uint8)
        assert "per side" in refusal(write_photo, tmp_path / name, rgb, photo_of(rgb))
        write_photo(tmp_path / "wide.png", rgb, photo_of(rgb), Output(force=True))
    assert_only(tmp_path, "wide.png")


@pytest.mark.parametrize("name", ["photo", "photo.gif", "photo.psd", "photo.bmp", ".jpg", "photo."])
def test_unknown_extensions_are_refused(tmp_path: Path, name: str) -> None:
    message = refusal(write_photo, tmp_path / name, smooth(), photo_of(smooth()))
    assert all(extension in message for extension in EXTENSIONS)
    assert_only(tmp_path)


def test_a_pil_photo_is_written_upright_or_not_as_its_pixels_are(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    to_pil(smooth(24, 32, 1), "L").save(path, exif=exif_with(Orientation=6))
    with PIL.Image.open(path) as image:
        photo = open_photo(image)
    write_photo(tmp_path / "out.png", colored(photo), photo)
    assert (read_photo(tmp_path / "out.png").height, photo.height) == (24, 24)


def test_an_existing_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")
    message = refusal(write_photo, path, smooth(), photo_of(smooth()))
    assert "exists; use --force" in message
    assert path.read_bytes() == b"precious"
    write_photo(path, smooth(), photo_of(smooth()), Output(force=True))
    np.testing.assert_array_equal(read_photo(path).pixels, smooth())
    assert_only(tmp_path, "out.png")


def test_a_link_to_nowhere_counts_as_existing(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.symlink_to(tmp_path / "nowhere.png")
    assert "exists" in refusal(write_photo, path, smooth(), photo_of(smooth()))
    assert_only(tmp_path, "out.png")


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    for force in (False, True):
        message = refusal(
            write_photo, tmp_path / "out.png", smooth(), photo_of(smooth()), Output(force=force)
        )
        assert "folder" in message
    assert_only(tmp_path, "out.png")


def test_the_original_is_never_overwritten_by_whatever_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = tmp_path / "photo.png"
    to_pil(smooth(), "RGB").save(original)
    content = original.read_bytes()
    (tmp_path / "symbolic.png").symlink_to(original)
    os.link(original, tmp_path / "hard.png")
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    photo = read_photo("photo.png")
    monkeypatch.chdir("/")
    names = ["photo.png", "symbolic.png", "hard.png", "folder/photo.png", "./folder/photo.png"]
    for name in names:
        for force in (False, True):
            message = refusal(
                write_photo, tmp_path / name, photo.pixels, photo, Output(force=force)
            )
            assert "originals are never overwritten" in message
    assert original.read_bytes() == content

    # Renamed in the meantime, or saved again by an editor: still the original.
    original.rename(tmp_path / "renamed.png")
    refusal(write_photo, tmp_path / "renamed.png", photo.pixels, photo, Output(force=True))
    original.write_bytes(b"saved again")
    refusal(write_photo, original, photo.pixels, photo, Output(force=True))
    assert original.read_bytes() == b"saved again"
    assert_only(tmp_path, "folder", "hard.png", "photo.png", "renamed.png", "symbolic.png")


def test_a_missing_or_impossible_folder_is_refused(tmp_path: Path) -> None:
    photo = photo_of(smooth())
    message = refusal(write_photo, tmp_path / "absent" / "out.png", smooth(), photo)
    assert "folder does not exist" in message
    (tmp_path / "file").write_text("x")
    refusal(write_photo, tmp_path / "file" / "out.png", smooth(), photo)
    refusal(write_photo, f"{tmp_path}/a\0b.png", smooth(), photo)
    assert_only(tmp_path, "file")


@pytest.mark.skipif(IS_ROOT or os.name == "nt", reason="nothing is forbidden to this user")
def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    message = refusal(write_photo, folder / "out.png", smooth(), photo_of(smooth()))
    assert "may write" in message


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    paths = [tmp_path / f"out{extension}" for extension in EXTENSIONS]
    for path in paths:
        path.write_bytes(b"precious")
    code = (
        "import resource, sys, numpy as np\n"
        "from photochrom.errors import PhotoError\n"
        "from photochrom.photo.open import open_photo\n"
        "from photochrom.photo.write import Output, write_photo\n"
        "a = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        write_photo(name, a, open_photo(a), Output(force=True))\n"
        "    except PhotoError as error:\n"
        "        print(error)\n"
    )
    result = python(code, *paths)
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert len(lines) == len(paths)
    for path, line in zip(paths, lines, strict=True):
        assert line.startswith(f"{path}: cannot be written")
        assert path.read_bytes() == b"precious"
    assert_only(tmp_path, *(path.name for path in paths))


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_an_interrupt_at_any_step_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, force: bool
) -> None:
    path = tmp_path / "out.jpg"
    if force:
        path.write_bytes(b"precious")
    reached = []

    def interrupt(*arguments: Any, **options: Any) -> None:
        reached.append(step)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, step, interrupt)
    if (step, force) in (("link", True), ("replace", False)):  # not a step of this path
        write_photo(path, smooth(), photo_of(smooth()), Output(force=force))
        assert not reached
        return
    with pytest.raises(KeyboardInterrupt):
        write_photo(path, smooth(), photo_of(smooth()), Output(force=force))
    assert reached
    assert_only(tmp_path, *(["out.jpg"] if force else []))
    assert not force or path.read_bytes() == b"precious"


def no_links(*arguments: Any, **options: Any) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_without_hard_links_nothing_is_overwritten_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "out.png"
    write_photo(path, smooth(), photo_of(smooth()))
    np.testing.assert_array_equal(read_photo(path).pixels, smooth())
    assert_only(tmp_path, "out.png")

    # The name is taken while the photo is being encoded.
    rival = tmp_path / "rival.png"
    sync = os.fsync

    def taken(descriptor: int) -> None:
        sync(descriptor)
        rival.write_bytes(b"rival")

    monkeypatch.setattr(os, "fsync", taken)
    assert "exists" in refusal(write_photo, rival, smooth(), photo_of(smooth()))
    assert rival.read_bytes() == b"rival"

    # And if the last step fails, the name is free again.
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", no_links)
    refusal(write_photo, tmp_path / "other.png", smooth(), photo_of(smooth()))
    assert_only(tmp_path, "out.png", "rival.png")


@pytest.mark.parametrize("force", [False, True])
def test_a_draft_is_shown_when_it_is_complete_and_before_it_has_its_name(
    tmp_path: Path, force: bool
) -> None:
    path, draft = tmp_path / "out.png", tmp_path / "draft.png"
    seen = []

    def ready(name: str) -> None:
        assert name == str(draft)
        np.testing.assert_array_equal(read_photo(name).pixels, smooth())
        seen.append(draft.stat())
        assert_only(tmp_path, "draft.png")

    photo = photo_of(smooth())
    write_photo(path, smooth(), photo, Output(force=force, draft=str(draft), ready=ready))
    assert_only(tmp_path, "out.png")
    was, now = seen[0], path.stat()
    assert (was.st_size, was.st_mtime_ns, was.st_ino) == (now.st_size, now.st_mtime_ns, now.st_ino)


def test_who_is_shown_a_draft_can_still_refuse_it(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")

    def refuse(name: str) -> None:
        raise OSError(28, "No space left on device")

    message = refusal(
        write_photo, path, smooth(), photo_of(smooth()), Output(force=True, ready=refuse)
    )
    assert "out.png: cannot be written: No space left" in message
    assert path.read_bytes() == b"precious"
    assert_only(tmp_path, "out.png")


@pytest.mark.parametrize("links", [True, False])
def test_of_many_writers_of_one_name_exactly_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "out.png"
    outcomes: list[int | str] = []
    barrier = threading.Barrier(8)

    def write(value: int) -> None:
        rgb = np.full((64, 64, 3), value, np.uint8)
        barrier.wait()
        try:
            write_photo(path, rgb, photo_of(rgb))
            outcomes.append(value)
        except PhotoError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=write, args=(value,)) for value in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(winners) == 1
    assert all("exists" in outcome for outcome in outcomes if isinstance(outcome, str))
    assert np.all(read_photo(path).pixels == winners[0])
    assert_only(tmp_path, "out.png")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_the_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    write_photo(tmp_path / "out.png", smooth(), photo_of(smooth()))
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ordinary", "out.png")]
    assert modes[0] == modes[1]


def test_many_reads_and_writes_leave_no_file_open(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("the open files of this process cannot be listed")
    path = tmp_path / "photo.jpg"
    to_pil(smooth(), "RGB").save(path)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(path.read_bytes()[:700])
    photo = read_photo(path)
    huge = tmp_path / "huge.png"
    huge.write_bytes(png_bytes(100_000, 100_000, 8, 0, b""))
    errors: list[PhotoError] = []
    before = len(os.listdir("/proc/self/fd"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for number in range(20):
            write_photo(tmp_path / f"{number}.png", photo.pixels, read_photo(path))
            errors += [refused(read_photo, path) for path in (bad, tmp_path, huge)]
            errors.append(refused(write_photo, path, photo.pixels, photo, Output(force=True)))
    # As a batch does, which reports all errors at its end: none of them may hold a file or pixels.
    assert len(errors) == 80
    assert len(os.listdir("/proc/self/fd")) == before
