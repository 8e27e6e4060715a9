"""The kernel for the browser is the one that is compiled from the sources here."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kernel_wasm", ROOT / "tools/kernel_wasm.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


kernel_wasm = _script()


def test_the_kernel_for_the_browser_was_compiled_from_these_sources() -> None:
    data = kernel_wasm.MODULE.read_bytes()
    assert data[:4] == b"\0asm"
    at = data.rindex(kernel_wasm.SECTION) + len(kernel_wasm.SECTION)
    assert data[at:] == kernel_wasm.fingerprint(), "run `make kernel-wasm`, and commit the result"


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("clang") and shutil.which("wasm-ld")), reason="clang or wasm-ld is missing"
)
def test_it_compiles_without_a_warning(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kernel_wasm.compile_module(tmp_path / "kernel.wasm")
    assert capfd.readouterr().err == ""
    assert (tmp_path / "kernel.wasm").stat().st_size < 100_000
