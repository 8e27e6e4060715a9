"""Listen on an address and port, and serve until the end."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from photochrom.errors import ConfigError
from photochrom.web.serving.bounds import Bounds
from photochrom.web.serving.connections import limited
from photochrom.web.serving.guard import Guard
from photochrom.web.serving.host import KEY, is_address, is_local

__all__ = ["address", "listen", "make_server", "serve"]


def listen(host: str, port: int, *, allow_network: bool = False) -> socket.socket:
    """A listening socket.

    Parameters
    ----------
    host : address to listen on
    port : 0 for a free one
    allow_network : accept an address that other machines can reach

    Raises
    ------
    ConfigError
        The address is in use or not available, or other machines could reach it and
        `allow_network` is not set.
    """
    if not is_local(host) and not allow_network:
        raise ConfigError(
            f"--host {host}: other machines could reach this address",
            "add --allow-network to let them",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.create_server((host, port), family=family)
        # Connections inherit this. Without it, the end of an answer waits 40 ms until the client
        # confirms the beginning. asyncio sets it only on sockets that name their protocol.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{host}:{port}: cannot listen there: {reason}",
            "try another --port, or 0 for a free one",
        ) from None


def address(sock: socket.socket, key: str | None = None) -> str:
    """The address of a server for a browser; other machines can open it too, if they may."""
    host, port = sock.getsockname()[:2]
    if is_address(host) and ipaddress.ip_address(host).is_unspecified:
        # A phone knows no names of machines, but reaches them by number.
        host = _number(sock.family) or socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/" + (
        "" if key is None else f"?{KEY}={key}"
    )


def _number(family: int) -> str | None:
    """The IP address by which this machine reaches others, or None if it has no network."""
    # Connecting a UDP socket sends nothing. It only chooses the way, here to a machine that nobody
    # has: the addresses are reserved for documentation (RFC 5737, RFC 3849).
    elsewhere = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    with socket.socket(family, socket.SOCK_DGRAM) as way:
        try:
            way.connect((elsewhere, 9))
        except OSError:
            return None
        found: str = way.getsockname()[0]
    return None if ipaddress.ip_address(found).is_unspecified else found


def make_server(
    app: ASGIApp,
    sock: socket.socket,
    *,
    key: str | None = None,
    max_body: int | Callable[[str], int] = 4096,
    programs: bool = False,
    bounds: Bounds | None = None,
) -> uvicorn.Server:
    """A server for an application behind a `Guard`; ``run(sockets=[sock])`` runs it.

    Parameters
    ----------
    app : the application
    sock : from `listen`
    key, max_body, programs : see `Guard`
    bounds : see `Bounds`
    """
    bounds = bounds or Bounds()
    host, port = sock.getsockname()[:2]
    guarded = Guard(app, (host, port), key=key, max_body=max_body, programs=programs, bounds=bounds)
    config = uvicorn.Config(
        guarded,
        http=limited(bounds),
        lifespan="off",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)


def serve(
    app: ASGIApp,
    sock: socket.socket,
    *,
    key: str | None = None,
    max_body: int | Callable[[str], int] = 4096,
    programs: bool = False,
    browser: bool = False,
) -> None:
    """Print the address, and serve until Ctrl-C or SIGTERM, which stop the server cleanly.

    Parameters
    ----------
    app : the application
    sock : from `listen`
    key, max_body, programs : see `Guard`
    browser : open the page, if there is a screen
    """
    server = make_server(app, sock, key=key, max_body=max_body, programs=programs)
    url = address(sock, key)
    # Without a screen, Python would start a text browser in this terminal.
    screen = sys.platform in ("darwin", "win32") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    # After its shutdown, uvicorn passes the signal on to the previous handler.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):  # the terminal was closed
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with contextlib.suppress(KeyboardInterrupt):
        print(f"{url}  (press Ctrl-C to stop)", flush=True)
        if browser and screen:
            webbrowser.open(url)  # the socket already listens, so the page waits for us
        server.run(sockets=[sock])
