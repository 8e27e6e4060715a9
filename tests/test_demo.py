"""What `make demo` runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_demo_colors_its_examples(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "demo.py", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-800:]
    names = {path.name for path in EXAMPLES.glob("*.jpg")}
    assert {path.name for path in tmp_path.glob("*.jpg")} == names
    assert (tmp_path / "contact_sheet.png").stat().st_size > 0
