from __future__ import annotations

import functools
import http.server
import pickle
import threading
import zipfile
from pathlib import Path

import pytest

from photochrom.archive.store import Store, StoreError
from photochrom.errors import ConfigError, DependencyError


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, memory: str, tmp_path: Path) -> Store:
    return Store(memory if request.param == "memory" else str(tmp_path / "store"))


def test_what_is_put_comes_back_and_is_listed(store: Store, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.write_bytes(b"content")
    for key in "a.jpg", "b #1?/ü [x].jpg", "b #1?/.hidden/c.jpg":
        store.put(str(ours), key)
    store.put(str(ours), "a.jpg")  # again, in its place
    found = [one for page in store.listing(lambda name: name != ".hidden") for one in page]
    assert [one.key for one in found] == ["a.jpg", "b #1?/ü [x].jpg"]
    assert {one.size for one in found} == {7} and all(one.mark for one in found)
    copy = pickle.loads(pickle.dumps(store)).fetch("b #1?/ü [x].jpg", str(tmp_path / "copy"))
    assert copy == found[1] and (tmp_path / "copy").read_bytes() == b"content"
    store.remove(["a.jpg", "never.jpg"])
    assert not store.exists("a.jpg")
    with pytest.raises(FileNotFoundError):
        store.read("a.jpg")


def test_a_file_is_created_once(store: Store) -> None:
    assert store.create("lease/1", b"one")
    assert not store.create("lease/1", b"two")
    assert store.create("lease/1", b"one")  # the same again: only the answer was lost
    assert store.read("lease/1") == b"one"


def test_a_zip_file_is_read_and_a_single_photo_has_its_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.writestr("in/a.jpg", "a")
        file.writestr("../out.jpg", "b")
    store = Store(f"zip://in::{tmp_path}/z.zip")
    assert [[one.key for one in page] for page in store.listing()] == [["a.jpg"]]
    assert store.name_of("a.jpg") == f"zip://in/a.jpg::{tmp_path}/z.zip"
    alone = Store(f"zip://in/a.jpg::{tmp_path}/z.zip")
    entry = alone.alone()
    assert entry is not None and entry.key == "a.jpg"
    assert pickle.loads(pickle.dumps(alone)).read("a.jpg") == b"a"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.slow
def test_a_page_of_links_is_read_but_links_to_elsewhere_are_not_followed(tmp_path: Path) -> None:
    for name in "scans/a b.jpg", "scans/1/c.jpg", "other/d.jpg":
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"abc")
    (tmp_path / "scans/2").mkdir()
    (tmp_path / "scans/2/index.html").write_text('<a href="/other/">x</a> <a href="e.jpg">e</a>')
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store = Store(f"http://127.0.0.1:{server.server_port}/scans")
        found = sorted(one.key for page in store.listing() for one in page)
        entry = store.fetch("1/c.jpg", str(tmp_path / "copy"))
        server.shutdown()
    assert found == ["1/c.jpg", "2/e.jpg", "a%20b.jpg"]
    assert entry.size == 3 and (tmp_path / "copy").read_bytes() == b"abc"
    assert store.is_read_only and store.alone() is None


def test_what_is_wrong_with_an_address_is_told_without_its_secrets(memory: str) -> None:
    with pytest.raises(ConfigError, match="nosuch"):
        _ = Store("nosuch://user:secret@x").fs
    with pytest.raises(DependencyError, match=r"photochrom\[gs\]"):
        _ = Store("gs://bucket").fs
    with pytest.raises(StoreError, match="there is no such folder"):
        list(Store(f"{memory}/nothing").listing())
    with pytest.raises(ConfigError) as caught:
        _ = Store("nosuch://user:secret@x").fs
    assert "secret" not in str(caught.value)
