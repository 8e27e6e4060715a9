from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "examples" / "cameraman.jpg"


def test_nothing_is_left_in_the_home_of_the_user(tmp_path: Path) -> None:
    """ONNX Runtime would leave an identifier of the machine there, and tell its maker of it."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        environment.pop(name, None)
    environment |= {"HOME": str(home), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "photochrom", "colorize", str(EXAMPLE)]
    command += ["-o", str(tmp_path / "result.jpg")]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    assert (tmp_path / "result.jpg").stat().st_size > 10_000
    assert [str(p) for p in (*home.rglob("*"), *temporary.rglob("*"))] == []


def test_the_switch_is_set_before_the_runtime_loads_and_can_be_set_by_the_user() -> None:
    code = "import os, photochrom.runtime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, expected in (({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")):
        environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
        said = subprocess.run(
            [sys.executable, "-c", code],
            env=environment | given,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert said.stdout.strip() == expected
