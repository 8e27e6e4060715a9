"""A training on two machines; here, each is a torchrun with one process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.train.runs import checkpoint


def node(rank: int, port: int, *arguments: str) -> subprocess.Popen[str]:
    """One node of two, as docs/scale.md starts it."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(rank)),
        *("--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(port)),
        *("--module", "photochrom", "train", *arguments),
    ]
    return subprocess.Popen(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """End a node as a power cut does: torchrun and, in a session of its own, its worker."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    for number in (*map(int, listed.split()), process.pid):
        os.kill(number, signal.SIGKILL)
    process.communicate()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.slow
def test_two_nodes_go_on_after_one_was_killed(shard: Path, run: Path) -> None:
    common = [
        *(str(shard), "-o", str(run), "--batch", "2", "--size", "32", "--no-pretrained"),
        *("--warmup", "0", "--sample-every", "0", "--save-every", "0.5", "--encoder", "lite0"),
    ]
    port = free_port()
    nodes = [node(rank, port, *common, "--steps", "100000") for rank in (0, 1)]
    try:
        end = time.monotonic() + 240
        while not (run / "checkpoint.pt").exists():
            assert all(one.poll() is None for one in nodes), nodes[0].communicate()[0][-2000:]
            assert time.monotonic() < end
            time.sleep(0.1)
        kill(nodes[1])
        nodes[0].communicate(timeout=240)
        assert nodes[0].returncode != 0  # it cannot go on alone
        reached = checkpoint(run)["step"]
        assert reached > 0
        more = ["--resume", "--steps", str(reached + 2)]
        port = free_port()
        nodes = [node(rank, port, *common, *more) for rank in (0, 1)]
        for one in nodes:
            said = one.communicate(timeout=240)[0]
            assert one.returncode == 0, said[-2000:]
        assert checkpoint(run)["step"] == reached + 2
    finally:
        for one in nodes:
            if one.poll() is None:
                kill(one)
