"""The name of a photo tells its subject, its class, and whether it is a result."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

__all__ = ["COLORED", "label_of", "subject_of"]


COLORED = ".color"
"""`photochrom colorize` calls the result beside cat.jpg cat.color.jpg."""
_WORDNET = re.compile(r"n\d{8}")


def label_of(key: str, in_shard: bool) -> str:
    """The class in the name of a photo: a WordNet id that ends its key, or its folder."""
    last = key.rsplit("-", 1)[-1]
    if in_shard and _WORDNET.fullmatch(last):
        return last
    return PurePosixPath(key).parent.name


def subject_of(key: str, in_shard: bool) -> str:
    """Subject of a photo: its top folder; for a key of a shard, NNNNNN-SUBJECT; else "photo"."""
    top, *below = PurePosixPath(key).parts
    numbered = re.fullmatch(r"\d+-(.+)", key) if in_shard else None
    name = top if below else numbered[1] if numbered else ""
    # No dot, which would end the key for WebDataset, and no slash, which would be a folder.
    name = re.sub(r"[^\w]+", "-", unicodedata.normalize("NFC", name)).strip("-").lower()
    return name[:48].rstrip("-") or "photo"
