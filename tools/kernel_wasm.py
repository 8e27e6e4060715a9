"""Compile the kernel to WebAssembly: `make kernel-wasm`, or `python tools/kernel_wasm.py`.

The result is committed, so that a site can be built without clang. It carries the hash of its
sources in a section of its own; a test compares that hash, so that nobody forgets to compile again.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COLOR = ROOT / "src/photochrom/color"
SOURCES = COLOR / "_kernel.h", COLOR / "_jpeg_wasm.h", COLOR / "_kernel_wasm.c"
MODULE = ROOT / "src/photochrom/web/static/site/engine/kernel.wasm"
SECTION = b"photochrom.sources"

FLAGS = (
    "--target=wasm32", "-std=c99", "-O3", "-nostdlib", "-ffreestanding",
    # What all browsers of the last years have.
    "-msimd128", "-mbulk-memory", "-msign-ext", "-mnontrapping-fptoint",
    # As in setup.py: the same numbers.
    "-ffp-contract=off", "-ffinite-math-only", "-fno-math-errno", "-fno-signed-zeros",
    "-fno-trapping-math",
    "-Wall", "-Wextra", "-Wno-unused-function",
    "-Wl,--no-entry", "-Wl,--strip-all", "-Wl,-z,stack-size=131072",
)  # fmt: skip


def fingerprint() -> bytes:
    """What the module is made from, as a hash."""
    parts = [source.read_bytes() for source in SOURCES]
    return hashlib.sha256(b"\0".join([*parts, " ".join(FLAGS).encode()])).hexdigest().encode()


def compile_module(target: Path) -> None:
    """Write the module."""
    clang = shutil.which("clang")
    if clang is None or shutil.which("wasm-ld") is None:
        sys.exit("clang and wasm-ld are needed: apt-get install clang lld")
    subprocess.run([clang, *FLAGS, "-o", str(target), str(SOURCES[-1])], check=True)
    target.chmod(0o644)
    content = bytes([len(SECTION)]) + SECTION + fingerprint()
    with target.open("ab") as file:
        file.write(b"\0" + bytes([len(content)]) + content)  # both lengths are below 128


if __name__ == "__main__":
    compile_module(MODULE)
    print(f"{MODULE.relative_to(ROOT)}: {MODULE.stat().st_size / 1024:.0f} KiB")
