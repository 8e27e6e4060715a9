"""Markers, and what many tests share: small colorful photos, a colorizer, servers, a browser."""

from __future__ import annotations

import functools
import inspect
import io
import os
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The networks in these tests are tiny: more threads than one only make them wait for each other.
# It also holds in the processes that tests start, and so all compute the same bits.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from photochrom import Colorizer, Prediction

Picture = NDArray[np.uint8]

# A shell that starts the tests in the background has them, and all that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


# --- markers --------------------------------------------------------------------------------------

TESTS = Path(__file__).parent
SCHEMA = Path("web/studio/test_description.py")
STARTERS = {"subprocess", "Crew", "Worker", "spread"}  # names of what starts a process


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check` leaves out, so that no new test has to remember it.

    Browser tests are known by their fixture, those of the training, of hostile files and of
    generated requests by their place, and tests that start processes by the names in their code.
    A test of the command line that lets workers color a folder carries its marker itself.
    """
    for item in items:
        place = item.path.relative_to(TESTS)
        fixtures = getattr(item, "fixturenames", ())
        if "chromium" in fixtures:
            item.add_marker(pytest.mark.browser)
        if place.parts[0] == "train":
            item.add_marker(pytest.mark.train)
        if item.path.stem == "test_hostile":
            item.add_marker(pytest.mark.hostile)
        if place == SCHEMA:
            item.add_marker(pytest.mark.schema)
        if isinstance(item, pytest.Function):
            found = item._fixtureinfo.name2fixturedefs.values()
            functions = [item.function, *(defs[-1].func for defs in found)]
            if any(_is_starter(function) for function in functions):
                item.add_marker(pytest.mark.process)


@functools.cache  # a fixture serves many tests, and a test many parameters
def _is_starter(function: Any) -> bool:
    return _starts_processes(function)


def _starts_processes(thing: Any, seen: set[int] | None = None) -> bool:
    """Whether a function or class of the tests names a starter, itself or in what it calls."""
    seen = set() if seen is None else seen
    thing = inspect.unwrap(thing) if callable(thing) else thing
    if id(thing) in seen or not _is_ours(thing):
        return False
    seen.add(id(thing))
    if inspect.isclass(thing):
        return any(_starts_processes(value, seen) for value in vars(thing).values())
    names = set(_names(thing.__code__))
    called = [thing.__globals__.get(name) for name in names]
    return bool(names & STARTERS) or any(_starts_processes(value, seen) for value in called)


def _is_ours(thing: Any) -> bool:
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    is_code = inspect.isfunction(thing) or inspect.isclass(thing)
    return is_code and file is not None and Path(file).is_relative_to(TESTS)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:  # functions and comprehensions inside
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


# --- several processes share the tests -----------------------------------------------------------

# Files whose tests share what takes long to make: one process gets all of them. They come first, so
# that no process is still at work when the others have nothing left to do.
TOGETHER = {
    "train/test_export.py": "export",
    "train/test_export_smaller.py": "export",
    "train/test_restore.py": "export",
    "evaluate/test_report.py": "report",
    "dataset/test_prepare.py": "prepare",
    "cli/test_folders.py": "folders",
    "web/studio/test_page_errors.py": "page errors",
    "web/studio/test_page_layout.py": "page layout",
    "web/studio/test_page_photos.py": "page photos",
    "web/studio/test_page_story.py": "page story",
    "web/studio/test_page_keyboard.py": "page story",
    "web/studio/test_page_phone.py": "page story",
    "web/studio/test_page_modules.py": "page story",
    "web/study/test_page.py": "study page",
    "web/site/test_equal.py": "site",
    "web/site/test_page_alone.py": "site",
    "web/site/test_page_both.py": "site pages",
}


@pytest.hookimpl(optionalhook=True)  # it is pytest-xdist's
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out tests one by one, but those that belong together as one."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0].removeprefix(f"{TESTS.name}/")
            return TOGETHER.get(file, nodeid)

    return Scheduling(config, log)


# --- models and pictures --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def colorizer() -> Colorizer:
    """The default model; a test that changes it puts it back."""
    from photochrom.colorizer import Colorizer

    return Colorizer(threads=2)


@pytest.fixture(scope="module", params=["compiled", "numpy"])
def each_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """All tests of a module twice: with the compiled kernel, and in NumPy alone."""
    from photochrom.color import native

    before, kernel = native.kernel, native.load(None if request.param == "compiled" else "0")
    if request.param == "compiled" and kernel is None:
        pytest.skip("the kernel is not built here")
    native.kernel = kernel
    yield
    native.kernel = before


@pytest.fixture(scope="session")
def gray() -> Picture:
    """An example photo in gray: uint8 (H, W)."""
    from PIL import Image

    with Image.open(Path(__file__).parents[1] / "examples" / "castle.jpg") as image:
        return np.asarray(image.convert("L"))


@pytest.fixture(scope="session")
def prediction(colorizer: Colorizer, gray: Picture) -> Prediction:
    """What the bundled model predicts for `gray`."""
    return colorizer.predict(gray)


@pytest.fixture(scope="session")
def draw_picture() -> Callable[..., Picture]:
    """Draws a colorful picture, uint8 (height, width, 3): gradient, disks and a fine pattern."""

    def draw(seed: int, height: int = 72, width: int = 88) -> Picture:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        corners = rng.uniform(30, 225, (2, 2, 3))
        top = corners[0, 0] * (1 - x[..., None]) + corners[0, 1] * x[..., None]
        bottom = corners[1, 0] * (1 - x[..., None]) + corners[1, 1] * x[..., None]
        picture = top * (1 - y[..., None]) + bottom * y[..., None]
        for _ in range(6):
            (row, column), radius = rng.uniform(0, 1, 2), rng.uniform(0.08, 0.3)
            picture[(y - row) ** 2 + (x - column) ** 2 < radius**2] = rng.uniform(0, 255, 3)
        picture += 12 * np.sin(40 * x + 25 * y)[..., None]
        drawn: Picture = np.clip(picture, 0, 255).astype(np.uint8)
        return drawn

    return draw


@pytest.fixture(scope="session")
def encode_picture() -> Callable[[Picture], bytes]:
    """Encodes a picture as WebP without loss."""
    from PIL import Image

    def encode(picture: Picture) -> bytes:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "WEBP", lossless=True)
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def pictures(draw_picture: Callable[..., Picture]) -> list[Picture]:
    """Twelve pictures, landscape and portrait."""
    return [draw_picture(seed, *((72, 88) if seed % 3 else (90, 70))) for seed in range(12)]


@pytest.fixture(scope="session")
def shard(
    pictures: list[Picture],
    encode_picture: Callable[[Picture], bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The pictures as a tar shard."""
    from photochrom.dataset.store import write_shard

    path = tmp_path_factory.mktemp("photos") / "shard.tar"
    write_shard(path, [(f"{i:03}.webp", encode_picture(p)) for i, p in enumerate(pictures)])
    return path


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A folder for a run, gone after the test: its checkpoints are large."""
    path = tmp_path / "run"
    yield path
    shutil.rmtree(path, ignore_errors=True)


# --- a study of what people see -------------------------------------------------------------------


@pytest.fixture(scope="session")
def study_folders(
    draw_picture: Callable[..., Picture], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folders real, ours and calm with 14 photos each, some of them in a subfolder."""
    from PIL import Image

    root = tmp_path_factory.mktemp("study")
    for seed in range(14):
        picture = draw_picture(seed, 60, 80 if seed % 2 else 50)
        name = f"trip/{seed:02}" if seed % 3 == 0 else f"{seed:02}"
        gray = picture.mean(axis=2, keepdims=True)
        for folder, suffix, saturation in (
            ("real", "jpg", 1.0),
            ("ours", "png", 0.6),
            ("calm", "webp", 0.3),
        ):
            path = root / folder / f"{name}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((gray + saturation * (picture - gray)).astype(np.uint8)).save(path)
    return root


@pytest.fixture(scope="session")
def new_study(study_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of ours and calm with 1 + 4 + 1 trials and no participant yet, to be copied."""
    from photochrom.study.pairs import find_pairs
    from photochrom.study.plan import StudySettings
    from photochrom.study.study import Study

    path = tmp_path_factory.mktemp("new") / "s.db"
    fakes = [(name, study_folders / name) for name in ("ours", "calm")]
    settings = StudySettings(trials=4, practice=1, catch=1)
    Study.create(path, find_pairs(study_folders / "real", fakes), settings).close()
    return path


class Server:
    """A command of photochrom that serves a page, as a process of its own."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "photochrom", *arguments, "--no-browser"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if line.startswith("http://"):
                self.url = line.split()[0]
                return
        raise AssertionError(f"no address in: {self.said}")

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    def end(self, sign: int) -> int:
        """Send a signal, wait, and keep what the process still had to say."""
        self.process.send_signal(sign)
        self.said += self.process.communicate()[0]
        return self.process.returncode


def _servers(*command: str) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*arguments: str) -> Server:
        servers.append(Server(*command, *arguments))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


@pytest.fixture
def serve_study() -> Iterator[Callable[..., Server]]:
    """Starts servers of studies, which do not outlive the test."""
    yield from _servers("study", "serve")


@pytest.fixture(scope="session")
def serve_studio() -> Iterator[Callable[..., Server]]:
    """Starts studios, which do not outlive the tests."""
    yield from _servers("studio")


# --- pages in a browser ---------------------------------------------------------------------------

CHROMIUM_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The system's Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if path is None:
        pytest.fail("these tests need Chromium: run `make browser`, or install it by hand")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
