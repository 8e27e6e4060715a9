"""The secret key of a page on an open network."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import compare_digest

from starlette.datastructures import Headers

__all__ = ["NO_KEY", "Key"]

NO_KEY = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>photochrom: the key is missing</title></head><body><main>
<h1>The key is missing from this address</h1>
<p>Open the whole address that photochrom prints in its terminal, including <code>?key=</code>. The
key changes each time photochrom starts. Your work is kept.</p>
</main></body></html>
"""
"""The page for a browser that comes without the key."""


class Key:
    """A secret that each request must carry.

    It may be ``?key=`` in the address, the cookie that the first such request gets, or
    ``Authorization: Bearer KEY``.

    Parameters
    ----------
    secret : the key
    port : where the server listens
    """

    def __init__(self, secret: str, port: int) -> None:
        self.secret = secret
        # Cookies are the same for all ports of a host.
        self._cookie = f"photochrom-key-{port}"

    def equals(self, given: str) -> bool:
        """Whether this is the secret."""
        return compare_digest(given.encode(), self.secret.encode())

    def opens(self, headers: Headers, given: str) -> bool:
        """Whether a request has the key; `given` is that of its address."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        shown = [given, *_cookies(headers, self._cookie)]
        if scheme.lower() == "bearer":
            shown.append(bearer.strip())
        return any(self.equals(one) for one in shown)

    @property
    def cookie(self) -> str:
        """The header that sets the cookie."""
        return f"{self._cookie}={self.secret}; Path=/; HttpOnly; SameSite=Strict"


def _cookies(headers: Headers, name: str) -> Iterator[str]:
    """The values of the cookies of that name, whatever other cookies come with them.

    Any program on this host may set cookies that browsers send to us too, and many don't follow the
    standard. A parser that gives up at the first of those would lock the user out.
    """
    for line in headers.getlist("cookie"):
        for pair in line.split(";"):
            found, _, value = pair.partition("=")
            if found.strip() == name:
                yield value.strip()
