"""ONNX Runtime for the web: the one part of a site that is not photochrom's own.

It is a package of npm, pinned with its SHA-512 in package-lock.json. It brings all that it needs in
its bundles, so npm is not needed to fetch it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from photochrom.errors import DependencyError
from photochrom.files import write_whole

__all__ = ["FILES", "NOTICE", "Package", "fetch", "main", "vendored"]

FOLDER = Path(__file__).parent
VENDOR = FOLDER / "vendor"
NOTICE = "NOTICE.txt"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""The build for WebAssembly alone, and what it loads."""
REGISTRY = "https://registry.npmjs.org"
MOST_BYTES = 1 << 27
"""Of the package."""
SECONDS = 60
"""That the registry may be silent."""

_NOTICE = """\
This site contains ONNX Runtime for the web, {version} (npm: onnxruntime-web), in static/vendor/,
unchanged. Its notices of third parties are at
https://github.com/microsoft/onnxruntime/blob/v{version}/ThirdPartyNotices.txt

MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


@dataclass(frozen=True)
class Package:
    """A package of npm as package-lock.json pins it."""

    version: str
    resolved: str
    integrity: str

    @classmethod
    def pinned(cls) -> Package:
        """The one of ONNX Runtime."""
        lock = json.loads((FOLDER / "package-lock.json").read_text(encoding="utf-8"))
        entry = lock["packages"]["node_modules/onnxruntime-web"]
        return cls(entry["version"], entry["resolved"], entry["integrity"])

    @property
    def address(self) -> str:
        """Where it is, at the registry that npm is set to use."""
        registry = os.environ.get("npm_config_registry", REGISTRY)  # noqa: SIM112 (npm's own name)
        registry = registry.rstrip("/")
        return self.resolved.replace(REGISTRY, registry, 1)

    def fits(self, data: bytes) -> bool:
        """Whether these are the bytes that were pinned."""
        digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
        return self.integrity == f"sha512-{digest}"


def vendored(folder: Path = VENDOR) -> Path | None:
    """The folder with ONNX Runtime; None unless it was fetched, in the version that is pinned."""
    try:
        version = (folder / "version").read_text(encoding="utf-8")
    except OSError:
        return None
    return folder if version == Package.pinned().version else None


def fetch(folder: Path = VENDOR) -> Path:
    """Fetch ONNX Runtime from npm's registry, unless it is there.

    Raises
    ------
    DependencyError
        The registry cannot be reached, or sends something else.
    """
    there = vendored(folder)
    if there is not None:
        return there
    package = Package.pinned()
    data = _download(package)
    if not package.fits(data):
        raise DependencyError(
            f"{package.address}: is not the package that was pinned",
            "something between here and the registry changes files; try another network",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for name in FILES:
                source = archive.extractfile(f"package/dist/{name}")
                assert source is not None  # the bytes are those that we know
                write_whole(folder / name, source.read())
        write_whole(folder / NOTICE, _NOTICE.format(version=package.version))
        write_whole(folder / "version", package.version)  # last: now it is complete
    except OSError as error:
        raise DependencyError(
            f"{folder}: cannot be written: {error.strerror}", "make the folder writable"
        ) from error
    return folder


def _download(package: Package) -> bytes:
    try:
        with urllib.request.urlopen(package.address, timeout=SECONDS) as reply:
            file = io.BytesIO()
            shutil.copyfileobj(reply, file, 1 << 20)
    except (OSError, ValueError) as error:
        raise DependencyError(
            f"{package.address}: cannot be fetched ({error})", "check the connection, and try again"
        ) from error
    return file.getvalue()


def main() -> int:
    """`python -m photochrom.web.site.runtime`: what `make site` does first."""
    try:
        print(f"ONNX Runtime for the web: {fetch()}")
    except DependencyError as error:
        print(f"photochrom: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
