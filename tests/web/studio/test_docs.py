"""The studio's description of itself, and the guide to it."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from photochrom.web.studio.store import prediction_name
from tests.web.studio_client import EXAMPLES


@pytest.mark.slow
def test_the_description_has_the_key_and_the_common_errors_once(client: httpx.Client) -> None:
    document = client.get("/api/openapi.json").json()
    assert all(path.startswith("/api/") for path in document["paths"])
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["type"] == "http" and scheme["scheme"] == "bearer"
    for methods in document["paths"].values():
        for operation in methods.values():
            assert "head" not in methods  # it is GET without a body
            for status in ("400", "403", "408", "413", "421", "429", "500", "503"):
                where = operation["responses"][status]["$ref"].rpartition("/")[2]
                assert where in document["components"]["responses"]


@pytest.mark.slow
def test_the_docs_name_all_there_is_and_ask_for_nothing(client: httpx.Client) -> None:
    page = client.get("/api/docs")
    document = client.get("/api/openapi.json").json()
    assert len(document["paths"]) >= 15
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page.text
    assert "<script" not in page.text and "https://" not in page.text and " src=" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_names_in_the_guide_are_those_that_its_commands_print() -> None:
    guide = (EXAMPLES.parent / "docs" / "studio-api.md").read_text(encoding="utf-8")
    hints = json.loads(re.search(r"-d '(.*?)'", guide)[1])["hints"]  # type: ignore[index]
    name = prediction_name([(hint["x"], hint["y"], tuple(hint["color"])) for hint in hints])
    printed = re.findall(r'"prediction":"(\w+)"', guide)
    assert printed == [prediction_name([]), name]
