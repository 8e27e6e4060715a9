"""Write a site: the studio's page, with a service of its own that runs in the browser."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from photochrom._version import __version__
from photochrom.errors import ConfigError, PhotochromError
from photochrom.models import MODELS, WEIGHTS, ModelInfo, load_model
from photochrom.web.site.runtime import FILES, NOTICE

__all__ = ["CSP", "HEADERS", "MODEL", "Site", "write_site"]

WEB = Path(__file__).parent.parent
STUDIO, OWN, EXAMPLES = WEB / "static" / "studio", WEB / "static" / "site", WEB / "examples"
MODEL = "photochrom-1-small"
"""The model, unless another is asked for: of a fourth of the size, with nearly the same colors."""
MARK = Path("static") / "site.json"
"""By this file, a folder is known as a site."""
LICENSE = "LICENSE.txt"

CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self' blob:; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    # Both let the browser use more than one thread. The service worker adds them as well.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_HEAD = f"""\
  <meta http-equiv="Content-Security-Policy" content="{CSP}">
  <link rel="manifest" href="manifest.webmanifest">
  <link rel="stylesheet" href="static/site.css">
  <script type="module" src="static/offline.js"></script>
</head>"""


class SiteError(PhotochromError):
    """A site cannot be written."""


@dataclass(frozen=True)
class Site:
    """A site that was written."""

    folder: Path
    files: int
    nbytes: int


def write_site(
    folder: str | os.PathLike[str], vendor: Path, model: str = MODEL, *, force: bool = False
) -> Site:
    """Write all files of a site; it appears whole or not at all.

    Parameters
    ----------
    folder : where; it must not exist, or be empty
    vendor : from `runtime.vendored`
    model : name of a bundled model, or path of an .onnx file
    force : replace a site that is there

    Raises
    ------
    SiteError
        The folder holds something else, or cannot be written.
    ConfigError, ModelError
        The model cannot be used.
    """
    target = Path(folder)
    _check_folder(target, force)
    info, weights = _model(model)
    draft = target.parent / f".{target.name}.{secrets.token_hex(8)}"
    try:
        draft.mkdir(parents=True)
        try:
            _write(draft, vendor, info, weights)
            _put(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise SiteError(
            f"{target}: cannot be written: {error.strerror or error}",
            "choose a folder that is writable and has free space",
        ) from error
    written = [file for file in target.rglob("*") if file.is_file()]
    return Site(target, len(written), sum(file.stat().st_size for file in written))


def _check_folder(target: Path, force: bool) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise SiteError(f"{target}: is a file", "name a folder")
    if not any(target.iterdir()):
        return
    if not (target / MARK).is_file():
        raise SiteError(f"{target}: holds other files", "name a new or an empty folder")
    if not force:
        raise SiteError(f"{target}: holds a site already", "use --force to replace it")


def _model(name: str) -> tuple[ModelInfo, Path]:
    """A model that a site can use, and its file."""
    model = load_model(name)
    if model.info.regression or model.info.channels != 4:
        raise ConfigError(
            f"{name}: a site needs a model that takes hints and has a distribution",
            "use a bundled model",
        )
    known = {row.name: WEIGHTS / row.file for row in MODELS}
    return model.info, known.get(name, Path(name))


def _write(folder: Path, vendor: Path, info: ModelInfo, weights: Path) -> None:
    static = folder / "static"
    shutil.copytree(STUDIO, static, ignore=shutil.ignore_patterns("index.html"))
    shutil.copytree(
        OWN, static, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.webmanifest", "sw.js")
    )
    shutil.copy(OWN / "manifest.webmanifest", folder)
    (static / "vendor").mkdir()
    for name in FILES:
        shutil.copy(vendor / name, static / "vendor")
    shutil.copy(vendor / NOTICE, folder)
    (folder / LICENSE).write_text(_license(), encoding="utf-8")
    _write_model(static, info, weights)
    _write_examples(folder / "examples")
    page = (STUDIO / "index.html").read_text(encoding="utf-8").replace('"/static/', '"static/')
    (folder / "index.html").write_text(page.replace("</head>", _HEAD, 1), encoding="utf-8")
    # For hosts that read it: Netlify, Cloudflare Pages and others.
    lines = [f"  {name}: {value}\n" for name, value in HEADERS.items()]
    (folder / "_headers").write_text("/*\n" + "".join(lines), encoding="utf-8")
    (folder / ".nojekyll").touch()  # GitHub Pages would leave out _headers otherwise
    _write_worker(folder)


def _write_model(static: Path, info: ModelInfo, weights: Path) -> None:
    data = weights.read_bytes()
    # A name of its own for each content: no cache on the way can mix two models up.
    name = f"model-{hashlib.sha256(data).hexdigest()[:12]}.onnx"
    (static / name).write_bytes(data)
    described = {"file": name, "bytes": len(data), "info": json.loads(info.to_json())}
    site = {"version": __version__, "model": described}
    (static / "site.json").write_text(json.dumps(site), encoding="utf-8")


def _write_examples(folder: Path) -> None:
    folder.mkdir()
    listed = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))
    for example in listed:
        name = f"{example['example']}.jpg"
        shutil.copy(EXAMPLES / name, folder)
        example["url"] = f"examples/{name}"
    (folder / "examples.json").write_text(json.dumps({"examples": listed}), encoding="utf-8")


def _license() -> str:
    """photochrom's own, which also holds for its models; a site is a copy of both."""
    text = importlib.metadata.distribution("photochrom").read_text("licenses/LICENSE")
    if text is None:  # an installation without its texts
        return "photochrom: Apache License 2.0, https://www.apache.org/licenses/LICENSE-2.0\n"
    return text


def _write_worker(folder: Path) -> None:
    """The service worker, with the hashes of all files that it keeps: others mean an update."""
    headers = json.dumps(HEADERS).encode()  # they are kept with each file
    kept = {
        file.relative_to(folder).as_posix(): _fingerprint(file.read_bytes(), headers)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in ("_headers", ".nojekyll", NOTICE, LICENSE)
    }
    text = (OWN / "sw.js").read_text(encoding="utf-8")
    tables: tuple[tuple[str, dict[str, str]], ...] = (("FILES", kept), ("HEADERS", HEADERS))
    for name, table in tables:
        empty = f"const {name} = {{}};"
        assert empty in text
        text = text.replace(empty, f"const {name} = {json.dumps(table)};")
    (folder / "sw.js").write_text(text, encoding="utf-8")


def _fingerprint(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _put(draft: Path, target: Path) -> None:
    """Give a finished folder its name; a site that is there goes."""
    if not target.exists():
        draft.rename(target)
        return
    old = target.parent / f"{draft.name}.old"
    target.rename(old)
    try:
        draft.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
