"""The address that other machines open, as a QR code."""

from __future__ import annotations

import io

import segno

__all__ = ["svg_code", "terminal_code"]

_BORDER = 2  # modules; the page around it is white


def svg_code(address: str) -> bytes:
    """A QR code of an address as an SVG picture."""
    file = io.BytesIO()
    segno.make(address, micro=False).save(file, kind="svg", border=_BORDER, scale=8, light="#fff")
    return file.getvalue()


def terminal_code(address: str) -> str:
    """A QR code of an address for a terminal, from half blocks."""
    file = io.StringIO()
    segno.make(address, micro=False).terminal(file, border=_BORDER, compact=True)
    return file.getvalue()
