"""The whole story: an S3 service that fails now and then, two nodes, and everything is killed."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tests.archive.service import Service

PHOTOS = 40


class Bucket:
    """What lies in the service, seen past its faults."""

    def __init__(self, service: Service) -> None:
        import boto3

        self._client = boto3.client("s3", endpoint_url=service.url)

    def put(self, key: str, content: bytes) -> None:
        bucket, _, name = key.partition("/")
        self._client.put_object(Bucket=bucket, Key=name, Body=content)

    def names(self, bucket: str) -> set[str]:
        found = self._client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {one["Key"] for one in found}

    def results(self) -> set[str]:
        return {name for name in self.names("color") if not name.startswith(".")}

    def read(self, key: str) -> bytes:
        bucket, _, name = key.partition("/")
        content: bytes = self._client.get_object(Bucket=bucket, Key=name)["Body"].read()
        return content

    def make(self, bucket: str) -> None:
        self._client.create_bucket(Bucket=bucket)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    service = Service()
    for name, value in {
        "AWS_ENDPOINT_URL": service.url,
        "AWS_ACCESS_KEY_ID": "one",
        "AWS_SECRET_ACCESS_KEY": "two",
        "AWS_DEFAULT_REGION": "us-east-1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
    }.items():
        monkeypatch.setenv(name, value)
    yield service
    service.close()


@pytest.fixture
def nodes(service: Service) -> Iterator[Any]:
    """A cluster of one node on this machine."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    add_node(cluster, include_dashboard=False)
    yield cluster
    cluster.shutdown()


def add_node(cluster: Any, **options: Any) -> Any:
    """Another node of one CPU; Ray gives a node 30 seconds to start, and a busy machine more."""
    for left in 2, 1, 0:
        try:
            return cluster.add_node(num_cpus=1, object_store_memory=100 << 20, **options)
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise
    raise AssertionError("unreachable")


def start(address: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "photochrom", "colorize", "s3://scans/old", "-o"]
    command += ["s3://color", "--cluster", address, "--color", "recolor"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait(until: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not until():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.05)


@pytest.mark.slow
def test_whatever_is_killed_each_photo_has_one_whole_result_and_one_record(
    service: Service, nodes: Any
) -> None:
    bucket = Bucket(service)
    for name in "scans", "color":
        bucket.make(name)
    rng = np.random.default_rng(1)
    for n in range(PHOTOS):
        file = io.BytesIO()
        PIL.Image.fromarray(rng.integers(0, 256, (90, 120), dtype=np.uint8)).save(file, "PNG")
        bucket.put(f"scans/old/{n % 3}/{n:02}.png", file.getvalue())
    bucket.put("scans/old/0/torn.png", b"no photo")
    expected = {f"{n % 3}/{n:02}.png" for n in range(PHOTOS)}
    service.fails = 20
    second = add_node(nodes)

    # The first driver is killed in the middle.
    first = start(nodes.address)
    wait(lambda: len(bucket.results()) > 2, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert bucket.results() < expected

    # The second loses a node, and a third is not let in meanwhile.
    before = len(bucket.results())
    driver = start(nodes.address)
    wait(lambda: len(bucket.results()) > before, driver)
    third = start(nodes.address)
    nodes.remove_node(second, allow_graceful=False)
    said = third.communicate(timeout=300)[0]
    assert third.returncode == 2 and "is in use by another run" in said, said
    said = driver.communicate(timeout=300)[0]
    assert driver.returncode in (0, 1), said  # whether or not it was the one that met torn.png
    assert "1 failed" in said and "a worker of the cluster was lost" in said, said

    # The next run finds nothing to do, and each photo has one whole result and one record.
    last = start(nodes.address)
    said = last.communicate(timeout=300)[0]
    assert last.returncode == 0, said
    assert f"{PHOTOS} already done, 1 failed before" in said
    assert service.failed > 5
    service.fails = 0
    assert bucket.results() == expected
    others = bucket.names("color") - expected
    assert all(name.startswith(".photochrom/") and "draft" not in name for name in others)
    assert sum(name.startswith(".photochrom/lease/") for name in others) == 1
    command = [sys.executable, "-m", "photochrom", "manifest", "s3://color", "--csv", "-"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == PHOTOS + 1
    assert {row["result"] for row in rows if row["outcome"] == "done"} == expected
    for row in rows:
        assert os.environ["AWS_SECRET_ACCESS_KEY"] not in row.values()
        if row["outcome"] == "done":
            content = bucket.read(f"color/{row['result']}")
            assert hashlib.sha256(content).hexdigest() == row["result_sha256"]
            assert PIL.Image.open(io.BytesIO(content)).size == (120, 90)
