"""Whatever is sent to the studio's service, it answers as it says it does."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Iterator

import hypothesis
import numpy as np
import PIL.Image
import pytest
import schemathesis
from hypothesis.strategies import sampled_from
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from photochrom import Colorizer
from photochrom.web.serving.listen import address, listen, make_server
from photochrom.web.studio.api import studio_app
from photochrom.web.studio.bodies import max_body
from photochrom.web.studio.limits import Limits
from photochrom.web.studio.studio import Studio

EXAMPLES = 7  # of each operation

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def url(colorizer: Colorizer) -> Iterator[str]:
    limits = Limits(photos=20)
    with (
        Studio(colorizer, limits) as studio,
        listen("127.0.0.1", 0) as sock,
    ):
        server = make_server(
            studio_app(studio), sock, max_body=max_body(limits.bytes), programs=True
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        yield address(sock).rstrip("/")
        server.should_exit = True
        thread.join()


def photo() -> bytes:
    file = io.BytesIO()
    gray = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)
    PIL.Image.fromarray(gray).save(file, "PNG")
    return file.getvalue()


def test_no_request_is_answered_otherwise_than_described(url: str) -> None:
    import requests

    schema = schemathesis.openapi.from_url(f"{url}/api/openapi.json")
    session = requests.Session()
    session.trust_env = False
    told = session.post(f"{url}/api/photos", data=photo()).json()
    seen: Counter[tuple[str, int]] = Counter()

    for found in schema.get_all_operations():
        operation = found.ok()

        # Mostly of a photo that is there: who guesses its name gets no farther than 404.
        @hypothesis.given(case=operation.as_strategy(), known=sampled_from([True] * 4 + [False]))
        @hypothesis.settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def check(case: schemathesis.Case, known: bool) -> None:
            if known and case.method != "DELETE":
                for name in ("photo", "prediction"):
                    if name in (case.path_parameters or {}):
                        case.path_parameters[name] = told[name]
            response = case.call(session=session)
            seen[case.operation.label, response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        check()
    answered = {label for label, status in seen if status < 300}
    assert len(answered) > 8, seen
