"""`photochrom studio`: the page for coloring by hand."""

from __future__ import annotations

import argparse
import secrets
import sys

from photochrom.cli.extras import needs_web
from photochrom.cli.pages import listen_arguments

__all__ = ["EXAMPLES", "arguments", "run"]

EXAMPLES = """\
  photochrom studio
  photochrom studio old.jpg        opens it; shows x and y of a spot, for --hint
  photochrom studio --port 8080 --no-browser
  curl --data-binary @old.jpg http://127.0.0.1:8017/api/color -o new.jpg

The service is documented at http://127.0.0.1:8017/api/docs while it runs."""


def arguments(p: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    p.add_argument(
        "photos", nargs="*", metavar="PHOTO",
        help="photo to open; its settings and hints are kept next to it, in PHOTO.photochrom.json, "
             "which `photochrom colorize` uses",
    )  # fmt: skip
    p.add_argument(
        "-m", "--model", metavar="M", help="bundled model or .onnx file (default: photochrom-1)"
    )
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    p.add_argument(
        "--size", type=int, metavar="N",
        help="short side of the network's input, in pixels (default: the model's)",
    )  # fmt: skip
    p.add_argument(
        "--threads", type=int, default=0, metavar="N",
        help="CPU cores for the network (default: all)",
    )  # fmt: skip
    listen_arguments(p, 8017)
    limits = p.add_argument_group("limits")
    limits.add_argument(
        "--max-mb", type=float, default=200, metavar="MB",
        help="largest file, in MB (default: %(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--max-megapixels", type=float, default=100, metavar="MP",
        help="largest photo, in megapixels (default: %(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--photos", dest="most_photos", type=int, default=100, metavar="N",
        help="number of photos to keep; the least recently used are dropped first (default: "
             "%(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--memory", type=float, default=1000, metavar="MB",
        help="memory for cached results, in MB (default: %(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--seconds", type=float, default=120, metavar="S",
        help="time limit for a request, in seconds (default: %(default)s)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run `photochrom studio`."""
    try:
        from photochrom.web.serving.host import is_local
        from photochrom.web.serving.listen import address, listen, serve
        from photochrom.web.studio.api import studio_app
        from photochrom.web.studio.bodies import max_body
        from photochrom.web.studio.code import terminal_code
        from photochrom.web.studio.given import checked_photos
        from photochrom.web.studio.limits import Limits
        from photochrom.web.studio.studio import Studio
    except ImportError as error:
        raise needs_web(error) from None
    from photochrom.colorizer import Colorizer

    photos = checked_photos(options.photos)
    limits = Limits.of(
        bytes=round(options.max_mb * 1e6),
        pixels=round(options.max_megapixels * 1e6),
        photos=options.most_photos,
        memory=round(options.memory * 1e6),
        seconds=options.seconds,
    )
    with listen(options.host, options.port, allow_network=options.allow_network) as sock:
        colorizer = Colorizer(
            options.model, options.device, working_size=options.size, threads=options.threads
        )
        key = None if is_local(options.host) else secrets.token_urlsafe(16)
        with Studio(colorizer, limits) as studio:
            shared = None if key is None else address(sock, key)
            if shared is not None and sys.stdout.isatty():
                print(terminal_code(shared), end="")
            serve(
                studio_app(studio, photos, shared),
                sock,
                key=key,
                max_body=max_body(limits.bytes),
                programs=True,
                browser=options.browser,
            )
    return 0
