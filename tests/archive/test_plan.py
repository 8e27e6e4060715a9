"""The rules of `batch.plan`, over stores; and what is special to them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from photochrom.archive.manifest import PARTS, Parts, Writer
from photochrom.archive.query import Query
from photochrom.archive.store import Store, StoreError
from photochrom.archive.work import Bench
from photochrom.batch.job import Settings

Once = Callable[..., dict[str, tuple[str, str]]]
Photo = Callable[[int], bytes]


def names(store: Store) -> set[str]:
    if not store.is_folder():
        return set()
    found = {one.key for page in store.listing() for one in page}
    return {key for key in found if not key.startswith(".photochrom/")}


def records(out: Store) -> list[dict[str, Any]]:
    return [row for table in Query(out).tables() for row in table.to_pylist()]


@pytest.mark.slow
def test_a_second_run_has_nothing_to_do(once: Once, scans: Store, out: Store, photo: Photo) -> None:
    for n, key in enumerate(["a.png", "1/b.png", "1/c.bmp.png"]):
        scans.write(key, photo(n))
    scans.write("torn.png", photo(9)[:60])
    scans.write("x.xcf", b"raw")
    scans.write(".trash/d.png", photo(1))
    scans.write("@eaDir/d.png", photo(1))
    first = once()
    assert {name: what for name, (what, _) in first.items() if what == "done"}.keys() == {
        "a.png", "1/b.png", "1/c.bmp.png",
    }  # fmt: skip
    kind, error = first["torn.png"]
    assert kind == "failed" and error.startswith(scans.name + "/torn.png: cannot be read")
    assert names(out) == {"a.png", "1/b.png", "1/c.bmp.png"}
    second = once()
    assert second["a.png"] == ("skip", "done") and second["torn.png"] == ("skip", "failed before")
    assert once(retry=True)["torn.png"][0] == "failed"
    assert once(force=True)["a.png"] == ("done", "forced")
    assert [(r["result"], r["outcome"]) for r in records(out)] == [
        ("1/b.png", "done"), ("1/c.bmp.png", "done"), ("a.png", "done"), ("torn.png", "failed"),
    ]  # fmt: skip


@pytest.mark.slow
def test_what_changes_is_done_again_and_what_only_looks_so_is_not(
    once: Once, scans: Store, out: Store, photo: Photo, settings: Settings
) -> None:
    scans.write("a.png", photo(1))
    scans.write("b.png", photo(2))
    once()
    scans.write("a.png", photo(1))  # a new time, the same content
    scans.write("b.png", photo(3))
    assert once() == {
        "a.png": ("skipped", "may be another photo"),
        "b.png": ("done", "may be another photo"),
    }
    assert {what for what, _ in once().values()} == {"skip"}
    other = dataclasses.replace(settings, temperature=0.9)
    assert once(settings=other)["a.png"] == ("done", "other settings")
    out.remove(["a.png"])
    assert once(settings=other)["a.png"] == ("done", "its result is missing")


@pytest.mark.slow
def test_a_sidecar_is_followed_and_a_change_to_it_noticed(
    once: Once, scans: Store, out: Store, photo: Photo
) -> None:
    scans.write("a.png", photo(1))
    once()
    plain = out.read("a.png")
    sidecar = {"photochrom": "sidecar", "settings": {"saturation": 0.2}}
    scans.write("a.png.photochrom.json", json.dumps(sidecar).encode())
    assert once() == {"a.png": ("done", "other settings")}
    assert out.read("a.png") != plain
    assert json.loads(records(out)[0]["own_settings"])[0]["saturation"] == 0.2
    assert once() == {"a.png": ("skip", "done")}
    scans.write("a.png.photochrom.json", b"{}")
    what, error = once()["a.png"]
    assert what == "failed" and "is not a sidecar" in error


@pytest.mark.slow
def test_nothing_of_others_is_replaced(once: Once, scans: Store, out: Store, photo: Photo) -> None:
    scans.write("a.png", photo(1))
    scans.write("b.bmp.png", photo(2))
    out.write("a.png", b"not ours")
    assert once()["a.png"] == ("fail", "exists but is not a known result")
    assert out.read("a.png") == b"not ours"
    # One that was retouched stays as it is, and a new photo does not replace it.
    out.write("b.bmp.png", b"retouched")
    assert once()["b.bmp.png"][0] == "skip"
    scans.write("b.bmp.png", photo(3))
    what, error = once()["b.bmp.png"]
    assert what == "failed" and "has changed since it was made" in error
    assert once(force=True)["a.png"][0] == "done"


def test_of_two_photos_with_the_same_result_one_is_colored(
    once: Once, scans: Store, photo: Photo
) -> None:
    from io import BytesIO

    from PIL import Image

    scans.write("a.png", photo(1))
    file = BytesIO()
    Image.open(BytesIO(photo(2))).save(file, "BMP")
    scans.write("a.bmp", file.getvalue())
    told = once()
    assert told["a.png"][0] in ("fail", "done")
    assert len(told) == 1


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.slow
def test_a_run_that_was_killed_before_it_put_a_result_leaves_nothing_wrong(
    once: Once, scans: Store, out: Store, photo: Photo, settings: Settings, replaced: bool
) -> None:
    scans.write("a.png", photo(1))
    if replaced:
        once(settings=dataclasses.replace(settings, temperature=0.9))
    before = names(out)

    def kill(bench: Bench) -> None:
        def put(*args: Any) -> None:
            raise KeyboardInterrupt

        bench._put = put  # type: ignore[method-assign, assignment]

    with pytest.raises(KeyboardInterrupt):
        once(bench=kill)
    assert names(out) == before  # there is a record, and no result
    why = "an earlier run was interrupted" if replaced else "its result is missing"
    assert once() == {"a.png": ("done", why)}
    assert once() == {"a.png": ("skip", "done")}


def test_a_result_that_the_store_does_not_take_has_failed(
    once: Once, scans: Store, out: Store, photo: Photo
) -> None:
    scans.write("a.png", photo(1))

    def refuse(bench: Bench) -> None:
        bench._put = lambda piece: StoreError("no", name="x")  # type: ignore[method-assign]

    assert once(bench=refuse) == {"a.png": ("failed", "x: no")}
    assert records(out)[0]["outcome"] == "failed"
    assert once()["a.png"][0] == "done"


@pytest.mark.slow
def test_a_manifest_that_is_brought_together_says_the_same(
    once: Once, scans: Store, out: Store, photo: Photo
) -> None:
    for n in range(3):
        scans.write(f"{n}.png", photo(n))
        once()
    before = records(out)
    parts = Parts(out)
    assert len(parts.files()) == 3 and all("/base-" in key for key in parts.files())
    row = next(iter(parts.read())).to_pylist()[0]
    for n in range(12):
        Writer(out, 9 + n).write([row])
        parts.compact(9 + n)
    assert len(parts.files()) < 8
    after = records(out)
    assert [r["result_sha256"] for r in after] == [r["result_sha256"] for r in before]
    out.write(f"{PARTS}/part-000099-x.parquet", b"torn")
    with pytest.raises(StoreError, match="is no part of a manifest"):
        once()
