"""The studio under load: limits, dropped results, many users."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from photochrom import Colorizer
from photochrom.web.studio.asked import Coloring
from photochrom.web.studio.cache import Cache
from photochrom.web.studio.limits import Limits
from photochrom.web.studio.store import KNOWN, Store, Unknown, prediction_name
from photochrom.web.studio.studio import Studio
from tests.web.studio_client import (
    added,
    blocked,
    encoded,
    eventually,
    everything,
    gray_photo,
    name_of,
    send,
    serving,
)


@pytest.mark.slow
def test_what_was_dropped_is_computed_again_the_same(colorizer: Colorizer) -> None:
    hints = {"hints": [{"x": 40, "y": 30, "color": [30, 60, 200]}]}
    seen = []
    for limits in (Limits(), Limits(memory=1)):
        with Studio(colorizer, limits) as studio, serving(studio) as client:
            _, told = send(client, encoded(gray_photo(100, 160)))
            predictions = f"/api/photos/{told['photo']}/predictions"
            name = client.post(predictions, json=hints).json()["prediction"]
            seen.append(everything(client, f"{predictions}/{name}"))
            assert (studio.cache.nbytes > 0) == (limits.memory > 1)
    assert seen[0] == seen[1]


@pytest.mark.slow
def test_the_least_used_photo_makes_room(colorizer: Colorizer) -> None:
    with Studio(colorizer, Limits(photos=2)) as studio, serving(studio) as client:
        first, second = (send(client, encoded(gray_photo(seed=seed)))[1] for seed in (1, 2))
        assert client.get(f"/api/photos/{first['photo']}").status_code == 200
        third = send(client, encoded(gray_photo(seed=3)))[1]
        states = [client.get(f"/api/photos/{t['photo']}") for t in (first, second, third)]
        assert [state.status_code for state in states] == [200, 410, 200]
        assert "send it again" in states[1].json()["error"]
        assert len(list(studio.store.folder().iterdir())) == 3  # with the lock
        assert not [key for key in studio.cache._entries if key[0] == second["photo"]]
        assert client.delete(f"/api/photos/{first['photo']}").status_code == 204
        assert client.delete(f"/api/photos/{first['photo']}").status_code == 404
        assert client.get(f"/api/photos/{third['photo']}/predictions/x/preview").status_code == 404


@pytest.mark.slow
def test_a_photo_outlives_more_hints_than_are_remembered(studio: Studio) -> None:
    token = added(studio, encoded(gray_photo()))
    upload = studio.store.get(token)
    first, used = ([(x, 1.0, (9, 9, 9))] for x in (1.0, 2.0))
    upload.remember(first)
    upload.remember(used)
    for n in range(2 * KNOWN):
        upload.remember([(n / 10, 2.0, (9, 9, 9))])
        recalled = upload.recall(prediction_name(used))  # so it is not the longest unused
        assert [hint.values for hint in recalled] == used
    with pytest.raises(Unknown):
        upload.recall(prediction_name(first))
    assert len(upload.hints) == KNOWN
    assert asyncio.run(studio.preview(token, name_of(studio, token), Coloring(), 64))


@pytest.mark.slow
def test_files_have_a_bound_together(colorizer: Colorizer) -> None:
    data = encoded(gray_photo())
    with Studio(colorizer, Limits(disk=len(data) * 5 // 2)) as studio:
        for _ in range(4):
            added(studio, data)
        assert len(studio.store) == 2


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc")
def test_memory_that_is_free_goes_back_to_the_system() -> None:
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    # Too small to be given back by themselves, and the last one holds those before it.
    held = [b"x" * 60_000 for _ in range(2000)]
    last = held.pop()
    before = resident()
    held.clear()
    cache = Cache(1000, age=4.0)
    with Store(1, 1000, age=4.0, cache=cache):
        for _ in range(600):
            if resident() < before - 60_000_000:
                break
            time.sleep(0.05)
        else:
            pytest.fail("it is kept")
    assert len(last) == 60_000


@pytest.mark.slow
def test_too_much_is_429_and_says_when_to_come_again(colorizer: Colorizer) -> None:
    with Studio(colorizer, Limits(renders=1)) as studio, serving(studio) as client:
        address, _ = send(client, encoded(gray_photo()))
        with ThreadPoolExecutor(1) as pool, blocked(studio):
            waiting = pool.submit(client.get, f"{address}/preview")
            while not studio.renders._inside:
                time.sleep(0.002)
            reply = client.get(f"{address}/preview?size=64")
            assert reply.status_code == 429 and int(reply.headers["retry-after"]) >= 1
            # What needs no rendering goes on, a click with its network too.
            predictions = address.rpartition("/")[0]
            hints = {"hints": [{"x": 1, "y": 1, "color": [9, 9, 9]}]}
            assert client.post(predictions, json=hints).status_code == 200
        assert waiting.result().status_code == 200


@pytest.mark.slow
def test_a_request_that_takes_too_long_is_503(colorizer: Colorizer) -> None:
    with Studio(colorizer, Limits(seconds=0.3)) as studio:
        token = added(studio, encoded(gray_photo()))
        name = name_of(studio, token)
        with serving(studio) as client, blocked(studio):
            reply = client.get(f"/api/photos/{token}/predictions/{name}/preview")
            assert reply.status_code == 503 and "0.3 seconds" in reply.json()["error"]


def test_nobody_renders_for_who_has_gone(studio: Studio, client: httpx.Client) -> None:
    address, _ = send(client, encoded(gray_photo()))
    with blocked(studio):
        with socket.create_connection((client.base_url.host, client.base_url.port)) as lost:
            request = f"GET {address}/preview HTTP/1.1\r\nHost: {client.base_url.netloc.decode()}"
            lost.sendall(f"{request}\r\n\r\n".encode())
            assert eventually(lambda: studio.renders._inside == 1)
        assert eventually(lambda: studio.renders._inside == 0)


@pytest.mark.slow
def test_many_users_at_once_get_what_one_gets_alone(studio: Studio, client: httpx.Client) -> None:
    photos = [encoded(gray_photo(60 + 20 * n, 100 + 10 * n, seed=n)) for n in range(3)]
    addresses = [send(client, data)[0] for data in photos]
    alone = [everything(client, address) for address in addresses]
    for token in [at.split("/")[3] for at in addresses]:
        studio.cache.drop(token)  # all must be computed again, under pressure
        studio.cache.admit(token)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda n: everything(client, addresses[n % 3]), range(6)))
    assert all(seen == alone[n % 3] for n, seen in enumerate(together))
