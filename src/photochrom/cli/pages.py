"""What the commands with a page share: the address, the missing extra."""

from __future__ import annotations

import argparse

from photochrom.errors import DependencyError, PhotochromError

__all__ = ["listen_arguments", "needs_web"]


def needs_web(error: ImportError) -> PhotochromError:
    if error.name is None or error.name.partition(".")[0] not in ("fastapi", "filelock", "uvicorn"):
        raise error
    return DependencyError("this command needs FastAPI and uvicorn: pip install 'photochrom[web]'")


def listen_arguments(p: argparse.ArgumentParser, port: int) -> None:
    p.add_argument(
        "--port", type=int, default=port, metavar="N", help=f"0 for a free one (default: {port})"
    )
    p.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    p.add_argument(
        "--allow-network", action="store_true",
        help="let --host be one that other machines reach; not encrypted",
    )  # fmt: skip
    p.add_argument(
        "--no-browser", dest="browser", action="store_false", help="do not open the page"
    )
