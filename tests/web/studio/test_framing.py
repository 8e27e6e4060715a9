"""Photos that the studio's service turns and crops."""

from __future__ import annotations

import httpx
import numpy as np

from tests.web.studio_client import encoded, gray_photo, opened, send, told_at


def test_a_photo_is_turned_and_cropped_before_it_is_colored(client: httpx.Client) -> None:
    gray = gray_photo(90, 120)
    asked = {"turn": 90, "left": 10, "top": 20, "width": 70, "height": 60}
    data = encoded(gray)
    reply = client.post("/api/photos", content=data, params=asked)
    assert reply.status_code == 201, reply.text
    told = reply.json()
    assert (told["width"], told["height"]) == (70, 60)
    address = f"{told_at(told)}/predictions/{told['prediction']}"
    wanted = np.rot90(gray, -1)[20:80, 10:80].astype(float)
    tile = opened(client.get(f"{told_at(told)}/original/tile?x=0&y=0&width=70&height=60"))
    assert np.abs(tile.reshape(60, 70, -1)[..., 0] - wanted).mean() < 4  # it is a JPEG, and grainy
    downloaded = opened(client.get(f"{address}/download?format=png"))
    assert downloaded.shape == (60, 70, 3)
    assert np.abs(downloaded.mean(axis=-1) - wanted).mean() < 12
    at_once = opened(client.post("/api/color?format=png", content=data, params=asked))
    assert np.array_equal(at_once, downloaded)


def test_a_crop_outside_the_photo_is_refused(client: httpx.Client) -> None:
    reply = client.post("/api/photos?left=100&width=40", content=encoded(gray_photo(90, 120)))
    assert reply.status_code == 422
    assert "120 x 90" in reply.json()["error"]
    assert client.post("/api/photos?turn=45", content=b"x").status_code == 422


def test_the_border_of_a_print_is_told(client: httpx.Client) -> None:
    page = np.full((200, 260), 250, np.uint8)
    page[20:180, 30:240] = gray_photo(160, 210)
    border = send(client, encoded(page))[1]["border"]
    found = [border["x"], border["y"], border["width"], border["height"]]
    assert np.abs(np.subtract(found, [30, 20, 210, 160])).max() <= 2
    assert send(client, encoded(gray_photo()))[1]["border"] is None
