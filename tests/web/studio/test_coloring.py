"""The pictures and answers of the studio."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path

import httpx
import numpy as np
import PIL.Image
import pytest

from photochrom import Colorizer
from photochrom.photo.read import read_photo
from photochrom.web.studio.asked import Box, Coloring
from photochrom.web.studio.limits import Limits
from photochrom.web.studio.studio import Studio
from tests.web.studio_client import (
    EXAMPLES,
    added,
    encoded,
    gray_photo,
    name_of,
    opened,
    send,
    serving,
    told_at,
)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.slow
def test_tiles_are_parts_of_one_whole(studio: Studio, scale: int) -> None:
    token = added(studio, encoded(gray_photo(301, 457)))
    name = name_of(studio, token)
    ready = asyncio.run(studio._ready(token, name, Coloring(temperature=0.3, saturation=1.4)))
    level = asyncio.run(studio._level(token, scale))
    whole = studio.darkroom.paint(ready, level, Box(0, 0, 457, 301, scale))
    assert whole.shape == (-(-301 // scale), -(-457 // scale), 3)
    part = studio.darkroom.paint(ready, level, Box(120, 88, 161, 97, scale))
    top, left = 88 // scale, 120 // scale
    assert np.array_equal(part, whole[top : top + part.shape[0], left : left + part.shape[1]])
    if scale == 1:  # and that is what is downloaded
        full = studio.colorizer.predict(gray_photo(301, 457)).render(0.3, 1.4)
        assert np.array_equal(whole, full)


@pytest.mark.slow
def test_previews_and_tiles_show_the_downloaded_colors(client: httpx.Client) -> None:
    address, _ = send(client, (EXAMPLES / "horses.jpg").read_bytes())
    full = opened(client.get(f"{address}/download?format=png")).astype(float)
    height, width = full.shape[:2]
    preview = opened(client.get(f"{address}/preview?size={width}")).astype(float)
    assert np.abs(preview - full).mean() < 2  # JPEG
    tile = opened(client.get(f"{address}/tile?x=200&y=100&width=300&height=200")).astype(float)
    assert np.abs(tile - full[100:300, 200:500]).mean() < 2
    small = opened(client.get(f"{address}/preview?size=200")).astype(float)
    shrunk = np.asarray(
        PIL.Image.fromarray(full.astype(np.uint8)).resize((200, round(height * 200 / width)))
    )
    assert np.abs(small - shrunk).mean() < 6


@pytest.mark.slow
def test_settings_and_candidates_change_the_picture_and_seeds_repeat(client: httpx.Client) -> None:
    address, _ = send(client, (EXAMPLES / "moose.jpg").read_bytes())
    asked = ["", "temperature=1", "saturation=0.5", *(f"candidate={k}&seed=3" for k in range(6))]
    seen = [client.get(f"{address}/preview?size=200&{query}").content for query in asked]
    assert len(set(seen)) == len(asked)
    assert client.get(f"{address}/preview?size=200&candidate=1&seed=3").content == seen[4]
    gray = opened(client.get(f"{address}/preview?size=200&saturation=0"))
    assert (gray.max(axis=2).astype(int) - gray.min(axis=2)).max() <= 2
    four = client.get(f"{address}/candidates?n=4&seed=3").json()["candidates"]
    six = client.get(f"{address}/candidates?n=6&seed=3").json()["candidates"]
    assert four == six[:4] and [c["candidate"] for c in six] == list(range(6))
    for candidate, data in zip(six, seen[3:], strict=True):
        mean = np.asarray(PIL.Image.open(io.BytesIO(data))).mean(axis=(0, 1))
        assert np.abs(mean - candidate["color"]).max() < 8


@pytest.mark.slow
def test_hints_are_followed_and_their_names_repeat(client: httpx.Client) -> None:
    _, told = send(client, encoded(gray_photo(200, 260)))
    predictions = f"/api/photos/{told['photo']}/predictions"
    hint = {"x": 130.0, "y": 100.0, "color": [200, 40, 40]}
    name = client.post(predictions, json={"hints": [hint]}).json()["prediction"]
    assert name != told["prediction"]
    assert client.post(predictions, json={"hints": [hint]}).json()["prediction"] == name
    undone = client.post(predictions, json={"hints": []}).json()["prediction"]
    assert undone == told["prediction"]
    red, green, _ = opened(client.get(f"{predictions}/{name}/preview"))[100, 130].astype(int)
    assert red > green + 40
    palette = client.get(f"{predictions}/{name}/palette?x=130&y=100").json()
    assert palette["current"][0] > palette["current"][1] + 40
    for wrong in (
        {"x": 260, "y": 0, "color": [0, 0, 0]},
        {"x": 1, "y": 1, "color": [0, 0, 256]},
        {"x": 1, "y": 1, "color": [0, 0]},
        {"x": -1, "y": 1, "color": [0, 0, 0]},
        {"x": 1, "y": 1, "color": [0, 0, 0], "size": 3},
    ):
        reply = client.post(predictions, json={"hints": [wrong]})
        assert reply.status_code == 422 and reply.json()["error"]


@pytest.mark.slow
def test_the_palette_is_that_of_the_library(client: httpx.Client, colorizer: Colorizer) -> None:
    photo = EXAMPLES / "castle.jpg"  # smaller than the largest preview, so nothing is reduced
    address, _ = send(client, photo.read_bytes())
    told = client.get(f"{address}/palette?x=60&y=50&n=6").json()
    expected = colorizer.predict(photo).palette(60, 50, 6)
    assert [tuple(c["color"]) for c in told["colors"]] == [rgb for rgb, _ in expected]
    assert np.allclose(
        [c["probability"] for c in told["colors"]], [p for _, p in expected], 0, 1e-5
    )
    assert len(told["bins"]) == 313 and abs(sum(p for *_, p in told["bins"]) - 1) < 1e-3
    preview = opened(client.get(f"{address}/preview"))[48:53, 58:63].mean(axis=(0, 1))
    assert np.abs(preview - told["current"]).max() < 12
    assert client.get(f"{address}/palette?x=800&y=50").status_code == 422


@pytest.mark.slow
def test_every_place_of_a_photo_has_a_palette_and_takes_a_hint(client: httpx.Client) -> None:
    address, _ = send(client, encoded(gray_photo(90, 120)))
    predictions = address.rpartition("/")[0]
    for x, y in ((119.99, 89.99), (119.6, 3), (0, 89.5), (119, 89), (0, 0)):
        reply = client.get(f"{address}/palette?x={x}&y={y}")
        assert reply.status_code == 200, reply.text
        hints = {"hints": [{"x": x, "y": y, "color": [200, 60, 40]}]}
        reply = client.post(predictions, json=hints)
        assert reply.status_code == 200, reply.text
    assert client.get(f"{address}/palette?x=120&y=3").status_code == 422


def test_a_mistake_of_ours_is_told_as_an_error_too(studio: Studio, client: httpx.Client) -> None:
    _, told = send(client, encoded(gray_photo()))
    studio.store.get(told["photo"]).description = {"photo": object()}  # what no reply can hold
    reply = client.get(f"/api/photos/{told['photo']}")
    assert reply.status_code == 500 and "terminal" in reply.json()["error"]
    assert "traceback" not in reply.text.lower()


@pytest.mark.slow
def test_spots_are_unsure_places_apart_from_each_other(client: httpx.Client) -> None:
    address, told = send(client, (EXAMPLES / "mariachi.jpg").read_bytes())
    spots = client.get(f"{address}/spots?n=5").json()["spots"]
    entropy = opened(client.get(f"{address}/uncertainty")) / 255 * np.log2(313)
    for spot in spots:
        assert spot["bits"] > entropy.mean()
        assert abs(entropy[spot["y"], spot["x"]] - spot["bits"]) < 1
    short = min(told["width"], told["height"])
    places = [np.array([spot["x"], spot["y"]]) for spot in spots]
    for n, a in enumerate(places):
        assert all(np.linalg.norm(a - b) > 0.23 * short for b in places[:n])
        edges = *a, told["width"] - a[0], told["height"] - a[1]
        assert min(edges) > 0.07 * short
    # Where it was told already nothing is asked.
    hints = {"hints": [{**{k: spots[0][k] for k in "xy"}, "color": [200, 60, 40]}]}
    name = client.post(f"{told_at(told)}/predictions", json=hints).json()["prediction"]
    for spot in client.get(f"{told_at(told)}/predictions/{name}/spots").json()["spots"]:
        assert np.linalg.norm(np.array([spot["x"], spot["y"]]) - places[0]) > 0.1 * short
    # More than there is room for are still places of their own.
    many = client.get(f"{address}/spots?n=50").json()["spots"]
    assert len({(spot["x"], spot["y"]) for spot in many}) == 50


@pytest.mark.slow
def test_with_a_hint_each_candidate_keeps_its_number_and_its_look(client: httpx.Client) -> None:
    _, told = send(client, (EXAMPLES / "moose.jpg").read_bytes())
    # In a corner: the rest of the photo stays as it was.
    hints = {"hints": [{"x": 40, "y": 40, "color": [60, 90, 200]}]}
    name = client.post(f"{told_at(told)}/predictions", json=hints).json()["prediction"]

    def looks(prediction: str) -> list[np.ndarray]:
        address = f"{told_at(told)}/predictions/{prediction}"
        return [
            opened(client.get(f"{address}/preview?size=200&candidate={k}&seed=7")).astype(float)
            for k in range(6)
        ]

    before, after = looks(told["prediction"]), looks(name)
    for k, look in enumerate(after):
        gaps = [np.abs(look - other)[70:].mean() for other in before]
        # Each of the first four stands for a group of its own; the others may be near to one.
        assert gaps[k] <= (1 if k < 4 else 1.5) * min(gaps)


@pytest.mark.slow
def test_no_network_runs_where_pictures_are_rendered(
    colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[str] = []
    run = colorizer.model

    class Watched:
        info = run.info

        def __call__(self, x: np.ndarray) -> np.ndarray:
            where.append(threading.current_thread().name.partition("_")[0])
            return run(x)

    monkeypatch.setattr(colorizer, "model", Watched())
    # With nothing kept, whatever a picture needs is computed for it.
    with Studio(colorizer, Limits(memory=1)) as studio, serving(studio) as client:
        _, told = send(client, encoded(gray_photo()))
        hints = {"hints": [{"x": 40, "y": 40, "color": [60, 90, 200]}]}
        name = client.post(f"{told_at(told)}/predictions", json=hints).json()["prediction"]
        address = f"{told_at(told)}/predictions/{name}"
        first = opened(client.get(f"{address}/preview?candidate=2&seed=5"))
        box = "x=0&y=0&width=120&height=90"
        assert client.get(f"{address}/tile?candidate=2&seed=5&{box}").status_code == 200
        assert client.get(f"{address}/candidates?seed=5").status_code == 200
        palette = client.get(f"{address}/palette?candidate=2&seed=5&x=3&y=4")
        assert palette.status_code == 200
        assert set(where) == {"network"}
        whole = opened(client.get(f"{address}/download?format=png&candidate=2&seed=5"))
        assert set(where) == {"network", "export"}
        assert np.abs(whole.astype(int) - first).mean() < 5  # JPEG


@pytest.mark.slow
def test_deep_photos_with_alpha_and_turned_ones(client: httpx.Client, tmp_path: Path) -> None:
    deep = (gray_photo(40, 60).astype(np.uint16) * 257)[..., None]
    import tifffile

    tifffile.imwrite(
        tmp_path / "a.tif",
        np.concatenate([deep, np.full_like(deep, 30000)], axis=2),
        photometric="minisblack",
        extrasamples=["unassalpha"],
    )
    address, told = send(client, (tmp_path / "a.tif").read_bytes())
    assert (told["format"], told["bits"], told["extension"]) == ("TIFF", 16, ".tif")
    reply = client.get(f"{address}/download")
    assert reply.headers["content-type"] == "image/tiff"
    (tmp_path / "b.tif").write_bytes(reply.content)
    result = read_photo(tmp_path / "b.tif")
    assert result.pixels.dtype == np.uint16 and result.alpha is not None
    assert (result.alpha == 30000).all()
    assert opened(client.get(f"{address}/download?format=webp")).shape == (40, 60, 4)

    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    address, told = send(client, encoded(gray_photo(40, 60), "JPEG", exif=exif.tobytes()))
    assert (told["width"], told["height"]) == (40, 60)
    assert opened(client.get(f"{address}/preview")).shape == (60, 40, 3)


@pytest.mark.slow
def test_one_line_colors_a_file_and_keeps_nothing(
    client: httpx.Client, studio: Studio, colorizer: Colorizer, tmp_path: Path
) -> None:
    photo = EXAMPLES / "chickens.jpg"
    reply = client.post("/api/color?saturation=0.7", content=photo.read_bytes())
    colorizer.predict(photo).save(tmp_path / "x.jpg", saturation=0.7)
    assert reply.content == (tmp_path / "x.jpg").read_bytes()
    assert [path.name for path in studio.store.folder().iterdir()] == ["lock"]
    assert len(studio.store) == 0 and len(studio.cache) == 0
