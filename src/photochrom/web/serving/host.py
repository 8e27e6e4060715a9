"""Host names: which of them are ours, and which ones other machines can reach."""

from __future__ import annotations

import ipaddress
import socket

__all__ = ["KEY", "is_address", "is_local", "is_ours"]

KEY = "key"
"""The query parameter with the secret of a page on an open network."""


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_ours(given: str, host: str, port: int) -> bool:
    """Whether a Host header names the server that listens on a host and port.

    On an open network, any IP address is accepted: only names can be made to lead here.
    """
    name, _, of_request = given.rpartition(":")
    if of_request != str(port):
        name, of_request = given, "80"
    if of_request != str(port):
        return False
    name = name.removeprefix("[").removesuffix("]").lower()
    if is_local(host):
        return name in ("localhost", "127.0.0.1", "::1", host.lower())
    here = socket.gethostname().lower()
    return name in (host.lower(), here, f"{here}.local") or is_address(name)
