"""Addresses such as s3://scans/1920s: what they look like, and what of them is secret."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

__all__ = ["is_store", "redacted", "secrets_of", "without_secrets"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/]*)@")
_NAMES_NO_USER = {"http", "https", "s3", "s3a", "ftp", "ftps", "webdav", "webdavs"}
"""In their addresses, what stands in front of an @ is a token or a pair of keys."""


def is_store(text: str) -> bool:
    """Whether a text is an address of a store rather than the name of a file or folder."""
    return _SCHEME.match(text) is not None and not os.path.exists(text)


def without_secrets(address: str) -> str:
    """An address without passwords, tokens and signatures, for messages and manifests."""
    return "::".join(_cleaned(part) for part in address.split("::"))


def _cleaned(part: str) -> str:
    if part.lower().startswith(("http://", "https://")):
        part = re.split(r"[?#]", part, maxsplit=1)[0]
    user = _USER.match(part)
    if user is None:
        return part
    scheme, rest = user[1], part[user.end() :]
    name, colon, _ = user[2].partition(":")
    # abfs://container@account names no password, and ssh://me@host only a user.
    if scheme.lower() in _NAMES_NO_USER:
        return f"{scheme}://{rest}"
    return f"{scheme}://{name}@{rest}" if colon else part


def secrets_of(address: str) -> tuple[str, ...]:
    """The parts of an address that nobody may see."""
    found = []
    for part in address.split("::"):
        if part.lower().startswith(("http://", "https://")):
            found += [half for half in re.split(r"[?#]", part)[1:] if half]
        user = _USER.match(part)
        if user is not None and _cleaned(part) != part:
            name, colon, password = user[2].partition(":")
            found.append(password if colon else name)
            if user[1].lower() in _NAMES_NO_USER and colon:
                found.append(name)
    return tuple(sorted({text for text in found if text}, key=len, reverse=True))


def redacted(text: str, secrets: Iterable[str]) -> str:
    """A text with stars in place of these secrets."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
