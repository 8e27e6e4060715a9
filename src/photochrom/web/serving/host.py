"""Which hosts may ask."""

from __future__ import annotations

import ipaddress

__all__ = ["KEY", "is_address", "is_local"]

KEY = "key"
"""Name of the query parameter that holds the secret of a page on an open network."""


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)
