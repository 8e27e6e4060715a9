"""The address that other machines open, read back from its QR code."""

from __future__ import annotations

import cv2
import httpx
import numpy as np
import pyvips

from photochrom.web.studio.code import terminal_code
from photochrom.web.studio.studio import Studio
from tests.web.studio_client import serving

ADDRESS = "http://192.168.178.23:8017/?key=Zk3-_aB9xQ0rT7uV5wY1cg"
BLOCKS = {" ": (0, 0), "\N{UPPER HALF BLOCK}": (1, 0), "\N{LOWER HALF BLOCK}": (0, 1)}


def read(picture: np.ndarray) -> str:
    return cv2.QRCodeDetector().detectAndDecode(picture)[0]


def test_a_phone_reads_the_address_from_the_page(studio: Studio) -> None:
    with serving(studio, shared=ADDRESS) as client:
        assert client.get("/api/info").json()["address"] == ADDRESS
        reply = client.get("/api/address.svg")
    assert reply.headers["content-type"] == "image/svg+xml"
    picture = pyvips.Image.svgload_buffer(reply.content).flatten(background=255)
    assert read(picture.colourspace("b-w").numpy()) == ADDRESS


def test_a_phone_reads_the_address_from_the_terminal() -> None:
    lines = terminal_code(ADDRESS).splitlines()
    rows = [[BLOCKS.get(char, (1, 1)) for char in line] for line in lines]
    white = np.array(rows, np.uint8).transpose(0, 2, 1).reshape(2 * len(lines), -1)
    assert read(255 * np.kron(np.pad(white, 4, constant_values=1), np.ones((8, 8), np.uint8))) == (
        ADDRESS
    )


def test_without_a_network_there_is_none(client: httpx.Client) -> None:
    assert client.get("/api/info").json()["address"] is None
    assert client.get("/api/address.svg").status_code == 404
