"""`photochrom site`: the studio as static files, which color in the visitor's browser."""

from __future__ import annotations

import argparse

from photochrom.errors import DependencyError

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = """\
  photochrom site -o site/
  photochrom site -o site/ --fetch --force"""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument("-o", "--output", required=True, metavar="FOLDER", help="the folder to write")
    p.add_argument(
        "--model", default="photochrom-1-small", metavar="MODEL",
        help="a bundled model, or an .onnx file; visitors load all of it (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "--fetch", action="store_true",
        help="fetch ONNX Runtime for the web from npm's registry if it is missing, 33 MB, once; "
             "nothing else uses the network",
    )  # fmt: skip
    p.add_argument("-f", "--force", action="store_true", help="replace a site that is there")


def run(options: argparse.Namespace) -> int:
    """Run `photochrom site`."""
    from photochrom.web.site.build import write_site
    from photochrom.web.site.runtime import fetch, vendored

    vendor = fetch() if options.fetch else vendored()
    if vendor is None:
        raise DependencyError(
            "a site needs ONNX Runtime for the web, which is not installed",
            "run the same command with --fetch, which gets it from npm's registry (33 MB, once)",
        )
    site = write_site(options.output, vendor, options.model, force=options.force)
    print(f"{site.folder}: {site.files} files, {site.nbytes / 1e6:.1f} MB")
    print(f"Try it: python3 -m http.server -d {site.folder} --bind 127.0.0.1")
    return 0
