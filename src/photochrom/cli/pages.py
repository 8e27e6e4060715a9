"""The options that the commands with a page share."""

from __future__ import annotations

import argparse

__all__ = ["listen_arguments"]


def listen_arguments(p: argparse.ArgumentParser, port: int) -> None:
    """Declare the options for the address of a page."""
    p.add_argument(
        "--port", type=int, default=port, metavar="N",
        help="port; 0 picks a free one (default: %(default)s)",
    )  # fmt: skip
    p.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    p.add_argument(
        "--allow-network", action="store_true",
        help="allow a --host that other machines can reach; the connection is not encrypted",
    )  # fmt: skip
    p.add_argument(
        "--no-browser", dest="browser", action="store_false",
        help="don't open the page in a browser",
    )  # fmt: skip
