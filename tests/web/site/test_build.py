"""What `photochrom site` writes, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from photochrom import PhotochromError
from photochrom.cli.main import main
from photochrom.errors import DependencyError
from photochrom.web.site.build import CSP, HEADERS, STUDIO, write_site
from photochrom.web.site.runtime import FILES, NOTICE, Package, fetch, vendored


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files in the place of ONNX Runtime: nothing runs them here."""
    folder = tmp_path_factory.mktemp("vendor")
    for name in (*FILES, NOTICE):
        (folder / name).write_text(name)
    return folder


@pytest.fixture(scope="module")
def written(vendor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("web") / "deep" / "site", vendor).folder


def test_the_page_is_the_studios_with_addresses_that_work_anywhere(written: Path) -> None:
    page = (written / "index.html").read_text(encoding="utf-8")
    studio = (STUDIO / "index.html").read_text(encoding="utf-8")
    assert page.count("<button") == studio.count("<button")
    addresses = re.findall(r'(?:src|href)="([^"#]+)', page)
    assert len(addresses) > 30
    for address in addresses:
        assert (written / address).is_file(), address
    assert f'content="{CSP}"' in page


def test_every_module_that_a_module_imports_is_there(written: Path) -> None:
    modules = list((written / "static").rglob("*.js"))
    assert len(modules) > 40
    for module in modules:
        for name in re.findall(
            r'^(?:import|export) (?:.* from )?"(\./.+?|\.\./.+?)";', module.read_text(), re.M
        ):
            assert (module.parent / name).is_file(), f"{module.name} imports {name}"


def test_the_service_worker_keeps_every_file_and_adds_the_headers(written: Path) -> None:
    text = (written / "sw.js").read_text(encoding="utf-8")
    tables = {
        name: json.loads(value)
        for name, value in re.findall(r"^const (\w+) = (\{.+\});$", text, re.M)
    }
    assert tables["HEADERS"] == HEADERS
    there = {p.relative_to(written).as_posix() for p in written.rglob("*") if p.is_file()}
    assert there - set(tables["FILES"]) == {"sw.js", "_headers", ".nojekyll", NOTICE, "LICENSE.txt"}
    assert "wasm-unsafe-eval" in CSP and "'unsafe-eval'" not in CSP and "http" not in CSP


def test_other_content_means_another_service_worker(vendor: Path, tmp_path: Path) -> None:
    first = write_site(tmp_path / "one", vendor).folder / "sw.js"
    assert first.read_text() == (write_site(tmp_path / "two", vendor).folder / "sw.js").read_text()
    (vendor / FILES[0]).write_text("newer")
    assert first.read_text() != (write_site(tmp_path / "new", vendor).folder / "sw.js").read_text()
    (vendor / FILES[0]).write_text(FILES[0])


def test_a_folder_with_anything_else_stays_as_it_is(vendor: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(PhotochromError, match="holds other files"):
        write_site(tmp_path / "mine", vendor, force=True)
    with pytest.raises(PhotochromError, match="is a file"):
        write_site(tmp_path / "mine" / "letter.txt", vendor)
    assert [p.name for p in tmp_path.rglob("*")] == ["mine", "letter.txt"]


def test_a_site_is_replaced_only_by_force_and_then_as_a_whole(vendor: Path, tmp_path: Path) -> None:
    target = write_site(tmp_path / "site", vendor).folder
    (target / "left over.txt").touch()
    with pytest.raises(PhotochromError, match="use --force"):
        write_site(target, vendor)
    write_site(target, vendor, force=True)
    assert not (target / "left over.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


def test_bytes_that_were_not_pinned_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Package.pinned()
    (tmp_path / "onnxruntime-web" / "-").mkdir(parents=True)
    false = tmp_path / "onnxruntime-web" / "-" / f"onnxruntime-web-{package.version}.tgz"
    monkeypatch.setenv("npm_config_registry", tmp_path.as_uri())
    with pytest.raises(DependencyError, match="cannot be fetched"):
        fetch(tmp_path / "vendor")
    false.write_bytes(b"not the package")
    with pytest.raises(DependencyError, match="not the package that was pinned"):
        fetch(tmp_path / "vendor")
    assert vendored(tmp_path / "vendor") is None
    assert not (tmp_path / "vendor").exists()


def test_the_command_says_how_to_get_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("photochrom.web.site.runtime.VENDOR", tmp_path)
    monkeypatch.setattr("photochrom.web.site.runtime.vendored.__defaults__", (tmp_path,))
    assert main(["site", "-o", str(tmp_path / "site")]) == 1
    assert "--fetch" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
